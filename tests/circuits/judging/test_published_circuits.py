"""Published lists and numbers: counted, and compared with each other and with arithmetic."""

import statistics

import pytest
import torch

from helpers.circuits.judging import published_circuits, published_results
from helpers.circuits.judging.published_circuits import CIRCUITS, circuit, labels
from helpers.errors import LabError

COUNTS = {
    ("ioi", "wang"): (26, 144),
    ("ioi", "released code"): (26, 144),
    ("greater-than", "hanna"): (10, 144),
    ("greater-than", "released code"): (9, 144),
    ("docstring", "acdc"): (6, 32),
    ("docstring", "released code"): (6, 32),
}


@pytest.mark.parametrize(("task", "variant"), COUNTS)
def test_counts_and_base_rates(task, variant):
    published = circuit(task, variant)
    on, of = COUNTS[task, variant]
    mask = labels(task, variant, *published.shape)
    assert (int(mask.sum()), len(mask)) == (on, of)
    assert published.base_rate == on / of
    assert len(set(published.heads)) == len(published.heads) == on  # no head has two roles
    assert [divmod(index, published.shape[1]) for index in mask.nonzero()[:, 0].tolist()] == list(
        published.heads
    )
    assert "arXiv" in published.source


def test_every_list_is_counted_and_every_task_has_two():
    assert set(CIRCUITS) == set(COUNTS)
    assert all(
        len(published_circuits.variants(task)) == 2 for task in ("ioi", "greater-than", "docstring")
    )


@pytest.mark.parametrize(
    ("task", "other", "only_released", "only_other"),
    [
        ("ioi", "wang", {(11, 3)}, {(9, 0)}),
        ("greater-than", "hanna", {(6, 1)}, {(8, 8), (5, 1)}),
        ("docstring", "acdc", {(1, 0)}, {(1, 2)}),
    ],
)
def test_where_sources_disagree(task, other, only_released, only_other):
    released, others = (set(circuit(task, variant).heads) for variant in ("released code", other))
    assert released - others == only_released
    assert others - released == only_other


def test_roles_of_the_indirect_object_circuit():
    roles = circuit("ioi", "wang").roles
    sizes = {
        "name mover": 3,
        "backup name mover": 8,
        "negative name mover": 2,
        "S-inhibition": 4,
        "induction": 4,
    }
    assert {name: len(heads) for name, heads in roles.items()} == sizes | {
        "duplicate token": 3,
        "previous token": 2,
    }
    layers = {name: {layer for layer, _ in heads} for name, heads in roles.items()}
    assert (
        max(layers["previous token"] | layers["duplicate token"])
        < min(layers["induction"])
        < min(layers["S-inhibition"])
    )
    assert max(layers["S-inhibition"]) < min(
        layers["name mover"] | layers["backup name mover"] | layers["negative name mover"]
    )


def test_another_shape_and_unknown_lists_are_refused():
    with pytest.raises(
        LabError, match="expected gpt2, in which this circuit was found: 12 layers of 12 heads"
    ):
        labels("ioi", "wang", 4, 4)
    with pytest.raises(LabError, match="expected gpt2, in which"):
        labels("ioi", "wang", 12, 16)
    with pytest.raises(
        LabError, match="expected a published circuit: ioi: wang, released code; greater-than"
    ):
        circuit("ioi", "hanna")


def test_masks_are_layer_major():
    assert torch.equal(
        published_circuits.mask([(1, 0)], 2, 3),
        torch.tensor([False, False, False, True, False, False]),
    )


def test_published_shares_follow_from_the_published_metrics():
    """(m - empty) / (full - empty), to the digits of the figures."""
    for task, curve in published_results.CURVES.items():
        assert len(curve.heads) == len(curve.metric) == len(curve.share)
        assert curve.metric[0] == curve.empty
        for metric, share in zip(curve.metric, curve.share, strict=True):
            assert (metric - curve.empty) / (curve.full - curve.empty) == pytest.approx(
                share, abs=0.006
            ), task


