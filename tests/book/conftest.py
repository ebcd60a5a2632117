"""The built book, served on this machine; built first where it is missing or out of date."""

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built book, which `make` brings up to date in the environment of the tests."""
    ready = Path(sys.prefix) / ".ready"
    command = ["make", "--old-file", str(ready), f"VENV={sys.prefix}", "book"]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"the book does not build:\n{done.stdout[-8000:]}"
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def site(html):
    """Address of the built book on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def pages(html) -> list[str]:
    """Every page of the book, as a path below the site's address; no page that only forwards."""
    found = sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))
    return [path for path in found if path != "index.html" and not path.startswith("_static/")]
