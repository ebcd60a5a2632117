"""The slider over training, in a real browser: every step says what the numbers say."""

import re

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.trust.explorer.page import MAX_BYTES, UNTRAINED, dynamics_view
from tests.support import views

STEPS = [0, 1, 4, 16, 64, 256, 1024, 4096, 16384, 20000]
LAYERS = ["embedding", "block 0", "block 1"]
DIMENSIONS = ["reliability", "privacy", "toxicity", "fairness"]
RNG = np.random.default_rng(5)
ONSETS = np.array([2.5, 5.5, 8.5, 99])  # the last dimension never emerges
ACCURACY = np.clip(
    0.5
    + 0.4
    / (1 + np.exp(-3 * (np.arange(10)[:, None, None] - ONSETS)))
    * np.array([0.2, 0.7, 1.0])[:, None]
    + RNG.normal(0, 0.01, (10, 3, 4)),
    0,
    1,
)
CONTROLS = {"bag of words": [0.55, 0.58, 0.56, 0.54], "random label": [0.5, 0.49, 0.51, 0.52]}
STORED = np.rint(1000 * ACCURACY) / 1000


def build(**changes):
    parts = {
        "steps": STEPS,
        "layers": LAYERS,
        "dimensions": DIMENSIONS,
        "accuracy": ACCURACY,
        "controls": CONTROLS,
    }
    return dynamics_view(**parts | changes)


@pytest.fixture(scope="module")
def view():
    return build()


def short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def go(page, index: int) -> None:
    page.locator("input[type=range]").fill(str(index))


# ---- without a browser ----


def test_it_is_small_even_for_a_long_series():
    steps = [0, *range(1, 154)]
    accuracy = np.random.default_rng(0).uniform(0.5, 1, (154, 13, 5))
    many = {
        "layers": [str(i) for i in range(13)],
        "dimensions": list("abcde"),
        "controls": {"bag of words": [0.5] * 5},
    }
    assert build(steps=steps, accuracy=accuracy, **many).nbytes < MAX_BYTES
    assert build().nbytes < 30_000


def test_step_zero_is_a_control_at_its_best_layer(view):
    controls = dict(view.data["controls"])
    assert list(controls) == ["bag of words", "random label", UNTRAINED]
    assert controls[UNTRAINED] == [round(1000 * value) for value in STORED[0].max(0)]
    later = build(steps=STEPS[1:], accuracy=ACCURACY[1:])
    assert list(dict(later.data["controls"])) == ["bag of words", "random label"]


def test_the_fallback_table_has_every_step_and_every_control(view):
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', view.fallback)
    assert [name for name, _ in rows] == [
        *map(str, STEPS),
        "bag of words",
        "random label",
        UNTRAINED,
    ]
    for (_, cells), layers in zip(rows, STORED, strict=False):
        for d, cell in enumerate(re.findall("<td>(.*?)</td>", cells)):
            assert cell == f"{layers[:, d].max():.2f} ({LAYERS[layers[:, d].argmax()]})"
    assert re.findall("<td>(.*?)</td>", rows[10][1]) == ["0.55", "0.58", "0.56", "0.54"]
    assert "at 10 checkpoints from step 0 to step 20000" in view.summary
    assert f"reliability {ACCURACY[-1, :, 0].max():.2f}" in view.summary


