"""Judges trained on other data: what each of them can see."""

import pytest
import torch

from helpers.detox.judging import errors_by_manner, word_judge
from helpers.detox.judging.independent import scores
from helpers.errors import LabError
from tests.detox.judging.toys import INSULT, PRAISE, TURNED_INSULT, TURNED_PRAISE, rows

SEED = 1


def test_neighbouring_words_cannot_see_a_turned_noun():
    """An insult turned and a praise turned: right about neither, as each word says the other."""
    errors = errors_by_manner(word_judge("bigrams"), SEED)
    assert errors["insult"].share < 0.05
    assert errors["praise"].share < 0.05
    assert errors["turned praise"].share > 0.85
    assert errors["turned insult"].share > 0.85


def test_pairs_of_words_see_it():
    errors = errors_by_manner(word_judge("pairs"), SEED)
    assert all(error.share < 0.06 for error in errors.values())
    assert sum(error.posts for error in errors.values()) == 2000


def test_an_inverted_judge_is_wrong_about_everything():
    judge = word_judge("pairs")
    right = errors_by_manner(judge, SEED)
    inverted = errors_by_manner(lambda tokens: 1 - judge(tokens), SEED)
    for manner, error in right.items():
        assert error.wrong + inverted[manner].wrong == error.posts


def test_what_stands_after_the_stop_or_before_the_post_changes_nothing():
    judge = word_judge("bigrams")
    said = rows(INSULT, PRAISE, TURNED_PRAISE, TURNED_INSULT)
    more = torch.cat([said, rows(*[INSULT] * 4)], 1)
    other_writer = said.clone()
    other_writer[:, 1] = said[0, 4]
    assert (judge(said) == judge(more)).all()
    assert (judge(said) == judge(other_writer)).all()
    assert (judge(said)[:, None] > 0.5).tolist() == [[True], [False], [False], [True]]


def test_the_same_seed_gives_the_same_judge():
    said = rows(INSULT, PRAISE)
    apart = word_judge.__wrapped__("bigrams", 0, 500)(said) - word_judge("bigrams", 0, 500)(said)
    assert (apart == 0).all()
    assert (word_judge("bigrams", 1, 500)(said) != word_judge("bigrams", 0, 500)(said)).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: word_judge("letters"), "features of a judge"),
        (lambda: word_judge("bigrams", 0, 10), "posts to train a judge on"),
        (lambda: errors_by_manner(word_judge("bigrams"), SEED, 10), "posts to test a judge on"),
        (lambda: word_judge("bigrams")(torch.tensor([[1, 5, 6]])), "after 3 tokens"),
        (lambda: word_judge("bigrams")(torch.tensor([[1, 5, 6, 99_999]])), "from 0 to"),
        (lambda: scores(word_judge("bigrams"), torch.ones(2, 5)), "token ids"),
    ],
)
def test_what_no_judge_can_do_is_said(wrong, message):
    with pytest.raises(LabError, match=message):
        wrong()
