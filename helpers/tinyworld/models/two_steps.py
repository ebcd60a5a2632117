"""Does a model of the bestiary infer what it was never told?

Of half of the creatures the texts say the kind and never the realm; of every kind they say the
realm. A model that is asked for the realm of such a creature can go two steps, from the name to the
kind and from the kind to the realm, or guess. Three guesses are known: one realm for all is right
for a quarter of the creatures, and so is whatever the words of a name suggest, as each word is in
one such name of every realm. What an answer that looks at nothing reaches by luck is drawn: the
same answers, judged by the realms of shuffled kinds.

Answers about one creature in several frames are no independent trials. So the exact interval is of
creatures, each right if most of the frames are; the mean over frames has a bootstrap interval over
creatures.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from helpers.model import Model
from helpers.stats import bootstrap, clopper_pearson, permutation_null
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
        said: The likeliest realm in each frame.
        true: The realm of each creature.
    """

    frames: tuple[str, ...]
    names: tuple[str, ...]
    said: Int[ndarray, "frame creature"]
    true: Int[ndarray, " creature"]

    def votes(self) -> Int[ndarray, " creature"]:
        """The realm that most frames give; of equal ones the first."""
        realms = len(worlds.load().values("realm"))
        counts = np.stack([(self.said == realm).sum(0) for realm in range(realms)])
        return counts.argmax(0)

    def numbers(self, seed: int = 0) -> dict[str, Any]:
        """Right answers by frame, on average, and by creature, each with an interval; and what
        shuffled kinds give.

        Args:
            seed: Seed of the shuffles and of the bootstrap.
        """
        right, voted = self.said == self.true, int((self.votes() == self.true).sum())
        n = len(self.true)
        null = permutation_null(_share, self.votes(), self.true, PERMUTATIONS, seed)
        return {
            "frames": {
                frame: _counted(int(row.sum()), n)
                for frame, row in zip(self.frames, right, strict=True)
            },
            "mean": float(right.mean()),
            "ci95": list(bootstrap(right.mean(0), seed=seed)),
            "creatures": _counted(voted, n),
            "one realm for all": float(np.bincount(self.true).max() / n),
            "shuffled kinds": {
                "mean": float(null.draws.mean()),
                "most of 95 %": float(np.quantile(null.draws, 0.95)),
                "p_value": float(null.p_value),
            },
        }


def _share(said: ndarray, true: ndarray) -> float:
    return float((said == true).mean())


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
    return RealmsSaid(frames, tuple(each.name for each in creatures), np.stack(said), true)
