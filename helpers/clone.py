"""The clone of the book: where its folder is, and where its files can be had on the web."""

import re
from dataclasses import dataclass
from pathlib import Path

from helpers.errors import LabError, optional

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


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
        name = self.url.removeprefix("https://github.com/")
        return f"https://colab.research.google.com/github/{name}/blob/{self.branch}/{path}"

    def badge(self, path: str) -> str:
        """Markdown of the button that opens a notebook in Colab."""
        return f"[![Open in Colab]({BADGE})]({self.colab(path)})"


def find_root() -> Path:
    """Folder of the book: the one that holds the package, else the current one."""
    for folder in (Path(__file__).parents[1], Path.cwd()):
        if (folder / "_config.yml").is_file() and (folder / "labs").is_dir():
            return folder
    raise LabError(
        "expected a clone of the book (a folder with _config.yml and labs/)",
        f"got {Path.cwd()}",
        hint="clone the repository and run the command in its folder; "
        "the labs themselves need only the package",
    )


def repository(root: Path) -> Repository:
    """The repository's address and branch from ``_config.yml``.

    Raises:
        LabError: There is none, or it is not on GitHub, where alone Colab opens notebooks.
    """
    with optional("book"):
        import yaml

    entry = (yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")) or {}).get(
        "repository"
    ) or {}
    url = str(entry.get("url") or "").rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise LabError(
            f"{root / '_config.yml'}: expected repository.url as https://github.com/OWNER/NAME",
            f"got {url!r}",
        )
    return Repository(url, str(entry.get("branch") or "main"))
