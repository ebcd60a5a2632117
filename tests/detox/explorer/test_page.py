"""The explorer of λ in a real browser: what it says is what the study says."""

import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.detox.explorer import MEASURED, sweeps, weight_explorer
from helpers.detox.explorer.page import MAX_BYTES
from helpers.errors import LabError
from tests.detox.explorer import weighted
from tests.support import views

FOUND = sweeps(weighted.study())
SIGNS = {"kind": "○", "rude": "✕", "garbled": "?"}


@pytest.fixture(scope="module")
def view():
    return weight_explorer(FOUND)


def near(text: str, value: float) -> bool:
    """Whether a number is written to three places; the half of one may go either way."""
    return abs(float(text) - value) <= 0.0005 + 1e-5


def table(page, name: str) -> list[list[str]]:
    """Cells of each row of one of the view's tables."""
    return page.locator(f".{name} tbody tr:not(.group)").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )


# ---- without a browser ----


def test_a_study_of_25_posts_at_six_weights_fits():
    long = (
        "rude",
        "i said to jonas yesterday that only a muddlehead would agree with you , vera .",
    )
    stops = [replace(FOUND[0].stops[0], weight=float(at), posts=(long,) * 25) for at in range(6)]
    before = replace(FOUND[0].before, posts=(long,) * 25)
    sweep = replace(FOUND[0], before=before, stops=tuple(stops))
    three = [replace(sweep, name=str(number)) for number in range(3)]
    assert weight_explorer(three).nbytes < MAX_BYTES


def test_the_fallback_table_has_every_weight(view):
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', view.fallback)
    stops = [(sweep, stop) for sweep in FOUND for stop in (sweep.before, *sweep.stops)]
    assert len(found) == 15
    for (name, cells), (sweep, stop) in zip(found, stops, strict=True):
        cells = re.findall("<td>(.*?)</td>", cells)
        assert name == sweep.name
        assert cells[0] == ("before" if stop.weight is None else f"{stop.weight:g}")
        assert near(cells[1].split()[0], stop.measures["rude"].mean)
        assert cells[2] == ("none" if stop.floor is None else f"{stop.floor:.3f}")
        assert near(cells[5].split()[0], stop.measures["clean posts"].mean)
        assert cells[7].endswith("(colour)"), "it is 0.1 below the other skill"
        assert ("[" in cells[1]) == (stop.weight is not None), "the base has no seeds"
    assert "from 0.550 before tuning over 0.530 at λ = 0 to 0.125 at λ = 10" in view.summary


def test_words_of_posts_stay_text(view):
    assert (
        "<b>" not in view._repr_html_().split('type="application/json">')[1].split("</script>")[0]
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected one or more sweeps over λ"),
        ([FOUND[0], FOUND[0]], "expected one or more sweeps over λ"),
        ([replace(FOUND[0], name=str(number)) for number in range(200)], "at most 150 kB"),
    ],
)
def test_what_does_not_fit_is_refused(data, message):
    with pytest.raises(LabError, match=message):
        weight_explorer(data)


def test_a_number_that_is_none_is_refused():
    bad = replace(FOUND[0].stops[0].measures["rude"], mean=float("nan"))
    stop = replace(FOUND[0].stops[0], measures={**FOUND[0].stops[0].measures, "rude": bad})
    sweep = replace(FOUND[0], stops=(stop, *FOUND[0].stops[1:]))
    with pytest.raises(LabError, match="expected data that JSON can hold"):
        weight_explorer([sweep])


# ---- the page ----


def test_every_weight_of_every_corpus_is_told(open_view, view):
    page = open_view(view)
    for number, sweep in enumerate(FOUND):
        page.locator(".sweep").select_option(str(number))
        for at, stop in enumerate(sweep.stops):
            page.locator(".weight").fill(str(at))
            told = page.locator(".now").text_content()
            assert told.startswith(f"λ = {stop.weight:g}: rude {stop.measures['rude'].mean:.3f} (")
            assert ("no floor" in told) == (stop.floor is None)
            assert "Lower by more than 0.02: kind and colour." in told
            check_numbers(table(page, "measures"), sweep, stop)
            check_posts(page, sweep, stop)


