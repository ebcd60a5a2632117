"""Texts of TinyWorld to test models with: labelled sets, and prompts with right answers.

- `dimensions`: five labelled sets of minimal pairs, one per dimension of trustworthiness.
- `bait`: a labelled set in which one word gives the label away.
- `tasks`: skills, as prompts whose next word has a right answer.
- `continuations`: prompts that ask a model how it goes on by itself.
- `places`: which token of a prompt is what.
"""

from helpers.tinyworld.sets.bait import obvious_set
from helpers.tinyworld.sets.continuations import Continuation, continuation_prompts
from helpers.tinyworld.sets.dimensions import labelled_set, labelled_sets
from helpers.tinyworld.sets.places import LAST, Places, places_of
from helpers.tinyworld.sets.tasks import JUDGEMENTS, METRICS

__all__ = [
    "JUDGEMENTS",
    "LAST",
    "METRICS",
    "Continuation",
    "Places",
    "continuation_prompts",
    "labelled_set",
    "labelled_sets",
    "obvious_set",
    "places_of",
]
