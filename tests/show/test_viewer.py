"""Views: what they embed stays data; they stand in a page, without scripts, without a network."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.show import viewer

HOSTILE = (
    "</script><script>window.broken = 1</script><!-- "
    "<img src=x onerror='window.broken = 2'> \u2028 & \"quoted\""
)


def simple(**changes):
    parts = {
        "fragment": '<p class="said"></p><button>Press</button><slot name="fallback"></slot>',
        "data": {"word": "hello"},
        "script": "root.querySelector('.said').textContent = data.word;",
        "title": "A word",
        "summary": "Shows one word.",
        "fallback": "<p>The word is hello.</p>",
    }
    return viewer.embed(**parts | changes)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_survives_and_never_closes_its_element(data):
    text = viewer.to_json(data)
    assert json.loads(text) == data
    assert not re.search("[<>&\u2028\u2029]", text)


@pytest.mark.parametrize("data", [float("nan"), float("inf"), {1j: 2}, object()])
def test_data_that_json_cannot_hold_are_refused(data):
    with pytest.raises(LabError, match="JSON"):
        viewer.to_json(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": " "}, "title and a summary"),
        ({"summary": ""}, "title and a summary"),
        ({"script": "'</SCRIPT>'"}, "script's end"),
        ({"script": "// <!--"}, "script's end"),
        ({"data": "x" * 300_000}, "at most 300 kB"),
    ],
)
def test_views_that_would_not_work_are_refused(changes, message):
    with pytest.raises(LabError, match=message):
        simple(**changes)


def test_same_content_gives_the_same_text_and_other_content_another_key():
    assert simple()._repr_html_() == simple()._repr_html_()
    assert simple().key != simple(data={"word": "bye"}).key


def test_text_form_says_what_the_view_shows():
    assert repr(simple()) == "A word. Shows one word."


def test_unwritable_path_is_named(tmp_path):
    with pytest.raises(LabError, match="writable"):
        simple().save(tmp_path / "missing" / "view.html")


def test_no_asset_reaches_for_the_network():
    for file in viewer.ASSETS.iterdir():
        urls = set(re.findall(r"https?://[^\"' ]+", file.read_text(encoding="utf-8")))
        assert urls <= {"http://www.w3.org/2000/svg"}, file.name  # a namespace, not an address


# ---- in a browser ----


def test_hostile_data_stay_text(open_view):
    page = open_view(
        simple(data={"word": HOSTILE}, title='A <b> & "title"', summary="<i>Shows</i> a word.")
    )
    assert page.locator(".said").text_content() == HOSTILE
    assert page.evaluate("window.broken") is None
    assert page.locator(".lab-view").get_attribute("aria-label") == 'A <b> & "title"'
    assert page.locator(".lab-view i").count() == 0


def test_same_view_twice_on_a_page_works_twice(open_view):
    view = simple()
    page = open_view(view, body=view._repr_html_() * 2)
    assert page.locator(".said").all_text_contents() == ["hello", "hello"]


def test_styles_neither_leak_in_nor_out(open_view):
    view = simple(style=".said { color: rgb(1, 2, 3); } p { letter-spacing: 7px; }")
    page = open_view(
        view,
        body="<style>p { color: red !important }</style><p id='outside'>x</p>" + view._repr_html_(),
    )
    colour = "element => getComputedStyle(element).color"
    assert page.locator(".said").evaluate(colour) == "rgb(1, 2, 3)"
    assert page.locator("#outside").evaluate(colour) == "rgb(255, 0, 0)"
    assert (
        page.locator("#outside").evaluate("element => getComputedStyle(element).letterSpacing")
        == "normal"
    )


def test_without_scripts_the_fallback_is_there(open_view):
    page = open_view(simple(), java_script_enabled=False)
    assert page.get_by_text("The word is hello.").is_visible()
    assert page.get_by_text("Shows one word.").is_visible()


def test_a_failing_script_leaves_the_fallback(open_view):
    page = open_view(simple(script="throw new Error('on purpose')"), faults=("on purpose",))
    assert page.get_by_text("The word is hello.").is_visible()
    assert page.locator("button").count() == 0


THEMES = [
    ("document.documentElement.dataset.theme = 'dark'", "light", "dark"),
    ("document.documentElement.dataset.theme = 'light'", "dark", "light"),
    ("document.documentElement.setAttribute('theme', 'dark')", "light", "dark"),
    ("document.body.dataset.jpThemeLight = 'false'", "light", "dark"),
    ("document.body.dataset.jpThemeLight = 'true'", "dark", "light"),
    ("document.body.dataset.vscodeThemeKind = 'vscode-dark'", "light", "dark"),
    ("0", "dark", "dark"),
    ("0", "light", "light"),
]


@pytest.mark.parametrize(("page_says", "system", "expected"), THEMES)
def test_the_theme_of_the_page_is_followed_while_it_changes(open_view, page_says, system, expected):
    page = open_view(simple(), color_scheme=system)
    page.evaluate(page_says)
    page.wait_for_selector(f'.lab-view[data-view-theme="{expected}"]')
    background = page.locator(".lab-view").evaluate(
        "element => getComputedStyle(element).backgroundColor"
    )
    assert (background == "rgb(255, 255, 255)") == (expected == "light")


def test_keys_typed_into_a_view_do_not_reach_the_notebook(open_view):
    page = open_view(simple())
    page.evaluate("document.addEventListener('keydown', () => { window.leaked = true })")
    page.locator("button").focus()
    page.keyboard.press("d")
    assert page.evaluate("window.leaked") is None
    assert page.locator('[data-lm-suppress-shortcuts="true"]').count() == 1
