"""The zoo: every model of the labs by name, and the manifest of those that the package brings."""

from helpers.zoo.loading import check, check_tensors, into_model, load, words_of
from helpers.zoo.manifest import (
    MANIFEST,
    Entry,
    entry,
    names,
    read_manifest,
    read_measured,
    weights_folder,
)

__all__ = [
    "MANIFEST",
    "Entry",
    "check",
    "check_tensors",
    "entry",
    "into_model",
    "load",
    "names",
    "read_manifest",
    "read_measured",
    "weights_folder",
    "words_of",
]
