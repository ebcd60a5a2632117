"""Self-contained interactive HTML: one view is markup, data and a script, and needs nothing from
the network.

A view has to live in four places: a page of the rendered book, JupyterLab, Colab and VS Code. So it

- keeps its own style in a shadow root, where the page's style sheets cannot reach it nor it them;
- follows the page's light or dark theme, and goes on following when the reader switches;
- shows a plain static fallback where scripts do not run (a preview of a notebook, a notebook not
  yet trusted), and offers the same fallback, folded, to those who prefer a table;
- keeps the host's keyboard shortcuts off, so that a digit typed into a box does not turn a notebook
  cell into a heading.

Data travel as JSON in which ``<``, ``>`` and ``&`` are escaped: text such as ``</script>`` in a
question, a label or a model's output stays text.
"""

import hashlib
import html
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helpers.errors import LabError

ASSETS = Path(__file__).parent / "assets"

MAX_BYTES = 300_000
"""The largest view: a page stays quick on a phone, and a notebook that holds the view small."""


@dataclass(frozen=True)
class View:
    """A self-contained piece of interactive HTML; a notebook shows it when it is the last value of
    a cell.

    Attributes:
        title: Names the view, on the page and for screen readers.
        summary: What the view shows, in words. It is the text of the view where HTML cannot be
            shown.
        fragment: Markup of the shadow root.
        data: What the script is given, JSON-serialisable.
        script: Body of a JavaScript function of ``root`` (the shadow root), ``data`` and ``host``
            (the element around it).
        style: CSS of the shadow root, after the house style.
        fallback: Static HTML with the view's main content.
    """

    title: str
    summary: str
    fragment: str
    data: Any
    script: str
    style: str = ""
    fallback: str = ""

    @property
    def key(self) -> str:
        """Identifies the content: the same view is the same text in every build."""
        parts = (
            self.title,
            self.summary,
            self.fragment,
            to_json(self.data),
            self.script,
            self.style,
            self.fallback,
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    @property
    def nbytes(self) -> int:
        """Bytes that the view adds to a page."""
        return len(self._repr_html_().encode())

    def _repr_html_(self) -> str:
        payload = to_json(
            {"html": self.fragment, "css": asset("view.css") + self.style, "data": self.data}
        )
        script = asset("view.js").replace("__KEY__", self.key).replace("__RENDER__", self.script)
        return (
            f'<div class="lab-view" data-lab-view="{self.key}" data-lm-suppress-shortcuts="true" '
            f'role="group" aria-label="{html.escape(self.title)}">\n'
            f"<style>{asset('host.css')}</style>\n"
            f'<div slot="fallback"><p>{html.escape(self.summary)}</p>{self.fallback}</div>\n'
            f'<script type="application/json">{payload}</script>\n'
            f"<script>{script}</script>\n</div>"
        )

    def __repr__(self) -> str:
        return f"{self.title}. {self.summary}"

    def page(self) -> str:
        """The view as a complete HTML document, for a browser or a course site."""
        title = html.escape(self.title)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{asset('page.css')}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
            f"{self._repr_html_()}\n</main>\n</body>\n</html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the view as a document of its own.

        Raises:
            LabError: A path that cannot be written.
        """
        path = Path(path)
        try:
            path.write_text(self.page(), encoding="utf-8")
        except OSError as error:
            raise LabError(
                f"expected a writable path for {self.title!r}", f"got {path} ({error.strerror})"
            ) from None
        return path


def embed(
    fragment: str,
    data: Any,
    script: str,
    title: str,
    summary: str,
    style: str = "",
    fallback: str = "",
    max_bytes: int = MAX_BYTES,
) -> View:
    """Put markup, data and a script together into a view.

    Args:
        fragment: Markup that the script fills.
        data: JSON-serialisable.
        script: Body of a function of ``root``, ``data`` and ``host``. It must not reach outside
            ``root``.
        title, summary: In words; both required, because they are all that some readers get.
        style: CSS for the fragment. The house style gives it ``--ink``, ``--paper``, ``--accent``
            and other colours.
        fallback: Static HTML with the same content, as far as it goes.
        max_bytes: Refuse a larger view.

    Raises:
        LabError: No title or summary, data that are not JSON, a script or style that would end its
            own element, a view that is too large.

    >>> script = "root.querySelector('p').textContent = data.word"
    >>> view = embed("<p></p>", {"word": "</script>"}, script, "A", "Shows a word.")
    >>> view
    A. Shows a word.
    >>> "</script>" in to_json(view.data)
    False
    """
    if not title.strip() or not summary.strip():
        raise LabError("expected a title and a summary in words", f"got {title!r} and {summary!r}")
    if "</script" in script.lower() or "<!--" in script:
        raise LabError(
            'expected a script without "</script" or "<!--"',
            "the page would take it for the script's end",
        )
    view = View(title, summary, fragment, data, script, style, fallback)
    if view.nbytes > max_bytes:
        raise LabError(
            f"expected a view of at most {max_bytes // 1000} kB",
            f"got {view.nbytes // 1000} kB",
            hint="show less at once, or round numbers before they are stored",
        )
    return view


def to_json(data: Any) -> str:
    r"""Compact JSON that can stand inside a ``<script>`` element.

    Raises:
        LabError: Data that JSON cannot hold, NaN and infinity included.

    >>> to_json({"a": "<b> & c"})
    '{"a":"\\u003cb\\u003e \\u0026 c"}'
    """
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LabError("expected data that JSON can hold", f"got an error: {error}") from None
    for character in "<>&\u2028\u2029":  # the last two end a line in older JavaScript
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def script(folder: Path, *names: str) -> str:
    """The script of a view: the house's kit, then the files of the view's own folder, in order.

    Raises:
        LabError: No such file in the installed package.
    """
    return "\n".join([asset("kit.js"), *(asset(name, folder) for name in names)])


@cache
def asset(name: str, folder: Path = ASSETS) -> str:
    """Text of a view's file: of the house's own ``assets``, or of the folder of the view's module.

    Raises:
        LabError: No such file in the installed package.
    """
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise LabError(
            f"expected the file {folder / name}", "it is missing", hint="reinstall the package"
        ) from None
