"""Steering: what a vector that is added to the residual stream does to a model's behaviour.

- `vectors`: directions from labelled texts, and random and shuffled ones to compare them with.
- `behaviours`: what a model does, as log-probabilities of good and bad next tokens.
- `strength`: the block and the strength with the largest effect within a perplexity budget.
- `effects`: what a vector and its controls do on test items, with intervals.
- `across`: vectors from earlier checkpoints on the finished model.
- `tinyworld`: the behaviours of a model of TinyWorld.
"""

from helpers.trust.steering.across import Correlation, across_checkpoints, correlation
from helpers.trust.steering.behaviours import Behaviour, Documents, from_text, perplexity, scores
from helpers.trust.steering.effects import Change, Effect, Effects, cluster_means, controls
from helpers.trust.steering.strength import BUDGET, Choice, SteeringTrial, choose
from helpers.trust.steering.vectors import Vector, by_block, mean_difference, steered

__all__ = [
    "BUDGET",
    "Behaviour",
    "Change",
    "Choice",
    "Correlation",
    "Documents",
    "Effect",
    "Effects",
    "SteeringTrial",
    "Vector",
    "across_checkpoints",
    "by_block",
    "choose",
    "cluster_means",
    "controls",
    "correlation",
    "from_text",
    "mean_difference",
    "perplexity",
    "scores",
    "steered",
]
