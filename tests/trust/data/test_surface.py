"""Controls of the five public sets: classifiers written anew, planted sets, earlier figures."""

import re
from collections import Counter
from dataclasses import astuple, replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from helpers import stats
from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.data import surface
from helpers.trust.data.public import SOURCES, load
from helpers.trust.data.published import CHECKPOINTS, CURVES, INFORMATION, PUBLISHED, STEPS
from helpers.trust.data.splits import Splits, grouped, ordered
from helpers.trust.data.surface import (
    any_capital,
    case_flipped,
    leaked,
    length_auroc,
    survey,
    words_accuracy,
)


@pytest.fixture(scope="module")
def real(shared_dir):
    return {name: load(name, shared_dir / "data" / "trust") for name in SOURCES}


@pytest.fixture(scope="module")
def surveys(real):
    return {name: survey(data) for name, data in real.items()}


def planted(n: int = 200, cue: str = "good") -> LabelledSet:
    """Random words; a true text has the cue among them."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 2 == 0
    texts = [
        " ".join([*rng.choice(list("abcdefgh"), 5), cue if label else "bad"]) for label in labels
    ]
    return LabelledSet("planted", tuple(texts), labels, tuple(str(item // 2) for item in range(n)))


def twins(n: int = 300) -> LabelledSet:
    """Every text of three rare words twice, once with each label, in random order."""
    rng = np.random.default_rng(1)
    texts = [" ".join(f"w{word}" for word in rng.choice(2000, 3)) for _ in range(n)]
    order = rng.permutation(2 * n)
    labels = np.repeat([False, True], n)[order]
    return LabelledSet(
        "twins", tuple((texts * 2)[i] for i in order), labels, tuple(str(i % n) for i in order)
    )


def naive_bayes(data: LabelledSet, splits: Splits, lower: bool = True) -> float:
    """Log odds of classes and words, each count one higher; words not trained on are skipped."""
    words = [re.findall(r"\w+", text.lower() if lower else text) for text in data.texts]
    train, test = np.flatnonzero(splits.train[0]), np.flatnonzero(splits.test[0])
    counts = {
        label: Counter(word for row in train if data.labels[row] == label for word in words[row])
        for label in (0, 1)
    }
    known = counts[0].keys() | counts[1].keys()
    total = {label: sum(counts[label].values()) + len(known) for label in counts}
    prior = log(data.labels[train].mean() / (1 - data.labels[train].mean()))
    odds = {
        word: log((counts[1][word] + 1) / total[1]) - log((counts[0][word] + 1) / total[0])
        for word in known
    }
    scores = [prior + sum(odds.get(word, 0) for word in words[row]) for row in test]
    return float(np.mean((np.array(scores) > 0) == data.labels[test]))


@pytest.mark.parametrize("name", SOURCES)
def test_the_bag_of_words_is_naive_bayes(real, name):
    split = ordered(real[name])
    assert words_accuracy(real[name], split)[0] == pytest.approx(
        naive_bayes(real[name], split), abs=1e-3
    )


def test_a_planted_word_is_found_and_an_unseen_one_is_not():
    data = planted()
    for classifier in surface.CLASSIFIERS:
        assert words_accuracy(data, grouped(data), classifier).tolist() == [1] * 5
    capital = planted(cue="Bad")
    assert words_accuracy(capital, ordered(capital), lower=False)[0] == 1
    assert words_accuracy(capital, ordered(capital))[0] < 0.7


@pytest.mark.parametrize("classifier", ["bayes", "logistic"])
def test_texts_of_thousands_of_words_are_surveyed(classifier):
    """Probabilities round to 1 there; scores go on."""
    short = [f"{word} {word}" for word in ("good", "bad")] * 20
    long = ["good " * 6000, "bad " * 5000, "good " * 4000, "bad " * 6000] * 5
    labels = np.array([True, False] * 30)
    data = LabelledSet("long", (*short, *long), labels, tuple(map(str, range(60))))
    for share in surface._words(data, ordered(data, 1 / 3), classifier):
        assert share.value == share.balanced == share.auroc == 1


def test_twins_on_both_sides_push_words_below_chance_and_groups_mend_it():
    data = twins()
    for classifier in surface.CLASSIFIERS:
        assert words_accuracy(data, ordered(data), classifier)[0] < 0.3
        assert words_accuracy(data, grouped(data), classifier) == pytest.approx([0.5] * 5)


def test_leaked_rows_are_those_with_their_group_in_training():
    data = LabelledSet("s", tuple("abcdef"), np.array([1, 0, 1, 0, 1, 0]), tuple("112345"))
    parts = Splits(
        np.array([[1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], bool),
        np.array([[0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 1, 1]], bool),
        data.groups,
    )
    assert leaked(data, parts).tolist() == pytest.approx([1 / 3, 0])
    assert leaked(twins(), grouped(twins())).tolist() == [0] * 5


def test_length_is_of_characters():
    assert (
        length_auroc(
            LabelledSet("s", ("aaaa", "b b", "cc"), np.array([True, False, False]), tuple("123"))
        )
        == 1
    )


def test_the_capital_rule_solves_the_robustness_set(real, surveys):
    assert surveys["sst2"].capital.value == pytest.approx(0.996, abs=0.0005)
    wrong = any_capital(real["sst2"]) != real["sst2"].labels
    assert (
        real["sst2"].labels[wrong].all()
    )  # the few errors are reviews in which no letter was drawn
    assert (
        surveys["sst2"].capital.low > PUBLISHED["sst2"].best
    )  # better than the probe at any checkpoint


def test_leaks_of_the_ordered_split(surveys):
    assert surveys["truthfulqa"].leaked == pytest.approx(0.996, abs=0.0005)
    assert surveys["sst2"].leaked == pytest.approx(0.830, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "value"),
    [("truthfulqa", 0.512), ("toxigen", 0.478), ("confaide", 0.596), ("stereoset", 0.651)],
)
def test_length_alone(surveys, name, value):
    assert surveys[name].length == pytest.approx(value, abs=0.0006)


@pytest.mark.parametrize(
    ("name", "measured", "tolerance"),
    [
        ("toxigen", 0.777, 0.01),
        ("confaide", 0.809, 0.015),
        ("sst2", 0.093, 0.01),
        ("truthfulqa", 0.53, 0.03),  # 0.51 to 0.55 in other runs, with other tokenisers
        ("stereoset", 0.74, 0.08),  # 0.66 to 0.81
    ],
)
def test_words_on_the_ordered_split_reach_what_was_measured_before(
    surveys, name, measured, tolerance
):
    assert surveys[name].ordered["bayes"].value == pytest.approx(measured, abs=tolerance)


def test_words_with_capitals_on_the_robustness_set(real):
    assert words_accuracy(real["sst2"], ordered(real["sst2"]), lower=False)[0] == pytest.approx(
        0.53, abs=0.03
    )


def test_kept_apart_the_twins_of_the_robustness_set_leave_words_at_chance(surveys):
    assert [(share.value, share.low, share.high) for share in surveys["sst2"].grouped.values()] == [
        (0.5, 0.5, 0.5)
    ] * 2


def test_words_alone_explain_most_of_two_probes(surveys):
    assert 0 < surveys["toxigen"].gain < 0.04
    assert 0 < surveys["confaide"].gain < 0.05
    assert surveys["truthfulqa"].gain > 0.09
    assert surveys["stereoset"].gain > 0.12
    assert surveys["sst2"].gain < 0
    for name in (
        "toxigen",
        "confaide",
        "stereoset",
    ):  # words know more than the probe of the first checkpoint
        assert surveys[name].grouped["logistic"].low > PUBLISHED[name].first


def test_intervals_hold_their_values(surveys):
    for found in surveys.values():
        shares = [found.capital, *found.ordered.values(), *found.grouped.values()]
        assert all(share.low <= share.value <= share.high for share in shares)
    low, high = PUBLISHED["stereoset"].interval
    assert low == pytest.approx(0.934, abs=0.001)
    assert high == pytest.approx(0.976, abs=0.001)


def test_published_accuracies_stand_on_a_fifth_of_the_files_but_for_truthfulqa(real):
    """Hits among test rows: each figure is a whole number of them, to the three digits it has."""
    for name, published in PUBLISHED.items():
        fifth = len(real[name]) - int(0.8 * len(real[name]))
        assert (published.tested == fifth) == (name != "truthfulqa")
        assert (
            round(round(published.best * published.tested) / published.tested, 3) == published.best
        )
        assert published.first < published.late < published.best


def test_the_published_curves_agree_with_their_summaries():
    for name, published in PUBLISHED.items():
        curve = CURVES[name, published.layer]
        assert len(curve) == len(CHECKPOINTS)
        assert curve[0] == published.first
        assert max(curve) <= published.best
        assert np.mean(curve[8:]) == pytest.approx(published.late, abs=0.012)
    assert all(len(curve) == len(STEPS) for curve in INFORMATION.values())
    peaks = {
        layer: STEPS[int(np.argmax(curve))]
        for (kind, layer), curve in INFORMATION.items()
        if kind == "tx"
    }
    assert peaks == {0: 1500, 6: 300, 18: 300, 31: 200}


def test_the_seed_draws_other_grouped_splits(real, surveys):
    other = survey(real["confaide"], seed=1)
    assert other.ordered == surveys["confaide"].ordered
    assert other.grouped["bayes"].value == pytest.approx(
        surveys["confaide"].grouped["bayes"].value, abs=0.03
    )
    assert other.grouped != surveys["confaide"].grouped


def test_a_survey_repeats_and_names_no_published_probe_for_another_set():
    data = planted()
    found = survey(data, seed=3)
    assert found == survey(data, seed=3)
    assert (found.published, found.gain, found.best) == (None, None, 1)


def test_letters_are_drawn_with_the_given_share():
    texts = tuple(" ".join(["the film , 2 hours long , is so-so ."] * 20) for _ in range(50))
    letters = [
        letter
        for text in case_flipped(texts, 0.0473, seed=0)
        for letter in text
        if letter.isalpha()
    ]
    low, high = binom.interval(0.9999, len(letters), 0.0473)
    assert len(letters) > 20000
    assert low <= sum(map(str.isupper, letters)) <= high


def test_every_place_of_a_text_is_drawn_alike():
    drawn = np.array(
        [
            [letter.isupper() for letter in text]
            for text in case_flipped(("abcdefgh",) * 2000, 0.3, seed=1)
        ]
    )
    low, high = binom.interval(0.9999, 2000, 0.3)
    assert ((low <= drawn.sum(0)) & (drawn.sum(0) <= high)).all()
    assert (
        abs(np.corrcoef(drawn.T)[~np.eye(8, dtype=bool)]).max() < 0.1
    )  # of independent letters: 4 standard errors are 0.09


@given(st.lists(st.text(max_size=20), max_size=4), st.floats(0, 1), st.integers(0, 2**32))
def test_nothing_but_case_changes(texts, share, seed):
    flipped = case_flipped(texts, share, seed)
    assert [[letter.lower() for letter in text] for text in flipped] == [
        [letter.lower() for letter in text] for text in texts
    ]
    assert all(
        new == old or new.isupper()
        for a, b in zip(flipped, texts, strict=True)
        for new, old in zip(a, b, strict=True)
    )


def test_the_seed_decides_which_letters_change():
    texts = ("one hour photo is an intriguing snapshot",) * 5
    assert case_flipped(texts, 0.2, seed=7) == case_flipped(list(texts), 0.2, seed=7)
    assert case_flipped(texts, 0.2, seed=7) != case_flipped(texts, 0.2, seed=8)
    assert len(set(case_flipped(texts, 0.2, seed=7))) > 1  # every text has draws of its own


def test_the_ends_of_the_share():
    assert case_flipped(("a Straße , ñ 2",), 1, seed=0) == ("A STRAßE , Ñ 2",)
    assert case_flipped(("a Straße",), 0, seed=0) == ("a Straße",)
    assert case_flipped((), 0.5, seed=0) == ()


def test_the_released_capitals_are_spread_more_evenly_than_independent_draws(real):
    data = real["sst2"]
    treated = [text for text, label in zip(data.texts, data.labels, strict=True) if label]
    capitals = np.array([sum(map(str.isupper, text)) for text in treated])
    assert (capitals <= [max(1, len(text) // 20) for text in treated]).all()
    assert (capitals == 0).sum() == 14
    letters = np.array([sum(map(str.isalpha, text)) for text in treated])
    assert capitals.sum() / letters.sum() == pytest.approx(0.0473, abs=0.0002)
    alone = (1 - 0.0473) ** letters  # the chance that no letter of a review is drawn
    assert alone.sum() == pytest.approx(129, abs=1)
    plain = [text.lower() for text in treated]
    unchanged = sum(map(str.__eq__, plain, case_flipped(plain, 0.0473, seed=0)))
    assert abs(unchanged - alone.sum()) < 4 * np.sqrt((alone * (1 - alone)).sum())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: words_accuracy(planted(), ordered(planted()), "forest"),
            "expected one of bayes, logistic; got 'forest'",
        ),
        (
            lambda: words_accuracy(
                no_words := LabelledSet(
                    "dots", ("...",) * 20, np.arange(20) % 2 == 0, tuple("a" * 20)
                ),
                ordered(no_words),
            ),
            "expected words in the training part of dots",
        ),
        (lambda: survey(twins(1)), "both classes in every training part"),
        *(
            (
                lambda share=share: case_flipped(("a",), share, 0),
                "share of letters from 0 to 1; got",
            )
            for share in (-0.1, 4.7, np.nan)
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(LabError, match=message):
        call()


def test_a_fit_that_does_not_converge_is_no_result(monkeypatch):
    monkeypatch.setattr(surface, "ITERATIONS", 1)
    with pytest.raises(LabError, match="expected the bag of words of planted to converge"):
        words_accuracy(planted(), ordered(planted()), "logistic")


def unbalanced(n: int = 100, share: float = 0.1) -> LabelledSet:
    """Words that say nothing, and one class that is much larger."""
    rng, labels = np.random.default_rng(3), np.arange(n) < share * n
    texts = tuple(" ".join(rng.choice(list("abcdefgh"), 6)) for _ in labels)
    order = rng.permutation(n)
    groups = tuple(str(item) for item in range(n))
    return LabelledSet("unbalanced", texts, labels[order], groups)


def sorted_by_class(data: LabelledSet, first: bool = True) -> LabelledSet:
    order = np.argsort(data.labels != first, kind="stable")
    return data[order]


def shares(found: surface.Survey) -> list[surface.Share]:
    return [found.capital, *found.ordered.values(), *found.grouped.values()]


@pytest.mark.parametrize("cue", ["good", "bad"])
@pytest.mark.parametrize("n", [40, 200])
def test_every_interval_of_an_accuracy_is_within_0_and_1(cue, n):
    """Splits that are all right but one give an interval that ends above 1 by Student's t."""
    data = planted(n, cue)
    labels = data.labels.copy()
    labels[:3] = ~labels[:3]
    noisy = replace(data, labels=labels)
    for found in (survey(data), survey(noisy), survey(noisy, n_splits=2), survey(unbalanced())):
        for share in shares(found):
            assert 0 <= share.low <= share.value <= share.high <= 1
            assert all(0 <= value <= 1 for value in astuple(share))


