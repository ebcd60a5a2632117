"""A task of the circuit explorer, made small enough for a page.

The faithfulness of all subsets of heads is stored in steps of `STEP`, one byte each, so that the
page can look up any circuit: with 16 heads 65 536 bytes. What is told about all circuits of a size
(means, ranges, the best one) is computed here, from the faithfulness as given.
"""

import base64
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from helpers.circuits.explorer.data import STEP, Code, TaskPage
from helpers.circuits.judging.curves import best_circuits
from helpers.circuits.judging.metrics import Confusion, sweep

LOW, HIGH = -0.75, 1.8
"""Range of the stored faithfulness, in 256 steps.

What lies outside is stored as the end of the range, and marked on the page.
"""
MOST_CODES = 12
"""How many codes of a head are listed; the others are counted together.

Those of prompts only come first, then the most frequent ones.
"""


def quantised(values: Float[ndarray, " subset"]) -> UInt8[ndarray, " subset"]:
    """Faithfulness in steps of `STEP` above `LOW`.

    >>> quantised(np.array([-2.0, 0.0, 0.123, 1.0, 9.0])).tolist()
    [0, 75, 87, 175, 255]
    """
    return np.clip(np.rint((np.asarray(values, dtype=float) - LOW) / STEP), 0, 255).astype(np.uint8)


def restored(codes: UInt8[ndarray, " subset"]) -> Float[ndarray, " subset"]:
    """The faithfulness that `quantised` stored: within the range at most half a `STEP` off."""
    return LOW + STEP * np.asarray(codes, dtype=float)


def packed(values: UInt8[ndarray, " value"]) -> str:
    """Bytes as text."""
    return base64.b64encode(np.asarray(values, dtype=np.uint8).tobytes()).decode()


def encode(page: TaskPage) -> dict:
    """A task's data for the page."""
    values, true = np.asarray(page.faithfulness, dtype=float), np.asarray(page.true, dtype=bool)
    return {
        "task": page.task,
        "metric": page.metric,
        "heads": [[int(layer), int(head)] for layer, head in page.heads],
        "layers": page.n_layers,
        "columns": page.n_heads,
        "truth": page.truth,
        "true": _mask(true),
        "shapley": _method("Shapley value", page.shapley, true),
        "table": packed(quantised(values)),
        "outside": int(((values < LOW - STEP / 2) | (values > HIGH + STEP / 2)).sum()),
        "sizes": _sizes(values, true),
        "methods": [_method(name, scores, true) for name, scores in page.scores.items()],
        "codes": [_codes(codes) for codes in page.codes],
        "texts": page.texts,
        "attention": packed(_attention(page)),
    }


def _mask(chosen: Bool[ndarray, " head"]) -> int:
    return sum(1 << int(head) for head in np.flatnonzero(chosen))


def _method(name: str, scores, true: Bool[ndarray, " head"]) -> dict:
    """Scores, ranks (a tie has all its ranks) and the circuit at every threshold.

    Heads of one score enter together.
    """
    scores = np.asarray(scores, dtype=float)
    ranks = [(int((scores > score).sum()) + 1, int((scores >= score).sum())) for score in scores]
    return {
        "name": str(name),
        "scores": [float(f"{score:.4g}") for score in scores],
        "ranks": [str(first) if first == last else f"{first}–{last}" for first, last in ranks],
        "steps": [_mask(scores >= threshold) for threshold in sweep(scores, true).thresholds],
    }


def _sizes(values: Float[ndarray, " subset"], true: Bool[ndarray, " head"]) -> list[dict]:
    """What circuits of each size are like: the spread of each measure, and the best circuit."""
    n, masks = len(true), np.arange(len(values))
    size, hits = np.bitwise_count(masks), np.bitwise_count(masks & _mask(true)).astype(int)
    alarms = size - hits
    counts = Confusion(hits, alarms, true.sum() - hits, n - true.sum() - alarms)
    measures = {
        "faithfulness": values,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
    }
    best, circuits = best_circuits(values)
    return [
        {name: _spread(of_all[size == k]) for name, of_all in measures.items()}
        | {"best": int(circuits[k]), "highest": round(float(best[k]), 4)}
        for k in range(n + 1)
    ]


def _spread(values: ndarray) -> list[float]:
    """Mean, 5th and 95th percentile."""
    return [round(float(value), 4) for value in (values.mean(), *np.quantile(values, [0.05, 0.95]))]


def _codes(codes: Sequence[Code]) -> dict:
    """The codes to list, counts of the others, and how many are the clean prompts' own."""
    ordered = sorted(codes, key=lambda code: (not _own(code), -code.clean - code.twins, code.code))
    rest = ordered[MOST_CODES:]
    shown = [
        [int(code.code), int(code.clean), int(code.twins), list(map(int, code.texts))]
        for code in ordered[:MOST_CODES]
    ]
    return {
        "shown": shown,
        "rest": [len(rest), sum(code.clean for code in rest), sum(code.twins for code in rest)],
        "own": sum(map(_own, codes)),
        "all": sum(code.code >= 0 for code in codes),
        "prompts": [sum(code.clean for code in codes), sum(code.twins for code in codes)],
    }


def _own(code: Code) -> bool:
    return code.code >= 0 and code.clean > 0 and code.twins == 0


def _attention(page: TaskPage) -> UInt8[ndarray, " value"]:
    """Hundredths, head by head and text by text, each as long as its text."""
    attention, lengths = np.asarray(page.attention, dtype=float), [len(text) for text in page.texts]
    rows = [
        attention[head, text, :length]
        for head in range(len(page.heads))
        for text, length in enumerate(lengths)
    ]
    return np.rint(100 * np.concatenate(rows)).astype(np.uint8)
