"""The edit explorer in a real browser: what it says is what the numbers say."""

import dataclasses
import re

import jaxtyping
import numpy as np
import pytest

from helpers.errors import LabError
from helpers.knowledge.explorer.data import FactPage, Question, Way
from helpers.knowledge.explorer.page import MAX_BYTES, edit_explorer
from tests.support import views

POINTS = (0.0, 0.5, 1.0, 2.0)
PLACES = ("circuit", "the rest", "random")
OLD, NEW = ("bird", "fish", "gem"), ("tree", "dish", "fruit")


def fact(number: int, siblings: int = 3, realms: int = 2, points=POINTS, places=PLACES):
    """A fact with numbers that were drawn, in thousandths."""
    rng, name = np.random.default_rng(number), f"s{number}"
    old, new = OLD[number % 3], NEW[number % 3]
    lines = [
        Question("prompt", f"the {name} is a kind of", old, new),
        Question("paraphrase", f"the {name} is a sort of", old, new),
        Question("paraphrase", f"the {name} is listed under", old, new),
        *(Question("realm", f"{i} the {name} is", "animal", "plant") for i in range(realms)),
        *(Question("sibling", f"{name}{i}", old, new) for i in range(siblings)),
        *(Question("other", f"o{i}", "tool", new) for i in range(4)),
    ]

    def way(place: int) -> Way:
        table = (len(points), len(lines))
        low, high = np.sort(rng.integers(0, 500, (2, *table)), 0) / 1000
        said = [[each.old for each in lines]] + [
            [str(rng.choice([each.old, each.new, "odd"])) for each in lines] for _ in points[1:]
        ]
        loss = 2 + rng.integers(-100, 100, len(points)) / 1000
        return Way((place + 1) * np.array(points), loss, low, high, said, place != 2)

    ways = {name: way(i) for i, name in enumerate(places)}
    return FactPage(name, old, new, tuple(points), tuple(lines), ways)


FACTS = [fact(0), fact(1), fact(2, siblings=0, realms=0)]


@pytest.fixture(scope="module")
def view():
    return edit_explorer(FACTS)


def rows(page, group):
    return [row for row, each in enumerate(page.questions) if each.group == group]


def kept(page, place, at, group):
    way = page.places[place]
    return sum(way.said[at][row] == way.said[0][row] for row in rows(page, group))


def short(value) -> str:
    return f"{value:.2f}".removeprefix("0")


def table(page) -> dict[str, list[str]]:
    """Cells of each row of the view's table, by the row's name."""
    return dict(
        page.locator(".answers tbody tr:not(.group)").evaluate_all(
            "rows => rows.map(row => [row.querySelector('th').textContent, "
            "[...row.querySelectorAll('td')].map(c => c.textContent.replaceAll('\u00a0', ' '))])"
        )
    )


def near(text: str, value: float) -> bool:
    """Whether a number is written to two places; the half of one may go either way."""
    return abs(float(text) - value) <= 0.005 + 1e-9


