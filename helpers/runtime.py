"""Where a lab runs: device, seed, progress bars, cache folder, and the line that opens every lab."""

import os
import random
import sys
from collections.abc import Iterable
from importlib import metadata, util
from pathlib import Path

import numpy as np
import torch


def in_colab() -> bool:
    """Whether this is a Google Colab kernel."""
    return util.find_spec("google.colab") is not None if "google" in sys.modules else False


def in_notebook() -> bool:
    """Whether a live Jupyter kernel runs this code."""
    return "ipykernel" in sys.modules


def device() -> str:
    """``"cuda"`` where a GPU answers, else ``"cpu"``; set LAB_DEVICE to overrule."""
    return os.environ.get("LAB_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch. The helpers take their own seeds; this one is for code a reader adds."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def cache_dir() -> Path:
    """Folder for downloads and stored results: $LAB_CACHE, else ~/.cache/trustworthy-circuits."""
    folder = Path(os.environ.get("LAB_CACHE") or Path.home() / ".cache" / "trustworthy-circuits")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def progress(items: Iterable, label: str, **options):
    """A progress bar that suits the place: widget-free in notebooks, one line a minute in logs, live in a terminal.

    >>> list(progress([1, 2], "count"))
    [1, 2]
    """
    from tqdm import tqdm

    live = sys.stderr.isatty() or in_notebook()
    interval = 0.5 if live else 60.0  # a log keeps every refresh for ever
    return tqdm(items, desc=label, mininterval=interval, file=sys.stderr, dynamic_ncols=live, **options)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries whose behaviour the labs depend on."""
    names = ("torch", "transformer-lens", "transformers", "numpy", "matplotlib")
    found = {"python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
