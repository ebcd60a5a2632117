"""What the usual mistakes in Lab 6 give, so that its checks can name them.

Every function returns pairs of a message and the value that an answer with this mistake has.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

Values = list[tuple[str, ndarray]]
Scalars = list[tuple[str, Tensor]]

TABLES = {
    "accepted ignored": "every text counts as accepted: at the end R is 1 only where `accepted` is",
    "inverted": "this is the chance that the text ends *not* accepted: the scorer is inverted",
    "columns": "the chances are read by columns: a row of `steps` belongs to the word before",
    "state kept": "the state stays what it was: the next word `v` leads to `after[s, v]`",
    "by last word": "the state moves by the word that was read already, once more: it is the "
    "*next* word that leads on",
    "best": "this is the best next word alone: success is a sum over all, each by its chance",
    "unweighted": "all next words count alike: weigh each by its chance behind `w`",
    "possible": "this says only whether success is possible; asked for is its chance",
    "one step": "every row looks one word ahead only: R at t is made of R at t + 1",
    "once more": "the table is one word too early: at the last word nothing is left to chance, and "
    "R is 1 or 0",
    "backwards": "time runs the wrong way: the last row is that of the end",
    "normalised": "each place is divided by the sum over words: R is a chance at each word by "
    "itself, not a distribution over words",
}
"""What is said of tables of success that are made in another way."""


def table(
    steps: Float[ndarray, "word word"],
    after: Int[ndarray, "state word"],
    accepted: Bool[ndarray, " state"],
    length: int,
    way: str = "right",
) -> Float[ndarray, "length word state"]:
    """Success by word and state, as it should be or with a mistake of `TABLES`."""
    words = np.arange(len(steps))
    last = {"inverted": ~accepted, "accepted ignored": accepted | True}.get(way, accepted)
    end = np.tile(last, (len(steps), 1)).astype(float)
    rows = [end]
    for _ in range(length if way == "once more" else length - 1):
        read = end if way == "one step" else rows[0]
        leads = read[words, after]  # [state, next word]
        found = {
            "columns": steps.T @ leads.T,
            "state kept": steps @ read,
            "by last word": np.einsum("wv,vsw->ws", steps, read[:, after]),
            "best": (steps[:, None] * leads).max(-1),
            "unweighted": np.tile(leads.mean(1), (len(steps), 1)),
        }
        rows.insert(0, found.get(way, steps @ leads.T))
    made = np.array(rows[:length])
    if way == "possible":
        return (made > 0).astype(float)
    if way == "normalised":
        total = made.sum(1, keepdims=True)
        return made / np.where(total > 0, total, 1)
    return made[::-1] if way == "backwards" else made


def tables(steps: ndarray, after: ndarray, accepted: ndarray, length: int) -> Values:
    """Tables in place of the one of success."""
    return [(text, table(steps, after, accepted, length, way)) for way, text in TABLES.items()]


def targets(p: Float[ndarray, "*at word"], r: Float[ndarray, "*at word"]) -> Values:
    """Chances in place of q = p R / sum(p R)."""

    def normalised(weight: ndarray, by: ndarray | None = None) -> ndarray:
        total = weight.sum(-1, keepdims=True) if by is None else by
        return weight / np.where(total > 0, total, 1)

    right, never = normalised(p * r), (p * r).sum(-1, keepdims=True) == 0
    return [
        ("this is p·R: divide it by its sum over words", p * r),
        (
            "each word is forbidden or not, and the rest divided by its sum: q does not mask, it "
            "weighs by R",
            normalised(p * (r > 0)),
        ),
        ("this is R divided by its sum: p is missing", normalised(r)),
        ("this is q for breaking the rule: R is inverted", normalised(p * (1 - r))),
        ("p·R is divided by the sum of R, not by the sum of p·R", normalised(p * r, _sum(r))),
        ("p·R is divided by the largest R: divide by its sum", normalised(p * r, _most(r))),
        ("the sum runs over all places: each has its own", normalised(p * r, (p * r).sum())),
        (
            "where no word can succeed, this is p: q is 0 everywhere there",
            np.where(never, p, right),
        ),
        (
            "where no word can succeed, all words have the same chance: q is 0 everywhere there",
            np.where(never, 1 / p.shape[-1], right),
        ),
        (
            "this is a softmax of p·R: divide it by its sum, without exp",
            np.exp(p * r) / np.exp(p * r).sum(-1, keepdims=True),
        ),
    ]


def _sum(x: ndarray) -> ndarray:
    return x.sum(-1, keepdims=True)


def _most(x: ndarray) -> ndarray:
    return x.max(-1, keepdims=True)


def befores(p: ndarray, r: ndarray) -> Values:
    """Numbers in place of the success before the word."""
    return [
        ("this is the mean of R: each word counts by its chance p", r.mean(-1)),
        ("this is the best R of a next word, not what is expected", r.max(-1)),
        ("this is the chance of *no* success", 1 - (p * r).sum(-1)),
        ("this is the sum of R: each word counts by its chance p", r.sum(-1)),
        ("where nothing can succeed, the success before the word is 0", _never(p, r, 1.0)),
        ("this is the sum of q", _never(p, r, 0.0) * 0 + ((p * r).sum(-1) > 0)),
    ]


def _never(p: ndarray, r: ndarray, value: float) -> ndarray:
    before = (p * r).sum(-1)
    return np.where(before == 0, value, before)


def bernoulli(
    e: Float[Tensor, "*at"], own: Float[Tensor, "*at"], way: str = "right"
) -> Float[Tensor, "*at"]:
    """Divergence between two coins, one of them given by its logit; or what is taken for it."""
    e = e.clamp(1e-6, 1 - 1e-6)
    a = own.sigmoid()
    if way == "own first":
        return a * (F.logsigmoid(own) - e.log()) + (1 - a) * (F.logsigmoid(-own) - (1 - e).log())
    cross = -e * F.logsigmoid(own) - (1 - e) * F.logsigmoid(-own)
    if way == "cross-entropy":
        return cross
    if way == "one side":
        return e * (e.log() - F.logsigmoid(own))
    if way == "squares":
        return (e - a) ** 2
    return cross + e * e.log() + (1 - e) * (1 - e).log()


def inconsistencies(p: Tensor, logits: Tensor, own: Tensor, counts: Tensor) -> Scalars:
    """Numbers in place of the mean KL(Bern(e) || Bern(a)) over the prefixes that count."""
    e = (p * logits.sigmoid()).sum(-1)

    def mean(e: Tensor, way: str = "right") -> Tensor:
        return bernoulli(e, own, way)[counts].mean()

    each = bernoulli(e, own)
    both = counts[:, 1:] & counts[:, :-1]
    return [
        ("the two sides are exchanged: the expected chance e comes first", mean(e, "own first")),
        (
            "this is the cross-entropy: the divergence is 0 where the two agree, so e·log e and "
            "(1 − e)·log(1 − e) belong to it",
            mean(e, "cross-entropy"),
        ),
        ("only success is compared: a coin has two sides", mean(e, "one side")),
        ("this is a mean of squares, not a divergence", mean(e, "squares")),
        ("all next words count alike: weigh each by its chance p", mean(logits.sigmoid().mean(-1))),
        (
            "this is the sigmoid of an expected logit: expect the chances, sigmoid first",
            mean((p * logits).sum(-1).sigmoid()),
        ),
        (
            "`success` are logits: e is what is expected of their sigmoid",
            mean((p * logits).sum(-1)),
        ),
        *_averages(each, counts, "prefix", "prefixes"),
        ("`own` is moved by one position", bernoulli(e[:, :-1], own[:, 1:])[both].mean()),
        ("`success` is moved by one position", bernoulli(e[:, 1:], own[:, :-1])[both].mean()),
        ("`own` is moved by one position", bernoulli(e, own.roll(-1, 1))[counts].mean()),
        ("`own` is moved by one position", bernoulli(e, own.roll(1, 1))[counts].mean()),
        ("this has the opposite sign: a divergence is never below 0", -mean(e)),
    ]


def _averages(each: Tensor, counts: Tensor, one: str, many: str) -> Scalars:
    """Numbers in place of the mean over what counts."""
    total = (each * counts).sum(1)
    return [
        (f"{many} that do not count, such as pads, are counted", each.mean()),
        (
            "what does not count is left out of the sum, but not of the number",
            total.sum() / counts.numel(),
        ),
        (f"this is the sum over {many}: take the mean of those that count", each[counts].sum()),
        (f"this is the sum over a text's {many}, and the mean over texts", total.mean()),
        (
            f"this is a mean of the texts' means: each *{one}* counts alike",
            (total / counts.sum(1)).mean(),
        ),
    ]


def divergences(
    log_q: Float[Tensor, "text pos word"],
    logits: Float[Tensor, "text pos word"],
    counts: Bool[Tensor, "text pos"],
) -> Scalars:
    """Numbers in place of the mean KL(q || p) over the positions that count."""
    log_p, q = logits.log_softmax(-1), log_q.exp()
    finite = log_q.masked_fill(q == 0, 0.0)

    def kl(log_p: Tensor) -> Tensor:
        return (q * (finite - log_p)).sum(-1)

    each = kl(log_p)
    both = counts[:, 1:] & counts[:, :-1]
    return [
        *_exchanged(log_q, log_p, counts),
        (
            "this is the cross-entropy −Σ q log p: its gradient is right, but it is not 0 where "
            "p = q; Σ q log q belongs to a divergence",
            -(q * log_p).sum(-1)[counts].mean(),
        ),
        ("this is the entropy of q", -(q * finite).sum(-1)[counts].mean()),
        *_averages(each, counts, "position", "positions"),
        (
            "this is a mean over words, too: a divergence is a *sum* over words",
            each[counts].mean() / log_q.shape[-1],
        ),
        ("the logits are not normalised: log p is their log_softmax", kl(logits)[counts].mean()),
        (
            "q is moved by one position against p",
            (q[:, 1:] * (finite[:, 1:] - log_p[:, :-1])).sum(-1)[both].mean(),
        ),
        (
            "q is moved by one position against p",
            (q[:, :-1] * (finite[:, :-1] - log_p[:, 1:])).sum(-1)[both].mean(),
        ),
        ("this has the opposite sign: a divergence is never below 0", -each[counts].mean()),
    ]


def _exchanged(log_q: Tensor, log_p: Tensor, counts: Tensor) -> Scalars:
    """Numbers of the other direction, by what becomes of words that q never says."""
    p, never = log_p.exp(), log_q == -torch.inf

    def mean(log_q: Tensor, weight: Tensor) -> Tensor:
        return (weight * (log_p - log_q)).sum(-1)[counts].mean()

    return [
        (
            "this is KL(p || q): the target q comes first, so that words with q = 0 cost nothing",
            mean(log_q, p),
        ),
        ("this is KL(p || q): the target q comes first", mean(log_q.clamp_min(-100.0), p)),
        (
            "this is KL(p || q) over the words that q says: the target comes first",
            mean(log_q.masked_fill(never, 0.0), p * ~never),
        ),
    ]


SERIES = {
    "stale": "q is made of the first model each time: after an update it is that of the *new* one",
    "inverted": "q is p given that the text *is* rude: the scorer is inverted",
    "not divided": "q is p without the rude texts: divide it by its sum, so that it adds up to 1",
    "uniform": "q says every text that is not rude alike: their chances in p are kept",
    "no constraint": "q is p itself: the rude texts have to go",
    "no weight": "λ is ignored: the corpus has the weight 1, q the weight λ",
    "weights exchanged": "λ weighs the corpus: it is the weight of q",
    "not normalised": "the sum is not divided by 1 + λ",
    "no corpus": "this is q alone: the corpus has the weight 1 beside it",
    "filtered corpus": "the corpus lost its rude texts: it is the model's q that must not have any",
    "mixed with p": "p is mixed with both: the next model is the mean of the corpus and q alone",
}
"""What is said of updates that are made in another way."""


def models(
    data: Float[ndarray, " text"],
    start: Float[ndarray, " text"],
    rude: Bool[ndarray, " text"],
    kl_weight: float,
    steps: int,
    way: str = "right",
) -> Float[ndarray, "model text"]:
    """The model before and after each update, as it should be or with a mistake of `SERIES`."""
    made = [start]
    clean = data * ~rude / (data * ~rude).sum()
    for _ in range(steps):
        p = start if way == "stale" else made[-1]
        kept = p * (rude if way == "inverted" else ~rude)
        ways = {
            "not divided": kept,
            "uniform": ~rude / (~rude).sum(),
            "no constraint": p,
        }
        q = ways.get(way, kept / kept.sum())
        mixtures = {
            "no weight": (data + q) / 2,
            "weights exchanged": (kl_weight * data + q) / (1 + kl_weight),
            "not normalised": data + kl_weight * q,
            "no corpus": q,
            "filtered corpus": (clean + kl_weight * q) / (1 + kl_weight),
            "mixed with p": (p + data + kl_weight * q) / (2 + kl_weight),
        }
        made.append(mixtures.get(way, (data + kl_weight * q) / (1 + kl_weight)))
    return np.array(made)


def series(data: ndarray, start: ndarray, rude: ndarray, kl_weight: float, steps: int) -> Values:
    """Models in place of those of exact updates."""
    case = data, start, rude, kl_weight, steps
    return [(text, models(*case, way)) for way, text in SERIES.items()]
