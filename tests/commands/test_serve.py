"""The local server: it serves the book to this machine only, and explains why it cannot."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from helpers import cli
from helpers.commands import serve


@pytest.fixture
def book(tmp_path) -> Path:
    (tmp_path / "index.html").write_text("<title>The book</title>")
    return tmp_path


def test_it_serves_the_pages(book, capsys):
    with serve.make_server(book, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert server.server_address[0] == "127.0.0.1"
        assert b"The book" in urllib.request.urlopen(f"{address}/", timeout=300).read()
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(f"{address}/no-such-page.html", timeout=300)
        assert missing.value.code == 404
        missing.value.close()
        server.shutdown()
        thread.join()
    said = capsys.readouterr()
    assert said.out == ""
    assert "no-such-page" in said.err


def test_a_port_in_use_is_one_clear_message(book, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--dir", str(book), "--port", str(port)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"port {port}" in said.err
    assert f"--port {port + 1}" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_does_not_exist_is_refused(book, port, capsys):
    assert cli.main(["serve", "--dir", str(book), "--port", port]) == 1
    assert "--port 8001" in capsys.readouterr().err


def test_a_book_that_is_not_built_is_one_clear_message(tmp_path, capsys):
    assert cli.main(["serve", "--dir", str(tmp_path / "none")]) == 1
    assert "make book" in capsys.readouterr().err


def test_ctrl_c_before_the_first_page_is_served_stops_it_too(book, monkeypatch):
    """The interrupt comes at the moment when the address has been printed."""

    class Interrupting(io.StringIO):
        interrupted = False

        def flush(self) -> None:
            if not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt

    said = Interrupting()
    monkeypatch.setattr(sys, "stderr", said)
    assert cli.main(["serve", "--dir", str(book), "--port", "0"]) == 0
    assert said.getvalue().endswith("Ctrl-C stops it\nstopped\n")


def test_ctrl_c_stops_it_cleanly(book):
    command = [sys.executable, "-m", "helpers", "serve", "--dir", str(book), "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(Path(serve.__file__).parents[2])}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # ignored where the tests run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert "http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "stopped\n")
