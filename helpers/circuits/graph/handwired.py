"""A model whose circuit is known without any measurement, down to the single weight: two paths,
decoys, silent heads.

A prompt tells the colours of three animals and asks for one: ``start ant red cat blue elk gold ?
cat =``, and the model, of attention only, three layers of four heads, without normalisation,
answers ``blue``. It knows the answer in two ways:

- **path A** L0H0 tells each colour which animal stands before it; at the question L1H1 looks the
  asked animal up among these (its *keys* come from L0H0) and reads the colour; L2H2 carries it to
  the end (its *values* come from L1H1);
- **path B** L0H2 tells each colour the same a second time; L0H3 carries the asked animal to the
  end; there L1H0 looks it up (its *queries* come from L0H3, its keys from L0H2); L2H2 reads the
  colour.

L2H2 averages over the places where a colour was found, so that either path alone gives the very
logits that both give: there are two minimal circuits, of three and of four heads, and no single
head but L2H2 is necessary. Four *decoys* find the same things, write them five times as loud, and
write them where nobody reads. Two heads are *silent*. So 6 of 12 heads are true.

A twin has two words replaced: the asked animal, and where it stood among the pairs, by two
different animals that the prompt does not have. Nothing then matches, and all colours have logit 0.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from helpers.circuits.graph import handwired_parts as parts
from helpers.circuits.graph.edges import EMBED, OUTPUT, Edge, head_name
from helpers.circuits.graph.handwired_parts import DECOYS, PATHS, PLANS, SILENT, WORDS, Masks
from helpers.circuits.tasks import Twins
from helpers.errors import LabError
from helpers.interventions import Head
from helpers.model import Model
from helpers.texts import Prompts

N_LAYERS, N_HEADS = 3, 4
CONFIG = {
    "n_layers": N_LAYERS,
    "n_heads": N_HEADS,
    "d_model": parts.WIDTH,
    "d_head": parts.D_HEAD,
    "n_ctx": parts.N_CTX,
    "d_vocab": len(WORDS),
    "d_vocab_out": len(WORDS),
    "attn_only": True,
    "normalization_type": None,
    "act_fn": "relu",
    "seed": 0,
    "device": "cpu",
}
"""The model's configuration, for `TransformerBridge.boot_native`."""


@dataclass(frozen=True)
class WiredCircuit:
    """One minimal circuit.

    Attributes:
        heads: Its heads in the order of the layers.
        edges: Whatever its heads need to read: setting what comes over one of them to zero breaks
            the circuit, for prompts or for twins (L1H1 needs its resting place for twins only).
        carrying: Those of its edges over which a prompt and its twin differ. Only these are found
            with twins, that is by resampling: the others carry positions, resting places and the
            colours, which a twin has as well.
        weights: For each tensor of the model's state, which of its entries the circuit needs.
    """

    heads: tuple[Head, ...]
    edges: frozenset[Edge]
    carrying: frozenset[Edge]
    weights: Masks


@dataclass(frozen=True)
class HandWired:
    """The model with the truth about it.

    Attributes:
        model: A native `TransformerBridge` model.
        circuits: All minimal circuits: path A, path B.
        decoys: Heads that write much, and differently for prompt and twin, where nobody reads.
        silent: Heads that write nothing.
        rotated: Whether the basis of the residual stream is a random one. Then no single weight is
            needed or superfluous, and the masks of the circuits are empty.
    """

    model: Model
    circuits: tuple[WiredCircuit, ...]
    decoys: tuple[Head, ...]
    silent: tuple[Head, ...]
    rotated: bool

    @property
    def all_heads(self) -> list[Head]:
        """All heads of the model, in the order of the layers."""
        return [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]

    @property
    def heads(self) -> frozenset[Head]:
        """Heads of any path: the true ones."""
        return frozenset().union(*(circuit.heads for circuit in self.circuits))

    @property
    def edges(self) -> frozenset[Edge]:
        """Edges of any path."""
        return frozenset().union(*(circuit.edges for circuit in self.circuits))

    @property
    def carrying(self) -> frozenset[Edge]:
        """Edges of any path over which a prompt and its twin differ."""
        return frozenset().union(*(circuit.carrying for circuit in self.circuits))

    @property
    def weights(self) -> Masks:
        """For each tensor, the entries that any path needs."""
        masks = [circuit.weights for circuit in self.circuits]
        return {name: torch.stack([mask[name] for mask in masks]).any(0) for name in masks[0]}


