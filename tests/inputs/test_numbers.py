"""Numbers in every form that NumPy and PyTorch have, and counts of things."""

import ast
from fractions import Fraction
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from helpers import interventions, stats
from helpers.arithmetic import questions
from helpers.errors import LabError
from helpers.inputs import array_of, at_least, check_count, real, yes_no
from helpers.show import plots
from helpers.texts import LabelledSet, final_logits
from helpers.tinyworld.sets import bait, continuations
from helpers.trust.data import splits, surface
from helpers.trust.information import bounds
from helpers.trust.probes.onset import onset
from helpers.trust.series import activations
from helpers.trust.steering import effects, vectors
from tests.support import good_calls
from tests.trust.families import planted

pytestmark = pytest.mark.core

HELPERS = Path(__file__).resolve().parents[2] / "helpers"


@pytest.fixture(autouse=True)
def as_a_user_has_it():
    """Without the check of shapes that the tests put around every function."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


DTYPES = ("<f4", ">f2", ">f4", ">f8", ">i4", ">u2", "<u8", np.longdouble, np.float16)
ROW = (1, 0, 1, 1, 0, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_numbers_of_any_byte_order_and_width_are_read(dtype):
    row = np.array(ROW, dtype=dtype)
    assert real(row, "x", "item").double().tolist() == list(ROW)
    assert real(np.array(1, dtype=dtype), "x").item() == 1
    assert yes_no(row).tolist() == [bool(one) for one in ROW]
    assert stats.bootstrap(row, resamples=9) == stats.bootstrap(np.array(ROW, float), resamples=9)
    assert bounds.variational_bound(row / 8, [True, False]).nats.shape == (6,)
    assert str(onset(range(6), row, 0.5)) == "4–5"
    plots.lines_with_bands(row.cumsum(), {"a": np.stack([row] * 3, 1)}, "x", "y")
    one = effects.cluster_means(row[None], list("aabbcc"))[0]
    assert one.mean == pytest.approx(np.mean(ROW))


def test_wide_complex_numbers_are_still_refused():
    with pytest.raises(LabError, match="as real numbers"):
        real(np.array([1j], dtype=np.clongdouble), "x")


def test_a_tensor_of_any_kind_is_an_array():
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    assert array_of(x).dtype == np.float64
    assert array_of(x.detach().long()).tolist() == [1.0, 1.0]


def bare(tree: ast.Module) -> list[int]:
    """Lines that make an array of what a person gave, without fetching it from its device."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "numpy":
            chain, names = node.func, set()
            while isinstance(chain, ast.Attribute | ast.Call):
                names.add(getattr(chain, "attr", ""))
                chain = chain.value if isinstance(chain, ast.Attribute) else chain.func
            given = isinstance(chain, ast.Name) and chain.id in ("real", "finite")
            if given and "cpu" not in names:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted(HELPERS.rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_person_gave_is_fetched_from_its_device(path):
    assert not bare(ast.parse(path.read_text(encoding="utf-8")))


def test_arrays_of_another_device_are_named():
    text = 'real(x, "x").double().numpy()\nfinite(x, "x").cpu().numpy()\nx.numpy()'
    assert bare(ast.parse(text)) == [1]


# counts

DATA = LabelledSet("s", tuple("abcdefgh"), np.tile([True, False], 4), tuple("11223344"))
IDS, LENGTHS = torch.tensor([[1, 2], [3, 4]]), torch.tensor([2, 2])
X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def controls(count):
    return effects.controls(vectors.mean_difference(X, DATA.labels), X, DATA.labels, count)


COUNTED = {
    "resamples": lambda count: stats.bootstrap(np.arange(5.0), resamples=count),
    "permutations": lambda count: stats.permutation_null(
        lambda values, labels: 0.0, X[:, 0], DATA.labels, count
    ),
    "final_logits": lambda count: final_logits(good_calls.model(), good_calls.prompts(), count),
    "collect": lambda count: interventions.collect(good_calls.model(), good_calls.TOKENS, count),
    "last_token": lambda count: activations.last_token(planted(), IDS, LENGTHS, count),
    "splits": lambda count: splits.grouped(DATA, count, 0.25),
    "controls": controls,
    "seed": lambda count: surface.case_flipped(("a",), 0.5, count),
    "bait": bait.obvious_set,
    "continuations": lambda count: continuations.continuation_prompts("privacy", count),
    "questions": lambda count: questions.uniform(5, count, np.random.default_rng(0)),
}
NO_COUNTS = (2.5, float("nan"), None, "2", True, -1, torch.tensor(2.0), Fraction(5, 2))


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_what_is_no_count_is_a_sentence(name, count):
    with pytest.raises(LabError, match=r"expected a .* of at least [01]; got"):
        COUNTED[name](count)


@pytest.mark.parametrize("count", [2, np.int64(2), np.uint8(2), torch.tensor(2)], ids=repr)
def test_a_whole_number_of_any_kind_is_a_count(count):
    check_count("number", count, least=2)
    with pytest.raises(LabError, match="number of at least 3"):
        check_count("number", count, least=3)


@pytest.mark.parametrize("value", [None, "2", b"2", [2, 3], float("nan"), float("inf"), 0.05])
def test_what_is_no_number_is_not_enough(value):
    with pytest.raises(LabError, match=r"expected at least 0\.1 inches"):
        at_least(0.1, value, "inches")
    at_least(0.1, np.float32(2), "inches")


@pytest.mark.parametrize("count", [torch.tensor(True), np.bool_(True), True])
def test_truth_is_no_count(count):
    with pytest.raises(LabError, match="expected a number of things of at least 1"):
        check_count("number of things", count, least=1)
