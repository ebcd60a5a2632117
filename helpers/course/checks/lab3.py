"""Checks of Lab 3, trustworthiness through pre-training."""

import math
import random
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import zoo
from helpers.course.asking import call, call_or_none, expect_functions
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function, expect_shape
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.inputs import within
from helpers.texts import LabelledSet
from helpers.tinyworld.language import documents
from helpers.tinyworld.sets import dimensions
from helpers.trust.data import surface
from helpers.trust.information import dependence, recovery
from helpers.trust.probes.onset import onset
from helpers.trust.series import activations
from helpers.trust.steering import SteeringTrial

LEARNED = 0.75
"""A judgement counts as learned when this share is right, to the end."""


def learned_order() -> list[str]:
    """The dimensions in the order in which the stored curves say they are learned."""
    curve = zoo.entry("tinyworld").measured["curve"]

    def learned(name: str) -> float:
        by = onset(curve["steps"], np.array(curve["skills"][f"judge {name}"]), LEARNED).by
        return math.inf if by is None else by

    return sorted(dimensions.CANDIDATES, key=learned)


@exercise("lab3.1", points=3, title="Predict what comes first")
def predicted_order(answer):
    expect_function(answer)
    measured = learned_order()
    got = call(answer)
    names = list(map(str, got)) if isinstance(got, list | tuple) else []
    if sorted(names) != sorted(measured):
        raise Wrong(f"expected a list of the five names {', '.join(sorted(measured))}, each once")
    hits = (names[0] == measured[0], names[-1] == measured[-1], names == measured)
    if not all(hits):
        said = [
            f"the {place} one {'is as you predicted' if hit else 'is another'}"
            for place, hit in zip(("first", "last"), hits[:2], strict=True)
        ]
        raise Wrong(
            f"{' and '.join(said)}: a prediction may fail, read on to see the curves",
            points=sum(hits),
        )
    return "as you predicted"


