"""A good call of every public function that takes numbers or arrays, in the rooms named below.

Numbers are eighths, which half precision and bfloat16 hold exactly: in another precision the same
call is the same question.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from helpers import attribution, inputs, interventions, stats, texts
from helpers.interventions import Node
from helpers.knowledge.edit_study import summaries as edit_summaries
from helpers.knowledge.editing import (
    Edited,
    EditSettings,
    Requests,
    arms,
    comparison,
    decoding,
    embedding_row,
    gradients,
    measures,
    memory,
    null_space,
    published,
    rank_one,
    request,
    restricted,
    sequential,
    value,
)
from helpers.knowledge.editing.questions import EditQuestions
from helpers.knowledge.facts import Facts, factnet
from helpers.knowledge.masks import Blocks, blocks, packed, rivals
from helpers.knowledge.study import measuring, summaries
from helpers.knowledge.tracing import prediction
from helpers.show import grids, pictures, plots, tables
from helpers.texts import LabelledSet
from helpers.tinyworld.models import head_roles, measure, recipes
from helpers.trust.data import controls, splits, surface
from helpers.trust.explorer import page
from helpers.trust.information import bounds, dependence, kernels, recovery
from helpers.trust.probes import linear, numbers, onset
from helpers.trust.series import activations, integrity
from helpers.trust.steering import across, behaviours, effects, strength, tinyworld, vectors
from tests.support import (
    changes_calls,
    exact_calls,
    hub_calls,
    judging_calls,
    network_calls,
    oracle_calls,
    posts_calls,
    rivals_calls,
    study_calls,
    tuning_calls,
)
from tests.trust.families import native

FILES = ("interventions.py", "attribution.py", "stats.py")
EDITING = tuple(
    f"knowledge/editing/{name}.py"
    for name in (
        *("arms", "comparison", "decoding", "gradients", "measures"),
        *("published", "questions", "requests", "restricted", "sequential", "two_hop"),
        *("embedding_row", "memory", "null_space", "outcome", "rank_one", "value"),
    )
)
MASKS = tuple(
    f"knowledge/{name}.py"
    for name in (
        *("masks/blocks", "masks/packed", "masks/rivals"),
        *("study/measuring", "study/stored", "study/summaries"),
    )
)
ROOMS = ("texts", "inputs", *FILES, "trust", "show", "tinyworld")
ROOMS += ("knowledge/tracing", "knowledge/edit_study", "knowledge/real", *EDITING, *MASKS)
ROOMS += (
    network_calls.ROOM,
    tuning_calls.ROOM,
    *judging_calls.ROOMS,
    exact_calls.ROOM,
    hub_calls.ROOM,
    posts_calls.ROOM,
    oracle_calls.ROOM,
    study_calls.ROOM,
    changes_calls.ROOM,
    rivals_calls.ROOM,
)
TRUTH = np.tile([True, False], 12)
GROUPS = tuple(str(item // 2) for item in range(24))
TEXTS = tuple(f"{word} film {i // 2} is so" for i, word in enumerate(["Good", "bad"] * 12))


def eighths(*shape: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randint(-24, 25, shape, generator=torch.Generator().manual_seed(seed))
    return drawn / 8


def activations_of(*shape: int, seed: int = 0) -> torch.Tensor:
    """Activations [… item d] in which the label can be read."""
    return eighths(*shape, seed=seed) + torch.tensor(TRUTH)[:, None] * 1.0


def data() -> LabelledSet:
    return LabelledSet("films", TEXTS, TRUTH, GROUPS)


def parts(n_splits: int = 2) -> splits.Splits:
    return splits.grouped(data(), n_splits)


@functools.cache
def model():
    """One small model of two layers with MLPs, for all calls: none may change it."""
    return native(n_layers=2)


TOKENS = torch.tensor([[1, 5, 7, 2], [1, 6, 7, 3], [1, 5, 8, 4]])
LENGTHS = torch.tensor([4, 3, 4])
IDS = torch.tensor([[9, 5, 7, 2], [8, 6, 7, 0], [7, 5, 8, 4]])


@functools.cache
def stored() -> interventions.Activations:
    return interventions.collect(model(), TOKENS)[0]


def prompts() -> texts.Prompts:
    good = torch.zeros(3, 40, dtype=torch.bool)
    good[:, 3] = True
    return texts.Prompts("p", ("a", "b", "c"), IDS.clone(), LENGTHS - 1, good, good.roll(1, dims=1))


def behaviour() -> behaviours.Behaviour:
    return behaviours.Behaviour("b", IDS.clone(), LENGTHS.clone(), ((1,),) * 3, ((2,),) * 3)


@functools.cache
def net() -> Blocks:
    """FactNet's weights."""
    return blocks.of(factnet.build(noise=0.01).model)


