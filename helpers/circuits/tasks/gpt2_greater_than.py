"""Later years for GPT-2: an event lasted from one year to a later one of the same century.

The task is that of Hanna et al. 2023 (arXiv 2305.00586), the events are our own. A year must be two
tokens, the century with its space and the year in it; GPT-2's tokenizer has single tokens for some
years (1800, 1865), which are left out. So are the first and the last year of each century that are
left, as the paper does: with them there might be no right or wrong answer.
"""

import random
from itertools import groupby

from helpers.circuits.tasks.gpt2_prompts import (
    Change,
    Draft,
    Pools,
    Values,
    copy,
    corrupt,
    ids,
    others,
    pairs,
    single,
    token,
    words,
)
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError

FORMS = {
    "hanna": "The {EVENT} lasted from the year {XX}{YY} to the year {END}",
    "acdc": "The {EVENT} lasted from the year {XX}{YY} to {END}",
}
"""The two published sentences: of the paper on the task, and of that on automatic discovery, without "the year" at the end."""
YEARS = range(1000, 1900)
LOWEST = "01"
"""The start year that asks for nothing; no clean prompt has it."""
EVENTS = words("events")
_WITHIN = tuple(f"{year:02d}" for year in range(100))


def years(tokenizer) -> list[tuple[str, str]]:
    """Century and year of those years that can be asked for.

    Raises:
        LabError: the tokenizer splits no year that way.
    """
    found = []
    for year in YEARS:
        century, within = divmod(year, 100)
        parts = ids(tokenizer, f" {century}"), ids(tokenizer, f"{within:02d}")
        if (
            all(len(part) == 1 for part in parts)
            and ids(tokenizer, f" {year}") == parts[0] + parts[1]
        ):
            found.append((str(century), f"{within:02d}"))
    kept = [
        pair
        for _, group in groupby(found, key=lambda pair: pair[0])
        for pair in list(group)[1:-1]
        if pair[1] > LOWEST
    ]
    if not kept:
        raise LabError(
            "expected a tokenizer that splits years into century and year",
            f"it writes 1732 as {[tokenizer.decode([part]) for part in ids(tokenizer, ' 1732')]}",
            hint="GPT-2's tokenizer does; one that splits numbers into digits needs another task",
        )
    return kept


def lowest_year(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The start year becomes 01: any later year may follow. The twin's token, not its text, is what the model gets."""
    return {**values, "YY": LOWEST}


def other_year(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Another start year of the same century: the same question about it."""
    return {**values, "YY": others(pools[values["XX"]], [values["YY"]], 1, rng)[0]}


def other_century(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Another century in both years: the answer stays."""
    century = others(pools["centuries"], [values["XX"]], 1, rng)[0]
    return {**values, "XX": century, "END": century}


def other_event(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Another event, which does not matter: the answer stays."""
    return {**values, "EVENT": others(pools["events"], [values["EVENT"]], 1, rng)[0]}


CORRUPTIONS: dict[str, Change] = {
    "01": lowest_year,
    "range": other_year,
    "century": other_century,
    "other event": other_event,
    "copy": copy,
}


def twins(
    tokenizer,
    count: int = 64,
    seed: int = 0,
    corruption: str | None = None,
    *,
    form: str = "hanna",
    prepend_bos: bool = True,
    d_vocab: int | None = None,
) -> Twins:
    """Prompts that end with a century, and their twins; metric: difference of probabilities of
    later and earlier years.

    Args:
        tokenizer: of the transformers library.
        corruption: a key of `CORRUPTIONS`; by default the first.
        form: a key of `FORMS`.
        prepend_bos: whether every prompt gets the token that begins a text.
        d_vocab: size of the model's vocabulary, if it is larger than the tokenizer's.

    Raises:
        LabError: no such form or corruption; a tokenizer that splits years otherwise.
    """
    if form not in FORMS:
        raise LabError(f"expected a form of the sentence: {', '.join(FORMS)}", f"got {form!r}")
    for within in _WITHIN:
        token(tokenizer, within)
    known = years(tokenizer)
    pools = {
        "events": single(tokenizer, EVENTS, least=2),
        "centuries": list(dict.fromkeys(century for century, _ in known)),
    }
    pools |= {
        century: [within for other, within in known if other == century]
        for century in pools["centuries"]
    }
    rng, drafts = random.Random(f"{seed} greater-than"), []
    for _ in range(count):
        century, begin = rng.choice(known)
        values = {"EVENT": rng.choice(pools["events"]), "XX": century, "YY": begin, "END": century}
        drafts.append(
            Draft(FORMS[form], values, _WITHIN[int(begin) + 1 :], _WITHIN[: int(begin) + 1])
        )
    changed = corrupt("greater-than", drafts, CORRUPTIONS, corruption, pools, seed)
    return pairs(
        tokenizer,
        ("greater-than", "difference of probabilities"),
        drafts,
        changed,
        prepend_bos,
        d_vocab,
    )
