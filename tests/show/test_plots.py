"""Figures: they draw what was given, with alt text, in large letters, never by colour alone."""

import io
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text
from PIL import Image

from helpers.errors import LabError
from helpers.interventions import Node
from helpers.show import grids, pictures, plots

RNG = np.random.default_rng(0)
LABELS = ["D1", "D0", "op", "D'1", "D'0", "=", "±", "A2", "A1", "A0"]
WITH_ENDS = np.array([[0.9, 0.8, 0.95], [0.5, 0.4, 0.6]])


def rows_of(count: int) -> np.ndarray:
    return np.linspace(0.2, 0.8, count)[:, None] + [0, -0.1, 0.1]


FIGURES = {
    "heatmap": lambda: grids.heatmap(
        RNG.normal(size=(3, 10)), "abc", LABELS, "T", "logits", diverging=True, digits=1
    ),
    "attention": lambda: grids.attention(
        np.tril(np.ones((2, 10, 10))), LABELS, ["L0 H0", "L0 H1"], "T"
    ),
    "node_grid": lambda: grids.node_grid(
        {Node(5, 0, 1): "SA1", Node(6, 1): "MLP"}, LABELS, 2, 3, legend={"SA": "digit sum"}
    ),
    "node_heatmap": lambda: grids.node_heatmap(
        {Node(5, 0, 1): 0.5, Node(6, 1): 0.2}, LABELS, 2, 3, unit="lost"
    ),
    "bars": lambda: plots.bars_with_intervals(
        ["S0", "S1"], {"ours": WITH_ENDS, "random": WITH_ENDS / 2}, "accuracy"
    ),
    "lines": lambda: plots.lines_with_bands(
        np.arange(1, 6), {"a": rows_of(5), "b": rows_of(5)}, "step", "loss", log_x=True
    ),
    "scatter": lambda: plots.scatter_classes(
        {"trained": (RNG.normal(size=(30, 2)), list("01U") * 10)}
    ),
}


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]()


def test_every_text_is_at_least_nine_points(figure):
    figure.canvas.draw()
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
    assert sizes
    assert min(sizes) >= 9


def test_figures_leave_no_trace_in_pyplot_or_the_settings(figure):
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


