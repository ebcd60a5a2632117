"""Files that a kill cannot leave half written, and stored measurements that cannot be used."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers import files
from helpers.errors import LabError
from helpers.files import atomic


def test_stored_measurements_are_parsed(tmp_path):
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({"a": 1}))
    assert files.read_stored(path, lambda content: content["a"], "measure anew") == 1


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"a": null}'])
def test_unusable_measurements_are_refused_with_the_way_out(content, tmp_path):
    path = tmp_path / "measured.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LabError, match=r"expected stored measurements in .*\n.*try: measure anew"):
        files.read_stored(path, lambda content: content["a"] + 1, "measure anew")


@pytest.mark.parametrize("name", ["file/out", "file/more/out", "folder", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused_beforehand(name, tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LabError, match=r"expected to write .*; the system says"):
        files.check_writable(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder in which nobody can write")
def test_a_folder_that_takes_no_files_is_refused_beforehand():
    with pytest.raises(LabError, match="expected to write /proc/out"):
        files.check_writable(Path("/proc/out"))


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    (tmp_path / "old").write_text("kept")
    files.check_writable(tmp_path / "old")
    files.check_writable(tmp_path / "new" / "out")
    assert (tmp_path / "old").read_text() == "kept"
    assert list((tmp_path / "new").iterdir()) == []


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    for content, written in (("é\n", "é\n".encode()), (b"a\r\n\xff", b"a\r\n\xff")):
        files.write_atomically(content, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == written


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "text.json"
    files.write_atomically("old", path)
    files.write_atomically("new", path)
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["text.json"]
    with pytest.raises(LabError, match="expected to write"):
        files.write_atomically("newer", path / "text.json")


def text(path, value):
    files.write_atomically(str(value), path)


def tensors(path, value):
    files.save_atomically({"x": torch.tensor(value)}, path, {})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the other process is a fork of this one")
@pytest.mark.parametrize("write", [text, tensors])
def test_two_processes_that_write_one_file_leave_a_whole_one_each(write, tmp_path, monkeypatch):
    """The other one begins and ends while this one has written all but the name."""
    path, place = tmp_path / "cell.safetensors", atomic._put_in_place
    seen = []

    def meanwhile(scratch, target):
        with monkeypatch.context() as alone:
            alone.setattr(atomic, "_put_in_place", place)
            other = multiprocessing.get_context("fork").Process(target=write, args=(path, 2))
            other.start()
            other.join(60)
        seen.append((other.exitcode, path.read_bytes()))
        place(scratch, target)

    monkeypatch.setattr(atomic, "_put_in_place", meanwhile)
    write(path, 1)
    ((code, theirs),) = seen
    assert code == 0
    assert theirs != path.read_bytes(), "each has written its own"
    if write is tensors:
        assert int(load_file(path)["x"]) == 1
    else:
        assert (theirs, path.read_text()) == (b"2", "1")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_nothing_beside_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    files.write_atomically("old", path)

    def interrupted(scratch, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "_put_in_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically("new", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
