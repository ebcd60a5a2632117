"""Where a lab runs: device, seed, progress bars, folders, and the lines that open a lab."""

import json
import os
import random
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from helpers import __version__
from helpers.errors import LabError
from helpers.output import say

_QUIET = {  # set before the libraries are imported; a value that the user has set wins
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}
GIB = 2**30
MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Cost:
    """What a lab cost when it was last measured: seconds, peak memory in MiB, on how many cores."""

    seconds: float
    peak_mib: float
    cores: int


def in_colab() -> bool:
    """Whether this is a Google Colab kernel: only there is this module loaded before any cell."""
    return "google.colab" in sys.modules


def in_notebook() -> bool:
    """Whether a live Jupyter kernel runs this code."""
    return "ipykernel" in sys.modules


def device() -> str:
    """``"cuda"`` where a GPU answers, else ``"cpu"``; set LAB_DEVICE to overrule.

    Raises:
        LabError: The device that LAB_DEVICE names does not answer.
    """
    named = os.environ.get("LAB_DEVICE")
    if named:
        return answering(named)
    return "cuda" if torch.cuda.is_available() else "cpu"


def answering(name: str) -> str:
    """The name of a device, after it has been asked to compute something.

    Raises:
        LabError: This machine has no such device, or it does not answer.

    >>> answering("cpu")
    'cpu'
    """
    try:
        torch.ones(3, device=name).sum().item()
    except (RuntimeError, AssertionError, ImportError, TypeError) as fault:
        raise LabError(
            "expected a device that answers, such as cpu, or cuda where there is a GPU",
            f"got {name!r}: {(str(fault) or type(fault).__name__).splitlines()[0]}",
            hint="unset LAB_DEVICE, or set LAB_DEVICE=cpu",
        ) from None
    return name


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, for code that a reader adds; the helpers have their own."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def gradients() -> Iterator[None]:
    """Code that differentiates works inside, whatever mode the caller has set; it comes back.

    >>> with torch.no_grad(), gradients():
    ...     torch.ones(1, requires_grad=True).sum().requires_grad
    True
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


def cache_dir() -> Path:
    """Folder for downloads and stored results: $LAB_CACHE, else ~/.cache/trustworthy-circuits.

    Raises:
        LabError: It cannot be made, or this user has no home folder.
    """
    remedy = "set LAB_CACHE to a folder that you may write to"
    named = os.environ.get("LAB_CACHE") or "~/.cache/trustworthy-circuits"
    folder = expanded(named, remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise LabError(
            f"expected the cache folder {folder}", f"the system says: {fault}", hint=remedy
        ) from None
    return folder


def expanded(path: str, hint: str = "set HOME, or write the path without ~") -> Path:
    """A path that a person wrote, with their home folder in place of ``~``.

    Raises:
        LabError: They have no home folder, as in a container that does not know its user.

    >>> expanded("runs/add-d5").as_posix()
    'runs/add-d5'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as fault:
        raise LabError(
            f"expected a home folder in place of ~ in {path}",
            f"the system says: {fault}",
            hint=hint,
        ) from None


def progress(items: Iterable, label: str, **options):
    """A progress bar that suits the place: widget-free in notebooks, one line a minute in logs,
    live in a terminal.

    >>> list(progress([1, 2], "count"))
    [1, 2]
    """
    from tqdm import tqdm

    live = sys.stderr.isatty() or in_notebook()
    interval = 0.5 if live else 60.0  # a log keeps every refresh for ever
    return tqdm(
        items, desc=label, mininterval=interval, file=sys.stderr, dynamic_ncols=live, **options
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries whose behaviour the labs depend on."""
    names = ("torch", "transformer-lens", "transformers", "numpy", "matplotlib")
    installed = {"python": sys.version.split()[0]}
    for name in names:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "missing"
    return installed


def cores() -> int:
    """CPU cores that this process may use: those that its affinity and its container leave it."""
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    # no such file (not Linux, no container), or no limit ("max 100000")
    except (OSError, ValueError):
        return allowed


def free_memory(device: str) -> float | None:
    """Free memory of a device in GiB; None where the system does not say."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0] / GIB
    try:
        lines = MEMORY.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    free = next((line.split()[1] for line in lines if line.startswith("MemAvailable")), None)
    return None if free is None else int(free) * 1024 / GIB


def release_memory() -> None:
    """Give memory that was freed back to the system.

    The GNU C library keeps what tensors below 32 MiB leave behind, in holes that the next ones do
    not always fit in: a lab that holds 0.4 GB can grow to 2. Elsewhere this does nothing.

    >>> release_memory()
    """
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other C libraries do not have it
            trim(0)


def measured(lab: str, file: Path | None = None) -> Cost | None:
    """The cost of a lab as ``helpers/data/measured.json`` has it; None if it was not measured."""
    file = file or Path(__file__).parent / "data" / "measured.json"
    if not file.is_file():
        return None
    entry = json.loads(file.read_text(encoding="utf-8")).get(lab)
    return Cost(entry["seconds"], entry["peak_mib"], entry["cores"]) if entry else None


def start(lab: str, seed: int = 0) -> None:
    """Open a lab: seed, threads, quiet libraries; print where it runs and how long to expect.

    It installs and upgrades nothing, and asks nothing of the network.

    Args:
        lab: Name of the lab, such as ``"lab0"``.
        seed: Seed of Python, NumPy and torch; the helpers take their own.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message=".*HF_TOKEN.*")  # no model of the labs needs a token
    # torch counts cores that a container withholds
    torch.set_num_threads(min(torch.get_num_threads(), cores()))
    seed_everything(seed)
    threads = torch.get_num_threads()
    place = f"device {device()}, {threads} CPU thread{'s' * (threads > 1)}"
    say(f"{lab} · helpers {__version__} · {place} · seed {seed}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    cost = measured(lab)
    if cost:
        minutes, memory = max(1, round(cost.seconds / 60)), f"{cost.peak_mib / 1024:.1f} GiB"
        measured_on = f"(measured on {cost.cores} CPU cores)"
        print(f"expect about {minutes} min and {memory} of memory {measured_on}")
    for name, version in versions().items():
        if version == "missing":
            print(f"{name} is missing: install it with  pip install {name}")
