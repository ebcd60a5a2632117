"""One whole measurement of a run in miniature."""

import pytest

from helpers import zoo
from helpers.arithmetic.circuit.usage import nodes_of
from helpers.arithmetic.reuse import (
    SourceRecord,
    measure,
    measure_source,
    measuring,
    similarities,
    stored,
    transferred,
)
from helpers.errors import LabError

pytestmark = pytest.mark.core
pytest_plugins = "tests.arithmetic.reuse_runs"


@pytest.mark.slow
def test_a_record_holds_what_the_parts_measure(mixed_recipe, mixed_run, filled_records):
    everything = stored(filled_records)
    record, source = everything.runs["mix-d3"][0], everything.sources["add-d3"]
    assert (record.arm, record.freeze, record.n_digits, record.fingerprint) == (
        "preserving",
        "nothing",
        3,
        mixed_recipe.fingerprint,
    )
    assert record.source_sha256 == source.sha256 == zoo.check("add-d3").sha256
    assert [point.step for point in record.curve.points] == [0, 1, 2]
    assert record.curve.points[0].accuracy("uniform", "ADD") == 1.0
    assert record.use["mean"].asked["ADD"] == source.use["mean"].asked["ADD"] == 8
    assert record.use["resample"].broken["NEG"].shape == (12, 3, 5)
    assert all(test.same == test.source.outcome for test in record.retests)  # nothing was trained
    assert {test.source.label for test in record.retests} >= {"SA0", "SC0", "ST0"}
    assert transferred(record.retests).best == transferred(record.retests).rate
    adder, model = zoo.load("add-d3", device="cpu"), zoo.load(str(mixed_run), device="cpu")
    assert [entry.same for entry in record.weights] == pytest.approx(
        [entry.same for entry in similarities(adder, model)], abs=1e-4
    )
    assert min(entry.same for entry in record.weights) > 0.99
    assert max(abs(entry.same) for entry in record.independent) < 0.2
    assert len(record.kept) == len(measuring.ABLATIONS) * len(measuring.SHARES)
    assert record.kept[0].nodes == len(nodes_of(record.use["mean"].useful()))
    assert record.seconds > 0


@pytest.mark.slow
def test_the_source_is_measured_on_additions(filled_records):
    source = stored(filled_records).sources["add-d3"]
    assert set(source.use["mean"].broken) == {"ADD"}
    assert source.use["mean"].broken["ADD"].shape == (12, 2, 4)
    assert {test.task for test in source.passed} == {"SA", "SC", "U", "SV", "ST"}


def test_a_source_of_other_digits_is_refused(mixed_run):
    from helpers.arithmetic.circuit.usage import Use

    other = SourceRecord("add-d6", "", {}, {"mean": Use({}, {})}, [])
    with pytest.raises(LabError, match="expected the source add-d3"):
        measure(mixed_run, other)
    with pytest.raises(LabError, match="3 or 6 digits"):
        measure_source(5)
