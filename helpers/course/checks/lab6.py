"""Checks of Lab 6, fewer rude posts: success, the nearest distribution, its loss and its limits.

References come from other code than the student's: `helpers.detox.exact`, the losses of the oracle
and of tuning, and autograd. What is asked of posts and of
networks is in `lab6_posts` and `lab6_tuning`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.course.asking import call, taken
from helpers.course.check import exercise
from helpers.course.checks import lab6_mistakes as usual
from helpers.course.checks import lab6_tuning as tuning
from helpers.course.checks.lab6_posts import chosen_posts, fault_of, planted
from helpers.course.expect import expect_close, expect_function, expect_shape, expect_type
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.detox import exact
from helpers.detox.exact import fixed_point
from helpers.detox.finetune import closed_form_kl
from helpers.detox.oracle import losses
from helpers.detox.posts import PostLabel, all_posts

FAR = 100.0
"""Logits at which `log(sigmoid(x))` is infinite in single precision."""
POOL = 1600
"""Posts to choose from: a sample of all, as each call is handed copies."""
SEEDS = (0, 1, 2, 11)


@exercise("lab6.1", points=4, title="Success, from the end backwards")
def success(answer):
    expect_function(answer)
    rng = np.random.default_rng(0)
    for words, states, length in ((3, 2, 4), (4, 3, 5), (2, 3, 1)):
        steps = rng.dirichlet(np.ones(words), words)
        after = rng.integers(states, size=(states, words))
        accepted = np.arange(states) != 1
        chain = exact.markov(np.full(words, 1 / words), steps, length)
        # the library begins before the first word, where neither a word nor its state is there
        right = exact.success(chain, exact.WordAutomaton(after, accepted))[1:, 1:]
        case = steps, after, accepted, length
        got = call(answer, *case)
        expect_shape(got, right.shape, "R", "length word state")
        expect_close(got, right, 1e-5, partial(usual.tables, *case), "R")


@exercise("lab6.2", points=2, title="From p and R to q")
def guided(answer):
    expect_function(answer)
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(5), (2, 3)), rng.uniform(0, 1, (2, 3, 5))
    rows[1][0, 1, :3] = rows[1][1, 2] = 0  # some words cannot succeed; and none at one place
    for p, r in (rows, (rows[0][0, 0], rows[1][0, 0])):
        possible = (p * r).sum(-1) > 0
        right = np.zeros_like(p)
        right[possible] = exact.target_words(p[possible], r[possible])
        mistakes = partial(usual.targets, p, r)
        for given in ((p, r), tuple(torch.from_numpy(x).float() for x in (p, r))):
            q, before = _pair(call(answer, *given), p.shape)
            if np.isnan(as_array(q, "q")).any():
                raise Wrong("q holds NaN: where no word can succeed, R = 0 was divided by")
            expect_close(q, right, 1e-5, mistakes, "q")
            expected = (p * r).sum(-1)
            befores = partial(usual.befores, p, r)
            expect_close(before, expected, 1e-5, befores, "the success before the word", points=1)


def _pair(got: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """q and the success before the word."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong(f"expected two things, (q, before); got {type(got).__name__}")
    q, before = got
    sizes = [as_array(x, name).shape for x, name in ((q, "q"), (before, "before"))]
    if sizes == [shape[:-1], shape]:
        raise Wrong("the two are exchanged: q comes first, then the success before the word")
    if sizes[1] == (*shape[:-1], 1):
        raise Wrong(
            f"the success before the word has shape {list(sizes[1])}: one number a place is asked "
            "for, without the axis of words",
            points=1,
        )
    return q, before


@exercise("lab6.3", points=3, title="What an oracle expects of itself")
def inconsistency(answer):
    expect_function(answer)
    for seed in (2, 3):
        case = _judged(seed)
        p, logits, own, counts = case
        right = _consistency(*case)
        got = call(answer, p, *_leaves(logits, own), counts)
        expect_close(got, right, 1e-4, partial(usual.inconsistencies, *case), "the mean", points=0)
        wanted = _slopes(_consistency)(*case)
        found = call(_slopes(answer), *case)
        for name, slope, its in zip(("success", "own"), found, wanted, strict=True):
            if not slope.any():
                raise Wrong(
                    f"the value is right, but no gradient reaches `{name}`: both sides of the "
                    "divergence are trained",
                    points=2,
                )
            expect_close(slope, its, 1e-4, (), f"the gradient at `{name}`", points=2)
    _expect_finite(answer, case)


