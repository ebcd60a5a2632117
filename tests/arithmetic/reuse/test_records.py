"""The file of records: written, read back, damaged, and as shipped."""

import json
from dataclasses import replace

import pytest

from helpers.arithmetic.questions import Format
from helpers.arithmetic.reuse import (
    measuring,
    records,
    stored,
    to_text,
)
from helpers.arithmetic.training import RECIPES
from helpers.errors import LabError
from helpers.interventions import Node

pytestmark = pytest.mark.core
pytest_plugins = "tests.arithmetic.reuse_runs"

SETTINGS = json.loads(json.dumps(measuring.SETTINGS))


@pytest.mark.slow
def test_what_is_written_is_read_back(filled_records):
    text = filled_records.read_text()
    assert to_text(stored(filled_records)) == text
    assert max(map(len, text.splitlines())) > 1000  # one line per record
    assert len(text.splitlines()) < 15


@pytest.mark.parametrize(
    "nodes", [(Node(11, 0, 2),), (Node(3, 1, 0), Node(3, 1, 10)), (Node(0, 2),)]
)
def test_nodes_are_written_and_read(nodes):
    assert records._nodes(records._names(nodes)) == nodes


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"sources": {}}', '{"sources": {"add-d3": {}}, "runs": {}}']
)
def test_a_damaged_file_is_reported(tmp_path, text):
    path = tmp_path / "reuse.json"
    path.write_text(text)
    with pytest.raises(LabError, match="reinstall the package"):
        stored(path)


@pytest.mark.slow
def test_damaged_records_are_reported(records_copy):
    for old, new in (
        ('"P11L0M"', '"X11L0M"'),
        ('"curve":[[0,', '"curve":[['),
        ('"kept":', '"held":'),
        ('"broken":', '"b":'),
    ):
        text = records_copy.read_text()
        assert old in text
        path = records_copy.with_name("other.json")
        path.write_text(text.replace(old, new))
        with pytest.raises(LabError, match="cannot use it"):
            stored(path)


def test_the_shipped_measurements_are_those_of_this_package():
    """Settings, sources and recipes are the present ones, so that `reuse` measures nothing anew."""
    from helpers.arithmetic.training.recipes import EXPERIMENTS, SOURCES

    everything = stored()
    for name, seeds in everything.runs.items():
        for seed, record in seeds.items():
            assert (
                record.fingerprint == replace((RECIPES | EXPERIMENTS)[name], seed=seed).fingerprint
            )
            assert record.settings == SETTINGS
            assert record.source_sha256.startswith(SOURCES[record.n_digits][1])
            assert (
                record.curve.steps
                == replace((RECIPES | EXPERIMENTS)[name], seed=seed).checkpoint_steps
            )
            fmt = Format(record.n_digits)
            assert all(
                use.broken["ADD"].shape == (fmt.n_ctx - 1, 3, 5) for use in record.use.values()
            )
