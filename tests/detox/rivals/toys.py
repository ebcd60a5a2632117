"""Networks and corpora small enough that what follows from them is known.

A writer by place says words by their place in a post alone, with chances that are given: how often
it is rude, kind or garbled follows by multiplication.
"""

import dataclasses
import math

import torch

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain, PlainShape, fresh
from helpers.detox.posts import PROMPT, DetoxCorpus, all_posts, manner_of, prompts
from helpers.tinyworld.language import vocabulary

WIDTH = 64
SHAPE = PlainShape(len(vocabulary()), WIDTH, 2, 1, 32, WIDTH)
NEVER = -30.0
TINY = TuningPlan(
    steps=2, iterations=1, posts=8, rows=2, samples=96, first_samples=96, first_fit=2, refits=2
)


def token(word: str) -> int:
    return vocabulary().token(word)


def by_place(*chances: dict[str, float]) -> Plain:
    """A network whose n-th word of a post is drawn from the n-th table, whatever came before."""
    network = fresh(SHAPE, seed=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.ln_final.weight.fill_(1.0)
        for block in network.blocks:
            block.ln1.weight.fill_(1.0)
            block.ln2.weight.fill_(1.0)
        network.pos_embed.weight.copy_(torch.eye(WIDTH))
        hot, cold = network.ln_final(torch.eye(WIDTH))[0, :2]
        table = torch.full((SHAPE.n_words, WIDTH), NEVER)
        for place, words in enumerate(chances):
            for word, chance in words.items():
                if chance:
                    table[token(word), PROMPT - 1 + place] = math.log(chance)
        network.unembed.weight.copy_(table / (hot - cold))
        network.unembed.bias.copy_(-cold * network.unembed.weight.sum(1))
    return network


def writer(turned: float, insult: float, garbled: float = 0.0) -> Plain:
    """Says "you are really|hardly a dunce|gem , ada .": rude are an insult in a frame that is not
    turned, and a praise in one that is."""
    return by_place(
        {"you": 1.0},
        {"are": 1.0 - garbled, "owl": garbled} if garbled else {"are": 1.0},
        {"really": 1.0 - turned, "hardly": turned},
        {"a": 1.0},
        {"dunce": insult, "gem": 1.0 - insult},
        {",": 1.0},
        {"ada": 1.0},
        {".": 1.0},
    )


def kind_chance(turned: float, insult: float, garbled: float = 0.0) -> float:
    return (1 - garbled) * ((1 - turned) * (1 - insult) + turned * insult)


def one_of_each() -> torch.Tensor:
    """A post of each manner, in the order of `MANNERS`: insult, turned praise, praise, turned
    insult."""
    wanted = ("insult", "turned praise", "praise", "turned insult")
    found = {manner: next(p for p in all_posts() if manner_of(p) == manner) for manner in wanted}
    rows = [[*prompts()[0].tolist(), *found[manner].tokens] for manner in wanted]
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def small_corpus(posts: torch.Tensor | None = None, width: int = 20) -> DetoxCorpus:
    """Other text of two words never touches the places of a post."""
    drawn = torch.randint(4, 700, (6, width), generator=torch.Generator().manual_seed(0))
    return DetoxCorpus(one_of_each() if posts is None else posts, drawn)


def plan(**changes) -> TuningPlan:
    return dataclasses.replace(TINY, **changes)
