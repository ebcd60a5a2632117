"""Later years for GPT-2: an event lasted from one year to a later one of the same century.

The task is that of Hanna et al. 2023 (arXiv 2305.00586), the events are our own. A year must be two
tokens, the century with its space and the year in it; GPT-2's tokenizer has single tokens for some
years (1800, 1865), which are left out. So are the first and the last year of each century that are
left, as the paper does: with them there might be no right or wrong answer.
"""

import random
from functools import partial
from itertools import groupby

from helpers.circuits.tasks.gpt2_prompts import (
    Change,
    Draft,
    Pools,
    TemplateTask,
    Tokenizer,
    Values,
    copy,
    ids,
    others,
    single,
    token,
    words,
)
from helpers.errors import LabError

FORMS = {
    "hanna": "The {EVENT} lasted from the year {XX}{YY} to the year {END}",
    "acdc": "The {EVENT} lasted from the year {XX}{YY} to {END}",
}
"""The two published sentences: that of the paper on the task, and that of the paper on automatic
discovery, which has no "the year" at the end."""
YEARS = range(1000, 1900)
LOWEST = "01"
"""The start year that asks for nothing; no clean prompt has it."""
EVENTS = words("events")
_WITHIN = tuple(f"{year:02d}" for year in range(100))


def years(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Century and year of those years that can be asked for.

    Raises:
        LabError: the tokenizer splits no year that way.
    """
    split = [divmod(year, 100) for year in YEARS if _splits(tokenizer, year)]
    kept = [
        (str(century), f"{within:02d}")
        for _, group in groupby(split, key=lambda pair: pair[0])
        for century, within in list(group)[1:-1]
        if within > int(LOWEST)
    ]
    if not kept:
        raise LabError(
            "expected a tokenizer that splits years into century and year",
            f"it writes 1732 as {[tokenizer.decode([part]) for part in ids(tokenizer, ' 1732')]}",
            hint="GPT-2's tokenizer does; one that splits numbers into digits needs another task",
        )
    return kept


def _splits(tokenizer: Tokenizer, year: int) -> bool:
    """Whether a year is two tokens, the century with its space and the year in it."""
    parts = ids(tokenizer, f" {year // 100}"), ids(tokenizer, f"{year % 100:02d}")
    whole = ids(tokenizer, f" {year}")
    return all(len(part) == 1 for part in parts) and whole == parts[0] + parts[1]


def lowest_year(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The start year becomes 01, after which any year may follow. It is one token."""
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


def _pools(tokenizer: Tokenizer) -> Pools:
    """Events, centuries, and for each century its years."""
    for within in _WITHIN:
        token(tokenizer, within)
    asked = years(tokenizer)
    centuries = list(dict.fromkeys(century for century, _ in asked))
    within = {century: [year for other, year in asked if other == century] for century in centuries}
    return {"events": single(tokenizer, EVENTS, least=2), "centuries": centuries} | within


def _draft(pools: Pools, rng: random.Random, template: str) -> Draft:
    asked = [(century, year) for century in pools["centuries"] for year in pools[century]]
    century, begin = rng.choice(asked)
    values = {"EVENT": rng.choice(pools["events"]), "XX": century, "YY": begin, "END": century}
    later = int(begin) + 1
    return Draft(template, values, _WITHIN[later:], _WITHIN[:later])


def task(form: str = "hanna") -> TemplateTask:
    """Prompts that end with a century.

    The metric is the probability of later years less that of earlier ones.

    Args:
        form: A key of `FORMS`.

    Raises:
        LabError: no such form.
    """
    if form not in FORMS:
        raise LabError(f"expected a form of the sentence: {', '.join(FORMS)}", f"got {form!r}")
    draft = partial(_draft, template=FORMS[form])
    return TemplateTask("greater-than", "difference of probabilities", CORRUPTIONS, _pools, draft)
