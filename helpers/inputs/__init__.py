"""What people bring, checked in one place: labels, numbers and tokens.

A function that takes such a thing asks here, so that the same thing is accepted, and the same
thing refused, everywhere.

- `labels`: yes-or-no labels in the forms that people have them in.
- `arrays`: real numbers of any precision, with so many axes, finite; and measured differences.
- `counts`: numbers of things.
- `tokens`: token ids, and padding on the right.
"""

from helpers.inputs.arrays import array_of, at_least, finite, positive_row, real, within
from helpers.inputs.counts import check_count
from helpers.inputs.labels import Labels, yes_no
from helpers.inputs.tokens import (
    check_lengths,
    check_right_padding,
    check_vocabulary,
    pads,
    token_ids,
)

__all__ = [
    "Labels",
    "array_of",
    "at_least",
    "check_count",
    "check_lengths",
    "check_right_padding",
    "check_vocabulary",
    "finite",
    "pads",
    "positive_row",
    "real",
    "token_ids",
    "within",
    "yes_no",
]
