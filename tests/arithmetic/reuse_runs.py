"""Fixtures for tests of reuse: a run of a mixed model in miniature, and the file of its records.

A test module takes them with ``pytest_plugins = "tests.arithmetic.reuse_runs"``.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from helpers import cli, training
from helpers.arithmetic.reuse import curves, measuring
from helpers.arithmetic.training import RECIPES, task_of
from helpers.training import Recipe

SMALL = {"per_class": 2, "reference_per_class": 4, "pairs": 2, "random_sets": 1}


def ask_little(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(measuring, "SETTINGS", measuring.SETTINGS | SMALL)
    patch.setattr(curves, "UNIFORM", 200)
    patch.setattr(curves, "PER_CLASS", 2)


@pytest.fixture
def few_questions(monkeypatch) -> None:
    """Few questions, for one test."""
    ask_little(monkeypatch)


@pytest.fixture(scope="session")
def mixed_recipe() -> Recipe:
    """Two steps that change next to nothing."""
    return replace(
        RECIPES["mix-d3"],
        steps=2,
        batch_size=4,
        warmup_steps=2,
        learning_rate=1e-9,
        n_checkpoints=3,
    )


@pytest.fixture(scope="session")
def mixed_run(tmp_path_factory, mixed_recipe) -> Path:
    """A run of an inserted adder."""
    folder = tmp_path_factory.mktemp("mix-d3")
    training.train(mixed_recipe, task_of(mixed_recipe), folder)
    return folder


@pytest.fixture(scope="session")
def filled_records(tmp_path_factory, mixed_run) -> Path:
    """The file that the command writes for this run."""
    out = tmp_path_factory.mktemp("stored") / "reuse.json"
    with pytest.MonkeyPatch.context() as patch:
        ask_little(patch)
        assert cli.main(["reuse", str(mixed_run), "--out", str(out)]) == 0
    return out


@pytest.fixture
def records_copy(filled_records, tmp_path) -> Path:
    """A copy of that file, which a test may change."""
    copy = tmp_path / "reuse.json"
    copy.write_bytes(filled_records.read_bytes())
    return copy
