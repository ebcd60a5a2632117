"""Series of checkpoints: how far rounding moves a weight, what a file says, what is refused."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.torch import load_file, save_file

from helpers import files
from helpers.errors import LabError
from helpers.training import series_file

OWL = "10f7127b980b0b06ef157749f8a02cca1c606d22642729dcb2d24dbbf2bf30df"
FLOATS = st.floats(-1e3, 1e3, width=32)
matrices = arrays("float32", array_shapes(min_dims=2, max_dims=3, max_side=6), elements=FLOATS)


@settings(deadline=None)
@given(matrices)
def test_no_weight_moves_by_more_than_half_a_scale(values):
    weights = torch.from_numpy(values)
    numbers, scale = series_file.rounded(weights)
    largest = weights.abs().amax(-1, keepdim=True)
    assert numbers.dtype == torch.int8
    assert int(numbers.abs().max()) <= 127
    torch.testing.assert_close(scale, (largest / 127).clamp_min(1e-12))
    moved = (series_file.restored(numbers, scale) - weights).abs()
    assert (
        moved <= scale / 2 * (1 + 1e-4) + 1e-12
    ).all()  # quotient and product are rounded to 24 bits


@settings(deadline=None)
@given(matrices)
def test_the_largest_of_a_row_keeps_its_value(values):
    weights = torch.from_numpy(values)
    back = series_file.restored(*series_file.rounded(weights))
    torch.testing.assert_close(back.abs().amax(-1), weights.abs().amax(-1), rtol=1e-5, atol=1e-9)


def test_rows_have_scales_of_their_own():
    weights = torch.tensor([[1000.0, 1.0], [0.001, 0.0005]])
    back = series_file.restored(*series_file.rounded(weights))
    torch.testing.assert_close(back[1], weights[1], rtol=0.01, atol=0)
    assert back[0, 1] == 0  # lost beside a thousand: half a scale is 3.9


def series(seed: int = 0) -> dict[int, dict[str, torch.Tensor]]:
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    return {
        step: {"layer.weight": draw(5, 7), "layer.bias": draw(7), "cube": draw(2, 3, 4)}
        for step in (0, 1, 10)
    }


def test_every_step_comes_back_as_its_own(tmp_path):
    states = series()
    series_file.pack(states, tmp_path / "s.safetensors", {})
    for step, state in states.items():
        found = series_file.unpack(tmp_path / "s.safetensors", step)
        assert found.keys() == state.keys()
        for name, value in state.items():
            assert found[name].shape == value.shape
            assert found[name].dtype == torch.float32
            bound = (
                value.abs().amax(-1, keepdim=True) / 127 / 2
                if value.ndim > 1
                else value.abs() * 2**-11
            )
            assert ((found[name] - value).abs() <= bound * 1.001).all()


def test_a_series_takes_a_quarter_of_the_bytes(tmp_path):
    wide = {step: {"w": torch.randn(64, 512)} for step in (0, 1)}
    series_file.pack(wide, tmp_path / "s.safetensors", {})
    save_file(
        {f"{step}": state["w"] for step, state in wide.items()}, tmp_path / "full.safetensors"
    )
    ratio = (tmp_path / "full.safetensors").stat().st_size / (
        tmp_path / "s.safetensors"
    ).stat().st_size
    assert 3.8 < ratio <= 4


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "some").write_bytes(b"owl")
    # from coreutils: printf owl | sha256sum
    assert files.checksum(tmp_path / "some") == (OWL, 3)
    series_file.pack(series(), tmp_path / "s.safetensors", {"fingerprint": "x"})
    before = files.checksum(tmp_path / "s.safetensors")
    assert before[1] == (tmp_path / "s.safetensors").stat().st_size
    series_file.pack(series(1), tmp_path / "s.safetensors", {"fingerprint": "x"})
    assert files.checksum(tmp_path / "s.safetensors") != before


def test_a_step_that_is_the_beginning_of_another_is_not_mixed_up_with_it(tmp_path):
    series_file.pack(
        {1: {"w": torch.ones(2, 2)}, 10: {"w": torch.zeros(2, 2)}}, tmp_path / "s.safetensors", {}
    )
    assert series_file.unpack(tmp_path / "s.safetensors", 1)["w"].sum().item() == pytest.approx(4)
    assert series_file.unpack(tmp_path / "s.safetensors", 10)["w"].sum() == 0


def test_vectors_keep_eleven_bits_of_their_value(tmp_path):
    bias = torch.tensor([math.pi, -1e-3, 500.0])
    series_file.pack({0: {"b": bias}}, tmp_path / "s.safetensors", {})
    assert load_file(tmp_path / "s.safetensors")["0/b"].dtype == torch.float16
    torch.testing.assert_close(
        series_file.unpack(tmp_path / "s.safetensors", 0)["b"], bias, rtol=2**-11, atol=0
    )


def test_a_step_that_is_not_there_is_refused_with_the_list(tmp_path):
    series_file.pack(series(), tmp_path / "s.safetensors", {})
    with pytest.raises(
        LabError, match=r"expected a step of the series in s.safetensors: 0, 1, 10; got 2"
    ):
        series_file.unpack(tmp_path / "s.safetensors", 2)


@pytest.mark.parametrize("content", [None, b"", b"not a series", b"\x08" * 100])
def test_a_file_that_is_no_series_is_refused(tmp_path, content):
    path = tmp_path / "s.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LabError, match="expected a series of checkpoints") as refused:
        series_file.unpack(path, 0, "get it again")
    assert "get it again" in str(refused.value)


def test_a_file_that_cannot_be_read_has_no_checksum(tmp_path):
    with pytest.raises(LabError, match="expected a series of checkpoints"):
        files.checksum(tmp_path / "none")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="expected to write"):
        series_file.pack(series(), tmp_path / "file" / "s.safetensors", {})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("w", torch.full((2, 2), math.nan), "w at step 7 has others"),
        ("w", torch.tensor([[1.0, math.inf]]), "w at step 7 has others"),
        ("b", torch.tensor([70_000.0]), "at most 65,504; b at step 7 has others"),
        ("b", torch.tensor([math.nan]), "b at step 7 has others"),
        ("norm.scale", torch.ones(4), "got norm.scale"),
    ],
)
def test_what_a_series_cannot_hold_is_refused_before_anything_is_written(
    tmp_path, name, value, said
):
    """A 16-bit float ends at 65 504; ".scale" would be taken for the scale of a row, and vanish."""
    with pytest.raises(LabError, match=said):
        series_file.pack(
            {7: {"fine": torch.ones(2, 2), name: value}}, tmp_path / "s.safetensors", {}
        )
    assert not (tmp_path / "s.safetensors").exists()


@pytest.mark.parametrize("scale", [None, torch.ones(3, 1), torch.ones(5), torch.ones(1)])
def test_numbers_without_the_scale_of_their_row_are_no_weights(tmp_path, scale):
    """They would come back as whole numbers, a hundred times too large, or not at all."""
    path = tmp_path / "s.safetensors"
    series_file.pack(series(), path, {})
    tensors = {
        name: value for name, value in load_file(path).items() if name != "0/layer.weight.scale"
    }
    save_file(
        tensors | ({} if scale is None else {"0/layer.weight.scale": scale}),
        path,
        {"steps": "0,1,10"},
    )
    with pytest.raises(LabError, match=r"0/layer\.weight is not stored as whole numbers"):
        series_file.unpack(path, 0, "get it again")
    assert series_file.unpack(path, 1).keys() == series()[1].keys()


def test_a_weight_file_that_is_no_series_says_so(tmp_path):
    save_file({"w": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(
        LabError, match=r"expected a series of checkpoints in .*; it names no steps"
    ):
        series_file.unpack(tmp_path / "model.safetensors", 0)
