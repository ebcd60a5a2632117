"""A head on which everything hangs and that has no gradient: what each method says of it."""

import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import zoo
from helpers.circuits.graph import Graph, handwired
from helpers.circuits.graph.saturated import build, twins
from helpers.circuits.rivals import (
    acdc,
    attribution_patching,
    eap,
    eap_ig,
    hisp,
    saturated,
    saturation,
    subnetwork_probing,
)
from helpers.circuits.rivals.path_patching import effects
from helpers.circuits.study import RIVALS
from helpers.circuits.tasks.tinyworld import twins as tinyworld_twins
from helpers.errors import LabError
from helpers.texts import final_logits
from tests.circuits.random_models import native, random_twins

pytestmark = pytest.mark.core
BY_GRADIENT = {
    "attribution patching": attribution_patching,
    "HISP": hisp,
    "EAP": eap,
    "EAP-IG": eap_ig,
}


def test_the_model_answers_the_prompt_and_its_twin() -> None:
    model, pairs = build(), twins()
    ends = [pairs.behaviour(final_logits(model, side)) for side in (pairs.clean, pairs.corrupted)]
    assert [float(end) for end in ends] == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_every_gradient_gives_it_nothing_and_says_so(name: str) -> None:
    """Two heads in a row, without either of which the logit difference falls by 2."""
    with pytest.warns(
        UserWarning, match=rf"^{name} gives next to nothing .* L0H0 \(\S+, ablated 2\)"
    ):
        scores = BY_GRADIENT[name](build(), twins())
    assert float(scores[0]) < 1e-4
    assert float(scores[1]) == pytest.approx(2.0)


LINES = """\
import inspect, warnings
from helpers.circuits.graph.saturated import build, twins
from helpers.circuits.rivals import attribution_patching, eap, eap_ig, hisp
from helpers.circuits.tasks import twins_from_text
from tests.circuits.standin_tokenizer import standin

def ask(method, *given):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        method(*given); line = inspect.currentframe().f_lineno
    assert said, method
    print(method.__name__, {(one.filename, one.lineno) for one in said} == {(__file__, line)})

model, pairs = build(), twins()
for method in (attribution_patching, hisp, eap, eap_ig):
    ask(method, model, pairs)
ask(twins_from_text, standin(), "the cat walk", "the hat walk", "s", "z")
"""


def test_warnings_name_the_line_that_calls(tmp_path: Path) -> None:
    """In a process of its own: here types are checked at run time, which adds calls in between."""
    script = tmp_path / "reader.py"
    script.write_text(LINES, "utf-8")
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        check=True,
    )
    names = [*(method.__name__ for method in BY_GRADIENT.values()), "twins_from_text"]
    assert done.stdout.splitlines() == [f"{name} True" for name in names]


def test_what_takes_something_away_sees_it() -> None:
    model, pairs = build(), twins()
    graph = Graph(model)
    of_edge = dict(zip(map(str, graph.edges), effects(graph, pairs)[:, 0].tolist(), strict=True))
    on_the_way = ("embed→L0H0.v", "L0H0→L1H0.q", "L1H0→output")
    assert [of_edge[edge] for edge in on_the_way] == pytest.approx([2.0, 2.0, 2.0])
    assert sum(abs(effect) > 1e-3 for effect in of_edge.values()) == 3
    assert RIVALS["ablate one head"](model, pairs).tolist() == pytest.approx([2.0, 2.0])
    assert acdc.scores(model, pairs, taus=(0.1,)).tolist() == pytest.approx([0.1, 0.1])
    assert bool((subnetwork_probing.scores(model, pairs) > 0).all())


def test_more_steps_of_integrated_gradients_find_it_but_not_its_size() -> None:
    """The one point of the path at which the attention wavers has the whole effect."""
    by_steps = [float(eap_ig(build(), twins(), steps=steps)[0]) for steps in (50, 51)]
    assert by_steps == pytest.approx([2.42, 1.63], abs=0.01)


def test_a_soft_attention_has_its_gradient() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = eap(build(1.0), twins())
    assert float(scores[0]) == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("nan")])
def test_a_sharpness_that_is_none_is_refused(sharpness: float) -> None:
    with pytest.raises(LabError, match="expected a positive sharpness"):
        build(sharpness)


def test_heads_that_do_nothing_are_not_reported() -> None:
    """Decoys write something else on the twin, but nobody reads it; either path is enough."""
    wired = handwired.build()
    pairs = handwired.twins(16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in BY_GRADIENT.values():
            method(wired.model, pairs)
    scores = torch.zeros(len(wired.all_heads))
    named = {one.head for one in saturated(Graph(wired.model), pairs, scores)}
    assert named == {(2, 2)}  # the only head that is necessary, if it is said to have no score


@pytest.mark.parametrize("task", ["ioi", "greater-than", "docstring"])
def test_the_trained_model_has_none(task: str) -> None:
    model, pairs = zoo.load("tinyworld-attn"), tinyworld_twins(task, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in BY_GRADIENT.values():
            method(model, pairs)


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_a_random_model_has_none(ablation: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eap(native(), random_twins(), ablation)


def test_the_warning_of_the_chapter_has_these_numbers() -> None:
    page = Path(__file__).resolve().parents[3] / "book" / "ch4_circuit_discovery.md"
    said = re.search(
        r"gives the first ([\d.]+) with five steps, ([\d.]+) with 50 and ([\d.]+) with 51",
        page.read_text("utf-8"),
    )
    assert said is not None
    measured = []
    for steps in (5, 50, 51):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measured.append(float(eap_ig(build(), twins(), steps=steps)[0]))
    assert float(said[1]) == pytest.approx(measured[0], abs=5e-6)
    assert [float(said[2]), float(said[3])] == pytest.approx(measured[1:], abs=0.051)


def test_the_warning_of_the_chapter_says_what_is_not_looked_into() -> None:
    page = Path(__file__).resolve().parents[3] / "book" / "ch4_circuit_discovery.md"
    said = re.search(
        r"on the first (\d+) pairs, each head whose score is at most ([\d.]+) of the largest\s+"
        r"\(or of .*\), and name it where this changes the behaviour by more than ([\d.]+) of the",
        page.read_text("utf-8"),
    )
    assert said is not None
    assert (int(said[1]), float(said[2]), float(said[3])) == (
        saturation.SAMPLE,
        saturation.NOTHING,
        saturation.SOMETHING,
    )


def test_a_small_score_and_later_pairs_are_not_looked_into() -> None:
    graph, pairs = Graph(build()), twins()
    scores = torch.tensor([0.0, 2.0])
    assert [one.head for one in saturated(graph, pairs, scores)] == [(0, 0)]
    scores[0] = 2.1 * saturation.NOTHING
    assert saturated(graph, pairs, scores) == []
    many = pairs.rows(torch.zeros(saturation.SAMPLE + 1, dtype=torch.long))
    same = replace(many.corrupted, tokens=many.corrupted.tokens.clone())
    same.tokens[: saturation.SAMPLE] = many.clean.tokens[: saturation.SAMPLE]
    late = replace(many, corrupted=same)  # twins are copies, but for the last one
    assert saturated(graph, late, torch.tensor([0.0, 2.0])) == []
    early = late.rows(torch.arange(saturation.SAMPLE, -1, -1))
    assert [one.head for one in saturated(graph, early, torch.tensor([0.0, 2.0]))] == [(0, 0)]
