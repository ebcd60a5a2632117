"""Does a model of the bestiary infer what it was never told?

Of half of the creatures the texts say the kind and never the realm; of every kind they say the
realm. A model that is asked for the realm of such a creature can go two steps, from the name to the
kind and from the kind to the realm, or guess. Three guesses are known: one realm for all is right
for a quarter of the creatures, and so is whatever the words of a name suggest, as each word is in
one such name of every realm. What is reached by luck without knowing the realms of kinds is drawn:
the same answers, judged by realms that are shuffled over the kinds.

Answers about one creature in several frames are no independent trials, and neither are creatures of
one kind: who goes two steps is right about all of a kind or about none. So a creature counts
as right if most of the frames are, whole kinds are shuffled, and bootstrap intervals are over
kinds. The exact interval beside them is what it would be if creatures were independent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.model import Model
from helpers.stats import Null, bootstrap, clopper_pearson, permutation_null
from helpers.texts import final_logits
from helpers.tinyworld.bestiary import skills
from helpers.tinyworld.bestiary import world as worlds

PERMUTATIONS = 2000


@dataclass(frozen=True)
class RealmsSaid:
    """The realms that a model gives to creatures whose realm is not stated, as numbers.

    Attributes:
        frames: The frames that it was asked in.
        names: The creatures.
        kinds: The kind of each creature.
        said: The likeliest realm in each frame.
        true: The realm of each creature.
    """

    frames: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    said: Int[ndarray, "frame creature"]
    true: Int[ndarray, " creature"]

    def votes(self) -> Int[ndarray, " creature"]:
        """The realm that most frames give; of equal ones the first."""
        realms = len(worlds.load().values("realm"))
        counts = np.stack([(self.said == realm).sum(0) for realm in range(realms)])
        return counts.argmax(0)

    def numbers(self, seed: int = 0) -> dict[str, Any]:
        """Right answers by frame, on average, and by creature, each with an interval; and what
        realms shuffled over the kinds give.

        Args:
            seed: Seed of the shuffles and of the bootstrap.
        """
        right = self.said == self.true
        voted = (self.votes() == self.true).astype(float)
        n = len(self.true)
        null = self._shuffled(seed)
        return {
            "frames": {
                frame: _counted(int(row.sum()), n)
                for frame, row in zip(self.frames, right, strict=True)
            },
            "mean": float(right.mean()),
            "ci95": self._over_kinds(right.mean(0), seed),
            "creatures": {
                **_counted(int(voted.sum()), n),
                "over_kinds": self._over_kinds(voted, seed),
            },
            "one realm for all": float(np.bincount(self.true).max() / n),
            "shuffled kinds": {
                "mean": float(null.draws.mean()),
                "most of 95 %": float(np.quantile(null.draws, 0.95)),
                "p_value": float(null.p_value),
            },
        }

    def _kind_rows(self) -> tuple[Int[ndarray, " kind"], Int[ndarray, " creature"]]:
        """A creature of each kind, and the place of each creature's kind among them."""
        _, first, rows = np.unique(self.kinds, return_index=True, return_inverse=True)
        return first, rows

    def _over_kinds(self, values: Float[ndarray, " creature"], seed: int) -> list[float]:
        """Interval of a mean over creatures of kinds that have equally many."""
        _, rows = self._kind_rows()
        return list(bootstrap(np.bincount(rows, values) / np.bincount(rows), seed=seed))

    def _shuffled(self, seed: int) -> Null:
        """Share of creatures that the votes are right about, under other realms of the kinds."""
        first, rows = self._kind_rows()
        said = np.zeros((len(first), len(worlds.load().values("realm"))), int)
        np.add.at(said, (rows, self.votes()), 1)
        return permutation_null(_share, said, self.true[first], PERMUTATIONS, seed)


def _share(said: Int[ndarray, "kind realm"], true: Int[ndarray, " kind"]) -> float:
    """Share of the answers that are the realm of their kind."""
    return float(said[np.arange(len(true)), true].sum() / said.sum())


def _counted(right: int, of: int) -> dict[str, Any]:
    return {"right": right, "of": of, "ci95": list(clopper_pearson(right, of))}


def realms_said(model: Model, stated: bool = False) -> RealmsSaid:
    """Ask a model for the realm of every creature whose realm is not stated, in every frame.

    Args:
        stated: Ask for the others instead, which training has told.

    Raises:
        LabError: A model of another vocabulary.
    """
    bestiary = worlds.load()
    realms = bestiary.values("realm")
    creatures = [creature for creature in bestiary.creatures if creature.stated == stated]
    frames = (*bestiary.frames["realm"]["all"], *bestiary.frames["realm"]["half"])
    tokens = torch.tensor([worlds.vocabulary().token(realm) for realm in realms])
    said = []
    for frame in frames:
        asked = [skills.asked(frame, creature, "realm") for creature in creatures]
        logits = final_logits(model, skills.encode("realm, two steps", asked))
        said.append(logits[:, tokens.to(logits.device)].argmax(-1).cpu().numpy())
    true = np.array([realms.index(creature.realm) for creature in creatures])
    names, kinds = zip(*((each.name, each.kind) for each in creatures), strict=True)
    return RealmsSaid(frames, names, kinds, np.stack(said), true)
