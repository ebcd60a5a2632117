"""The explorer's data against the model itself and against integer arithmetic; its page in a real browser."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import zoo
from helpers.arithmetic.explorer import page as explorer
from helpers.arithmetic.questions import batch as q
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.show.viewer import MAX_BYTES

FMT = Format(3)
LEVEL = 1 / explorer.LEVELS


@pytest.fixture(scope="module")
def model():
    return zoo.load("add-d3", device="cpu")


@pytest.fixture(scope="module")
def data(model):
    return explorer.precompute(model, FMT)


@pytest.fixture(scope="module")
def view(model):
    return explorer.explorer(model, FMT, name="add-d3")


# ---- arithmetic ----


@given(
    st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), *[st.integers(0, 10**n - 1)] * 2))
)
def test_columns_are_what_integer_arithmetic_says(case):
    n, a, b = case
    columns = explorer.columns(q.from_numbers([a], [b], n))
    for k in range(n):
        total = a // 10**k % 10 + b // 10**k % 10
        assert columns["SA"][k] == str(total % 10)
        assert columns["SC"][k] == str(int(total >= 10))
        assert columns["SS"][k] == str(int(total == 9))
        assert columns["ST"][k] == ("1" if total >= 10 else "U" if total == 9 and k else "0")
        assert columns["SV"][k] == str(int(a % 10 ** (k + 1) + b % 10 ** (k + 1) >= 10 ** (k + 1)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_showcase_has_every_class(n):
    questions = explorer.showcase(n)
    assert set(questions.classes()) == {f"S{level}" for level in range(n + 1)}
    assert len({questions.text(i) for i in range(len(questions))}) == len(questions)


def carries(a: int, b: int, n: int) -> list[bool]:
    return [a % 10**k + b % 10**k >= 10**k for k in range(1, n + 1)]


def test_minimal_pair_changes_one_digit_and_flips_as_many_carries_as_any_such_change():
    questions = q.uniform(3, 40, np.random.default_rng(1))
    pairs = explorer.minimal_pair(questions)
    for i in range(len(questions)):
        (a, b), (c, d) = (tuple(map(int, explorer.operands(x[i]))) for x in (questions, pairs))
        changed = [x != y for x, y in zip(f"{a:03}{b:03}", f"{c:03}{d:03}", strict=True)]
        assert sum(changed) == 1
        text, most = f"{a:03}{b:03}", 0
        for place, digit in itertools.product(range(6), "0123456789"):
            other = text[:place] + digit + text[place + 1 :]
            flipped = carries(int(other[:3]), int(other[3:]), 3)
            most = max(most, sum(x != y for x, y in zip(carries(a, b, 3), flipped, strict=True)))
        assert sum(x != y for x, y in zip(carries(a, b, 3), carries(c, d, 3), strict=True)) == most


# ---- the data, against the model ----


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


def test_answers_and_probabilities_are_the_models(model, data):
    for item in data["questions"]:
        intact, _ = run(model, item)
        assert item["answer"] == f"+{int(item['first']) + int(item['second']):04}"
        assert item["predicted"] == symbols(intact)
        assert item["p"] == pytest.approx(intact.max(-1).values.tolist(), abs=1e-3)
        assert item["tokens"] == f"{item['first']}+{item['second']}={item['answer'][:-1]}"


def test_attention_is_the_models_to_half_a_level(model, data):
    for item in data["questions"]:
        _, cache = model.run_with_cache(run(model, item)[1])
        for number, text in enumerate(item["attention"]):
            layer, head = divmod(number, 3)
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, head]
            stored = iter([int(text[i : i + 2]) for i in range(0, len(text), 2)])
            for row in data["rows"]:
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


@pytest.mark.parametrize("mode", ["mean", "zero", "pair", "other"])
def test_effects_are_what_hooks_written_by_hand_give(model, data, mode):
    rng = np.random.default_rng(2)
    reference = q.uniform(3, explorer.REFERENCE, np.random.default_rng(0)).tokens(FMT)[:, :-1]
    _, means = model.run_with_cache(reference)
    for item in data["questions"]:
        intact, _ = run(model, item)
        partner = {"pair": 0, "other": 1}.get(mode, 0)
        first, second, answer = item["partners"][partner]
        assert answer == f"+{int(first) + int(second):04}"
        _, stored = model.run_with_cache(run(model, {"first": first, "second": second})[1])
        chosen = {
            *rng.choice(len(data["nodes"]), 6, replace=False),
            *map(int, item["effects"][mode]["changed"]),
        }
        for index in chosen:
            node = Node(*data["nodes"][index])
            name = (
                f"blocks.{node.layer}.hook_mlp_out"
                if node.is_mlp
                else f"blocks.{node.layer}.attn.hook_z"
            )
            value = {
                "mean": lambda place, source=means[name]: source[place].mean(0),
                "zero": lambda place: 0.0,
            }.get(mode, lambda place, source=stored[name]: source[place])
            after, _ = run(model, item, [hook_for(node, value)])
            effect = item["effects"][mode]
            assert effect["changed"].get(str(index), item["predicted"]) == symbols(after)
            drop = (
                intact.max(-1).values - after.gather(-1, intact.argmax(-1, keepdim=True))[:, 0]
            ).clamp(0)
            text = effect["drop"][4 * index : 4 * index + 4]
            assert int(text[:2]) * LEVEL == pytest.approx(drop.max().item(), abs=0.51 * LEVEL)
            assert drop[int(text[2:])].item() == pytest.approx(drop.max().item(), abs=1e-3)


def test_some_nodes_matter_and_some_do_not(data):
    for item in data["questions"]:
        assert 0 < len(item["effects"]["mean"]["changed"]) < len(data["nodes"])


def test_chosen_questions_and_nodes(model):
    data = explorer.precompute(model, FMT, q.parse("123+877"), [Node(7, 1), Node(8, 0, 2)])
    assert [(item["first"], item["second"]) for item in data["questions"]] == [("123", "877")]
    assert data["nodes"] == [[7, 1, -1], [8, 0, 2]]
    assert all(len(effect["drop"]) == 8 for effect in data["questions"][0]["effects"].values())
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("questions", "nodes", "message"),
    [
        (q.parse("7-5", 3), None, "1 subtractions among 1"),
        (q.parse("7+5", 3)[0:0], None, "among 0 questions"),
        (q.parse("7777+5"), None, "questions of 3 digits"),
        (None, [Node(12, 0, 0)], "got Node.position=12"),
        (None, [Node(8, 2)], "got Node.position=8, layer=2"),
    ],
)
def test_bad_input_is_named(model, questions, nodes, message):
    with pytest.raises(LabError, match=message):
        explorer.precompute(model, FMT, questions, nodes)


def test_another_vocabulary_is_named(model):
    with pytest.raises(LabError, match="vocabulary"):
        explorer.explorer(model, Format(3, equals=40))


@pytest.mark.parametrize(("name", "n"), [("add-d5", 5), ("add-d6", 6)])
def test_full_size_stays_small_enough_for_a_page(name, n):
    view = explorer.explorer(zoo.load(name, device="cpu"), Format(n), name=name)
    assert view.nbytes < 150_000 < MAX_BYTES


def test_fallback_says_what_the_page_shows(view, data):
    rows = re.findall("<tr>(<td>.*?)</tr>", view.fallback)
    assert len(rows) == len(data["questions"]) == 8
    for row, item in zip(rows, data["questions"], strict=True):
        assert f"{item['first']} + {item['second']}" in row
        assert f"<td>{len(item['effects']['mean']['changed'])}: P" in row


# ---- the page ----


def ask(page, first, second):
    page.locator('input[name="first"]').fill(first)
    page.locator('input[name="second"]').fill(second)
    page.locator('button[type="submit"]').click()


def column_table(page) -> dict[str, str]:
    rows = page.locator(".columns tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('b').textContent, [...row.querySelectorAll('td')].map(c => c.textContent)])"
    )
    return {name: "".join(cells) for name, cells in rows}


def test_the_pages_arithmetic_is_pythons(open_view, view):
    page = open_view(view)
    questions = q.enriched(3, 60, np.random.default_rng(3))
    for i in range(len(questions)):
        first, second = explorer.operands(questions[i])
        ask(page, first, second)
        shown, expected = column_table(page), explorer.columns(questions[i])
        assert {name: shown[name] for name in expected} == {
            k: "".join(v)[::-1] for k, v in expected.items()
        }
        assert shown["A"] == f"+{int(first) + int(second):04}"
        assert f"class {questions[i].classes()[0]}." in page.locator(".message").text_content()


def test_every_listed_question_shows_the_model(open_view, view, data):
    page = open_view(view)
    for number, item in enumerate(data["questions"]):
        page.locator("select").select_option(str(number))
        assert column_table(page)["Model"] == item["predicted"]
        assert page.locator('input[name="first"]').input_value() == item["first"]
        assert item["class"] in page.locator(".message").text_content()
        assert page.locator(".thumbs button").count() == 6


@pytest.mark.parametrize("mode", ["mean", "zero", "pair", "other"])
def test_a_click_on_a_node_says_what_changes(open_view, view, data, mode):
    page = open_view(view)
    item = data["questions"][6]
    page.locator("select").select_option("6")
    page.locator(f'input[value="{mode}"]').check()
    changed = item["effects"][mode]["changed"]
    quiet = [str(i) for i in range(len(data["nodes"])) if str(i) not in changed]
    order = sorted(
        range(len(data["nodes"])),
        key=lambda i: (data["nodes"][i][1], data["nodes"][i][2] % 4, data["nodes"][i][0]),
    )
    for index in [*changed, *quiet[:2]]:
        page.locator(".nodes td[role=gridcell]").nth(order.index(int(index))).click()
        said = page.locator(".result").text_content()
        assert str(Node(*data["nodes"][int(index)])) in said
        after = changed.get(index, item["predicted"])
        assert ("changes no answer token" in said) == (after == item["predicted"])
        for label, old, new in zip(FMT.answer_labels, item["predicted"], after, strict=True):
            assert (f"{label} from {old} to {new}" in said) == (old != new)
        shown = page.locator(".answer tbody tr:nth-child(2) td").all_text_contents()
        assert "".join(shown) == after
        assert page.locator(".answer td.changed").count() == sum(
            x != y for x, y in zip(after, item["predicted"], strict=True)
        )


def test_everything_works_from_the_keyboard(open_view, view):
    page = open_view(view)
    page.keyboard.press("Tab")
    assert (
        page.evaluate("document.querySelector('.lab-view').shadowRoot.activeElement.name")
        == "first"
    )
    page.keyboard.type("999")
    page.keyboard.press("Tab")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    assert "999+001 is of class S3" in page.locator(".message").text_content()
    page.locator('input[value="mean"]').focus()
    page.keyboard.press("ArrowDown")
    assert page.locator('input[value="zero"]').is_checked()
    page.keyboard.press("Tab")
    focused = page.locator(".nodes td:focus")
    assert focused.count() == 1
    for _ in range(9):  # it opens at the first head that this model needs
        page.keyboard.press("ArrowUp")
    assert "L0H0" in focused.get_attribute("aria-label")
    steps = {"Home": "P3L0H0", "End": "P11L0H0", "ArrowLeft": "P10L0H0", "ArrowRight": "P11L0H0"}
    for key, expected in steps.items():
        page.keyboard.press(key)
        assert expected in focused.get_attribute("aria-label")
        assert expected in page.locator(".result").text_content()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert "P11L1M" in focused.get_attribute("aria-label")
    page.keyboard.press("ArrowUp")
    assert "P11L1H2" in page.locator(".result").text_content()
    assert "layer 1 head 2 attends to" in page.locator(".attends").text_content()
    outline = focused.evaluate(
        "element => getComputedStyle(element).outlineStyle + getComputedStyle(element).outlineWidth"
    )
    assert outline == "solid3px"


def test_an_unlisted_question_says_so_and_offers_one_of_its_class(open_view, view):
    page = open_view(view)
    ask(page, "338", "162")
    assert "takes a running kernel" in page.locator(".message").text_content()
    assert not page.locator(".model").is_visible()
    button = page.locator(".nearest button")
    assert "of the same class" in button.text_content()
    button.click()
    assert "class S2" in page.locator(".message").text_content()
    assert page.locator(".model").is_visible()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("12a", "5", 'this is "12a"'),
        ("", "5", "first number"),
        ("5", "-3", "second number"),
        ("1", "12345", "5 digits"),
        ("1.5", "2", "first"),
    ],
)
def test_bad_numbers_get_a_message(open_view, view, first, second, message):
    page = open_view(view)
    before = column_table(page)
    ask(page, first, second)
    assert message in page.locator(".message").text_content()
    assert page.locator('[aria-invalid="true"]').count() == 1
    assert column_table(page) == before
    ask(page, "1", "2")
    assert page.locator('[aria-invalid="true"]').count() == 0


def test_choosing_a_head_shows_its_pattern(open_view, view):
    page = open_view(view)
    page.locator(".thumbs button").nth(4).click()
    assert page.locator('.thumbs [aria-pressed="true"]').text_content() == "L1 H1"
    assert "layer 1, head 1" in page.locator(".pattern").get_attribute("aria-label")
    page.locator(".pattern .hit").nth(2).click()
    assert "P5L1H1" in page.locator(".result").text_content()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
def test_accessible_in_both_themes_and_no_wider_than_a_phone(open_view, view, theme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator("summary").click()
    ask(page, "x", "1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
