"""What differentiates works whatever the caller has switched off, and leaves it as it was."""

import ast
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from helpers.circuits.codes import discrete_sae, lens_sae
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.graph import Graph
from helpers.circuits.rivals import (
    attribution_patching,
    eap,
    eap_ig,
    edge_attribution,
    hisp,
    node_attribution,
    subnetwork_probing,
)
from helpers.circuits.rivals.subnetwork_probing import MaskSettings
from helpers.circuits.study import CODES, CONTROLS, RIVALS, Trial
from helpers.errors import LabError
from tests.circuits.random_models import native, random_twins

pytestmark = pytest.mark.core
HOUSE = Path(__file__).resolve().parents[2] / "helpers" / "circuits"
FEW = Settings(latents=8, steps=3)
MASKS = MaskSettings(steps=3)
CALLS = {
    "gradients.node_attribution": lambda model, pairs: node_attribution(Graph(model), pairs),
    "gradients.edge_attribution": lambda model, pairs: edge_attribution(Graph(model), pairs),
    "attribution patching": attribution_patching,
    "HISP": hisp,
    "EAP": eap,
    "EAP-IG": eap_ig,
    "subnetwork_probing.trained": lambda model, pairs: subnetwork_probing.trained(
        Graph(model), pairs, settings=MASKS
    ),
    "discrete_sae.train": lambda model, pairs: discrete_sae.train(_vectors(), FEW).encoder,
    "lens_sae.train": lambda model, pairs: lens_sae.train(_vectors(), settings=FEW).encode(
        _vectors()
    ),
}
"""Every function that differentiates, by module and name, and what is built on them."""


def _vectors():
    return torch.randn(6, 16, generator=torch.Generator().manual_seed(0))


def switched_off():
    torch.set_grad_enabled(False)
    return nullcontext()


MODES = {
    "set_grad_enabled(False)": switched_off,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@pytest.fixture(autouse=True)
def on_again():
    yield
    torch.set_grad_enabled(True)


def differentiating() -> set[str]:
    """Functions of the house that call for gradients, by module and name."""
    found = set()
    for path in HOUSE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(inner, ast.Attribute)
                and inner.attr in ("backward", "grad", "fit", "SAETrainer")
                and isinstance(inner.ctx, ast.Load)
                for inner in ast.walk(node)
                if not (isinstance(inner, ast.Attribute) and ast.unparse(inner).startswith("means"))
            ):
                found.add(f"{path.stem}.{node.name}")
    return found


def test_every_function_that_differentiates_is_tried() -> None:
    """A new one has to be added to `CALLS`; `_step` is a part of `discrete_sae.train`."""
    assert differentiating() - {"discrete_sae._step"} <= set(CALLS)
    assert len(differentiating()) >= 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
def test_gradients_switched_off_change_nothing(name: str, mode: str) -> None:
    if "sae" in name.replace("discrete_sae", "") and int(version("transformer-lens")[0]) > 3:
        pytest.skip("sae-lens needs a transformer-lens below 4")
    usual = CALLS[name](native(), random_twins())
    with MODES[mode]():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert before[0] is False
        scores = CALLS[name](native(), random_twins())  # made in that mode, too
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert torch.allclose(scores, usual, atol=1e-6)


def test_a_fault_leaves_the_mode_as_it_was() -> None:
    with torch.no_grad(), pytest.raises(LabError, match="expected a model"):
        eap(None, random_twins())
    switched_off()
    with pytest.raises(Exception, match="expected"):
        eap(native(), random_twins().rows(slice(0, 0)))
    assert not torch.is_grad_enabled()


def test_a_graph_made_in_inference_mode_is_used_outside_of_it() -> None:
    with torch.inference_mode():
        graph = Graph(native())
    usual = edge_attribution(Graph(native()), random_twins())
    assert torch.allclose(edge_attribution(graph, random_twins()), usual, atol=1e-6)


@pytest.mark.parametrize("name", [*CODES, *CONTROLS, *RIVALS])
def test_every_way_of_scoring_heads_works_without_gradients(name: str) -> None:
    if "sae" in name.replace("discrete_sae", "") and int(version("transformer-lens")[0]) > 3:
        pytest.skip("sae-lens needs a transformer-lens below 4")
    model, pairs = native(), random_twins()
    with torch.inference_mode():
        if name in RIVALS:
            scores = RIVALS[name](model, pairs)
        else:
            scores = (CODES | CONTROLS)[name](Trial(model, pairs, random_twins(5, seed=3)))
    assert scores.isfinite().all()
