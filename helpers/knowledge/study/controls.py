"""Can a mask write what it claims to find? The same search where there is nothing to be found.

A mask has half a million yes-or-no choices, and is learned from answers. If it can make a network
say what the network was never taught, then that a mask says something is no proof that the network
knew it. So a mask is learned for the *answers* (mean NLL; there is no model whose words it could
keep) on

===================  ==============================================================================
facts                the true kinds: what the others are compared with
exchanged kinds      false ones, exchanged throughout: every bird is a fish
dealt out            false ones, dealt out anew to the entities: there is nothing to be found
shuffled weights     true ones; the weights of every tensor of the blocks in random order, under the
                     trained embeddings and unembedding
untrained            true ones; the model before its first step
before the facts     true ones; the model at step 468, which knows verbs (.99) and no kinds (.05)
===================  ==============================================================================

and asked three times: what it was learned with; the same entities in frames that are not; entities
and frames that are not. Of facts dealt out at random nothing says what another entity's would be,
so there only the first two can be above chance.
"""

from dataclasses import dataclass, replace

import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, Facts, divided, facts, permuted
from helpers.knowledge.masks import plain
from helpers.knowledge.masks.plain import PlainBlocks
from helpers.knowledge.masks.search import Targets
from helpers.knowledge.study.tasks import of_subjects

MODEL = "tinyworld"
BEFORE = 468
"""The stored step before kinds are known: .045 right of 20 kinds, verb number .985."""
CONTROLS = (
    "facts",
    "exchanged kinds",
    "dealt out",
    "shuffled weights",
    "untrained",
    "before the facts",
)
ASKED = ("learned", "other frames", "other entities")


@dataclass(frozen=True)
class Control:
    """A network, and answers to learn a mask for.

    Attributes:
        name: One of `CONTROLS`.
        blocks: The weights that the mask covers.
        asked: For each of `ASKED` prompts with the answers that are wanted.
    """

    name: str
    blocks: PlainBlocks
    asked: dict[str, Facts]

    @property
    def objective(self) -> Targets:
        """The mean NLL of the answers that are wanted."""
        learned = self.asked["learned"]
        return Targets(self.blocks, learned.tokens, learned.last, learned.answers)


def control(name: str, seed: int = 0) -> Control:
    """A control on TinyWorld's kinds.

    Args:
        seed: Of the exchange, the dealing or the order of weights.

    Raises:
        LabError: No such control.
    """
    asked = wanted(name, seed)
    step = {"untrained": 0, "before the facts": BEFORE}.get(name)
    blocks = plain.of(zoo.load(MODEL, device="cpu", step=step))
    if name == "shuffled weights":
        blocks = shuffled(blocks, seed)
    return Control(name, blocks, asked)


def wanted(name: str, seed: int = 0) -> dict[str, Facts]:
    """For each of `ASKED` the prompts of a control, with the answers that are wanted.

    Raises:
        LabError: No such control.

    >>> len(set(wanted("dealt out")["other entities"].subjects))
    77
    """
    if name not in CONTROLS:
        raise LabError(f"expected a control of masks: {', '.join(CONTROLS)}", f"got {name!r}")
    searched, held_out = divided()
    asked = {}
    for key, entities, frames in zip(
        ASKED, (searched, searched, held_out), ("search", "held out", "held out"), strict=True
    ):
        given = facts("kind", searched + held_out, FRAMES["kind"][frames])
        if name in ("exchanged kinds", "dealt out"):
            given = permuted(given, seed, by_value=name == "exchanged kinds")
        asked[key] = of_subjects(given, entities)
    return asked


def shuffled(blocks: PlainBlocks, seed: int = 0) -> PlainBlocks:
    """The same weights, those of every tensor in random order.

    >>> from helpers.knowledge.facts import factnet
    >>> its = plain.of(factnet.build().model)
    >>> bool((shuffled(its).values.sort().values == its.values.sort().values).all())
    True
    """
    generator = torch.Generator().manual_seed(seed)
    parts = [
        part.flatten()[torch.randperm(part.numel(), generator=generator)]
        for part in blocks.tensors(blocks.values).values()
    ]
    return replace(blocks, values=torch.cat(parts))
