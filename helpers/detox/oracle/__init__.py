"""The auxiliary model: it learns from a model's own texts how likely success is after every word.

- `network`: what an oracle is; one of its own, or a linear map on the base's states.
- `samples`: texts of the model, each with the label of the whole text.
- `losses`: the label at every word, and consistency; on plain tensors.
- `fitting`: an oracle is trained.
- `target`: the target q, and q as a guide while a model writes.
- `calibrated`: what was learned, held to the exact success; `measuring` does both for the study.
- `stored`: oracles on disk, and the one that the package brings.
"""

from helpers.detox.oracle.calibrated import Calibration, calibration
from helpers.detox.oracle.fitting import FitLoss, FitPlan, fit
from helpers.detox.oracle.losses import DIRECTIONS
from helpers.detox.oracle.measuring import ORACLES, measure, ship
from helpers.detox.oracle.network import LinearOracle, Oracle, SuccessOracle, linear, separate
from helpers.detox.oracle.samples import LabelledSamples, Scorer, labelled_samples, scored
from helpers.detox.oracle.stored import load, save, shipped
from helpers.detox.oracle.target import OracleGuide, log_target

__all__ = [
    "DIRECTIONS", "ORACLES", "Calibration", "FitLoss", "FitPlan", "LabelledSamples",
    "LinearOracle", "Oracle", "OracleGuide", "Scorer", "SuccessOracle", "calibration", "fit",
    "labelled_samples", "linear", "load", "log_target", "measure", "save", "scored", "separate",
    "ship", "shipped",
]  # fmt: skip