@functools.cache
def thinned() -> torch.Tensor:
    """A mask over FactNet that keeps every other weight."""
    return (torch.arange(len(net())) % 2).float()


def fact_of_wren() -> Facts:
    tokens, answers = factnet.prompts()
    kinds = torch.tensor([factnet.token(kind) for kind in factnet.KINDS])
    return Facts(tokens[:1], torch.tensor([2]), answers[:1], kinds, ("wren",))


def fact_of_another() -> Facts:
    tokens, answers = factnet.prompts()
    return dataclasses.replace(
        fact_of_wren(), tokens=tokens[1:2], answers=answers[1:2], subjects=factnet.ENTITIES[1:2]
    )


def wren_is_a_tree() -> Requests:
    return Requests(fact_of_wren(), torch.tensor([factnet.token("tree")]))


FEW_STEPS = EditSettings(steps=2, size=0.125)
FEW_VALUES = value.ValueSettings(steps=2)


@functools.cache
def edited_wren() -> Edited:
    return restricted.edit(net(), wren_is_a_tree(), thinned(), FEW_STEPS)


@functools.cache
def whole_net() -> Blocks:
    """All weights of FactNet, embeddings among them."""
    return blocks.of(net().model, whole=True)


def rounded(weights: Blocks) -> torch.Tensor:
    """Weights that bfloat16 holds exactly."""
    return weights.values.bfloat16().float()


@functools.cache
def first_mlp() -> memory.OutputMatrix:
    """The output matrix of FactNet's first MLP."""
    return memory.output_matrix(net(), 0)


def documents() -> behaviours.Documents:
    return behaviours.Documents(IDS.clone(), LENGTHS.clone())


def vector() -> vectors.Vector:
    unit = torch.zeros(16, dtype=torch.float64)
    unit[0] = 1.0
    return vectors.Vector(unit, 1.0, 0.5)


def choice() -> strength.Choice:
    trial = strength.SteeringTrial(0, 1.0, 0.0, 0.5, 1.0)
    return strength.Choice(0, vector(), 1.0, "std", "all", 9.0, trial, (trial,), frozenset())


def smoother(seed: int = 0) -> kernels.Smoother:
    return kernels.smoother(activations_of(24, 4, seed=seed))


def kernel() -> torch.Tensor:
    x = eighths(5, 3)
    return x @ x.T


def steer(**options: Any) -> torch.Tensor:
    with vectors.steered(model(), vector=vector(), **options):
        return model()(IDS)


def share_above(values: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.asarray(values)[np.asarray(labels) == 1]))


def pattern() -> torch.Tensor:
    return torch.full((3, 4, 4), 0.25).tril()


def places():
    from helpers.tinyworld.sets.places import Places

    return Places(("elsewhere", "last token"), torch.zeros(3, 4).long(), (), (), ("a",))


QUERIES = torch.ones(3, 4, dtype=torch.bool)
GOOD_WORDS = torch.tensor([[True, False, False, True], [False, True, False, True]])
TASK = recipes.TextTask(4, "trust", "", "")

