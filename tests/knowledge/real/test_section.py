"""The section of the chapter on a model of one's own prints what it says."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "book" / "ch3_knowledge_circuits.md"


def test_the_section_of_the_chapter_prints_what_it_says(tmp_path, monkeypatch, capsys) -> None:
    section = PAGE.read_text("utf-8").partition("## Do it with your own model")[2]
    section = section.partition("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(snippet, names)
    (printed,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    assert capsys.readouterr().out == printed
