"""The models that are compared: the base, the base while it was young, and the models after.

Tuned models are those of the study of constrained tuning, of the same seeds: a cell of it that is
not there is measured first.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from helpers import zoo
from helpers.changes.plan import ChangeCell, tuned_cell
from helpers.detox.networks import Plain, frozen, plain
from helpers.detox.oracle.measuring import base as tuned_model
from helpers.detox.posts import corpus
from helpers.detox.rivals.activations import ActivationEdit, edited, mean_difference
from helpers.detox.study import DETOX_PLAN, DetoxCell, state
from helpers.errors import LabError
from helpers.files.cells import absent

MODEL = "tinyworld"
EDITING = "activation editing"


def before() -> Plain:
    """The model before, frozen."""
    return tuned_model()


@cache
def checkpoint(step: int) -> Plain:
    """The model while it was young.

    Raises:
        LabError: No such step among those that are kept.
    """
    return frozen(plain(zoo.load(MODEL, step=step, device="cpu")))


def subject(cell: ChangeCell, models: Path, say: Callable[[str], None]) -> Plain:
    """The model that a cell is about.

    Args:
        models: Folder with the cells of the study of constrained tuning.
        say: Is told what had to be measured first.

    Raises:
        LabError: A folder that cannot be used, or a cell of another study in it.
    """
    if cell.seed is None:
        return before() if cell.step is None else checkpoint(cell.step)
    tuned = tuned_cell(cell.model, cell.seed)
    if absent([tuned], models):
        state.measure_detox([tuned], DETOX_PLAN, models, say)
    if cell.model == EDITING:
        return _edited(tuned, models)
    return state.network(tuned, DETOX_PLAN, models)


def _edited(cell: DetoxCell, models: Path) -> Plain:
    """The base with the vector taken off that the cell has chosen: it keeps no weights."""
    found = state.read(cell, DETOX_PLAN, models)["found"]
    posts = corpus(cell.setting, cell.seed or 0).posts
    if posts is None:
        raise LabError("expected posts of which a vector was taken", f"got {cell.setting!r}")
    edit = ActivationEdit(found["layer"], found["place"], found["strength"])
    vector = mean_difference(before(), posts, edit.layer, edit.place)
    return edited(before(), edit, vector).network