Call = tuple[Callable[..., Any], Callable[[], dict[str, Any]]]
CALLS: dict[str, Call] = {
    "texts.prompts.final_logits": (
        texts.final_logits,
        lambda: {"model": model(), "prompts": prompts(), "batch_size": 2},
    ),
    "texts.prompts.answers": (
        texts.answers,
        lambda: {"logits": eighths(3, 40), "prompts": prompts()},
    ),
    "inputs.arrays.at_least": (inputs.at_least, lambda: {"least": 1, "value": 2.0, "what": "x"}),
    "inputs.tokens.check_right_padding": (
        inputs.check_right_padding,
        lambda: {"ids": IDS.clone(), "lengths": LENGTHS.clone()},
    ),
    "interventions.collect": (
        interventions.collect,
        lambda: {"model": model(), "tokens": TOKENS.clone(), "batch_size": 2},
    ),
    "interventions.run_with_replaced": (
        interventions.run_with_replaced,
        lambda: {
            "model": model(),
            "tokens": TOKENS.clone(),
            "nodes": [Node(1, 0, 1), Node(2, 1)],
            "source": stored(),
            "batch_size": 2,
        },
    ),
    "interventions.ablate": (
        interventions.ablate,
        lambda: {
            "model": model(),
            "tokens": TOKENS.clone(),
            "nodes": [Node(1, 0, 1), Node(2, 1)],
            "reference": stored(),
        },
    ),
    "interventions.patch": (
        interventions.patch,
        lambda: {
            "model": model(),
            "clean": TOKENS.clone(),
            "nodes": [Node(1, 0, 1)],
            "stored": TOKENS.flip(0),
        },
    ),
    "interventions.head_writes": (
        interventions.head_writes,
        lambda: {"model": model(), "activations": stored()},
    ),
    "attribution.direct_logit_attribution": (
        attribution.direct_logit_attribution,
        lambda: {
            "model": model(),
            "tokens": TOKENS.clone(),
            "position": 1,
            "directions": torch.nn.functional.one_hot(TOKENS[:, 2], 40).float(),
        },
    ),
    "attribution.read_directions": (
        attribution.read_directions,
        lambda: {"model": model(), "weights": eighths(3, 40)},
    ),
    "stats.clopper_pearson": (
        stats.clopper_pearson,
        lambda: {"failures": 2, "trials": 9, "level": 0.9},
    ),
    "stats.bootstrap": (
        stats.bootstrap,
        lambda: {"values": eighths(20).numpy(), "level": 0.9, "resamples": 50},
    ),
    "stats.crossed_bootstrap": (
        stats.crossed_bootstrap,
        lambda: {"values": eighths(3, 5).numpy(), "resamples": 50},
    ),
    "stats.spread_or_none": (
        stats.spread_or_none,
        lambda: {"values": eighths(3, 5).numpy()},
    ),
    "stats.permutation_null": (
        stats.permutation_null,
        lambda: {
            "statistic": share_above,
            "values": eighths(24).numpy(),
            "labels": TRUTH.astype(int),
            "permutations": 5,
        },
    ),
    "stats.auroc": (stats.auroc, lambda: {"scores": eighths(24).numpy(), "labels": TRUTH.copy()}),
    "stats.majority_share": (stats.majority_share, lambda: {"labels": TRUTH.copy()}),
    "stats.balanced_accuracy": (
        stats.balanced_accuracy,
        lambda: {"answers": TRUTH[::-1].copy(), "labels": TRUTH.copy()},
    ),
    "trust.data.controls.bag_of_words": (controls.bag_of_words, lambda: {"data": data()}),
    "trust.data.controls.length": (controls.length, lambda: {"data": data()}),
    "trust.data.controls.random_labels": (controls.random_labels, lambda: {"data": data()}),
    "trust.data.controls.shuffled_tokens": (
        controls.shuffled_tokens,
        lambda: {"ids": IDS.clone(), "lengths": LENGTHS.clone()},
    ),
    "trust.data.splits.ordered": (
        splits.ordered,
        lambda: {"data": data(), "test_share": 0.25},
    ),
    "trust.data.splits.one_sided": (
        splits.one_sided,
        lambda: {"data": data(), "test_share": 0.25},
    ),
    "trust.data.splits.grouped": (
        splits.grouped,
        lambda: {"data": data(), "n_splits": 2, "test_share": 0.25},
    ),
    "trust.data.splits.check": (
        splits.check,
        lambda: {"splits": parts(), "labels": TRUTH.copy()},
    ),
    "trust.data.splits.check_classes": (
        splits.check_classes,
        lambda: {"parts": parts().train, "labels": TRUTH.copy(), "what": "part"},
    ),
    "trust.data.surface.any_capital": (surface.any_capital, lambda: {"data": data()}),
    "trust.data.surface.case_flipped": (
        surface.case_flipped,
        lambda: {"texts": TEXTS, "share": 0.5, "seed": 0},
    ),
    "trust.data.surface.leaked": (surface.leaked, lambda: {"data": data(), "splits": parts()}),
    "trust.data.surface.length_auroc": (surface.length_auroc, lambda: {"data": data()}),
    "trust.data.surface.words_accuracy": (
        surface.words_accuracy,
        lambda: {"data": data(), "splits": parts()},
    ),
    "trust.data.surface.survey": (
        surface.survey,
        lambda: {"data": data(), "n_splits": 2, "test_share": 0.25},
    ),
    "trust.explorer.page.dynamics_view": (
        page.dynamics_view,
        lambda: {
            "steps": (0, 2),
            "layers": ["a"],
            "dimensions": ["b"],
            "accuracy": np.array([[[0.5]], [[0.75]]]),
            "controls": {"words": np.array([0.5])},
            "low": np.array([[[0.25]], [[0.5]]]),
        },
    ),
    "trust.information.bounds.variational_bound": (
        bounds.variational_bound,
        lambda: {"cross_entropy": np.array([0.25, 0.5]), "labels": TRUTH.copy()},
    ),
    "trust.information.bounds.fano_bound": (
        bounds.fano_bound,
        lambda: {"accuracy": 0.75, "labels": TRUTH.copy()},
    ),
    "trust.information.bounds.binary_entropy": (bounds.binary_entropy, lambda: {"p": 0.25}),
    **{
        f"trust.information.dependence.{function.__name__}": (
            function,
            lambda: {"x": activations_of(24, 4), "y": TRUTH.copy(), "sigma": 2.0},
        )
        for function in (dependence.hsic, dependence.normalised_hsic, dependence.closed_form)
    },
    "trust.information.dependence.null": (
        dependence.null,
        lambda: {"a": smoother(), "b": smoother(1), "permutations": 5},
    ),
    "trust.information.dependence.label_null": (
        dependence.label_null,
        lambda: {
            "labels": TRUTH.copy(),
            "target": smoother(),
            "shuffled": np.stack([TRUTH[::-1], TRUTH]),
            "sigma": 2.0,
            "epsilon": 0.125,
        },
    ),
    "trust.information.dependence.plane": (
        dependence.plane,
        lambda: {
            "layers": activations_of(2, 24, 4),
            "labels": TRUTH.copy(),
            "sigma": 2.0,
            "epsilon": 0.125,
            "permutations": 5,
        },
    ),
    "trust.information.dependence.readings": (
        dependence.readings,
        lambda: {
            "x": activations_of(24, 4),
            "y": TRUTH.copy(),
            "sigmas": np.array([1.0, 2.0]),
            "epsilons": np.array([0.125]),
        },
    ),
    "trust.information.dependence.with_direction": (
        dependence.with_direction,
        lambda: {"x": activations_of(24, 4), "scale": 2.0},
    ),
    "trust.information.kernels.standardise": (
        kernels.standardise,
        lambda: {"x": activations_of(24, 4)},
    ),
    "trust.information.kernels.spectrum": (
        kernels.spectrum,
        lambda: {"x": activations_of(24, 4), "sigma": 2.0},
    ),
    "trust.information.kernels.smoother": (
        kernels.smoother,
        lambda: {"x": activations_of(24, 4), "sigma": 2.0, "epsilon": 0.125},
    ),
    "trust.information.kernels.overlap": (
        kernels.overlap,
        lambda: {"a": smoother(), "b": smoother(1)},
    ),
    "trust.information.kernels.finite": (kernels.finite, lambda: {"x": activations_of(24, 4)}),
    "trust.information.kernels.rows_of": (kernels.rows_of, lambda: {"x": activations_of(24, 4)}),
    "trust.information.kernels.pair_of": (
        kernels.pair_of,
        lambda: {"x": activations_of(24, 4), "y": TRUTH.copy(), "sigma": 2.0},
    ),
    "trust.information.kernels.positive": (
        kernels.positive,
        lambda: {"value": 2.0, "name": "sigma"},
    ),
    "trust.information.recovery.recovered": (
        recovery.recovered,
        lambda: {
            "x": activations_of(24, 4),
            "t": activations_of(24, 3, seed=1),
            "groups": GROUPS,
            "n_folds": 3,
        },
    ),
    "trust.information.recovery.without_label": (
        recovery.without_label,
        lambda: {"t": activations_of(24, 4), "labels": TRUTH.copy()},
    ),
    "trust.information.recovery.without_largest": (
        recovery.without_largest,
        lambda: {"t": activations_of(24, 4)},
    ),
    "trust.probes.linear.fit": (
        linear.fit,
        lambda: {
            "x": activations_of(2, 24, 3),
            "labels": TRUTH.copy(),
            "splits": parts(),
            "strengths": np.array([1.0, 10.0]),
            "n_folds": 2,
        },
    ),
    "trust.probes.linear.mass_mean": (
        linear.mass_mean,
        lambda: {"x": activations_of(2, 24, 3), "labels": TRUTH.copy(), "splits": parts()},
    ),
    "trust.probes.linear.paper_mode": (
        linear.paper_mode,
        lambda: {"x": activations_of(2, 24, 3), "labels": TRUTH.copy(), "splits": parts()},
    ),
    "trust.probes.numbers.group_splits": (
        numbers.group_splits,
        lambda: {"groups": GROUPS, "n_splits": 2, "test_share": 0.25},
    ),
    "trust.probes.numbers.fit_number": (
        numbers.fit_number,
        lambda: {
            "x": activations_of(2, 24, 3),
            "values": eighths(24, seed=3).numpy(),
            "splits": parts(),
            "strengths": np.array([1.0, 10.0]),
            "n_folds": 2,
        },
    ),
    "trust.probes.numbers.fit_angle": (
        numbers.fit_angle,
        lambda: {
            "x": activations_of(2, 24, 3),
            "values": eighths(24, seed=3).numpy(),
            "period": 2.0,
            "splits": parts(),
            "n_folds": 2,
        },
    ),
    "trust.probes.numbers.shuffled": (
        numbers.shuffled,
        lambda: {"values": eighths(24).numpy(), "splits": parts()},
    ),
    "trust.probes.onset.onset": (
        onset.onset,
        lambda: {"steps": [0, 1, 2], "curve": np.array([0.5, 0.75, 0.875]), "level": 0.625},
    ),
    "trust.series.activations.check_tokens": (
        activations.check_tokens,
        lambda: {"model": model(), "ids": IDS.clone(), "lengths": LENGTHS.clone()},
    ),
    "trust.series.activations.last_token": (
        activations.last_token,
        lambda: {
            "model": model(),
            "ids": IDS.clone(),
            "lengths": LENGTHS.clone(),
            "batch_size": 2,
        },
    ),
    "trust.steering.across.across_checkpoints": (
        across.across_checkpoints,
        lambda: {
            "model": model(),
            "choice": choice(),
            "activations": {5: activations_of(3, 24, 16)},
            "labels": TRUTH.copy(),
            "behaviour": behaviour(),
            "documents": documents(),
        },
    ),
    "trust.steering.across.correlation": (
        across.correlation,
        lambda: {
            "first": eighths(8).numpy(),
            "second": eighths(8, seed=2).numpy(),
            "permutations": 5,
        },
    ),
    "trust.steering.behaviours.scores": (
        behaviours.scores,
        lambda: {
            "model": model(),
            "behaviour": behaviour(),
            "layer": 0,
            "pushes": eighths(2, 16),
        },
    ),
    "trust.steering.behaviours.perplexity": (
        behaviours.perplexity,
        lambda: {
            "model": model(),
            "documents": documents(),
            "layer": 0,
            "pushes": eighths(2, 16),
        },
    ),
    "trust.steering.effects.controls": (
        effects.controls,
        lambda: {
            "vector": vectors.mean_difference(activations_of(24, 4), TRUTH),
            "x": activations_of(24, 4),
            "labels": TRUTH.copy(),
            "count": 2,
        },
    ),
    "trust.steering.effects.cluster_means": (
        effects.cluster_means,
        lambda: {"values": eighths(2, 6).numpy(), "groups": list("aabbcc")},
    ),
    "trust.steering.strength.choose": (
        strength.choose,
        lambda: {
            "model": model(),
            "vectors": {0: vector()},
            "behaviour": behaviour(),
            "documents": documents(),
            "alphas": np.array([0.5, 1.0]),
            "budget": 9.0,
        },
    ),
    "trust.steering.tinyworld.wanted": (tinyworld.wanted, lambda: {"data": data()}),
    "trust.steering.tinyworld.share_right": (
        tinyworld.share_right,
        lambda: {"scores": eighths(24).numpy(), "data": data()},
    ),
    "trust.steering.vectors.mean_difference": (
        vectors.mean_difference,
        lambda: {"x": activations_of(24, 4), "labels": TRUTH.copy()},
    ),
    "trust.steering.vectors.by_block": (
        vectors.by_block,
        lambda: {"x": activations_of(3, 24, 4), "labels": TRUTH.copy()},
    ),
    "trust.steering.vectors.shuffled_directions": (
        vectors.shuffled_directions,
        lambda: {"x": activations_of(24, 4), "labels": TRUTH.copy(), "count": 2},
    ),
    "trust.steering.vectors.positions_mask": (
        vectors.positions_mask,
        lambda: {"positions": "last", "lengths": LENGTHS.clone(), "shape": (3, 4)},
    ),
    "trust.steering.vectors.steered": (
        steer,
        lambda: {"layer": 0, "alpha": 1.0, "lengths": LENGTHS.clone()},
    ),
    "show.grids.heatmap": (
        grids.heatmap,
        lambda: {"values": eighths(2, 3).numpy(), "rows": "ab", "columns": "cde", "digits": 1},
    ),
    "show.grids.attention": (
        grids.attention,
        lambda: {"patterns": np.full((1, 2, 2), 0.5), "labels": "ab", "titles": ["c"]},
    ),
    "show.grids.node_heatmap": (
        grids.node_heatmap,
        lambda: {"values": {Node(0, 0, 0): 0.5}, "positions": "ab", "n_layers": 1, "n_heads": 2},
    ),
    "show.pictures.make_panels": (
        pictures.make_panels,
        lambda: {"count": 1, "width": 3.0, "height": 2.0},
    ),
    "show.plots.bars_with_intervals": (
        plots.bars_with_intervals,
        lambda: {
            "labels": ["a", "b"],
            "series": {"c": np.array([[0.5, 0.25, 0.75]] * 2)},
            "ylabel": "y",
        },
    ),
    "show.plots.lines_with_bands": (
        plots.lines_with_bands,
        lambda: {
            "x": np.array([0.0, 2.0]),
            "series": {"c": np.array([[0.5, 0.25, 0.75]] * 2)},
            "xlabel": "x",
            "ylabel": "y",
            "log_x": True,
        },
    ),
    "show.plots.scatter_classes": (
        plots.scatter_classes,
        lambda: {"panels": {"a": (np.array([[0.5, 0.25]]), ["b"])}},
    ),
    "show.tables.percent": (tables.percent, lambda: {"value": 0.5, "low": 0.25, "high": 0.75}),
    "show.tables.rate": (tables.rate, lambda: {"hits": TRUTH.copy()}),
    "show.tables.short": (tables.short, lambda: {"value": 0.5}),
    "tinyworld.models.head_roles.looks": (
        head_roles.looks,
        lambda: {"pattern": pattern(), "queries": QUERIES.clone(), "named": places()},
    ),
    "tinyworld.models.head_roles.repeats": (
        head_roles.repeats,
        lambda: {
            "pattern": pattern(),
            "tokens": torch.tensor([[1, 2, 1, 2]] * 3),
            "queries": QUERIES.clone(),
            "least": 0.25,
        },
    ),
    "tinyworld.models.head_roles.favours": (
        head_roles.favours,
        lambda: {"written": eighths(2, 4), "good": GOOD_WORDS, "bad": ~GOOD_WORDS},
    ),
    "tinyworld.models.measure.perplexity": (measure.perplexity, lambda: {"loss": 0.5}),
    "tinyworld.models.measure.score": (
        measure.score,
        lambda: {"model": model(), "questions": prompts()},
    ),
    "tinyworld.models.measure.text_loss": (
        measure.text_loss,
        lambda: {"model": model(), "task": TASK, "text": TOKENS.numpy().copy()},
    ),
    "tinyworld.models.measure.rounding_cost": (
        measure.rounding_cost,
        lambda: {"model": model(), "task": TASK, "text": TOKENS.numpy().copy()},
    ),
    "knowledge.masks.blocks.check_mask": (
        blocks.check_mask,
        lambda: {"mask": thinned().clone()},
    ),
    "knowledge.masks.blocks.weights_of": (
        blocks.weights_of,
        lambda: {"weights": net(), "start": rounded(net())},
    ),
    "knowledge.masks.rivals.as_large": (
        rivals.as_large,
        lambda: {
            "gradient": torch.tensor([3.0, 4.0, 0.0, 3.0, 4.0, 100.0]),
            "circuit": torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        },
    ),
    "knowledge.masks.rivals.as_long": (
        rivals.as_long,
        lambda: {
            "gradient": torch.tensor([3.0, 4.0, 0.0, 3.0, 4.0, 100.0]),
            "circuit": torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        },
    ),
    "knowledge.masks.rivals.complement": (
        rivals.complement,
        lambda: {"mask": thinned().clone()},
    ),
    "knowledge.masks.rivals.gradient": (
        rivals.gradient,
        lambda: {"blocks": net(), "losses": [lambda values: values.square().sum()], "density": 0.5},
    ),
    "knowledge.masks.rivals.magnitude": (
        rivals.magnitude,
        lambda: {"blocks": net(), "density": 0.5},
    ),
    "knowledge.masks.rivals.per_tensor": (
        rivals.per_tensor,
        lambda: {"blocks": net(), "mask": thinned().clone()},
    ),
    "knowledge.masks.rivals.uniform": (
        rivals.uniform,
        lambda: {"blocks": net(), "density": 0.5},
    ),
    "knowledge.editing.arms.every_arm": (
        arms.every_arm,
        lambda: {"blocks": net(), "circuit": thinned().clone(), "truth": fact_of_wren()},
    ),
    "knowledge.editing.arms.freed": (
        arms.freed,
        lambda: {
            "whole": blocks.of(net().model, whole=True),
            "mask": thinned().clone(),
        },
    ),
    "knowledge.editing.comparison.compare": (
        comparison.compare,
        lambda: {
            "weights": net(),
            "requests": wren_is_a_tree(),
            "mask": thinned().clone(),
            "norms": (0.125,),
            "settings": FEW_STEPS,
        },
    ),
    "knowledge.editing.comparison.share_at": (
        comparison.share_at,
        lambda: {"norm": 5.0, "moved": 9.0, "along": 0.0, "step": 64.0},
    ),
    "knowledge.editing.decoding.continued": (
        decoding.continued,
        lambda: {
            "weights": net(),
            "values": net().values.clone(),
            "prompt": (factnet.token("start"), factnet.token("wren")),
            "count": 1,
        },
    ),
    "knowledge.editing.decoding.forced": (
        decoding.forced,
        lambda: {
            "weights": net(),
            "values": net().values.clone(),
            "prompt": (factnet.token("start"), factnet.token("wren")),
            "target": (factnet.token("kind"),),
        },
    ),
    "knowledge.editing.gradients.within_facts": (
        gradients.within_facts,
        lambda: {
            "first": eighths(2, 3, 4).abs().numpy() + 0.125,
            "needed": eighths(2, 3, 4, seed=1).abs().numpy() + 0.125,
            "arms": ("circuit", "uniform", "everything"),
            "resamples": 5,
        },
    ),
    "knowledge.editing.measures.effects": (
        measures.effects,
        lambda: {
            "weights": net(),
            "requests": wren_is_a_tree(),
            "edited": edited_wren(),
            "frame": "",
            "rows": factnet.prompts()[0],
            "ask": lambda subject, new: EditQuestions(fact_of_wren()),
        },
    ),
    "knowledge.editing.measures.texts": (
        measures.texts,
        lambda: {"rows": factnet.prompts()[0], "weights": net()},
    ),
    "knowledge.editing.embedding_row.edit_embedding_row": (
        embedding_row.edit_embedding_row,
        lambda: {
            "weights": whole_net(),
            "requests": wren_is_a_tree(),
            "settings": FEW_STEPS,
            "start": rounded(whole_net()),
            "tokens_of": lambda name: [factnet.token(name)],
        },
    ),
    "knowledge.editing.memory.keys": (
        memory.keys,
        lambda: {
            "matrix": first_mlp(),
            "values": rounded(net()),
            "given": memory.contexts(wren_is_a_tree()),
        },
    ),
    "knowledge.editing.memory.recorded": (
        memory.recorded,
        lambda: {
            "weights": net(),
            "values": rounded(net()),
            "layer": 1,
            "tokens": factnet.prompts()[0],
        },
    ),
    "knowledge.editing.memory.second_moment": (
        memory.second_moment,
        lambda: {
            "matrix": first_mlp(),
            "rows": factnet.prompts()[0],
            "values": rounded(net()),
            "lengths": torch.full((len(factnet.prompts()[0]),), 3),
        },
    ),
    "knowledge.editing.null_space.edit_null_space": (
        null_space.edit_null_space,
        lambda: {
            "matrix": first_mlp(),
            "requests": wren_is_a_tree(),
            "moment": torch.diag((torch.arange(48) % 2).float()),
            "settings": FEW_VALUES,
            "threshold": 0.25,
            "ridge": 0.125,
            "start": rounded(net()),
        },
    ),
    "knowledge.editing.null_space.null_space": (
        null_space.null_space,
        lambda: {"moment": torch.diag(torch.tensor([1.0, 0.5, 0.125])), "threshold": 0.25},
    ),
    "knowledge.editing.null_space.projected_change": (
        null_space.projected_change,
        lambda: {
            "keys": eighths(2, 4),
            "changes": eighths(2, 3),
            "directions": torch.eye(4)[:, :2],
            "ridge": 0.5,
        },
    ),
    "knowledge.editing.rank_one.edit_rank_one": (
        rank_one.edit_rank_one,
        lambda: {
            "matrix": first_mlp(),
            "requests": wren_is_a_tree(),
            "moment": torch.eye(48),
            "settings": FEW_VALUES,
            "start": rounded(net()),
            "ridge": 0.125,
        },
    ),
    "knowledge.editing.rank_one.least_change": (
        rank_one.least_change,
        lambda: {
            "key": eighths(3),
            "change": eighths(2),
            "moment": torch.eye(3),
            "ridge": 0.125,
        },
    ),
    "knowledge.editing.value.wanted": (
        value.wanted,
        lambda: {
            "matrix": first_mlp(),
            "new": wren_is_a_tree().new.clone(),
            "given": memory.contexts(wren_is_a_tree()),
            "settings": FEW_VALUES,
            "start": rounded(net()),
        },
    ),
    "knowledge.tracing.prediction.predicts": (
        prediction.predicts,
        lambda: {"traced": eighths(6, 3), "success": eighths(6, 3, seed=1)},
    ),
    "knowledge.editing.published.curve": (
        published.curve,
        lambda: {
            "model": net().model,
            "requests": wren_is_a_tree(),
            "mask": thinned().clone(),
        },
    ),
    "knowledge.editing.restricted.edit": (
        restricted.edit,
        lambda: {
            "weights": net(),
            "requests": wren_is_a_tree(),
            "mask": thinned().clone(),
            "settings": FEW_STEPS,
        },
    ),
    "knowledge.editing.sequential.in_turn": (
        sequential.in_turn,
        lambda: {
            "weights": net(),
            "requests": wren_is_a_tree(),
            "mask": thinned().clone(),
            "probe": sequential.Probe(fact_of_wren(), fact_of_another(), factnet.prompts()[0]),
            "settings": FEW_STEPS,
            "counts": (1,),
        },
    ),
    "knowledge.editing.sequential.probe_of": (
        sequential.probe_of,
        lambda: {
            "requests": request("kind", {"owl": "tree"}, "the {entity} is a kind of"),
            "untouched": ("oak",),
            "frame": "the {entity} is a kind of",
            "rows": TOKENS.clone(),
        },
    ),
    "knowledge.masks.packed.pack": (packed.pack, lambda: {"mask": thinned().clone()}),
    "knowledge.masks.packed.unpack": (
        packed.unpack,
        lambda: {"bits": packed.pack(thinned()).long(), "n_weights": len(net())},
    ),
    "knowledge.study.measuring.counted": (
        measuring.counted,
        lambda: {"values": torch.tensor([1.0, 0.0, 1.0]), "subjects": ("owl", "oak", "owl")},
    ),
    "knowledge.study.measuring.of_subject": (
        measuring.of_subject,
        lambda: {"values": eighths(3), "subjects": ("owl", "oak", "owl")},
    ),
    "knowledge.study.measuring.scores": (
        measuring.scores,
        lambda: {"blocks": net(), "values": net().values.clone(), "asked": fact_of_wren()},
    ),
    "knowledge.edit_study.summaries.spread": (
        edit_summaries.spread,
        lambda: {"values": eighths(2, 3).numpy(), "resamples": 20},
    ),
    "knowledge.study.summaries.mean": (
        summaries.mean,
        lambda: {"values": eighths(2, 3).numpy()},
    ),
    "knowledge.study.summaries.rate": (
        summaries.rate,
        lambda: {"right": np.array([[1, 0], [2, 1]]), "asked": np.array([2, 1])},
    ),
    "trust.series.integrity.fingerprint": (
        integrity.fingerprint,
        lambda: {"tensor": eighths(2, 3)},
    ),
    **exact_calls.CALLS,
    **network_calls.CALLS,
    **tuning_calls.CALLS,
    **posts_calls.CALLS,
    **oracle_calls.CALLS,
    **judging_calls.CALLS,
    **study_calls.CALLS,
    **hub_calls.CALLS,
    **changes_calls.CALLS,
    **rivals_calls.CALLS,
}

