"""Tables of the chapter on tuning under a constraint, from the stored study: the method's price, λ,
and filters beside it.

Each function gives a Markdown table; `pages` writes them between the marks of the page. Tables of
all rivals are in `detox_rival_tables`, those of the method's parts in `detox_part_tables`.
"""

from collections.abc import Callable

from helpers.book.detox_numbers import (
    BASE_CELL,
    FILTERS,
    LONGER,
    PLAIN_SILENT,
    SETTINGS,
    STEPS,
    TUNINGS,
    Column,
    measure,
    nearest_perplexity,
    number,
    plainly,
    rows_of,
    scaled,
    there,
    told,
)
from helpers.book.detox_part_tables import detection, learned_oracles, variants
from helpers.book.detox_rival_tables import everything_lost, everything_said
from helpers.detox.study import DetoxCell, DetoxStudy, method_cell, rival_cell
from helpers.detox.study.groups import MAIN, SILENT
from helpers.detox.study.plan import HIGH
from helpers.detox.study.summaries import (
    RIVALS_IN,
    RUDE_SHARE,
    change,
    difference,
    measured,
    once_rude,
    skill_changes,
)
from helpers.show import markdown
from helpers.stats import Spread, crossed_bootstrap

CHANGED = ("docstring", *(f"judge {each}" for each in ("reliability", "privacy", "toxicity")))
CHANGED += ("judge fairness",)
"""Skills of which some tuning loses a point; the others stand together in one column."""


def tunings(study: DetoxStudy) -> str:
    """The method beside plain tuning: how rude, and at what price."""
    head = ["model", "rude", "change, %", "rude at least once in 25", "clean posts, perplexity"]
    head += ["more than q*, %", "other text, change, %"]
    columns = [
        measure("rude", 4),
        _change("rude"),
        lambda study, cell: told(once_rude(study, cell), 2),
        measure("clean posts", 2),
        _beyond_nearest,
        _change("other text"),
    ]
    return markdown(head, rows_of(study, TUNINGS, columns), numbers=len(head) - 1)


def _change(name: str) -> Column:
    def column(study: DetoxStudy, cell: DetoxCell) -> str:
        if cell == BASE_CELL:
            return "–"
        found = change(study, cell, name)
        return told(found and scaled(found), 1, sign=True)

    return column


def _beyond_nearest(study: DetoxStudy, cell: DetoxCell) -> str:
    """How much perplexity of kind posts is above that of the nearest kind model."""
    found, nearest = number(study, cell, "clean posts"), nearest_perplexity(study)
    more = [100 * (each / nearest - 1) for each in (found.mean, found.low, found.high)]
    return told(Spread(more[0], more[1], more[2], found.seeds), 1, sign=True)


def single_skills(study: DetoxStudy) -> str:
    """Every skill of tuned models, less that of the base or of plain tuning, in points."""
    chosen = {name: (cell, BASE_CELL) for name, cell in TUNINGS.items() if cell != BASE_CELL}
    chosen["plain, no forum"] = PLAIN_SILENT, BASE_CELL
    filters = ("exact filter", "exact filter, 360 steps")
    chosen |= {name: (FILTERS[name], BASE_CELL) for name in filters}
    for name, plain in (
        ("method, τ = ½", TUNINGS["plain, τ = ½"]),
        ("method, no forum", PLAIN_SILENT),
        ("method, τ = ½, 360 steps", TUNINGS["plain, τ = ½, 360 steps"]),
    ):
        chosen[f"{name}, less plain"] = TUNINGS[name], plain
    rows = []
    for name, (cell, less) in chosen.items():
        found = {skill: 100 * each for skill, each in skill_changes(study, cell, less).items()}
        rest = min(each.mean() for skill, each in found.items() if skill not in CHANGED)
        worst = min(each.min() for each in found.values())
        points = [told(crossed_bootstrap(found[skill][:, None]), 1) for skill in CHANGED]
        rows.append([name, *points, *(plainly(f"{each:.1f}") for each in (rest, worst))])
    head = ["tuned", *CHANGED, "the worst other", "the worst of one seed"]
    return markdown(head, rows, numbers=len(head) - 1)


def rivals_by_corpus(study: DetoxStudy) -> str:
    """The method less each rival in every corpus: rude and garbled shares, and what both cost."""
    rows = []
    for setting, its_rivals in RIVALS_IN.items():
        ours = method_cell(setting, HIGH, STEPS, 0)
        longest = [("rejection x3", HIGH, SILENT, True)] if setting == SILENT else []
        for rival, weight, corpus, longer in (*its_rivals, *longest):
            if corpus != setting:  # a rival with another corpus is none
                continue
            other = rival_cell(rival, corpus, weight, LONGER if longer else STEPS, 0)
            rows.append(
                [
                    SETTINGS[setting],
                    _rival_named(rival, weight, longer),
                    told(measured(study, other, "rude")),
                    told(difference(study, ours, other, "rude"), sign=True),
                    told(measured(study, other, "sampled garbled")),
                    f"{number(study, other, 'violations').mean:.3f}",
                    told(difference(study, ours, other, "violations"), sign=True),
                    told(difference(study, ours, other, "clean posts"), 2, sign=True),
                    f"{number(study, other, 'CPU seconds').mean:.0f}",
                ]
            )
        rows.append(_ours(study, setting, ours))
    head = ["corpus", "tuned by", "rude", "method minus rival", "garbled", "both"]
    head += ["method minus rival", "clean perplexity, method minus rival", "CPU s"]
    return markdown(head, rows, numbers=7)


def _ours(study: DetoxStudy, setting: str, ours: DetoxCell) -> list[str]:
    shares = [told(measured(study, ours, name)) for name in ("rude", "sampled garbled")]
    both = f"{number(study, ours, 'violations').mean:.3f}"
    seconds = f"{number(study, ours, 'CPU seconds').mean:.0f}"
    return [SETTINGS[setting], "**the method**", shares[0], "", shares[1], both, "", "", seconds]


def _rival_named(rival: str, weight: float, longer: bool) -> str:
    words = [rival.replace("rejection x3", "rejection, three rounds")]
    words += [f"weight {weight:g}"] if weight != 1 else []
    words += [f"{LONGER} steps"] if longer else []
    return ", ".join(words)


def by_weight(study: DetoxStudy) -> str:
    """The rude share for every λ beside the floor."""
    rows = []
    for weight in study.plan.weights:
        cells = [
            method_cell(MAIN, weight, STEPS, 0),
            method_cell(MAIN, weight, LONGER, 0),
            method_cell(SILENT, weight, STEPS, 0),
        ]
        floor = RUDE_SHARE / (1 + weight)
        found = [
            told(measured(study, cell, "rude")) if there(study, cell) else "–" for cell in cells
        ]
        rows.append([f"{weight:g}", f"{floor:.3f}", *found])
    head = ["λ", "floor", "τ = ½, 120 steps", "τ = ½, 360 steps", "no forum, 120 steps"]
    return markdown(head, rows, numbers=len(head))


TABLES: dict[str, Callable[[DetoxStudy], str]] = {
    "detox-tunings": tunings,
    "detox-skills": single_skills,
    "detox-weights": by_weight,
    "detox-settings": rivals_by_corpus,
    "detox-said": everything_said,
    "detox-lost": everything_lost,
    "detox-variants": variants,
    "detox-oracles": learned_oracles,
    "detox-detection": detection,
}
"""The tables by the name of their mark on the page."""
