"""Counts per class, on callables whose failures are known exactly."""

import itertools
from collections import Counter

import pytest
import torch

from helpers.arithmetic.circuit.lookback import failure_rate, lookback_answer
from helpers.arithmetic.questions import Format, Questions
from helpers.arithmetic.verification import verify
from helpers.errors import LabError
from tests.arithmetic import reference
from tests.arithmetic.calculators import Calculator, Forgetful

pytestmark = pytest.mark.core


def test_exhaustive_counts_are_exact_for_the_look_back_rule():
    report = verify(
        Calculator(Format(3), lookback_answer),
        Format(3),
        exhaustive=True,
        batch_size=4096,
        workers=2,
    )
    shares = reference.share_of_classes("+", 3)
    assert {name: count.questions for name, count in report.classes.items()} == {
        n: 10**6 * s for n, s in shares.items()
    }
    assert report.questions == 1_000_000
    assert (
        report.failures == report.classes["S3"].failures == report.classes["S3"].questions == 4500
    )
    assert report.classes["S3"].ci95 == (1.0, 1.0)  # nothing was left unasked
    assert report.classes["S2"].ci95 == (0.0, 0.0)
    assert report.rate == {"+": pytest.approx(0.0045)}
    assert report.uniform == {}
    assert len(report.examples) == 10


def test_exhaustive_subtraction_asks_every_subtraction():
    fmt = Format(2)
    report = verify(Calculator(fmt, Questions.answer_digits), fmt, exhaustive=True, operations="+-")
    shares = reference.share_of_classes("-", 2)
    counted = {name: count.questions for name, count in report.classes.items() if name[0] in "MN"}
    assert counted == {name: 10**4 * share for name, share in shares.items()}
    assert (report.questions, report.failures) == (20_000, 0)


def test_sampled_counts_pool_uniform_and_class_questions():
    fmt = Format(5)
    report = verify(
        Calculator(fmt, lookback_answer),
        fmt,
        "rule",
        questions=30_000,
        per_class=2000,
        batch_size=4096,
    )
    assert report.questions == 30_000 + 6 * 2000
    for name, count in report.classes.items():
        share = float(reference.share_of_classes("+", 5)[name])
        spread = 5 * (30_000 * share * (1 - share)) ** 0.5
        assert count.questions - 2000 == pytest.approx(30_000 * share, abs=spread + 1)
        assert count.failures == (count.questions if int(name[1:]) >= 3 else 0)
    assert report.rate["+"] == pytest.approx(
        failure_rate(5), rel=1e-9
    )  # weighted by exact shares: no sampling noise
    assert report.uniform["+"].questions == 30_000
    assert report.uniform["+"].failures == pytest.approx(30_000 * failure_rate(5), abs=5 * 405**0.5)
    low, high = report.uniform["+"].ci95
    assert low < failure_rate(5) < high
    assert report.classes["S0"].ci95 == (
        0.0,
        pytest.approx(1 - 0.025 ** (1 / report.classes["S0"].questions)),
    )


def test_wrong_tokens_are_counted_at_their_places():
    """Exhaustively, beside a count by plain integers: one digit is spoilt where the units are 7."""

    def rule(questions):
        digits = questions.answer_digits()
        spoilt = digits[:, 0] == 7
        digits[spoilt, 1] = (digits[spoilt, 1] + 1) % 10
        return digits

    totals = Counter()
    for first, second in itertools.product(range(100), repeat=2):
        totals["A1"] += (first + second) % 10 == 7
    for has_sign in (True, False):
        fmt = Format(2, has_sign=has_sign)
        report = verify(Calculator(fmt, rule), fmt, exhaustive=True)
        places = (["sign"] if has_sign else []) + ["A2", "A1", "A0"]
        assert report.digits == dict.fromkeys(places, 0) | totals
        assert report.failures == totals["A1"] == 1000
        assert report.to_json()["digits"] == report.digits
        assert "wrong at each place of the answer: " in report.table()
        assert "A2 0, A1 1,000, A0 0" in report.table()


def test_what_is_said_of_a_format_without_sign_has_none():
    fmt = Format(3, minus=None, equals=11, has_sign=False)
    report = verify(Calculator(fmt, lookback_answer), fmt, questions=0, per_class=20)
    assert report.examples
    for text in report.examples:
        question, said = text.split(", the model says ")
        assert question.split("=")[1].isdigit()
        assert len(question.split("=")[1]) == len(said) == 4
        assert said.isdigit()


def test_subtractions_are_not_asked_of_a_vocabulary_without_minus():
    fmt = Format(3, minus=None, equals=11)
    with pytest.raises(LabError, match=r"expected the operations \+ alone"):
        verify(Calculator(fmt, lookback_answer), fmt, operations="+-")


def test_examples_show_question_truth_and_answer():
    fmt = Format(5)
    report = verify(Calculator(fmt, lookback_answer), fmt, questions=0, per_class=20)
    for text in report.examples:
        question, said = text.split(", the model says ")
        first, second = (int(part) for part in question.split("=")[0].split("+"))
        assert question == reference.text_of(first, "+", second, 5)
        assert said != question.split("=")[1]
        assert len(said) == fmt.n_answer


def test_the_questions_depend_on_the_seed_alone():
    fmt = Format(4)
    model = Forgetful(fmt)
    settings = {"questions": 100, "per_class": 20, "operations": "+-"}
    one = verify(model, fmt, **settings, seed=1, workers=1, batch_size=50)
    same = verify(model, fmt, **settings, seed=1, workers=3, batch_size=17)
    other = verify(model, fmt, **settings, seed=2)
    assert (one.classes, one.uniform, one.examples) == (same.classes, same.uniform, same.examples)
    assert one.examples != other.examples
    assert list(one.classes) == [
        "S0",
        "S1",
        "S2",
        "S3",
        "S4",
        "M0",
        "M1",
        "M2",
        "M3",
        "N1",
        "N2",
        "N3",
        "N4",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"questions": -1},
        {"per_class": -1},
        {"seed": -1},
        {"questions": 0, "per_class": 0},
        {"operations": "*"},
    ],
)
def test_impossible_plans_are_refused(settings):
    with pytest.raises(LabError, match="expected"):
        verify(Calculator(Format(2), Questions.answer_digits), Format(2), **settings)


def test_exhaustive_is_refused_beyond_three_digits():
    with pytest.raises(LabError, match="at most 3 digits"):
        verify(Calculator(Format(4), Questions.answer_digits), Format(4), exhaustive=True)


def test_a_model_that_reads_ahead_is_refused():
    def cheat(tokens):  # each position gives the token after it, which teacher forcing shows
        return torch.nn.functional.one_hot(tokens.roll(-1, dims=1), 15).float()

    with pytest.raises(LabError, match="expected a causal model"):
        verify(cheat, Format(3), questions=10)


def test_a_model_with_dropout_on_is_refused():
    model = torch.nn.Sequential(torch.nn.Embedding(15, 15), torch.nn.Dropout(0.5))
    with pytest.raises(LabError, match=r"model\.eval\(\)"):
        verify(model, Format(3), questions=10)
    assert verify(model.eval(), Format(3), questions=10).questions == 10 + 4 * 20_000