def test_names_stay_text():
    view = build(layers=["<b>", "x", "&"], controls={"</script>": [0.5] * 4})
    assert "<b>" not in view.fallback
    assert "&lt;/script&gt;" in view.fallback


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": STEPS[:9]}, r"accuracy of shape \(9, 3, 4\); got \(10, 3, 4\)"),
        ({"steps": [0], "accuracy": ACCURACY[:1]}, "at least two training steps"),
        ({"steps": [0, 4, 4, *STEPS[3:]]}, "rising"),
        ({"layers": ["a", "b", "a"]}, "different names"),
        ({"dimensions": []}, "different names"),
        ({"controls": {"block 0": [0.5] * 4}}, "different names"),
        ({"controls": {"bag of words": [0.5] * 3}}, r"bag of words of shape \(4,\); got \(3,\)"),
        ({"controls": {"bag of words": [0.5, 0.5, np.nan, 0.5]}}, "bag of words from 0 to 1"),
        (
            {"accuracy": np.where(ACCURACY > 0.85, np.nan, ACCURACY)},
            "accuracy from 0 to 1; got nan",
        ),
        ({"accuracy": 100 * ACCURACY}, "accuracy from 0 to 1"),
        ({"low": ACCURACY[0]}, r"low of shape \(10, 3, 4\)"),
        ({"accuracy": ACCURACY.transpose(0, 2, 1)}, "the order is step, layer, dimension"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(LabError, match=message):
        build(**changes)


def test_a_page_that_would_grow_too_large_is_refused():
    many = 200
    with pytest.raises(LabError, match="at most 100 kB"):
        build(steps=range(many), layers=range(40), accuracy=np.full((many, 40, 4), 0.123))


# ---- the page ----


def table(page) -> dict[str, list[str]]:
    rows = page.locator(".map tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('th').textContent, "
        "[...row.querySelectorAll('td')].map(c => c.textContent)])"
    )
    return dict(rows)


def test_the_map_shows_the_numbers_of_every_step(open_view, view):
    page = open_view(view)
    for index, step in enumerate(STEPS):
        go(page, index)
        shown = table(page)
        assert list(shown) == [
            "block 1",
            "block 0",
            "embedding",
            "bag of words",
            "random label",
            UNTRAINED,
        ]
        for name, values in zip(LAYERS, STORED[index], strict=True):
            assert shown[name] == [short(value) for value in values]
        assert shown["bag of words"] == [
            ".55",
            ".58",
            ".56",
            ".54",
        ]  # the controls stay where they are
        assert shown[UNTRAINED] == [short(value) for value in STORED[0].max(0)]
        said = page.locator(".now").text_content().replace("\u202f", "")
        assert said.startswith(f"Step {step}. ")
        for d, name in enumerate(DIMENSIONS):
            top = STORED[index, :, d].argmax()
            assert f"{name} {STORED[index, top, d]:.2f} ({LAYERS[top]})" in said
        assert (
            page.locator("#map-title").text_content().replace("\u202f", "")
            == f"Probe accuracy at step {step}"
        )
        assert page.locator("input[type=range]").get_attribute("aria-valuetext") == f"step {step}"


@pytest.mark.parametrize("width", [None, 0.1])
def test_what_is_above_its_controls_is_marked_in_words_and_not_by_colour_alone(open_view, width):
    low = None if width is None else ACCURACY - width
    page = open_view(build(low=low))
    best = np.maximum(np.array(list(CONTROLS.values())).max(0), STORED[0].max(0))
    judged = STORED if low is None else np.rint(1000 * low) / 1000
    counts = set()
    for index in range(len(STEPS)):
        go(page, index)
        for layer, name in enumerate(LAYERS):
            for d, dimension in enumerate(DIMENSIONS):
                spot = page.locator(f'td[aria-label^="{name}, {dimension}: "]')
                above = bool(judged[index, layer, d] > best[d])
                assert ("above every control" in spot.get_attribute("aria-label")) == above
                assert spot.evaluate("cell => getComputedStyle(cell).fontWeight") == (
                    "700" if above else "400"
                )
        count = int((judged[index] > best).any(0).sum())
        assert f": {count} of 4 dimensions" in page.locator(".now").text_content()
        counts.add(count)
    assert counts == {0, 1, 2, 3}


def test_a_cell_tells_its_curve_and_when_it_came_above(open_view, view):
    page = open_view(view)
    best = np.maximum(np.array(list(CONTROLS.values())).max(0), STORED[0].max(0))
    go(page, 4)
    for layer, name in enumerate(LAYERS):
        for d, dimension in enumerate(DIMENSIONS):
            page.locator(f'td[aria-label^="{name}, {dimension}: "]').click()
            said = page.locator(".told").text_content().replace("\u202f", "")
            curve = STORED[:, layer, d]
            assert f"{curve[0]:.2f} at step 0, {curve[4]:.2f} at step 64" in said
            assert f"highest {curve.max():.2f} at step {STEPS[curve.argmax()]}" in said
            onset = next((i for i in range(10) if (curve[i:] > best[d]).all()), None)
            expected = (
                "At the end it is not above every control"
                if onset is None
                else f"from step {STEPS[onset]} on"
            )
            assert expected in said
            assert page.locator(".curve").get_attribute("aria-label").replace("\u202f", "") == said
            assert len(page.locator(".curve .line").get_attribute("points").split()) == 10
    page.locator('td[aria-label^="bag of words, privacy"]').click()
    assert (
        page.locator(".told").text_content()
        == "bag of words, privacy: 0.58 at every step; it is a control."
    )


def test_the_curve_goes_up_where_accuracy_does(open_view, view):
    page = open_view(view)
    page.locator('td[aria-label^="block 1, reliability"]').click()
    points = [
        tuple(map(float, p.split(",")))
        for p in page.locator(".curve .line").get_attribute("points").split()
    ]
    heights, values = np.array([-y for _, y in points]), STORED[:, 2, 0]
    assert np.corrcoef(heights, values)[0, 1] > 0.9999
    assert np.allclose(
        np.diff([x for x, _ in points]), points[1][0] - points[0][0], atol=0.2
    )  # equal room for every checkpoint


def test_everything_works_from_the_keyboard(open_view, view):
    page = open_view(view)
    page.keyboard.press("Tab")
    slider = page.locator("input[type=range]")
    assert slider.evaluate("element => element.matches(':focus')")
    page.keyboard.press("Home")
    assert "Step 0." in page.locator(".now").text_content()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "step 4"
    page.keyboard.press("Tab")
    assert page.locator("button:focus").text_content() == "Play"
    page.keyboard.press("Tab")
    focused = page.locator(".map td:focus")
    assert focused.get_attribute("aria-label").startswith("block 1, reliability")
    for key, start in {
        "ArrowRight": "block 1, privacy",
        "ArrowDown": "block 0, privacy",
        "End": "block 0, fairness",
        "Home": "block 0, reliability",
        "ArrowUp": "block 1, reliability",
        "ArrowLeft": "block 1, reliability",
    }.items():
        page.keyboard.press(key)
        assert focused.get_attribute("aria-label").startswith(start)
        assert focused.get_attribute("aria-selected") == "true"
        assert page.locator(".told").text_content().startswith(start)
        assert page.locator('.map td[tabindex="0"]').count() == 1
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert focused.get_attribute("aria-label").startswith(f"{UNTRAINED}, reliability")
    outline = focused.evaluate(
        "element => getComputedStyle(element).outlineStyle + getComputedStyle(element).outlineWidth"
    )
    assert outline == "solid3px"


def test_play_runs_from_the_start_to_the_end_and_leaves_screen_readers_in_peace(open_view):
    page = open_view(build(pace=30))
    now = page.locator(".now")
    # in one go, as ten steps of a slow machine may be over before it is asked a second time
    said = page.locator(".play").evaluate(
        "play => { play.click();"
        " const now = play.getRootNode().querySelector('.now');"
        " return [play.textContent, now.getAttribute('aria-live')] }"
    )
    assert said == ["Pause", "off"]
    page.get_by_role("button", name="Play").wait_for()
    assert now.get_attribute("aria-live") == "polite"
    assert now.text_content().replace("\u202f", "").startswith("Step 20000.")


def test_play_stops_at_a_press_and_when_the_slider_is_moved(open_view):
    page = open_view(build(pace=100_000))
    play, slider = page.locator(".play"), page.locator("input[type=range]")
    play.click()
    assert slider.input_value() == "0"
    play.click()
    assert play.text_content() == "Play"
    play.click()
    go(page, 3)
    assert play.text_content() == "Play"
    assert slider.get_attribute("aria-valuetext") == "step 16"


def test_ticks_stand_under_the_steps_they_name(open_view, view):
    page = open_view(view)
    ticks = page.locator(".ticks span").evaluate_all(
        "spans => spans.map(s => [s.textContent, s.getBoundingClientRect()])"
        ".map(([text, box]) => [text, box.x + box.width / 2])"
    )
    box = page.locator("input[type=range]").bounding_box()
    named = [int(text.replace("\u202f", "")) for text, _ in ticks]
    assert (named[0], named[-1], len(named)) == (0, 20000, 8)
    for step, (_, x) in zip(named, ticks, strict=True):
        assert x == pytest.approx(
            box["x"] + 8 + (box["width"] - 16) * STEPS.index(step) / 9, abs=1.5
        )


def test_without_controls_nothing_is_said_about_them(open_view):
    page = open_view(build(steps=STEPS[1:], accuracy=ACCURACY[1:], controls={}))
    assert (
        "control" not in page.locator(".now").text_content() + page.locator(".told").text_content()
    )
    assert page.locator("td.above").count() == 0
    assert not page.locator(".swatch.above").is_visible()


def test_without_scripts_the_table_is_there(open_view, view):
    page = open_view(view, java_script_enabled=False)
    assert page.get_by_text("The last rows are the controls.").is_visible()
    assert page.get_by_role("row").count() == 1 + len(STEPS) + 3


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
def test_accessible_in_both_themes_and_no_wider_than_a_phone(open_view, view, theme, width):
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator("summary").click()
    page.locator('td[aria-label^="block 1, reliability"]').click()
    views.check_accessible(page, width)
