"""Metrics of circuit discovery against scikit-learn, against counting, and against the released
code."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.circuits.judging import metrics
from helpers.errors import LabError

pytestmark = pytest.mark.core


@st.composite
def tables(draw):
    """Scores with many ties, and labels of both kinds."""
    n = draw(st.integers(2, 16))
    scores = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    labels = draw(
        st.lists(st.booleans(), min_size=n, max_size=n).filter(
            lambda labels: 0 < sum(labels) < len(labels)
        )
    )
    return np.array(scores, dtype=float), np.array(labels)


@settings(deadline=None)
@given(tables())
def test_the_areas_are_those_of_scikit_learn(table):
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores, labels = table
    assert metrics.auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.auprc(scores, labels) == pytest.approx(average_precision_score(labels, scores))


@settings(deadline=None)
@given(tables(), st.integers(-4, 4))
def test_precision_recall_and_f1_are_those_of_scikit_learn(table, threshold):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    scores, labels = table
    counts = metrics.confusion(scores, labels, threshold)
    matrix = [[counts.rejections, counts.false_alarms], [counts.misses, counts.hits]]
    assert np.array_equal(
        confusion_matrix(labels, scores >= threshold, labels=[False, True]), matrix
    )
    theirs = precision_recall_fscore_support(
        labels, scores >= threshold, average="binary", zero_division=np.nan
    )
    precision = 1.0 if np.isnan(theirs[0]) else theirs[0]
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx(
        (precision, theirs[1], theirs[2])
    )


@settings(deadline=None)
@given(tables())
def test_the_points_are_those_of_scikit_learn(table):
    from sklearn.metrics import precision_recall_curve, roc_curve

    scores, labels = table
    swept = metrics.sweep(scores, labels)
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(swept.counts.false_positive_rate, fpr)
    assert np.allclose(swept.counts.recall, tpr)
    assert np.array_equal(swept.thresholds, thresholds)
    precision, recall, _ = precision_recall_curve(labels, scores)
    reached = len(recall)  # the same points, from the other end
    assert np.allclose(swept.counts.precision[:reached], precision[::-1])
    assert np.allclose(swept.counts.recall[:reached], recall[::-1])
    assert np.trapezoid(swept.counts.recall, swept.counts.false_positive_rate) == pytest.approx(
        metrics.auroc(scores, labels)
    )


@settings(deadline=None)
@given(tables())
def test_the_best_f1_is_the_best_over_all_numbers_of_predicted_heads(table):
    from sklearn.metrics import f1_score

    scores, labels = table
    values = {float(t): f1_score(labels, scores >= t) for t in scores}
    best, threshold = metrics.sweep(scores, labels).best()
    assert best == pytest.approx(max(values.values()))
    assert values[threshold] == pytest.approx(best)


def released(labels, scores):
    """As the released file computes its F1 from scikit-learn's ROC curve."""
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(2 * (tpr * (1 - fpr)) / (tpr + (1 - fpr)))


@settings(deadline=None)
@given(tables())
def test_the_released_f1_is_the_formula_of_the_released_code(table):
    scores, labels = table
    assert np.allclose(metrics.sweep(scores, labels).counts.released_f1, released(labels, scores))


def test_the_released_f1_hides_false_alarms():
    labels = np.arange(144) < 6
    counts = metrics.confusion(np.arange(144) < 20, labels, 1)
    assert float(counts.released_f1) == pytest.approx(0.9466, abs=1e-4)
    assert float(counts.f1) == pytest.approx(12 / 26)
    nothing = metrics.confusion(np.zeros(144), labels, 1)
    assert (float(nothing.released_f1), float(nothing.f1), float(nothing.precision)) == (0, 0, 1)
    wrong = metrics.confusion(~labels, labels, 1)  # neither sensitivity nor specificity
    assert float(wrong.released_f1) == 0


@settings(deadline=None, max_examples=20)
@given(tables().filter(lambda table: len(table[0]) <= 9))
def test_the_exact_null_is_every_placement_of_the_circuit(table):
    scores, labels = table
    n, k = len(labels), int(labels.sum())
    areas = [
        metrics.auroc(scores, np.isin(np.arange(n), chosen))
        for chosen in itertools.combinations(range(n), k)
    ]
    null = metrics.auroc_null(scores, labels)
    assert np.allclose(null.draws, areas)
    assert null.p_value == pytest.approx(
        np.mean(np.array(areas) >= metrics.auroc(scores, labels) - 1e-9)
    )