class Images(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        if tag == "img":
            self.found.append(dict(attributes))


def test_a_picture_is_sharp_small_and_carries_its_words(figure):
    alt = 'Head 1 attends to "D1" & D0 < 0.2.'
    picture = pictures.picture(figure, alt, caption="<b>")
    (image,) = Images(picture._repr_html_()).found
    drawn = Image.open(io.BytesIO(picture.png))
    assert image["alt"] == alt
    assert drawn.width // 2 == int(image["width"]) > 200
    assert drawn.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # the card, also on a dark page
    assert len(picture.png) < 80_000
    assert "&lt;b&gt;" in picture._repr_html_()
    assert repr(picture) == f"[figure: {alt}] <b>"


@pytest.mark.parametrize("alt", [None, "", "  \n"])
def test_a_figure_without_words_is_not_shown(alt):
    with pytest.raises(LabError, match="alt text"):
        pictures.show(FIGURES["bars"](), alt)


def test_described_figures_need_no_second_description(capsys):
    fig = pictures.describe(FIGURES["bars"](), "Ours stands\n above  random.")
    assert pictures.picture(fig).alt == "Ours stands above random."


def test_figures_drawn_by_hand_are_closed_after_showing():
    import matplotlib.pyplot as plt

    with pictures.style():
        fig, _ = plt.subplots()
        assert matplotlib.rcParams["axes.titlelocation"] == "left"
    pictures.show(fig, "An empty pair of axes.")
    assert plt.get_fignums() == []


def test_heatmap_draws_the_numbers_it_was_given():
    values = np.array([[0.25, -1.5], [np.nan, 2.0]])
    ax = grids.heatmap(values, ["a", "b"], ["x", "y"], diverging=True, digits=2).axes[0]
    np.testing.assert_array_equal(np.ma.filled(ax.images[0].get_array(), np.nan), values)
    assert ax.images[0].get_clim() == (-2.0, 2.0)
    assert [text.get_text() for text in ax.texts] == ["0.25", "-1.50", "2.00"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


def contrast(one: str, other) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(colour) -> float:
        parts = np.array(matplotlib.colors.to_rgb(colour))
        return float(
            np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
            @ [0.2126, 0.7152, 0.0722]
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_numbers_and_roles_contrast_with_their_cells():
    ax = grids.heatmap(
        np.linspace(-1, 1, 21)[None], ["a"], [str(i) for i in range(21)], diverging=True, digits=1
    ).axes[0]
    image = ax.images[0]
    for text, value in zip(ax.texts, np.linspace(-1, 1, 21), strict=True):
        assert contrast(text.get_color(), image.cmap(image.norm(value))[:3]) >= 4.5
    roles = {Node(i, 0, 0): f"{letter}1" for i, letter in enumerate("ABCDEFGH")}
    grid = grids.node_grid(roles, [str(i) for i in range(8)], 1, 1).axes[0]
    for text, patch in zip(grid.texts, grid.patches, strict=True):
        assert contrast(text.get_color(), patch.get_facecolor()[:3]) >= 4.5


def test_the_node_grid_puts_each_role_where_its_node_is():
    roles = {Node(5, 0, 1): "SA1", Node(6, 1): "MLP", Node(0, 1, 2): "SA0"}
    ax = grids.node_grid(roles, LABELS, 2, 3).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    found = {
        text.get_text(): (text.get_position()[0], names[text.get_position()[1]])
        for text in ax.texts
    }
    assert found == {"SA1": (5, "L0 H1"), "MLP": (6, "L1 MLP"), "SA0": (0, "L1 H2")}
    colours = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(ax.texts, ax.patches, strict=True)
    }
    assert colours["SA1"] == colours["SA0"] != colours["MLP"]


def test_the_node_heatmap_puts_each_number_where_its_node_is():
    ax = grids.node_heatmap({Node(5, 0, 1): 0.5, Node(6, 1): 0.2}, LABELS, 2, 3).axes[0]
    values = np.ma.filled(ax.images[0].get_array(), np.nan)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert values[names.index("L0 H1"), 5] == 0.5
    assert values[names.index("L1 MLP"), 6] == 0.2
    assert np.isfinite(values).sum() == 2


def test_bars_reach_their_value_and_whiskers_their_interval():
    ax = FIGURES["bars"]().axes[0]
    assert [patch.get_height() for patch in ax.patches] == [0.9, 0.5, 0.45, 0.25]
    whiskers = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(whiskers, [[0.8, 0.95], [0.4, 0.6]])
    assert len({patch.get_hatch() for patch in ax.patches}) == 2


def test_series_differ_in_more_than_colour():
    lines = [line for line in FIGURES["lines"]().axes[0].get_lines() if len(line.get_xdata())]
    assert (
        len({line.get_marker() for line in lines})
        == len({line.get_linestyle() for line in lines})
        == 2
    )
    dots = FIGURES["scatter"]().axes[0].findobj(PathCollection)
    assert len({dot.get_paths()[0].vertices.tobytes() for dot in dots}) == 3


def test_scatter_draws_each_class_once_and_at_most_so_many():
    points, labels = RNG.normal(size=(50, 2)), ["a", "b"] * 25
    whole = plots.scatter_classes({"p": (points, labels)}).axes[0].collections
    assert [len(drawn.get_offsets()) for drawn in whole] == [25, 25]
    few = plots.scatter_classes({"p": (points, labels)}, most=10).axes[0].collections
    assert sum(len(drawn.get_offsets()) for drawn in few) == 10


@pytest.mark.parametrize(
    "draw",
    [
        lambda: grids.heatmap(np.zeros((2, 2)), ["a"], ["x", "y"]),
        lambda: grids.attention(np.zeros((2, 3, 4)), LABELS[:3], ["a", "b"]),
        lambda: grids.node_grid({Node(10, 0, 0): "SA"}, LABELS, 2, 3),
        lambda: grids.node_grid({Node(0, 0): "M"}, LABELS, 2, 3, mlps=False),
        lambda: grids.node_heatmap({Node(0, 2, 0): 1.0}, LABELS, 2, 3),
        lambda: plots.bars_with_intervals(["a"], {"x": WITH_ENDS}, "y"),
        lambda: plots.bars_with_intervals(["a"], {"x": [[0.5, 0.6, 0.7]]}, "y"),
        lambda: plots.lines_with_bands([1, 2], {"x": [[1, 0, 2]]}, "x", "y"),
        lambda: plots.scatter_classes({"p": (np.zeros((3, 3)), "abc")}),
    ],
)
def test_input_that_does_not_fit_is_refused(draw):
    with pytest.raises(LabError):
        draw()


PAGE = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
---
# Page
```{code-cell}
from helpers.show import plots
figure = plots.heatmap([[0.0, 1.0]], ["a"], ["x", "y"])
plots.show(figure, "Cell a x is 0, cell a y is 1.", caption="Two cells")
```
"""


@pytest.mark.slow
def test_alt_text_reaches_a_page_that_the_books_builder_executes(tmp_path):
    """The real chain: kernel, myst-nb, Sphinx; one image, with its words, none without."""
    pytest.importorskip("myst_nb")
    (tmp_path / "conf.py").write_text(
        "extensions = ['myst_nb']\nnb_execution_raise_on_error = True\n"
    )
    (tmp_path / "index.md").write_text(PAGE)
    root = str(Path(pictures.__file__).parents[2])

    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-b",
        "html",
        str(tmp_path),
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": root}, timeout=180
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    (image,) = [found for found in Images(page).found if found["src"].startswith("data:")]
    assert image["alt"] == "Cell a x is 0, cell a y is 1."
    assert "Two cells</figcaption>" in page


def log_axes(numbers: list[float]) -> dict[str, tuple]:
    """Figures with a logarithmic axis that has to show these numbers: the axis, and what is on it.

    Every argument of a figure that is called ``log_…`` must be here.
    """
    points = np.array(numbers, dtype=float)
    flat = np.stack([points] * 3, 1)
    one = np.arange(1, len(points) + 1)
    return {
        "lines_with_bands.log_x": (
            plots.lines_with_bands(points, {"a": rows_of(len(points))}, "x", "y", log_x=True),
            "x",
        ),
        "lines_with_bands.log_y": (
            plots.lines_with_bands(one, {"a": flat}, "x", "y", log_y=True),
            "y",
        ),
    }


def test_every_logarithmic_axis_is_tested():
    import inspect

    found = {
        f"{name}.{argument}"
        for name, function in vars(plots).items()
        if inspect.isfunction(function) and not name.startswith("_")
        for argument in inspect.signature(function).parameters
        if argument.startswith("log")
    }
    assert found == set(log_axes([1, 2]))


@pytest.mark.parametrize("low", [1e-12, 1e-300])
def test_one_small_bound_leaves_no_empty_decades(low):
    """The axis is made for the values; the linear part takes in what is below them."""
    rows = np.array([[0, 0, 0.1], [0.2, low, 0.3], [0.5, 0.4, 0.6]])
    fig = plots.lines_with_bands(np.arange(3), {"a": rows}, "x", "y", log_y=True)
    assert fig.axes[0].yaxis.get_transform().linthresh == pytest.approx(0.2)


@pytest.mark.parametrize("kind", log_axes([1, 2]))
def test_a_value_next_to_nothing_leaves_few_decades(kind):
    fig, axis = log_axes([0, 1e-300, 1e-12, 0.5, 1])[kind]
    scale = getattr(fig.axes[0], f"{axis}axis").get_transform()
    assert 1e-7 < scale.linthresh < 1e-3


@pytest.mark.parametrize("kind", log_axes([1, 2]))
@pytest.mark.parametrize(
    "numbers", [[0, 1, 10, 1000], [0, 35, 8000], [0, 0.001, 0.5], [0, 0], [-1, 0, 3]]
)
def test_no_point_is_left_out_on_a_logarithmic_axis(kind, numbers):
    """Step 0 is where every curve over training begins."""
    fig, axis = log_axes(numbers)[kind]
    (ax,) = fig.axes[:1]
    fig.canvas.draw()
    line = ax.lines[0]
    drawn = ax.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
    assert len(drawn) == len(numbers)
    assert np.isfinite(drawn).all()
    box = ax.get_window_extent()
    inside = [box.x0 - 1, box.y0 - 1] <= drawn, drawn <= [box.x1 + 1, box.y1 + 1]
    assert all(side.all() for side in inside)
    ticks = ax.get_xticks() if axis == "x" else ax.get_yticks()
    assert 0 in ticks


@pytest.mark.parametrize("kind", log_axes([1, 2]))
def test_a_logarithmic_axis_above_zero_is_a_plain_one(kind):
    fig, axis = log_axes([1, 10, 100])[kind]
    assert getattr(fig.axes[0], f"get_{axis}scale")() == "log"


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_points_that_are_no_numbers_are_refused(number):
    for call in (
        lambda: plots.lines_with_bands([1, number], {"a": rows_of(2)}, "x", "y"),
        lambda: plots.lines_with_bands([1, 2], {"a": [[1, 1, 1], [number] * 3]}, "x", "y"),
        lambda: plots.bars_with_intervals(["a"], {"a": [[1, number, 1]]}, "y"),
        lambda: plots.scatter_classes({"a": ([[0, number]], ["b"])}),
        lambda: grids.attention([[[number]]], ["a"], ["b"]),
        lambda: grids.heatmap([[np.inf]], "a", "b"),
    ):
        with pytest.raises(LabError):
            call()


def test_a_grid_without_any_number_is_white():
    assert grids.heatmap([[np.nan]], "a", "b").axes
