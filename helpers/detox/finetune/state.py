"""The state of a tuning, in one file that is replaced as a whole after every iteration.

It holds the model with the optimiser's moments, the losses, λ, and the target, of which the stale
scheme needs the last one. Batches, samples and fits have random streams of their own, by step and
iteration: no random state has to be kept. So a tuning that was killed at any moment and is called
again goes on after its last whole iteration, and ends in the same weights.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from helpers.detox.finetune.steps import StepLosses, TuningRun
from helpers.detox.finetune.targets import FrozenTarget
from helpers.detox.networks import frozen
from helpers.detox.oracle import Oracle
from helpers.errors import LabError
from helpers.files import save_atomically
from helpers.runtime import gradients
from helpers.training import STATE

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(run: TuningRun, made_with: str, folder: Path) -> None:
    """Store a run that stands between two iterations.

    Raises:
        LabError: The folder cannot be written; the old state is still there.
    """
    tensors = _under("network", run.network.state_dict())
    for name, weight in run.network.named_parameters():
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = run.optimizer.state[weight][moment]
    tensors["losses"] = torch.tensor([astuple(each) for each in run.losses], dtype=torch.float64)
    if run.target is not None:
        tensors |= _under("target", run.target.base.state_dict())
        tensors |= _under("oracle", run.target.oracle.state_dict())
        tensors["accepted"] = run.target.accepted
    metadata = {
        "made_with": made_with,
        "step": str(run.step),
        "kl_weight": repr(run.kl_weight),
        "violations": repr(run.target.violations if run.target is not None else None),
        "seconds": json.dumps(run.seconds),
    }
    # weights that two layers share would be written once and missed by the other
    save_atomically(
        {name: each.clone() for name, each in tensors.items()}, folder / STATE, metadata
    )


def _under(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in state.items()}


@gradients()
def restore(run: TuningRun, oracle: Oracle | None, made_with: str, folder: Path) -> None:
    """Load a stored state into a run that has not begun.

    Args:
        oracle: One of the stored oracle's shape, which takes its weights.

    Raises:
        LabError: The state is damaged, or belongs to another plan, model, corpus or oracle.
    """
    path = folder / STATE
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
        _check_owner(metadata.get("made_with"), made_with, path)
        _fill(run, oracle, load_file(path), metadata)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as fault:
        raise LabError(
            f"expected the state of a tuning in {path}",
            f"it cannot be used: {str(fault).splitlines()[0]}",
            hint=f"remove {path.name} to start anew",
        ) from None


def _check_owner(found: str | None, made_with: str, path: Path) -> None:
    if found != made_with:
        raise LabError(
            f"expected a state of this very tuning ({made_with})",
            f"{path} is of another plan, model, corpus or oracle ({found})",
            hint="tune into another folder",
        )


def _fill(
    run: TuningRun, oracle: Oracle | None, tensors: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    run.network.load_state_dict(_of("network", tensors), strict=True)
    run.step, run.kl_weight = int(metadata["step"]), float(metadata["kl_weight"])
    run.seconds = json.loads(metadata["seconds"])
    run.losses = [StepLosses(*each) for each in tensors["losses"].tolist()]
    if run.step not in run.plan.ends or len(run.losses) != run.step:
        raise ValueError(f"step {run.step} with {len(run.losses)} losses ends no iteration")
    for name, weight in run.network.named_parameters():
        moments = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS}
        run.optimizer.state[weight] = {"step": torch.tensor(float(run.step)), **moments}
    if oracle is not None:
        base = frozen(run.base)
        base.load_state_dict(_of("target", tensors), strict=True)
        oracle.load_state_dict(_of("oracle", tensors), strict=True)
        violations = float(metadata["violations"])
        run.target = FrozenTarget(base, oracle, tensors["accepted"], violations)


def _of(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{name}."
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}


def made_of(run: TuningRun, oracle: Oracle | None, scorer: object) -> str:
    """Sixteen hex digits of all that a tuning follows from, beside the code.

    A scorer counts by its name: what it does cannot be told.
    """
    digest = hashlib.sha256(json.dumps(asdict(run.plan), sort_keys=True).encode())
    digest.update(getattr(scorer, "__qualname__", type(scorer).__name__).encode())
    for name, tensor in _all_tensors(run, oracle):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _all_tensors(run: TuningRun, oracle: Oracle | None) -> Iterator[tuple[str, Tensor]]:
    yield from run.base.state_dict().items()
    yield "other", run.corpus.other
    if run.corpus.posts is not None:
        yield "posts", run.corpus.posts
    if oracle is not None:
        yield from oracle.state_dict().items()
