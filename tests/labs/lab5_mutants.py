"""Plausible wrong answers to the exercises of lab 5."""

import numpy as np
import torch


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab5.1": _masks(),
        "lab5.2": _matched(),
        "lab5.3": _overlaps(),
        "lab5.4": _edits(),
        "lab5.5": _distances(lab["at_norm"]),
        "lab5.6": _long(),
    }


def _kept(scores, density):
    mask = torch.zeros_like(scores)
    kept = round(len(scores) * density)
    mask[scores.detach().argsort(descending=True, stable=True)[:kept]] = 1
    return mask.detach()


def _masks() -> list:
    def flat(scores, density):
        return _kept(scores, density)

    def only_kept(scores, density):
        return _kept(scores, density) * (1 + scores - scores.detach())

    def lowest(scores, density):
        return _kept(-scores, density) + scores - scores.detach()

    def by_size(scores, density):
        return _kept(scores.abs(), density) + scores - scores.detach()

    def from_a_limit(scores, density):
        limit = scores.detach().sort(descending=True).values[round(len(scores) * density) - 1]
        return (scores.detach() >= limit).float() + scores - scores.detach()

    def soft(scores, density):
        return _kept(scores, density) + scores.sigmoid() - scores.sigmoid().detach()

    def downhill(scores, density):
        return _kept(scores, density) - scores + scores.detach()

    def not_detached(scores, density):
        return _kept(scores, density) + scores

    return [flat, only_kept, lowest, by_size, from_a_limit, soft, downhill, not_detached]


def _matched() -> list:
    def in_all(mask, sizes, seed):
        return mask[torch.randperm(len(mask), generator=torch.Generator().manual_seed(seed))]

    def the_mask(mask, sizes, seed):
        return mask

    def first_places(mask, sizes, seed):
        return torch.cat(
            [(torch.arange(len(part)) < part.sum()).float() for part in mask.split(sizes)]
        )

    def by_chance(mask, sizes, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.cat(
            [
                (torch.rand(len(part), generator=generator) < part.mean()).float()
                for part in mask.split(sizes)
            ]
        )

    def rolled(mask, sizes, seed):
        return torch.cat([part.roll(seed % max(1, len(part))) for part in mask.split(sizes)])

    def other_seed(mask, sizes, seed):
        parts = [part[torch.from_numpy(RNG.permutation(len(part)))] for part in mask.split(sizes)]
        return torch.cat(parts)

    def outside(mask, sizes, seed):
        """Never a weight of the mask itself, where there are enough others."""
        generator, parts = torch.Generator().manual_seed(seed), []
        for part in mask.split(sizes):
            drawn = torch.zeros(len(part))
            chances = torch.rand(len(part), generator=generator) + part
            drawn[chances.argsort()[: int(part.sum())]] = 1
            parts.append(drawn)
        return torch.cat(parts)

    return [in_all, the_mask, first_places, by_chance, rolled, other_seed, outside]


RNG = np.random.default_rng(0)


def _overlaps() -> list:
    def sums(first, second, sizes):
        return [
            torch.stack([part.sum() for part in mask.split(sizes)]) for mask in (first, second)
        ], torch.tensor(sizes)

    def uniform(first, second, sizes):
        return float(second.mean())

    def observed(first, second, sizes):
        return float((first * second).sum() / first.sum())

    def plain_mean(first, second, sizes):
        (_, b), n = sums(first, second, sizes)
        return float((b / n).mean())

    def of_second(first, second, sizes):
        (a, b), n = sums(first, second, sizes)
        return float((a * b / n).sum() / b.sum())

    def number(first, second, sizes):
        (a, b), n = sums(first, second, sizes)
        return float((a * b / n).sum())

    return [uniform, observed, plain_mean, of_second, number]


def _edits() -> list:
    def walk(step):
        def edit(values, gradient, mask, length, steps):
            start = values
            for _ in range(steps):
                values = step(values, gradient(values), mask, length, start)
            return values

        return edit

    return [
        walk(lambda w, g, m, length, _: w - length * m * g / g.norm()),
        walk(lambda w, g, m, length, _: w - length * m * g),
        walk(lambda w, g, m, length, _: w - length * g / g.norm()),
        walk(lambda w, g, m, length, start: start - length * m * g / (m * g).norm()),
        walk(lambda w, g, m, length, _: w + length * m * g / (m * g).norm()),
        walk(lambda w, g, m, length, _: w - length * m * g / (m * g).norm()),  # 0/0
        walk(lambda w, g, m, length, _: w * m - length * m * g / ((m * g).norm() + 1e-30)),
        lambda values, gradient, mask, length, steps: (
            values - length * mask * gradient(values) / (mask * gradient(values)).norm()
        ),
    ]


def _distances(right) -> list:
    def by_interp(moved, nll, norm):
        return np.array([np.interp(norm, m, n) for m, n in zip(moved.T, nll.T, strict=True)])

    def first_beyond(moved, nll, norm):
        beyond = moved >= norm
        at = beyond.argmax(0)
        return np.where(beyond.any(0), nll[at, np.arange(nll.shape[1])], np.nan)

    def last_before(moved, nll, norm):
        beyond = moved >= norm
        at = beyond.argmax(0) - 1
        return np.where(beyond.any(0), nll[at, np.arange(nll.shape[1])], np.nan)

    return [
        by_interp,
        first_beyond,
        last_before,
        lambda moved, nll, norm: nll[-1],
        lambda moved, nll, norm: nll[(moved.mean(1) >= norm).argmax()],
        lambda moved, nll, norm: float(np.nanmean(right(moved, nll, norm))),
    ]


def _long() -> list:
    def drawn(gradient, circuit):
        outside = torch.nonzero(circuit == 0).flatten()
        order = torch.randperm(len(outside), generator=torch.Generator().manual_seed(0))
        mask = torch.zeros_like(circuit)
        mask[outside[order[: int(circuit.sum())]]] = 1
        return mask

    def extreme(sign):
        def choose(gradient, circuit):
            outside = torch.nonzero(circuit == 0).flatten()
            order = (sign * gradient[outside].abs()).argsort()
            mask = torch.zeros_like(circuit)
            mask[outside[order[: int(circuit.sum())]]] = 1
            return mask

        return choose

    def inside(gradient, circuit):
        return circuit

    def fewer(gradient, circuit):
        """The largest gradients, until they are as long as the circuit's."""
        squares = gradient.square() * (circuit == 0)
        order = squares.argsort(descending=True)
        wanted = gradient[circuit == 1].square().sum()
        count = int((squares[order].cumsum(0) < wanted).sum())
        mask = torch.zeros_like(circuit)
        mask[order[:count]] = 1
        return mask

    return [drawn, extreme(1), extreme(-1), inside, fewer, lambda g, c: 1 - c]
