"""The same path on a model of the hub, or on yours: masks over its block weights, facts edited.

- `relations`: subjects, objects and templates of a relation, from a file or its public source.
- `known`: which of these facts a model knows, as prompts in its own tokens.
- `asking`: what is to be said instead, and what an edited model is asked.
- `plan`: how much is measured. `cost`: how much memory that takes.
- `searching`, `measuring`: masks and edits, in pieces that a kill leaves whole.
- `running`: one call for all of it. `found`: its tables.
"""

from helpers.knowledge.real.found import RealFound
from helpers.knowledge.real.known import KnownFacts, known_facts
from helpers.knowledge.real.plan import RealPlan
from helpers.knowledge.real.relations import RelationData
from helpers.knowledge.real.running import run

__all__ = ["KnownFacts", "RealFound", "RealPlan", "RelationData", "known_facts", "run"]
