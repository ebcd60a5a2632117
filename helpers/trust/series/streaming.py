"""Weights that pass through the disk: downloaded into a temporary folder, loaded, and gone."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import runtime
from helpers.errors import LabError
from helpers.model import Model


def download(repository: str, revision: str, folder: Path) -> None:
    """Put the files of a revision into a folder, and nothing into the shared cache of the hub.

    Raises:
        LabError: the hub does not answer, or the repository, the revision or its safetensors do not
            exist.
    """
    # else the transfer library keeps a copy of its own
    os.environ.setdefault("HF_XET_CHUNK_CACHE_SIZE_BYTES", "0")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.safetensors", "*.model"]
    try:
        snapshot_download(
            repository, revision=revision, local_dir=folder, allow_patterns=wanted, max_workers=2
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as fault:
        raise LabError(
            f"expected {repository} at {revision} from the Hugging Face hub",
            f"it did not come: {(str(fault).strip() or type(fault).__name__).splitlines()[0]}",
            hint="check the name, the step and the network; results that were already computed are "
            "kept",
        ) from None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the cache for as long as the ``with`` lasts.

    What killed processes of this machine left is cleared away. Its name holds the machine and the
    process, since a cache may lie on a disk that several machines share.
    """
    root = runtime.cache_dir() / "streamed"
    root.mkdir(exist_ok=True)
    mine = f"{socket.gethostname()}.{os.getpid()}."
    for left in root.iterdir():
        host, _, rest = left.name.rpartition(".")[0].rpartition(".")
        if host == socket.gethostname() and rest.isdigit() and not _alive(int(rest)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=mine, dir=root) as folder:
        yield Path(folder)


def own(model: Model) -> Model:
    """The model with its weights in memory of its own.

    Loading may map the file instead of reading it, and a mapped file keeps its place on the disk
    after it was removed.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
