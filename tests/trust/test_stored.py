"""Stored results: what makes a key, and files that were damaged."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from helpers.errors import LabError
from helpers.labelled import LabelledSet
from helpers.trust import stored
from helpers.trust.stored import Result, Store, work_key

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
    store.put(3, "stamp", Result(PRINTS, stored.arrays(found, "it")))
    back = store.get(3, "stamp")
    assert back.prints == PRINTS
    assert back.arrays.keys() == found.keys()
    for name, value in found.items():
        assert back.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(back.arrays[name], value)


def test_a_result_is_found_by_its_own_key_only(tmp_path):
    store = Store(tmp_path, "toy", "key")
    store.put(3, "stamp", Result(PRINTS, {"a": np.ones(2)}))
    assert store.get(3, "stamp") is not None
    others = (Store(tmp_path, "toy", "other"), Store(tmp_path, "toy2", "key"), Store(tmp_path / "x", "toy", "key"))
    assert [other.get(3, "stamp") for other in others] == [None, None, None]
    assert store.get(3, "other weights") is None
    assert store.get(4, "stamp") is None
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"], "no scratch file stays"


def test_a_damaged_result_is_not_used(tmp_path):
    store = Store(tmp_path, "toy", "key")
    store.put(3, "stamp", Result(PRINTS, {"a": np.arange(50.0)}))
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
        Store(tmp_path / "file" / "inside", "toy", "key").put(0, "stamp", Result(PRINTS, {"a": np.ones(1)}))


@pytest.mark.parametrize("values", [[1, 2], None, {"a": "text"}, {"a": [object()]}, {1: 2.0}, {"a": None}])
def test_a_work_must_return_numbers_under_names(values):
    with pytest.raises(LabError, match="expected it to return"):
        stored.arrays(values, "it")


def test_tensors_and_numbers_become_arrays():
    found = stored.arrays(
        {"half": torch.tensor([1.5], dtype=torch.bfloat16), "n": 3, "grad": torch.ones(1, requires_grad=True)}, ""
    )
    assert found["half"].dtype == np.float32
    assert found["half"].tolist() == [1.5]
    assert found["n"].shape == ()
    assert found["grad"].tolist() == [1.0]


# keys


def made(source: str, name: str = "work", **environment):
    """A function from source text, as a notebook would define it."""
    environment["__name__"] = "notebook"
    exec(source, environment)
    return environment[name]


WORK = "def work(model, step):\n    return {'a': model.cfg.d_model * 2}\n"
HELPED = "def double(x):\n    return x * 2\ndef work(model, step):\n    return {'a': double(step)}\n"
DATA = "def work(model, step):\n    return {'a': step * factor}\n"
INNER = "def work(model, step):\n    return {'a': sum(x * 2 for x in range(step))}\n"


def test_the_same_work_has_the_same_key():
    assert work_key(made(WORK), ()) == work_key(made(WORK), ())
    assert work_key(made("\n\n# a comment\n" + WORK), ()) == work_key(made(WORK), ()), "its place in the file does not count"


@pytest.mark.parametrize("source", [WORK, HELPED, INNER])
def test_a_changed_function_has_another_key(source):
    assert work_key(made(source), ()) != work_key(made(source.replace("* 2", "* 3")), ())


def test_data_that_a_work_uses_belongs_to_the_key():
    assert work_key(made(DATA, factor=2), ()) == work_key(made(DATA, factor=2), ())
    assert work_key(made(DATA, factor=2), ()) != work_key(made(DATA, factor=3), ())
    assert work_key(made(DATA, factor=torch.ones(2)), ()) != work_key(made(DATA, factor=torch.zeros(2)), ())
    assert work_key(made(DATA, factor=2, unused=1), ()) == work_key(made(DATA, factor=2, unused=5), ())


def test_closures_arguments_and_versions_belong_to_the_key():
    def outer(factor):
        return lambda model, step: {"a": step * factor}

    assert work_key(outer(2), ()) == work_key(outer(2), ())
    assert work_key(outer(2), ()) != work_key(outer(3), ())
    assert work_key(functools.partial(math.pow, 2), ()) != work_key(functools.partial(math.pow, 3), ())
    assert work_key(math.sin, ()) != work_key(math.cos, ())
    assert work_key(math.sin, (), "1") != work_key(math.sin, (), "2")


def test_sets_belong_to_the_key():
    one = LabelledSet("truth", ("a", "b"), np.array([True, False]), ("x", "x"))
    flipped = LabelledSet("truth", ("a", "b"), np.array([False, True]), ("x", "x"))
    assert work_key(math.sin, (one,)) != work_key(math.sin, (flipped,))
    assert work_key(math.sin, (one,)) == work_key(math.sin, (one,))


@dataclass(frozen=True)
class Reads:
    width: int

    def __call__(self, model, step):
        return {"a": self.width}


def test_callable_objects_and_methods_have_keys():
    assert work_key(Reads(2), ()) == work_key(Reads(2), ())
    assert work_key(Reads(2), ()) != work_key(Reads(3), ())
    assert work_key(Reads(2).__call__, ()) != work_key(Reads(3).__call__, ())


def test_a_function_that_calls_itself_has_a_key():
    assert work_key(made("def work(model, step):\n    return work(model, step - 1) if step else {}\n"), ())


def test_keys_are_the_same_in_another_process():
    """With another seed of Python's own hashes, which order sets."""
    import os
    import subprocess
    import sys

    source = "def work(model, step):\n    return {'a': step in {'x', 'y', 'z', 'w'}, 'b': kinds}\n"
    script = f"from helpers.trust.stored import work_key\nkinds = {{'p', 'q', 'r', 's'}}\n{source}print(work_key(work, ()))"
    keys = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        keys.add(done.stdout)
    assert len(keys) == 1


def test_a_work_without_a_stable_form_is_refused():
    import threading

    with pytest.raises(LabError, match="made of functions, numbers and arrays"):
        work_key(functools.partial(math.pow, threading.Lock()), ())
