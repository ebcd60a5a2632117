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

    def cut_off(scores, density):
        mask = torch.zeros_like(scores)
        mask[scores.detach().topk(int(len(scores) * density)).indices] = 1
        return mask + scores - scores.detach()

    def above_a_quantile(scores, density):
        mask = (scores > scores.detach().quantile(1 - density)).float()
        return mask + scores - scores.detach()

    def probabilities(scores, density):
        return scores.sigmoid()

    def all_in_double(scores, density):
        return _kept(scores, density) + scores.double() - scores.double().detach()

    wrong = [flat, only_kept, lowest, by_size, from_a_limit, soft, downhill, not_detached]
    return [*wrong, cut_off, above_a_quantile, probabilities, all_in_double]


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

    def one_order(mask, sizes, seed):
        """A generator made anew for each tensor: those of one size get the same order."""
        parts = []
        for part in mask.split(sizes):
            generator = torch.Generator().manual_seed(seed)
            parts.append(part[torch.randperm(len(part), generator=generator)])
        return torch.cat(parts)

    def with_repeats(mask, sizes, seed):
        generator, parts = torch.Generator().manual_seed(seed), []
        for part in mask.split(sizes):
            places = torch.randint(len(part), (int(part.sum()),), generator=generator)
            parts.append(torch.zeros(len(part)).index_fill_(0, places, 1.0))
        return torch.cat(parts)

    def unseeded(mask, sizes, seed):
        return torch.cat([part[torch.randperm(len(part))] for part in mask.split(sizes)])

    wrong = [in_all, the_mask, first_places, by_chance, rolled, other_seed, outside]
    return [*wrong, one_order, with_repeats, unseeded]


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

    def of_either(first, second, sizes):
        (a, b), n = sums(first, second, sizes)
        both = (a * b / n).sum()
        return float(both / (a.sum() + b.sum() - both))

    def as_one_tensor(first, second, sizes):
        return float(first.mean() * second.mean())

    def by_tensor(first, second, sizes):
        (a, b), n = sums(first, second, sizes)
        return a * b / n / a.sum()

    def rounded(first, second, sizes):
        (a, b), n = sums(first, second, sizes)
        return round(float((a * b / n).sum() / a.sum()), 2)

    wrong = [uniform, observed, plain_mean, of_second, number]
    return [*wrong, of_either, as_one_tensor, by_tensor, rounded]


def _edits() -> list:
    def walk(step):
        def edit(values, gradient, mask, length, steps):
            start = values
            for _ in range(steps):
                values = step(values, gradient(values), mask, length, start)
            return values

        return edit

    def along_the_first(values, gradient, mask, length, steps):
        inside = mask * gradient(values)
        return values - steps * length * inside / inside.norm().clamp_min(1e-9)

    def shared_out(values, gradient, mask, length, steps):
        for _ in range(steps):
            inside = mask * gradient(values)
            values = values - length / steps * inside / inside.norm().clamp_min(1e-9)
        return values

    return [
        along_the_first,
        shared_out,
        walk(lambda w, g, m, length, _: w - length * m * g / (m * g).abs().sum()),
        walk(lambda w, g, m, length, _: w - length * (m * g).sign() / m.sum().sqrt()),
        walk(lambda w, g, m, length, _: w - length * m * g / (m * g).norm().square()),
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

    def by_interp_or_nan(moved, nll, norm):
        """Right where each step leads further away, and only there."""
        return np.where(moved.max(0) >= norm, by_interp(moved, nll, norm), np.nan)

    def nearest(moved, nll, norm):
        return nll[np.abs(moved - norm).argmin(0), np.arange(nll.shape[1])]

    def half_way(moved, nll, norm):
        return (first_beyond(moved, nll, norm) + last_before(moved, nll, norm)) / 2

    return [
        by_interp,
        by_interp_or_nan,
        nearest,
        half_way,
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

    def by_sum(gradient, circuit):
        """Neighbours whose sizes add up to the same, in place of their squares."""
        sizes, kept = gradient.double().abs(), int(circuit.sum())
        outside = torch.nonzero(circuit == 0).flatten()
        order = outside[sizes[outside].argsort()]
        sums = torch.cat([torch.zeros(1, dtype=torch.float64), sizes[order].cumsum(0)])
        wanted = sizes[circuit == 1].sum()
        start = int((sums[kept:] - sums[:-kept] - wanted).abs().argmin())
        mask = torch.zeros_like(circuit)
        mask[order[start : start + kept]] = 1
        return mask

    return [drawn, extreme(1), extreme(-1), inside, fewer, by_sum, lambda g, c: 1 - c]
