"""Lab 5's checks take right answers however they are written, and name each mistake they know."""

import random
from unittest.mock import ANY

import numpy as np
import pytest
import torch

from helpers.course.check import evaluate
from helpers.course.checks import lab5
from helpers.course.checks import lab5_mistakes as usual
from helpers.course.sheet import RIGHT
from helpers.knowledge.masks import estimators, rivals


def said(name, answer):
    return evaluate(name, answer).message


# --- right answers -----------------------------------------------------------------------------


class Through(torch.autograd.Function):
    """The same estimator, its backward pass written out."""

    @staticmethod
    def forward(context, scores, density):
        mask = torch.zeros_like(scores)
        mask[scores.topk(round(len(scores) * density)).indices] = 1
        return mask

    @staticmethod
    def backward(context, slope):
        return slope, None


def last_of_equals(scores, density):
    """Of equal scores the last ones, which is as good."""
    mask = estimators.keep(scores.detach().flip(0), density).flip(0)
    return mask + scores - scores.detach()


def shuffled_by_torch(mask, sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    order = [torch.randperm(size, generator=generator) for size in sizes]
    return torch.cat([part[own] for part, own in zip(mask.split(sizes), order, strict=True)])


def shuffled_by_numpy(mask, sizes, seed):
    rng = np.random.default_rng(seed)
    parts = [part[torch.from_numpy(rng.permutation(len(part)))] for part in mask.split(sizes)]
    return torch.cat(parts)


def sampled_by_python(mask, sizes, seed):
    rng, drawn, start = random.Random(seed), torch.zeros_like(mask), 0
    for size in sizes:
        kept = int(mask[start : start + size].sum())
        drawn[[start + place for place in rng.sample(range(size), kept)]] = 1
        start += size
    return drawn


def highest_of_noise(mask, sizes, seed):
    """From torch's own stream, with a seed of its own."""
    torch.manual_seed(seed)
    parts = []
    for part in mask.split(sizes):
        noise = torch.rand(len(part))
        parts.append((noise.argsort().argsort() < part.sum()).float())
    return torch.cat(parts)


def edited(values, gradient, mask, length, steps):
    for _ in range(steps):
        inside = gradient(values) * mask
        values = values - length * inside / inside.norm().clamp_min(1e-20)
    return values


def edited_in_place(values, gradient, mask, length, steps):
    for _ in range(steps):
        inside = gradient(values) * mask
        values -= length * inside / (inside.norm() + 1e-20)
    return values


def along_what_was_reached(moved, nll, norm):
    """The largest distance so far only rises, and NumPy can read it."""
    farthest = np.maximum.accumulate(moved, axis=0)
    read = [np.interp(norm, m, n) for m, n in zip(farthest.T, nll.T, strict=True)]
    return np.where(farthest[-1] >= norm, read, np.nan)


def nearest_each(gradient, circuit):
    """For each weight of the circuit the weight outside whose gradient is most like its own."""
    sizes, mask = gradient.abs(), torch.zeros_like(circuit)
    free = sizes.masked_fill(circuit == 1, torch.inf)
    for size in sizes[circuit == 1]:
        nearest = (free - size).abs().argmin()
        mask[nearest], free[nearest] = 1, torch.inf
    return mask


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("lab5.1", estimators.top_k),
        ("lab5.1", Through.apply),
        ("lab5.1", last_of_equals),
        ("lab5.2", shuffled_by_torch),
        ("lab5.2", shuffled_by_numpy),
        ("lab5.2", sampled_by_python),
        ("lab5.2", highest_of_noise),
        ("lab5.4", edited),
        ("lab5.4", edited_in_place),
        ("lab5.5", along_what_was_reached),
        ("lab5.5", lambda *case: along_what_was_reached(*case).tolist()),
        ("lab5.5", lambda *case: torch.from_numpy(along_what_was_reached(*case))),
        ("lab5.6", rivals.as_long),
        ("lab5.6", nearest_each),
    ],
)
def test_a_right_answer_in_other_words_is_right(name, answer):
    assert evaluate(name, answer).status == RIGHT


