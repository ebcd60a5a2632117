"""Prompts with a known answer, and their corrupted twins, in which the answer does not follow.

`tinyworld` makes them from TinyWorld's texts; `gpt2_ioi`, `gpt2_greater_than` and `gpt2_docstring`
make them for GPT-2 and its like, with any tokenizer of the transformers library; `twins_from_text`
makes them from texts of your own.
"""

from helpers.circuits.tasks.own import twins_from_text
from helpers.circuits.tasks.tinyworld import CORRUPTIONS
from helpers.circuits.tasks.twins import (
    METRICS,
    Twins,
    check_pairs,
    check_prompts,
    check_readable,
    real,
    rows,
)

__all__ = [
    "CORRUPTIONS",
    "METRICS",
    "Twins",
    "check_pairs",
    "check_prompts",
    "check_readable",
    "real",
    "rows",
    "twins_from_text",
]
