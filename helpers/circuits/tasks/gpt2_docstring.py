"""Arguments in a docstring: after the documentation of two arguments, the third of them.

The task is that of Heimersheim and Janiak 2023, for a four-layer attention-only model of text and
code; the words are our own. Style "rest", two other arguments before the three that matter and one
after them. The model's tokenizer makes 41 tokens of such a prompt, its beginning included; GPT-2's
makes more, as it has no tokens for several spaces.
"""

import random

from helpers.circuits.tasks.gpt2_prompts import (
    Change,
    Draft,
    Pools,
    TemplateTask,
    Tokenizer,
    Values,
    copy,
    single,
    words,
)

TEMPLATE = '''
def {NAME}(self, {P1}, {P2}, {A}, {B}, {C}, {S}):
    """{N1} {N2} {N3}

    :param {DA}: {D1} {D2}
    :param {DB}: {D3} {D4}
    :param'''
METHODS = words("methods")
VARIABLES = words("variables")
NOUNS = words("nouns")
DEFINED, SPARE = ("P1", "P2", "A", "B", "C", "S"), ("R1", "R2", "R3", "R4", "R5")
"""Slots of the definition's arguments, and the five that stand in for some in the twins."""
ARGUMENTS = DEFINED + SPARE


def random_definition(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The three arguments of the definition become others; the answer does not occur."""
    return {**values, "A": values["R1"], "B": values["R2"], "C": values["R3"]}


def random_documentation(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The documented arguments become others: only counting them still tells the answer."""
    return {**values, "DA": values["R4"], "DB": values["R5"]}


def random_random(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The definition's three arguments become others, the documented two yet two others."""
    return random_documentation(random_definition(values, pools, rng), pools, rng)


CORRUPTIONS: dict[str, Change] = {
    "random-random": random_random,
    "random definition": random_definition,
    "random documentation": random_documentation,
    "copy": copy,
}


def _pools(tokenizer: Tokenizer) -> Pools:
    nouns = single(tokenizer, NOUNS, least=7)
    return {
        "variables": single(tokenizer, VARIABLES, least=len(ARGUMENTS)),
        "methods": single(tokenizer, METHODS),
        "nouns": nouns,
        "opening": single(tokenizer, nouns, before=""),  # the first noun touches the quotes
    }


def _draft(pools: Pools, rng: random.Random) -> Draft:
    values = dict(zip(ARGUMENTS, rng.sample(pools["variables"], len(ARGUMENTS)), strict=True))
    values |= {"NAME": rng.choice(pools["methods"]), "DA": values["A"], "DB": values["B"]}
    first = values["N1"] = rng.choice(pools["opening"])
    rest = ("N2", "N3", "D1", "D2", "D3", "D4")
    nouns = rng.sample([noun for noun in pools["nouns"] if noun != first], len(rest))
    values |= dict(zip(rest, nouns, strict=True))
    wrong = tuple(f" {values[slot]}" for slot in ARGUMENTS if slot != "C")
    return Draft(TEMPLATE, values, (f" {values['C']}",), wrong)


def task() -> TemplateTask:
    """Prompts that end with ``:param``.

    The metric is the logit of the right argument less the highest of the wrong ones: the prompt's
    other arguments and the five that stand in for some in the twins, whatever the corruption.
    """
    return TemplateTask("docstring", "margin", CORRUPTIONS, _pools, _draft)
