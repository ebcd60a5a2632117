"""Plausible wrong answers to the exercises of lab 1."""

import math

import numpy as np


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab1.1": _classes(lab["cascade_class"]),
        "lab1.2": _bounds(),
        "lab1.3": _rules(lab["lookback_rule"]),
        "lab1.4": _folds(lab["carries_out"]),
        "lab1.5": _patches(lab["predict_base_add_patch"]),
        "lab1.6": _pairs(lab["toggled_pair"]),
        "lab1.7": _p_values(),
        "lab1.8": _shares(),
        "lab1.9": _sets(lab["matched_random_set"]),
    }


def _sums(first, second):
    return [d + e for d, e in zip(first, second, strict=True)]


def _classes(right) -> list:
    return [
        lambda a, b: right(a[::-1], b[::-1]),  # read from the top
        lambda a, b: sum(
            total >= 10 for total in _sums(a, b)
        ),  # the paper's own table counts columns
        lambda a, b: max(0, right(a, b) - 1),  # the carrying column left out
        lambda a, b: min(right(a, b), 5),  # capped, as the released code does
        lambda a, b: (
            sum(total >= 9 for total in _sums(a, b)) if right(a, b) else 0
        ),  # any nine counts
    ]


def _bounds() -> list:
    return [
        lambda n, alpha=0.05: 3 / n,
        lambda n, alpha=0.05: alpha ** (1 / n),
        lambda n, alpha=0.05: 1 - (alpha / 2) ** (1 / n),
        lambda n, alpha=0.05: 1 - (1 - alpha) ** (1 / n),
        lambda n, alpha=0.05: 1 - 0.05 ** (1 / n),  # the level is ignored
        lambda n, alpha=0.05: -math.log(alpha) / n,  # the approximation behind the rule of three
    ]


def _rules(right) -> list:
    def exact(a, b):
        total = sum(s * 10**i for i, s in enumerate(_sums(a, b)))
        return [total // 10**i % 10 for i in range(len(a) + 1)]

    def no_nines(a, b):
        carries = [0, *(int(s >= 10) for s in _sums(a, b))]
        return [(s + c) % 10 for s, c in zip([*_sums(a, b), 0], carries, strict=True)]

    return [exact, no_nines, lambda a, b: right(a, b)[::-1], lambda a, b: right(a, b)[:-1]]


def _folds(right) -> list:
    def from_the_top(states):
        return right(["0" if s == "U" else s for s in states[-1:]] + states[::-1][1:])[::-1]

    return [
        from_the_top,
        lambda states: list(states),
        lambda states: ["0" if s == "U" else s for s in states],
        lambda states: ["0", *right(states)[:-1]],  # carries in, not out
    ]


def _patches(right) -> list:
    def stored_answer(a, b, c, d, k):
        return right(a, b, a, b, k)

    def clean_answer(a, b, c, d, k):
        return right(c, d, c, d, k)

    def without_carry(a, b, c, d, k):
        digits = clean_answer(a, b, c, d, k)
        digits[k] = (a[k] + b[k]) % 10
        return digits

    return [stored_answer, clean_answer, without_carry, lambda *args: right(*args)[::-1]]


def _pairs(right) -> list:
    def sum_ten(n, k):
        (a, b), other = right(n, k)
        return ([*a[:k], 5, *a[k + 1 :]], b), other

    def changes_above(n, k):
        low, (a, b) = right(n, k)
        return low, ([*a[:-1], 9 - a[-1]], [*b[:-1], 9 - b[-1]]) if k < n - 1 else low

    return [
        sum_ten,
        changes_above,
        lambda n, k: (right(n, k)[0], right(n, k)[0]),
        lambda n, k: right(n, k)[0],
    ]


def _p_values() -> list:
    def count(points, labels, score, permutations, rng):
        real = score(points, labels)
        return [score(points, rng.permutation(labels)) for _ in range(permutations)], real

    def lower(*args):
        scores, real = count(*args)
        return (1 + sum(s < real for s in scores)) / (1 + args[3])

    def uncorrected(*args):
        scores, real = count(*args)
        return sum(s >= real for s in scores) / args[3]

    def strictly(*args):
        scores, real = count(*args)
        return (1 + sum(s > real for s in scores)) / (1 + args[3])

    def above_only(*args):
        scores, real = count(*args)
        return (1 + sum(s >= real for s in scores)) / args[3]

    def points_and_labels(points, labels, score, permutations, rng):
        order = [rng.permutation(len(labels)) for _ in range(permutations)]
        real = score(points, labels)
        return (1 + sum(score(points[o], labels[o]) >= real - 1e-12 for o in order)) / (
            1 + permutations
        )

    def uncorrected_points(points, labels, score, permutations, rng):
        real = score(points, labels)
        return (
            sum(score(rng.permutation(points), labels) >= real for _ in range(permutations))
            / permutations
        )

    return [
        lower,
        uncorrected,
        strictly,
        above_only,
        points_and_labels,
        uncorrected_points,
        *_p_values_of_other_labels(),
    ]


def _p_values_of_other_labels() -> list:
    """Counted rightly, but not over fresh permutations of the labels."""

    def with_labels(relabel):
        def p_value(points, labels, score, permutations, rng):
            real = score(points, labels)
            return (
                1 + sum(score(points, relabel(labels, rng)) >= real for _ in range(permutations))
            ) / (1 + permutations)

        return p_value

    def once(points, labels, score, permutations, rng):
        permuted = rng.permutation(labels)
        return with_labels(lambda *_: permuted)(points, labels, score, permutations, rng)

    return [
        once,
        with_labels(
            lambda labels, rng: np.random.default_rng(0).permutation(labels)
        ),  # the same seed each time
        with_labels(lambda labels, rng: labels[::-1]),
        with_labels(lambda labels, rng: rng.choice(labels, len(labels))),  # with replacement
        with_labels(
            lambda labels, rng: rng.integers(2, size=len(labels))
        ),  # a coin for every point
    ]


def _shares() -> list:
    def outside(bench, nodes):
        return [node for node in bench.nodes if node not in set(nodes)]

    return [
        lambda bench, nodes, ablation="mean": (
            bench.right(nodes, ablation).all(1).float().mean().item()
        ),
        lambda bench, nodes, ablation="mean": (
            bench.right(outside(bench, nodes), ablation).float().mean().item()
        ),
        lambda bench, nodes, ablation="mean": (
            bench.right(outside(bench, nodes)).all(1).float().mean().item()
        ),
        lambda bench, nodes, ablation="mean": (
            bench.right(outside(bench, nodes), ablation).all(1).sum().item()
        ),
        lambda bench, nodes, ablation="mean": bench.share_right(nodes, ablation),
        lambda bench, nodes, ablation="mean": (
            bench.kept(nodes).all(1).float().mean()
        ),  # the ablation is ignored
    ]


def _sets(right) -> list:
    def replacing(nodes, kept, rng):
        return [[n for n in nodes if n.position == k.position][rng.integers(6)] for k in kept]

    def anywhere(nodes, kept, rng):
        return [nodes[i] for i in rng.choice(len(nodes), len(kept), replace=False)]

    def heads_only(nodes, kept, rng):
        fixed = [node for node in kept if node.is_mlp]
        return fixed + right(
            [node for node in nodes if not node.is_mlp],
            [node for node in kept if not node.is_mlp],
            rng,
        )

    return [
        replacing,
        anywhere,
        heads_only,
        lambda nodes, kept, rng: list(kept),
        lambda nodes, kept, rng: right(nodes, kept, np.random.default_rng(0)),
    ]
