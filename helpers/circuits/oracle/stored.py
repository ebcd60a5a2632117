"""NEW: docstring."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, zoo
from helpers.circuits.oracle.subsets import Oracle, Summary
from helpers.circuits.tasks.tinyworld import CORRUPTIONS
from helpers.errors import LabError
from helpers.files import save_atomically

MODEL = "tinyworld-attn"


REFERENCE_PROMPTS = 128


MEASURED = ("metric", "heads", "largest error", "seconds", "digest")
"""What the settings of an entry say about its measurement; the rest says what was asked."""


def settings_of(task: str, ablation: str, prompts: int, seed: int) -> dict:
    """What is asked of an entry."""
    corruption = next(iter(CORRUPTIONS[task]))
    asked = {
        "model": MODEL,
        "sha256": zoo.entry(MODEL).sha256,
        "prompts": prompts,
        "seed": seed,
        "corruption": corruption,
    }
    return asked | {
        "reference prompts": REFERENCE_PROMPTS,
        "reference seed": seed + 1,
        "ablation": ablation,
    }


def store(found: Oracle, settings: dict, path: Path) -> None:
    """Add an oracle to a file, or put it in the place of an older one.

    The file is read again first: another process may have added to it.

    Raises:
        LabError: a damaged file, or one that cannot be written.
    """
    known, largest = stored.read(path), float(found.error.max())
    tensors = {
        "mean": found.mean.float(),
        "error": (found.error / largest * 255).round().to(torch.uint8),
    }
    settings = settings | {"metric": found.metric, "heads": found.heads, "largest error": largest}
    settings |= {"digest": stored.digest(**tensors, settings=settings)}
    known[f"{found.task}/{found.ablation}"] = tensors, settings
    flat = {
        f"{name}/{field}": value
        for name, (parts, _) in known.items()
        for field, value in parts.items()
    }
    save_atomically(
        flat,
        path,
        {name: json.dumps(settings, sort_keys=True) for name, (_, settings) in known.items()},
    )


DATA = files.DATA / "oracle.safetensors"


REPAIR = "reinstall the package or check the file out again, or measure it again with `python -m helpers oracle --out FILE`"


def digest(mean: Tensor, error: Tensor, settings: dict) -> str:
    """Checksum of what is stored of an oracle, 64 hex digits."""
    text = json.dumps(
        {name: value for name, value in settings.items() if name != "digest"}, sort_keys=True
    )
    return hashlib.sha256(
        mean.numpy().tobytes() + error.numpy().tobytes() + text.encode()
    ).hexdigest()


def read(path: Path) -> dict[str, tuple[dict[str, Tensor], dict]]:
    """Tensors and settings of all stored oracles, by "task/ablation"; none where there is no file.

    Raises:
        LabError: a damaged or altered file.
    """
    found: dict[str, tuple[dict[str, Tensor], dict]] = {}
    if not path.exists():
        return found
    try:
        with safe_open(path, framework="pt") as handle:
            for name, text in (handle.metadata() or {}).items():
                tensors = {
                    field: handle.get_tensor(f"{name}/{field}") for field in ("mean", "error")
                }
                found[name] = tensors, json.loads(text)
        for name, (tensors, settings) in found.items():
            if digest(**tensors, settings=settings) != settings["digest"]:
                raise ValueError(f"the checksum of {name} is another")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected stored oracles in {path}", f"cannot use it: {fault}", hint=REPAIR
        ) from None
    return found


def stored(task: str, ablation: str, path: Path = DATA) -> Summary:
    """What ``python -m helpers oracle`` has stored for ``tinyworld-attn``.

    Means are stored as 32-bit floats, so that comparisons with a threshold come out as measured;
    standard errors as whole 255ths of the largest.

    Raises:
        LabError: the file is damaged or altered, lacks the entry, or was measured on other weights.
    """
    known, name = read(path), f"{task}/{ablation}"
    if name not in known:
        raise LabError(
            f"expected an oracle stored in {path}: {', '.join(sorted(known)) or 'none'}",
            f"got {name!r}",
            hint=REPAIR,
        )
    tensors, settings = known[name]
    if settings["sha256"] != zoo.entry(settings["model"]).sha256:
        raise LabError(
            f"expected an oracle of the weights of {settings['model']}",
            "it was measured on others",
            hint=REPAIR,
        )
    error = tensors["error"].float() / 255 * settings["largest error"]
    return Summary(
        tuple(map(tuple, settings["heads"])),
        task,
        settings["metric"],
        ablation,
        tensors["mean"],
        error,
    )
