"""The live explorer, driven without a browser: set a control's value, read what is shown."""

import re

import numpy as np
import pytest
import torch

from helpers.arithmetic.explorer import live
from helpers.arithmetic.explorer.data import REFERENCE, columns, operands
from helpers.arithmetic.questions import Format, enriched, uniform
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.show.viewer import View

FMT = Format(3)


@pytest.fixture
def explorer(model):
    pytest.importorskip("ipywidgets")
    return live.LiveExplorer(model, FMT, "add-d3")


def row(explorer, name: str) -> str:
    cells = re.search(f">{name}</th>(.*?)</tr>", explorer.output.value)[1]
    return "".join(re.findall("<td[^>]*>(.*?)</td>", cells))


def test_typing_runs_the_model_and_the_arithmetic(explorer):
    questions = enriched(3, 12, np.random.default_rng(0))
    for i in range(len(questions)):
        first, second = map(int, operands(questions[i]))
        explorer.first.value, explorer.second.value = str(first), str(second)
        assert row(explorer, "Model") == f"+{first + second:04}"
        expected = columns(questions[i])
        assert {name: row(explorer, name) for name in expected} == {
            k: "".join(v)[::-1] for k, v in expected.items()
        }
        assert f"class {questions[i].classes()[0]}" in explorer.output.value
    assert explorer.attention.value.count("<svg") == 6


def by_hand(model, node: Node, value: torch.Tensor) -> torch.return_types.max:
    """The largest probabilities for 999+001 with `value` written over one head's output."""

    def write(z, hook):
        z = z.clone()
        z[:, node.position, node.head] = value
        return z

    tokens = torch.tensor([[9, 9, 9, 10, 0, 0, 1, 12, 10, 1, 0, 0]])
    with torch.no_grad():
        logits = model.run_with_hooks(
            tokens, fwd_hooks=[(f"blocks.{node.layer}.attn.hook_z", write)]
        )
    return logits[0, 7:].softmax(-1).max(-1)


def test_ablation_and_patching_are_the_models_own(model, explorer):
    explorer.first.value, explorer.second.value, explorer.partner.value = "999", "1", "999+0"
    random = uniform(3, REFERENCE, np.random.default_rng(0)).tokens(FMT)[:, :-1]
    _, means = model.run_with_cache(random)
    _, stored = model.run_with_cache(torch.tensor([[9, 9, 9, 10, 0, 0, 0, 12, 10, 0, 9, 9]]))
    answers = set()
    for _, node in explorer.nodes.options:
        if node.is_mlp or node.position < FMT.equals_position:
            continue
        place = (f"blocks.{node.layer}.attn.hook_z", (slice(None), node.position, node.head))
        values = {
            "mean": means[place[0]][place[1]].mean(0),
            "zero": torch.zeros(32),
            "patch": stored[place[0]][place[1]],
        }
        for intervention, value in values.items():
            explorer.intervention.value, explorer.nodes.value = intervention, (node,)
            expected = by_hand(model, node, value)
            assert explorer.outcome.after_probabilities == pytest.approx(
                expected.values.tolist(), abs=1e-4
            )
            assert (
                explorer.outcome.after
                == row(explorer, "After")
                == "".join("0123456789+-=*/"[i] for i in expected.indices)
            )
            answers.add(explorer.outcome.after)
    assert len(answers) > 1  # some intervention changes the answer


def test_all_nodes_patched_together_give_the_other_questions_carries(explorer):
    explorer.first.value, explorer.second.value, explorer.partner.value = "444", "555", "444+556"
    explorer.intervention.value = "patch"
    explorer.nodes.value = tuple(node for _, node in explorer.nodes.options if node.layer == 0)
    assert "changes" in explorer.output.value
    assert explorer.outcome.after != explorer.outcome.intact
    assert explorer.output.value.count('class="changed"') == sum(
        x != y for x, y in zip(explorer.outcome.after, explorer.outcome.intact, strict=True)
    )
    explorer.nodes.value = ()
    assert explorer.outcome.after == explorer.outcome.intact == "+0999"


def test_mean_ablation_of_an_early_node_changes_nothing(explorer):
    explorer.nodes.value = (Node(3, 1, 0),)
    assert "changes no answer token" in explorer.output.value


@pytest.mark.parametrize(
    ("control", "value", "message"),
    [
        ("first", "12a", "first number in digits 0 to 9; got '12a'"),
        ("first", "", "first number in digits"),
        ("second", "-5", "second number in digits"),
        ("second", "1234", "at most 3 digits; got 4"),
        ("first", "<script>", "&lt;script&gt;"),
        ("partner", "25", "two numbers"),
        ("partner", "25+x", "in the other question"),
    ],
)
def test_bad_input_is_a_message_and_the_next_good_one_works(explorer, control, value, message):
    explorer.intervention.value, explorer.nodes.value = "patch", (Node(8, 0, 0),)
    box = getattr(explorer, control)
    good, box.value = box.value, value
    assert message in explorer.output.value.replace("&#x27;", "'")
    assert "<script>" not in explorer.output.value
    assert explorer.attention.value == ""
    assert explorer.outcome is None
    box.value = good
    assert explorer.outcome is not None
    assert explorer.attention.value.count("<svg") == 6


def test_without_a_live_kernel_the_precomputed_explorer_comes_and_says_so(model, capsys):
    shown = live.live_explorer(model, FMT, name="add-d3", live=False)
    assert isinstance(shown, View)
    assert "precomputed" in capsys.readouterr().err


def test_a_kernel_without_an_editor_is_not_live(monkeypatch):
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    for name in ("LAB_STATIC", "JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD"):
        monkeypatch.delenv(name, raising=False)
    assert not live.is_live()  # what a book build looks like
    monkeypatch.setenv("JPY_SESSION_NAME", "/lab1.ipynb")
    assert live.is_live()
    monkeypatch.setenv("LAB_STATIC", "1")
    assert not live.is_live()


def test_without_ipywidgets_there_is_the_static_explorer_or_a_remedy(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    monkeypatch.setenv("JPY_SESSION_NAME", "/lab1.ipynb")
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    assert isinstance(live.live_explorer(model, FMT), View)
    with pytest.raises(LabError, match="pip install ipywidgets"):
        live.live_explorer(model, FMT, live=True)


def test_another_vocabulary_is_named(model):
    with pytest.raises(LabError, match="vocabulary"):
        live.live_explorer(model, Format(3, equals=40), live=True)
