"""The live addition explorer: type two numbers, run the model now, ablate or patch any set of
nodes.

It needs a running kernel and ipywidgets (7.7 or 8). Where either is missing, and on the pages of
the book, which have no kernel, `live_explorer` shows the precomputed explorer of
`helpers.arithmetic.explorer.page` and says so.
"""

import html
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.arithmetic.explorer import page
from helpers.arithmetic.explorer.page import SUBTASKS, Reader
from helpers.arithmetic.questions import batch as q
from helpers.arithmetic.questions.batch import Questions
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.verification.verify import check_model
from helpers.errors import LabError
from helpers.interventions import Activations, Node, all_nodes, collect, run_with_replaced
from helpers.model import Model
from helpers.runtime import in_colab, in_notebook
from helpers.show.viewer import asset

MODES = {
    "mean": "its mean over random questions",
    "zero": "zero",
    "patch": "its value on another question",
}


def is_live() -> bool:
    """Whether someone is there to use a control: Colab, or a notebook opened in Jupyter or VS Code,
    with ipywidgets.

    A kernel alone does not tell: a book build has one too, and its pages outlive it. Jupyter's
    servers give a notebook's kernel a session name, and a build has none. Set LAB_STATIC=1 to get
    the static explorer everywhere.
    """
    if os.environ.get("LAB_STATIC") or util.find_spec("ipywidgets") is None:
        return False
    editor = any(os.environ.get(name) for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD"))
    return in_colab() or (in_notebook() and editor)


def live_explorer(
    model: Model,
    fmt: Format,
    questions: Questions | None = None,
    name: str = "the model",
    live: bool | None = None,
):
    """The explorer that runs the model as you type; without a live kernel, the static one.

    Args:
        questions: what the static explorer lists; by default two of every cascade class.
        name: what the text calls the model.
        live: True or False to overrule `is_live`.

    Returns:
        An ipywidgets box, or a `helpers.show.viewer.View`.

    Raises:
        LabError: as `helpers.arithmetic.explorer.page.precompute`; also `live=True` where
            ipywidgets is missing.
    """
    if is_live() if live is None else live:
        return LiveExplorer(model, fmt, name).box
    print("No live kernel with ipywidgets: this is the precomputed explorer.", file=sys.stderr)
    return page.explorer(model, fmt, questions, name=name)


@dataclass(frozen=True)
class Result:
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
) -> Result:
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
    return Result(
        question,
        reader.text(best.indices),
        best.values.tolist(),
        reader.text(after.indices),
        after.values.tolist(),
        page.patterns(model, tokens)[0],
    )


class LiveExplorer:
    """Controls and results. `box` is what a notebook shows; the controls are attributes, so that a
    test can turn them.

    Raises:
        LabError: a model that does not fit the format, or ipywidgets missing.
    """

    def __init__(self, model: Model, fmt: Format, name: str = "the model") -> None:
        try:
            import ipywidgets as widgets
        except ImportError:
            raise LabError(
                "expected ipywidgets for the live explorer",
                "it is not installed",
                hint="pip install ipywidgets",
            ) from None
        check_model(model, fmt)
        self._model, self._fmt, self._name = model, fmt, name
        self._reference: Activations | None = None
        self.result: Result | None = None
        opening = page.showcase(fmt.n_digits)[2 * min(2, fmt.n_digits)]
        first, second = page.operands(opening)
        wide = {"description_width": "initial"}
        self.first = widgets.Text(
            value=first, description="First number", continuous_update=False, style=wide
        )
        self.second = widgets.Text(
            value=second, description="+ second number", continuous_update=False, style=wide
        )
        self.mode = widgets.Dropdown(
            options=[(text, mode) for mode, text in MODES.items()],
            description="Replace by",
            style=wide,
        )
        self.partner = widgets.Text(
            value=f"{first}+{second[:-1]}0",
            description="Other question",
            continuous_update=False,
            style=wide,
        )
        self.nodes = widgets.SelectMultiple(
            options=[
                (self._label(node), node) for node in all_nodes(model, page.node_positions(fmt))
            ],
            description="Nodes",
            rows=12,
        )
        self.output = widgets.HTML()
        self.attention = widgets.HTML()
        controls = widgets.VBox([self.first, self.second, self.mode, self.partner, self.nodes])
        self.box = widgets.VBox(
            [
                widgets.HBox([controls, self.output], layout=widgets.Layout(flex_flow="row wrap")),
                self.attention,
            ]
        )
        for control in (self.first, self.second, self.mode, self.partner, self.nodes):
            control.observe(self._update, names="value")
        self._update()

    def _label(self, node: Node) -> str:
        return f"{node} · {self._fmt.position_labels[node.position]}"

    def _update(self, _change=None) -> None:
        try:
            question = parse_boxes(self.first.value, self.second.value, self._fmt.n_digits)
            source = self._source() if self.nodes.value else None
            self.result = run(self._model, self._fmt, question, list(self.nodes.value), source)
        except LabError as fault:
            self.result = None
            self.attention.value = ""
            self.output.value = _styled(
                f'<p class="fault" role="alert">{html.escape(str(fault))}</p>'
            )
            return
        self.output.value = _styled(self._report(self.result))
        self.attention.value = _styled(attention_svg(self.result, self._fmt))

    def _source(self) -> Activations:
        if self.mode.value == "patch":
            parts = self.partner.value.split("+")
            if len(parts) != 2:
                raise LabError(
                    'expected the other question as two numbers, such as "25+31"',
                    f"got {self.partner.value!r}",
                )
            other = parse_boxes(parts[0], parts[1], self._fmt.n_digits, "in the other question")
            return collect(self._model, Reader(self._fmt).tokens(self._model, other))[0]
        if self._reference is None:  # two thousand questions: only when asked for
            self._reference = page.reference_sample(self._model, self._fmt)
        return self._reference.mean() if self.mode.value == "mean" else self._reference.zeros()

    def _report(self, result: Result) -> str:
        truth = Reader(self._fmt).answer(result.question)
        right = "which is right" if result.intact == truth else f"where {truth} is right"
        lines = [
            f"<p>{result.question.text()[: 2 * self._fmt.n_digits + 1]} is of class {result.question.classes()[0]}. "
            f"{html.escape(self._name)} answers {html.escape(result.intact)}, {right}.</p>",
            _table(result, self._fmt),
        ]
        if self.nodes.value:
            lines.append(
                f'<p role="status">{html.escape(describe(result, self.nodes.value, self._fmt))}</p>'
            )
        return "".join(lines)


