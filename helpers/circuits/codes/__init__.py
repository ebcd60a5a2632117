"""The paper's method: what heads write on prompts and twins, turned into discrete codes by a sparse
autoencoder, and scores of heads from those codes.

`discrete_sae` is the paper's autoencoder and `lens_sae` that of sae-lens; `controls` has the
rankings that a score has to beat.
"""

from helpers.circuits.codes.discrete_sae import DEAD, DiscreteSAE, Settings
from helpers.circuits.codes.scores import heads_of_pairs, node_scores, pair_scores
from helpers.circuits.codes.writes import head_writes, load_model

__all__ = [
    "DEAD",
    "DiscreteSAE",
    "Settings",
    "head_writes",
    "heads_of_pairs",
    "load_model",
    "node_scores",
    "pair_scores",
]
