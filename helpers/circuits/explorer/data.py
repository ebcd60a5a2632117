"""What the circuit explorer shows of one task, checked, and made small enough for a page.

The faithfulness of all subsets of heads is stored in steps of `STEP`, one byte a subset, so that
the page can look up any circuit: with 16 heads 65 536 bytes. What is told about all circuits of a
size (means, ranges, the best one) is computed here, from the faithfulness as given.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from helpers.circuits.judging.curves import best_circuits
from helpers.circuits.judging.metrics import Confusion, checked, sweep
from helpers.errors import LabError
from helpers.interventions import Head

STEP = 0.01
LOW, HIGH = -0.75, 1.8
"""Range of the stored faithfulness: 256 steps. What lies outside is stored, and marked on the page, as its end."""
MOST_HEADS = 16
MOST_CODES = 12
"""So many codes of a head are listed, those of prompts only first, then the most frequent; the others are counted together."""


class Code(NamedTuple):
    """One code of a head.

    Attributes:
        code: its number; -1 where no latent is active.
        clean, twins: numbers of clean prompts and of twins on which the head shows it.
        texts: which of the page's texts are among them: 0 to P - 1 for the P prompts, P to 2P - 1
            for their twins.
    """

    code: int
    clean: int
    twins: int
    texts: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskPage:
    """One task of the explorer.

    Attributes:
        task: its name.
        metric: name of what faithfulness is measured by.
        heads: (layer, head), layer by layer, at most 16.
        n_layers, n_heads: of the model; heads of the grid that are not among `heads` stay empty.
        true: which heads count as the true circuit.
        truth: one line that says when a head counts as true.
        shapley: value of each head in the game of faithfulness; they add up to 1.
        faithfulness: of every subset of heads: bit i of the index says that head i is kept.
        scores: scores of the heads by name of the method; larger means rather in the circuit.
        codes: for each head the codes that it shows.
        prompts: tokens of some clean prompts.
        twins: tokens of their twins, each as long as its prompt.
        attention: from the last token of each prompt and then of each twin; what lies beyond a
            text's end is not read.

    Raises:
        LabError: parts that do not fit, NaN, or faithfulness that is not 0 without heads and 1 with
            all.
    """

    task: str
    metric: str
    heads: Sequence[Head]
    n_layers: int
    n_heads: int
    true: Bool[ndarray, " head"]
    truth: str
    shapley: Float[ndarray, " head"]
    faithfulness: Float[ndarray, " subset"]
    scores: Mapping[str, Float[ndarray, " head"]]
    codes: Sequence[Sequence[Code]]
    prompts: Sequence[Sequence[str]]
    twins: Sequence[Sequence[str]]
    attention: Float[ndarray, "head text key"]

    def __post_init__(self) -> None:
        _check_heads(self)
        for values in (self.shapley, *self.scores.values()):
            checked(values, self.true)
        if not self.scores:
            raise LabError("expected scores of at least one method", "got none")
        if len(self.true) != len(self.heads):
            raise LabError(
                "expected true or false for every head",
                f"got {len(self.true)} for {len(self.heads)} heads",
            )
        _check_faithfulness(np.asarray(self.faithfulness, dtype=float), len(self.heads))
        _check_texts(self)

    @property
    def texts(self) -> list[list[str]]:
        """Words of the prompts, then of the twins."""
        return [[str(word) for word in text] for text in (*self.prompts, *self.twins)]


def _check_heads(page: TaskPage) -> None:
    heads = [(int(layer), int(head)) for layer, head in page.heads]
    inside = all(0 <= layer < page.n_layers and 0 <= head < page.n_heads for layer, head in heads)
    if not 1 <= len(heads) <= MOST_HEADS or not inside or heads != sorted(set(heads)):
        raise LabError(
            f"expected 1 to {MOST_HEADS} different heads, layer by layer, of {page.n_layers} layers of {page.n_heads}",
            f"got {len(heads)}: {heads[:20]}",
            hint="with more heads the faithfulness of all subsets does not fit on a page"
            * (len(heads) > MOST_HEADS),
        )


def _check_faithfulness(values: Float[ndarray, " subset"], n: int) -> None:
    if values.shape != (1 << n,):
        raise LabError(
            f"expected the faithfulness of all {1 << n} subsets", f"got shape {values.shape}"
        )
    ends = abs(values[0]) < STEP / 2 and abs(values[-1] - 1) < STEP / 2
    if not np.isfinite(values).all() or not ends:
        raise LabError(
            "expected finite faithfulness, 0 without heads and 1 with all",
            f"got {values[0]:.3g} and {values[-1]:.3g}, {int((~np.isfinite(values)).sum())} values not finite",
            hint="bit i of a subset's number says that head i is kept; curves.normalised makes faithfulness of a metric",
        )


def _check_texts(page: TaskPage) -> None:
    lengths = [len(text) for text in page.texts]
    count = len(page.prompts)
    if not count or min(lengths) == 0 or lengths[:count] != lengths[count:]:
        raise LabError(
            "expected some prompts, and for each a twin of as many words",
            f"got texts of {lengths} words",
        )
    shape, attention = (
        (len(page.heads), len(lengths), max(lengths)),
        np.asarray(page.attention, dtype=float),
    )
    if attention.shape != shape:
        raise LabError(
            f"expected attention from the last token of shape {shape} [head, text, key]",
            f"got {attention.shape}",
        )
    sums = np.array([attention[:, text, :length].sum(-1) for text, length in enumerate(lengths)])
    if not (np.abs(sums - 1) < 0.01).all() or (attention < 0).any():
        raise LabError(
            "expected attention that sums to 1 over a text's words",
            f"got sums from {sums.min():.3g} to {sums.max():.3g}",
            hint="take the row of the last real token, not of the padding",
        )
    if len(page.codes) != shape[0] or any(
        not 0 <= t < shape[1] for codes in page.codes for code in codes for t in code.texts
    ):
        raise LabError(
            f"expected a list of codes for each of {shape[0]} heads, whose texts are among {shape[1]}",
            f"got {len(page.codes)} lists, or a text that is not shown",
        )


def count_codes(
    clean: Int[ndarray, "prompt head"],
    twins: Int[ndarray, "prompt head"],
    shown: Sequence[int] = range(8),
) -> list[list[Code]]:
    """The codes of every head with their counts, from the codes on all prompts and on all twins.

    Args:
        shown: which of the prompts, and which twins, the page shows.

    Raises:
        LabError: codes of different heads, or a prompt to show that is not there.

    >>> count_codes([[4], [4], [7]], [[4], [5], [5]], shown=[0, 2])[0][:2]
    [Code(code=4, clean=2, twins=1, texts=(0, 2)), Code(code=5, clean=0, twins=2, texts=(3,))]
    """
    clean, twins, shown = np.asarray(clean), np.asarray(twins), list(shown)
    if (
        clean.ndim != 2
        or clean.shape[1:] != twins.shape[1:]
        or max(shown, default=0) >= min(len(clean), len(twins))
    ):
        raise LabError(
            "expected codes [prompt, head] of the same heads, with all prompts that are shown",
            f"got shapes {clean.shape} and {twins.shape}, shown {shown}",
        )
    found = []
    for head in range(clean.shape[1]):
        counts = [Counter(codes[:, head].tolist()) for codes in (clean, twins)]
        texts = [*clean[shown, head].tolist(), *twins[shown, head].tolist()]
        where = {
            code: tuple(text for text, other in enumerate(texts) if other == code)
            for code in counts[0] | counts[1]
        }
        found.append(
            [Code(code, counts[0][code], counts[1][code], where[code]) for code in sorted(where)]
        )
    return found


def quantised(values: Float[ndarray, " subset"]) -> UInt8[ndarray, " subset"]:
    """Faithfulness in steps of `STEP` above `LOW`.

    >>> quantised(np.array([-2.0, 0.0, 0.123, 1.0, 9.0])).tolist()
    [0, 75, 87, 175, 255]
    """
    return np.clip(np.rint((np.asarray(values, dtype=float) - LOW) / STEP), 0, 255).astype(np.uint8)


def restored(codes: UInt8[ndarray, " subset"]) -> Float[ndarray, " subset"]:
    """The faithfulness that `quantised` stored: at most half a `STEP` off within `LOW` to `HIGH`."""
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
    """Scores, ranks (a tie has all its ranks) and the circuit at every threshold; heads of one score enter together."""
    scores = np.asarray(scores, dtype=float)
    ranks = [(int((scores > score).sum()) + 1, int((scores >= score).sum())) for score in scores]
    return {
        "name": str(name),
        "scores": [float(f"{score:.4g}") for score in scores],
        "ranks": [str(first) if first == last else f"{first}–{last}" for first, last in ranks],
        "steps": [_mask(scores >= threshold) for threshold in sweep(scores, true).thresholds],
    }


def _sizes(values: Float[ndarray, " subset"], true: Bool[ndarray, " head"]) -> list[dict]:
    """What circuits of each size are like: mean, 5th and 95th percentile of each measure over all of them, and the best."""
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
    return [round(float(value), 4) for value in (values.mean(), *np.quantile(values, [0.05, 0.95]))]


def _codes(codes: Sequence[Code]) -> dict:
    """The codes to list, what is left of the others, and how many codes are the clean prompts' own."""
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
