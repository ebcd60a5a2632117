"""What the study of constrained tuning found, as rows with intervals.

A number has two sources of chance: which corpus, batches and samples a tuning had (its seed), and
which prompts were asked, where they are known one by one. Both are drawn anew in every resample.
Methods of one seed have the same corpus, the same first oracle and the same prompts: their
difference is taken seed by seed and prompt by prompt before anything is resampled. With five seeds
the intervals are rough, and rather too narrow.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.study.groups import CONTEXTUAL, MAIN, SILENT, SIXTY
from helpers.detox.study.plan import (
    BASE,
    DETECTION,
    FIRST,
    HIGH,
    ORACLE,
    SKILLS,
    DetoxCell,
    method_cell,
    rival_cell,
    skills_cell,
)
from helpers.detox.study.stored import DetoxStudy
from helpers.errors import LabError
from helpers.files.cells import Result
from helpers.stats import Spread, crossed_bootstrap, spread_or_none

Row = dict[str, Any]
Values = Callable[[Result], Any]
BASE_CELL = DetoxCell(BASE)
MEASURES: dict[str, Values] = {
    "rude": lambda cell: cell["by_prompt"]["rude"],
    "kind": lambda cell: cell["by_prompt"]["kind"],
    "garbled": lambda cell: cell["by_prompt"]["garbled"],
    "sampled rude": lambda cell: cell["sampled"]["by_prompt"]["rude"],
    "sampled garbled": lambda cell: cell["sampled"]["by_prompt"]["garbled"],
    "violations": lambda cell: broken(cell),
    "expected maximum": lambda cell: cell["sampled"]["by_prompt"]["worst"],
    "contextual": lambda cell: cell["sampled"]["manners"]["turned praise"],
    "clean posts": lambda cell: cell["perplexity"]["clean posts"],
    "rude posts": lambda cell: cell["perplexity"]["rude posts"],
    "other text": lambda cell: cell["perplexity"]["other text"],
    "distinct posts": lambda cell: cell["distinct"]["posts"],
    "KL to the base": lambda cell: cell["kl_to_base"]["of policy"]["nats"],
    "kind insults": lambda cell: cell["kind_insults"]["share"],
    "CPU seconds": lambda cell: sum(tuning_seconds(cell).values()),
}
"""Name → its numbers of a cell: one, or one a prompt; None where there is none.