@torch.no_grad()
def build(
    noise: float = 0.0, rotated: bool = False, sharpness: float = 80.0, seed: int = 0
) -> HandWired:
    """The hand-wired model.

    Args:
        noise: Standard deviation of Gaussian numbers added to what decoys read and write. The
            logits stay the same, bit by bit.
        rotated: Whether to give the residual stream a random orthogonal basis. The logits stay the
            same up to rounding.
        sharpness: Attention score of a match, in nats; resting scores half of it. Below about 20 a
            head reads a little of everything, and what is said here holds approximately. High
            values leave no gradient through attention patterns.
        seed: Seed of the noise, of the weights of silent heads, and of the basis.

    Raises:
        LabError: negative noise, or a sharpness that is not positive.
    """
    from transformer_lens.model_bridge import TransformerBridge

    if not noise >= 0 or not sharpness > 0:  # NaN is neither
        raise LabError(
            "expected no negative noise and a positive sharpness", f"got {noise} and {sharpness}"
        )
    model = TransformerBridge.boot_native(CONFIG)
    wiring = parts.Wiring(model.state_dict())
    wiring.embed()
    for head, plan in PLANS.items():
        wiring.head(head, plan, sharpness)
    generator = torch.Generator().manual_seed(seed)
    wiring.silence(generator)
    wiring.blur(noise, generator)
    basis = parts.orthogonal(seed) if rotated else None
    model.load_state_dict(wiring.state if basis is None else parts.rotate(wiring.state, basis))
    circuits = tuple(_circuit(path, {} if rotated else wiring.needed[path]) for path in PATHS)
    return HandWired(model.eval(), circuits, DECOYS, SILENT, rotated)


CARRYING = {
    "A": "embed→L0H0.v L0H0→L1H1.k embed→L1H1.q L1H1→L2H2.k L1H1→L2H2.v L2H2→output",
    "B": "embed→L0H2.v L0H2→L1H0.k embed→L0H3.v L0H3→L1H0.q L1H0→L2H2.k L1H0→L2H2.v L2H2→output",
}
"""Over these edges of a path a prompt and its twin differ."""


def _circuit(path: str, weights: Masks) -> WiredCircuit:
    """Heads and edges of a path, read off the plan.

    A wire that reads a block joins the head to all who write that block.
    """
    edges = {Edge(head_name(max(PATHS[path])), OUTPUT, "in")}
    for head in PATHS[path]:
        plan = PLANS[head]
        for kind, wire in (("q", plan.query), ("k", plan.key), ("v", plan.value)):
            edges |= {
                Edge(source, head_name(head), kind) for source in _writers(path, wire.outside)
            }
        if plan.rests:
            edges.add(Edge(EMBED, head_name(head), "k"))
    carrying = frozenset(edge for edge in edges if str(edge) in CARRYING[path].split())
    return WiredCircuit(PATHS[path], frozenset(edges), carrying, weights)


def _writers(path: str, block: Sequence[int]) -> list[str]:
    if max(block) < parts.BEFORE_A.start:
        return [EMBED]
    return [head_name(head) for head in PATHS[path] if set(block) <= set(PLANS[head].out.outside)]


def twins(count: int = 64, seed: int = 0) -> Twins:
    """Questions about three animals, and their twins that cannot be answered.

    The wrong answer is the colour of another animal of the prompt; the metric is the difference of
    the two logits, `GAIN` for the prompts and 0 for the twins.

    Raises:
        LabError: no prompts.

    >>> pairs = twins(1)
    >>> pairs.clean.texts[0]
    'start gnu black hen gold dog green ? hen ='
    >>> pairs.corrupted.texts[0]
    'start gnu black ant gold dog green ? cat ='
    """
    if count < 1:
        raise LabError("expected at least one prompt", f"got {count}")
    rng = random.Random(seed)
    texts: list[tuple[str, str]] = []
    answers: list[tuple[str, str]] = []
    for _ in range(count):
        animals, colours = rng.sample(parts.ANIMALS, 5), rng.sample(parts.COLOURS, 3)
        asked, other = rng.sample(range(3), 2)
        replaced = [*animals[:asked], animals[3], *animals[asked + 1 : 3]]
        texts.append(
            (_text(animals[:3], colours, animals[asked]), _text(replaced, colours, animals[4]))
        )
        answers.append((colours[asked], colours[other]))
    clean, corrupted = (_prompts([pair[which] for pair in texts], answers) for which in range(2))
    return Twins(clean, corrupted, "logit difference")


def _text(animals: Sequence[str], colours: Sequence[str], asked: str) -> str:
    pairs = [word for pair in zip(animals, colours, strict=True) for word in pair]
    return " ".join(["start", *pairs, "?", asked, "="])


def _prompts(texts: list[str], answers: list[tuple[str, str]]) -> Prompts:
    tokens = torch.tensor([[WORDS.index(word) for word in text.split()] for text in texts])
    marks = torch.zeros(2, len(texts), len(WORDS), dtype=torch.bool)
    for row, pair in enumerate(answers):
        for which, word in enumerate(pair):
            marks[which, row, WORDS.index(word)] = True
    last = torch.full((len(texts),), parts.LAST)
    return Prompts("hand-wired", tuple(texts), tokens, last, marks[0], marks[1])