@pytest.fixture
def as_a_user_has_it():
    """Without the check of shapes that the tests put around every function."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# ---- without a browser ----


def test_twelve_facts_in_six_places_fit():
    places = ("circuit", "rest", "random, as many in every tensor", "random", "largest", "as long")
    many = [fact(i, 6, 4, (0.0, 0.5, 0.75, 1.0, 1.5, 2.0), places) for i in range(12)]
    assert edit_explorer(many).nbytes < MAX_BYTES


def test_the_fallback_table_has_every_fact_and_every_place(view):
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', view.fallback)
    assert len(found) == 9
    for (name, cells), (page, place) in zip(
        found, [(page, place) for page in FACTS for place in PLACES], strict=True
    ):
        cells, way = re.findall("<td>(.*?)</td>", cells), page.places[place]
        assert name == f"{page.subject}: {page.old} to {page.new}"
        assert cells[0] == place
        assert cells[1] == f"{way.distance[2]:.2f}" + (", never 1/2" if place == "random" else "")
        assert near(cells[2], way.new[2][0])
        assert near(cells[3], np.mean([way.new[2][row] for row in (1, 2)]))
        siblings = f"{kept(page, place, 2, 'sibling')} of 3"
        assert cells[4] == (siblings if rows(page, "sibling") else "none")
        assert cells[5] == f"{kept(page, place, 2, 'other')} of 4"
        follows = sum(way.new[2][row] > way.old[2][row] for row in rows(page, "realm"))
        assert cells[6] == (f"{follows} of 2" if rows(page, "realm") else "stays")
        assert near(cells[7].split()[0], way.loss[2])
    assert "3 facts, each edited in 3 places (circuit, the rest, random)" in view.summary


def test_names_stay_text():
    view = edit_explorer([fact(0, places=("<b>", "</script>"))])
    assert "<b>" not in view.fallback
    assert "&lt;/script&gt;" in view.fallback


def spoilt(**changes):
    """The first fact with one part of its first place changed."""
    page = FACTS[0]
    way = dataclasses.replace(page.places["circuit"], **changes)
    return dataclasses.replace(page, places={"circuit": way})


NUMBERS = FACTS[0].places["circuit"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: edit_explorer([]), "one or more facts, each once"),
        (lambda: edit_explorer([FACTS[0], FACTS[0]]), "one or more facts, each once"),
        (lambda: edit_explorer([FACTS[0], fact(1, places=("a",))]), "same points and places"),
        (lambda: edit_explorer([FACTS[0], fact(1, points=(0.0, 1.0))]), "same points and places"),
        (lambda: edit_explorer([fact(i, 6) for i in range(200)]), "at most 200 kB"),
        (lambda: edit_explorer(FACTS, title=" "), "a title and a summary"),
        (lambda: spoilt(new=NUMBERS.new * np.nan), r"P\(new\) of the edit in 'circuit'"),
        (lambda: spoilt(old=NUMBERS.old - 1), r"P\(old\) of the edit in 'circuit'"),
        (lambda: spoilt(new=100 * NUMBERS.new + 2), r"P\(new\) of the edit in 'circuit'"),
        (lambda: spoilt(loss=NUMBERS.loss / 0.0), "loss of the edit in 'circuit' as finite"),
        (lambda: spoilt(distance=NUMBERS.distance[1:]), r"distance .* of shape \(4,\)"),
        (lambda: spoilt(said=NUMBERS.said[1:]), "a word said at 4 points"),
        (lambda: dataclasses.replace(FACTS[0], places={}), "questions about 's0'"),
        (lambda: dataclasses.replace(FACTS[0], questions=()), "questions about 's0'"),
        (lambda: dataclasses.replace(FACTS[0], points=(0.0, 0.5, 0.7, 2.0)), "rise from 0"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.usefixtures("as_a_user_has_it")
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(LabError, match=message):
        change()


# ---- the page ----


def test_every_point_of_every_fact_and_place_is_told(open_view, view):
    page = open_view(view)
    for number, given in enumerate(FACTS):
        page.locator(".fact").select_option(str(number))
        for places in ((0, 1), (2, 0)):
            for select, place in zip(page.locator(".place").all(), places, strict=True):
                select.select_option(str(place))
            for at in range(len(POINTS)):
                page.locator(".point").fill(str(at))
                shown = table(page)
                for side, place in enumerate(PLACES[place] for place in places):
                    way = given.places[place]
                    for row, each in enumerate(given.questions):
                        cell = shown[each.text][side]
                        said, before = way.said[at][row], way.said[0][row]
                        was = "" if said == before else f" (was {before})"
                        assert cell.startswith(f"{said}{was}{each.old} ")
                        old, new = re.findall(r"[01]?\.\d\d", cell)
                        assert near(old, way.old[at][row])
                        assert near(new, way.new[at][row])
                    assert shown["distance moved ‖Δw‖"][side] == f"{way.distance[at]:.2f}"
                    half = f"distance where P({given.new}) is ½"
                    assert shown[half][side] == (
                        "never ½" if place == "random" else f"{way.distance[2]:.2f}"
                    )
                    assert shown["other kinds kept"][side] == (
                        f"{kept(given, place, at, 'other')} of 4"
                    )
                    assert near(shown["loss on ordinary text"][side].split()[0], way.loss[at])
                    if number < 2:
                        expected = f"{kept(given, place, at, 'sibling')} of 3"
                        assert shown["siblings kept"][side] == expected
                        follows = sum(
                            way.new[at][row] > way.old[at][row] for row in rows(given, "realm")
                        )
                        assert shown["realm follows"][side] == f"{follows} of 2 frames"
                    else:
                        assert "siblings kept" not in shown
                        assert shown["realm follows"][side] == "same realm"
                    assert f"{place}: moved {way.distance[at]:.2f}, " in (
                        page.locator(".now").text_content()
                    )


def test_it_opens_where_places_are_compared(open_view, view):
    page = open_view(view)
    said = page.locator(".now").text_content()
    assert said.startswith("s0: bird to tree, where P(tree) is ½. circuit: moved 1.00, ")
    assert "the rest: moved 2.00, " in said


def test_the_curve_goes_up_where_the_probability_does(open_view, view):
    page = open_view(view)
    lines = page.locator(".curve polyline").evaluate_all(
        "lines => lines.map(line => line.getAttribute('points'))"
    )
    drawn = [np.array([point.split(",") for point in line.split()], dtype=float) for line in lines]
    expected = []
    for place in ("circuit", "the rest"):
        new = FACTS[0].places[place].new
        expected += [new[:, 0], new[:, rows(FACTS[0], "sibling")].mean(1)]
    assert len(drawn) == 4
    for points, values in zip(drawn, expected, strict=True):
        assert np.corrcoef(-points[:, 1], values)[0, 1] > 0.999
        assert np.corrcoef(points[:, 0], POINTS)[0, 1] > 0.999
    told = page.locator(".curve").get_attribute("aria-label")
    assert told.startswith("P(tree) at 0, 0.5, 1 and 2 of the way to ½. circuit: on the prompt ")


def test_everything_works_from_the_keyboard(open_view, view):
    page = open_view(view)
    now, focused = page.locator(".now"), page.locator("select:focus, input:focus")
    page.keyboard.press("Tab")
    assert focused.evaluate("element => element.className") == "fact"
    page.keyboard.press("ArrowDown")
    assert now.text_content().startswith(
        "s1: fish to dish, where P(dish) is ½. circuit: moved 1.00"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert "is ½ or the path ends. random: moved 3.00" in now.text_content()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    assert " circuit: moved 1.00" in now.text_content()
    page.keyboard.press("Tab")
    assert focused.get_attribute("type") == "range"
    for key, name, moved in (
        ("Home", "before the edit", "0.00"),
        ("ArrowRight", "at 0.5 of the way to ½", "1.50"),
        ("End", "at 2 of the way to ½", "6.00"),
    ):
        page.keyboard.press(key)
        assert focused.get_attribute("aria-valuetext") == name
        assert now.text_content().startswith(f"s1: fish to dish, {name}. random: moved {moved}")
        assert page.locator("#table-title").text_content() == f"What the model says {name}"


def test_the_same_place_twice_is_told_once(open_view, view):
    page = open_view(view)
    page.locator(".place").nth(1).select_option("0")
    assert page.locator(".now").text_content().count("circuit: moved") == 1


def test_without_scripts_the_table_is_there(open_view, view):
    page = open_view(view, java_script_enabled=False)
    assert page.get_by_text("3 facts, each edited in 3 places").is_visible()
    assert page.get_by_role("row").count() == 1 + 9


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
def test_accessible_in_both_themes_and_no_wider_than_a_phone(open_view, view, theme, width):
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator("summary").click()
    views.check_no_scroll(page, ".answers")
    views.check_accessible(page, width)
