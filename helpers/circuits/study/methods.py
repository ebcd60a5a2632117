"""Every way of scoring heads on one footing: same model, prompts and twins, one score per head.

What the methods may use differs, and is part of the comparison: codes and norms see activations on
clean prompts and twins; gradients and ablations see the metric, that is the right answers, as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.codes import controls, discrete_sae, lens_sae, scores
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.codes.writes import Pool, head_writes
from helpers.circuits.graph.forward import Graph, Writes, twin_replacements
from helpers.circuits.rivals import acdc, gradients, subnetwork_probing
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import Ablation
from helpers.model import Model

Scores = Float[Tensor, " head"]
TRAIN_PROMPTS = 10
"""On how many prompts the authors train their autoencoder."""
SPARSITY = {"ioi": 0.02, "greater-than": 0.02, "docstring": 0.05}
"""The authors' λ."""


@dataclass(frozen=True)
class Trial:
    """One try at finding a circuit: what it works on.

    Attributes:
        model: A bridge model.
        scoring: Prompts and twins by which heads are scored.
        training: Prompts and twins for what is trained first; other ones than those of `scoring`.
        seed: Seed of the draw of training prompts, and of whatever a method itself draws.
        pool: "mean" of a head's writes over a prompt's tokens, or the write at the "last" token.
    """

    model: Model
    scoring: Twins
    training: Twins
    seed: int = 0
    pool: Pool = "mean"

    @cached_property
    def positive(self) -> controls.Writes:
        """What heads write on the clean prompts."""
        return head_writes(self.model, self.scoring.clean, self.pool)

    @cached_property
    def negative(self) -> controls.Writes:
        """What heads write on the twins."""
        return head_writes(self.model, self.scoring.corrupted, self.pool)

    @cached_property
    def _pool(self) -> controls.Writes:
        """What heads write on all prompts and twins to train on, in random order."""
        sides = (self.training.clean, self.training.corrupted)
        both = torch.cat([head_writes(self.model, prompts, self.pool) for prompts in sides])
        generator = torch.Generator().manual_seed(self.seed)
        return both[torch.randperm(2 * len(self.training), generator=generator)]

    def vectors(self, count: int = TRAIN_PROMPTS) -> Float[Tensor, "vector d_model"]:
        """One vector per head and training prompt.

        The training prompts are drawn from prompts and twins together, as the authors do.

        Raises:
            LabError: More prompts than there are, or none.
        """
        if not 1 <= count <= len(self._pool):
            raise LabError(
                f"expected 1 to {len(self._pool)} prompts to train on, as `training` has",
                f"got {count}",
            )
        return self._pool[:count].flatten(0, 1)

    def trained(self, settings: Settings, count: int = TRAIN_PROMPTS) -> discrete_sae.DiscreteSAE:
        """The discrete SAE, trained with some settings on so many prompts."""
        return discrete_sae.train(self.vectors(count), settings, (self.seed,))


Method = Callable[[Trial], Scores]


def published(trial: Trial) -> Settings:
    """The settings that the authors use for the trial's task; those of IOI where they have none."""
    return Settings(sparsity=SPARSITY.get(trial.scoring.clean.name, Settings().sparsity))


def code_scores(
    trial: Trial,
    settings: Settings | None = None,
    dead: int = discrete_sae.DEAD,
    shuffle: bool = False,
) -> Scores:
    """The discrete SAE's score of each head.

    Args:
        trial: What the method works on.
        settings: Settings of the autoencoder; those that the authors use if left out.
        dead: Code of a vector without active latent.
        shuffle: Deal the scoring prompts out to the two classes by lot: what is left is no evidence
            for the task.
    """
    trained = trial.trained(settings or published(trial))
    both = trial.positive, trial.negative
    positive, negative = controls.shuffled(*both, trial.seed) if shuffle else both
    return scores.node_scores(
        trained.codes(positive, dead=dead), trained.codes(negative, dead=dead)
    )