def test_an_edit_that_writes_into_what_it_is_given_is_told_so():
    assert "hand it a copy" in said("lab5.4", edited_in_place)
    assert said("lab5.4", edited) == ""


# --- references by another route -----------------------------------------------------------------


def test_what_two_masks_share_by_chance_is_the_mean_over_random_masks():
    seen = []

    def by_drawing(first, second, sizes):
        rng = np.random.default_rng(0)
        a, b = ([int(part.sum()) for part in m.split(sizes)] for m in (first, second))
        shared = [
            rng.hypergeometric(y, size - y, x, 400_000) if x else np.zeros(1)
            for x, y, size in zip(a, b, sizes, strict=True)
        ]
        seen.append(sum(float(one.mean()) for one in shared) / sum(a))
        return round(seen[-1], 5)

    # Its standard error is about 0.0001: near enough for the check to say that it was drawn.
    assert "drawn?" in said("lab5.3", by_drawing)
    assert seen


def test_a_path_is_read_where_a_dense_line_first_comes_so_far():
    rng = np.random.default_rng(1)
    moved = np.abs(np.cumsum(rng.normal(0.1, 0.2, (9, 40)), axis=0))
    moved[0] = 0
    nll = rng.normal(size=moved.shape)
    fine = np.linspace(0, 8, 80_001)
    found = usual.crossing(moved, nll, 0.5)
    for fact in range(moved.shape[1]):
        along = np.interp(fine, np.arange(9), moved[:, fact])
        at = np.flatnonzero(along >= 0.5)[:1]
        right = np.interp(fine[at], np.arange(9), nll[:, fact]) if len(at) else [np.nan]
        # A grid of 10,000 points a step, and no NLL that changes by more than 5 in one.
        assert found[fact] == pytest.approx(right[0], abs=1e-3, nan_ok=True)
    assert 0 < np.isnan(found).sum() < 20


def test_a_step_inside_a_mask_has_its_length_and_its_direction():
    values, mask = torch.tensor([0.0, 0.0, 5.0]), torch.tensor([1.0, 1.0, 0.0])
    after = usual.walk(values, lambda _: torch.tensor([3.0, 4.0, 12.0]), mask, 0.5, 2)
    assert after.tolist() == pytest.approx([-0.6, -0.8, 5.0])


# --- mistakes ------------------------------------------------------------------------------------

MASKS = [text for text, _ in usual.masks(torch.tensor([0.3, -2.0]), 0.5)]
SLOPES = [text for text, _ in usual.slopes(*torch.ones(3, 2))]
OVERLAPS = [text for text, _ in usual.overlaps(torch.ones(2), torch.ones(2), (1, 1))]
CROSSINGS = [text for text, _ in usual.crossings(np.array([[0.0], [1.0]]), np.eye(2)[:, :1], 0.5)]


def is_said(name, answer, text):
    message = said(name, answer)
    assert message == text


@pytest.mark.parametrize("text", MASKS)
def test_a_mistaken_mask_is_named(text):
    def answer(scores, density):
        return dict(usual.masks(scores.detach(), density))[text] + scores - scores.detach()

    is_said("lab5.1", answer, text)


@pytest.mark.parametrize("text", SLOPES)
def test_a_mistaken_gradient_is_named(text):
    def answer(scores, density):
        fixed = scores.detach()
        mask = estimators.keep(fixed, density)
        through = dict(usual.slopes(fixed, mask, torch.ones(len(fixed))))[text] * scores
        return mask + through - through.detach()

    is_said("lab5.1", answer, text)
    assert evaluate("lab5.1", answer).points == 1


@pytest.mark.parametrize("text", OVERLAPS)
def test_a_mistaken_share_is_named(text):
    is_said("lab5.3", lambda *case: float(dict(usual.overlaps(*case))[text]), text)


@pytest.mark.parametrize(("way", "text"), usual.WALKS.items())
def test_a_mistaken_edit_is_named(way, text):
    is_said("lab5.4", lambda *case: usual.walk(*case, way), text)


@pytest.mark.parametrize("text", CROSSINGS)
def test_a_mistaken_reading_of_paths_is_named(text):
    is_said("lab5.5", lambda *case: dict(usual.crossings(*case))[text], text)


