"""The sources of labs in a clone: which there are, and each one read."""

import re
from pathlib import Path

from helpers.course.labs import source
from helpers.errors import LabError


def lab_files(root: Path) -> list[Path]:
    """Sources of the labs, in order: ``labs/labN_topic.py``."""
    files = {}
    for path in (root / "labs").glob("lab*_*.py"):
        if match := re.match(r"lab(\d+)_", path.name):
            files[int(match[1]), path.name] = path
    return [files[key] for key in sorted(files)]


def load(path: Path) -> source.Lab:
    """Read a lab's source file; its name must begin with the lab's own.

    Raises:
        LabError: the source is malformed (with file and line).
    """
    lab = source.read(path.read_text(encoding="utf-8"), where=f"{path.parent.name}/{path.name}")
    if not path.name.startswith(lab.name + "_"):
        raise LabError(
            f"{path.name}: expected the set-up cell to start the lab of the file's name",
            f"got {lab.name!r}",
        )
    return lab
