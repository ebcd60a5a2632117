"""Another route to what the studies hold: the model itself, its weights overwritten in place, and a
plain loop over prompts that are written out here."""

from contextlib import contextmanager
from functools import cache

import torch

from helpers import zoo
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

KIND_OF = {entity.name: entity.kind for entity in worlds.load().entities}


@cache
def network():
    """A model of our own, and the tensors of its blocks in their order."""
    model = zoo.load("tinyworld", device="cpu")
    inside = {n: t for n, t in model.state_dict().items() if n.startswith("blocks.")}
    return model, inside


def flat():
    """The weights of the blocks as one row, in that order."""
    return torch.cat([tensor.detach().flatten() for tensor in network()[1].values()]).clone()


def write(values):
    """Overwrite the weights of the blocks."""
    begin = 0
    with torch.no_grad():
        for tensor in network()[1].values():
            end = begin + tensor.numel()
            tensor.copy_(values[begin:end].view(tensor.shape))
            begin = end
    assert begin == len(values)


@contextmanager
def weights(values):
    """The model with these weights in its blocks, which has its own again afterwards."""
    own = flat()
    write(values)
    try:
        yield network()[0]
    finally:
        write(own)


def said(values, texts):
    """log p of every word after each text, in double precision."""
    ids = [vocabulary().encode(text) for text in texts]
    rows = [torch.empty(0)] * len(texts)
    with torch.no_grad(), weights(values) as model:
        for length in {len(each) for each in ids}:  # none is padded
            these = [row for row, each in enumerate(ids) if len(each) == length]
            logits = model(torch.tensor([ids[row] for row in these]))[:, -1]
            for row, one in zip(these, logits.double().log_softmax(-1), strict=True):
                rows[row] = one
    return torch.stack(rows)
