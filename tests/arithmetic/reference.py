"""Slow, plain references written from the paper's definitions, sharing no code with the package."""

import re
from collections import Counter
from fractions import Fraction
from itertools import product


def letter(operator: str, d: int, e: int) -> str:
    """One column as a letter.

    Sums: l(ow), n(ine), c(arry). Differences: l(ess), g(reater), e(qual), 0 (both zero).
    """
    if operator == "+":
        return "l" if d + e <= 8 else "n" if d + e == 9 else "c"
    return "l" if d < e else "g" if d > e else "e" if d else "0"


def class_of_letters(operator: str, word: str) -> str:
    """The class from the columns' letters, most significant first.

    S_m: the longest carry with its nines directly above, m columns in all. M_m, N_m: the longest
    column D_k < D'_k with its equal columns directly above; columns above the highest non-zero
    digit do not count. N is D < D'.
    """
    if operator == "+":
        return f"S{max((len(run) for run in re.findall('n*c', word)), default=0)}"
    word = word.lstrip("0").replace("0", "e")
    first_difference = word.lstrip("e")[:1]
    longest = max((len(run) for run in re.findall("e*l", word)), default=0)
    return ("N" if first_difference == "l" else "M") + str(longest)


def class_of(first: int, operator: str, second: int, n_digits: int) -> str:
    """The class of one question from its zero-padded decimal text."""
    pairs = zip(f"{first:0{n_digits}d}", f"{second:0{n_digits}d}", strict=True)
    return class_of_letters(operator, "".join(letter(operator, int(d), int(e)) for d, e in pairs))


def share_of_classes(operator: str, n_digits: int) -> dict[str, Fraction]:
    """Exact share of every class, over all words of column letters and their digit pairs."""
    pairs = Counter(letter(operator, d, e) for d, e in product(range(10), repeat=2))
    shares: Counter[str] = Counter()
    for word in product(pairs, repeat=n_digits):
        weight = Fraction(1)
        for column in word:
            weight *= Fraction(pairs[column], 100)
        shares[class_of_letters(operator, "".join(word))] += weight
    return dict(shares)


def text_of(first: int, operator: str, second: int, n_digits: int) -> str:
    """The whole question as the paper writes it, by Python's integers."""
    value = first + second if operator == "+" else first - second
    sign = "-" if value < 0 else "+"
    return (
        f"{first:0{n_digits}d}{operator}{second:0{n_digits}d}={sign}{abs(value):0{n_digits + 1}d}"
    )
