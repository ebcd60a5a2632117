"""Rivals of the method, each from the base, the corpus and the steps that the method gets.

- `filters`, `rejection`: plain tuning, after filters of its corpus, or on accepted samples.
- `decoding`: masked words, DExperts, decoding with an oracle.
- `dpo`, `group_relative`: DPO and GRPO; `libraries`: those of `trl`, for the hub's models.
- `activations`: a vector taken off the residual stream.
- `steps`: steps of a network on a rival's own loss.
- `outcome`, `table`: what a rival gives; all of them by name.
"""

from helpers.detox.rivals.activations import ActivationEdit, activation_editing
from helpers.detox.rivals.decoding import dexperts, masked_words, oracle_decoding
from helpers.detox.rivals.dpo import preference_loss, preferences
from helpers.detox.rivals.filters import (
    exact_filter,
    plain_tuning,
    without_rude,
    without_words,
    word_filter,
)
from helpers.detox.rivals.group_relative import RewardGuard, grpo
from helpers.detox.rivals.outcome import RivalPolicy
from helpers.detox.rivals.rejection import rejection_sampling
from helpers.detox.rivals.table import RIVALS

__all__ = [
    "RIVALS", "ActivationEdit", "RewardGuard", "RivalPolicy", "activation_editing", "dexperts",
    "exact_filter", "grpo", "masked_words", "oracle_decoding", "plain_tuning", "preference_loss",
    "preferences", "rejection_sampling", "without_rude", "without_words", "word_filter",
]  # fmt: skip
