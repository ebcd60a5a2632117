"""Questions: what is asked, how it becomes tokens, and how hard it is.

Used by name are `algorithm` (exact arithmetic, by columns), `cascades` (classes of carries) and
`reading` (the likeliest token).
"""

from helpers.arithmetic.questions.batch import (
    Questions,
    answer_tokens,
    class_counts,
    from_numbers,
    join,
    parse,
)
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.questions.generators import (
    all_additions,
    enriched,
    mixed,
    of_class,
    short_carries,
    uniform,
)

__all__ = [
    "Format",
    "Questions",
    "all_additions",
    "answer_tokens",
    "class_counts",
    "enriched",
    "from_numbers",
    "join",
    "mixed",
    "of_class",
    "parse",
    "short_carries",
    "uniform",
]
