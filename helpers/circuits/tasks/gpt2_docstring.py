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
    Values,
    copy,
    corrupt,
    pairs,
    single,
    words,
)
from helpers.circuits.tasks.twins import Twins

TEMPLATE = '''
def {NAME}(self, {P1}, {P2}, {A}, {B}, {C}, {S}):
    """{N1} {N2} {N3}

    :param {DA}: {D1} {D2}
    :param {DB}: {D3} {D4}
    :param'''
METHODS = words("methods")
VARIABLES = words("variables")
NOUNS = words("nouns")
DEFINED, DOCUMENTED, SPARE = (
    ("P1", "P2", "A", "B", "C", "S"),
    ("DA", "DB"),
    ("R1", "R2", "R3", "R4", "R5"),
)


def _defined(values: Values) -> Values:
    return {**values, "A": values["R1"], "B": values["R2"], "C": values["R3"]}


def _documented(values: Values) -> Values:
    return {**values, "DA": values["R4"], "DB": values["R5"]}


def random_random(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The three arguments of the definition become others, and the two documented ones two others again."""
    return _documented(_defined(values))


def random_definition(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The three arguments of the definition become others; the answer does not occur."""
    return _defined(values)


def random_documentation(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The documented arguments become others: only counting them still tells the answer."""
    return _documented(values)


CORRUPTIONS: dict[str, Change] = {
    "random-random": random_random,
    "random definition": random_definition,
    "random documentation": random_documentation,
    "copy": copy,
}


def twins(
    tokenizer,
    count: int = 64,
    seed: int = 0,
    corruption: str | None = None,
    *,
    prepend_bos: bool = True,
    d_vocab: int | None = None,
) -> Twins:
    """Prompts that end with ``:param``, and their twins; metric: logit of the right argument less
    the highest of the others.

    Wrong are the prompt's other arguments and the five that stand in for some in the twins,
    whatever the corruption.

    Args:
        tokenizer: of the transformers library.
        corruption: a key of `CORRUPTIONS`; by default the first.
        prepend_bos: whether every prompt gets the token that begins a text.
        d_vocab: size of the model's vocabulary, if it is larger than the tokenizer's.

    Raises:
        LabError: too few words that are one token; no such corruption.
    """
    variables = single(tokenizer, VARIABLES, least=len(DEFINED + SPARE))
    methods, nouns = single(tokenizer, METHODS), single(tokenizer, NOUNS, least=7)
    opening = single(tokenizer, nouns, before="")  # the first noun touches the quotes
    rng, drafts = random.Random(f"{seed} docstring"), []
    for _ in range(count):
        values = dict(
            zip(DEFINED + SPARE, rng.sample(variables, len(DEFINED + SPARE)), strict=True)
        )
        values |= {
            "NAME": rng.choice(methods),
            "DA": values["A"],
            "DB": values["B"],
            "N1": rng.choice(opening),
        }
        rest = ("N2", "N3", "D1", "D2", "D3", "D4")
        values |= dict(
            zip(
                rest,
                rng.sample([noun for noun in nouns if noun != values["N1"]], len(rest)),
                strict=True,
            )
        )
        wrong = [values[slot] for slot in DEFINED + SPARE if slot != "C"]
        drafts.append(
            Draft(TEMPLATE, values, (f" {values['C']}",), tuple(f" {word}" for word in wrong))
        )
    changed = corrupt("docstring", drafts, CORRUPTIONS, corruption, {}, seed)
    return pairs(tokenizer, ("docstring", "margin"), drafts, changed, prepend_bos, d_vocab)
