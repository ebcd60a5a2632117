"""A one-digit adder written by hand, so that its circuit is known without any measurement.

Question ``d + e = + A1 A0``: positions 0 d, 1 op, 2 e, 3 =, 4 sign, 5 A1, 6 A0. Head 0 looks at d
and e in equal parts and writes their sum s; the MLP turns s into A1 at position 4 and into A0 at
position 5; head 1 looks everywhere and writes into a dimension that nobody reads. So the circuit is
head 0 and the MLP at positions 4 and 5, and nothing else.
"""

import torch

from helpers.arithmetic.questions import Format
from helpers.interventions import Node

FMT = Format(1)
CIRCUIT = [Node(4, 0), Node(4, 0, 0), Node(5, 0), Node(5, 0, 0)]

VALUE, SUM, OPERAND, ONE, TENS, UNITS, PLUS, DECOY = range(8)  # residual dimensions; logits follow
LOGITS = 8
# hidden unit relu(s - step): second differences of these are indicators of s
STEPS = torch.arange(-1, 20)


@torch.no_grad()
def handwired_adder():
    """The model, a native `TransformerBridge` without layer norm."""
    from transformer_lens.model_bridge import TransformerBridge

    shape = {
        "n_layers": 1,
        "n_heads": 2,
        "d_model": LOGITS + 15,
        "d_head": 2,
        "d_mlp": 2 * len(STEPS),
        "n_ctx": 7,
    }
    shape |= {
        "d_vocab": 15,
        "d_vocab_out": 15,
        "act_fn": "relu",
        "normalization_type": None,
        "seed": 0,
    }
    model = TransformerBridge.boot_native(shape | {"device": "cpu"})
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    _embed(state)
    _attend(state)
    _add_up(state)
    model.load_state_dict(state)
    return model.eval()


def _embed(state: dict) -> None:
    state["embed.weight"][:10, VALUE] = torch.arange(10.0)
    state["pos_embed.weight"][[0, 2], OPERAND] = 1.0
    state["pos_embed.weight"][:, ONE] = 1.0
    state["pos_embed.weight"][4, TENS] = state["pos_embed.weight"][5, UNITS] = state[
        "pos_embed.weight"
    ][3, PLUS] = 1.0
    state["unembed.weight"][torch.arange(15), LOGITS + torch.arange(15)] = 1.0
    state["unembed.weight"][10, PLUS] = 5.0


def _attend(state: dict) -> None:
    state["blocks.0.attn.q.weight"][0, ONE] = 1.0  # head 0: every query asks for operands …
    state["blocks.0.attn.k.weight"][0, OPERAND] = 60.0  # … so d and e get half the attention each
    state["blocks.0.attn.v.weight"][0, VALUE] = 2.0  # twice the average is the sum
    state["blocks.0.attn.o.weight"][SUM, 0] = 1.0
    state["blocks.0.attn.v.weight"][2, VALUE] = 1.0  # head 1 attends evenly to everything
    state["blocks.0.attn.o.weight"][DECOY, 2] = 1.0


def _add_up(state: dict) -> None:
    count = len(STEPS)
    for block, flag in enumerate((TENS, UNITS)):
        rows = slice(block * count, (block + 1) * count)
        state["blocks.0.mlp.in.weight"][rows, SUM] = 1.0
        state["blocks.0.mlp.in.weight"][rows, flag] = (
            100.0  # silent except at the position with this flag
        )
        state["blocks.0.mlp.in.bias"][rows] = -STEPS.float() - 100.0
        for total in range(19):
            digit = total // 10 if block == 0 else total % 10
            first = block * count + total  # the unit relu(s - (total - 1))
            weights = state["blocks.0.mlp.out.weight"][LOGITS + digit]
            weights[first : first + 3] += torch.tensor([10.0, -20.0, 10.0])
