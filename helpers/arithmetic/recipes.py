"""Recipes of the embedded arithmetic models, and the task that trains them.

The loss is the mean cross-entropy over the n + 2 answer tokens, sign included (arXiv 2402.02619, "Training"), in
float32 rather than the paper's float64: the models are small enough that the difference does not show.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, enriched, short_carries
from helpers.training import Recipe


@dataclass(frozen=True)
class AdditionTask:
    """Batches of addition questions in the paper's format.

    Attributes:
        p_slots, p_cascade: shares of the enriched mixture (see `questions.enriched`).
        max_cascade: if given, the questions are drawn uniformly among the classes S0 to S`max_cascade` instead.
    """

    fmt: Format
    p_slots: float = 0.0
    p_cascade: float = 0.0
    max_cascade: int | None = None

    def batch(self, rng: np.random.Generator, size: int) -> Int[Tensor, "question pos"]:
        if self.max_cascade is not None:
            return short_carries(self.fmt.n_digits, size, rng, self.max_cascade).tokens(self.fmt)
        questions = enriched(self.fmt.n_digits, size, rng, p_slots=self.p_slots, p_cascade=self.p_cascade)
        return questions.tokens(self.fmt)

    def loss(self, model: torch.nn.Module, batch: Int[Tensor, "question pos"]) -> Float[Tensor, ""]:
        tokens = batch.to(next(model.parameters()).device)
        start = self.fmt.equals_position
        logits = model(tokens[:, :-1])[:, start:]  # the last token predicts nothing
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, start + 1 :].flatten())


def task_of(recipe: Recipe) -> AdditionTask:
    """The task of an arithmetic recipe."""
    settings = dict(recipe.data)
    return AdditionTask(Format(settings.pop("n_digits")), **settings)


MIXTURE = {"p_slots": 0.3, "p_cascade": 0.3}


def _adder(name: str, n_digits: int, steps: int, n_layers: int = 2, data: dict = MIXTURE, seed: int = 0) -> Recipe:
    shape = {"n_layers": n_layers, "n_heads": 3, "d_model": 96, "d_head": 32, "d_mlp": 384}
    shape |= {"n_ctx": 3 * n_digits + 4, "d_vocab": 15, "act_fn": "relu", "normalization_type": "LN"}
    return Recipe(
        name=name,
        task="addition",
        model=shape,
        data={"n_digits": n_digits, **data},
        steps=steps,
        batch_size=256,
        learning_rate=2e-3,
        warmup_steps=200,
        seed=seed,
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _adder("add-d3", n_digits=3, steps=5000),
        _adder("add-d5", n_digits=5, steps=6000),
        _adder("add-d6", n_digits=6, steps=8000),
        # One layer, twice. Shown no carry that passes through more than one nine, it learns the look-back rule; shown the
        # same mixture as the others, it learns more than the rule knows. The two differ in questions and in steps.
        _adder("add-d5-1l", n_digits=5, steps=4000, n_layers=1, data={"max_cascade": 2}),
        _adder("add-d5-1l-enriched", n_digits=5, steps=6000, n_layers=1),
    )
}
