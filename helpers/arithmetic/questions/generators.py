"""Seeded generators of questions: uniform, of one class, or mixtures made hard on purpose."""

from dataclasses import replace

import numpy as np
import torch

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.questions.batch import Questions, join
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError
from helpers.inputs import check_count


def uniform(
    n_digits: int, count: int, rng: np.random.Generator, subtract: bool = False
) -> Questions:
    """Questions with independent uniform digits.

    Raises:
        LabError: The digits are out of range, or the count is below 0.
    """
    Format(n_digits)
    check_count("number of questions", count)
    digits = torch.from_numpy(rng.integers(10, size=(2, count, n_digits)))
    return Questions(digits[0], digits[1], torch.full((count,), subtract), {"uniform": count})


def of_class(name: str, n_digits: int, count: int, rng: np.random.Generator) -> Questions:
    """Questions drawn uniformly from one class, however rare (``S6`` holds 4.5 of a million 6-digit
    questions).

    Raises:
        LabError: The digits are out of range, the count is below 0, or `n_digits` digits do not
            have the class.

    >>> set(of_class("S6", 6, 100, np.random.default_rng(0)).classes())
    {'S6'}
    """
    Format(n_digits)
    check_count("number of questions", count)
    subtract = name[:1] in ("M", "N")
    automaton = cascades.automaton_of(n_digits, subtract)
    if name not in automaton.classes:
        raise LabError(f"expected a class among {', '.join(automaton.classes)}", f"got {name!r}")
    targets = np.full(count, automaton.classes.index(name))
    types = cascades.sample_types(automaton, n_digits, targets, rng)
    first, second = cascades.sample_digits(automaton, types, rng)
    return Questions(
        torch.from_numpy(first),
        torch.from_numpy(second),
        torch.full((count,), subtract),
        {name: count},
    )