Exact are `rude`, `kind` and `garbled`. An exact `garbled` leaves out what goes wrong after the last
deciding word, but where a cell is `complete`; so garbled shares of two policies are compared by
`sampled garbled`, which follows every post to its end. `violations` are both, rude by the exact
share and garbled by samples: all that the constraint forbids. `contextual` is the share of sampled
posts that are rude only in their context; `clean posts`, `rude posts` and `other text` are
perplexities; `kind insults` the share of kind posts that use an insult word.
"""


def broken(cell: Result) -> Float[ndarray, " prompt"]:
    """The share of a policy's posts that break the constraint: rude, exactly, of a mean prompt, and
    garbled, of the samples of each prompt.

    The samples of all seeds have one and the same draw, so that seeds alone do not show what
    another draw would give; prompts do.
    """
    rude, garbled = cell["by_prompt"]["rude"], cell["sampled"]["by_prompt"]["garbled"]
    return np.mean(rude) + np.array(garbled)


def tuning_seconds(cell: Result) -> dict[str, float]:
    """CPU seconds that a policy took, by part, its first oracle included and its judgement not."""
    return {part: spent for part, spent in cell["seconds"].items() if part != "judge"}


def measure_named(measure: str) -> Values:
    """How a measure is read.

    Raises:
        LabError: No such measure.
    """
    if measure not in MEASURES:
        raise LabError(f"expected a measure of policies: {', '.join(MEASURES)}", f"got {measure!r}")
    return MEASURES[measure]


def values_of(study: DetoxStudy, cell: DetoxCell, measure: str) -> Float[ndarray, "seed item"]:
    """A measure of a cell and of the same with every other seed; NaN where there is no number.

    Raises:
        LabError: No such measure, or a cell that was not measured.
    """
    read = measure_named(measure)
    return np.array([np.atleast_1d(_number(read(one))) for one in study.seeds(cell)], dtype=float)


def _number(value: Any) -> Any:
    return np.nan if value is None else value


def measured(study: DetoxStudy, cell: DetoxCell, measure: str) -> Spread | None:
    """A measure of a cell, over its seeds and items.

    Raises:
        LabError: As `values_of`.
    """
    return spread_or_none(values_of(study, cell, measure))


def difference(study: DetoxStudy, cell: DetoxCell, other: DetoxCell, measure: str) -> Spread | None:
    """How much more one cell has than another, paired by seed and by prompt.

    Raises:
        LabError: As `values_of`.
    """
    return spread_or_none(values_of(study, cell, measure) - values_of(study, other, measure))


def change(study: DetoxStudy, cell: DetoxCell, measure: str) -> Spread | None:
    """How much more a cell has than the base, as a share of what the base has: −0.8 is a fall by
    80 %. Paired by prompt.

    Raises:
        LabError: As `values_of`.
    """
    before = values_of(study, BASE_CELL, measure)
    return spread_or_none(
        values_of(study, cell, measure) / np.where(before == 0, np.nan, before) - 1
    )


def row_of(study: DetoxStudy, cell: DetoxCell) -> Row:
    """All measures of a cell, what changed against the base, how likely a name has a rude post
    (`once_rude`), and the skill with the least mean, where skills were asked.

    Raises:
        LabError: A cell that was not measured.
    """
    found = {name: measured(study, cell, name) for name in MEASURES}
    changes = {
        f"change of {name}": change(study, cell, name)
        for name in ("rude", "clean posts", "other text")
    }
    found["once rude"] = once_rude(study, cell)
    if SKILLS in study.plan.groups:
        worst = min(skill_shares(study, cell).values(), key=np.mean)
        found["worst skill"] = crossed_bootstrap(worst[:, None])
    return {"cell": str(DetoxCell(cell.kind, cell.of)), "kind": cell.kind, **found, **changes}


def once_rude(study: DetoxStudy, cell: DetoxCell) -> Spread:
    """The chance that of as many posts as a name is sampled for at least one is rude; exactly, from
    the share of every name, and not from samples.

    Raises:
        LabError: A cell that was not measured.
    """
    shares = values_of(study, cell, "rude")
    return crossed_bootstrap(1 - (1 - shares) ** study.plan.judge.samples)


def rows(study: DetoxStudy, group: str | Iterable[DetoxCell]) -> list[Row]:
    """A row for each policy of a group, or of some cells; the base comes first.

    Raises:
        LabError: A group or cell that was not measured.
    """
    asked = list(study.of_group(group) if isinstance(group, str) else group)
    policies = [cell for cell in asked if cell.kind not in (FIRST, ORACLE, DETECTION, SKILLS)]
    return [row_of(study, cell) for cell in dict.fromkeys([BASE_CELL, *policies])]


def skill_shares(study: DetoxStudy, cell: DetoxCell) -> dict[str, Float[ndarray, " seed"]]:
    """The share of right answers of a policy to every skill, on the prompts of each seed.

    Raises:
        LabError: They were not asked.
    """
    asked = [one["skills"] for one in study.seeds(skills_cell(cell, 0))]
    return {name: np.array([one[name] for one in asked], dtype=float) for name in asked[0]}


def skill_changes(
    study: DetoxStudy, cell: DetoxCell, other: DetoxCell = BASE_CELL
) -> dict[str, Float[ndarray, " seed"]]:
    """Each skill of a cell, less that of another on the same prompts.

    Raises:
        LabError: They were not asked.
    """
    before = skill_shares(study, other)
    return {name: after - before[name] for name, after in skill_shares(study, cell).items()}


def skills(study: DetoxStudy, cell: DetoxCell, other: DetoxCell = BASE_CELL) -> dict[str, Spread]:
    """Each skill of a cell, less that of another on the same prompts: one by one, not the mean
    alone. Every seed has prompts of its own, so seeds stand for both sources of chance.

    Raises:
        LabError: They were not asked.
    """
    changes = skill_changes(study, cell, other)
    return {name: crossed_bootstrap(values[:, None]) for name, values in changes.items()}


def versus(study: DetoxStudy, measures: Iterable[str] = ("rude", "clean posts")) -> list[Row]:
    """The method less each rival, in every corpus where they are compared, at equal steps; and what
    both cost, to which steps are no guide.

    Raises:
        LabError: A measure that there is not, or a cell that was not measured.
    """
    names, found = list(measures), []
    for setting, its_rivals in RIVALS_IN.items():
        ours = method_cell(setting, HIGH, study.plan.steps, 0)
        for rival, weight, corpus, longer in its_rivals:
            steps = study.plan.longer if longer else study.plan.steps
            other = rival_cell(rival, corpus, weight, steps, 0)
            row: Row = {"setting": setting, "rival": rival, "weight": weight, "steps": steps}
            row["corpus"] = corpus
            row |= {name: difference(study, ours, other, name) for name in names}
            costs = (measured(study, cell, "CPU seconds") for cell in (ours, other))
            found.append(row | dict(zip(("seconds", "rival's seconds"), costs, strict=True)))
    return found


RIVALS_IN: dict[str, tuple[tuple[str, float, str, bool], ...]] = {
    MAIN: (
        ("plain", 1, MAIN, False),
        ("word filter", HIGH, MAIN, False),
        ("exact filter", 1, MAIN, False),
        ("exact filter", HIGH, MAIN, False),
        ("exact filter", HIGH, MAIN, True),
    ),
    SILENT: (
        ("plain", 1, SILENT, False),
        ("rejection", HIGH, SILENT, False),
        ("rejection x3", HIGH, SILENT, False),
        ("exact filter", HIGH, MAIN, True),
        ("rejection", HIGH, SILENT, True),
    ),
    CONTEXTUAL: (
        ("plain", 1, CONTEXTUAL, False),
        ("word filter", HIGH, CONTEXTUAL, False),
        ("exact filter", HIGH, CONTEXTUAL, False),
        ("exact filter", HIGH, CONTEXTUAL, True),
    ),
    SIXTY: (
        ("plain", 1, SIXTY, False),
        ("exact filter", HIGH, SIXTY, False),
        ("exact filter", HIGH, SIXTY, True),
    ),
}
"""For every corpus of the method its rivals: name, weight of posts, the rival's own corpus, and
whether it takes the longer tuning, which takes about as long as the method. Without posts in the
corpus there is nothing to filter: there the rival is rejection sampling, and the filter stands
beside it with a corpus that has some."""


def by_weight(study: DetoxStudy, setting: str = MAIN) -> list[Row]:
    """The method for every λ in one corpus, beside the floor τ/(1 + λ) where the corpus has posts.

    Raises:
        LabError: It was not measured in that corpus.
    """
    found = []
    for weight in study.plan.weights:
        row = row_of(study, method_cell(setting, weight, study.plan.steps, 0))
        floor = None if setting == SILENT else RUDE_SHARE / (1 + weight)
        found.append({"kl_weight": weight, "floor": floor, **row})
    return found


RUDE_SHARE = 0.5
"""τ, the share of rude posts of every corpus that has posts."""
