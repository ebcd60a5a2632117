"""Stored results: found by their own key only, and never where a file was damaged."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from helpers.errors import LabError
from helpers.trust.series import stored
from helpers.trust.series.stored import StepResult, Store

PRINTS = {"w": "2x2:ab"}


@given(
    st.dictionaries(
        st.text("abcxyz é/.", min_size=1, max_size=8),
        arrays_of.arrays(
            st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.uint8]),
            arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    )
)
def test_what_is_stored_comes_back(tmp_path_factory, found):
    store = Store(tmp_path_factory.mktemp("store"), "a series/of ours", "key")
    store.put(3, "stamp", StepResult(PRINTS, stored.arrays(found, "it")))
    back = store.get(3, "stamp")
    assert back.prints == PRINTS
    assert back.arrays.keys() == found.keys()
    for name, value in found.items():
        assert back.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(back.arrays[name], value)


def test_a_result_is_found_by_its_own_key_only(tmp_path):
    store = Store(tmp_path, "toy", "key")
    store.put(3, "stamp", StepResult(PRINTS, {"a": np.ones(2)}))
    assert store.get(3, "stamp") is not None
    others = (
        Store(tmp_path, "toy", "other"),
        Store(tmp_path, "toy2", "key"),
        Store(tmp_path / "x", "toy", "key"),
    )
    assert [other.get(3, "stamp") for other in others] == [None, None, None]
    assert store.get(3, "other weights") is None
    assert store.get(4, "stamp") is None
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"], "no scratch file stays"


def test_a_damaged_result_is_not_used(tmp_path):
    store = Store(tmp_path, "toy", "key")
    store.put(3, "stamp", StepResult(PRINTS, {"a": np.arange(50.0)}))
    file = store.path(3, "stamp")
    whole = file.read_bytes()
    for damaged in (b"", whole[:40], whole[:-9], whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:]):
        file.write_bytes(damaged)
        assert store.get(3, "stamp") is None
    file.write_bytes(whole)
    assert store.get(3, "stamp") is not None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LabError, match="expected to write"):
        Store(tmp_path / "file" / "inside", "toy", "key").put(
            0, "stamp", StepResult(PRINTS, {"a": np.ones(1)})
        )


@pytest.mark.parametrize(
    "values", [[1, 2], None, {"a": "text"}, {"a": [object()]}, {1: 2.0}, {"a": None}]
)
def test_a_work_must_return_numbers_under_names(values):
    with pytest.raises(LabError, match="expected it to return"):
        stored.arrays(values, "it")


def test_tensors_and_numbers_become_arrays():
    found = stored.arrays(
        {
            "half": torch.tensor([1.5], dtype=torch.bfloat16),
            "n": 3,
            "grad": torch.ones(1, requires_grad=True),
        },
        "",
    )
    assert found["half"].dtype == np.float32
    assert found["half"].tolist() == [1.5]
    assert found["n"].shape == ()
    assert found["grad"].tolist() == [1.0]