def with_null(
    trial: Trial, settings: Settings, train_prompts: int, scored: int
) -> tuple[Scores, Scores]:
    """The discrete SAE's scores, and those of the same codes with shuffled labels.

    Args:
        trial: What the method works on.
        settings: Settings of the autoencoder.
        train_prompts: Number of prompts on which the autoencoder is trained.
        scored: Number of clean prompts, and of twins, that are scored by.
    """
    trained = trial.trained(settings, train_prompts)
    positive, negative = (
        trained.codes(writes[:scored]) for writes in (trial.positive, trial.negative)
    )
    null = scores.node_scores(*controls.shuffled(positive, negative, trial.seed))
    return scores.node_scores(positive, negative), null


def pair_scores(trial: Trial, settings: Settings | None = None) -> Scores:
    """What the paper calls its edge level: how often a head is in the highest pairs of codes."""
    trained = trial.trained(settings or published(trial))
    pairs = scores.pair_scores(trained.codes(trial.positive), trained.codes(trial.negative))
    return scores.heads_of_pairs(pairs, trial.model.cfg.n_heads**2 // 2)


def lens_scores(trial: Trial, kind: lens_sae.Kind, settings: Settings | None = None) -> Scores:
    """The same score with an autoencoder of sae-lens."""
    trained = lens_sae.train(trial.vectors(), kind, settings or published(trial), trial.seed)
    return scores.node_scores(trained.codes(trial.positive), trained.codes(trial.negative))


def _control(score: Callable[..., Scores]) -> Method:
    return lambda trial: score(trial.positive, trial.negative, trial.seed)


def _k_means(trial: Trial) -> Scores:
    return controls.k_means_codes(
        trial.positive, trial.negative, trial.seed, vectors=trial.vectors()
    )


CODES: dict[str, Method] = {
    "discrete SAE": code_scores,
    "discrete SAE, released code": lambda trial: code_scores(
        trial, replace(published(trial), unit="rows"), dead=0
    ),
    "discrete SAE, pairs": pair_scores,
    "sae-lens, L1": partial(lens_scores, kind="standard"),
    "sae-lens, TopK": partial(lens_scores, kind="topk"),
}
"""The paper's method and its variants."""
CONTROLS: dict[str, Method] = {
    "shuffled labels": partial(code_scores, shuffle=True),
    "untrained SAE": _control(controls.untrained_codes),
    "k-means codes": _k_means,
    "mean difference": _control(controls.mean_difference),
    "paired difference": _control(controls.paired_difference),
    "write norm": _control(controls.write_norm),
    "random": _control(controls.random),
}
"""What needs no autoencoder, no training or no labels."""


def ablate_one(model: Model, twins: Twins, ablation: Ablation | Writes = "resample") -> Scores:
    """What the behaviour loses without each head alone: one run per head, and no method at all."""
    graph = Graph(model)
    replaced = twin_replacements(graph, twins, ablation)
    sources = graph.sources_of(graph.heads)
    behaviour = []
    with torch.no_grad():
        for off in (None, *sources):
            gates = torch.ones(len(graph.sources), len(twins))
            if off is not None:
                gates[off] = 0
            run = graph.forward(
                twins.clean.tokens, twins.clean.last, gates=gates, replacement=replaced
            )
            behaviour.append(twins.behaviour(run.logits).mean())
    return (behaviour[0] - torch.stack(behaviour[1:])).abs()


@dataclass(frozen=True)
class Rival:
    """A method that sees the metric; a head that it ablates writes what it does on the twin.

    Attributes:
        score: Gives one score per head from a model and twins.
        prompts: Which of a plan's prompts it works on: those that are "graded", or the fewer that
            are "searched", as it runs the model once per edge.
        draws: Whether it starts at random, and takes a seed.
    """

    score: Callable[..., Scores]
    prompts: Literal["graded", "searched"] = "graded"
    draws: bool = False

    def __call__(self, model: Model, twins: Twins, seed: int = 0) -> Scores:
        """One score per head, layer by layer."""
        return self.score(model, twins, seed=seed) if self.draws else self.score(model, twins)


RIVALS: dict[str, Rival] = {
    "ablate one head": Rival(ablate_one),
    "attribution patching": Rival(gradients.attribution_patching),
    "HISP": Rival(gradients.hisp),
    "EAP": Rival(gradients.eap),
    "EAP-IG": Rival(gradients.eap_ig),
    "subnetwork probing": Rival(subnetwork_probing.scores, draws=True),
    "ACDC": Rival(acdc.scores, prompts="searched"),
}
"""Methods that see the metric."""