def test_the_hanna_value_does_not_fit_the_published_shares():
    curve = published_results.CURVES["greater-than"]
    full = published_results.GREATER_THAN_FULL["difference of probabilities"]
    worst = max(
        abs((m - curve.empty) / (full - curve.empty) - share)
        for m, share in zip(curve.metric, curve.share, strict=True)
    )
    assert worst > 0.03


def test_figures_and_result_file_differ_by_at_most_five_hundredths():
    gaps = [
        abs(
            published_results.AUC[level, "discrete SAE"][task].value
            - published_results.AUC_RESULTS[level][task].value
        )
        for level in ("edge", "node")
        for task in published_results.TASKS
    ]
    assert 0.04 < max(gaps) < 0.05


def test_averaged_bars_hide_the_best_settings():
    """ACDC's bar averages settings: its best one beats it, and table 6 averages to it on IOI."""
    for task, best in zip(
        published_results.TASKS, published_results.ACDC_BEST["ACDC"], strict=True
    ):
        assert best > published_results.AUC["edge", "ACDC"][task].value
    averaged = statistics.mean(
        [
            published_results.TABLE_6["ACDC, random ablation"],
            published_results.TABLE_6["ACDC, zero ablation"],
        ]
    )
    assert averaged == pytest.approx(published_results.AUC["node", "ACDC"]["ioi"].value, abs=0.05)
    averaged = statistics.mean(
        [
            published_results.TABLE_6["SP, random ablation"],
            published_results.TABLE_6["SP, zero ablation"],
        ]
    )
    assert averaged == pytest.approx(published_results.AUC["node", "SP"]["ioi"].value, abs=0.05)


def test_means_of_the_released_trials():
    """Five trials of output/data/roc_results_num_codes_gt.json with 5 and with 250 prompts."""
    trials = {
        5: (
            0.5909465020576132,
            0.5234567901234568,
            0.5242798353909466,
            0.5888888888888888,
            0.5666666666666667,
        ),
        250: (
            0.8164609053497942,
            0.8938271604938273,
            0.8489711934156379,
            0.8111111111111111,
            0.8534979423868312,
        ),
    }
    sweep = published_results.SWEEPS["scoring prompts"]
    for count, values in trials.items():
        assert sweep.auc["greater-than"][sweep.at.index(count)] == pytest.approx(
            statistics.mean(values), abs=6e-4
        )


def test_an_auc_is_a_count_of_pairs():
    """Of one trial, times the pairs of a head on the list and one off it: whole or half."""
    for value, on, of in ((0.5909465020576132, 9, 144), (0.8164609053497942, 9, 144)):
        pairs = 2 * value * on * (of - on)
        assert pairs == pytest.approx(round(pairs), abs=1e-6)
        assert 2 * value * 26 * 118 != pytest.approx(round(2 * value * 26 * 118), abs=1e-3)


def test_sweeps_are_complete():
    for sweep in published_results.SWEEPS.values():
        assert sweep.source in published_results.SOURCES
        for row in sweep.auc.values():
            assert len(row) == len(sweep.at)
            assert all(0.5 < value < 1 for value in row)
    assert all(
        cell.source in published_results.SOURCES
        for table in (published_results.AUC, published_results.AUC_RESULTS)
        for row in table.values()
        for cell in row.values()
    )


def test_more_heads_restore_more_and_more_prompts_take_longer():
    for curve in published_results.CURVES.values():
        assert list(curve.heads) == sorted(curve.heads)
        assert list(curve.share[:-1]) == sorted(curve.share[:-1])
    for row in published_results.RUNTIME.values():
        assert list(row.values()) == sorted(row.values())
    assert all(
        published_results.RUNTIME[100][size] >= published_results.RUNTIME[10][size]
        for size in published_results.RUNTIME[10]
    )


def test_heads_outside_the_model_are_refused():
    with pytest.raises(LabError, match=r"2 layers of 4.*\(2, 0\)"):
        published_circuits.mask([(0, 1), (2, 0)], 2, 4)
    with pytest.raises(LabError, match="2 layers of 4"):
        published_circuits.mask([(-1, 0)], 2, 4)
