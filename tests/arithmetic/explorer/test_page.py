"""The explorer's page: its size, its fallback, and how it works in a real browser."""

import re

import numpy as np
import pytest

from helpers import zoo
from helpers.arithmetic.explorer.data import columns, operands
from helpers.arithmetic.explorer.page import addition_explorer
from helpers.arithmetic.questions import Format, enriched
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.show.viewer import MAX_BYTES
from tests.support import views

FMT = Format(3)


def test_another_vocabulary_is_named(model):
    with pytest.raises(LabError, match="vocabulary"):
        addition_explorer(model, Format(3, equals=40))


@pytest.mark.parametrize(("name", "n"), [("add-d5", 5), ("add-d6", 6)])
def test_full_size_stays_small_enough_for_a_page(name, n):
    view = addition_explorer(zoo.load(name, device="cpu"), Format(n), name=name)
    assert view.nbytes < 150_000 < MAX_BYTES


def test_fallback_says_what_the_page_shows(view, shown):
    rows = re.findall("<tr>(<td>.*?)</tr>", view.fallback)
    assert len(rows) == len(shown["questions"]) == 8
    for row, item in zip(rows, shown["questions"], strict=True):
        assert f"{item['first']} + {item['second']}" in row
        assert f"<td>{len(item['effects']['mean']['changed'])}: P" in row


# in a browser


def ask(page, first, second):
    page.locator('input[name="first"]').fill(first)
    page.locator('input[name="second"]').fill(second)
    page.locator('button[type="submit"]').click()


def column_table(page) -> dict[str, str]:
    rows = page.locator(".columns tbody tr").evaluate_all(
        """rows => rows.map(row => [
            row.querySelector('b').textContent,
            [...row.querySelectorAll('td')].map(cell => cell.textContent),
        ])"""
    )
    return {name: "".join(cells) for name, cells in rows}


def test_the_pages_arithmetic_is_pythons(open_view, view):
    page = open_view(view)
    questions = enriched(3, 60, np.random.default_rng(3))
    for i in range(len(questions)):
        first, second = operands(questions[i])
        ask(page, first, second)
        table, expected = column_table(page), columns(questions[i])
        assert {name: table[name] for name in expected} == {
            k: "".join(v)[::-1] for k, v in expected.items()
        }
        assert table["A"] == f"+{int(first) + int(second):04}"
        assert f"class {questions[i].classes()[0]}." in page.locator(".message").text_content()


def test_every_listed_question_shows_the_model(open_view, view, shown):
    page = open_view(view)
    for number, item in enumerate(shown["questions"]):
        page.locator("select").select_option(str(number))
        assert column_table(page)["Model"] == item["predicted"]
        assert page.locator('input[name="first"]').input_value() == item["first"]
        assert item["class"] in page.locator(".message").text_content()
        assert page.locator(".thumbs button").count() == 6


@pytest.mark.parametrize("intervention", ["mean", "zero", "pair", "other"])
def test_a_click_on_a_node_says_what_changes(open_view, view, shown, intervention):
    page = open_view(view)
    item = shown["questions"][6]
    page.locator("select").select_option("6")
    page.locator(f'input[value="{intervention}"]').check()
    changed = item["effects"][intervention]["changed"]
    quiet = [str(i) for i in range(len(shown["nodes"])) if str(i) not in changed]
    order = sorted(
        range(len(shown["nodes"])),
        key=lambda i: (shown["nodes"][i][1], shown["nodes"][i][2] % 4, shown["nodes"][i][0]),
    )
    for index in [*changed, *quiet[:2]]:
        page.locator(".nodes td[role=gridcell]").nth(order.index(int(index))).click()
        said = page.locator(".result").text_content()
        assert str(Node(*shown["nodes"][int(index)])) in said
        after = changed.get(index, item["predicted"])
        assert ("changes no answer token" in said) == (after == item["predicted"])
        for label, old, new in zip(FMT.answer_labels, item["predicted"], after, strict=True):
            assert (f"{label} from {old} to {new}" in said) == (old != new)
        cells = page.locator(".answer tbody tr:nth-child(2) td").all_text_contents()
        assert "".join(cells) == after
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
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator("summary").click()
    ask(page, "x", "1")
    views.check_accessible(page, width)
