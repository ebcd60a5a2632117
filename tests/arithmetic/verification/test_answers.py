"""Reading answers, on callables whose failures are known exactly and on a real model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.arithmetic.questions import Format, Questions, all_additions, uniform
from helpers.arithmetic.verification import greedy, predict, score
from helpers.errors import LabError
from tests.arithmetic.calculators import Calculator, Forgetful, small_model

pytestmark = pytest.mark.core


FORMATS = [
    Format(3),
    Format(3, has_sign=False),
    Format(3, minus=None, equals=11, has_sign=False),
    Format(3, minus=None, plus=11, equals=10),
    Format(3, digit_ids=tuple(range(40, 50)), plus=3, minus=2, equals=1, prefix=(0, 7)),
]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("subtract", [False, True])
def test_a_perfect_model_is_right_in_every_format(fmt, subtract):
    if subtract and fmt.minus is None:
        pytest.skip("this vocabulary has no minus")
    questions = uniform(3, 300, np.random.default_rng(0), subtract)
    model = Calculator(fmt, Questions.answer_digits)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    assert torch.equal(predict(model, questions, fmt), truth)
    assert torch.equal(greedy(model, questions, fmt, batch_size=7), truth)
    assert score(model, questions, fmt).all()
    assert score(model, questions, fmt).shape == (300, fmt.n_answer)


def test_teacher_forced_and_greedy_verdicts_are_equal_although_the_answers_are_not():
    fmt = Format(4)
    questions = uniform(4, 400, np.random.default_rng(0))
    model, truth = Forgetful(fmt), questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = predict(model, questions, fmt), greedy(model, questions, fmt)
    verdicts = (forced == truth).all(1)
    assert torch.equal(verdicts, (written == truth).all(1))
    assert 50 < int(verdicts.sum()) < 350
    assert not torch.equal(forced, written)  # after a first mistake the two read different prefixes
    first_mistake = (forced != truth).long().argmax(1)
    for row in torch.nonzero(~verdicts).flatten().tolist():
        upto = slice(0, int(first_mistake[row]) + 1)
        assert torch.equal(forced[row, upto], written[row, upto])


def test_an_untrained_bridge_gets_equal_verdicts_both_ways():
    model, fmt = small_model(1), Format(1)
    questions = all_additions(1)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = (read(model, questions, fmt) for read in (predict, greedy))
    assert torch.equal((forced == truth).all(1), (written == truth).all(1))
    assert forced.shape == written.shape == (100, 3)


def test_a_model_with_a_smaller_vocabulary_is_refused():
    with pytest.raises(
        LabError, match="vocabulary of at least 13 tokens for this format; the model has 12"
    ):
        predict(small_model(d_vocab=12), uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_a_model_with_a_shorter_context_is_refused():
    with pytest.raises(
        LabError, match="context of at least 15 tokens for 4 digits; the model has 13"
    ):
        greedy(small_model(3), uniform(4, 5, np.random.default_rng(0)), Format(4))


def test_an_unknown_id_in_a_bare_callable_is_refused():
    embedding = torch.nn.Embedding(5, 20)
    with pytest.raises(LabError, match="token ids up to 12"):
        predict(embedding, uniform(3, 5, np.random.default_rng(0)), Format(3))


@pytest.mark.parametrize(
    "model",
    [
        lambda tokens: tokens,
        lambda tokens: None,
        lambda tokens: torch.zeros(len(tokens), 4, 15),
        lambda t: torch.zeros(*t.shape, 5),
    ],
)
def test_a_callable_that_gives_no_logits_is_refused(model):
    with pytest.raises(LabError, match="expected logits of shape"):
        predict(model, uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_logits_may_come_wrapped():
    fmt = Format(3)
    bare = Calculator(fmt, Questions.answer_digits)
    assert score(
        lambda tokens: SimpleNamespace(logits=bare(tokens)),
        uniform(3, 20, np.random.default_rng(0)),
        fmt,
    ).all()
