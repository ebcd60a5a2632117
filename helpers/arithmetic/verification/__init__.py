"""Verification: how often is a model wrong, on how many questions of which class?

Any callable from tokens to logits can be asked: a model of this package, or a foreign one.
"""

from helpers.arithmetic.verification.answers import (
    BATCH_SIZE,
    LogitsOf,
    answer_text,
    check_causal,
    check_model,
    greedy,
    predict,
    score,
)
from helpers.arithmetic.verification.callables import callable_named
from helpers.arithmetic.verification.counting import ask, verify
from helpers.arithmetic.verification.report import Count, Report

__all__ = [
    "BATCH_SIZE",
    "Count",
    "LogitsOf",
    "Report",
    "answer_text",
    "ask",
    "callable_named",
    "check_causal",
    "check_model",
    "greedy",
    "predict",
    "score",
    "verify",
]
