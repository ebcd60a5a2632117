"""``python -m helpers notebooks``: the student notebooks and the README's table of labs, from the lab sources.

The repository's address is read from ``_config.yml``, its only place.
"""

import argparse
import posixpath
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from helpers import __version__, runtime
from helpers.course import source
from helpers.errors import LabError

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
TABLE_BEGIN, TABLE_END = "<!-- labs:begin -->", "<!-- labs:end -->"

_INSTALL = """\
# On Colab this installs the helpers of the labs. It leaves torch, NumPy and transformers as they are.
import sys

if "google.colab" in sys.modules:
    %pip install -q "trustworthy-circuits{extras} @ git+{url}@v{version}"

"""
EXTRAS = {"lab4": "[sae]"}
"""Labs that need more than the base install: sae-lens, and with it a transformer-lens below 4."""
_LINK = re.compile(
    r"(?s:```.*?```)|`[^`\n]*`|\$[^$\n]*\$|(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?![a-z]+:|#|/)[^)\s]+)\)"
)


@dataclass(frozen=True)
class Repository:
    """Where the book's files can be had, as ``_config.yml`` says.

    >>> Repository("https://github.com/someone/book", "main").colab("labs/a.ipynb")
    'https://colab.research.google.com/github/someone/book/blob/main/labs/a.ipynb'
    """

    url: str
    branch: str

    def blob(self, path: str) -> str:
        """Address of a file's page."""
        return f"{self.url}/blob/{self.branch}/{path}"

    def raw(self, path: str) -> str:
        """Address of a file's content."""
        return f"{self.url}/raw/{self.branch}/{path}"

    def colab(self, path: str) -> str:
        """Address that opens a notebook in Colab."""
        return (
            f"https://colab.research.google.com/github/{self.url.removeprefix('https://github.com/')}/blob/{self.branch}/{path}"
        )

    def badge(self, path: str) -> str:
        """Markdown of the button that opens a notebook in Colab."""
        return f"[![Open in Colab]({BADGE})]({self.colab(path)})"


def find_root() -> Path:
    """Folder of the book: the one that holds the package, else the current one."""
    for folder in (Path(__file__).parents[2], Path.cwd()):
        if (folder / "_config.yml").is_file() and (folder / "labs").is_dir():
            return folder
    raise LabError(
        "expected a clone of the book (a folder with _config.yml and labs/)",
        f"got {Path.cwd()}",
        hint="clone the repository and run the command in its folder; the labs themselves need only the package",
    )


def repository(root: Path) -> Repository:
    """The repository's address and branch from ``_config.yml``.

    Raises:
        LabError: there is none, or it is not on GitHub, where alone Colab opens notebooks.
    """
    import yaml

    entry = (yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")) or {}).get("repository") or {}
    url = str(entry.get("url") or "").rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise LabError(f"{root / '_config.yml'}: expected repository.url as https://github.com/OWNER/NAME", f"got {url!r}")
    return Repository(url, str(entry.get("branch") or "main"))


def lab_files(root: Path) -> list[Path]:
    """Sources of the labs, in order: ``labs/labN_topic.py``."""
    files = [path for path in (root / "labs").glob("lab*_*.py") if re.match(r"lab\d+_", path.name)]
    return sorted(files, key=lambda path: (int(re.match(r"lab(\d+)", path.name).group(1)), path.name))


def load(path: Path) -> source.Lab:
    """Read a lab's source file; its name must begin with the lab's own.

    Raises:
        LabError: the source is malformed (with file and line).
    """
    lab = source.read(path.read_text(encoding="utf-8"), where=f"{path.parent.name}/{path.name}")
    if not path.name.startswith(lab.name + "_"):
        raise LabError(f"{path.name}: expected the set-up cell to start the lab of the file's name", f"got {lab.name!r}")
    return lab


def student_text(path: Path, where: Repository) -> str:
    """The student notebook of a lab's source file, as the text of an ``.ipynb``."""
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

    >>> absolute_links("[map](../book/map.md)", Repository("https://github.com/someone/book", "main"))
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
    rows = ["| lab | open | minutes | memory |", "|---|---|---|---|"]
    for path in lab_files(root):
        target = f"labs/{path.stem}.ipynb"
        lab = load(path)
        cost = runtime.measured(lab.name)
        minutes, memory = (f"{cost.seconds / 60:.1f}", f"{cost.peak_mib / 1024:.1f} GiB") if cost else ("–", "–")
        rows.append(f"| [{lab.title}]({target}) | {where.badge(target)} | {minutes} | {memory} |")
    return "\n".join(rows)


def readme_text(root: Path) -> str:
    """The README with its table of labs brought up to date."""
    text = (root / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not (begin and end):
        raise LabError(f"README.md: expected the marks {TABLE_BEGIN} and {TABLE_END} around the table of labs", "not found")
    return f"{before}{begin}\n{lab_table(root)}\n{end}{after}"


def generated(root: Path) -> dict[Path, str]:
    """Every generated file of the labs with the text that it should have."""
    where = repository(root)
    files = {path.with_suffix(".ipynb"): student_text(path, where) for path in lab_files(root)}
    return files | {root / "README.md": readme_text(root)}


def stale(root: Path) -> list[str]:
    """Names of generated files that are missing, differ from what their source gives, or have no source."""
    files = generated(root)
    found = [path for path, text in files.items() if not path.is_file() or path.read_bytes() != text.encode()]
    found += [path for path in (root / "labs").glob("*.ipynb") if path not in files]
    return sorted(path.relative_to(root).as_posix() for path in found)


def write(root: Path) -> list[str]:
    """Write every generated file that differs, and return their names."""
    written = []
    for path, text in generated(root).items():
        if not path.is_file() or path.read_bytes() != text.encode():
            path.write_bytes(text.encode())
            written.append(path.relative_to(root).as_posix())
    return written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m helpers notebooks``."""
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 naming each file that is not current")
    parser.add_argument("--measure", action="store_true", help="run every lab and store its seconds and peak memory first")


def run(arguments: argparse.Namespace) -> int:
    """Write the notebooks, or say which are not current. Returns the exit code."""
    root = find_root()
    if arguments.measure:
        from helpers.course.measure import measure_all

        measure_all(root)
    if not arguments.check:
        for name in write(root):
            print(f"wrote {name}", file=sys.stderr)
    names = stale(root)
    for name in names:
        hint = "run: python -m helpers notebooks" if arguments.check else "no source gives it, delete it"
        print(f"{name} is not what the lab sources give; {hint}", file=sys.stderr)
    return 1 if names else 0
