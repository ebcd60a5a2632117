"""Cells of the studies of masks and edits as files: numbers, and masks with one bit a weight."""

from collections.abc import Callable, Iterable
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from helpers.files import cells
from helpers.files.cells import Contents, Keyed, Made, Some
from helpers.knowledge.masks import packed
from helpers.knowledge.study.measuring import Measured


def keep(cell: Keyed, measured: Measured, made: Made, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it.

    Raises:
        LabError: The folder cannot be written.
    """
    cells.keep(cell, _packed(measured), made, folder)


def _packed(measured: Measured) -> Contents:
    bits = {str(density): packed.pack(mask) for density, mask in measured.masks.items()}
    return Contents(measured.result, bits)


def masks(
    cell: Keyed, made: Made, folder: Path, n_weights: int
) -> dict[float, Float[Tensor, " weight"]]:
    """The masks of a cell that is there.

    Raises:
        LabError: It is not, cannot be used, or has masks of another number of weights.
    """
    bits = cells.opened(cell, made, folder).tensors
    return {float(name): packed.unpack(each, n_weights) for name, each in bits.items()}


def measure_absent(
    asked: Iterable[Some],
    folder: Path,
    made: Callable[[Some], Made],
    work: Callable[[Some], Measured],
    say: Callable[[str], None],
) -> None:
    """Measure the cells that are not there, as `helpers.files.cells` does.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """
    cells.measure_absent(asked, folder, made, lambda cell: _packed(work(cell)), say)
