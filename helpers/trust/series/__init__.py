"""Checkpoints of a training, and one piece of work on each of them, with stored results.

- `sources`: where checkpoints come from (`steps` chooses among them, `streaming` downloads them).
- `integrity`: whether the weights of the checkpoints differ.
- `activations`: the residual stream at the last token of texts.
- `sweep`: a work on every checkpoint: in turn, on all cores or on a cluster.
- `stored`: results on disk, found again by the key of their work (`keys`).
"""

from helpers.trust.series.activations import encode, last_token
from helpers.trust.series.sources import (
    Checkpoint,
    Series,
    embedded,
    folders,
    hub,
    pythia,
    run_folder,
)
from helpers.trust.series.sweep import LastTokens, Swept

__all__ = [
    "Checkpoint",
    "LastTokens",
    "Series",
    "Swept",
    "embedded",
    "encode",
    "folders",
    "hub",
    "last_token",
    "pythia",
    "run_folder",
]
