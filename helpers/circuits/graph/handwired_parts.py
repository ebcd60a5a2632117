"""The plan of the hand-wired model: what each head attends to, reads and writes, and which of the
two paths needs it.

The residual stream is cut into blocks, each of them one-hot. Heads are planned as wires between
dimensions of the stream and dimensions of the head, so that every weight has a purpose, and a list
of the paths that need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.interventions import Head

ANIMALS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
COLOURS = ("red", "blue", "green", "gold", "grey", "pink", "white", "black")
WORDS = (*ANIMALS, *COLOURS, "start", "?", "=")
"""The vocabulary; a word's number is its token."""

# dimensions of the residual stream
ANIMAL, COLOUR, START = range(0, 8), range(8, 16), 16  # token, one-hot; "?" and "=" are 17 and 18
POSITION = range(19, 29)
BEFORE_A, BEFORE_B = range(29, 37), range(37, 45)  # the animal before this colour
ASKED = range(45, 53)  # the animal that is asked for
FOUND = range(53, 61)  # its colour
ANSWER = range(61, 69)  # what the unembedding reads
UNREAD = range(69, 80)
WIDTH, D_HEAD, N_CTX = 80, 10, 10

PAIR_ANIMALS, PAIR_COLOURS, QUESTION, LAST = (1, 3, 5), (2, 4, 6), 8, 9
"""Positions: `start A1 C1 A2 C2 A3 C3 ? A =`."""
REST = D_HEAD - 1
"""Dimension of a head by which it attends to the first token, half as strongly as to a match, where
nothing matches."""
LOUD, GAIN = 5.0, 10.0
"""What decoys write (true heads write 1), and by how much the unembedding enlarges `ANSWER`."""


@dataclass(frozen=True)
class Wire:
    """Dimensions of a head joined one by one to dimensions of the residual stream."""

    inside: Sequence[int]
    outside: Sequence[int]
    weight: float = 1.0


@dataclass(frozen=True)
class HeadPlan:
    """One head.

    Attributes:
        query, key: What is matched; their weight is the root of the sharpness.
        value, out: What it reads where it attends, and where that is written.
        rests: Whether it attends to the first token where nothing matches.
        paths: Those of the paths "A" and "B" that need it.
    """

    query: Wire
    key: Wire
    value: Wire
    out: Wire
    rests: bool = False
    paths: str = ""


def _positions(chosen: Sequence[int]) -> list[int]:
    return [POSITION[position] for position in chosen]


EIGHT, THREE, ONE = range(8), range(3), range(1)
PREVIOUS = (
    Wire(THREE, _positions(PAIR_COLOURS)),
    Wire(THREE, _positions(PAIR_ANIMALS)),
    Wire(EIGHT, ANIMAL),
)
"""Each colour of a pair attends to the animal before it and reads which one it is."""
FROM_LAST = Wire(ONE, _positions([LAST]))
COLLECT = FROM_LAST, Wire([0] * 8, FOUND), Wire(EIGHT, FOUND)
"""The last position attends evenly to all positions that have found a colour, and reads it."""

PLANS: dict[Head, HeadPlan] = {
    # path A: at the question, look the animal up; then carry the colour to the end
    (0, 0): HeadPlan(*PREVIOUS, Wire(EIGHT, BEFORE_A), paths="A"),
    (1, 1): HeadPlan(
        Wire(EIGHT, ANIMAL),
        Wire(EIGHT, BEFORE_A),
        Wire(EIGHT, COLOUR),
        Wire(EIGHT, FOUND),
        rests=True,
        paths="A",
    ),
    # path B: carry the animal to the end; then look it up there
    (0, 2): HeadPlan(*PREVIOUS, Wire(EIGHT, BEFORE_B), paths="B"),
    (0, 3): HeadPlan(
        FROM_LAST,
        Wire(ONE, _positions([QUESTION])),
        Wire(EIGHT, ANIMAL),
        Wire(EIGHT, ASKED),
        paths="B",
    ),
    (1, 0): HeadPlan(
        Wire(EIGHT, ASKED),
        Wire(EIGHT, BEFORE_B),
        Wire(EIGHT, COLOUR),
        Wire(EIGHT, FOUND),
        rests=True,
        paths="B",
    ),
    # both: an average, so that one path alone gives what both give
    (2, 2): HeadPlan(*COLLECT, Wire(EIGHT, ANSWER), paths="AB"),
    # decoys: they do the same work, louder, and write where nobody reads
    (0, 1): HeadPlan(
        Wire(EIGHT, ANIMAL),
        Wire(EIGHT, ANIMAL),
        Wire(THREE, _positions(PAIR_ANIMALS)),
        Wire(THREE, UNREAD[:3], LOUD),
    ),
    (1, 2): HeadPlan(
        Wire(EIGHT, ANIMAL),
        Wire(EIGHT, BEFORE_A),
        Wire([0] * 8, COLOUR),
        Wire(ONE, UNREAD[3:4], LOUD),
        rests=True,
    ),
    (2, 0): HeadPlan(*COLLECT, Wire(EIGHT, UNREAD[3:], LOUD)),
    (2, 3): HeadPlan(
        Wire(EIGHT, ASKED),
        Wire(EIGHT, BEFORE_B),
        Wire(EIGHT, COLOUR),
        Wire(EIGHT, UNREAD[3:], LOUD),
        rests=True,
    ),
}
DECOYS: tuple[Head, ...] = ((0, 1), (1, 2), (2, 0), (2, 3))
SILENT: tuple[Head, ...] = ((1, 3), (2, 1))
"""Heads that write nothing: the first attends and reads but has no output, the second has outputs
but reads nothing."""
PATHS: dict[str, tuple[Head, ...]] = {
    path: tuple(sorted(head for head, plan in PLANS.items() if path in plan.paths)) for path in "AB"
}

