"""Keys of work: what changes it changes them, and nothing else does."""

import copyreg
import functools
import math
import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.series import sweep
from helpers.trust.series.keys import work_key


def made(source: str, name: str = "work", **environment):
    """A function from source text, as a notebook would define it."""
    environment |= {
        "__name__": "notebook",
        "functools": functools,
        "dataclass": dataclass,
        "torch": torch,
    }
    exec(source, environment)
    return environment[name]


SET = LabelledSet("two", ("a", "b"), np.array([True, False]), ("1", "2"))
WORK = "def work(model, step):\n    return {'a': model.cfg.d_model * 2}\n"
HELPED = (
    "def double(x):\n    return x * 2\ndef work(model, step):\n    return {'a': double(step)}\n"
)
DATA = "def work(model, step):\n    return {'a': step * factor}\n"
INNER = "def work(model, step):\n    return {'a': sum(x * 2 for x in range(step))}\n"


def test_the_same_work_has_the_same_key():
    assert work_key(made(WORK), ()) == work_key(made(WORK), ())
    assert work_key(made("\n\n# a comment\n" + WORK), ()) == work_key(made(WORK), ()), (
        "its place in the file does not count"
    )


def test_sending_it_to_another_process_does_not_change_a_key():
    """Pickling leaves a note in the classes of what was pickled."""

    @dataclass(frozen=True, slots=True)
    class Fresh:
        level: int

    def key():
        return work_key(functools.partial(max, SET, Fresh(1)), ())

    before = key()
    pickle.dumps(SET)
    copyreg._slotnames(LabelledSet), copyreg._slotnames(Fresh)
    assert "__slotnames__" in vars(Fresh)
    assert key() == before


METHOD = """
class Base:
    def helper(self, step): return step * 2
class Work(Base):
    def __init__(self): self.k = 1
    def __call__(self, model, step): return {"a": self.helper(step)}
work = Work()
"""
FIELDS = """
@dataclass(frozen=True)
class Work:
    k: int = 1
    def __call__(self, model, step): return {"a": self.helper(step)}
    @staticmethod
    def helper(step): return step * 2
work = Work()
"""
PROPERTY = """
class Work:
    @property
    def double(self): return self.k * 2
    def __call__(self, model, step): return {"a": self.double}
work = Work().__call__
"""
CLASS = """
class Other:
    by = 1 * 2
    def run(self, step): return step * self.by
def work(model, step): return {"a": Other().run(step)}
"""
CACHED = """
@functools.lru_cache
def double(x): return x * 2
def work(model, step): return {"a": double(step)}
"""
WRAPPED = """
def same(function):
    @functools.wraps(function)
    def inner(*given): return function(*given)
    return inner
@same
def double(x): return x * 2
def work(model, step): return {"a": double(step)}
"""
TABLE = """
def double(x): return x * 2
table = {"d": double}
def work(model, step): return {"a": table["d"](step)}
"""
OBJECT = """
class Settings: pass
settings = Settings()
settings.k = 1 * 2
def work(model, step): return {"a": settings.k}
"""
OWN_DICT = """
class Table(dict):
    def get(self, key): return key * 2
table = Table()
def work(model, step): return {"a": table.get(step)}
"""
BOUND = """
table = {1: 1 * 2}
look = table.get
def work(model, step): return {"a": look(step)}
"""
NETWORK = """
class Net(torch.nn.Module):
    def forward(self, x): return x * 2
net = Net()
def work(model, step): return {"a": net(step)}
"""
HANDLED = """
def work(model, step):
    try: return {"a": step * 2}
    except ValueError: return {}
"""
SOURCES = (
    METHOD,
    FIELDS,
    PROPERTY,
    CLASS,
    CACHED,
    WRAPPED,
    TABLE,
    OBJECT,
    OWN_DICT,
    BOUND,
    NETWORK,
    HANDLED,
)


@pytest.mark.parametrize("source", [WORK, HELPED, INNER, *SOURCES])
def test_a_changed_function_has_another_key(source):
    assert work_key(made(source), ()) == work_key(made(source), ())
    assert work_key(made(source), ()) != work_key(made(source.replace("* 2", "* 3")), ())


def test_data_that_a_work_uses_belongs_to_the_key():
    assert work_key(made(DATA, factor=2), ()) == work_key(made(DATA, factor=2), ())
    assert work_key(made(DATA, factor=2), ()) != work_key(made(DATA, factor=3), ())
    assert work_key(made(DATA, factor=torch.ones(2)), ()) != work_key(
        made(DATA, factor=torch.zeros(2)), ()
    )
    assert work_key(made(DATA, factor=2, unused=1), ()) == work_key(
        made(DATA, factor=2, unused=5), ()
    )


