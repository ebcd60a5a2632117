"""Tables of what tuning changes inside, from a study whose numbers are known."""

import pytest

from helpers.book.change_tables import TABLES
from tests.changes import fakes

STUDY = fakes.study()


def cells(name):
    """The rows of a table by their first cell."""
    lines = TABLES[name](STUDY).splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_whole(name):
    lines = TABLES[name](STUDY).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) > 4
    assert "nan" not in "".join(lines).lower()


def test_numbers_stand_where_they_belong():
    assert cells("changes-weights")["unembedding"] == ["0.25"] * 4
    assert cells("changes-weights")["as long a change elsewhere"] == ["0.20"] * 4
    assert cells("changes-neurons")["DPO"] == ["0.25", "0.25", "0.25", "1.00", "0.00", "0.05"]
    assert cells("changes-probes")["before tuning"][:3] == ["0.500", "0.950", "0.960"]
    assert cells("changes-probes")["before training"][0] == "–"
    assert cells("changes-attacks")["DPO"] == ["12.0", "3.00", "0.30"] * 2
    assert cells("changes-offsets")["exact filter"][:2] == ["0.12", "0.12"]
    masks = ["0.125", "0.094", "0.125", "0.125", "0.062"]
    assert cells("changes-shared")["method, no forum"][4:] == masks
    assert cells("changes-shared")["DPO"][4:] == ["–"] * 5
    assert cells("changes-verdicts")["kept"] == ["yes"] * 4
    assert cells("changes-verdicts")["one offset"] == ["no"] * 4
    assert cells("changes-writers")["L3M"] == ["0.00"] * 2 + ["−1.50\xa0[−2.00,\xa0−1.00]"] + [
        "1.50\xa0[1.00,\xa02.00]"
    ]
