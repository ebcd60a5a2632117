"""Tables of the chapter on tuning under a constraint, from the stored study.

Each function gives a Markdown table; `pages` writes them between the marks of the page.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from helpers.detox.study import DetoxCell, DetoxStudy, method_cell, rival_cell
from helpers.detox.study.groups import CONTEXTUAL, MAIN, SILENT, SIXTY
from helpers.detox.study.learned import detectors, oracles
from helpers.detox.study.plan import BASE, HIGH, VARIANTS
from helpers.detox.study.summaries import (
    RIVALS_IN,
    RUDE_SHARE,
    change,
    difference,
    measured,
    skills,
)
from helpers.errors import LabError
from helpers.show import markdown
from helpers.stats import Spread, crossed_bootstrap

STEPS, LONGER = 120, 360
LABELS = ("kind", "rude", "garbled")
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
FILTERS: dict[str, DetoxCell] = {
    "word filter": rival_cell("word filter", MAIN, HIGH, STEPS, 0),
    "exact filter": rival_cell("exact filter", MAIN, HIGH, STEPS, 0),
    "exact filter, 360 steps": rival_cell("exact filter", MAIN, HIGH, LONGER, 0),
    "rejection sampling": rival_cell("rejection", SILENT, HIGH, STEPS, 0),
    "rejection sampling, three rounds": rival_cell("rejection x3", SILENT, HIGH, STEPS, 0),
    "rejection sampling, 360 steps": rival_cell("rejection", SILENT, HIGH, LONGER, 0),
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
CHANGED = ("docstring", *(f"judge {each}" for each in ("reliability", "privacy", "toxicity")))
CHANGED += ("judge fairness",)
"""Skills of which some tuning loses a point; the others stand together in one column."""


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


def least_kl(shares: Mapping[str, float], base: Mapping[str, float]) -> float:
    """The least KL to a base that any model has with these shares of kind, rude and garbled posts.

    Within each label its posts would have to be said as the base says them.

    >>> round(least_kl({"kind": 1, "rude": 0, "garbled": 0}, {"kind": 0.5, "rude": 0.5}), 4)
    0.6931
    """
    return float(
        sum(shares[each] * np.log(shares[each] / base[each]) for each in LABELS if shares[each])
    )


def beyond_least(study: DetoxStudy, cell: DetoxCell) -> tuple[Spread | None, Spread | None]:
    """The least KL that the shares of a cell allow, and how much farther it went than that."""
    base, found = study.cell(BASE_CELL), study.seeds(cell)
    least = np.array([[least_kl(each, base)] for each in found])
    nats = [each["kl_to_base"]["of policy"]["nats"] for each in found]
    if any(each is None for each in nats):
        return crossed_bootstrap(least), None
    return crossed_bootstrap(least), crossed_bootstrap(np.array([nats]).T - least)


def _rows(
    study: DetoxStudy, cells: Mapping[str, DetoxCell], columns: Iterable[Callable]
) -> list[list[str]]:
    columns = list(columns)
    return [[name, *(column(study, cell) for column in columns)] for name, cell in cells.items()]


def _measure(name: str, digits: int = 3) -> Callable[[DetoxStudy, DetoxCell], str]:
    return lambda study, cell: told(measured(study, cell, name), digits)


def _change(name: str) -> Callable[[DetoxStudy, DetoxCell], str]:
    def column(study: DetoxStudy, cell: DetoxCell) -> str:
        if cell == BASE_CELL:
            return "–"
        found = change(study, cell, name)
        whole = found and Spread(100 * found.mean, 100 * found.low, 100 * found.high, found.seeds)
        return told(whole, 1, sign=True)

    return column


def number(study: DetoxStudy, cell: DetoxCell, measure: str) -> Spread:
    """A measure of a cell that has one.

    Raises:
        LabError: There is no number, as where perplexity is infinite.
    """
    found = measured(study, cell, measure)
    if found is None:
        raise LabError(f"expected a cell with a number for {measure!r}", f"{cell} has none")
    return found


def violations(study: DetoxStudy, cell: DetoxCell) -> float:
    """Rude posts, exactly, and garbled ones, of samples: all that the constraint forbids."""
    return number(study, cell, "rude").mean + number(study, cell, "sampled garbled").mean


def there(study: DetoxStudy, cell: DetoxCell) -> bool:
    """Whether a cell was measured with every seed."""
    return all(
        DetoxCell(cell.kind, cell.of, seed) in study.cells for seed in range(study.plan.seeds)
    )


def tunings(study: DetoxStudy) -> str:
    """The method beside plain tuning: how rude, and at what price."""
    head = ["model", "rude", "change, %", "rude at least once in 25", "clean posts, perplexity"]
    head += ["change, %", "other text, change, %"]
    columns = [
        _measure("rude", 4),
        _change("rude"),
        _measure("expected maximum", 2),
        _measure("clean posts", 2),
        _change("clean posts"),
        _change("other text"),
    ]
    return markdown(head, _rows(study, TUNINGS, columns), numbers=len(head) - 1)


def single_skills(study: DetoxStudy) -> str:
    """Every skill of tuned models, less that of the base, in points."""
    chosen = {name: cell for name, cell in TUNINGS.items() if cell != BASE_CELL}
    chosen |= {name: FILTERS[name] for name in ("exact filter", "exact filter, 360 steps")}
    rows = []
    for name, cell in chosen.items():
        found = skills(study, cell)
        rest = min(spread.mean for skill, spread in found.items() if skill not in CHANGED)
        worst = min(
            one["skills"][skill] - study.cell(BASE_CELL)["skills"][skill]
            for one in study.seeds(cell)
            for skill in found
        )
        points = [told(_points(found[skill]), 1) for skill in CHANGED]
        rows.append([name, *points, *(plainly(f"{100 * each:.1f}") for each in (rest, worst))])
    head = ["tuned", *CHANGED, "the worst other", "the worst of one seed"]
    return markdown(head, rows, numbers=len(head) - 1)


def _points(spread: Spread) -> Spread:
    return Spread(100 * spread.mean, 100 * spread.low, 100 * spread.high, spread.seeds)


def rivals_at_equal_steps(study: DetoxStudy) -> str:
    """The method less each rival in every corpus: rude and garbled shares, and what both cost."""
    rows = []
    for setting, its_rivals in RIVALS_IN.items():
        ours = method_cell(setting, HIGH, STEPS, 0)
        longest = [("rejection", HIGH, SILENT, True)] if setting == SILENT else []
        for rival, weight, corpus, longer in dict.fromkeys((*its_rivals, *longest)):
            other = rival_cell(rival, corpus, weight, LONGER if longer else STEPS, 0)
            rows.append(
                [
                    SETTINGS[setting],
                    _rival_named(rival, weight, corpus if corpus != setting else "", longer),
                    told(measured(study, other, "rude")),
                    told(difference(study, ours, other, "rude"), sign=True),
                    told(measured(study, other, "sampled garbled")),
                    f"{violations(study, other):.3f}",
                    told(difference(study, ours, other, "clean posts"), 2, sign=True),
                    f"{number(study, other, 'CPU seconds').mean:.0f}",
                ]
            )
        ours_seconds = f"{number(study, ours, 'CPU seconds').mean:.0f}"
        rows.append(
            [
                SETTINGS[setting],
                "**the method**",
                told(measured(study, ours, "rude")),
                "",
                told(measured(study, ours, "sampled garbled")),
                f"{violations(study, ours):.3f}",
                "",
                ours_seconds,
            ]
        )
    head = ["corpus", "tuned by", "rude", "method minus rival", "garbled", "both"]
    head += ["clean perplexity, method minus rival", "CPU s"]
    return markdown(head, rows, numbers=6)


def _rival_named(rival: str, weight: float, corpus: str, longer: bool) -> str:
    words = [rival.replace("rejection x3", "rejection, three rounds")]
    words += [f"weight {weight:g}"] if weight != 1 else []
    words += ["corpus τ = ½"] if corpus else []
    words += [f"{LONGER} steps"] if longer else []
    return ", ".join(words)


def everything_said(study: DetoxStudy) -> str:
    """All rivals: what they say."""
    head = ["model", "rude", "garbled", "rude at least once in 25", "clean posts", "other text"]
    columns = [
        _measure("rude"),
        _measure("sampled garbled"),
        _measure("expected maximum", 2),
        _measure("clean posts", 2),
        _measure("other text", 2),
    ]
    return markdown(head, _rows(study, EVERYTHING, columns), numbers=len(head) - 1)


def everything_lost(study: DetoxStudy) -> str:
    """All rivals: how far they went, and what went with it."""
    rows = []
    for name, cell in EVERYTHING.items():
        least, beyond = beyond_least(study, cell)
        found = skills(study, cell)
        worst = min(found, key=lambda skill: found[skill].mean)
        rows.append(
            [
                name,
                told(measured(study, cell, "KL to the base"), 2),
                f"{least.mean:.2f}" if least else "–",
                told(beyond, 2),
                f"{plainly(f'{100 * found[worst].mean:.1f}')} ({worst})",
                told(measured(study, cell, "kind insults"), 2),
                f"{_mean(study, cell, lambda one: one['distinct']['2']):.2f}",
                f"{_mean(study, cell, lambda one: one['judge']['pairs']['share']):.3f}",
            ]
        )
    head = ["model", "KL to the base", "least", "beyond", "worst skill, points", "kind uses"]
    head += ["distinct pairs", "the judge: rude"]
    return markdown(head, rows, numbers=len(head) - 1)


def _mean(study: DetoxStudy, cell: DetoxCell, read: Callable[[dict], float]) -> float:
    return float(np.mean([read(one) for one in study.seeds(cell)]))


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


NOT_YET = "Not measured yet."


def variants(study: DetoxStudy) -> str:
    """The method, changed in one respect."""
    if "variants" not in study.plan.groups:
        return NOT_YET
    names = {
        "the method": None,
        "a q that is one iteration old": "stale",
        "KL on the corpus' posts": "corpus prefixes",
        "gradient through q": "no stop-gradient",
        "no rehearsal of other text": "no rehearsal",
        "λ led to .05": "adaptive",
    }
    assert set(names.values()) == {None, *VARIANTS}
    cells = {name: method_cell(MAIN, HIGH, STEPS, 0, of) for name, of in names.items()}
    columns = [
        _measure("rude", 4),
        _measure("sampled garbled"),
        _measure("clean posts", 3),
        _measure("other text", 3),
        lambda study, cell: told(beyond_least(study, cell)[1], 2),
        _measure("CPU seconds", 0),
    ]
    head = ["the method with", "rude", "garbled", "clean posts", "other text", "KL beyond"]
    return markdown([*head, "CPU s"], _rows(study, cells, columns), numbers=len(head))


HOWS = {
    "no regulariser": "no regulariser",
    "expected first": "KL(e ‖ a)",
    "own first": "KL(a ‖ e)",
}


def learned_oracles(study: DetoxStudy) -> str:
    """Learned oracles against the exact R, and what decoding with them gives."""
    if "oracles" not in study.plan.groups:
        return NOT_YET
    rows = [
        [
            row["kind"],
            f"{row['samples']:,}",
            str(row["steps"]),
            HOWS[row["regulariser"]],
            told(row["mean error"]),
            told(row["rude"]),
            f"{row['CPU seconds'].mean:.0f}",
        ]
        for row in oracles(study)
    ]
    head = [
        "oracle",
        "samples",
        "steps",
        "regulariser",
        "mean error",
        "rude when decoding",
        "CPU s",
    ]
    return markdown(head, rows, numbers=3)


def detection(study: DetoxStudy) -> str:
    """One model that writes and detects."""
    if "detection" not in study.plan.groups:
        return NOT_YET
    rows = [
        [
            row["arm"],
            f"{row['labels']:,}",
            f"{row['noise']:g}",
            *(told(row[name]) for name in ("auc", "rude", "garbled")),
        ]
        for row in detectors(study)
    ]
    head = ["learns", "labels", "wrong", "AUC", "rude", "garbled"]
    return markdown(head, rows, numbers=5)


TABLES: dict[str, Callable[[DetoxStudy], str]] = {
    "detox-tunings": tunings,
    "detox-skills": single_skills,
    "detox-weights": by_weight,
    "detox-settings": rivals_at_equal_steps,
    "detox-said": everything_said,
    "detox-lost": everything_lost,
    "detox-variants": variants,
    "detox-oracles": learned_oracles,
    "detox-detection": detection,
}
"""The tables by the name of their mark on the page."""
