"""The stored surveys of the public sets: the files give them, damage and differences are named."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import cli
from helpers.errors import LabError
from helpers.trust.data import surveys
from helpers.trust.data.public import COMMIT, SOURCES
from helpers.trust.data.published import PUBLISHED
from helpers.trust.data.surveys import compare, compute, numbers, stored, to_text


@pytest.fixture(scope="module")
def computed(shared_dir):
    return compute(shared_dir / "data" / "trust")


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """A copy of the stored file, in the place of the package's own."""
    path = tmp_path / "surveys.json"
    path.write_text(surveys.DATA.read_text())
    monkeypatch.setattr(surveys, "DATA", path)
    return path


def changed(path: Path, change) -> Path:
    """The file with its content changed by a function of it."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_the_files_give_what_is_stored(computed):
    known = stored()
    assert list(known) == list(computed) == list(SOURCES)
    for name, found in computed.items():
        assert numbers(known[name]) == pytest.approx(numbers(found), abs=2e-6), name
        assert (
            (known[name].name, known[name].published)
            == (name, PUBLISHED[name])
            == (found.name, found.published)
        )


def test_every_number_is_stored_with_its_interval():
    shares = [
        "capital",
        *(f"{part}.{kind}" for part in ("ordered", "grouped") for kind in ("bayes", "logistic")),
    ]
    beside = ("value", "low", "high", "majority", "balanced", "auroc")
    names = {"leaked", "length", "by_class", "capital_says"}
    names |= {f"{share}.{part}" for share in shares for part in beside}
    assert all(set(numbers(found)) == names for found in stored().values())


def test_the_file_says_what_it_stands_on():
    content = json.loads(surveys.DATA.read_text())
    assert (content["commit"], content["command"]) == (COMMIT, "python -m helpers surface --write")
    assert content["settings"] == {"n_splits": 5, "test_share": 0.2, "seed": 0}
    assert set(content["versions"]) == {"scikit-learn", "numpy"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", text) for text in content["versions"].values())
    origin = {name: (one["file"], one["sha256"]) for name, one in content["sets"].items()}
    assert origin == {name: (source.file, source.sha256) for name, source in SOURCES.items()}
    assert "/" not in surveys.DATA.read_text()  # no path


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "again.json"
    path.write_text(to_text(stored()))
    assert stored(path) == stored()
    sst2 = stored()["sst2"]
    other = stored() | {"sst2": replace(sst2, length=1 / 3, capital=replace(sst2.capital, low=0.9))}
    path.write_text(to_text(other))
    assert stored(path)["sst2"].length == pytest.approx(1 / 3, abs=1e-6)
    assert stored(path)["sst2"].capital.low == 0.9


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("sets"),
        lambda content: content.update(sets=[]),
        lambda content: content["sets"].pop("toxigen"),
        lambda content: content["sets"]["toxigen"].pop("sha256"),
        lambda content: content["sets"]["toxigen"].update(leaked=99.6),
        lambda content: content["sets"]["toxigen"].update(length=None),
        lambda content: content["sets"]["toxigen"].update(length=float("nan")),
        lambda content: content["sets"]["toxigen"].update(capital=0.5),
        lambda content: content["sets"]["toxigen"].update(by_class=0.5),
        lambda content: content["sets"]["toxigen"]["grouped"].pop("bayes"),
        lambda content: content["sets"]["toxigen"]["grouped"]["bayes"].update(high=1.01),
        lambda content: content["sets"]["toxigen"]["grouped"]["bayes"].update(auroc=float("nan")),
        lambda content: content["sets"]["toxigen"]["ordered"]["bayes"].update(low="0.1"),
        lambda content: content["sets"]["toxigen"]["ordered"]["bayes"].update(low=0.99),
        lambda content: content["sets"]["toxigen"]["ordered"]["bayes"].update(mean=0.5),
    ],
)
def test_a_damaged_file_is_named(copy, change):
    with pytest.raises(
        LabError,
        match=r"expected stored measurements in .*surveys.json; "
        r"cannot use it(.|\n)*surface --write",
    ):
        stored(changed(copy, change))


@pytest.mark.parametrize("content", [b"", b'{"sets": {', b"[]", b"\xff\xfe", None])
def test_a_file_that_is_no_json(copy, content):
    copy.write_bytes(content) if content is not None else copy.unlink()
    with pytest.raises(LabError, match="expected stored measurements in"):
        stored(copy)


def test_surveys_of_another_file_are_not_taken_for_these(copy):
    changed(copy, lambda content: content["sets"]["confaide"].update(sha256="0" * 64))
    with pytest.raises(LabError) as fault:
        stored(copy)
    assert f"confaide.csv with sha256 {SOURCES['confaide'].sha256}" in str(fault.value)
    assert f"sha256 {'0' * 64}" in str(fault.value)


def test_a_number_within_the_tolerance_is_the_stored_one(computed):
    known = stored()
    compare(computed, known)
    compare(
        computed,
        known | {"toxigen": replace(known["toxigen"], length=computed["toxigen"].length + 0.0049)},
    )
    for other in (computed["toxigen"].length + 0.0051, computed["toxigen"].length - 0.0051):
        with pytest.raises(
            LabError,
            match=r"within 0.005 of the stored ones; toxigen length is 0.4775, "
            rf"stored is {other:.4f}",
        ):
            compare(computed, known | {"toxigen": replace(known["toxigen"], length=other)})


def test_the_command_prints_both_sides_and_names_what_differs_most(shared_dir, copy, capsys):
    changed(copy, lambda content: content["sets"]["toxigen"]["ordered"]["bayes"].update(high=0.81))
    changed(copy, lambda content: content["sets"]["sst2"].update(leaked=0.82))
    assert cli.main(["surface", "--folder", str(shared_dir / "data" / "trust")]) == 1
    said = capsys.readouterr()
    assert re.search(r"error: .* toxigen ordered.bayes.high is 0.798\d, stored is 0.8100", said.err)
    lines = said.out.splitlines()
    assert len({len(line) for line in lines}) == 1  # columns are aligned
    assert [line.split()[:2] for line in lines[1:]] == [
        [name, side] for name in SOURCES for side in ("computed", "stored")
    ]
    known = stored()["truthfulqa"]
    shares = [known.leaked, known.capital.value, known.length]
    shares += [share.value for part in (known.ordered, known.grouped) for share in part.values()]
    kept_apart = known.grouped.values()
    shares += [known.capital.majority, *(share.balanced for share in kept_apart)]
    shares += [share.auroc for share in kept_apart]
    assert lines[1].split()[2:] == lines[2].split()[2:] == [f"{share:.3f}" for share in shares]
    assert [line.split()[2] for line in lines[9:]] == ["0.830", "0.820"]


def test_write_stores_anew_what_is_damaged_and_json_is_for_programs(
    shared_dir, copy, computed, capsys
):
    copy.write_text("half a fi")
    folder = str(shared_dir / "data" / "trust")
    assert cli.main(["surface", "--folder", folder, "--write", "--json"]) == 0
    said = capsys.readouterr()
    assert str(copy) in said.err
    assert copy.read_text() == to_text(computed)
    found = json.loads(said.out)
    assert list(found["computed"]) == list(found["stored"]) == list(SOURCES)
    assert found["stored"]["sst2"]["capital"]["value"] == stored(copy)["sst2"].capital.value
    assert found["computed"]["sst2"]["capital"]["value"] == computed["sst2"].capital.value


def test_without_files_nothing_is_written(copy, tmp_path, capsys):
    before = copy.read_text()
    assert cli.main(["surface", "--write", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"expected the file {tmp_path / 'truthfulqa_train.csv'}; there is none" in said.err
    assert "fetch it from https://raw.githubusercontent.com/ChnQ/TracingLLM" in said.err
    assert copy.read_text() == before


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_an_address_that_does_not_answer(nobody, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(
        LabError,
        match=f"expected to download {nobody}/truthfulqa_train.csv; "
        r"the system says(.|\n)*--folder DIR",
    ):
        compute(address=nobody)
    assert time.monotonic() - began < 5
    assert not list(tmp_path.iterdir())


def test_the_command_without_a_network(nobody, tmp_path):
    """A whole process, whose way to the network leads nowhere."""
    away = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nobody)
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    environment = (
        kept | away | {"LAB_CACHE": str(tmp_path), "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    )
    command = [sys.executable, "-m", "helpers", "surface"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("error: ") :]
    assert len(message.splitlines()) == 2  # nothing after the message, such as the end of a bar
    assert re.match(
        r"error: expected to download https://raw.githubusercontent.com/\S+/truthfulqa_train.csv; ",
        message,
    )
    assert "--folder DIR" in message