def _two_classes(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Training rows, their labels, test rows; sizes differ, and one feature is constant."""
    rng, width, count, asked = torch.Generator().manual_seed(seed), 5, 55, 200
    labels = torch.arange(count) < 40
    sides = torch.cat([labels, torch.rand(asked, generator=rng) < 0.3])
    gap = 0.7 * torch.randn(width, generator=rng)
    rows = torch.randn(count + asked, width, generator=rng) + torch.where(sides[:, None], gap, -gap)
    rows[count:] += 0.5  # so that it shows when test rows are used to standardise
    rows = torch.cat([rows * 10.0 ** torch.arange(width) + 7, torch.full((len(rows), 1), 3.0)], 1)
    return rows[:count], labels, rows[count:]


def _mass_mean(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    scaled: bool = True,
    by_test: bool = False,
    half_way: bool = True,
) -> Tensor:
    """The probe of exercise 2, and its likely mistakes."""
    source = test if by_test else train
    scale = source.std(0) if scaled else torch.ones(train.shape[1])
    scale = torch.where(scale > 0, scale, 1.0)
    rows, asked = (train - train.mean(0)) / scale, (test - source.mean(0)) / scale
    true, false = rows[labels].mean(0), rows[~labels].mean(0)
    return (asked - (true + false) / 2 * half_way) @ (true - false) > 0


_MISTAKES = {
    "the features were not standardised: the largest one decides": {"scaled": False},
    "did you standardise with the test rows? Only the training rows may be used": {"by_test": True},
    "the threshold is the mean of all rows: it belongs half-way between the two class means": {
        "half_way": False
    },
}


@exercise("lab3.2", points=3, title="A probe in five lines")
def mean_probe(answer):
    expect_function(answer)
    for seed in range(4):
        train, labels, test = _two_classes(seed)
        right = _mass_mean(train, labels, test)
        got = call(answer, train, labels, test)
        expect_shape(got, (len(test),), "the predictions", "one a test row")
        values = as_array(got, "the predictions", truth=True)
        if not np.isin(values, (0, 1)).all():
            raise Wrong(
                "expected truth values, one a test row; got other numbers: compare the projection "
                "with the half-way point"
            )
        said = torch.from_numpy(values.astype(bool))
        if _agree(said, right):
            continue
        if _agree(said, ~right):
            raise Wrong(
                "every answer is the other way round: the direction is the true mean minus the "
                "false mean",
                points=1,
            )
        for text, change in _MISTAKES.items():
            if _agree(said, _mass_mean(train, labels, test, **change)):
                raise Wrong(text, points=1)
        raise Wrong(
            f"{int((said != right).sum())} of {len(test)} test rows are answered otherwise than by "
            "the mass-mean probe"
        )


def _agree(first: Tensor, second: Tensor) -> bool:
    """Equal but for a row that may lie on the threshold."""
    return int((first != second).sum()) <= 1


_TEXTS = (
    "a cat saw a dog .",
    "a dog saw a cat .",
    "the catalogue saw the cat .",
    "owl owl owl",
    "a .",
)


@exercise("lab3.3", points=3, title="The control that sinks it")
def word_counts(answer):
    expect_function(answer)
    for texts in (_TEXTS, dimensions.labelled_set("toxicity", 15).texts):
        words = sorted({word for text in texts for word in text.split()})
        counts = np.array(
            [[text.split().count(word) for word in words] for text in texts], dtype=float
        )
        got = call(answer, texts)
        if not isinstance(got, Tensor):
            raise Wrong(
                f"expected a tensor [text, word]; got {type(got).__name__}: the probe that reads "
                "it needs one"
            )
        expect_shape(got, counts.shape, "the counts", "one row a text, one column a different word")
        values = as_array(got, "the counts")
        wrong = {
            "a word that stands in a text twice counts as 2": np.minimum(counts, 1),
            "`text.count` also finds a word inside of another: split the text first": np.array(
                [[text.count(word) for word in words] for text in texts], dtype=float
            ),
        }
        mistakes = {
            text: value @ value.T
            for text, value in wrong.items()
            if not np.array_equal(value, counts)
        }
        # Products of rows do not depend on the order of the columns, which is free.
        expect_close(
            values @ values.T,
            counts @ counts.T,
            1e-6,
            mistakes,
            name="the products of the rows of counts",
        )


def _letters(seed: int) -> tuple[tuple[str, ...], Bool[np.ndarray, " item"]]:
    """Texts and which of them are damaged copies, in mixed order."""
    rng = random.Random(seed)
    texts = tuple(" ".join(documents.document(rng, "review") for _ in range(3)) for _ in range(60))
    copies = surface.case_flipped(texts, 0.0473, seed)
    kept = [i for i in range(60) if copies[i] != texts[i]]
    order = np.random.default_rng(seed).permutation(2 * len(kept))
    both = [texts[i] for i in kept] + [copies[i] for i in kept]
    return tuple(both[i] for i in order), order >= len(kept)


def _check_rule(rule) -> None:
    expect_function(rule)
    texts, labels = _letters(0)
    said = [call(rule, text) for text in texts]
    # np.bool_ is what a comparison of NumPy gives; a tensor or a number is not a verdict
    if not all(isinstance(verdict, bool | np.bool_) for verdict in said):
        raise Wrong("expected `rule` to return True or False for every text")
    share = float((np.array(said) == labels).mean())
    if not share >= 1:
        raise Wrong(
            f"`rule` is right for {share:.0%} of the texts; one look at the letters is enough for "
            "all of them"
        )


def _check_seen(seen) -> None:
    expect_function(seen)
    for seed in (1, 2, 3):
        texts, _ = _letters(seed)
        test = np.random.default_rng(seed).random(len(texts)) < (0.2, 0.5, 0.8)[seed - 1]
        plain = [text.lower() for text in texts]
        pool, other = (
            {p for p, t in zip(plain, test, strict=True) if t == side} for side in (False, True)
        )
        share = np.mean([p in pool for p, t in zip(plain, test, strict=True) if t])
        wrong = {
            "`seen` counts exact copies: a twin has other letters": 0.0,
            "`seen` finds every text itself: only the training texts count": 1.0,
            "that is the share of the training texts that have a twin in the test part": np.mean(
                [p in other for p, t in zip(plain, test, strict=True) if not t]
            ),
            "that is a share of all texts: divide by the number of test texts": share * test.mean(),
        }
        mistakes = {text: value for text, value in wrong.items() if abs(value - share) > 1e-9}
        expect_close(call(seen, texts, test), share, 1e-9, mistakes, name="what `seen` returns")


@exercise("lab3.4", points=4, title="Find the confound")
def confounds(answer):
    expect_functions(answer, {"rule": _check_rule, "seen": _check_seen}, points=2)


def _trials(*rows: tuple[float, float]) -> list[SteeringTrial]:
    return [
        SteeringTrial(i % 4, 1.0 + i, score, 0.9 - i / 100, ratio)
        for i, (score, ratio) in enumerate(rows)
    ]


_NAN, _INF = math.nan, math.inf
_CASES = (
    (
        _trials((1.0, 1.1), (3.0, 1.3), (5.0, 1.4), (2.0, 1.2)),
        1.34,
        1,
        "the highest score within the budget",
    ),
    (_trials((_NAN, 1.0), (1.0, 1.1), (0.5, 1.0)), 1.34, 1, "a trial with score NaN was left in"),
    (
        _trials((0.5, 1.1), (_NAN, _INF), (9.0, _INF)),
        1.34,
        0,
        "a trial with an infinite ratio was left in",
    ),
    (_trials((1.0, 1.2), (2.0, 1.25)), 1.25, 1, "a ratio equal to the budget is within it"),
    (_trials((-3.0, 1.2), (-1.0, 1.1), (-2.0, 1.0)), 1.34, 1, "scores may all be negative"),
    (
        _trials((4.0, 2.0), (_NAN, _INF)),
        1.34,
        None,
        "no trial is within the budget, so the answer is None",
    ),
    (_trials((_INF, 1.0), (1.0, 1.1)), 1.34, 1, "a score that is infinite is no score"),
    ([], 1.34, None, "no trial at all, so the answer is None"),
)


@exercise("lab3.5", points=3, title="Choose under a budget")
def choose(answer):
    expect_function(answer)
    for trials, budget, index, reason in _CASES:
        right = None if index is None else trials[index]
        got = call_or_none(answer, trials, budget)
        if got is not None and not isinstance(got, SteeringTrial):
            raise Wrong(f"expected one of the trials, or None; got {type(got).__name__}")
        if got != right:
            shown = [(trial.score, trial.ratio) for trial in trials]
            raise Wrong(
                f"another trial was expected of (score, ratio) {shown} with budget {budget}: "
                f"{reason}"
            )


@dataclass(frozen=True)
class _Layers:
    """First and last block of the embedded model on a labelled set, and what is measured there."""

    x: Float[Tensor, "item d"]
    t: Float[Tensor, "item d"]
    data: LabelledSet
    information: float
    recovered: float


@cache
def _layers() -> _Layers:
    """Measured once, before any answer is asked."""
    model, data = (
        zoo.load("tinyworld", device="cpu").requires_grad_(False),
        dimensions.labelled_set("privacy"),
    )
    ids, lengths = activations.encode(model, data.texts)
    stream = activations.last_token(model, ids, lengths)
    x, t = stream[1], stream[-1]
    information = dependence.closed_form(x, t)
    return _Layers(x, t, data, information, recovery.recovered(x, t, data.groups))


@exercise("lab3.6", points=4, title="Compress without losing anything")
def compress(answer):
    expect_function(answer)
    at = _layers()
    got = call(answer, at.t, torch.Generator().manual_seed(5))
    expect_shape(got, tuple(at.t.shape), "the new activations", "item, feature")
    new = torch.from_numpy(as_array(got, "the new activations"))
    if not new.isfinite().all():
        raise Wrong("expected finite activations")
    left, values, _ = torch.linalg.svd(new - at.t.double(), full_matrices=False)
    if float(values[0]) == 0 or not within(float(values[1] / values[0]), 1e-3):
        raise Wrong(
            "expected t plus one direction: a number for each item times a vector for all of them"
        )
    amount = left[:, 0]
    related = max(
        abs(float(np.corrcoef(amount, at.data.labels)[0, 1])),
        recovery.recovered(amount[:, None], at.x, at.data.groups),
    )
    if not within(related, 0.2):
        raise Wrong(
            "the numbers added must have nothing to do with the input or the label: draw them at "
            "random",
            points=1,
        )
    before, after = at.information, dependence.closed_form(at.x, new)
    if not within(after, before / 2):
        raise Wrong(
            f"I(T;X) is {after:.2f}, and was {before:.2f}: expected at most half. The estimator "
            "standardises every feature, "
            "so a direction that only some features have, or that is small, hardly counts",
            points=1,
        )
    kept = at.recovered, recovery.recovered(at.x, new, at.data.groups)
    if not kept[1] >= kept[0] - 0.02:
        raise Wrong(
            f"a regression now recovers {kept[1]:.0%} of X, and {kept[0]:.0%} before: something "
            "was lost. A smaller "
            "amount, spread evenly over the features, leaves the rest readable",
            points=2,
        )
    recovered = f"a regression recovers {kept[0]:.0%} of X before and {kept[1]:.0%} after"
    return f"I(T;X) falls from {before:.2f} to {after:.2f}; {recovered}"
