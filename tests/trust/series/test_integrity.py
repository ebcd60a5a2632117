"""Fingerprints of weights, and what twins among checkpoints mean."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from helpers.errors import LabError
from helpers.trust.series import integrity

MATRIX = torch.arange(12.0).reshape(3, 4)


def checkpoint(
    matrix: float, other: float, bias: float = 0.0, frozen: float = 7.0
) -> integrity.Prints:
    """Fingerprints of a checkpoint with two trained matrices, a bias and a frozen matrix."""
    tensors = {
        "w": MATRIX + matrix,
        "v": MATRIX * other,
        "b": torch.full((4,), bias),
        "f": torch.full((2, 2), frozen),
    }
    return integrity.of_tensors(tensors)


def test_equal_numbers_have_equal_fingerprints():
    same = integrity.fingerprint(MATRIX)
    assert integrity.fingerprint(MATRIX.half()) == same
    assert integrity.fingerprint(MATRIX.bfloat16()) == same
    assert integrity.fingerprint(MATRIX.t().contiguous().t()) == same, (
        "the layout in memory does not count"
    )
    assert integrity.fingerprint(MATRIX.reshape(4, 3)) != same
    assert integrity.fingerprint(MATRIX.t()) != same
    nearly = MATRIX.clone()
    nearly[2, 3] = torch.nextafter(nearly[2, 3], torch.tensor(99.0))
    assert integrity.fingerprint(nearly) != same, "one bit is a difference"


def test_the_sign_of_zero_is_no_difference():
    """In two published Pythia checkpoints it is the only one (EleutherAI/pythia issue 203)."""
    assert integrity.fingerprint(torch.tensor([0.0, -0.0])) == integrity.fingerprint(
        torch.tensor([-0.0, 0.0])
    )


def test_pieces_do_not_change_the_hash(monkeypatch):
    whole = integrity.fingerprint(MATRIX)
    monkeypatch.setattr(integrity, "CHUNK", 5)
    assert integrity.fingerprint(MATRIX) == whole


def test_integers_and_empty_tensors_have_fingerprints():
    assert integrity.fingerprint(torch.tensor([1, 2])) != integrity.fingerprint(
        torch.tensor([1, 3])
    )
    assert integrity.fingerprint(torch.tensor([True])) != integrity.fingerprint(
        torch.tensor([False])
    )
    assert integrity.fingerprint(torch.zeros(0, 3)) != integrity.fingerprint(torch.zeros(3, 0))


def test_files_and_models_agree(tmp_path):
    tensors = {"a": MATRIX, "b": torch.ones(3)}
    save_file({"b": tensors["b"]}, tmp_path / "1.safetensors")
    save_file({"a": tensors["a"].half()}, tmp_path / "2.safetensors")
    found = integrity.of_files(tmp_path.glob("*.safetensors"))
    assert found == integrity.of_tensors(tensors)
    assert integrity.digest(found) != integrity.digest(
        integrity.of_tensors({"a": MATRIX, "b": torch.zeros(3)})
    )


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(LabError, match=r"weights in .*model\.safetensors"):
        integrity.of_files([tmp_path / "model.safetensors"])


def test_different_checkpoints_have_no_twins():
    prints = {step: checkpoint(step, 1 + step) for step in range(5)}
    assert integrity.twins(prints) == []
    assert integrity.settle("toy", prints) == ((0, 1, 2, 3, 4), ())


def test_neighbours_may_be_dropped_with_a_note():
    prints = {
        0: checkpoint(0, 1),
        1: checkpoint(0, 1),
        2: checkpoint(0, 1),
        4: checkpoint(1, 2),
        8: checkpoint(2, 3),
    }
    with pytest.raises(
        LabError,
        match="other weights at every step of toy; steps 0 and 1 hold the same weights; "
        "steps 0 and 2",
    ):
        integrity.settle("toy", prints)
    kept, notes = integrity.settle("toy", prints, allow_duplicates=True)
    assert kept == (0, 4, 8)
    assert notes == (
        "steps 0 and 1 hold the same weights: 1 is left out",
        "steps 0 and 2 hold the same weights: 2 is left out",
    )


@pytest.mark.parametrize("allow", [False, True])
def test_twins_with_other_weights_between_are_never_settled(allow):
    """As pythia-2.8b, whose early branches serve final weights: the earlier step is wrong."""
    prints = {
        0: checkpoint(0, 1),
        1000: checkpoint(9, 9),
        2000: checkpoint(1, 2),
        143000: checkpoint(9, 9),
    }
    with pytest.raises(
        LabError,
        match=r"steps 1000 and 143000 hold the same weights, with other weights between them",
    ):
        integrity.settle("toy", prints, allow)


@pytest.mark.parametrize("allow", [False, True])
def test_a_part_of_another_checkpoint_is_found(allow):
    """As pythia-12b at step 50 000: one file of three is the final model's."""
    prints = {
        0: checkpoint(0, 1),
        50: checkpoint(9, 2),
        60: checkpoint(2, 3),
        143: checkpoint(9, 4),
    }
    with pytest.raises(LabError, match="steps 50 and 143 share 1 of 2 matrices, with other"):
        integrity.settle("toy", prints, allow)