def test_the_exact_null_has_the_p_values_of_the_rank_sum_test():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=16), rng.permutation(np.arange(16) < 5)
    theirs = mannwhitneyu(
        scores[labels], scores[~labels], alternative="greater", method="exact"
    ).pvalue
    null = metrics.auroc_null(scores, labels)
    assert len(null.draws) == math.comb(16, 5)
    assert null.p_value == pytest.approx(theirs)
    assert null.draws.mean() == pytest.approx(0.5)


def test_the_null_of_many_heads_is_sampled_and_close_to_the_rank_sum_test():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    labels = np.arange(144) < 26
    scores = rng.normal(size=144) + 0.4 * labels
    null = metrics.auroc_null(scores, labels, permutations=4000)
    theirs = mannwhitneyu(scores[labels], scores[~labels], alternative="greater").pvalue
    assert len(null.draws) == 4000
    assert null.p_value == pytest.approx(theirs, abs=4 * math.sqrt(theirs / 4000) + 1 / 4001)


def test_the_interval_over_seeds_covers_the_mean_and_is_none_where_seeds_agree():
    rng = np.random.default_rng(0)
    labels = np.arange(16) < 5
    scores = rng.normal(size=(12, 16)) + labels
    repeated = metrics.over_seeds(scores, labels)
    assert np.allclose(repeated.values, [metrics.auroc(row, labels) for row in scores])
    assert repeated.low < repeated.mean == pytest.approx(repeated.values.mean())
    assert repeated.mean < repeated.high
    half = 1.96 * repeated.values.std(ddof=1) / math.sqrt(12)
    assert repeated.high - repeated.low == pytest.approx(
        2 * half, rel=0.35
    )  # 12 values: the bootstrap is close to, not at, the normal
    same = metrics.over_seeds([scores[0]] * 3, labels, metrics.auprc)
    assert same.low == same.high == same.mean == metrics.auprc(scores[0], labels)


def test_a_verdict_holds_the_numbers_of_the_single_functions():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=16), rng.permutation(np.arange(16) < 4)
    verdict, points = metrics.judge(scores, labels), metrics.sweep(scores, labels)
    assert verdict.auroc == metrics.auroc(scores, labels)
    assert verdict.auprc == metrics.auprc(scores, labels)
    assert verdict.best_f1 == pytest.approx(2 / (1 / verdict.precision + 1 / verdict.recall))
    assert (verdict.best_f1, verdict.best_released) == (
        points.counts.f1.max(),
        points.counts.released_f1.max(),
    )
    assert verdict.base_rate == 0.25
    assert verdict.p_value == metrics.auroc_null(scores, labels).p_value


def test_membership_follows_the_order_of_the_heads():
    heads = [(layer, head) for layer in range(2) for head in range(2)]
    assert metrics.membership(heads, [(1, 0), (0, 0)]).tolist() == [True, False, True, False]
    with pytest.raises(LabError, match="of the model's heads"):
        metrics.membership(heads, [(2, 0)])


ONE = np.ones(3, dtype=bool)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0, 3.0], ONE, "inside and outside the true circuit"),
        ([1.0, 2.0, 3.0], ~ONE, "inside and outside the true circuit"),
        ([1.0, 2.0, 3.0], [0, 1, 2], "inside and outside the true circuit"),
        ([1.0, 2.0], [0, 1, 1], "one label per score"),
        ([1.0, np.nan, 3.0], [0, 1, 1], "finite numbers"),
        ([[1.0], [2.0], [3.0]], [0, 1, 1], "one row"),
    ],
)
@pytest.mark.parametrize(
    "metric", [metrics.auroc, metrics.auprc, metrics.sweep, metrics.judge, metrics.auroc_null]
)
def test_what_cannot_be_judged_is_refused(metric, scores, labels, message):
    with pytest.raises(LabError, match=message):
        metric(scores, labels)
