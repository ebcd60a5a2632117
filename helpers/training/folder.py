"""The folder of a training run: who may write into it, and what it holds.

====================  ==========================================================================
recipe.json           what is trained; written first
state.safetensors     parameters, Adam moments, loss history and step; all that resumption needs
checkpoints/step-N    snapshots, where the recipe asks for them
model.safetensors     the final weights
report.json           steps, seconds and losses; written last
.lock                 held by the process that trains here; freed when it ends, however it ends
====================  ==========================================================================
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from helpers.errors import LabError
from helpers.files import cannot_write, discard, save_atomically
from helpers.training.recipe import Recipe

if TYPE_CHECKING:
    from helpers.training.run import Run

STATE, WEIGHTS, RECIPE, REPORT, LOCK = (
    "state.safetensors",
    "model.safetensors",
    "recipe.json",
    "report.json",
    ".lock",
)
WORDS = "words"
"""Name under which the metadata of a weight file hold a language model's vocabulary."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes; clear away what a killed one left half written.

    Raises:
        LabError: Another process trains into the folder, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "w")  # noqa: SIM115  closed below, when the run has ended
    except OSError as fault:
        raise cannot_write(folder, fault) from None
    with lock:
        _lock(lock, folder)
        for scratch in (*folder.glob("*.tmp"), *folder.glob("checkpoints/*.tmp")):
            discard(scratch)
        yield


def _lock(handle, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there the folder goes unguarded
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LabError(
            f"expected {folder} to be free",
            "another process trains into it",
            hint="wait for it, or train into another folder with --out DIR",
        ) from None
    except OSError:
        return  # some network folders have no locks; there the folder goes unguarded


def save_state(run: "Run", folder: Path) -> None:
    """Store what a resumed run needs: parameters, Adam moments, loss history, step."""
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    for name, parameter in run.model.named_parameters():
        for moment in ("exp_avg", "exp_avg_sq"):
            if parameter in run.optimizer.state:
                tensors[f"{moment}.{name}"] = run.optimizer.state[parameter][moment]
    tensors["losses"] = torch.tensor(run.losses, dtype=torch.float64)
    metadata = {
        "step": str(run.step),
        "seconds": str(run.seconds),
        "fingerprint": run.recipe.fingerprint,
    }
    save_atomically(tensors, folder / STATE, metadata)


def restore_state(run: "Run", folder: Path) -> None:
    """Load a stored state into a run at step 0.

    Raises:
        LabError: The state is damaged or belongs to another recipe.
    """
    path = folder / STATE
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
        tensors = load_file(path)
        _check_owner(run, path, metadata)
        _fill(run, tensors, metadata)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as fault:
        raise LabError(
            f"expected a training state in {path}",
            f"it cannot be used: {str(fault).splitlines()[0]}",
            hint=f"remove {path.name} to start anew; nothing else in the folder depends on it",
        ) from None


def _check_owner(run: "Run", path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("fingerprint") != run.recipe.fingerprint:
        raise LabError(
            f"expected a state of recipe {run.recipe.name} ({run.recipe.fingerprint})",
            f"{path} holds a state of another recipe ({metadata.get('fingerprint')})",
            hint="train into another folder with --out DIR, "
            "or pass the seed that the folder was started with",
        )


def _fill(run: "Run", tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    run.model.load_state_dict(
        {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, strict=True
    )
    run.step, run.seconds = int(metadata["step"]), float(metadata["seconds"])
    run.losses = tensors["losses"].tolist()
    if not 0 <= run.step <= run.recipe.steps or len(run.losses) != run.step:
        raise ValueError(f"step {run.step} of {run.recipe.steps} with {len(run.losses)} losses")
    for name, parameter in run.model.named_parameters():
        if run.step:
            run.optimizer.state[parameter] = {
                "step": torch.tensor(float(run.step)),
                "exp_avg": tensors[f"exp_avg.{name}"].to(parameter.device),
                "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(parameter.device),
            }


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder.

    Raises:
        LabError: The file is missing or damaged.
    """
    path = folder / RECIPE
    try:
        return Recipe.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        is_there = not isinstance(fault, FileNotFoundError | NotADirectoryError)
        raise LabError(
            f"expected the recipe of a training run in {path}",
            f"cannot use it: {fault!r}",
            hint=f"remove {path}; training with --resume writes it anew"
            if is_there
            else "give the folder that `python -m helpers train` wrote, such as runs/add-d3",
        ) from None
