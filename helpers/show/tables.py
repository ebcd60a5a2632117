"""Results in words: tables, rates with intervals, and the claims table that ends every lab.

They are Markdown, so they look the same in Colab, in Jupyter and on the page of the book.
"""

import math
from collections.abc import Iterable, Sequence

from helpers.errors import LabError
from helpers.inputs import Labels, yes_no
from helpers.stats import clopper_pearson

CLAIMS = ("we measured", "the control says", "verdict")


def markdown(header: Sequence[object], rows: Iterable[Sequence[object]], numbers: int = 0) -> str:
    """A Markdown table whose last `numbers` columns are right-aligned.

    >>> print(markdown(["class", "share"], [["S0", "5 %"]], numbers=1))
    | class | share |
    |---|--:|
    | S0 | 5 % |
    """
    rule = "|" + "|".join(["---"] * (len(header) - numbers) + ["--:"] * numbers) + "|"
    head, *lines = ["| " + " | ".join(map(_cell, cells)) + " |" for cells in (header, *rows)]
    return "\n".join([head, rule, *lines])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Display rows as a table."""
    say(markdown(header, rows))


def say(markdown: str) -> None:
    """Display Markdown whose numbers were just computed."""
    from IPython.display import Markdown, display

    display(Markdown(markdown))


def percent(value: float, low: float, high: float) -> str:
    """A share with its interval.

    >>> percent(0.5, 0.401, 0.599)
    '50.0 % [40.1, 59.9]'
    """
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def rate(hits: Labels) -> str:
    """The share of true entries with its 95 % Clopper–Pearson interval.

    Raises:
        LabError: No entries, or one that says neither yes nor no (`helpers.inputs.yes_no`).

    >>> rate([True] * 100)
    '100.0 % [96.4, 100.0]'
    """
    true = yes_no(hits, "the trials")
    if not true.size:
        raise LabError("expected at least one trial", "got none")
    count = int(true.sum())
    return percent(count / true.size, *clopper_pearson(count, true.size))


def claims(
    rows: Iterable[tuple[str, str, str, bool | str | None]], source: str = "the paper says"
) -> None:
    """Display the claims table: what is claimed, what we measured, the control, and whether the
    claim holds.

    Args:
        rows: Claim, measurement and control as text, and the verdict: holds, does not hold, None
            for partly, or a text such as "not decided".
        source: Heading of the claims: who makes them.
    """
    words = {True: "holds", False: "**does not hold**", None: "holds in part"}
    verdicts = [row[3] if isinstance(row[3], str) else words[row[3]] for row in rows]
    table((source, *CLAIMS), [(*row[:3], said) for row, said in zip(rows, verdicts, strict=True)])


def short(value: float) -> str:
    """A number for a table: plain where readable, else by its distance from 0 or 1 as a power of
    ten.

    >>> short(0.7761), short(4.5e-6), short(0), short(0.99982)
    ('0.776', '4.5 × 10⁻⁶', '0', '1 − 1.8 × 10⁻⁴')
    """
    if not math.isfinite(value):
        return str(value)
    if 0.999 < value < 1:
        return f"1 − {short(1 - value)}"
    if value == 0 or value >= 1e-3:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{raised}"