def with_one_order(mask, sizes, seed):
    """A generator made anew for each tensor."""
    orders = [torch.randperm(n, generator=torch.Generator().manual_seed(seed)) for n in sizes]
    return torch.cat([part[own] for part, own in zip(mask.split(sizes), orders, strict=True)])


def with_repeats(mask, sizes, seed):
    generator, parts = torch.Generator().manual_seed(seed), []
    for part in mask.split(sizes):
        places = torch.randint(len(part), (int(part.sum()),), generator=generator)
        parts.append(torch.zeros(len(part)).index_fill_(0, places, 1.0))
    return torch.cat(parts)


def as_long_in_sum(gradient, circuit):
    return rivals.as_long(gradient.abs().sqrt(), circuit)  # whose squares are the sizes


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("lab5.1", lambda s, d: torch.full_like(s, torch.nan), "holds NaN"),
        ("lab5.1", lambda s, d: torch.ones_like(s), "6 of 6 weights are kept"),
        ("lab5.1", lambda s, d: estimators.top_k(s, d) / 4, "0 or 1; got 0.25"),
        ("lab5.1", lambda s, d: estimators.top_k(s, d).flip(0), "a lower score than some"),
        ("lab5.1", torch.no_grad()(estimators.top_k), "no gradient reaches the scores"),
        ("lab5.1", lambda s, d: s.topk(round(len(s) * d)).indices, "[6] (weight); got [3]"),
        ("lab5.2", lambda mask, sizes, seed: mask, "the mask itself"),
        ("lab5.2", lambda mask, sizes, seed: mask / 2, "0 and 1; got 0.5"),
        ("lab5.2", with_one_order, "two tensors of equal size"),
        ("lab5.2", with_repeats, "weights are kept where the mask keeps"),
        ("lab5.2", lambda *case: shuffled_by_torch(*case[:2], seed=0), "every seed"),
        ("lab5.2", lambda *case: shuffled_by_torch(*case[:2], case[2] % 10), "again and again"),
        ("lab5.3", lambda *case: [0.1] * 5, "one number, for the whole first mask"),
        ("lab5.4", lambda values, *_: values, "nothing has changed"),
        ("lab5.4", lambda values, *case: edited(values, *case) - values, "this is the change"),
        ("lab5.4", lambda *case: edited(*case) * 1.0000002, "changed a little"),
        ("lab5.5", lambda m, n, norm: 0.5, "one value for all facts"),
        ("lab5.5", lambda m, n, norm: m[:, 0], "one value for each time"),
        ("lab5.6", lambda gradient, circuit: circuit, "the circuit's own"),
        ("lab5.6", lambda gradient, circuit: 1 - circuit, "the circuit has 100"),
        ("lab5.6", as_long_in_sum, "lengths add up as squares"),
        *((f"lab5.{number}", lambda *case: ANY, "expected numbers") for number in range(1, 7)),
    ],
)
def test_other_mistakes_are_named(name, answer, words):
    result = evaluate(name, answer)
    assert words in result.message
    assert result.points < result.maximum


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (torch.Tensor.tolist, "come as list"),
        (torch.Tensor.numpy, "come as ndarray"),
        (torch.Tensor.double, "come as torch.float64"),
    ],
)
@pytest.mark.parametrize(
    ("name", "answer"),
    [("lab5.2", shuffled_by_torch), ("lab5.4", edited), ("lab5.6", rivals.as_long)],
)
def test_what_the_lab_cannot_go_on_with_is_told(name, answer, form, words):
    result = evaluate(name, lambda *case: form(answer(*case)))
    assert words in result.message
    assert result.points == result.maximum - 1


def test_no_known_mistake_lies_as_near_as_a_rounded_share():
    cases = (((3, 3, 4, 3, 8), (9, 3, 12, 1, 4)),)
    for kept in cases:
        masks = [lab5._first_of_each(one) for one in kept]
        right = sum(a * b / n for a, b, n in zip(*kept, lab5.SIZES, strict=True)) / sum(kept[0])
        values = dict(usual.overlaps(*masks, lab5.SIZES))
        near = [text for text, value in values.items() if abs(float(value) - right) < lab5.ROUGHLY]
        assert near == []