def test_the_interval_over_splits_is_clipped_and_not_moved():
    parts = grouped(planted(), n_splits=3)
    plain = parts.interval(np.array([[1.0, 1.0, 0.9]]))
    assert plain.high[0] > 1
    clipped = plain.clipped(0, 1)
    assert (clipped.high[0], clipped.low[0], clipped.mean[0]) == (1, plain.low[0], plain.mean[0])


def test_capitals_count_in_both_directions():
    """A set whose *false* texts have the capitals is given away as well."""
    right, wrong = planted(cue="Good"), planted(cue="Good")
    flipped = LabelledSet("flipped", wrong.texts, ~wrong.labels, wrong.groups)
    for data, says in ((right, True), (flipped, False)):
        found = survey(data)
        assert (found.capital.value, found.capital_says) == (1, says)
        assert (found.capital.balanced, found.capital.auroc) == (1, 1)


def test_what_stands_beside_an_accuracy_shows_that_nothing_was_found():
    """Always saying the larger class is right in 90 %; the other two say that it is chance."""
    found = survey(unbalanced())
    assert found.capital.majority == 0.9
    bayes = found.grouped["bayes"]
    assert bayes.majority == pytest.approx(0.9, abs=0.03)
    assert bayes.value > 0.8
    assert bayes.balanced < 0.7
    assert bayes.auroc < 0.8


