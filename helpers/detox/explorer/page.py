"""The explorer of λ: a slider over the weight of the pull, posts before and after side by side.

The page needs no kernel: it holds the numbers of the stored study (`data`), rounded to five digits.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.detox.explorer.data import MEASURED, WeightStop, WeightSweep
from helpers.errors import LabError
from helpers.show import viewer
from helpers.show.viewer import View
from helpers.stats import Spread

HERE = Path(__file__).parent

MAX_BYTES = 150_000
DIGITS = 5
COLUMNS = (
    *("Corpus", "λ", "Rude", "Floor", "Garbled", "Expected maximum"),
    *("Clean posts", "Other text", "Lowest skill"),
)
"""Of the table for readers without JavaScript."""


def weight_explorer(data: Sequence[WeightSweep], title: str = "The weight of the pull") -> View:
    """The explorer as a self-contained view: put it last in a cell.

    Args:
        data: The sweeps, as `sweeps` gives them.
        title: Title of the view.

    Returns:
        A view of at most `MAX_BYTES`.

    Raises:
        LabError: No sweep, two of one name, or so much that the view would grow too large.
    """
    found = list(data)
    names = [sweep.name for sweep in found]
    if not found or len(set(names)) < len(names):
        raise LabError("expected one or more sweeps over λ, each once", f"got {names[:5]}")
    return viewer.embed(
        viewer.asset("weights.html", HERE),
        {"title": title, "measured": MEASURED, "sweeps": [_encoded(sweep) for sweep in found]},
        viewer.script(HERE, "weights.js"),
        title=title,
        summary=_summary(found),
        style=viewer.asset("slider.css") + viewer.asset("weights.css", HERE),
        fallback=fallback_table(found),
        max_bytes=MAX_BYTES,
    )


def _encoded(sweep: WeightSweep) -> dict[str, Any]:
    return {
        "name": sweep.name,
        "writer": sweep.writer,
        "skills": list(sweep.before.skills),
        "before": _stop(sweep.before),
        "stops": [_stop(stop) for stop in sweep.stops],
    }


def _stop(stop: WeightStop) -> dict[str, Any]:
    """A stop with the spreads as [mean, low, high, seeds]."""
    return {
        "weight": stop.weight,
        "floor": None if stop.floor is None else round(stop.floor, DIGITS),
        "measures": [_spread(stop.measures[name]) for name in MEASURED],
        "skills": [_spread(spread) for spread in stop.skills.values()],
        "posts": [list(post) for post in stop.posts],
    }


def _spread(spread: Spread | None) -> list[float] | None:
    if spread is None:
        return None
    numbers = (round(value, DIGITS) for value in (spread.mean, spread.low, spread.high))
    return [*numbers, spread.seeds]


def _summary(found: Sequence[WeightSweep]) -> str:
    told = "; ".join(
        f"{sweep.name}: from {_mean(sweep.before)} before tuning over {_mean(sweep.stops[0])} at "
        f"λ = 0 to {_mean(sweep.stops[-1])} at λ = {sweep.stops[-1].weight:g}"
        for sweep in found
    )
    return (
        "Models tuned with a pull of weight λ to the nearest distribution of kind posts, before "
        "and after: posts that can be read, the share of rude ones, perplexities and every skill. "
        f"Share of rude posts with {told}."
    )


def _mean(stop: WeightStop) -> str:
    rude = stop.measures["rude"]
    return "no number" if rude is None else f"{rude.mean:.3f}"


def fallback_table(found: Sequence[WeightSweep]) -> str:
    """What every λ did, as plain HTML.

    Args:
        found: The sweeps of the view.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = ""
    for sweep in found:
        for stop in (sweep.before, *sweep.stops):
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(stop))
            body += f'<tr><th scope="row">{html.escape(sweep.name)}</th>{cells}</tr>'
    note = (
        "<p>Means over seeds; of tuned models with an interval of 95 %. Rude and garbled are exact "
        "shares of posts, the expected maximum is the share of prompts with a rude post among 25 "
        "samples, clean posts and other text are perplexities. Floor: τ/(1 + λ) with a share τ of "
        "rude posts in the corpus.</p>"
    )
    return f"{note}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(stop: WeightStop) -> list[str]:
    lowest = min(stop.skills, key=lambda name: stop.skills[name].mean)
    return [
        "before" if stop.weight is None else f"{stop.weight:g}",
        _told(stop.measures["rude"]),
        "none" if stop.floor is None else f"{stop.floor:.3f}",
        *(_told(stop.measures[name]) for name in ("garbled", "expected maximum")),
        *(_told(stop.measures[name]) for name in ("clean posts", "other text")),
        f"{_told(stop.skills[lowest])} ({lowest})",
    ]


def _told(spread: Spread | None) -> str:
    if spread is None:
        return "none"
    return str(spread) if spread.seeds > 1 else f"{spread.mean:.3f}"
