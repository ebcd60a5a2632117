"""House style of the figures, and how a figure is shown with its alt text.

Why not let Jupyter show the figure: its PNG output has no place for alt text, and the book's
builder takes alt text from a cell's metadata only, which Colab does not show. `show` emits an HTML
``<img alt="…">`` with the picture inside, and that is the same in Colab, in Jupyter and on the
page. The picture is drawn at twice its display size (sharp on dense screens), with at most 256
colours (small), on a white card (legible on the dark theme).
"""

import base64
import html
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from helpers.errors import LabError
from helpers.inputs import at_least, check_count

# Okabe and Ito (2008): told apart with every common kind of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6E6E6E", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
SEQUENTIAL, DIVERGING = "Blues", "RdBu_r"
DISPLAY_DPI = 96  # CSS pixels an inch

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """The house style for figures drawn by hand: ``with plots.style(): …`` and no longer."""
    with matplotlib.rc_context(STYLE):
        yield


@dataclass(frozen=True)
class Picture:
    """A rendered figure that displays itself with its alt text.

    Attributes:
        png: The picture, at twice its display size.
        alt: What is seen, in words.
        caption: Line below the picture; may be empty.
        width: Width on the page, in CSS pixels.
    """

    png: bytes
    alt: str
    caption: str
    width: int

    def _repr_html_(self) -> str:
        source = "data:image/png;base64," + base64.b64encode(self.png).decode()
        card = "background:#fff;border-radius:6px;max-width:100%;height:auto"
        alt = html.escape(self.alt)
        image = f'<img src="{source}" alt="{alt}" width="{self.width}" style="{card}">'
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure style="margin:0.5em 0">{image}{caption}</figure>'

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]" + (f" {self.caption}" if self.caption else "")


def describe(fig: Figure, alt: str) -> Figure:
    """Attach alt text to a figure; `show` uses it. It says what is seen, not what kind of figure it
    is.

    Raises:
        LabError: Empty text.
    """
    if not alt.strip():
        raise LabError(
            "expected alt text: a sentence that says what the figure shows", "got an empty one"
        )
    fig.set_label(" ".join(alt.split()))
    return fig


def picture(fig: Figure, alt: str | None = None, caption: str = "") -> Picture:
    """Render a figure with its alt text.

    Raises:
        LabError: No alt text, neither here nor by `describe`.
    """
    from PIL import Image

    alt = str(fig.get_label()) if alt is None else alt
    describe(fig, alt)
    buffer, small = io.BytesIO(), io.BytesIO()
    with style():
        fig.savefig(buffer, format="png", dpi=2 * DISPLAY_DPI, bbox_inches="tight", pad_inches=0.1)
    image = Image.open(buffer).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return Picture(small.getvalue(), str(fig.get_label()), caption, image.width // 2)


def show(fig: Figure, alt: str | None = None, caption: str = "") -> None:
    """Display a figure with its alt text: on the page, in Jupyter and in Colab; as words in a
    terminal.

    Raises:
        LabError: No alt text, neither here nor by `describe`.
    """
    shown = picture(fig, alt, caption)
    _close(fig)
    try:
        from IPython.display import display
    except ImportError:
        print(shown)
    else:
        display(shown)


def _close(fig: Figure) -> None:
    """Take a figure off pyplot's list; else a notebook shows it again, without alt text."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def make_panels(count: int, width: float, height: float) -> tuple[Figure, list]:
    """A figure with `count` panels in a row, of the given size in inches, made without pyplot.

    Raises:
        LabError: No panel, or no size.
    """
    check_count("number of panels", count, least=1)
    at_least(0.1, width, "inches of width")
    at_least(0.1, height, "inches of height")
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, list(fig.subplots(1, count, squeeze=False).flat)