def test_closures_arguments_and_versions_belong_to_the_key():
    def outer(factor):
        return lambda model, step: {"a": step * factor}

    assert work_key(outer(2), ()) == work_key(outer(2), ())
    assert work_key(outer(2), ()) != work_key(outer(3), ())
    assert work_key(functools.partial(math.pow, 2), ()) != work_key(
        functools.partial(math.pow, 3), ()
    )
    assert work_key(math.sin, ()) != work_key(math.cos, ())
    assert work_key(math.sin, (), "1") != work_key(math.sin, (), "2")


def test_what_a_closure_holds_is_told_apart_by_its_place():
    def outer(first, second):
        return lambda model, step: {"a": (first, second)}

    def unset(later):
        def work(model, step):
            return {"a": value}

        if later:
            value = None
        return work

    assert work_key(outer(None, 3), ()) != work_key(outer(3, None), ())
    assert work_key(unset(True), ()) != work_key(unset(False), ())


def test_objects_among_the_data_belong_to_the_key():
    from sklearn.linear_model import LogisticRegression

    fitted = [
        LogisticRegression().fit([[0.0], [1.0]], labels) for labels in ([0, 1], [1, 0], [0, 1])
    ]
    keys = [work_key(made(DATA, factor=model), ()) for model in fitted]
    assert keys[0] == keys[2] != keys[1]


def test_the_work_that_reads_activations_is_seen_whole(monkeypatch):
    """All its methods, though it is a class of this package."""
    work = sweep.LastTokens(())
    before = work_key(work, ())
    monkeypatch.setattr(sweep.LastTokens, "_read", lambda self, model, each: None)
    assert work_key(work, ()) != before


def test_what_the_key_does_not_see_is_what_its_module_says():
    """Functions of other modules count by name, as do attributes of modules."""
    one, other = (
        made("def half(x): return x / 2\n", "half"),
        made("def half(x): return x / 3\n", "half"),
    )
    one.__module__ = other.__module__ = "elsewhere"
    source = "def work(model, step): return {'a': half(step)}\n"
    assert work_key(made(source, half=one), ()) == work_key(made(source, half=other), ())
    assert work_key(made(source, half=one), ()) != work_key(made(source, half=math.sin), ())
    assert work_key(functools.partial(one, 1), ()) != work_key(functools.partial(other, 1), ())


def test_names_of_attributes_are_no_variables():
    source = "def work(model, step): return {'a': model.lock}\n"
    assert work_key(made(source, lock=threading.Lock()), ()) == work_key(made(source), ())


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
    assert work_key(
        made("def work(model, step):\n    return work(model, step - 1) if step else {}\n"), ()
    )


PROCESS = """
import enum, re
from dataclasses import dataclass
from functools import lru_cache
import numpy as np
from sklearn.linear_model import LogisticRegression
from helpers.trust.series.keys import work_key

class Kind(enum.Enum):
    ONE = "one"

@dataclass
class Pair:
    kind: Kind = Kind.ONE
    def second(self): return {"u", "v"}

class Plain:
    def __init__(self): self.kinds, self.me = {"p", "q", "r", "s"}, self

@lru_cache
def double(x): return 2 * x

words, plain, pair, rng = re.compile("a+"), Plain(), Pair(), np.random.default_rng(0)
model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])

def work(model, step):
    objects = (words, plain, pair, rng, model, double(step), Kind.ONE)
    return {"a": step in {"x", "y", "z", "w"}, "b": objects}
"""


def test_keys_are_the_same_in_another_process():
    """With another seed of Python's own hashes, which order sets."""
    import os
    import subprocess
    import sys

    script = PROCESS + "print(work_key(work, ()))"
    keys = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        keys.add(done.stdout)
    assert len(keys) == 1


def test_a_work_without_a_stable_form_is_refused():
    endless = []
    endless.append(endless)
    for work in (
        functools.partial(math.pow, threading.Lock()),
        made(DATA, factor=threading.Lock()),
        functools.partial(math.pow, endless),
        functools.partial(math.pow, (x for x in "ab")),
    ):
        with pytest.raises(LabError, match="made of functions, numbers and arrays; it holds"):
            work_key(work, ())
