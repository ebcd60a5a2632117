"""The method: cross-entropy and λ · KL(q ‖ p), while samples and the oracle follow the model.

- `loss`: the closed form of the KL, and cross-entropy, place by place.
- `plan`: what determines a tuning.
- `weight`: λ that adapts itself.
- `targets`: sample, label, fit: the target of an iteration.
- `steps`: a batch, its losses, a step.
- `running`: the loop. `state`: its state in one file.
- `sequential`, `parallel`: the two halves of an iteration in turns, or at the same time.
- `bench`: the clock of one beside that of the other.
"""

from helpers.detox.finetune.loss import closed_form_kl, cross_entropy
from helpers.detox.finetune.parallel import tune_parallel
from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.finetune.running import Tuned
from helpers.detox.finetune.sequential import tune
from helpers.detox.finetune.steps import StepLosses, TuningRun

__all__ = [
    "StepLosses",
    "Tuned",
    "TuningPlan",
    "TuningRun",
    "closed_form_kl",
    "cross_entropy",
    "tune",
    "tune_parallel",
]
