"""Which types are numbers: each is judged on purpose, with a sentence."""

import datetime
import math
import re
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.course.expect import expect_close
from helpers.course.values import as_array
from helpers.course.wrong import Wrong


class Digit(IntEnum):
    three = 3


NUMBERS = [
    3,
    3.0,
    np.int8(3),
    np.float16(3),
    np.longdouble(3),
    Fraction(6, 2),
    Decimal("3.0"),
    Digit.three,
    np.array(3),
    np.array(3, dtype=object),
    np.array(Fraction(3), dtype=object),
    torch.tensor(3),
    torch.tensor(3.0, requires_grad=True) * 1,
    torch.tensor(3.0, dtype=torch.bfloat16),
    np.ma.masked_array(3, mask=False),
]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_counts_in_every_form(number):
    assert as_array(number).tolist() == 3.0
    assert as_array([[number]]).tolist() == [[3.0]]
    expect_close(number, 3)


ROWS = [
    [1, 2],
    (1, Fraction(2)),
    range(1, 3),
    np.array([1, 2], dtype=object),
    np.array([Decimal(1), torch.tensor(2)], dtype=object),
    [torch.tensor(1), np.int64(2)],
    pd.Series([1, 2], index=[1, 0]),
    pd.Series([1, 2], dtype="Int64"),
    torch.tensor([1, 2]).to(torch.int8),
    torch.arange(1, 5)[::2] - torch.tensor([0, 1]),
    torch.nn.Parameter(torch.tensor([1.0, 2.0])),
    np.ma.masked_array([1, 2]),
]


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_row_of_numbers_counts_in_every_form(row):
    assert as_array(row).tolist() == [1.0, 2.0]


def test_a_matrix_has_two_axes():
    assert as_array(np.asmatrix([1, 2])).tolist() == [[1.0, 2.0]]


REFUSED = [
    (None, "does the function return its result"),
    (True, "truth values"),
    (np.bool_(True), "truth values"),
    ([1, True], "truth values"),
    (np.array([True, False]), "truth values"),
    (torch.tensor([True]), "truth values"),
    (np.array([1, True], dtype=object), "truth values"),
    (3 + 0j, "complex"),
    (np.complex64(3), "complex"),
    ([1, 2j], "complex"),
    (np.array([1, 2 + 1j]), "complex"),
    (torch.tensor([1, 2 + 1j]), "complex"),
    (np.array([1, 2j], dtype=object), "complex"),
    (np.ma.masked_array([1, 2], mask=[True, False]), "masked"),
    (np.ma.masked, "masked"),
    ("3", "as text"),
    (b"3", "as text"),
    (np.str_("3"), "as text"),
    (["1", "2"], "as text"),
    (np.array(["1", "2"]), "of <U1"),
    (np.array("3"), "of <U1"),
    (np.array([b"1"]), "of |S1"),
    (np.array(["1", 2], dtype=object), "as text"),
    (pd.Series(["1", "2"]), "expected numbers"),
    (np.timedelta64(3, "s"), "timedelta64"),
    (np.datetime64("2020-01-01"), "datetime64"),
    (datetime.timedelta(seconds=3), "expected numbers"),
    (np.array([object()]), "got object"),
    (np.array([None]), "is None"),
    (object(), "got object"),
    (np.array({}), "got dict"),
    (np.array([[1], [2, 3]], dtype=object), "expected numbers"),
    (np.zeros(2, dtype=[("a", int)]), "expected numbers"),
    ([[1], [2, 3]], "differ in length"),
    ([1, [2]], "differ in length"),
    (iter([1, 2]), "in an order; got list_iterator"),
    ((i for i in (1, 2)), "in an order; got generator"),
    (map(abs, [1, 2]), "in an order; got map"),
    ({1: 2}, "in an order; got dict"),
    ({1: 2}.keys(), "in an order; got dict_keys"),
    ({1: 2}.values(), "in an order; got dict_values"),
    ({1, 2}, "in an order; got set"),
    (max, "got a function"),
    (torch.eye(2).to_sparse(), "to_dense"),
    (torch.zeros(2, device="meta"), "the device meta"),
    (10**400, "no number that"),
    (Decimal("sNaN"), "no number that"),
]


def without_address(value: object) -> str:
    """A name that is the same in every process that shares the tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:40]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("answer", "words"), REFUSED, ids=without_address)
def test_what_is_no_number_is_refused_with_a_sentence(answer, words):
    with pytest.raises(Wrong) as wrong:
        as_array(answer, "the sum")
    assert words in str(wrong.value)
    with pytest.raises(Wrong):
        expect_close(answer, 3)


@pytest.mark.filterwarnings("ignore")
def test_tensors_whose_values_are_packed_are_refused():
    with pytest.raises(Wrong, match="dequantize"):
        as_array(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8))
    with pytest.raises(Wrong, match="to_dense"):
        as_array(torch.eye(2).to_sparse_csr())
    with pytest.raises(Wrong, match="nested"):
        as_array(torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]))


def test_truth_values_count_where_they_are_asked_for():
    for truth in (True, np.bool_(True), [True], np.array([True]), torch.tensor(True)):
        assert as_array(truth, truth=True).ravel().tolist() == [1.0]


def test_the_array_shares_no_memory_with_the_answer():
    for given in (np.ones(2), torch.ones(2, dtype=torch.float64), np.ma.masked_array(np.ones(2))):
        array = as_array(given)
        array[:] = 7
        assert float(given[0]) == 1


@pytest.mark.parametrize(
    "nothing",
    [math.nan, pd.Series([1, None], dtype="Int64")[1:], Decimal("NaN"), np.nan, torch.nan],
)
def test_nan_is_a_value_that_is_never_right(nothing):
    with pytest.raises(Wrong):
        expect_close(nothing, np.full(np.shape(nothing), 3))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_part_of_conjugated_numbers_is_judged(dtype):
    z = torch.tensor([1 + 2j, 3 - 4j], dtype=dtype)
    assert as_array(z.conj().imag).tolist() == [-2, 4]
    assert as_array(z.conj().real).tolist() == [1, 3]