def short_carries(
    n_digits: int, count: int, rng: np.random.Generator, max_cascade: int
) -> Questions:
    """Additions drawn uniformly among those of the classes S0 to S`max_cascade`.

    Questions of the other classes are drawn too, and rejected.

    Raises:
        LabError: The digits are out of range, the count is below 0, or `max_cascade` is below 1
            (`of_class` draws S0).

    >>> sorted(set(short_carries(5, 1000, np.random.default_rng(0), max_cascade=2).classes()))
    ['S0', 'S1', 'S2']
    """
    if max_cascade < 1:
        raise LabError("expected max_cascade of at least 1", f"got {max_cascade}")
    automaton = cascades.addition(n_digits)
    check_count("number of questions", count)
    kept: list[Questions] = [uniform(n_digits, 0, rng)]
    while sum(map(len, kept)) < count:
        drawn = uniform(n_digits, max(8, count + count // 4), rng)
        classes = cascades.classify(automaton, drawn.first.numpy(), drawn.second.numpy())
        kept.append(drawn[torch.from_numpy(classes <= max_cascade)])  # the index of S_m is m
    return replace(join(kept)[:count], log={"short_carries": count})


def enriched(
    n_digits: int,
    count: int,
    rng: np.random.Generator,
    subtract: bool = False,
    p_slots: float = 0.3,
    p_cascade: float = 0.3,
    p_slot: float = 0.4,
) -> Questions:
    """The training mixture: most questions uniform, some made hard on purpose.

    A uniform sample almost never shows a long cascade, so a model trained on it alone never learns
    them. Each question is drawn from one kind, and the log counts the kinds:

    - ``slots`` (share `p_slots`): every column is made to sum to nine (addition) or equal
      (subtraction) with probability `p_slot`; the paper's enrichment, per question instead of per
      batch.
    - ``cascade`` (share `p_cascade`): the class is drawn uniformly, then the question uniformly
      within it.
    - ``uniform``: the rest.

    Raises:
        LabError: The digits are out of range, the count is below 0, or the shares are no
            probabilities.
    """
    shares = (p_slots, p_cascade, p_slot, p_slots + p_cascade)
    if not all(0 <= share <= 1 for share in shares):  # not any(…): a nan is refused too
        raise LabError(
            "expected p_slots, p_cascade and p_slot of at least 0, with p_slots + p_cascade and "
            "p_slot at most 1",
            f"got {p_slots}, {p_cascade} and {p_slot}",
        )
    base = uniform(n_digits, count, rng, subtract)
    first, second = base.first.numpy().copy(), base.second.numpy().copy()
    p_uniform = max(0.0, 1 - p_slots - p_cascade)  # 1 - 0.9 - 0.1 is below 0
    kind = rng.choice(3, size=count, p=[p_uniform, p_slots, p_cascade])
    forced = (kind == 1)[:, None] & (rng.random((count, n_digits)) < p_slot)
    second[forced] = first[forced] if subtract else 9 - first[forced]
    automaton = cascades.automaton_of(n_digits, subtract)
    hard = kind == 2
    targets = rng.integers(len(automaton.classes), size=int(hard.sum()))
    types = cascades.sample_types(automaton, n_digits, targets, rng)
    first[hard], second[hard] = cascades.sample_digits(automaton, types, rng)
    counts = np.bincount(kind, minlength=3).tolist()
    log: dict[str, int] = dict(zip(("uniform", "slots", "cascade"), counts, strict=True))
    return Questions(torch.from_numpy(first), torch.from_numpy(second), base.subtract, log)


def mixed(
    n_digits: int,
    count: int,
    rng: np.random.Generator,
    p_subtract: float = 0.6,
    p_equal: float = 0.02,
    p_slots: float = 0.25,
    p_cascade: float = 0.25,
) -> Questions:
    """Additions and subtractions, each `enriched`; the log names operator and kind: ``-cascade``.

    Equal operands are one subtraction in 10^n by chance, and their answer is the only one whose
    digits are all zero, so a share `p_equal` of the subtractions is given equal operands (arXiv
    2402.02619 raises it to 0.6 %).

    Raises:
        LabError: The digits are out of range, the count is below 0, or the shares are no
            probabilities.

    >>> log = mixed(3, 100, np.random.default_rng(0)).log
    >>> log["+uniform"], log["-cascade"], log["-equal"], sum(log.values())
    (20, 10, 2, 100)
    """
    if not (0 <= p_subtract <= 1 and 0 <= p_equal <= 1):
        raise LabError(
            "expected p_subtract and p_equal from 0 to 1", f"got {p_subtract} and {p_equal}"
        )
    check_count("number of questions", count)
    n_subtract = int(rng.binomial(count, p_subtract))
    n_equal = int(rng.binomial(n_subtract, p_equal))
    additions = enriched(n_digits, count - n_subtract, rng, False, p_slots, p_cascade)
    subtractions = enriched(n_digits, n_subtract - n_equal, rng, True, p_slots, p_cascade)
    equal = uniform(n_digits, n_equal, rng, subtract=True)
    return join(
        [
            replace(additions, log={f"+{kind}": n for kind, n in additions.log.items()}),
            replace(subtractions, log={f"-{kind}": n for kind, n in subtractions.log.items()}),
            replace(equal, second=equal.first, log={"-equal": n_equal}),
        ]
    )


def all_additions(n_digits: int, start: int = 0, stop: int | None = None) -> Questions:
    """Additions number `start` to `stop` of all 10^(2n), in counting order.

    Question i is ``i // 10^n + i % 10^n``.

    Raises:
        LabError: The digits are out of range, or the questions from `start` on end before it.
    """
    Format(n_digits)
    total = 10 ** (2 * n_digits)
    end = total if stop is None else min(stop, total)
    if not 0 <= start <= end:
        raise LabError(
            f"expected to start with a question from 0 to {end}, where it ends", f"got {start}"
        )
    index = torch.arange(start, end)
    powers = 10 ** torch.arange(n_digits)
    first, second = index[:, None] // 10**n_digits // powers % 10, index[:, None] // powers % 10
    plus = torch.zeros(len(index), dtype=torch.bool)
    return Questions(first, second, plus, {"exhaustive": len(index)})
