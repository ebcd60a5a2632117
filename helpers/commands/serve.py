"""``python -m helpers serve``: the built book in a browser of this machine."""

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

from helpers.errors import LabError, command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        help="port on 127.0.0.1 (default: 8000; 0 takes a free one)",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("_build/html"),
        help="folder of the built book (default: _build/html)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    try:
        with make_server(arguments.dir, arguments.port) as server:
            address = f"http://127.0.0.1:{server.server_port}/"
            print(f"the book is at {address} ; Ctrl-C stops it", file=sys.stderr, flush=True)
            server.serve_forever()
    except KeyboardInterrupt:  # at whatever moment it comes
        print("stopped", file=sys.stderr)
    return 0


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments) -> None:
        """Say nothing about pages that are there; `log_error` still reports a missing one."""

    def log_error(self, format: str, *arguments) -> None:
        print(f"{self.path}: {format % arguments}", file=sys.stderr)


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the folder that only this machine can reach.

    Raises:
        LabError: No book in the folder, or a port that cannot be had.
    """
    if not (folder / "index.html").is_file():
        raise LabError(
            f"expected the built book in {folder}",
            "there is no index.html",
            hint="build it first: make book",
        )
    try:
        return ThreadingHTTPServer(
            ("127.0.0.1", port), partial(_QuietHandler, directory=str(folder))
        )
    except (OSError, OverflowError) as fault:
        another = port + 1 if 0 < port < 65535 else 8001
        again = command("serve", "--port", another, "--dir", folder)
        raise LabError(
            f"expected port {port} of 127.0.0.1 to be free",
            f"the system says: {fault}",
            hint=f"stop what uses it, or take another: {again}",
        ) from None
