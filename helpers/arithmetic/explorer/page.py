"""The addition explorer: one question, its sub-tasks, where heads look, and what nodes are for.

The page works without a kernel. It computes the sub-tasks of *any* two numbers itself, since they
are only arithmetic; what the model does is shown for the listed questions (see `data`).
"""

import html
from pathlib import Path

from helpers.arithmetic.explorer.data import SUBTASKS, precompute
from helpers.arithmetic.questions import Format, Questions
from helpers.interventions import Node
from helpers.model import Model
from helpers.show import viewer
from helpers.show.viewer import View

HERE = Path(__file__).parent


def addition_explorer(
    model: Model,
    fmt: Format,
    questions: Questions | None = None,
    name: str = "the model",
    seed: int = 0,
) -> View:
    """The explorer as a self-contained view: put it last in a cell.

    Args:
        questions: Additions to show; by default two of every cascade class.
        name: What the text calls the model.
        seed: Seed of the reference sample and of the default questions.

    Raises:
        LabError: As `precompute`; also when so many questions are asked for that the page would
            grow too large.
    """
    data = precompute(model, fmt, questions, seed=seed) | {"name": name, "subtasks": SUBTASKS}
    right = sum(item["answer"] == item["predicted"] for item in data["questions"])
    summary = (
        f"The sub-tasks of an addition column by column, the attention of every head of {name}, "
        f"and what changes when one head or MLP is ablated or patched, for "
        f"{len(data['questions'])} {fmt.n_digits}-digit questions; "
        f"{name} answers {right} of them right."
    )
    return viewer.embed(
        viewer.asset("explorer.html", HERE),
        data,
        viewer.script(HERE, "explorer_columns.js", "explorer_model.js", "explorer.js"),
        title="Addition explorer",
        summary=summary,
        style=viewer.asset("explorer.css", HERE),
        fallback=fallback_table(data),
    )


def fallback_table(data: dict) -> str:
    """The listed questions with the nodes that each needs, as plain HTML."""
    head = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("Question", "Class", "Model's answer", "Nodes it needs")
    )
    rows = "".join(_fallback_row(data, item) for item in data["questions"])
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        "<p>A node is needed when mean-ablating it alone changes an answer token. "
        "P11L0H2: position 11, layer 0, head 2.</p>"
    )


def _fallback_row(data: dict, item: dict) -> str:
    needed = [str(Node(*data["nodes"][int(index)])) for index in item["effects"]["mean"]["changed"]]
    right = item["predicted"] == item["answer"]
    answer = item["predicted"] if right else f"{item['predicted']} (right: {item['answer']})"
    question = f"{item['first']} + {item['second']}"
    cells = (question, item["class"], answer, f"{len(needed)}: {', '.join(needed)}")
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
