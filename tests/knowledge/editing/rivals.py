"""What the tests of the rivals share: small models with facts, and weights compared bit by bit."""

import torch

from helpers.knowledge.editing import Requests
from helpers.knowledge.facts import Facts, factnet

TOKENS, ANSWERS = factnet.prompts()
KINDS = torch.tensor([factnet.token(kind) for kind in factnet.KINDS])


def token(name):
    return [factnet.token(name)]


def kinds_of(names):
    """The questions for the kind of some entities of FactNet."""
    rows = [factnet.ENTITIES.index(name) for name in names]
    return Facts(TOKENS[rows], torch.full((len(rows),), 2), ANSWERS[rows], KINDS, tuple(names))


def become(**changes):
    """Requests that entities of FactNet change their kind: ``become(wren="tree")``."""
    new = torch.tensor([factnet.token(kind) for kind in changes.values()])
    return Requests(kinds_of(changes), new)


def random_requests():
    """Requests of a model of 20 words: of the fact 5 and the fact 8, with other words around."""
    tokens = torch.tensor([[1, 5, 6, 7, 0], [1, 2, 8, 6, 7]])
    asked = Facts(
        tokens, torch.tensor([3, 4]), torch.tensor([3, 3]), torch.arange(20), ("five", "eight")
    )
    return Requests(asked, torch.tensor([11, 12]))


def of_random(name):
    return [{"five": 5, "eight": 8}[name]]


def same_elsewhere(edited, weights, mask):
    """Whether what the mask leaves out is the same bit by bit, for every fact."""
    return torch.equal(
        edited.values[:, mask == 0], weights.values[mask == 0].expand(len(edited.values), -1)
    )