def test_numbers_beside_an_accuracy_are_scikit_learns():
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    rng = np.random.default_rng(0)
    labels, scores = rng.random(60) < 0.2, rng.normal(size=60).round(1)
    assert stats.balanced_accuracy(scores > 0, labels) == pytest.approx(
        balanced_accuracy_score(labels, scores > 0)
    )
    share = surface._share(scores > 0, scores, labels)
    assert share.auroc == pytest.approx(roc_auc_score(labels, scores))
    assert share.majority == max(labels.mean(), 1 - labels.mean())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_sorted_by_class_is_surveyed(first, share):
    data = sorted_by_class(unbalanced(share=share), first)
    with pytest.raises(LabError, match=r"sorted by class: ordered\(data, by_class=True"):
        ordered(data)
    parts = ordered(data, by_class=True)
    for label in (True, False):
        of_class = np.flatnonzero(data.labels == label)
        tested = np.flatnonzero(parts.test[0] & (data.labels == label))
        assert tested.tolist() == of_class[int(0.8 * len(of_class)) :].tolist()
    found = survey(data)
    assert found.by_class
    assert all(0 <= share.low <= share.high <= 1 for share in shares(found))
    mixed = planted()
    assert not survey(mixed).by_class
    assert survey(mixed).ordered == survey(replace(mixed, name="x")).ordered


def test_sorting_a_file_leaves_a_planted_word_to_be_found():
    found = survey(sorted_by_class(planted()))
    assert found.by_class
    assert {share.value for share in found.ordered.values()} == {1}


@pytest.mark.parametrize("test_share", [0, 1, -0.1, np.nan])
def test_a_test_share_that_is_none_is_refused(test_share):
    with pytest.raises(LabError, match="test share between 0 and 1"):
        ordered(planted(), test_share)
