"""Tables of the method's parts: each left out or changed, its oracle, and detection with it."""

from helpers.book.detox_numbers import NOT_YET, STEPS, measure, rows_of, told
from helpers.detox.study import DetoxStudy, method_cell
from helpers.detox.study.groups import MAIN
from helpers.detox.study.learned import detectors, oracles
from helpers.detox.study.least import beyond_least
from helpers.detox.study.plan import HIGH, VARIANTS
from helpers.show import markdown

HOWS = {
    "no regulariser": "no regulariser",
    "expected first": "KL(e ‖ a)",
    "own first": "KL(a ‖ e)",
}


def variants(study: DetoxStudy) -> str:
    """The method, one of its parts changed."""
    if "variants" not in study.plan.groups:
        return NOT_YET
    names = {
        "the method": None,
        "a q that is one iteration old": "stale",
        "KL on the corpus' posts": "corpus prefixes",
        "gradient through q": "no stop-gradient",
        "no rehearsal of other text": "no rehearsal",
        "twelve targets in place of three, each fitted for 20 steps": "twelve targets",
        "λ led to .05, with twelve targets": "adaptive",
    }
    assert set(names.values()) == {None, *VARIANTS}
    cells = {name: method_cell(MAIN, HIGH, STEPS, 0, of) for name, of in names.items()}
    columns = [
        measure("rude", 4),
        measure("sampled garbled"),
        measure("clean posts", 3),
        measure("other text", 3),
        lambda study, cell: told(beyond_least(study, cell)[1], 2),
        measure("CPU seconds", 0),
    ]
    head = ["the method with", "rude", "garbled", "clean posts, perplexity", "other text"]
    head += ["KL beyond", "CPU s"]
    return markdown(head, rows_of(study, cells, columns), numbers=len(head) - 1)


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
    head = ["oracle", "samples", "steps", "regulariser", "mean error", "rude when decoding"]
    return markdown([*head, "CPU s"], rows, numbers=3)


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