State = dict[str, Float[Tensor, "..."]]
Masks = dict[str, Bool[Tensor, "..."]]


class Wiring:
    """Weights being set, and for each path which of them it needs.

    Args:
        empty: The tensors of the model's state; only their shapes are used.
    """

    def __init__(self, empty: State) -> None:
        self.state = {name: torch.zeros_like(tensor) for name, tensor in empty.items()}
        self.needed: dict[str, Masks] = {
            path: {name: torch.zeros_like(mask, dtype=torch.bool) for name, mask in empty.items()}
            for path in PATHS
        }

    def put(self, name: str, index: tuple[Sequence[int], ...], weight: float, paths: str) -> None:
        """Set the entries at some indices, row by row."""
        where = tuple(torch.tensor(list(part)) for part in index)
        self.state[name][where] = weight
        for path in paths:
            self.needed[path][name][where] = True

    def embed(self) -> None:
        """Tokens and positions, one-hot, and what the unembedding reads."""
        read = [*ANIMAL, *COLOUR, START]
        self.put("embed.weight", (read, read), 1.0, "AB")
        self.put("embed.weight", ([17, 18], [17, 18]), 1.0, "")
        self.put("pos_embed.weight", (range(N_CTX), POSITION), 1.0, "")
        for positions, paths in (([*PAIR_ANIMALS, *PAIR_COLOURS, LAST], "AB"), ([QUESTION], "B")):
            self.put("pos_embed.weight", (positions, _positions(positions)), 1.0, paths)
        self.put("unembed.weight", (COLOUR, ANSWER), GAIN, "AB")

    def head(self, head: Head, plan: HeadPlan, sharpness: float) -> None:
        """The wires of a head. A match scores `sharpness`, and a resting place half of it."""
        layer, first = f"blocks.{head[0]}.attn", head[1] * D_HEAD
        root = (sharpness * D_HEAD**0.5) ** 0.5  # scores are divided by the root of d_head
        for part, wire, weight in (
            ("q", plan.query, root),
            ("k", plan.key, root),
            ("v", plan.value, plan.value.weight),
        ):
            rows = [first + dimension for dimension in wire.inside]
            self.put(f"{layer}.{part}.weight", (rows, wire.outside), weight, plan.paths)
        columns = [first + dimension for dimension in plan.out.inside]
        self.put(f"{layer}.o.weight", (plan.out.outside, columns), plan.out.weight, plan.paths)
        if plan.rests:
            self.put(f"{layer}.q.bias", ([first + REST],), root, plan.paths)
            self.put(f"{layer}.k.weight", ([first + REST], [START]), root / 2, plan.paths)

    def silence(self, generator: torch.Generator) -> None:
        """Heads that write nothing, though half of their weights are not zero."""
        for (layer, head), parts in zip(SILENT, ("qkv", "o"), strict=True):
            span = slice(head * D_HEAD, (head + 1) * D_HEAD)
            for part in parts:
                weight = self.state[f"blocks.{layer}.attn.{part}.weight"]
                where = (slice(None), span) if part == "o" else (span, slice(None))
                weight[where] = torch.randn(weight[where].shape, generator=generator)

    def blur(self, noise: float, generator: torch.Generator) -> None:
        """Decoys also read what is read anywhere, and write it into the block that nobody reads."""
        for layer, head in DECOYS:
            span = slice(head * D_HEAD, (head + 1) * D_HEAD)
            read = self.state[f"blocks.{layer}.attn.v.weight"][span, : UNREAD.start]
            read += noise * torch.randn(read.shape, generator=generator)
            out = self.state[f"blocks.{layer}.attn.o.weight"][UNREAD.start :, span]
            out += noise * LOUD * torch.randn(out.shape, generator=generator)


def rotate(state: State, basis: Float[Tensor, "d_model d_model"]) -> State:
    """The same model in another basis of the residual stream: `basis` @ x takes the place of x."""
    turned = {}
    for name, tensor in state.items():
        exact = tensor.double()
        if name.endswith("o.weight"):
            exact = basis @ exact
        elif exact.ndim == 2:  # all others have the residual stream as their last axis
            exact = exact @ basis.T
        turned[name] = exact.to(tensor)
    return turned


def orthogonal(seed: int) -> Float[Tensor, "d_model d_model"]:
    """A random orthogonal matrix, uniform over all of them.

    QR of a Gaussian matrix, with the signs of R's diagonal.
    """
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    return q * r.diagonal().sign()
