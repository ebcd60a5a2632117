"""Plausible wrong answers to the exercises of lab 6; those on posts and networks stand beside."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from tests.labs import lab6_network_mutants as networks


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab6.1": _tables(),
        "lab6.2": _targets(),
        "lab6.3": _inconsistencies(),
        "lab6.4": networks.places(lab["base"]),
        "lab6.5": _losses(),
        "lab6.6": _updates(),
        "lab6.7": networks.corpora(),
        "lab6.8": networks.tunings(),
    }


def _tables() -> list:
    def table(step: Callable, end: Callable = lambda accepted: accepted):
        def success(steps, after, accepted, length):
            states = range(len(accepted))
            R = np.zeros((length, len(steps), len(accepted)))
            R[-1] = end(accepted)
            for t in reversed(range(length - 1)):
                for w in range(len(steps)):
                    R[t, w] = [step(R[t + 1], steps, after, w, s) for s in states]
            return R

        return success

    def right(R, steps, after, w, s):
        return sum(p * R[v, after[s, v]] for v, p in enumerate(steps[w]))

    def forwards(steps, after, accepted, length):
        return table(right)(steps, after, accepted, length)[::-1]

    def one_word_early(steps, after, accepted, length):
        return table(right)(steps, after, accepted, length + 1)[:-1]

    def with_the_root(steps, after, accepted, length):
        return table(right)(steps, after, accepted, length + 1)

    def states_first(steps, after, accepted, length):
        return table(right)(steps, after, accepted, length).transpose(0, 2, 1)

    def local(steps, after, accepted, length):
        R = table(right)(steps, after, accepted, length)
        return R / np.maximum(R.sum(1, keepdims=True), 1e-12)

    def state_stays(R, steps, after, w, s):
        return steps[w] @ R[:, s]

    def moved_by_last(R, steps, after, w, s):
        return steps[w] @ R[:, after[s, w]]

    def columns(R, steps, after, w, s):
        return sum(steps[v, w] * R[v, after[s, v]] for v in range(len(steps)))

    def best(R, steps, after, w, s):
        return max(p * R[v, after[s, v]] for v, p in enumerate(steps[w]))

    def plain_mean(R, steps, after, w, s):
        return np.mean([R[v, after[s, v]] for v in range(len(steps))])

    ways = [state_stays, moved_by_last, columns, best, plain_mean]
    wrong = [table(way) for way in ways]
    wrong += [forwards, one_word_early, with_the_root, states_first, local]
    return [*wrong, table(right, np.logical_not), table(right, np.ones_like)]


def _targets() -> list:
    def divided(p, success):
        before = (p * success).sum(-1)
        with np.errstate(invalid="ignore"):
            return p * success / before[..., None], before

    def kept(p, success):
        before = (p * success).sum(-1)
        total = before + (before == 0)
        return p * success / total[..., None] + p * (before == 0)[..., None], before

    def masked(p, success):
        weight = p * (success > 0)
        total = weight.sum(-1)
        return weight / (total + (total == 0))[..., None], (p * success).sum(-1)

    def not_divided(p, success):
        return p * success, (p * success).sum(-1)

    def inverted(p, success):
        weight = p * (1 - success)
        return weight / weight.sum(-1)[..., None], weight.sum(-1)

    def over_all(p, success):
        return p * success / (p * success).sum(), (p * success).sum(-1)

    def by_mean(p, success):
        total = (p * success).sum(-1)
        return p * success / (total + (total == 0))[..., None], success.mean(-1)

    def exchanged(p, success):
        total = (p * success).sum(-1)
        return total, p * success / (total + (total == 0))[..., None]

    def q_alone(p, success):
        return exchanged(p, success)[1]

    def kept_axis(p, success):
        total, q = exchanged(p, success)
        return q, total[..., None]

    wrong = [divided, kept, masked, not_divided, inverted, over_all, by_mean]
    return [*wrong, exchanged, q_alone, kept_axis]


def _inconsistencies() -> list:
    def coins(e, own):
        e = e.clamp(1e-6, 1 - 1e-6)
        return e * (e.log() - F.logsigmoid(own)) + (1 - e) * ((1 - e).log() - F.logsigmoid(-own))

    def expected(p, success):
        return (p * success.sigmoid()).sum(-1)

    def own_first(p, success, own, counts):
        e, a = expected(p, success).clamp(1e-6, 1 - 1e-6), own.sigmoid()
        each = a * (F.logsigmoid(own) - e.log()) + (1 - a) * (F.logsigmoid(-own) - (1 - e).log())
        return each[counts].mean()

    def pads_counted(p, success, own, counts):
        return coins(expected(p, success), own).mean()

    def pads_in_the_number(p, success, own, counts):
        return (coins(expected(p, success), own) * counts).mean()

    def shifted(p, success, own, counts):
        both = counts[:, 1:] & counts[:, :-1]
        return coins(expected(p, success)[:, :-1], own[:, 1:])[both].mean()

    def summed(p, success, own, counts):
        return coins(expected(p, success), own)[counts].sum()

    def of_texts(p, success, own, counts):
        return (coins(expected(p, success), own) * counts).sum(1).mean()

    def logits_expected(p, success, own, counts):
        return coins((p * success).sum(-1).sigmoid(), own)[counts].mean()

    def plain_mean(p, success, own, counts):
        return coins(success.sigmoid().mean(-1), own)[counts].mean()

    def one_sided(p, success, own, counts):
        return coins(expected(p, success).detach(), own)[counts].mean()

    def own_detached(p, success, own, counts):
        return coins(expected(p, success), own.detach())[counts].mean()

    def overflowing(p, success, own, counts):
        e, a = expected(p, success), own.sigmoid()
        each = e * (e / a).log() + (1 - e) * ((1 - e) / (1 - a)).log()
        return each[counts].mean()

    def cross_entropy(p, success, own, counts):
        e = expected(p, success)
        return F.binary_cross_entropy_with_logits(own[counts], e[counts])

    def squared(p, success, own, counts):
        return (expected(p, success) - own.sigmoid()).square()[counts].mean()

    def a_number(p, success, own, counts):
        return coins(expected(p, success), own)[counts].mean().item()

    wrong = [own_first, pads_counted, pads_in_the_number, shifted, summed, of_texts]
    wrong += [logits_expected, plain_mean, one_sided, own_detached, overflowing]
    return [*wrong, cross_entropy, squared, a_number]


def _losses() -> list:
    def each(log_q, log_p):
        q = log_q.exp()
        return torch.where(q > 0, q * (log_q - log_p), 0.0).sum(-1)

    def through(log_q, logits, counts):
        finite = log_q.masked_fill(log_q == -torch.inf, 0.0)
        return (log_q.exp() * (finite - logits.log_softmax(-1))).sum(-1)[counts].mean()

    def exchanged(log_q, logits, counts):
        log_p = logits.log_softmax(-1)
        return (log_p.exp() * (log_p - log_q.detach().clamp_min(-100)))[counts].sum(-1).mean()

    def infinite(log_q, logits, counts):
        log_p = logits.log_softmax(-1)
        return (log_p.exp() * (log_p - log_q.detach()))[counts].sum(-1).mean()

    def not_a_number(log_q, logits, counts):
        log_q, log_p = log_q.detach(), logits.log_softmax(-1)
        return (log_q.exp() * (log_q - log_p)).sum(-1)[counts].mean()

    def by_torch(log_q, logits, counts):
        """`F.kl_div` with its two logarithms, whose −∞ makes NaN."""
        pair = logits.log_softmax(-1)[counts], log_q.detach()[counts]
        return F.kl_div(*pair, log_target=True, reduction="batchmean")

    def over_words(log_q, logits, counts):
        pair = logits.log_softmax(-1)[counts], log_q.detach().exp()[counts]
        return F.kl_div(*pair, reduction="none").mean()

    def p_held_fixed(log_q, logits, counts):
        return each(log_q, logits.log_softmax(-1).detach())[counts].mean()

    def pads_counted(log_q, logits, counts):
        return each(log_q.detach(), logits.log_softmax(-1)).mean()

    def pads_in_the_number(log_q, logits, counts):
        return (each(log_q.detach(), logits.log_softmax(-1)) * counts).mean()

    def shifted(log_q, logits, counts):
        both = counts[:, 1:] & counts[:, :-1]
        return each(log_q.detach()[:, 1:], logits.log_softmax(-1)[:, :-1])[both].mean()

    def summed(log_q, logits, counts):
        return each(log_q.detach(), logits.log_softmax(-1))[counts].sum()

    def cross_entropy(log_q, logits, counts):
        return F.cross_entropy(logits[counts], log_q.detach().exp()[counts])

    def not_normalised(log_q, logits, counts):
        return each(log_q.detach(), logits)[counts].mean()

    wrong = [through, exchanged, infinite, not_a_number, by_torch, over_words, p_held_fixed]
    wrong += [pads_counted, pads_in_the_number, shifted, summed, cross_entropy]
    return [*wrong, not_normalised]


def _updates() -> list:
    def series(step: Callable, first: int = 0):
        def updates(data, start, rude, kl_weight, steps):
            models = [start]
            for _ in range(steps):
                models.append(step(data, models[-1], rude, kl_weight, start))
            return np.array(models[first:])

        return updates

    def q_of(p, rude):
        return np.where(rude, 0, p) / p[~rude].sum()

    return [
        series(lambda d, p, rude, k, p0: (d + k * q_of(p, rude)) / (1 + k), first=1),
        series(lambda d, p, rude, k, p0: (d + k * q_of(p0, rude)) / (1 + k)),  # stale
        series(lambda d, p, rude, k, p0: (d + q_of(p, rude)) / 2),  # λ ignored
        series(lambda d, p, rude, k, p0: (d + k * q_of(p, ~rude)) / (1 + k)),  # inverted
        series(lambda d, p, rude, k, p0: (d + k * np.where(rude, 0, p)) / (1 + k)),
        series(lambda d, p, rude, k, p0: (d + k * p) / (1 + k)),
        series(lambda d, p, rude, k, p0: (k * d + q_of(p, rude)) / (1 + k)),
        series(lambda d, p, rude, k, p0: d + k * q_of(p, rude)),
        series(lambda d, p, rude, k, p0: (q_of(d, rude) + k * q_of(p, rude)) / (1 + k)),
        series(lambda d, p, rude, k, p0: q_of(p, rude)),
        series(lambda d, p, rude, k, p0: (p + k * q_of(p, rude)) / (1 + k)),
        lambda data, start, rude, kl_weight, steps: (
            (data + kl_weight * q_of(start, rude)) / (1 + kl_weight)
        ),
    ]