def test_what_training_leaves_alone_is_no_evidence():
    """Frozen matrices are the same everywhere; biases stay at 0 through the first small steps."""
    prints = {
        0: checkpoint(0, 1, bias=0.0),
        1: checkpoint(1, 2, bias=0.0),
        2: checkpoint(2, 3, bias=0.5),
    }
    assert integrity.twins(prints) == []


def test_a_tensor_that_steps_lack_makes_them_no_twins():
    prints = {step: checkpoint(step, 1 + step) for step in range(4)}
    for step in (2, 3):
        prints[step]["late"] = f"2x2:{step}"
    assert integrity.twins(prints) == []
    prints[3]["late"] = "2x2:2"
    assert integrity.twins(prints) == []  # it never changes where it exists
    prints[4] = checkpoint(4, 5) | {"late": "2x2:4"}
    assert [str(pair) for pair in integrity.twins(prints)] == [
        "steps 2 and 3 share 1 of 3 matrices"
    ]


def test_a_part_that_is_frozen_for_a_time_is_a_choice():
    prints = {0: checkpoint(0, 1), 1: checkpoint(1, 2), 2: checkpoint(2, 3, frozen=8.0)}
    with pytest.raises(LabError, match=r"steps 0 and 1 share 1 of 3 matrices\n.*allow_duplicates"):
        integrity.settle("toy", prints)
    kept, notes = integrity.settle("toy", prints, allow_duplicates=True)
    assert kept == (0, 1, 2)
    assert notes == ("steps 0 and 1 share 1 of 3 matrices: both are kept",)


def test_a_series_of_one_model_only():
    same = {step: checkpoint(0, 1) for step in (0, 5, 9)}
    assert [(pair.first, pair.later, pair.whole) for pair in integrity.twins(same)] == [
        (0, 5, True),
        (0, 9, True),
    ]
    assert integrity.settle("toy", same, allow_duplicates=True)[0] == (0,)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_whole_twins_are_those_of_equal_weights(versions):
    """Against a direct comparison of all pairs."""
    prints = {10 * i: checkpoint(version, 1 + version) for i, version in enumerate(versions)}
    first = {10 * versions.index(version) for version in versions}
    found = integrity.twins(prints)
    assert all(pair.whole for pair in found)
    assert {pair.later for pair in found} == {10 * i for i in range(len(versions))} - first
    assert all(versions[pair.first // 10] == versions[pair.later // 10] for pair in found)


def test_many_twins_are_summed_up():
    prints = {step: checkpoint(0, 1) for step in range(9)}
    with pytest.raises(LabError, match="and 4 more pairs"):
        integrity.settle("toy", prints)


def test_a_step_without_weights_is_not_settled():
    """Its empty fingerprint differs from all others, so no twin would give it away."""
    with pytest.raises(LabError, match="weights at every step of x; step 4 has none"):
        integrity.settle("x", {0: {"w": "2x2:a"}, 4: {}, 8: {"w": "2x2:b"}})
