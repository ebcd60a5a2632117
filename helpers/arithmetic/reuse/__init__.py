"""Reuse: what a mixed model still uses of the adder that was inserted into it.

`transfer` repeats the adder's patch tests, `similarity` compares weights, `curves` follows accuracy
over training; `measuring` does all of it for a run, and `records` keeps what was measured.
"""

from helpers.arithmetic.reuse.curves import LearningCurve, Reached, band, curve_of, steps_to
from helpers.arithmetic.reuse.measuring import identity, measure, measure_source
from helpers.arithmetic.reuse.records import Kept, RunRecord, SourceRecord, Stored, stored, to_text
from helpers.arithmetic.reuse.similarity import Similarity, similarities
from helpers.arithmetic.reuse.transfer import Passed, passed, retest, shared_roles, transferred

__all__ = [
    "Kept",
    "LearningCurve",
    "Passed",
    "Reached",
    "RunRecord",
    "Similarity",
    "SourceRecord",
    "Stored",
    "band",
    "curve_of",
    "identity",
    "measure",
    "measure_source",
    "passed",
    "retest",
    "shared_roles",
    "similarities",
    "steps_to",
    "stored",
    "to_text",
    "transferred",
]