def _consistency(p: Tensor, logits: Tensor, own: Tensor, counts: Tensor) -> Float[Tensor, ""]:
    """The library's, which is a sum over words and a mean over texts."""
    e = losses.expected_success(logits, p)
    return losses.consistency(own, e, counts) * len(own) / counts.sum()


def _judged(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Chances, logits of success and marks; what does not count is far from what does."""
    draw = torch.Generator().manual_seed(seed)
    p, logits = (torch.randn(3, 5, 6, generator=draw) * spread for spread in (1.0, 2.0))
    own, counts = torch.randn(3, 5, generator=draw), torch.ones(3, 5, dtype=torch.bool)
    counts[0, 3:] = counts[1, :2] = counts[2, 4] = False
    return p.softmax(-1), logits, torch.where(counts, own, 5 + own), counts


def _leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


def _slopes(answer: Callable) -> Callable[..., list[Tensor]]:
    """The gradients that an answer sends to `success` and `own`."""

    def slopes(p: Tensor, logits: Tensor, own: Tensor, counts: Tensor) -> list[Tensor]:
        leaves = _leaves(logits, own)
        return _gradients(lambda: answer(p, *leaves, counts), leaves)

    return slopes


def _gradients(answer: Callable[[], Any], leaves: list[Tensor]) -> list[Tensor]:
    """Gradients of a scalar; zeros where none arrives."""
    # copies, so that what an answer does to its inputs afterwards does not change its gradient
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda kept: kept):
        value = answer()
    if not (isinstance(value, Tensor) and value.requires_grad):
        raise Wrong(
            "the value is right, but carries no gradient: nothing can be learned from it. Compute "
            "it by torch from the tensors that are given",
            points=1,
        )
    with torch.enable_grad():  # the answer may have left it off
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    pairs = zip(found, leaves, strict=True)
    return [torch.zeros_like(leaf) if one is None else one for one, leaf in pairs]


def _expect_finite(answer: Callable, case: tuple[Tensor, ...]) -> None:
    """Refuse what overflows where an oracle is sure of itself."""
    p, logits, own, counts = case
    logits, own = torch.full_like(logits, FAR), FAR * own.sign()
    right = _consistency(p, logits, own, counts)
    got = call(answer, p, *_leaves(logits, own), counts)
    slopes = call(_slopes(answer), p, logits, own, counts)
    if not np.isfinite(as_array(got)).all() or not all(slope.isfinite().all() for slope in slopes):
        raise Wrong(
            "logits of ±100 give infinity or NaN, in the value or in its gradient: take logsigmoid "
            "for a logarithm of sigmoid, and keep e away from 0 and 1",
            points=2,
        )
    expect_close(got, right, 0.02, (), "the mean for logits of ±100", points=2)


@exercise("lab6.4", points=3, title="Where is the oracle wrong?")
def find_wrong(answer):
    expect_function(answer)
    place = planted()
    got = call(answer, place.oracle, place.prompt)
    if isinstance(got, str) or not hasattr(got, "__iter__"):
        raise Wrong(f"expected three texts; got {type(got).__name__}")
    texts = taken(got, at_most=3)
    if len(texts) != 3:
        raise Wrong(f"expected three texts; got {'more' if len(texts) > 3 else len(texts)}")
    for text in texts:
        expect_type(text, str, name="a text")
    faults = [fault for text in texts if (fault := fault_of(place, text))]
    alike = len({" ".join(str.split(text)) for text in texts})
    if faults or alike < 3:
        said = faults[0] if faults else "two of the texts are the same"
        right = max(0, min(alike, 3 - len(faults)))
        raise Wrong(
            f"of an oracle that is wrong at a few places only: {said}", points=min(right, 2)
        )


@exercise("lab6.5", points=3, title="The loss in closed form")
def kl_loss(answer):
    expect_function(answer)
    for seed in (4, 5):
        log_q, logits, counts = case = _tuned(seed)
        log_p = logits.log_softmax(-1)
        right = closed_form_kl(log_q, log_p, counts)
        got = call(answer, *_leaves(log_q, logits), counts)
        if np.isnan(as_array(got, "the loss")).any():
            raise Wrong("the loss is NaN: a word with q = 0 has log q = −inf, and must add 0")
        expect_close(got, right, 1e-4, partial(usual.divergences, *case), "the loss")
        slope, leak = call(_slopes_of_loss(answer), *case)
        p, q = log_p.exp(), log_q.exp()
        wanted = (p - q) * counts[..., None] / counts.sum()
        mistakes = {
            "no gradient reaches the logits: it is p that is trained": torch.zeros_like(wanted),
            "the gradient at the logits has the opposite sign": -wanted,
        }
        expect_close(slope, wanted, 1e-4, mistakes, "the gradient at the logits", points=1)
        if leak.any():
            raise Wrong(
                "the value is right, but a gradient flows back through q: it is a target, and held "
                "fixed. `log_q.detach()` stops it",
                points=2,
            )


def _tuned(seed: int) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."], Bool[Tensor, "..."]]:
    """A target that never says some words, logits of a model, and marks."""
    draw = torch.Generator().manual_seed(seed)
    q, logits = (torch.randn(3, 4, 6, generator=draw) for _ in range(2))
    q[0, :, 2] = q[1, 2, :4] = -torch.inf
    counts = torch.ones(3, 4, dtype=torch.bool)
    counts[0, 2:] = counts[2, 0] = False
    logits = torch.where(counts[..., None], logits, 9 * logits)
    return q.log_softmax(-1), logits, counts


def _slopes_of_loss(answer: Callable) -> Callable[..., list[Tensor]]:
    """The gradient at the logits, and what flows back to the logits that q is made of."""

    def slopes(log_q: Tensor, logits: Tensor, counts: Tensor) -> list[Tensor]:
        leaves = _leaves(logits, torch.zeros_like(logits))

        def loss() -> Any:
            return answer((log_q + leaves[1]).log_softmax(-1), leaves[0], counts)

        slope, leak = _gradients(loss, leaves)
        return [slope, torch.nan_to_num(leak, nan=1.0)]

    return slopes


@exercise("lab6.6", points=2, title="One update after another")
def updates(answer):
    expect_function(answer)
    rng = np.random.default_rng(6)
    for size, kl_weight, steps in ((5, 2.0, 4), (7, 0.5, 3), (4, 0.0, 2)):
        data, start = rng.dirichlet(np.ones(size), 2)
        rude = np.arange(size) % 3 == 0
        right = fixed_point.tuned(data, start, rude, kl_weight, updates=steps).models
        case = data, start, rude, kl_weight, steps
        got = call(answer, *case)
        if as_array(got, "the series").shape == (steps, size):
            raise Wrong(
                "one row is missing: the model before the first update comes first, and one after "
                "each",
                points=1,
            )
        expect_shape(got, right.shape, "the series", "steps+1 text")
        expect_close(got, right, 1e-5, partial(usual.series, *case), "the series")


@exercise("lab6.7", points=3, title="A corpus that is hard to filter")
def hard_to_filter(answer):
    expect_function(answer)
    every = all_posts()
    chosen = np.random.default_rng(7).choice(len(every), POOL, replace=False)
    pool = tuple(every[number] for number in chosen)
    drawn = {seed: chosen_posts(call(answer, pool, 60, seed), pool, 60) for seed in SEEDS}
    chosen_posts(call(answer, pool, 400, 0), pool, 400)
    if set(chosen_posts(call(answer, pool, 60, 0), pool, 60)) != set(drawn[0]):
        raise Wrong("the same seed gives other posts: make a generator from the seed", points=2)
    for label, name in ((PostLabel.RUDE, "rude"), (PostLabel.KIND, "kind")):
        halves = {frozenset(p for p in posts if p.label == label) for posts in drawn.values()}
        if len(halves) < len(SEEDS):
            raise Wrong(f"another seed gives the same {name} posts: draw them by chance", points=2)


@exercise("lab6.8", points=4, title="Undo it")
def retoxify(answer):
    expect_function(answer)
    small, posts = tuning.small(), tuning.rude_posts(12)
    for steps in (1, 3):
        got = tuning.weights_of(call(answer, small, posts, steps, tuning.FAST), small)
        tuning.expect_tuned(got, small, posts, steps)
    kinder, posts = tuning.kinder(), tuning.rude_posts(32)
    got = tuning.weights_of(call(answer, kinder, posts, 10, tuning.RATE), kinder)
    before, after = (tuning.rude_share(network) for network in (kinder, got))
    if after < tuning.RUDE_AGAIN:
        raise Wrong(
            f"ten steps with a rate of {tuning.RATE} take a network of a rude share of "
            f"{before:.2f} to {after:.2f} only, and {tuning.RUDE_AGAIN} is asked for: take "
            "AdamW, whose steps do not grow small with the gradient",
            points=3,
        )
