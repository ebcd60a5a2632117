"""Fixtures of the steering tests."""

import pytest

from tests.trust.families import FAMILIES, HUGGING_FACE, load


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path_factory):
    return load(request, tmp_path_factory)


@pytest.fixture(params=HUGGING_FACE)
def both(request, tmp_path_factory):
    return load(request, tmp_path_factory)
