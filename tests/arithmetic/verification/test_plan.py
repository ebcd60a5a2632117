"""The chunks of a verification: none twice, each of its class."""

import pytest

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.verification.plan import CHUNK, MOST, draw, plan
from helpers.errors import LabError

pytestmark = pytest.mark.core


def test_no_chunk_repeats_another():
    chunks = plan(4, 3 * CHUNK, 50, False, "+-", seed=0)
    first_rows = [
        tuple(draw(chunk, 4).first[0].tolist() + draw(chunk, 4).second[0].tolist())
        for chunk in chunks
    ]
    assert len(set(first_rows)) == len(chunks)
    assert sum(chunk.count for chunk in chunks) == 2 * 3 * CHUNK + 50 * (5 + 8)
    assert {chunk.seed for chunk in chunks}.isdisjoint(
        {chunk.seed for chunk in plan(4, 3 * CHUNK, 50, False, "+-", 1)}
    )


def test_class_chunks_hold_their_class_alone():
    for chunk in plan(4, 0, 30, False, "+-", seed=0):
        assert set(draw(chunk, 4).classes()) == {chunk.source}
        assert chunk.source in cascades.addition(4).classes + cascades.subtraction(4).classes


@pytest.mark.parametrize("counts", [(MOST + 1, 0), (0, MOST + 1), (10**20, 10**20)])
def test_more_questions_than_can_be_listed_are_refused(counts):
    with pytest.raises(LabError, match="expected at most 1,000,000,000 questions of a kind"):
        plan(3, *counts, False, "+", seed=0)
