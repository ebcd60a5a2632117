"""Labelled sets: where they come from, how they are split, and what gives their labels away.

- `public`: the five sets of the paper, downloaded and checked byte for byte.
- `splits`: training and test parts that cut no group, and intervals over such splits.
- `controls`: what a probe could use instead of the concept, such as words and length.
- `surface`: how far capitals, words and length go on a set; `surveys` stores it for the paper's.
- `published`: what the paper measured.
"""

from helpers.trust.data.published import PUBLISHED, Published
from helpers.trust.data.splits import Interval, Splits, grouped, ordered
from helpers.trust.data.surface import CLASSIFIERS, Share, Survey, case_flipped, survey

__all__ = [
    "CLASSIFIERS",
    "PUBLISHED",
    "Interval",
    "Published",
    "Share",
    "Splits",
    "Survey",
    "case_flipped",
    "grouped",
    "ordered",
    "survey",
]
