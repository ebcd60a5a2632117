"""What one intervention does to one answer: measured, then shown in words, a table and pictures."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.arithmetic.explorer.data import SUBTASKS, Reader, columns, node_positions, patterns
from helpers.arithmetic.questions import Format, Questions
from helpers.interventions import Activations, Node, run_with_replaced
from helpers.model import Model


@dataclass(frozen=True)
class Outcome:
    """One run: the intact and the changed prediction of each answer token, with probabilities."""

    question: Questions
    intact: str
    probabilities: list[float]
    after: str
    after_probabilities: list[float]
    attention: Float[Tensor, "layer head query key"]


def run(
    model: Model,
    fmt: Format,
    question: Questions,
    nodes: Sequence[Node],
    source: Activations | None,
) -> Outcome:
    """The model on one question, intact and with the outputs of `nodes` replaced by `source`."""
    reader = Reader(fmt)
    tokens = reader.tokens(model, question)
    with torch.no_grad():
        intact = reader.probabilities(model(tokens))[0]
        changed = (
            reader.probabilities(run_with_replaced(model, tokens, nodes, source))[0]
            if nodes and source
            else intact
        )
    best, after = intact.max(-1), changed.max(-1)
    return Outcome(
        question,
        reader.text(best.indices),
        best.values.tolist(),
        reader.text(after.indices),
        after.values.tolist(),
        patterns(model, tokens)[0],
    )


def describe(outcome: Outcome, nodes: Sequence[Node], fmt: Format) -> str:
    """What the intervention changed, in words."""
    names = ", ".join(map(str, nodes))
    pairs = zip(fmt.answer_labels, outcome.intact, outcome.after, strict=True)
    changes = [
        f"{label} from {before} to {after}" for label, before, after in pairs if before != after
    ]
    if changes:
        return f"Replacing {names} changes {', '.join(changes)}."
    return f"Replacing {names} changes no answer token."


def table(outcome: Outcome, fmt: Format) -> str:
    """Columns, sub-tasks and answers as HTML; the most significant column first."""
    lead = [""] * (fmt.n_answer - fmt.n_digits)
    question = outcome.question
    rows = [
        _row("D", [*lead, *question.first[0].flip(0).tolist()]),
        _row("D′", [*lead, *question.second[0].flip(0).tolist()]),
        *(_row(name, [*lead, *values[::-1]]) for name, values in columns(question).items()),
        _row("Model", outcome.intact),
        _row("p", [f"{p:.2f}" for p in outcome.probabilities]),
        _row("After", outcome.after, unlike=outcome.intact),
        _row("p after", [f"{p:.2f}" for p in outcome.after_probabilities]),
    ]
    head = "".join(f'<th scope="col">{label}</th>' for label in ("token", *fmt.answer_labels))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, cells: Sequence, unlike: Sequence | None = None) -> str:
    """One row; cells that differ from those in `unlike` are marked as changed."""
    text = ""
    for cell, before in zip(cells, unlike or cells, strict=True):
        mark = "" if cell == before else ' class="changed"'
        text += f"<td{mark}>{html.escape(str(cell))}</td>"
    meaning = html.escape(SUBTASKS.get(name, ""))
    return f'<tr><th scope="row" title="{meaning}">{name}</th>{text}</tr>'


def attention_svg(outcome: Outcome, fmt: Format) -> str:
    """Every head's intact attention pattern, in the page's own text colour."""
    n_layers, n_heads = outcome.attention.shape[:2]
    heads = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return "".join(
        _pattern(f"L{layer}H{head}", outcome.attention[layer, head], fmt) for layer, head in heads
    )


def _pattern(name: str, attention: Float[Tensor, "query key"], fmt: Format) -> str:
    rows, side = list(node_positions(fmt)), 8
    cell = f'width="{side}" height="{side}"'
    cells = "".join(
        f'<rect x="{key * side}" y="{y * side}" {cell} fill-opacity="{p:.2f}"/>'
        for y, query in enumerate(rows)
        for key, p in enumerate(attention[query, : query + 1].tolist())
        if p >= 0.02
    )
    first, last = (fmt.position_labels[row] for row in (rows[0], rows[-1]))
    label = f"Attention pattern of {name}: rows {first} to {last}, a column for each token"
    size = f'width="{(fmt.n_ctx - 1) * side}" height="{len(rows) * side}"'
    picture = f'<svg role="img" aria-label="{label}" {size}>{cells}</svg>'
    return f"<figure><figcaption>{name}</figcaption>{picture}</figure>"
