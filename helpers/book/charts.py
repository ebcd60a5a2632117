"""Charts of the book as SVG text: small, sharp at every size, the same bytes on every machine.

A figure of a page has to be in the clone, so that the page can be built and read without running
anything. What is drawn here follows from its numbers alone, and can be compared letter by letter.
Text stays text, a colour never stands alone, and every figure has a title for screen readers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from helpers.errors import LabError
from helpers.inputs import within

INK, FAINT = "#222", "#ddd"
PAD = 58
"""Room for numbers and the title of an axis, left of and below what is drawn."""
SIZE = 5.0
"""Half the width of a mark."""


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    Attributes:
        title: What is measured, with its unit.
        ticks: Numbers that are written, the first and the last of them at the ends of the axis.
        log: Whether equal ratios have equal lengths.

    >>> Axis("λ", (1, 10, 100), log=True).place(10)
    0.5
    """

    title: str
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a number lies between the ends, 0 to 1.

        Raises:
            LabError: It lies beyond the ends, or is no number.
        """
        ends = self.ticks[0], self.ticks[-1]
        low, high, here = (math.log(max(x, 1e-300)) if self.log else x for x in (*ends, value))
        share = (here - low) / (high - low)
        if not within(abs(share - 0.5), 0.5 + 1e-9):
            raise LabError(
                f"expected a number from {ends[0]:g} to {ends[1]:g} on the axis {self.title!r}",
                f"got {value:g}",
            )
        return share


@dataclass
class Panel:
    """One system of axes, filled by calls that each add a piece of SVG."""

    x: Axis
    y: Axis
    title: str = ""
    width: float = 300
    height: float = 250
    drawn: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        return self.x.place(x) * self.width, (1 - self.y.place(y)) * self.height

    def curve(
        self, points: Sequence[tuple[float, float]], colour: str, dashes: str = "", wide: float = 2
    ) -> None:
        """A line through points."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (self.at(*each) for each in points))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.drawn.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{wide}"{dashed}/>'
        )

    def mark(
        self,
        point: tuple[float, float],
        colour: str,
        shape: str = "circle",
        ends: tuple[float, float] | None = None,
    ) -> None:
        """A point; with the ends of its interval in the upward direction, if any.

        Raises:
            LabError: A shape that there is not.
        """
        x, y = self.at(*point)
        if ends is not None:
            low, high = (self.at(point[0], end)[1] for end in ends)
            self.drawn.append(
                f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="1.5"/>'
            )
        self.drawn.append(drawn_mark(x, y, colour, shape))

    def label(
        self, text: str, point: tuple[float, float], by: tuple[float, float] = (9, 4)
    ) -> None:
        """Words beside a point."""
        x, y = self.at(*point)
        self.drawn.append(_text(text, x + by[0], y + by[1], "start", size=12))

    def svg(self, left: float, top: float) -> str:
        """The panel, with its axes, at a place of the figure."""
        width, height = self.width, self.height
        parts = [f'<g transform="translate({left:g} {top:g})">']
        for tick in self.y.ticks:
            y = (1 - self.y.place(tick)) * height
            parts.append(f'<path d="M0 {y:.1f}H{width:g}" stroke="{FAINT}"/>')
            parts.append(_text(f"{tick:g}", -7, y + 4, "end", size=12))
        for tick in self.x.ticks:
            x = self.x.place(tick) * width
            parts.append(f'<path d="M{x:.1f} {height:g}v5" stroke="{INK}"/>')
            parts.append(_text(f"{tick:g}", x, height + 19, "middle", size=12))
        parts.append(f'<path d="M0 0V{height:g}H{width:g}" fill="none" stroke="{INK}"/>')
        parts.append(_text(self.x.title, width / 2, height + 40, "middle"))
        turned = f' transform="translate({10 - PAD} {height / 2:g}) rotate(-90)"'
        parts.append(_text(self.y.title, 0, 0, "middle", more=turned))
        parts.append(_text(self.title, 0, -12, "start", more=' font-weight="600"'))
        return "\n".join([*parts, *self.drawn, "</g>"])


def drawn_mark(x: float, y: float, colour: str, shape: str) -> str:
    """A mark at a pixel: filled, or hollow where the shape's name begins with "open ".

    Raises:
        LabError: A shape that there is not.
    """
    kind, s = shape.removeprefix("open "), SIZE
    arc = f"a{s:g} {s:g} 0 1 0"
    side, slope = 2 * s, s + 1
    paths = {
        "circle": f"M{x - s:.1f} {y:.1f}{arc} {side:g} 0{arc} {-side:g} 0z",
        "square": f"M{x - s:.1f} {y - s:.1f}h{side:g}v{side:g}h{-side:g}z",
        "triangle": f"M{x:.1f} {y - slope:.1f}l{slope:g} {side:g}h{-2 * slope:g}z",
        "diamond": f"M{x:.1f} {y - slope:.1f}l{slope:g} {slope:g}l{-slope:g} {slope:g}"
        f"l{-slope:g} {-slope:g}z",
        "cross": f"M{x - s:.1f} {y - s:.1f}l{side:g} {side:g}m0 {-side:g}l{-side:g} {side:g}",
    }
    if kind not in paths:
        raise LabError(f"expected a shape of marks: {', '.join(paths)}", f"got {shape!r}")
    fill = "#fff" if shape != kind else "none" if kind == "cross" else colour
    return f'<path d="{paths[kind]}" fill="{fill}" stroke="{colour}" stroke-width="1.8"/>'


def figure(title: str, panels: Sequence[Panel], key: Sequence[tuple[str, str, str]] = ()) -> str:
    """A whole figure: panels side by side, and below them a key.

    Args:
        key: For each line of the key its colour, its shape, or "line" or "dashes", and its words.

    Raises:
        LabError: No panel, or a shape that there is not.
    """
    if not panels:
        raise LabError("expected at least one panel", "got none")
    left, parts = 0.0, []
    for panel in panels:
        parts.append(panel.svg(left + PAD + 12, 44))
        left += panel.width + PAD + 34
    top = 44 + max(panel.height for panel in panels) + 66
    columns = max(1, int(left // 270))
    for number, (colour, shape, words) in enumerate(key):
        x, y = 34 + (number % columns) * (left - 20) / columns, top + number // columns * 22
        if shape in ("line", "dashes"):
            dashed = ' stroke-dasharray="6 4"' if shape == "dashes" else ""
            parts.append(
                f'<path d="M{x - 12:.1f} {y:g}h24" stroke="{colour}" stroke-width="2"{dashed}/>'
            )
        else:
            parts.append(drawn_mark(x, y, colour, shape))
        parts.append(_text(words, x + 18, y + 4, "start", size=13))
    height = top + math.ceil(len(key) / columns) * 22
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left:g} {height:g}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="t">\n'
        f'<title id="t">{_escaped(title)}</title>\n'
        f'<rect width="{left:g}" height="{height:g}" fill="#ffffff" rx="8"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _text(words: str, x: float, y: float, end: str, size: int = 14, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{end}" fill="{INK}" font-size="{size}"'
    return f"<text {place}{more}>{_escaped(words)}</text>"


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
