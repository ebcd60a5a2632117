"""Every message that a person may meet has an entry on the troubleshooting page."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "book" / "troubleshooting.md"
WORDS = 4  # the first words identify a message; what follows may be reworded freely


def template(node: ast.expr) -> str:
    """The text of a message with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # f"…".strip()
        return template(node.func.value)
    return "…"


def first_words(text: str) -> str:
    text = re.sub(r"^.*?(?=expected)", "", text.split(";")[0], flags=re.DOTALL)
    return " ".join(re.sub(r"\W*…\W*", " … ", text).split()[:WORDS])


def messages() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "helpers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "LabError"
                and node.args
            ):
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", template(node.args[0])))
    return found


def test_the_first_words_of_a_message():
    call = ast.parse('LabError(f"{file}: expected {n} digits in {place}", "got")').body[0].value
    assert first_words(template(call.args[0])) == "expected … digits in"


def entries() -> set[str]:
    """First words of the messages that the page lists."""
    spans = re.findall(r"^: (`+)(.+?)\1$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {first_words(text) for _, text in spans}


def test_every_message_has_an_entry():
    known = entries()
    assert len(messages()) > 50
    missing = [f"{where}: {text}" for where, text in messages() if first_words(text) not in known]
    assert not missing, "no entry on the troubleshooting page for:\n" + "\n".join(missing)


def test_every_entry_says_how_to_fix_it():
    entries = re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lacking = [
        entry.splitlines()[0]
        for entry in entries
        if "\nCause\n: " not in entry or "\nFix\n: " not in entry
    ]
    assert not lacking


def test_every_entry_has_a_message():
    from_make = {"expected Python 3.11 or"}
    assert entries() - from_make <= {first_words(text) for _, text in messages()}
