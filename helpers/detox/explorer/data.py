"""What the view of λ shows: every λ of the stored study, in each corpus where there is a sweep.

Nothing is run here. λ = 0 is plain tuning on the same corpus; before it stands the base, which was
not tuned at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from helpers.detox.posts import PostLabel
from helpers.detox.study import DetoxCell, DetoxStudy, method_cell, rival_cell
from helpers.detox.study.groups import MAIN, SILENT
from helpers.detox.study.summaries import BASE_CELL, RUDE_SHARE, measured, skill_shares
from helpers.errors import LabError
from helpers.stats import Spread, crossed_bootstrap

MEASURED = (
    *("rude", "garbled", "expected maximum", "KL to the base", "kind insults", "distinct posts"),
    *("clean posts", "rude posts", "other text"),
)
"""Measures of the study that are shown; the last three are perplexities."""
LABELS = tuple(label.name.lower() for label in PostLabel)


@dataclass(frozen=True)
class WeightStop:
    """What is shown at one λ, or of the base.

    Attributes:
        weight: λ; None for the base.
        floor: τ/(1 + λ), where the corpus has posts.
        measures: Each of `MEASURED`, None where there is no number.
        skills: Share of right answers by skill.
        posts: Label and words of some posts after one name, of the tuning with seed 0.

    Raises:
        LabError: Measures or labels that there are not, or no skill.
    """

    weight: float | None
    floor: float | None
    measures: Mapping[str, Spread | None]
    skills: Mapping[str, Spread]
    posts: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if set(self.measures) != set(MEASURED) or not self.skills:
            raise LabError(
                f"expected of every λ skills and its {', '.join(MEASURED)}",
                f"got {len(self.skills)} skills and {', '.join(self.measures)}",
            )
        odd = [label for label, _ in self.posts if label not in LABELS]
        if odd:
            raise LabError(f"expected labels of posts: {', '.join(LABELS)}", f"got {odd[0]!r}")


@dataclass(frozen=True)
class WeightSweep:
    """All λ of one corpus.

    Attributes:
        name: The corpus and the steps, in words.
        writer: The name after which the posts stand.
        before: The base.
        stops: By λ, rising from 0.

    Raises:
        LabError: λ that do not rise from 0; skills or numbers of posts that differ.
    """

    name: str
    writer: str
    before: WeightStop
    stops: tuple[WeightStop, ...]

    def __post_init__(self) -> None:
        weights = [-1.0 if stop.weight is None else stop.weight for stop in self.stops]
        rising = all(after > before for before, after in pairwise(weights))
        if weights[:1] != [0] or len(weights) < 2 or not rising:  # NaN does not rise
            raise LabError("expected stops of λ that rise from 0", f"got {weights}")
        parts = {(tuple(stop.skills), len(stop.posts)) for stop in (self.before, *self.stops)}
        if len(parts) > 1:
            raise LabError(
                "expected the same skills and as many posts before tuning and at every λ",
                f"got {len(parts)} kinds of stops",
            )


def sweeps(study: DetoxStudy) -> list[WeightSweep]:
    """The sweeps over λ that a study has: with posts in the corpus, also at the longer time where
    that was measured, and without posts.

    Raises:
        LabError: A study without λ, or whose policies of seed 0 wrote no posts to be read.

    >>> from helpers.detox.study import stored_detox  # doctest: +SKIP
    >>> [sweep.name for sweep in sweeps(stored_detox())]  # doctest: +SKIP
    ['posts in the corpus, half of them rude; 120 steps', …]
    """
    plan = study.plan
    if not {"methods", "weights", "skills"} <= set(plan.groups):
        raise LabError(
            "expected a study of methods, weights λ and skills",
            f"got one of {', '.join(plan.groups)}",
        )
    asked = [(MAIN, plan.steps)]
    if {"floor", "longer"} <= set(plan.groups):
        asked.append((MAIN, plan.longer))
    return [_sweep(study, *one) for one in (*asked, (SILENT, plan.steps))]


NAMES = {MAIN: "posts in the corpus, half of them rude", SILENT: "no posts in the corpus"}


def _sweep(study: DetoxStudy, setting: str, steps: int) -> WeightSweep:
    tau = None if setting == SILENT else RUDE_SHARE
    writer, before = _stop(study, BASE_CELL, None, None)
    stops = [_stop(study, rival_cell("plain", setting, 1, steps, 0), 0.0, tau)[1]]
    for weight in study.plan.weights:
        floor = None if tau is None else tau / (1 + weight)
        stops.append(_stop(study, method_cell(setting, weight, steps, 0), float(weight), floor)[1])
    stops = sorted(stops, key=lambda stop: stop.weight or 0.0)
    return WeightSweep(f"{NAMES[setting]}; {steps} steps", writer, before, tuple(stops))


def _stop(
    study: DetoxStudy, cell: DetoxCell, weight: float | None, floor: float | None
) -> tuple[str, WeightStop]:
    """Who writes the posts, and the stop of a policy."""
    first = study.cell(cell if cell.seed is None else replace(cell, seed=0))
    said = first.get("said")
    if not said:
        raise LabError(
            f"expected posts that can be read of {str(cell)!r}",
            "got none",
            hint="measure the cell anew: `python -m helpers detox --out FILE`",
        )
    posts, writers = [], set()
    for label, text in said:
        writer, _, words = text.removeprefix("<begin> ").partition(" : ")
        writers.add(writer)
        posts.append((label, words))
    measures = {name: measured(study, cell, name) for name in MEASURED}
    skills = {
        name: crossed_bootstrap(shares[:, None])
        for name, shares in skill_shares(study, cell).items()
    }
    return " and ".join(sorted(writers)), WeightStop(weight, floor, measures, skills, tuple(posts))
