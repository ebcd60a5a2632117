"""Charts of the book: points lie where their numbers say, and nothing is drawn beyond the axes."""

import re
import xml.etree.ElementTree as ET

import pytest

from helpers.book.charts import Axis, Panel, drawn_mark, figure
from helpers.errors import LabError

pytestmark = pytest.mark.book
SPACE = "{http://www.w3.org/2000/svg}"


def panel():
    x, y = Axis("λ", (1, 10, 100), log=True), Axis("share", (0, 0.5, 1))
    return Panel(x, y, width=200, height=100)


def test_points_lie_where_their_numbers_say():
    """By hand: 10 is halfway from 1 to 100 in ratios; a quarter is three quarters down."""
    assert panel().at(10, 0.25) == pytest.approx((100, 75))
    assert panel().at(1, 0) == pytest.approx((0, 100))
    assert panel().at(100, 1) == pytest.approx((200, 0))


@pytest.mark.parametrize(
    "point", [(0.5, 0.5), (200, 0.5), (10, -0.1), (10, 1.1), (10, float("nan"))]
)
def test_a_point_beyond_the_axes_is_refused(point):
    with pytest.raises(LabError, match="expected a number from"):
        panel().mark(point, "#000")


def test_a_figure_is_svg_with_a_title_a_key_and_its_words():
    drawn = panel()
    drawn.curve([(1, 0.5), (100, 1)], "#123456", "6 4")
    drawn.mark((10, 0.25), "#123456", "open square", ends=(0.2, 0.4))
    drawn.label("a < b", (10, 0.25))
    text = figure("Shares & λ", [drawn], [("#123456", "dashes", "a line")])
    root = ET.fromstring(text)
    words = [each.text for each in root.iter(f"{SPACE}text")]
    assert root.find(f"{SPACE}title").text == "Shares & λ"
    assert {"λ", "share", "a < b", "a line", "0.5", "100"} <= set(words)
    assert "M0.0 50.0L200.0 0.0" in text
    assert "M100.0 80.0V60.0" in text
    assert figure("Shares & λ", [drawn], [("#123456", "dashes", "a line")]) == text


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "diamond", "cross"])
def test_marks_are_filled_or_hollow(shape):
    fills = re.findall(r'fill="([^"]+)"', drawn_mark(1, 2, "#abc", shape))
    assert fills == ["none" if shape == "cross" else "#abc"]
    assert 'fill="#fff"' in drawn_mark(1, 2, "#abc", f"open {shape}")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(LabError, match="expected a shape of marks"):
        drawn_mark(0, 0, "#000", "star")
    with pytest.raises(LabError, match="expected at least one panel"):
        figure("nothing", [])
