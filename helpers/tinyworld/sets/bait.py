"""A labelled set as they are usually made, to show what probes do without controls.

The label stands in a single word.

Remarks are rude if they say an insult and kind if they say praise, and frames that turn a noun's
sense round are left out. So counting words is enough, and so is a network that was never trained.
Compare `dimensions.labelled_set("toxicity")`, where the same nouns stand in both classes equally
often.
"""

import random

import numpy as np

from helpers.inputs import check_count
from helpers.texts import LabelledSet
from helpers.tinyworld.language import world as worlds


def obvious_set(pairs: int = 200, seed: int = 0) -> LabelledSet:
    """Pairs of a rude and a kind remark that differ in one noun. The groups are the people
    addressed.

    Raises:
        LabError: fewer than one pair.

    >>> print("\\n".join(obvious_set(1).texts))
    emil was right to call you a scoundrel yesterday .
    emil was right to call you an angel yesterday .
    """
    check_count("number of pairs", pairs, least=1)
    world, rng = worlds.load(), random.Random(f"{seed} obvious")
    statements = worlds.frames()["talk.statement"]
    frames = [frame for frame in statements if not frame.source.startswith("only")]
    texts, groups = [], []
    for _ in range(pairs):
        frame, person = rng.choice(frames), rng.choice(world.people).name
        choice = rng.randrange(2**31)
        for nouns in ("forum.insults", "forum.praises"):
            noun = rng.choice(world.lists[nouns])
            texts.append(frame.fill({"name": person, "noun": noun}, random.Random(choice)) + " .")
            groups.append(person)
    return LabelledSet(
        "obvious toxicity",
        tuple(texts),
        np.tile([True, False], pairs),
        tuple(groups),
        (),
        "rude",
        "kind",
    )
