"""The smallest model in which a head matters and has no gradient: two layers of one head.

The prompt is ``start yes ask`` and the answer ``yes``; its twin is ``start no ask``. L0H0 looks at
all words alike and writes +1 after ``yes``, -1 after ``no``. What it writes is the query of L1H0,
which attends to ``ask`` if the sign is positive and to ``start`` if it is negative, and reads +1 or
-1 there. So the logit difference is +1, on the twin -1: 2 less with the twin's write of L0H0, 1
less without any.

The scores of L1H0 are `sharpness` or more apart. Far from their middle a softmax is flat: the
derivative of the answer by anything that L0H0 writes is exp(-2 · sharpness) and at 80 exactly 0.
"""

import torch

from helpers.circuits.tasks import Twins
from helpers.errors import LabError
from helpers.model import Model
from helpers.texts import Prompts

WORDS = ("start", "yes", "no", "ask")
YES, NO, ASK = 1, 2, 3
CONFIG = {
    "n_layers": 2,
    "n_heads": 1,
    "d_model": 6,
    "d_head": 1,
    "n_ctx": 3,
    "d_vocab": len(WORDS),
    "d_vocab_out": len(WORDS),
    "attn_only": True,
    "normalization_type": None,
    "act_fn": "relu",
    "seed": 0,
    "device": "cpu",
}
"""The model's configuration, for `TransformerBridge.boot_native`."""
MARK, ANSWER = 4, 5
"""Dimensions of the residual stream after those of the words: what L0H0 and what L1H0 writes."""


@torch.no_grad()
def build(sharpness: float = 80.0) -> Model:
    """The model.

    Args:
        sharpness: Half the difference of L1H0's scores on a prompt. Up to about 5 gradients see
            something of L0H0.

    Raises:
        LabError: a sharpness that is not positive.
    """
    from transformer_lens.model_bridge import TransformerBridge

    if not sharpness > 0:  # NaN is not
        raise LabError("expected a positive sharpness", f"got {sharpness}")
    model = TransformerBridge.boot_native(CONFIG)
    state = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    words = range(len(WORDS))
    state["embed.weight"][words, words] = 1.0
    for name, entries in {
        "blocks.0.attn.v": {(0, YES): 3.0, (0, NO): -3.0},  # read with a weight of a third
        "blocks.0.attn.o": {(MARK, 0): 1.0},
        "blocks.1.attn.q": {(0, MARK): sharpness},
        "blocks.1.attn.k": {(0, ASK): 1.0, (0, 0): -1.0},
        "blocks.1.attn.v": {(0, ASK): 1.0, (0, 0): -1.0},
        "blocks.1.attn.o": {(ANSWER, 0): 1.0},
        "unembed": {(YES, ANSWER): 0.5, (NO, ANSWER): -0.5},
    }.items():
        for index, weight in entries.items():
            state[f"{name}.weight"][index] = weight
    model.load_state_dict(state)
    return model.eval()


def twins() -> Twins:
    """The prompt and its twin.

    >>> twins().clean.texts, twins().corrupted.texts
    (('start yes ask',), ('start no ask',))
    """
    good, bad = torch.zeros(2, 1, len(WORDS), dtype=torch.bool)
    good[0, YES], bad[0, NO] = True, True

    def prompts(word: int) -> Prompts:
        tokens = torch.tensor([[0, word, ASK]])
        text = " ".join(WORDS[token] for token in tokens[0].tolist())
        return Prompts("saturated", (text,), tokens, torch.tensor([2]), good, bad)

    return Twins(prompts(YES), prompts(NO), "logit difference")