def _styled(content: str) -> str:
    return f'<style>{asset("live.css")}</style><div class="lab-live">{content}</div>'


def parse_boxes(first: str, second: str, n_digits: int, where: str = "") -> Questions:
    """One addition from two text boxes.

    Raises:
        LabError: text that is not a whole number from 0, or one with too many digits.

    >>> parse_boxes("7", " 5", 3).text()
    '007+005=+0012'
    """
    numbers = []
    for name, text in (("first", first.strip()), ("second", second.strip())):
        if not (text.isascii() and text.isdigit()):
            raise LabError(
                f"expected the {name} number {where}".strip() + " in digits 0 to 9", f"got {text!r}"
            )
        if len(text) > n_digits:
            raise LabError(
                f"expected the {name} number {where}".strip() + f" with at most {n_digits} digits",
                f"got {len(text)}",
            )
        numbers.append([int(text)])
    return q.from_numbers(*numbers, n_digits=n_digits)


def describe(result: Result, nodes: Sequence[Node], fmt: Format) -> str:
    """What the intervention changed, in words."""
    names = ", ".join(map(str, nodes))
    pairs = zip(fmt.answer_labels, result.intact, result.after, strict=True)
    changes = [
        f"{label} from {before} to {after}" for label, before, after in pairs if before != after
    ]
    if changes:
        return f"Replacing {names} changes {', '.join(changes)}."
    return f"Replacing {names} changes no answer token."


def _table(result: Result, fmt: Format) -> str:
    """Columns, sub-tasks and answers; the most significant column first."""
    lead = fmt.n_answer - fmt.n_digits
    rows = [
        ("D", ["", *result.question.first[0].flip(0).tolist()]),
        ("D′", ["", *result.question.second[0].flip(0).tolist()]),
    ]
    rows = [(name, [""] * (lead - 1) + cells) for name, cells in rows]
    rows += [
        (name, [""] * lead + values[::-1]) for name, values in page.columns(result.question).items()
    ]
    rows += [("Model", list(result.intact)), ("p", [f"{p:.2f}" for p in result.probabilities])]
    rows += [
        ("After", list(result.after)),
        ("p after", [f"{p:.2f}" for p in result.after_probabilities]),
    ]
    head = "".join(f'<th scope="col">{label}</th>' for label in fmt.answer_labels)
    body = "".join(_row(name, cells, result) for name, cells in rows)
    return f'<table><thead><tr><th scope="col">token</th>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(name: str, cells: Sequence, result: Result) -> str:
    changed = [
        name == "After" and before != after
        for before, after in zip(result.intact, result.after, strict=True)
    ]
    text = "".join(
        f'<td class="changed">{html.escape(str(c))}</td>'
        if mark
        else f"<td>{html.escape(str(c))}</td>"
        for c, mark in zip(cells, changed, strict=True)
    )
    return (
        f'<tr><th scope="row" title="{html.escape(SUBTASKS.get(name, ""))}">{name}</th>{text}</tr>'
    )


def attention_svg(result: Result, fmt: Format) -> str:
    """Every head's attention pattern, intact, as small multiples; drawn in the page's own text colour."""
    n_layers, n_heads = result.attention.shape[:2]
    heads = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return "".join(
        _pattern(f"L{layer}H{head}", result.attention[layer, head], fmt) for layer, head in heads
    )


def _pattern(name: str, attention: Float[Tensor, "query key"], fmt: Format) -> str:
    rows, side = list(page.node_positions(fmt)), 8
    cells = "".join(
        f'<rect x="{key * side}" y="{y * side}" width="{side}" height="{side}" fill-opacity="{p:.2f}"/>'
        for y, query in enumerate(rows)
        for key, p in enumerate(attention[query, : query + 1].tolist())
        if p >= 0.02
    )
    ends = f"rows {fmt.position_labels[rows[0]]} to {fmt.position_labels[rows[-1]]}, a column for each token"
    size = f'width="{(fmt.n_ctx - 1) * side}" height="{len(rows) * side}"'
    picture = (
        f'<svg role="img" aria-label="Attention pattern of {name}: {ends}" {size}>{cells}</svg>'
    )
    return f"<figure><figcaption>{name}</figcaption>{picture}</figure>"
