"""The same path on a model of the hub: tuned under a constraint, judged by who did not label.

- `sources`, `texts`: public prompts and sentences; which of them a run uses.
- `scorers`: classifiers of the hub, and small ones that are trained in a second.
- `plan`: how much is done. `models`: a model, and what of it is tuned; memory.
- `writing`: texts as tokens. `auxiliary`: the auxiliary model over them. `tuning`: the steps.
- `measures`, `arms`: what is compared. `libraries`: DPO and GRPO of `trl`.
- `running`: one call for all of it. `found`: its tables.
- `distributed`: the same steps in several processes.
"""

from helpers.detox.real.found import HubFound
from helpers.detox.real.models import Causal, load_causal
from helpers.detox.real.plan import HubPlan
from helpers.detox.real.running import run
from helpers.detox.real.scorers import word_scorer
from helpers.detox.real.texts import ToxicCorpus

__all__ = [
    "Causal",
    "HubFound",
    "HubPlan",
    "ToxicCorpus",
    "load_causal",
    "run",
    "word_scorer",
]
