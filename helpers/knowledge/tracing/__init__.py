"""Causal tracing: which states carry a fact, and whether that says where to edit it.

- `exchange`: the same prompts about other subjects.
- `runs`: one state at one layer and place, exchanged between a clean and a corrupted run.
- `prediction`: rank correlation of what tracing finds with what edits achieve.
"""

from helpers.knowledge.tracing.exchange import exchanged
from helpers.knowledge.tracing.prediction import Prediction, predicts
from helpers.knowledge.tracing.runs import CausalTrace, Noise, trace

__all__ = ["CausalTrace", "Noise", "Prediction", "exchanged", "predicts", "trace"]
