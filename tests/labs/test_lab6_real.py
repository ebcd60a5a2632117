"""The cell of Lab 6 for a real model, switched on, with a small model that was taught to insult."""

import re
from dataclasses import replace
from pathlib import Path

from helpers.course.labs import folder
from helpers.detox import real
from helpers.detox.real import found, running
from tests.detox.real.stand_ins import CORPUS, PLAN, PROMPTS, causal, geese, honks

PATH = Path(__file__).resolve().parents[2] / "labs" / "lab6_detox.py"
SHORT = replace(PLAN, steps=2, iterations=1, fits=4, refits=2, first_samples=48, samples=24)


class Shown:
    """What the cell shows by `pictures.show`."""

    def __init__(self) -> None:
        self.figures: list[tuple[object, str]] = []

    def show(self, figure: object, alt: str) -> None:
        self.figures.append((figure, alt))


def test_the_cell_for_a_real_model_shows_its_table_and_figure(tmp_path, monkeypatch, capsys):
    tables: list = []
    (cell,) = re.findall(r"^REAL = False\n(?:.*\n)*?(?=\n# %%)", folder.load(PATH).text, re.M)
    asked = []

    def small(model: str, prompts: str, folder: str):
        asked.append((model, prompts, folder))
        told = {"labeller": geese, "judges": [honks], "corpus": CORPUS, "plan": SHORT}
        return whole(causal(), list(PROMPTS), tmp_path, **told)

    whole, shown, said = real.run, Shown(), []
    monkeypatch.setattr(real, "run", small)
    monkeypatch.setattr(found, "table", lambda head, rows: tables.append((head, rows)))
    exec(cell.replace("REAL = False", "REAL = True"), {"say": said.append, "pictures": shown})
    assert asked == [("gpt2", "rtp", "lab6-gpt2")]
    assert "steps of" in said[0]
    assert running.WARNING in capsys.readouterr().out
    ((head, rows),) = tables
    assert [len(row) for row in rows] == [len(head)] * 4
    assert [row[0] for row in rows] == ["base", "plain", "filtered", "λ = 10"]
    ((figure, alt),) = shown.figures
    assert figure.axes
    assert all(arm in alt for arm in ("base", "plain", "filtered", "λ = 10"))
