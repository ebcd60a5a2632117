"""Files that a kill cannot leave half written, public ones, and the cells of a study.

- `atomic`: a file is the old one or the new one, never half of one; checksums, stored measurements.
- `fetched`: public files, downloaded once and held to a digest.
- `cells`: what a study measures piece by piece, a file each.
- `runs`: a folder that belongs to one run.
"""

from helpers.files.atomic import (
    DATA,
    cannot_write,
    check_writable,
    checksum,
    discard,
    read_stored,
    save_atomically,
    write_atomically,
)
from helpers.files.fetched import PublicFile, fetch
from helpers.files.runs import same_run, weights_checksum

__all__ = [
    "DATA",
    "PublicFile",
    "cannot_write",
    "check_writable",
    "checksum",
    "discard",
    "fetch",
    "read_stored",
    "same_run",
    "save_atomically",
    "weights_checksum",
    "write_atomically",
]
