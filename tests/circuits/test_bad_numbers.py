"""Every public function of the house, given numbers of another type, with gradients, with NaN, and
none at all: it does what it does with good ones, or refuses them in words.

The functions are those that the rooms' faces name, so that a new one is walked, too.
"""

import importlib
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.circuits import codes, graph, judging, oracle, rivals, tasks
from helpers.circuits.codes import controls, discrete_sae, lens_sae
from helpers.circuits.explorer import count_codes
from helpers.circuits.graph import composition
from helpers.circuits.oracle import shapley
from helpers.circuits.rivals import acdc, path_patching, saturation, subnetwork_probing
from helpers.circuits.tasks import Twins
from helpers.errors import LabError
from helpers.texts import Prompts
from tests.circuits.random_models import native, random_twins

HOUSE = Path(__file__).resolve().parents[2] / "helpers" / "circuits"
ROOMS = sorted(path.name for path in HOUSE.iterdir() if (path / "__init__.py").exists())
HEADS = [(layer, head) for layer in range(2) for head in range(2)]
SHAPE = {"n_layers": 2, "normalization_type": "LN", "attn_only": True}


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masks(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def some_codes(seed: int) -> torch.Tensor:
    return torch.randint(6, (8, 4), generator=torch.Generator().manual_seed(seed))


MODEL, PAIRS = native(**SHAPE), random_twins()
GRAPH = graph.Graph(MODEL)
RUN = GRAPH.forward(PAIRS.clean.tokens, PAIRS.clean.last)
SAE = discrete_sae.train(numbers(12, 16), codes.Settings(latents=6, steps=2))
WRITES = numbers(6, 4, 16, seed=2), numbers(6, 4, 16, seed=3)
SCORES, TRUE = torch.tensor([3.0, 1.0, 2.0, 0.5]), torch.tensor([1.0, 0.0, 1.0, 0.0])
SUBSETS = torch.arange(16.0).sqrt()
FEW = codes.Settings(latents=6, steps=2)
MASKS = subnetwork_probing.MaskSettings(steps=2)
Call = tuple[Callable, tuple]

CALLS: dict[str, Call] = {
    "codes.head_writes": (lambda prompts: codes.head_writes(MODEL, prompts), (PAIRS.clean,)),
    "codes.heads_of_pairs": (lambda scores: codes.heads_of_pairs(scores, 4), (masks(4, 4),)),
    "codes.node_scores": (codes.node_scores, (some_codes(0), some_codes(1))),
    "codes.pair_scores": (codes.pair_scores, (some_codes(0), some_codes(1))),
    "codes.DiscreteSAE": (lambda writes: SAE.codes(writes), (numbers(5, 16),)),
    "codes.DiscreteSAE.encode": (lambda writes: SAE.encode(writes), (numbers(5, 16),)),
    "codes.DiscreteSAE.reconstruct": (lambda writes: SAE.reconstruct(writes), (numbers(5, 16),)),
    "discrete_sae.train": (
        lambda vectors: discrete_sae.train(vectors, FEW).encoder,
        (numbers(12, 16),),
    ),
    "lens_sae.train": (
        lambda vectors: lens_sae.train(vectors, settings=FEW).encode(numbers(3, 16)),
        (numbers(12, 16),),
    ),
    **{
        f"controls.{name}": (getattr(controls, name), WRITES)
        for name in ("mean_difference", "paired_difference", "k_means_codes")
    },
    "controls.write_norm": (lambda a: controls.write_norm(a, WRITES[1]), WRITES[:1]),
    "controls.untrained_codes": (
        lambda a, b: controls.untrained_codes(a, b, settings=FEW),
        WRITES,
    ),
    "explorer.count_codes": (
        lambda a, b: str(count_codes(a, b)),
        (some_codes(0).numpy(), some_codes(1).numpy()),
    ),
    "graph.Graph": (
        lambda pairs: GRAPH.forward(pairs.clean.tokens, pairs.clean.last).logits,
        (PAIRS,),
    ),
    "graph.Graph.forward": (
        lambda pairs, keep: GRAPH.forward(
            pairs.clean.tokens, pairs.clean.last, keep, graph.twin_replacements(GRAPH, pairs)
        ).logits,
        (PAIRS, masks(len(GRAPH.edges))),
    ),
    "graph.Graph.logits": (GRAPH.logits, (PAIRS.clean.tokens,)),
    "graph.Graph.check_twins": (GRAPH.check_twins, (PAIRS,)),
    "graph.means": (lambda prompts: graph.means(GRAPH, prompts), (PAIRS.clean,)),
    "graph.outgoing": (
        lambda scores: graph.outgoing(GRAPH.edges, scores, GRAPH.heads),
        (numbers(len(GRAPH.edges)),),
    ),
    "graph.twin_replacements": (lambda pairs: graph.twin_replacements(GRAPH, pairs), (PAIRS,)),
    "graph.twin_replacements, given": (
        lambda writes: graph.twin_replacements(GRAPH, PAIRS, writes),
        (RUN.writes,),
    ),
    "graph.composition": (lambda: composition.composition(MODEL).scores, ()),
    "judging.auprc": (judging.auprc, (SCORES, TRUE)),
    "judging.auroc": (judging.auroc, (SCORES, TRUE)),
    "judging.auroc_null": (lambda s, t: judging.auroc_null(s, t).p_value, (SCORES, TRUE)),
    "judging.judge": (judging.judge, (SCORES, TRUE)),
    "judging.over_seeds": (
        lambda s, t: judging.over_seeds(s, t).mean,
        (torch.stack([SCORES, SCORES.flip(0)]), TRUE),
    ),
    "judging.sweep": (lambda s, t: judging.sweep(s, t).thresholds, (SCORES, TRUE)),
    "judging.best_circuits": (judging.best_circuits, (SUBSETS,)),
    "judging.curve": (lambda s, f: judging.curve(s, f).mean, (SCORES, SUBSETS)),
    "judging.evaluated": (
        lambda s: judging.evaluated(s, HEADS, lambda heads: len(heads) / 4).mean,
        (SCORES,),
    ),
    "judging.normalised": (judging.normalised, (SUBSETS,)),
    "judging.random_circuits": (lambda f: judging.random_circuits(f).mean, (SUBSETS,)),
    "judging.random_rankings": (judging.random_rankings, (SUBSETS,)),
    "oracle.oracle": (
        lambda pairs: oracle.oracle(MODEL, pairs, "resample").behaviour,
        (PAIRS,),
    ),
    "oracle.Oracle": (
        lambda behaviour: oracle.Oracle(tuple(HEADS), "t", "m", "mean", behaviour).faithfulness,
        (numbers(16, 3),),
    ),
    "oracle.OracleSummary": (
        lambda mean, error: oracle.OracleSummary(
            tuple(HEADS), "t", "m", "mean", mean, error
        ).faithfulness,
        (SUBSETS, SUBSETS / 100),
    ),
    "oracle.minimal": (lambda f: oracle.minimal(f).circuits, (SUBSETS / 3.8,)),
    "shapley.exact": (shapley.exact, (SUBSETS,)),
    "shapley.interactions": (shapley.interactions, (SUBSETS,)),
    "shapley.by_hooks": (lambda pairs: shapley.by_hooks(MODEL, pairs, "resample")(3), (PAIRS,)),
    **{
        f"rivals.{name}": (lambda pairs, name=name: getattr(rivals, name)(MODEL, pairs), (PAIRS,))
        for name in ("attribution_patching", "eap", "eap_ig", "hisp")
    },
    "rivals.edge_attribution": (lambda pairs: rivals.edge_attribution(GRAPH, pairs), (PAIRS,)),
    "rivals.edge_attribution, given": (
        lambda writes: rivals.edge_attribution(GRAPH, PAIRS, writes),
        (RUN.writes,),
    ),
    "rivals.node_attribution": (lambda pairs: rivals.node_attribution(GRAPH, pairs), (PAIRS,)),
    "rivals.saturated": (
        lambda pairs, scores: str(saturation.saturated(GRAPH, pairs, scores)),
        (PAIRS, SCORES),
    ),
    "acdc.scores": (lambda pairs: acdc.scores(MODEL, pairs, taus=(0.1,)), (PAIRS,)),
    "path_patching.effects": (lambda pairs: path_patching.effects(GRAPH, pairs), (PAIRS,)),
    "subnetwork_probing.scores": (
        lambda pairs: subnetwork_probing.scores(MODEL, pairs, settings=MASKS),
        (PAIRS,),
    ),
    "tasks.Twins": (
        lambda clean, twin: Twins(clean, twin, "margin"),
        (PAIRS.clean, PAIRS.corrupted),
    ),
    "tasks.Twins.behaviour": (lambda logits: PAIRS.behaviour(logits), (RUN.logits,)),
    "tasks.check_pairs": (lambda pairs: tasks.check_pairs(MODEL, pairs), (PAIRS,)),
    "tasks.check_prompts": (lambda prompts: tasks.check_prompts(prompts, 20, 12), (PAIRS.clean,)),
    "tasks.check_readable": (lambda prompts: tasks.check_readable(MODEL, prompts), (PAIRS.clean,)),
}  # fmt: skip
"""For each function a call with good numbers."""

EXEMPT = {
    "codes.Settings": "its own numbers are looked at in test_discrete_sae",
    "codes.load_model": "takes a name",
    "explorer.Code": "a record of what was counted",
    "explorer.TaskPage": "a record, whose parts test_page looks at",
    "explorer.circuit_explorer": "draws such records",
    "explorer.read_texts": "shows texts and attention patterns; test_page",
    "graph.Edge": "names",
    "graph.ForwardPass": "a record of what a graph computed",
    "graph.Writes": "a type",
    "graph.head_name": "takes a layer and a head",
    "judging.Confusion": "a record of counts",
    "judging.FaithfulnessCurve": "a record of what `curve` found",
    "judging.OverSeeds": "a record",
    "judging.Sweep": "a record",
    "judging.Verdict": "a record",
    "judging.membership": "takes names of heads",
    "oracle.SubsetTable": "what Oracle and OracleSummary have in common",
    "oracle.labels": "takes an oracle",
    "rivals.Damage": "a type",
    "rivals.SaturatedHead": "a record",
    "study.Item": "a record of what was measured",
    "study.Key": "takes names",
    "study.Rival": "a function of `rivals` and how many prompts it takes",
    "study.Study": "a record of what was measured",
    "study.StudyPlan": "counts of prompts; test_trials",
    "study.Trial": "head_writes on twins",
    "tasks.real": "says where padding is",
    "tasks.rows": "chooses prompts, no prompts among the choices",
    "tasks.twins_from_text": "takes texts; test_own",
}
"""Public names that take no numbers, with the reason."""


def public() -> Iterator[str]:
    for room in ROOMS:
        face = importlib.import_module(f"helpers.circuits.{room}")
        for name in face.__all__:
            thing = getattr(face, name)
            if callable(thing) or isinstance(thing, types.GenericAlias):
                yield f"{room}.{name}"


def test_every_public_function_is_walked_or_exempt() -> None:
    walked = {name.partition(",")[0] for name in CALLS}
    named = set(public())
    assert len(named) > 50
    assert not named - walked - set(EXEMPT), "no call with good numbers for these"
    assert not set(EXEMPT) - named
    assert not walked & set(EXEMPT)


# ---- what is done to numbers


def is_real(x: Any) -> bool:
    floats = isinstance(x, torch.Tensor) and x.is_floating_point()
    return floats or (isinstance(x, np.ndarray) and x.dtype.kind == "f")


def with_nan(x: torch.Tensor) -> torch.Tensor:
    spoilt = x.detach().clone()
    spoilt.view(-1)[0] = torch.nan
    return spoilt


HARMLESS = {
    "float64": lambda x: x.double() if is_real(x) else x,
    "bfloat16": lambda x: x.bfloat16() if is_real(x) else x,
    "gradients": lambda x: x.detach().clone().requires_grad_() if is_real(x) else x,
    "int32": lambda x: x.to(torch.int32) if isinstance(x, torch.Tensor) and not is_real(x) else x,
    "inference": None,
}
"""What leaves the numbers what they are; a refusal is allowed, another result is not."""
HARMFUL = {
    "NaN": lambda x: with_nan(x) if is_real(x) else x,
    "infinity": lambda x: with_nan(x).nan_to_num(nan=torch.inf) if is_real(x) else x,
    "none": lambda x: x[:0],
}
"""What has to be refused."""


def spoilt(x: Any, change: Callable) -> Any:
    """An argument with all its numbers changed."""
    if isinstance(x, torch.Tensor | np.ndarray):
        return change(x)
    if isinstance(x, tuple):
        return tuple(spoilt(part, change) for part in x)
    if isinstance(x, Twins):
        sides = (spoilt(x.clean, change), spoilt(x.corrupted, change))
        return replace(x, clean=sides[0], corrupted=sides[1])
    if isinstance(x, Prompts):
        if len(change(x.tokens)) == 0:
            return tasks.rows(x, slice(0, 0))
        parts = {name: change(getattr(x, name)) for name in ("tokens", "last")}
        return replace(x, **parts)
    return x


def flat(result: Any) -> list[float]:
    """All numbers of a result, whatever its form."""
    if result is None or isinstance(result, str):
        return []
    if isinstance(result, torch.Tensor):
        return result.detach().double().flatten().tolist()
    if isinstance(result, np.ndarray | float | int | np.generic):
        return np.asarray(result, dtype=float).ravel().tolist()
    if is_dataclass(result):
        return [n for field in fields(result) for n in flat(getattr(result, field.name))]
    return [number for part in result for number in flat(part)]


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("name", CALLS)
def test_numbers_in_another_form_give_the_same_or_are_refused(name: str, kind: str) -> None:
    work, arguments = CALLS[name]
    usual = work(*arguments)
    try:
        if kind == "inference":
            with torch.inference_mode():
                result = work(*spoilt(arguments, lambda x: x * 1 if is_real(x) else x))
        else:
            result = work(*spoilt(arguments, HARMLESS[kind]))
    except LabError as fault:
        assert str(fault).startswith("expected")  # noqa: PT017
        return
    close = {"bfloat16": 5e-2}.get(kind, 1e-5)
    assert str(result) == usual if isinstance(usual, str) else True
    assert flat(result) == pytest.approx(flat(usual), rel=close, abs=close, nan_ok=True)


DIFFERENTIABLE = {
    *("codes.DiscreteSAE.encode", "codes.DiscreteSAE.reconstruct"),
    *("controls.write_norm", "controls.mean_difference", "controls.paired_difference"),
    *("graph.Graph.forward", "graph.outgoing", "tasks.Twins.behaviour"),
}
"""What one may want a gradient through: it computes, where others train, count or judge."""


@pytest.mark.parametrize("name", sorted(DIFFERENTIABLE))
def test_a_gradient_goes_through_and_the_precision_stays(name: str) -> None:
    work, arguments = CALLS[name]
    given = spoilt(arguments, HARMLESS["gradients"])
    result = work(*given)
    assert result.requires_grad
    wanted = [x for x in given if is_real(x)]
    slopes = torch.autograd.grad(result.sum(), wanted)
    assert all(float(slope.abs().sum()) > 0 for slope in slopes)
    if name != "graph.Graph.forward":  # its precision is the model's
        assert work(*spoilt(arguments, HARMLESS["float64"])).dtype is torch.float64


ALLOWED = {
    ("tasks.Twins", "none"): "no pairs are pairs: what reads them refuses them",
    ("graph.Graph", "none"): "as a forward pass over no prompts",
    ("graph.Graph.logits", "none"): "as a forward pass over no prompts",
    ("codes.DiscreteSAE.encode", "none"): "no vectors have no latents, as in any module of torch",
    ("codes.DiscreteSAE.reconstruct", "none"): "as above",
}
"""What gives an answer to such numbers all the same, with the reason."""


@pytest.mark.parametrize("kind", HARMFUL)
@pytest.mark.parametrize("name", CALLS)
def test_numbers_that_mean_nothing_are_refused(name: str, kind: str) -> None:
    work, arguments = CALLS[name]
    for place, argument in enumerate(arguments):
        changed = spoilt(argument, HARMFUL[kind])
        if not _differs(argument, changed):
            continue
        given = (*arguments[:place], changed, *arguments[place + 1 :])
        try:
            work(*given)
        except LabError as fault:
            assert str(fault).startswith("expected")  # noqa: PT017
        else:
            assert (name, kind) in ALLOWED, f"argument {place} was taken"


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, Twins | Prompts):
        return len(before) != len(after)
    if isinstance(before, tuple):
        return any(_differs(one, other) for one, other in zip(before, after, strict=True))
    one, other = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    return one.shape != other.shape or not np.array_equal(one, other)


WITH_MODEL = [name for name, call in CALLS.items() if "pairs" in call[0].__code__.co_varnames]
LOOK_AT_NO_MODEL = {"tasks.check_pairs", "graph.Graph"}
"""The first looks at prompts alone, the second is one run of a graph that is made already."""


@pytest.mark.parametrize("name", sorted(set(WITH_MODEL) - LOOK_AT_NO_MODEL))
def test_a_model_of_nan_is_refused(name: str, monkeypatch) -> None:
    """Whatever takes a model and pairs."""
    model = native(**SHAPE)
    with torch.no_grad():
        model.blocks[1].attn.q.original_component.weight[0, 0] = torch.nan
    work, arguments = CALLS[name]
    monkeypatch.setitem(globals(), "MODEL", model)
    monkeypatch.setattr(GRAPH, "model", model)
    with pytest.raises(LabError, match="expected"):
        work(*arguments)
