"""FactNet: a model whose every fact stands in weights that are known one by one.

A prompt has three tokens, ``start wren kind`` or ``start wren realm`` or ``start bird realm``, and
the model answers ``bird``, ``animal``, ``animal``. Two layers, no normalisation, ReLU:

1. head L0H0 looks from the last position at the subject and copies it: an entity into the block
   *subject*, a kind into the block *kind*;
2. MLP 0 holds the facts, one neuron an entity: neuron i reads subject i and writes its kind. So
   "a wren is a bird" is two weights, and editing it is moving one of them;
3. MLP 1 answers: for each kind one neuron fires if the kind is asked for, another one, which
   writes the realm of that kind, if the realm is. The realm of an entity is thus *inferred* from
   its kind: whoever changes the kind in MLP 0 changes the realm as well.

All other heads and neurons are *decoys*: they read everything, as loud as the rest or louder, and
write into a block that nobody reads. A mask over the weights can therefore be judged weight by
weight.

Three variants make it harder. With `redundant` every fact stands in two neurons, each of which is
enough: then there are two circuits, and neither is *the* circuit. With `noise` the live parts also
read and write a little of what they should not. With `rotated` the residual stream has a random
basis: the model computes the same, but no single weight means anything any more.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.model import Model

OF_KIND = {
    "bird": ("wren", "owl", "finch", "robin"),
    "fish": ("trout", "carp", "perch", "pike"),
    "tree": ("oak", "elm", "birch", "maple"),
    "flower": ("rose", "tulip", "daisy", "poppy"),
}
KINDS = tuple(OF_KIND)
ENTITIES = tuple(entity for entities in OF_KIND.values() for entity in entities)
REALMS = ("animal", "plant")
RELATIONS = ("kind", "realm")
WORDS = (*ENTITIES, *KINDS, *REALMS, *RELATIONS, "start")
KIND_OF = {entity: kind for kind, entities in OF_KIND.items() for entity in entities}
REALM_OF = {kind: REALMS[number // 2] for number, kind in enumerate(KINDS)}

_BLOCKS = {"token": len(WORDS), "position": 3, "subject": 16, "kind": 4, "answer": 6, "unread": 12}
WIDTH = sum(_BLOCKS.values())
_STARTS = dict(zip(_BLOCKS, [sum(list(_BLOCKS.values())[:i]) for i in range(6)], strict=True))
TOKEN, POSITION, SUBJECT, KIND, ANSWER, UNREAD = (
    range(_STARTS[name], _STARTS[name] + size) for name, size in _BLOCKS.items()
)
"""Dimensions of the residual stream, block by block."""
N_LAYERS, N_HEADS, D_HEAD, D_MLP, N_CTX = 2, 4, 20, 48, 3
SHARPNESS, GAIN = 40.0, 10.0
"""Attention score of a match, and logit of an answer."""
CONFIG = {
    "n_layers": N_LAYERS,
    "n_heads": N_HEADS,
    "d_model": WIDTH,
    "d_head": D_HEAD,
    "n_ctx": N_CTX,
    "d_vocab": len(WORDS),
    "d_vocab_out": len(WORDS),
    "d_mlp": D_MLP,
    "act_fn": "relu",
    "normalization_type": None,
    "seed": 0,
    "device": "cpu",
}

State = dict[str, Float[Tensor, "..."]]
Masks = dict[str, Bool[Tensor, "..."]]


@dataclass(frozen=True)
class FactNet:
    """The model with the truth about it.

    Attributes:
        model: A native `TransformerBridge` model.
        wired: For each tensor of the model's state, which entries any prompt needs; all False where
            the basis is rotated.
        fact_rows: For each entity the neurons of MLP 0 that hold its fact: one, or two where the
            facts are redundant.
    """

    model: Model
    wired: Masks
    fact_rows: dict[str, tuple[int, ...]]


def token(word: str) -> int:
    """The token of a word.

    Raises:
        LabError: A word that FactNet does not know.

    >>> token("owl")
    1
    """
    if word not in WORDS:
        raise LabError("expected a word of FactNet: " + " ".join(WORDS), f"got {word!r}")
    return WORDS.index(word)


def prompts() -> tuple[Int[Tensor, "prompt 3"], Int[Tensor, " prompt"]]:
    """Every question that FactNet answers, and the right answers: kinds and realms of the
    entities, then realms of the kinds.

    >>> tokens, answers = prompts()
    >>> tokens.shape, WORDS[answers[0]]
    (torch.Size([36, 3]), 'bird')
    """
    asked = [(entity, "kind", KIND_OF[entity]) for entity in ENTITIES]
    asked += [(entity, "realm", REALM_OF[KIND_OF[entity]]) for entity in ENTITIES]
    asked += [(kind, "realm", REALM_OF[kind]) for kind in KINDS]
    tokens = [[token("start"), token(subject), token(relation)] for subject, relation, _ in asked]
    return torch.tensor(tokens), torch.tensor([token(answer) for *_, answer in asked])


def build(
    noise: float = 0.0,
    loudness: float = 1.0,
    redundant: bool = False,
    rotated: bool = False,
    seed: int = 0,
) -> FactNet:
    """The hand-wired model.

    Args:
        noise: Standard deviation of what stands in place of the zeros of the blocks.
        loudness: Size of the decoys' weights.
        redundant: Whether every fact stands in two neurons, each of which alone gives the answer.
        rotated: Whether the residual stream has a random orthogonal basis.
        seed: Seed of decoys, noise and basis.

    Raises:
        LabError: Noise or loudness below zero.

    >>> net = build()
    >>> tokens, answers = prompts()
    >>> bool((net.model(tokens)[:, -1].argmax(-1) == answers).all())
    True
    """
    from transformer_lens.model_bridge import TransformerBridge

    if not noise >= 0 or not loudness >= 0:  # NaN is neither
        raise LabError("expected noise and loudness of 0 or more", f"got {noise} and {loudness}")
    model = TransformerBridge.boot_native(CONFIG)
    wiring = _Wiring(model.state_dict())
    wiring.read_subject()
    rows = wiring.store_facts(redundant)
    wiring.answer()
    generator = torch.Generator().manual_seed(seed)
    live = ((D_HEAD, 16 * (1 + redundant)), (0, 2 * len(KINDS)))
    wiring.decoys(loudness, live, generator)
    wiring.blur(noise, live, generator)
    if rotated:
        model.load_state_dict(_rotated(wiring.state, generator))
        wired = {name: torch.zeros_like(mask) for name, mask in wiring.wired.items()}
    else:
        model.load_state_dict(wiring.state)
        wired = wiring.wired
    return FactNet(model.eval(), wired, rows)


class _Wiring:
    """Weights being set, and which of them any prompt needs."""

    def __init__(self, empty: State) -> None:
        self.state = {name: torch.zeros_like(tensor) for name, tensor in empty.items()}
        self.wired = {
            name: torch.zeros_like(mask, dtype=torch.bool) for name, mask in empty.items()
        }
        for word in range(len(WORDS)):
            self._put("embed.weight", (word, TOKEN[word]), 1.0)
        for position in range(N_CTX):
            self._put("pos_embed.weight", (position, POSITION[position]), 1.0)
        for number, word in enumerate((*KINDS, *REALMS)):
            self._put("unembed.weight", (token(word), ANSWER[number]), GAIN)

    def _put(self, name: str, index: tuple[int, ...], weight: float) -> None:
        self.state[name][index] = weight
        self.wired[name][index] = True

    def read_subject(self) -> None:
        """L0H0: the last position attends to the subject's and copies what stands there."""
        root = (SHARPNESS * D_HEAD**0.5) ** 0.5  # scores are divided by the root of d_head
        self._put("blocks.0.attn.q.weight", (0, POSITION[2]), root)
        self._put("blocks.0.attn.k.weight", (0, POSITION[1]), root)
        for inside, outside in enumerate((*SUBJECT, *KIND)):
            self._put("blocks.0.attn.v.weight", (inside, TOKEN[inside]), 1.0)
            self._put("blocks.0.attn.o.weight", (outside, inside), 1.0)

    def store_facts(self, redundant: bool) -> dict[str, tuple[int, ...]]:
        """MLP 0: a neuron an entity, or two. Returns which."""
        rows: dict[str, tuple[int, ...]] = {}
        for number, entity in enumerate(ENTITIES):
            rows[entity] = (number, 16 + number) if redundant else (number,)
            for row in rows[entity]:
                self._put("blocks.0.mlp.in.weight", (row, SUBJECT[number]), 1.0)
                kind = KIND[KINDS.index(KIND_OF[entity])]
                self._put("blocks.0.mlp.out.weight", (kind, row), 1.0)
        return rows

    def answer(self) -> None:
        """MLP 1: a neuron for each kind and relation; it fires if both are there."""
        for number, kind in enumerate(KINDS):
            realm = len(KINDS) + REALMS.index(REALM_OF[kind])
            for relation, out in enumerate((number, realm)):
                row = number + len(KINDS) * relation
                self._put("blocks.1.mlp.in.weight", (row, KIND[number]), 1.0)
                asked = TOKEN[token(RELATIONS[relation])]
                self._put("blocks.1.mlp.in.weight", (row, asked), 1.0)
                self._put("blocks.1.mlp.in.bias", (row,), -1.0)
                self._put("blocks.1.mlp.out.weight", (ANSWER[out], row), 1.0)

    def decoys(self, loudness: float, live: "_Live", generator: torch.Generator) -> None:
        """Heads and neurons that read everything and write where nobody reads."""

        def random(weight: Tensor, size: float) -> None:
            weight.copy_(loudness * size * torch.randn(weight.shape, generator=generator))

        for layer, (inside, neurons) in enumerate(live):
            block = f"blocks.{layer}"
            for part in "qkv":
                random(self.state[f"{block}.attn.{part}.weight"][inside:], 0.5)
            random(self.state[f"{block}.attn.o.weight"][UNREAD.start :, inside:], 1.0)
            random(self.state[f"{block}.mlp.in.weight"][neurons:], 0.5)
            random(self.state[f"{block}.mlp.out.weight"][UNREAD.start :, neurons:], 1.0)

    def blur(self, noise: float, live: "_Live", generator: torch.Generator) -> None:
        """Noise on all that the live parts read and write, but not on the wires.

        They do not read what decoys write: that is loud, and would drown the facts.
        """
        for layer, (inside, neurons) in enumerate(live):
            block = f"blocks.{layer}"
            read = [(f"{block}.attn.{part}.weight", inside) for part in "qkv"]
            for name, rows in [*read, (f"{block}.mlp.in.weight", neurons)]:
                self._blur(name, (slice(rows), slice(UNREAD.start)), noise, generator)
            for part, columns in (("attn.o", inside), ("mlp.out", neurons)):
                name = f"{block}.{part}.weight"
                self._blur(name, (slice(None), slice(columns)), noise, generator)

    def _blur(self, name: str, where: tuple, noise: float, generator: torch.Generator) -> None:
        weight = self.state[name][where]
        weight += noise * torch.randn(weight.shape, generator=generator) * ~self.wired[name][where]


_Live = tuple[tuple[int, int], ...]
"""For each layer how many dimensions of its heads, and how many of its neurons, do the work."""


def _rotated(state: State, generator: torch.Generator) -> State:
    """The same model in a random orthogonal basis of the residual stream."""
    square = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(square)
    basis = q * r.diagonal().sign()
    turned = {}
    for name, tensor in state.items():
        exact = tensor.double()
        if name.endswith(("o.weight", "out.weight")):
            exact = basis @ exact
        elif exact.ndim == 2:  # all others have the residual stream as their last axis
            exact = exact @ basis.T
        turned[name] = exact.to(tensor)
    return turned