EXEMPT = {
    **posts_calls.EXEMPT,
    **hub_calls.EXEMPT,
    **changes_calls.EXEMPT,
    **rivals_calls.EXEMPT,
    **network_calls.EXEMPT,
    **oracle_calls.EXEMPT,
    **judging_calls.EXEMPT,
    "knowledge.edit_study.made_at_once.rival": "a cell of a study, of facts and weights of its own",
    "knowledge.edit_study.places.place_of": "hands its mask on to `every_arm`, which is walked",
    "knowledge.edit_study.plan.arm_cell": "the key under which something is stored",
    "knowledge.edit_study.plan.places_at": "which places a plan has at one of its densities",
    "knowledge.edit_study.summaries.values_of": "looks up what is stored under a name",
    "knowledge.edit_study.summaries.edited_arms": "looks up what is stored under a name",
    "knowledge.edit_study.summaries.arm_differences": "looks up what is stored under a name",
    "knowledge.edit_study.summaries.regression": "looks up what is stored under a name",
    "knowledge.edit_study.summaries.regressions": "looks up what is stored under a name",
    "knowledge.edit_study.summaries.resistance": "looks up what is stored under a name",
    "knowledge.study.stored.circuit": "looks up what is stored under a name",
    "knowledge.real.searching.learn_kept": "`learn`, with a file; seconds are no number",
    "inputs.arrays.array_of": "another form of what `real` or `finite` has looked at",
    "knowledge.editing.measures.kept": "a step of `effects`; weights are those that an edit made",
    "knowledge.editing.measures.likelier": "a step of `effects`, likewise: NaN of a model stays",
    "knowledge.editing.measures.log_p": "a step of `effects`, likewise",
    "knowledge.editing.measures.text_loss": "a step of `effects`, which checks its rows",
    "knowledge.editing.outcome.at_once": "the last step of edits, whose input has been checked",
    "inputs.arrays.within": "answers a question about a number that may be NaN",
    "stats.check_level": "refuses a level; every caller hands its own on, and these are walked",
    "trust.information.kernels.distances": "a step of `spectrum`, which checks its rows",
    "trust.information.kernels.centred": "a step of `spectrum`, which checks its rows",
    "trust.probes.bench.activations": "makes data for a speed comparison",
    "trust.probes.bench.by_loop": "the other side of a speed comparison",
    "trust.probes.logistic.design": "the solver beneath `linear.fit`, which checks its input",
    "trust.probes.logistic.minimise": "the solver beneath `linear.fit`",
    "trust.probes.logistic.standardised": "the solver beneath `linear.fit`",
    "trust.series.integrity.of_tensors": "hashes any tensors, of NaN too: see `fingerprint`",
    "trust.series.sweep.sweep": "takes labelled sets, which check themselves",
    "trust.steering.tinyworld.verdicts": "takes a labelled set, which checks itself",
    "tinyworld.sets.places.places_of": "takes prompts, which check themselves",
    "tinyworld.sets.tasks.judged": "takes a labelled set, which checks itself",
}
"""Functions without a good call here, and why."""
