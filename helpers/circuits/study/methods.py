"""Every way of scoring heads on one footing: the same model, the same prompts and twins, one score
a head.

What the methods may use differs, and is part of the comparison: codes and norms see activations on
clean prompts and twins; gradients and ablations see the metric, that is the right answers, as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.codes import controls, discrete_sae, lens_sae, scores
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.codes.writes import head_writes
from helpers.circuits.graph.forward import Graph, replacements
from helpers.circuits.rivals import acdc, gradients, subnetwork_probing
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
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
        model: a bridge model.
        scoring: prompts and twins by which heads are scored.
        training: prompts and twins for what is trained first; other ones than those of `scoring`.
        seed: of the draw of training prompts, and of whatever a method itself draws.
        pool: "mean" of a head's writes over a prompt's tokens, or the write at the "last" token.
    """

    model: Any
    scoring: Twins
    training: Twins
    seed: int = 0
    pool: str = "mean"

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
        both = [
            head_writes(self.model, prompts, self.pool)
            for prompts in (self.training.clean, self.training.corrupted)
        ]
        return torch.cat(both)[
            torch.randperm(
                2 * len(self.training), generator=torch.Generator().manual_seed(self.seed)
            )
        ]

    def vectors(self, count: int = TRAIN_PROMPTS) -> Float[Tensor, "vector d_model"]:
        """One vector a head of some training prompts, drawn from prompts and twins together, as the
        authors do.

        Raises:
            LabError: more prompts than there are, or none.
        """
        if not 1 <= count <= len(self._pool):
            raise LabError(
                f"expected 1 to {len(self._pool)} prompts to train on, as `training` has",
                f"got {count}",
            )
        return self._pool[:count].flatten(0, 1)

    @cached_property
    def _trained(self) -> dict[tuple[Settings, int], discrete_sae.DiscreteSAE]:
        return {}

    def trained(self, settings: Settings, count: int = TRAIN_PROMPTS) -> discrete_sae.DiscreteSAE:
        """The autoencoder that the trial trains with some settings on so many prompts; asked again, the same one."""
        if (settings, count) not in self._trained:
            self._trained[settings, count] = discrete_sae.train(
                self.vectors(count), settings, (self.seed,)
            )
        return self._trained[settings, count]


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
        dead: code of a vector without active latent.
        shuffle: deal the scoring prompts out to the two classes by lot: what is left is no evidence
            for the task.
    """
    trained = discrete_sae.train(trial.vectors(), settings or published(trial), (trial.seed,))
    both = trial.positive, trial.negative
    positive, negative = controls.shuffled(*both, trial.seed) if shuffle else both
    return scores.node_scores(
        trained.codes(positive, dead=dead), trained.codes(negative, dead=dead)
    )


def with_null(
    trial: Trial, settings: Settings, train_prompts: int, scored: int
) -> tuple[Scores, Scores]:
    """The discrete SAE's scores, and those of the same codes with the labels of the prompts
    shuffled.

    Args:
        train_prompts: on how many prompts the autoencoder is trained.
        scored: how many clean prompts, and as many twins, are scored by.
    """
    trained = trial.trained(settings, train_prompts)
    found = [
        trained.codes(writes[:scored])[..., None] for writes in (trial.positive, trial.negative)
    ]
    dealt = controls.shuffled(*found, trial.seed)
    real, null = (scores.node_scores(*(part[..., 0] for part in parts)) for parts in (found, dealt))
    return real, null


def pair_scores(trial: Trial, settings: Settings | None = None) -> Scores:
    """What the paper calls its edge level: how often a head is in the highest pairs of codes."""
    trained = discrete_sae.train(trial.vectors(), settings or published(trial), (trial.seed,))
    pairs = scores.pair_scores(trained.codes(trial.positive), trained.codes(trial.negative))
    return scores.heads_of_pairs(pairs, trial.model.cfg.n_heads**2 // 2)


def lens_scores(trial: Trial, kind: str, settings: Settings | None = None) -> Scores:
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


def ablate_one(model: Model, twins: Twins, value: str = "resample") -> Scores:
    """What the behaviour loses without each head alone: one run a head, and no method at all."""
    graph = Graph(model)
    replaced = replacements(graph, twins, value)
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


PEERS: dict[str, Callable[..., Scores]] = {
    "ablate one head": ablate_one,
    "attribution patching": gradients.attribution_patching,
    "HISP": gradients.hisp,
    "EAP": gradients.eap,
    "EAP-IG": gradients.eap_ig,
    "subnetwork probing": subnetwork_probing.scores,
    "ACDC": acdc.scores,
}
"""Methods that see the metric, each called with the model and twins; a head that is replaced writes what it does on the twin."""
