"""Indirect objects for GPT-2: who receives what is given, in fifteen templates and both orders of
the two names.

The task is that of Wang et al. 2023 (arXiv 2211.00593); templates and words are our own. BABA: the
giver is named first, then the receiver, then the giver again; in ABBA the first two are exchanged.
Every name is one token with the space before it.
"""

import random
from collections.abc import Sequence
from functools import partial

from helpers.circuits.tasks.gpt2_prompts import (
    Change,
    Draft,
    Pools,
    TemplateTask,
    Tokenizer,
    Values,
    copy,
    others,
    single,
    token,
    words,
)

BABA = (
    "When the rain stopped, {S} and {IO} walked to the {PLACE}, and {S2} handed a {OBJECT} to",
    "Late in the afternoon {S} and {IO} met at the {PLACE}. Then {S2} sold a {OBJECT} to",
    "As usual, {S} and {IO} had lunch near the {PLACE}. Afterwards {S2} passed a {OBJECT} to",
    "Because the {PLACE} was closed, {S} and {IO} went home. On the way {S2} showed a {OBJECT} to",
    "Last winter {S} and {IO} worked together at the {PLACE}, where {S2} lent a {OBJECT} to",
    "Nobody else was at the {PLACE} when {S} and {IO} arrived, so {S2} gave a {OBJECT} to",
    "Two friends, {S} and {IO}, found a {OBJECT} at the {PLACE}. Without a word {S2} gave it to",
    "On Monday {S} and {IO} cleaned the {PLACE}. "
    "When they had finished, {S2} offered a {OBJECT} to",
    "It was still dark when {S} and {IO} left the {PLACE}. Outside, {S2} threw a {OBJECT} to",
    "Both {S} and {IO} were waiting at the {PLACE}. After a while {S2} brought a {OBJECT} to",
    "At the {PLACE} everybody liked {S} and {IO}. One evening {S2} sent a {OBJECT} to",
    "Years ago {S} and {IO} bought a {OBJECT} near the {PLACE}. Today {S2} gave it back to",
    "While {S} and {IO} were painting the {PLACE}, {S2} said something funny to",
    "In the morning {S} and {IO} drove to the {PLACE}. At noon {S2} wrote a long letter to",
    "Everyone at the {PLACE} knew that {S} and {IO} were friends, "
    "and that {S2} had promised a {OBJECT} to",
)
ABBA = tuple(
    template.replace("{S}", "{}").replace("{IO}", "{S}").replace("{}", "{IO}") for template in BABA
)
NAMES = words("names")
PLACES = words("places")
OBJECTS = words("objects")


def third_name(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The giver's second mention becomes a third name ("ABC"): either of the two may receive."""
    return {**values, "S2": others(pools["names"], values.values(), 1, rng)[0]}


def released_code(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The ABC of the discrete SAE's released code: three names, each once, two tokens differ.

    The receiver's name stands for the giver's first mention, a third name for the receiver's.
    """
    return {**values, "S": values["IO"], "IO": others(pools["names"], values.values(), 1, rng)[0]}


def swapped(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Giver and receiver exchanged everywhere: the twin has the other answer."""
    return {**values, "S": values["IO"], "IO": values["S"], "S2": values["IO"]}


def three_new_names(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Three other names, all different."""
    giver, receiver, second = others(pools["names"], values.values(), 3, rng)
    return {**values, "S": giver, "IO": receiver, "S2": second}


def other_place(values: Values, pools: Pools, rng: random.Random) -> Values:
    """Another place, which does not matter: the answer stays."""
    return {**values, "PLACE": others(pools["places"], values.values(), 1, rng)[0]}


CORRUPTIONS: dict[str, Change] = {
    "abc": third_name,
    "abc of the released code": released_code,
    "swapped": swapped,
    "three new names": three_new_names,
    "other place": other_place,
    "copy": copy,
}


def _pools(tokenizer: Tokenizer, names: Sequence[str] | None) -> Pools:
    for name in names or ():
        token(tokenizer, f" {name}")
    return {
        "names": single(tokenizer, names or NAMES, least=5),
        "places": single(tokenizer, PLACES, least=2),
        "objects": single(tokenizer, OBJECTS),
    }


def _draft(pools: Pools, rng: random.Random) -> Draft:
    receiver, giver = rng.sample(pools["names"], 2)
    values = {"S": giver, "IO": receiver, "S2": giver, "PLACE": rng.choice(pools["places"])}
    values["OBJECT"] = rng.choice(pools["objects"])
    return Draft(rng.choice(BABA + ABBA), values, (f" {receiver}",), (f" {giver}",))


def task(names: Sequence[str] | None = None) -> TemplateTask:
    """Prompts that end before the receiver.

    The metric is the logit difference of receiver and giver.

    Args:
        names: Names to draw from, each of one token: a name that the tokenizer splits is refused.
            By default those of `NAMES` that are one token.
    """
    return TemplateTask(
        "ioi", "logit difference", CORRUPTIONS, partial(_pools, names=names), _draft
    )
