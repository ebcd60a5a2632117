"""The file of stored oracles: what ``python -m helpers oracle`` measured of tinyworld-attn.

An entry, "task/ablation", has two tensors and the settings that it was measured with. Means are
stored as 32-bit floats, so that comparisons with a threshold come out as measured; standard errors
as whole 255ths of the largest. A checksum over both is part of the settings. `read` and `write` are
for the command that measures; `stored` gives everybody else one entry, of the weights in use.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, zoo
from helpers.circuits.oracle.subsets import Oracle, OracleSummary
from helpers.circuits.tasks.tinyworld import CORRUPTIONS
from helpers.errors import LabError
from helpers.interventions import Ablation

MODEL = "tinyworld-attn"
DATA = files.DATA / "oracle.safetensors"
REFERENCE_PROMPTS = 128
MEASURED = ("metric", "heads", "largest error", "seconds", "digest")
"""What the settings of an entry say about its measurement; the rest says what was asked."""
REPAIR = (
    "reinstall the package or check the file out again, or measure it again with "
    "`python -m helpers oracle --out FILE`"
)

Settings = dict[str, Any]


class StoredOracle(NamedTuple):
    """One stored oracle.

    Attributes:
        mean: The mean behaviour with each subset of heads.
        error: The standard error of each subset's faithfulness, in 255ths of the largest.
        settings: What was asked, and what else was measured (`MEASURED`).
    """

    mean: Float[Tensor, " subset"]
    error: UInt8[Tensor, " subset"]
    settings: Settings

    @property
    def digest(self) -> str:
        """Checksum of the tensors and of all settings but itself, 64 hex digits."""
        settings = {name: value for name, value in self.settings.items() if name != "digest"}
        text = json.dumps(settings, sort_keys=True).encode()
        return hashlib.sha256(
            self.mean.numpy().tobytes() + self.error.numpy().tobytes() + text
        ).hexdigest()

    def signed(self) -> "StoredOracle":
        """The same entry with its checksum among the settings."""
        return self._replace(settings=self.settings | {"digest": self.digest})

    @property
    def asked(self) -> Settings:
        """The settings that say what was asked."""
        return {name: value for name, value in self.settings.items() if name not in MEASURED}


def settings_of(task: str, ablation: Ablation, prompts: int, seed: int) -> Settings:
    """What is asked of an entry."""
    return {
        "model": MODEL,
        "sha256": zoo.entry(MODEL).sha256,
        "prompts": prompts,
        "seed": seed,
        "corruption": next(iter(CORRUPTIONS[task])),
        "reference prompts": REFERENCE_PROMPTS,
        "reference seed": seed + 1,
        "ablation": ablation,
    }


def entry_of(oracle: Oracle, settings: Settings) -> StoredOracle:
    """What is stored of an oracle."""
    largest = float(oracle.error.max())
    error = (oracle.error / largest * 255).round().to(torch.uint8)
    measured = {"metric": oracle.metric, "heads": oracle.heads, "largest error": largest}
    return StoredOracle(oracle.mean.float(), error, settings | measured).signed()


def read(path: Path) -> dict[str, StoredOracle]:
    """All stored oracles, by "task/ablation"; none where there is no file.

    Raises:
        LabError: A damaged or altered file.
    """
    if not os.path.exists(path):  # False, too, where the folder is locked
        return {}
    try:
        with safe_open(path, framework="pt") as handle:
            entries = {
                name: StoredOracle(
                    handle.get_tensor(f"{name}/mean"),
                    handle.get_tensor(f"{name}/error"),
                    json.loads(text),
                )
                for name, text in (handle.metadata() or {}).items()
            }
        for name, entry in entries.items():
            if entry.digest != entry.settings["digest"]:
                raise ValueError(f"the checksum of {name} is another")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected stored oracles in {path}", f"cannot use it: {fault}", hint=REPAIR
        ) from None
    return entries


def write(oracle: Oracle, settings: Settings, path: Path) -> None:
    """Add an oracle to a file, or put it in the place of an older one.

    The file is read again first: another process may have added to it.

    Raises:
        LabError: A damaged file, or one that cannot be written.
    """
    entries = read(path) | {f"{oracle.task}/{oracle.ablation}": entry_of(oracle, settings)}
    tensors = {f"{name}/mean": entry.mean for name, entry in entries.items()}
    tensors |= {f"{name}/error": entry.error for name, entry in entries.items()}
    texts = {name: json.dumps(entry.settings, sort_keys=True) for name, entry in entries.items()}
    files.save_atomically(tensors, path, texts)


def stored(task: str, ablation: Ablation, path: Path = DATA) -> OracleSummary:
    """What ``python -m helpers oracle`` has stored of one task with one ablation.

    Raises:
        LabError: The file is damaged or altered, lacks the entry, or was measured on other weights.
    """
    entries, name = read(path), f"{task}/{ablation}"
    if name not in entries:
        raise LabError(
            f"expected an oracle stored in {path}: {', '.join(sorted(entries)) or 'none'}",
            f"got {name!r}",
            hint=REPAIR,
        )
    mean, error, settings = entries[name]
    if settings["sha256"] != zoo.entry(settings["model"]).sha256:
        raise LabError(
            f"expected an oracle of the weights of {settings['model']}",
            "it was measured on others",
            hint=REPAIR,
        )
    heads = tuple((layer, head) for layer, head in settings["heads"])
    scaled = error.float() / 255 * settings["largest error"]
    return OracleSummary(heads, task, settings["metric"], ablation, mean, scaled)
