"""Recipes of the arithmetic models, and the tasks that train them.

The loss is the mean cross-entropy over the n + 2 answer tokens, sign included (arXiv 2402.02619,
"Training"), in float32 rather than the paper's float64: the models are small enough that the
difference does not show.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, enriched, mixed, short_carries
from helpers.arithmetic.training.insertion import Arm, Freeze, frozen, insert
from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.model import Model
from helpers.training import Recipe, Task


def answer_loss(
    model: Model, fmt: Format, tokens: Int[Tensor, "question pos"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy over the answer tokens, in nats.

    Raises:
        LabError: No question, what are no token ids, or another number of them than the format's.
    """
    tokens = token_ids(tokens)
    if tokens.shape[1] != fmt.n_ctx:
        raise LabError(
            f"expected {fmt.n_ctx} tokens a question of {fmt.n_digits} digits",
            f"got {tokens.shape[1]}",
        )
    tokens = tokens.to(next(model.parameters()).device)
    start = fmt.equals_position
    logits = model(tokens[:, :-1])[:, start:]  # the last token predicts nothing
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, start + 1 :].flatten())


@dataclass(frozen=True)
class AdditionTask(Task):
    """Batches of addition questions in the paper's format.

    Attributes:
        fmt: Format of the questions.
        p_slots, p_cascade: Shares of the enriched mixture (see `questions.enriched`).
        max_cascade: If given, the questions are drawn uniformly among the classes S0 to
            S`max_cascade` instead.
    """

    fmt: Format
    p_slots: float = 0.0
    p_cascade: float = 0.0
    max_cascade: int | None = None

    def batch(self, rng: np.random.Generator, size: int) -> Int[Tensor, "question pos"]:
        if self.max_cascade is not None:
            return short_carries(self.fmt.n_digits, size, rng, self.max_cascade).tokens(self.fmt)
        questions = enriched(
            self.fmt.n_digits, size, rng, p_slots=self.p_slots, p_cascade=self.p_cascade
        )
        return questions.tokens(self.fmt)

    def loss(self, model: Model, batch: Int[Tensor, "question pos"]) -> Float[Tensor, ""]:
        return answer_loss(model, self.fmt, batch)


@dataclass(frozen=True)
class MixedTask(Task):
    """Batches of additions and subtractions, for a model into which an adder was inserted.

    Attributes:
        fmt: Format of the questions.
        p_subtract, p_equal, p_slots, p_cascade: Shares of the mixture (see `questions.mixed`).
        arm: How the source is inserted (see `insertion`).
        source: Name of the inserted model; empty for the arm from scratch.
        sha256: First twelve digits of the checksum of its weights, for a run is determined by them
            too.
        freeze: What training leaves alone (see `insertion.frozen`).
    """

    fmt: Format
    p_subtract: float
    p_equal: float
    p_slots: float
    p_cascade: float
    arm: Arm
    source: str
    sha256: str
    freeze: Freeze

    def initialise(self, model: Model) -> dict[str, Bool[Tensor, "..."]]:
        """Insert the source.

        Raises:
            LabError: The source has other weights than those the recipe was written for.
        """
        if self.arm == "scratch":
            return {}
        from helpers import zoo

        sha256 = zoo.check(self.source).sha256
        if not sha256.startswith(self.sha256):
            raise LabError(
                f"expected {self.source} with the checksum {self.sha256}…",
                f"its weights have {sha256[:12]}…: it was trained anew",
                hint="write the new checksum into helpers/arithmetic/training/recipes.py and train "
                "the mixed models anew",
            )
        source = zoo.load(self.source, device="cpu")
        insert(source, model, self.arm)
        return frozen(source, model, self.arm, self.freeze)

    def batch(self, rng: np.random.Generator, size: int) -> Int[Tensor, "question pos"]:
        shares = (self.p_subtract, self.p_equal, self.p_slots, self.p_cascade)
        return mixed(self.fmt.n_digits, size, rng, *shares).tokens(self.fmt)

    def loss(self, model: Model, batch: Int[Tensor, "question pos"]) -> Float[Tensor, ""]:
        return answer_loss(model, self.fmt, batch)


