"""The live addition explorer: type two numbers, run the model, ablate or patch any set of nodes.

It needs a running kernel and ipywidgets (7.7 or 8). Where either is missing, and on the pages of
the book, which have no kernel, `live_explorer` shows the precomputed explorer of `page` and says
so.
"""

import html
import os
import sys
from importlib import util

from helpers.arithmetic.explorer import data
from helpers.arithmetic.explorer.data import Reader
from helpers.arithmetic.explorer.outcome import Outcome, attention_svg, describe, run, table
from helpers.arithmetic.explorer.page import addition_explorer
from helpers.arithmetic.questions import Format, Questions, from_numbers
from helpers.arithmetic.verification import check_model
from helpers.errors import LabError
from helpers.interventions import Activations, all_nodes, collect
from helpers.model import Model
from helpers.runtime import in_colab, in_notebook
from helpers.show.viewer import asset

INTERVENTIONS = {
    "mean": "its mean over random questions",
    "zero": "zero",
    "patch": "its value on another question",
}
"""What replaces the output of the chosen nodes, in words."""


def is_live() -> bool:
    """Whether ipywidgets is there, and someone to use it: in Colab, Jupyter or VS Code.

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
        questions: What the static explorer lists; by default two of every cascade class.
        name: What the text calls the model.
        live: True or False to overrule `is_live`.

    Returns:
        An ipywidgets box, or a `helpers.show.viewer.View`.

    Raises:
        LabError: As `data.precompute`; also `live=True` where ipywidgets is missing.
    """
    if is_live() if live is None else live:
        return LiveExplorer(model, fmt, name).box
    print("No live kernel with ipywidgets: this is the precomputed explorer.", file=sys.stderr)
    return addition_explorer(model, fmt, questions, name=name)


class LiveExplorer:
    """Controls and results.

    `box` is what a notebook shows; the controls are attributes, so that a test can turn them.

    Raises:
        LabError: A model that does not fit the format, or ipywidgets missing.
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
        self.outcome: Outcome | None = None
        wide = {"description_width": "initial"}

        def text_box(description: str, value: str):
            return widgets.Text(
                value=value, description=description, continuous_update=False, style=wide
            )

        first, second = data.operands(data.showcase(fmt.n_digits)[2 * min(2, fmt.n_digits)])
        self.first = text_box("First number", first)
        self.second = text_box("+ second number", second)
        self.intervention = widgets.Dropdown(
            options=[(text, name) for name, text in INTERVENTIONS.items()],
            description="Replace by",
            style=wide,
        )
        self.partner = text_box("Other question", f"{first}+{second[:-1]}0")
        nodes = all_nodes(model, data.node_positions(fmt))
        options = [(f"{node} · {fmt.position_labels[node.position]}", node) for node in nodes]
        self.nodes = widgets.SelectMultiple(options=options, description="Nodes", rows=12)
        self.output, self.attention = widgets.HTML(), widgets.HTML()
        inputs = [self.first, self.second, self.intervention, self.partner, self.nodes]
        side_by_side = widgets.Layout(flex_flow="row wrap")
        top = widgets.HBox([widgets.VBox(inputs), self.output], layout=side_by_side)
        self.box = widgets.VBox([top, self.attention])
        for control in inputs:
            control.observe(self._update, names="value")
        self._update()

    def _update(self, _change=None) -> None:
        try:
            question = parse_boxes(self.first.value, self.second.value, self._fmt.n_digits)
            source = self._source() if self.nodes.value else None
            self.outcome = run(self._model, self._fmt, question, list(self.nodes.value), source)
        except LabError as fault:
            self.outcome = None
            self.attention.value = ""
            message = html.escape(str(fault))
            self.output.value = _styled(f'<p class="fault" role="alert">{message}</p>')
            return
        self.output.value = _styled(self._report(self.outcome))
        self.attention.value = _styled(attention_svg(self.outcome, self._fmt))

    def _source(self) -> Activations:
        if self.intervention.value == "patch":
            parts = self.partner.value.split("+")
            if len(parts) != 2:
                raise LabError(
                    'expected the other question as two numbers, such as "25+31"',
                    f"got {self.partner.value!r}",
                )
            other = parse_boxes(parts[0], parts[1], self._fmt.n_digits, "in the other question")
            return collect(self._model, Reader(self._fmt).tokens(self._model, other))[0]
        if self._reference is None:  # two thousand questions: only when asked for
            self._reference = data.reference_sample(self._model, self._fmt)
        if self.intervention.value == "mean":
            return self._reference.mean()
        return self._reference.zeros()

    def _report(self, outcome: Outcome) -> str:
        question, fmt = outcome.question, self._fmt
        truth = Reader(fmt).answer(question)
        right = "which is right" if outcome.intact == truth else f"where {truth} is right"
        asked = question.text()[: 2 * fmt.n_digits + 1]
        lines = [
            f"<p>{asked} is of class {question.classes()[0]}. "
            f"{html.escape(self._name)} answers {html.escape(outcome.intact)}, {right}.</p>",
            table(outcome, fmt),
        ]
        if self.nodes.value:
            change = html.escape(describe(outcome, self.nodes.value, fmt))
            lines.append(f'<p role="status">{change}</p>')
        return "".join(lines)


def _styled(content: str) -> str:
    return f'<style>{asset("live.css")}</style><div class="lab-live">{content}</div>'


def parse_boxes(first: str, second: str, n_digits: int, where: str = "") -> Questions:
    """One addition from two text boxes.

    Raises:
        LabError: Text that is not a whole number from 0, or one with too many digits.

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
    return from_numbers(*numbers, n_digits=n_digits)
