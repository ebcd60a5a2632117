"""What the tables and figures of the chapter on tuning under a constraint have in common.

Which tunings and rivals they show under which names, and how a number with its interval is told.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from helpers.detox.judging.fluency import POSTS, said_places
from helpers.detox.posts import HELD_OUT_SEEDS, PROMPT, posts_of
from helpers.detox.study import DetoxCell, DetoxStudy, method_cell, rival_cell
from helpers.detox.study.groups import CONTEXTUAL, MAIN, SILENT, SIXTY
from helpers.detox.study.plan import BASE, HIGH
from helpers.detox.study.summaries import measured
from helpers.errors import LabError
from helpers.stats import Spread

STEPS, LONGER = 120, 360
BASE_CELL = DetoxCell(BASE)
TUNINGS: dict[str, DetoxCell] = {
    "before tuning": BASE_CELL,
    "plain, τ = ½": rival_cell("plain", MAIN, 1, STEPS, 0),
    "method, τ = ½": method_cell(MAIN, HIGH, STEPS, 0),
    "method, no forum": method_cell(SILENT, HIGH, STEPS, 0),
    "plain, τ = ½, 360 steps": rival_cell("plain", MAIN, 1, LONGER, 0),
    "method, τ = ½, 360 steps": method_cell(MAIN, HIGH, LONGER, 0),
    "method, no forum, 360 steps": method_cell(SILENT, HIGH, LONGER, 0),
}
"""What the first claim is judged by."""
PLAIN_SILENT = rival_cell("plain", SILENT, 1, STEPS, 0)
FILTERS: dict[str, DetoxCell] = {
    "word filter": rival_cell("word filter", MAIN, HIGH, STEPS, 0),
    "exact filter": rival_cell("exact filter", MAIN, HIGH, STEPS, 0),
    "exact filter, 360 steps": rival_cell("exact filter", MAIN, HIGH, LONGER, 0),
    "rejection sampling": rival_cell("rejection", SILENT, HIGH, STEPS, 0),
    "rejection sampling, three rounds": rival_cell("rejection x3", SILENT, HIGH, STEPS, 0),
    "rejection sampling, 360 steps": rival_cell("rejection", SILENT, HIGH, LONGER, 0),
    "the same, three rounds": rival_cell("rejection x3", SILENT, HIGH, LONGER, 0),
}
OTHERS: dict[str, DetoxCell] = {
    "insult words masked": DetoxCell("masked words"),
    "decoding with the oracle": DetoxCell("oracle decoding 1", seed=0),
    "the same, R squared": DetoxCell("oracle decoding 2", seed=0),
    "DExperts, α = 1": DetoxCell("dexperts 1", seed=0),
    "DExperts, α = 2": DetoxCell("dexperts 2", seed=0),
    "DPO": DetoxCell("dpo", seed=0),
    "DPO, garbled never among the losers": DetoxCell("dpo garbled allowed", seed=0),
    "GRPO": DetoxCell("grpo", seed=0),
    "activation editing": DetoxCell("activation editing", seed=0),
}
EVERYTHING = {
    "before tuning": BASE_CELL,
    **{name: TUNINGS[name] for name in ("method, τ = ½", "method, no forum")},
    "method, no forum, 360 steps": TUNINGS["method, no forum, 360 steps"],
    **FILTERS,
    **OTHERS,
}
SETTINGS = {MAIN: "τ = ½", SILENT: "no forum", CONTEXTUAL: "contextual", SIXTY: "sixty posts"}
NOT_YET = "Not measured yet."
"""In the place of a table whose group of cells a study does not have."""

Column = Callable[[DetoxStudy, DetoxCell], str]
"""What stands in a column of a table, for each cell."""


def told(spread: Spread | None, digits: int = 3, sign: bool = False) -> str:
    """A mean and its interval, in which no line breaks; a dash where there is none.

    >>> told(Spread(-0.5, -0.75, -0.25, seeds=5), digits=2)
    '−0.50\\xa0[−0.75,\\xa0−0.25]'
    """
    if spread is None:
        return "–"
    form = f"+.{digits}f" if sign else f".{digits}f"
    mean, low, high = (
        plainly(format(value, form), sign) for value in (spread.mean, spread.low, spread.high)
    )
    one = low == high == mean
    return mean if one else f"{mean}\u00a0[{low},\u00a0{high}]"


def plainly(number: str, sign: bool = False) -> str:
    """A formatted number with a minus sign of its own width, and none before zero."""
    zero = not number.strip("+-0.")
    return number.lstrip("+-") if zero else number.replace("-", "−")


def scaled(spread: Spread, factor: float = 100) -> Spread:
    """A share in percent, or in points."""
    mean, low, high = (factor * each for each in (spread.mean, spread.low, spread.high))
    return Spread(mean, low, high, spread.seeds)


def rows_of(
    study: DetoxStudy, cells: Mapping[str, DetoxCell], columns: Iterable[Column]
) -> list[list[str]]:
    """A row for each cell: its name, and what the columns have of it."""
    columns = list(columns)
    return [[name, *(column(study, cell) for column in columns)] for name, cell in cells.items()]


def measure(name: str, digits: int = 3) -> Column:
    """The column of a measure, with intervals."""
    return lambda study, cell: told(measured(study, cell, name), digits)


def number(study: DetoxStudy, cell: DetoxCell, measure: str) -> Spread:
    """A measure of a cell that has one.

    Raises:
        LabError: There is no number, as where perplexity is infinite.
    """
    found = measured(study, cell, measure)
    if found is None:
        raise LabError(f"expected a cell with a number for {measure!r}", f"{cell} has none")
    return found


def there(study: DetoxStudy, cell: DetoxCell) -> bool:
    """Whether a cell was measured with every seed."""
    return all(
        DetoxCell(cell.kind, cell.of, seed) in study.cells for seed in range(study.plan.seeds)
    )


def words_a_post(study: DetoxStudy) -> float:
    """Mean number of words of the kind posts by which perplexity is judged, the stop included."""
    posts = posts_of(HELD_OUT_SEEDS + study.plan.judge.seed, POSTS, 0.0)
    return float(said_places(posts, PROMPT).sum() / len(posts))


def nearest_perplexity(study: DetoxStudy) -> float:
    """Perplexity of kind posts under the nearest kind model: each is 1/R times as likely."""
    base = study.cell(BASE_CELL)
    gained = -np.log(base["kind"]) / words_a_post(study)
    return float(base["perplexity"]["clean posts"] * np.exp(-gained))
