"""A search for masks that can be stopped: where it stands lies in a file, every few minutes.

The file holds the scores, both moments of Adam, the state of the generator, the losses and the
masks so far: all that the next step needs. So a search that was killed and begun again ends with
the same masks, bit by bit, where the machine adds up in the same order: on a CPU with as many
threads it does.
"""

import hashlib
import json
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, runtime
from helpers.errors import LabError
from helpers.knowledge.masks import Blocks, Learned, Objective, SearchSettings, packed
from helpers.knowledge.masks.search import MaskSearch

EVERY = 300.0
"""Seconds between two times that the state is kept. For GPT-2 small it has 1 GB."""
MOMENTS = ("exp_avg", "exp_avg_sq")


def learn_kept(
    blocks: Blocks,
    objective: Objective,
    settings: SearchSettings,
    file: Path,
    run: str,
    every: float | None = None,
) -> Learned:
    """Learn masks as `helpers.knowledge.masks.learn` does, going on from where a search stands.

    The scores of the masks are not kept: they are as large as the model's blocks, for each density.

    Args:
        file: Where the search stands; it is removed by who has kept the masks.
        run: Whose search it is, such as a checksum of all that it follows from.
        every: Seconds after which the state is kept again; by default `EVERY`.

    Raises:
        LabError: A file of another run, or a damaged one; and what `learn` raises.
    """
    if settings.estimator != "top-k":
        raise LabError("expected a top-k search to be kept", f"got {settings.estimator!r}")
    every = EVERY if every is None else every
    search, begun = MaskSearch(blocks, objective, settings), 0
    if file.exists():
        begun = _restore(search, file, run)
    files.check_writable(file)
    last = time.monotonic()
    steps = range(begun, len(search.path))
    for step in runtime.progress(steps, "mask", initial=begun, total=len(search.path)):
        search.step(step)
        search.scores_then.clear()
        if step + 1 < len(search.path) and time.monotonic() - last >= every:
            _keep(search, step + 1, file, run)
            last = time.monotonic()
    losses, densities = torch.tensor(search.losses), torch.tensor(search.densities)
    return Learned(settings, search.masks, {}, losses, densities)


def _keep(search: MaskSearch, step: int, file: Path, run: str) -> None:
    adam = search.descent.state[search.scores]
    tensors = {
        "scores": search.scores.detach(),
        "generator": search.generator.get_state(),
        "losses": torch.tensor(search.losses, dtype=torch.float64),
        "densities": torch.tensor(search.densities, dtype=torch.float64),
        **{name: adam[name] for name in MOMENTS},
        **{f"mask {density}": packed.pack(mask) for density, mask in search.masks.items()},
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    header = {"run": run, "step": str(step), "contents": _contents(tensors)}
    files.save_atomically(tensors, file, header)


def _contents(tensors: dict[str, Tensor]) -> str:
    """Checksum of all tensors, without a copy of them."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(json.dumps([name, list(tensors[name].shape)]).encode())
        digest.update(memoryview(tensors[name].numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


def _restore(search: MaskSearch, file: Path, run: str) -> int:
    """Put a search where a file says that it stood; the number of its next step.

    Raises:
        LabError: It is of another run, or damaged.
    """
    hint = "remove it, and the search begins anew; or give another folder"
    try:
        with safe_open(file, framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        whose, step = header["run"], int(header["step"])
        if header["contents"] != _contents(tensors):
            raise ValueError("its checksum is another")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise LabError(
            f"expected a search under way in {file}", f"cannot use it: {fault!r}", hint=hint
        ) from None
    if whose != run:
        raise LabError(
            f"expected a search of this run in {file}", "it is of another one", hint=hint
        )
    where, size = search.scores.device, len(search.scores)
    search.generator.set_state(tensors["generator"])
    search.losses, search.densities = (tensors[n].tolist() for n in ("losses", "densities"))
    for name, bits in tensors.items():
        if name.startswith("mask "):
            search.masks[float(name[5:])] = packed.unpack(bits, size).to(where)
    with torch.no_grad():
        search.scores.copy_(tensors["scores"])
    search.descent.state[search.scores] = {
        "step": torch.tensor(float(step)),
        **{name: tensors[name].to(where) for name in MOMENTS},
    }
    return step