def check_numbers(rows, sweep, stop):
    floor = rows.pop(1)
    assert floor[2] == ("none" if stop.floor is None else f"{stop.floor:.3f}")
    parts = [(sweep.before.measures[name], stop.measures[name]) for name in MEASURED]
    parts += [(sweep.before.skills[name], stop.skills[name]) for name in stop.skills]
    assert len(rows) == len(parts)
    for (_, *cells), pair in zip(rows, parts, strict=True):
        for cell, spread in zip(cells, pair, strict=True):
            numbers = re.findall(r"\d+\.\d{3}", cell)
            assert near(numbers[0], spread.mean)
            if spread.seeds > 1:
                assert near(numbers[1], spread.low)
                assert near(numbers[2], spread.high)
            else:
                assert len(numbers) == 1


def check_posts(page, sweep, stop):
    rows = table(page, "posts")
    for cells, *pair in zip(rows, sweep.before.posts, stop.posts, strict=True):
        expected = [f"{SIGNS[label]}{label}: {words}" for label, words in pair]
        assert cells == expected
    rude = sum(label == "rude" for label, _ in stop.posts)
    head = page.locator(".posts thead th").nth(1).text_content()
    assert head == f"λ = {stop.weight:g}: {rude} of {weighted.COUNT} rude"


def test_it_opens_at_the_highest_weight(open_view, view):
    page = open_view(view)
    assert page.locator(".now").text_content().startswith("λ = 10: rude 0.125 (")
    assert page.locator("#posts-title").text_content() == "What is said after “mara :”"


def test_the_curve_falls_as_the_share_does_and_the_floor_is_drawn(open_view, view):
    page = open_view(view)

    def drawn(kind: str) -> np.ndarray:
        points = page.locator(f".curve polyline.{kind}").get_attribute("points")
        return np.array([point.split(",") for point in points.split()], dtype=float)

    floor = drawn("floor")
    line = page.locator(".curve polyline").nth(1).get_attribute("points")
    line = np.array([point.split(",") for point in line.split()], dtype=float)
    heights = np.concatenate([floor[:, 1], line[:, 1]])
    stops = FOUND[0].stops
    shares = [stop.floor for stop in stops] + [stop.measures["rude"].mean for stop in stops]
    slope, offset = np.polyfit(shares, heights, 1)
    assert slope < 0
    assert np.abs(slope * np.array(shares) + offset - heights).max() < 0.11, "one scale for both"
    told = page.locator(".curve").get_attribute("aria-label")
    assert told.startswith("Share of rude posts: 0.550 before tuning; 0.530 (")
    assert told.endswith("at λ 10, floor 0.045.")
    page.locator(".sweep").select_option("2")
    assert page.locator(".curve polyline").count() == 1
    assert not page.locator(".of-floor").is_visible()


def test_rude_posts_can_be_hidden(open_view, view):
    page = open_view(view)
    page.locator(".hide").check()
    cells = [cell for row in table(page, "posts") for cell in row]
    rude = [cell for cell in cells if cell.startswith("✕")]
    assert rude
    assert set(rude) == {"✕rude: (hidden)"}
    assert all("post" in cell for cell in cells if cell not in rude)


def test_everything_works_from_the_keyboard(open_view, view):
    page = open_view(view)
    focused = page.locator("select:focus, input:focus")
    page.keyboard.press("Tab")
    assert focused.evaluate("element => element.className") == "sweep"
    page.keyboard.press("End")
    assert "no floor" in page.locator(".now").text_content()
    page.keyboard.press("Tab")
    for key, weight in (("Home", "0"), ("ArrowRight", "0.5"), ("ArrowUp", "5"), ("End", "10")):
        page.keyboard.press(key)
        assert focused.get_attribute("aria-valuetext") == f"λ = {weight}"
        assert page.locator(".now").text_content().startswith(f"λ = {weight}: rude ")
        assert page.locator("#table-title").text_content() == f"What it costs at λ = {weight}"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert "(hidden)" in page.locator(".posts").text_content()


def test_without_scripts_the_table_is_there(open_view, view):
    page = open_view(view, java_script_enabled=False)
    assert page.get_by_text("Models tuned with a pull of weight λ").is_visible()
    assert page.get_by_role("row").count() == 1 + 15


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
def test_accessible_in_both_themes_and_no_wider_than_a_phone(open_view, view, theme, width):
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator("summary").click()
    for name in ("posts", "measures"):
        views.check_no_scroll(page, f".{name}")
    views.check_accessible(page, width)
