"""The smallest adder, and what the explorer makes of it."""

import pytest

from helpers import zoo
from helpers.arithmetic.explorer import data as explorer_data
from helpers.arithmetic.explorer.page import addition_explorer
from helpers.arithmetic.questions import Format

FMT = Format(3)


@pytest.fixture(scope="package")
def model():
    return zoo.load("add-d3", device="cpu")


@pytest.fixture(scope="package")
def shown(model):
    return explorer_data.precompute(model, FMT)


@pytest.fixture(scope="package")
def view(model):
    return addition_explorer(model, FMT, name="add-d3")
