"""Plausible wrong answers to the exercises of lab 3."""

import numpy as np
import torch


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab3.1": _orders(lab["predicted_order"]()),
        "lab3.2": _probes(lab["mean_probe"]),
        "lab3.3": _counts(lab["word_counts"]),
        "lab3.4": _confounds(*lab["confounds"]()),
        "lab3.5": _choices(),
        "lab3.6": _compressions(),
    }


def _orders(right: list[str]) -> list:
    return [
        lambda: right[::-1],
        lambda: [right[0], *right[:0:-1]],
        lambda: [*right[1:4], right[0], right[4]],
        lambda: [right[0], right[2], right[1], *right[3:]],
        lambda: right[:4],
        lambda: [*right[:4], "honesty"],
    ]


def _probes(right) -> list:
    def unscaled(x, y, test):
        true, false = x[y].mean(0), x[~y].mean(0)
        return (test - (true + false) / 2) @ (true - false) > 0

    def by_test(x, y, test):
        return right((x - test.mean(0)) / test.std(0), y, (test - test.mean(0)) / test.std(0))

    def at_the_mean(x, y, test):
        scale = torch.where(x.std(0) > 0, x.std(0), 1.0)
        z, asked = (x - x.mean(0)) / scale, (test - x.mean(0)) / scale
        return asked @ (z[y].mean(0) - z[~y].mean(0)) > 0

    def divides_by_zero(x, y, test):
        z, asked = (x - x.mean(0)) / x.std(0), (test - x.mean(0)) / x.std(0)
        true, false = z[y].mean(0), z[~y].mean(0)
        return (asked - (true + false) / 2) @ (true - false) > 0

    return [
        unscaled,
        by_test,
        at_the_mean,
        divides_by_zero,
        lambda x, y, test: ~right(x, y, test),
        lambda x, y, test: right(x, y, x),  # the training rows
        lambda x, y, test: right(x, y, test).float() + 0.5,
        lambda x, y, test: torch.ones(len(test), dtype=torch.bool),
    ]


def _counts(right) -> list:
    def inside(texts):
        words = sorted({word for text in texts for word in text.split()})
        return torch.tensor([[float(text.count(word)) for word in words] for text in texts])

    def letters(texts):
        found = sorted(set("".join(texts)))
        return torch.tensor([[float(text.count(letter)) for letter in found] for text in texts])

    return [
        lambda texts: (right(texts) > 0).float(),  # present or not
        inside,
        letters,
        lambda texts: right(texts).T,
        lambda texts: right(texts).tolist(),
        lambda texts: right(texts) / right(texts).sum(1, keepdim=True),  # shares
    ]


def _confounds(rule, seen) -> list:
    def exact(texts, test):
        trained = {text for text, held in zip(texts, test, strict=True) if not held}
        return float(
            np.mean([text in trained for text, held in zip(texts, test, strict=True) if held])
        )

    def in_all(texts, test):
        return seen(texts, test) * float(np.mean(test))

    return [
        lambda: (lambda text: text[0].isupper(), seen),
        lambda: (lambda text: text == text.lower(), seen),
        lambda: (lambda text: sum(letter.isupper() for letter in text) > 10, seen),
        lambda: (rule, exact),
        lambda: (rule, in_all),
        lambda: (rule, lambda texts, test: 1.0),
        lambda: (rule, lambda texts, test: seen(texts, ~test)),
        lambda: (lambda text: "yes", seen),
        lambda: (lambda text: True, lambda texts, test: 0.5),
        lambda: rule,
    ]


def _choices() -> list:
    def best(allowed):
        return max(allowed, key=lambda trial: trial.score, default=None)

    return [
        lambda trials, budget: best(trials),  # no budget
        lambda trials, budget: best(
            [t for t in trials if t.ratio < budget and np.isfinite(t.score)]
        ),  # the budget itself refused
        lambda trials, budget: best([t for t in trials if t.ratio <= budget]),  # NaN left in
        lambda trials, budget: max(
            (t for t in trials if t.ratio <= budget and t.score > 0),
            key=lambda t: t.score,
            default=None,
        ),
        lambda trials, budget: max(
            (t for t in trials if t.ratio <= budget and np.isfinite(t.score)),
            key=lambda t: t.alpha,
            default=None,
        ),
        lambda trials, budget: best(
            [t for t in trials if t.ratio <= budget and np.isfinite(t.score)] or trials
        ),
    ]


def _compressions() -> list:
    def pushed(t, scale, amount, direction):
        return t + scale * t.std() * amount * direction

    def noise(t, generator, columns=1):
        return torch.randn(len(t), columns, generator=generator)

    return [
        lambda t, g: t,
        lambda t, g: pushed(t, 0.05, noise(t, g), torch.ones(1, t.shape[1])),  # too small
        lambda t, g: pushed(
            t, 30, noise(t, g), torch.eye(t.shape[1])[:1]
        ),  # one feature, standardised away
        lambda t, g: pushed(
            t, 3, noise(t, g, t.shape[1]), 1.0
        ),  # noise everywhere: information is lost
        lambda t, g: pushed(
            t, 3, (t @ torch.ones(t.shape[1], 1)) / 10, torch.ones(1, t.shape[1])
        ),  # not random
        lambda t, g: t * 0,
        lambda t, g: t[:5],
        lambda t, g: pushed(
            t, 1e5, noise(t, g), torch.ones(1, t.shape[1])
        ),  # nothing else survives single precision
    ]
