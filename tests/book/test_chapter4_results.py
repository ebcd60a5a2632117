"""What the chapter on circuit discovery says was found, against the stored measurements."""

import re
from pathlib import Path

import pytest

from helpers.circuits.judging import metrics
from helpers.circuits.oracle import stored, truths
from helpers.circuits.study import TASKS, growth, jobs, trials

ROOT = Path(__file__).resolve().parents[2]
PLAIN = (ROOT / "book" / "ch4_circuit_discovery.md").read_text(encoding="utf-8")
FLAT = re.sub(r"\s+", " ", PLAIN)
ABLATIONS = {"the twin": "resample", "average": "mean"}
TABLE = PLAIN.partition("### The methods")[2].partition("\n### ")[0]
VALUES = dict.fromkeys(key.value for key in trials.stored().items)
METHODS = [name for name in VALUES if re.search(rf"\| {re.escape(name)} \| \d", TABLE)]


@pytest.fixture(scope="module")
def measured():
    return trials.stored()


def area(measured, kind, task, value):
    labels = truths.labels(stored.stored(task, "resample"))
    return metrics.over_seeds(measured.item(kind, task, value).scores, labels).mean


def test_the_table_of_methods_has_them_all():
    assert len(METHODS) == 16


@pytest.mark.parametrize("name", METHODS)
def test_a_row_of_the_table_of_methods(measured, name):
    said = [
        float(cell)
        for cell in re.search(rf"\| {re.escape(name)} \| (\d.+) \|", TABLE)[1].split(" | ")
    ]
    assert said == pytest.approx(
        [area(measured, "method", task, name) for task in TASKS], abs=0.0051
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("said", ABLATIONS)
def test_a_row_of_the_table_of_circuits(task, said):
    row = re.search(
        rf"\| {task} \| {said} \| (\d+) of (\d+) heads \| (\d+) \| (.+) \|", PLAIN
    ).groups()
    found = truths.minimal(stored.stored(task, ABLATIONS[said]), truths.ENOUGH)
    core = " ".join(f"{layer}.{head}" for layer, head in found.core) or "none"
    expected = (len(found.smallest), int(found.smallest[0]).bit_count(), len(found.circuits), core)
    assert (*map(int, row[:3]), row[3]) == expected


def test_what_is_said_of_prompts_and_settings(measured):
    costs = [
        area(measured, "scoring prompts", task, 250) - area(measured, "scoring prompts", task, 5)
        for task in TASKS
    ]
    said = re.search(
        r"costs ([\d.]+) \(IOI\), ([\d.]+) \(greater-than\) and ([\d.]+) \(docstring\)", FLAT
    ).groups()
    assert [float(value) for value in said] == pytest.approx(costs, abs=0.0051)
    for sweep, words in (
        ("latents", r"varies by ([\d.]+) to ([\d.]+), over λ"),
        ("sparsity", r"0.1 by ([\d.]+) to ([\d.]+)\."),
    ):
        spread = []
        for task in TASKS:
            values = [area(measured, sweep, task, value) for value in jobs.SWEEPS[sweep]]
            spread.append(max(values) - min(values))
        said = [float(value) for value in re.search(words, FLAT).groups()]
        assert said == pytest.approx([min(spread), max(spread)], abs=0.0051)
    poor = {
        "ioi": "other place",
        "greater-than": "other event",
        "docstring": "random documentation",
    }
    said = re.search(r"the AUROC is ([\d.]+), ([\d.]+) and ([\d.]+)\.", FLAT).groups()
    expected = [area(measured, "negatives", task, name) for task, name in poor.items()]
    assert [float(value) for value in said] == pytest.approx(expected, abs=0.0051)


def test_run_times():
    found = growth.stored()
    seconds = re.search(r"codes take (\d+), (\d+), (\d+) and (\d+) seconds", FLAT).groups()
    ratios = re.search(r"would take (\d+), (\d+), (\d+) and (\d \d+) times", FLAT).groups()
    assert [int(value) for value in seconds] == [round(one.sae) for one in found]
    assert [int(value.replace(" ", "")) for value in ratios] == [round(one.ratio) for one in found]


def test_what_labels_add(measured):
    gain = []
    for task in ("greater-than", "docstring"):
        labels = truths.labels(stored.stored(task, "resample"))
        both = [
            metrics.over_seeds(measured.item("method", task, name).scores, labels).mean
            for name in ("discrete SAE", "shuffled labels")
        ]
        gain.append(both[0] - both[1])
    said = re.search(
        r"falls by ([\d.]+) on greater-than, by ([\d.]+) on docstring, and not at all on IOI", FLAT
    ).groups()
    assert [float(value) for value in said] == pytest.approx(gain, abs=0.0051)
    assert area(measured, "method", "ioi", "discrete SAE") < area(
        measured, "method", "ioi", "shuffled labels"
    )


def test_a_lower_threshold_and_the_f1_of_chance(measured):
    assert len(truths.minimal(stored.stored("ioi", "resample"), 0.7).circuits) == 15
    labels = truths.labels(stored.stored("greater-than", "resample"))
    drawn = [
        metrics.judge(row, labels).best_f1
        for row in measured.item("method", "greater-than", "random").scores
    ]
    assert labels.sum() == 10
    assert sum(drawn) / len(drawn) == pytest.approx(0.80, abs=0.0051)
