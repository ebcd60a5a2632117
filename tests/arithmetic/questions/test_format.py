"""Positions and labels of the paper's format and of others, and every impossible one."""

import numpy as np
import pytest
import torch

from helpers.arithmetic.questions import Format, uniform
from helpers.errors import LabError

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    ("n_digits", "n_ctx", "op", "equals", "sign", "a_n", "last"),
    [(5, 19, 5, 11, 12, 13, 18), (6, 22, 6, 13, 14, 15, 21)],
)
def test_positions_are_those_of_the_papers_table(n_digits, n_ctx, op, equals, sign, a_n, last):
    fmt = Format(n_digits)
    assert (fmt.n_ctx, fmt.operator_position, fmt.equals_position) == (n_ctx, op, equals)
    assert (fmt.answer_position(n_digits), fmt.answer_position(0), fmt.n_answer) == (
        a_n,
        last,
        n_digits + 2,
    )
    assert fmt.operand_positions(0) == (n_digits - 1, 2 * n_digits)
    assert fmt.operand_positions(n_digits - 1) == (0, n_digits + 1)
    assert fmt.position_labels[sign] == "±"
    assert len(fmt.position_labels) == n_ctx


def test_labels_name_what_the_tokens_hold():
    assert Format(2).position_labels == ["D1", "D0", "op", "D'1", "D'0", "=", "±", "A2", "A1", "A0"]
    assert Format(2, has_sign=False, prefix=(20,)).position_labels[:2] == ["^", "D1"]
    assert Format(2, has_sign=False).answer_labels == ["A2", "A1", "A0"]


@pytest.mark.parametrize(
    "settings_",
    [
        {"n_digits": 0},
        {"n_digits": 21},
        {"n_digits": -1},
        {"n_digits": 2.0},
        {"n_digits": "3"},
        {"n_digits": 3, "digit_ids": tuple(range(9))},
        {"n_digits": 3, "digit_ids": (0, *range(9))},
        {"n_digits": 3, "plus": 5},
        {"n_digits": 3, "minus": 10},
        {"n_digits": 3, "equals": -1},
        {"n_digits": 3, "prefix": (-2,)},
        {"n_digits": 3, "plus": None},
        {"n_digits": 3, "equals": None},
        {"n_digits": 3, "plus": "+"},
        {"n_digits": 3, "prefix": (1.0,)},
        {"n_digits": 3, "minus": None, "plus": 12},
    ],
)
def test_impossible_formats_are_refused(settings_):
    with pytest.raises(LabError, match="expected"):
        Format(**settings_)


def test_a_vocabulary_without_minus():
    """Digits, plus and equals are twelve ids to read; of ten consists an answer without a sign."""
    fmt = Format(3, minus=None, equals=11, has_sign=False)
    assert (fmt.d_vocab_needed, fmt.d_vocab_out_needed) == (12, 10)
    assert Format(3, minus=None, equals=11).d_vocab_out_needed == 11
    assert (Format(3).d_vocab_needed, Format(3).d_vocab_out_needed) == (13, 12)
    questions = uniform(3, 20, np.random.default_rng(0))
    usual = questions.tokens(Format(3, has_sign=False))
    assert torch.equal(questions.tokens(fmt), torch.where(usual == 12, 11, usual))
    with pytest.raises(LabError, match="the format has no minus; got 20 subtractions"):
        uniform(3, 20, np.random.default_rng(0), subtract=True).tokens(fmt)


@pytest.mark.parametrize("ids", [{"prefix": (10**23,)}, {"plus": 2**63}, {"minus": -(10**23)}])
def test_an_id_that_no_tensor_holds_is_refused(ids):
    with pytest.raises(LabError, match=r"expected ten digit ids.* from 0 to 2\^63 - 1"):
        Format(3, **ids)
