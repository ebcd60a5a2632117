"""The cell of Lab 5 for a real model, switched on, with a small model that was taught facts."""

import re
from pathlib import Path

from helpers.course.labs import folder
from helpers.knowledge import real
from helpers.knowledge.real import RealPlan
from tests.knowledge.real.stand_ins import gpt2, lands

PATH = Path(__file__).resolve().parents[2] / "labs" / "lab5_knowledge_circuits.py"
PLAN = RealPlan((0.4,), steps=2, batch=4, facts=2, edits=2, size=0.3, places=("circuit",))


def test_the_cell_for_a_real_model_shows_its_tables(tmp_path, monkeypatch):
    (cell,) = re.findall(r"^REAL = False\n(?:.*\n)*?(?=\n# %%)", folder.load(PATH).text, re.M)
    asked = []

    def small(model: str, relation: str, folder: str):
        asked.append((model, relation, folder))
        return whole(gpt2(tmp_path / "model"), lands(), tmp_path / "run", others=(), plan=PLAN)

    whole = real.run
    monkeypatch.setattr(real, "run", small)
    said: list = []
    tables: list = []
    exec(
        cell.replace("REAL = False", "REAL = True"),
        {"say": said.append, "table": lambda head, rows: tables.append((head, rows))},
    )
    assert asked == [("gpt2", "country_capital_city", "lab5-gpt2")]
    assert "'lands'" in said[0]
    assert [len(head) for head, rows in tables for row in rows] == [
        len(row) for _, rows in tables for row in rows
    ]
    assert [rows[0][0] for _, rows in tables] == ["all", "circuit", "circuit"]
