"""Recipes of the TinyWorld models, and the task that trains them: predict every next word of a row.

``tinyworld`` has MLPs and a dense series of checkpoints; ``tinyworld-attn`` has attention only, at
most sixteen heads, so that every subset of them can be tried. ``tinyworld-facts`` has the shape of
``tinyworld`` and is trained on the bestiary, whose names have two words.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.model import Model
from helpers.texts import Vocabulary
from helpers.tinyworld.bestiary import texts as bestiary_texts
from helpers.tinyworld.bestiary import world as bestiaries
from helpers.tinyworld.language import documents
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.words import vocabulary
from helpers.training import WORDS, Recipe, Task


@dataclass(frozen=True)
class TextTask(Task):
    """Rows of TinyWorld text.

    Attributes:
        length: Number of tokens per row.
        mixture: Which documents are made, and how often (`documents.MIXTURES`).
        world: Checksum of the world that the recipe was written for.
        words: Checksum of its vocabulary.
    """

    length: int
    mixture: str
    world: str
    words: str

    FILES: ClassVar[str] = "world.toml and frames.toml"
    """Which files the world is in."""
    MIXTURES: ClassVar[dict[str, dict[str, float]]] = documents.MIXTURES
    """Shares of documents, by the name of a mixture."""

    def initialise(self, model: Model) -> dict[str, Bool[Tensor, "..."]]:
        """Leave the model as it is; make sure that the world is the recipe's.

        Raises:
            LabError: The files of the world have changed since.
        """
        world, words = self.checksum(), self.vocabulary().checksum
        if (world, words) != (self.world, self.words):
            raise LabError(
                f"expected the world {self.world} with the vocabulary {self.words}",
                f"the files {self.FILES} give {world} with {words}",
                hint="undo the change, or train anew into another folder",
            )
        return {}

    @staticmethod
    def checksum() -> str:
        """The checksum of the world as it stands."""
        return worlds.checksum()

    @staticmethod
    def vocabulary() -> Vocabulary:
        """The words of the world as it stands."""
        return vocabulary()

    def batch(self, rng: np.random.Generator, size: int) -> Int[ndarray, "row pos"]:
        return documents.rows(rng, size, self.length, self.mixture)

    def metadata(self) -> dict[str, str]:
        return {WORDS: " ".join(self.vocabulary().words)}

    def loss(self, model: Model, batch: Int[ndarray, "row pos"]) -> Float[Tensor, ""]:
        tokens = torch.from_numpy(batch).to(next(model.parameters()).device)
        logits = model(tokens[:, :-1])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


class BestiaryTask(TextTask):
    """Rows of text about the bestiary's creatures."""

    FILES = "bestiary.toml and world.py"
    MIXTURES = bestiary_texts.MIXTURES

    @staticmethod
    def checksum() -> str:
        return bestiaries.checksum()

    @staticmethod
    def vocabulary() -> Vocabulary:
        return bestiaries.vocabulary()

    def batch(self, rng: np.random.Generator, size: int) -> Int[ndarray, "row pos"]:
        return bestiary_texts.rows(rng, size, self.length, self.mixture)


TASKS: dict[str, type[TextTask]] = {"tinyworld": TextTask, "bestiary": BestiaryTask}
"""The tasks of recipes for texts, by the name that a recipe gives."""


def task_of(recipe: Recipe) -> TextTask:
    """The task of a TinyWorld recipe."""
    return TASKS[recipe.task](**recipe.data)


def _recipe(
    name: str,
    mixture: str,
    steps: int,
    learning_rate: float,
    n_checkpoints: int,
    task: str = "tinyworld",
    **shape,
) -> Recipe:
    kind = TASKS[task]
    shape = {
        "n_layers": 4,
        "n_heads": 4,
        "d_model": 128,
        "d_head": 32,
        "n_ctx": 64,
        "normalization_type": "LN",
    } | shape
    return Recipe(
        name=name,
        task=task,
        model=shape | {"d_vocab": len(kind.vocabulary())},
        data={
            "length": 64,
            "mixture": mixture,
            "world": kind.checksum(),
            "words": kind.vocabulary().checksum,
        },
        steps=steps,
        batch_size=48,
        learning_rate=learning_rate,
        warmup_steps=200,
        weight_decay=0.05,
        n_checkpoints=n_checkpoints,
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _recipe(
            "tinyworld",
            "trust",
            steps=8000,
            learning_rate=3e-3,
            n_checkpoints=40,
            d_mlp=256,
            act_fn="gelu",
        ),
        _recipe(
            "tinyworld-attn",
            "circuits",
            steps=5000,
            learning_rate=2e-3,
            n_checkpoints=20,
            attn_only=True,
        ),
        _recipe(
            "tinyworld-facts",
            bestiary_texts.MIXTURE,
            steps=3000,
            learning_rate=3e-3,
            n_checkpoints=40,
            task="bestiary",
            d_mlp=256,
            act_fn="gelu",
        ),
    )
}
"""The embedded models."""
