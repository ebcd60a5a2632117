"""What the explorer shows, against integer arithmetic and against the model itself."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.arithmetic.explorer.data import (
    LEVELS,
    REFERENCE,
    columns,
    minimal_pair,
    operands,
    precompute,
    showcase,
)
from helpers.arithmetic.questions import Format, from_numbers, parse, uniform
from helpers.errors import LabError
from helpers.interventions import Node

FMT = Format(3)
LEVEL = 1 / LEVELS


@given(
    st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), *[st.integers(0, 10**n - 1)] * 2))
)
def test_columns_are_what_integer_arithmetic_says(case):
    n, a, b = case
    values = columns(from_numbers([a], [b], n))
    for k in range(n):
        total = a // 10**k % 10 + b // 10**k % 10
        assert values["SA"][k] == str(total % 10)
        assert values["SC"][k] == str(int(total >= 10))
        assert values["SS"][k] == str(int(total == 9))
        assert values["ST"][k] == ("1" if total >= 10 else "U" if total == 9 and k else "0")
        assert values["SV"][k] == str(int(a % 10 ** (k + 1) + b % 10 ** (k + 1) >= 10 ** (k + 1)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_showcase_has_every_class(n):
    questions = showcase(n)
    assert set(questions.classes()) == {f"S{level}" for level in range(n + 1)}
    assert len({questions.text(i) for i in range(len(questions))}) == len(questions)


def carries(a: int, b: int, n: int) -> list[bool]:
    return [a % 10**k + b % 10**k >= 10**k for k in range(1, n + 1)]


def test_minimal_pair_changes_one_digit_and_flips_as_many_carries_as_any_such_change():
    questions = uniform(3, 40, np.random.default_rng(1))
    pairs = minimal_pair(questions)
    for i in range(len(questions)):
        (a, b), (c, d) = (tuple(map(int, operands(x[i]))) for x in (questions, pairs))
        changed = [x != y for x, y in zip(f"{a:03}{b:03}", f"{c:03}{d:03}", strict=True)]
        assert sum(changed) == 1
        text, most = f"{a:03}{b:03}", 0
        for place, digit in itertools.product(range(6), "0123456789"):
            other = text[:place] + digit + text[place + 1 :]
            flipped = carries(int(other[:3]), int(other[3:]), 3)
            most = max(most, sum(x != y for x, y in zip(carries(a, b, 3), flipped, strict=True)))
        assert sum(x != y for x, y in zip(carries(a, b, 3), carries(c, d, 3), strict=True)) == most


# against the model


def run(model, item, hooks=()):
    """Probabilities of the answer tokens, by hand: tokens typed in here, hooks written here."""
    ids = [{"+": 10, "=": 12}.get(c) or int(c) for c in f"{item['first']}+{item['second']}=+"]
    ids += [int(c) for c in f"{int(item['first']) + int(item['second']):04}"[:-1]]
    with torch.no_grad():
        return model.run_with_hooks(torch.tensor([ids]), fwd_hooks=list(hooks))[0, 7:].softmax(
            -1
        ), torch.tensor([ids])


def symbols(probabilities):
    return "".join("0123456789+-=*/"[i] for i in probabilities.argmax(-1).tolist())


def test_answers_and_probabilities_are_the_models(model, shown):
    for item in shown["questions"]:
        intact, _ = run(model, item)
        assert item["answer"] == f"+{int(item['first']) + int(item['second']):04}"
        assert item["predicted"] == symbols(intact)
        assert item["p"] == pytest.approx(intact.max(-1).values.tolist(), abs=1e-3)
        assert item["tokens"] == f"{item['first']}+{item['second']}={item['answer'][:-1]}"


def test_attention_is_the_models_to_half_a_level(model, shown):
    for item in shown["questions"]:
        _, cache = model.run_with_cache(run(model, item)[1])
        for number, text in enumerate(item["attention"]):
            layer, head = divmod(number, 3)
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, head]
            stored = iter([int(text[i : i + 2]) for i in range(0, len(text), 2)])
            for row in shown["rows"]:
                values = [next(stored) * LEVEL for _ in range(row + 1)]
                assert values == pytest.approx(pattern[row, : row + 1].tolist(), abs=0.51 * LEVEL)
            assert next(stored, None) is None


def hook_for(node: Node, value):
    """Writes `value`, made from the hook's own tensor, over one node's output."""

    def write(out, hook):
        out = out.clone()
        place = (
            (slice(None), node.position) if node.is_mlp else (slice(None), node.position, node.head)
        )
        out[place] = value(place)
        return out

    name = (
        f"blocks.{node.layer}.hook_mlp_out" if node.is_mlp else f"blocks.{node.layer}.attn.hook_z"
    )
    return name, write


@pytest.mark.parametrize("intervention", ["mean", "zero", "pair", "other"])
def test_effects_are_what_hooks_written_by_hand_give(model, shown, intervention):
    rng = np.random.default_rng(2)
    reference = uniform(3, REFERENCE, np.random.default_rng(0)).tokens(FMT)[:, :-1]
    _, means = model.run_with_cache(reference)
    for item in shown["questions"]:
        intact, _ = run(model, item)
        partner = {"pair": 0, "other": 1}.get(intervention, 0)
        first, second, answer = item["partners"][partner]
        assert answer == f"+{int(first) + int(second):04}"
        _, stored = model.run_with_cache(run(model, {"first": first, "second": second})[1])
        chosen = {
            *rng.choice(len(shown["nodes"]), 6, replace=False),
            *map(int, item["effects"][intervention]["changed"]),
        }
        for index in chosen:
            node = Node(*shown["nodes"][index])
            name = (
                f"blocks.{node.layer}.hook_mlp_out"
                if node.is_mlp
                else f"blocks.{node.layer}.attn.hook_z"
            )
            value = {
                "mean": lambda place, source=means[name]: source[place].mean(0),
                "zero": lambda place: 0.0,
            }.get(intervention, lambda place, source=stored[name]: source[place])
            after, _ = run(model, item, [hook_for(node, value)])
            effect = item["effects"][intervention]
            assert effect["changed"].get(str(index), item["predicted"]) == symbols(after)
            drop = (
                intact.max(-1).values - after.gather(-1, intact.argmax(-1, keepdim=True))[:, 0]
            ).clamp(0)
            text = effect["drop"][4 * index : 4 * index + 4]
            assert int(text[:2]) * LEVEL == pytest.approx(drop.max().item(), abs=0.51 * LEVEL)
            assert drop[int(text[2:])].item() == pytest.approx(drop.max().item(), abs=1e-3)


def test_some_nodes_matter_and_some_do_not(shown):
    for item in shown["questions"]:
        assert 0 < len(item["effects"]["mean"]["changed"]) < len(shown["nodes"])


def test_chosen_questions_and_nodes(model):
    shown = precompute(model, FMT, parse("123+877"), [Node(7, 1), Node(8, 0, 2)])
    assert [(item["first"], item["second"]) for item in shown["questions"]] == [("123", "877")]
    assert shown["nodes"] == [[7, 1, -1], [8, 0, 2]]
    assert all(len(effect["drop"]) == 8 for effect in shown["questions"][0]["effects"].values())
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize(
    ("questions", "nodes", "message"),
    [
        (parse("7-5", 3), None, "1 subtractions among 1"),
        (parse("7+5", 3)[0:0], None, "among 0 questions"),
        (parse("7777+5"), None, "questions of 3 digits"),
        (None, [Node(12, 0, 0)], "got Node.position=12"),
        (None, [Node(8, 2)], "got Node.position=8, layer=2"),
    ],
)
def test_bad_input_is_named(model, questions, nodes, message):
    with pytest.raises(LabError, match=message):
        precompute(model, FMT, questions, nodes)