def task_of(recipe: Recipe) -> AdditionTask | MixedTask:
    """The task of an arithmetic recipe."""
    settings = dict(recipe.data)
    kind = {"addition": AdditionTask, "mixed": MixedTask}[recipe.task]
    return kind(Format(settings.pop("n_digits")), **settings)


MIXTURE = {"p_slots": 0.3, "p_cascade": 0.3}


def _shape(n_digits: int, n_layers: int, n_heads: int) -> dict:
    shape = {"n_layers": n_layers, "n_heads": n_heads, "d_model": 96, "d_head": 32, "d_mlp": 384}
    return shape | {
        "n_ctx": 3 * n_digits + 4,
        "d_vocab": 15,
        "act_fn": "relu",
        "normalization_type": "LN",
    }


def _adder(
    name: str, n_digits: int, steps: int, n_layers: int = 2, data: dict = MIXTURE, seed: int = 0
) -> Recipe:
    return Recipe(
        name=name,
        task="addition",
        model=_shape(n_digits, n_layers, n_heads=3),
        data={"n_digits": n_digits, **data},
        steps=steps,
        batch_size=256,
        learning_rate=2e-3,
        warmup_steps=200,
        seed=seed,
    )


class Adder(NamedTuple):
    """An adder that is inserted into mixed models.

    Attributes:
        name: Name of the embedded model.
        sha256: First twelve digits of the checksum of its weights.
    """

    name: str
    sha256: str


SOURCES = {3: Adder("add-d3", "be4d7fcb55bd"), 6: Adder("add-d6", "474000970ecf")}
"""The adder that is inserted into mixed models of so many digits."""
MIXED_STEPS = {3: 4000, 6: 8000}
MIXED_DATA = {"p_subtract": 0.6, "p_equal": 0.02, "p_slots": 0.25, "p_cascade": 0.25}


def _mixer(name: str, n_digits: int, arm: Arm, freeze: Freeze = "nothing") -> Recipe:
    source = Adder("", "") if arm == "scratch" else SOURCES[n_digits]
    inserted = {"arm": arm, "source": source.name, "sha256": source.sha256, "freeze": freeze}
    return Recipe(
        name=name,
        task="mixed",
        model=_shape(n_digits, n_layers=3, n_heads=4),
        data={"n_digits": n_digits, **MIXED_DATA, **inserted},
        steps=MIXED_STEPS[n_digits],
        batch_size=192,
        learning_rate=2e-3,
        warmup_steps=200,
        n_checkpoints=90,
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _adder("add-d3", n_digits=3, steps=5000),
        _adder("add-d5", n_digits=5, steps=6000),
        _adder("add-d6", n_digits=6, steps=8000),
        # One layer, twice. Shown no carry that passes through more than one nine, it learns the
        # look-back rule; shown the same mixture as the others, it learns more than the rule knows.
        # The two differ in questions and in steps.
        _adder("add-d5-1l", n_digits=5, steps=4000, n_layers=1, data={"max_cascade": 2}),
        _adder("add-d5-1l-enriched", n_digits=5, steps=6000, n_layers=1),
        _mixer("mix-d3", 3, "preserving"),
        _mixer("mix-d6", 6, "preserving"),
        _mixer("mix-d6-scratch", 6, "scratch"),
    )
}
"""The embedded models."""

EXPERIMENTS: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _mixer("mix-d3-paper", 3, "paper"),
        _mixer("mix-d3-whole", 3, "whole"),
        _mixer("mix-d3-scratch", 3, "scratch"),
        _mixer("mix-d6-paper", 6, "paper"),
        _mixer("mix-d6-whole", 6, "whole"),
        # The paper's modes 2 and 3, and a circuit that is left alone altogether.
        _mixer("mix-d3-paper-qkv", 3, "paper", freeze="qkv"),
        _mixer("mix-d3-paper-qkv-mlp", 3, "paper", freeze="qkv+mlp"),
        _mixer("mix-d3-frozen", 3, "preserving", freeze="all"),
    )
}
"""Models that are trained to be compared; their measurements are stored, their weights are not."""
