"""The student notebooks and the README's table of labs, from the sources of the labs.

The repository's address is read from ``_config.yml``, its only place.
"""

import posixpath
import re
from pathlib import Path

from helpers import __version__, runtime
from helpers.clone import Repository, repository
from helpers.course.labs import source
from helpers.course.labs.folder import lab_files, load
from helpers.errors import LabError, optional
from helpers.files import write_atomically
from helpers.show import markdown

TABLE_BEGIN, TABLE_END = "<!-- labs:begin -->", "<!-- labs:end -->"

_INSTALL = """\
# On Colab this installs the helpers of the labs; torch, NumPy and transformers stay as they are.
import sys

if "google.colab" in sys.modules:
    %pip install -q "trustworthy-circuits{extras} @ git+{url}@v{version}"

"""
EXTRAS = {"lab4": "[sae]"}
"""Labs that need more than the base install: sae-lens, and with it a transformer-lens below 4."""
_LINK = re.compile(
    r"(?s:```.*?```)|`[^`\n]*`|\$[^$\n]*\$|(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?![a-z]+:|#|/)[^)\s]+)\)"
)


def student_text(path: Path, where: Repository) -> str:
    """The student notebook of a lab's source file, as the text of an ``.ipynb``."""
    with optional("book"):
        import nbformat

    target = path.with_suffix(".ipynb").name
    lab = load(path)
    install = _INSTALL.format(url=where.url, version=__version__, extras=EXTRAS.get(lab.name, ""))
    notebook = source.student_notebook(lab, where.badge(f"labs/{target}"), install)
    notebook.metadata["colab"] = {"name": target, "provenance": [], "toc_visible": True}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell["source"] = absolute_links(cell.source, where)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def absolute_links(markdown: str, where: Repository) -> str:
    """Links relative to ``labs/`` made absolute, for Colab opens a notebook without its neighbours.

    >>> where = Repository("https://github.com/someone/book", "main")
    >>> absolute_links("[map](../book/map.md)", where)
    '[map](https://github.com/someone/book/blob/main/book/map.md)'
    """

    def replace(link: re.Match) -> str:
        if not link["target"]:  # code or mathematics, where [0](x) is no link
            return link[0]
        path = posixpath.normpath(posixpath.join("labs", link["target"]))
        address = where.raw(path) if link["image"] else where.blob(path)
        return f"{link['image']}[{link['text']}]({address})"

    return _LINK.sub(replace, markdown)


def lab_table(root: Path) -> str:
    """The README's table of labs: title, Colab button, measured minutes and memory."""
    where = repository(root)
    rows = []
    for path in lab_files(root):
        target = f"labs/{path.stem}.ipynb"
        lab = load(path)
        cost = runtime.measured(lab.name)
        minutes, memory = (
            (f"{cost.seconds / 60:.1f}", f"{cost.peak_mib / 1024:.1f} GiB") if cost else ("–", "–")
        )
        rows.append([f"[{lab.title}]({target})", where.badge(target), minutes, memory])
    return markdown(["lab", "open", "minutes", "memory"], rows)


def readme_text(root: Path) -> str:
    """The README with its table of labs brought up to date."""
    text = (root / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not (begin and end):
        raise LabError(
            f"README.md: expected the marks {TABLE_BEGIN} and {TABLE_END} around the table of labs",
            "not found",
        )
    return f"{before}{begin}\n{lab_table(root)}\n{end}{after}"


def generated(root: Path) -> dict[Path, str]:
    """Every generated file of the labs with the text that it should have."""
    where = repository(root)
    files = {path.with_suffix(".ipynb"): student_text(path, where) for path in lab_files(root)}
    return files | {root / "README.md": readme_text(root)}


def stale(root: Path) -> list[str]:
    """Names of generated files that are missing, not what the sources give, or without a source."""
    files = generated(root)
    paths = [path for path, text in files.items() if not _holds(path, text)]
    paths += [path for path in (root / "labs").glob("*.ipynb") if path not in files]
    return sorted(path.relative_to(root).as_posix() for path in paths)


def _holds(path: Path, text: str) -> bool:
    """Whether a file has this text, whatever line ends its clone gives to files."""
    return path.is_file() and path.read_text(encoding="utf-8") == text


def write(root: Path) -> list[str]:
    """Write every generated file that differs, and return their names."""
    written = []
    for path, text in generated(root).items():
        if not _holds(path, text):
            write_atomically(text, path)
            written.append(path.relative_to(root).as_posix())
    return written
