"""A study in cells: killed at any moment it goes on, and what is not its own is refused."""

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors import safe_open

from helpers import files
from helpers.errors import LabError
from helpers.files import cells
from helpers.files.cells import Contents


@dataclass(frozen=True)
class Piece:
    """A cell of a study of pieces."""

    name: str

    def __str__(self):
        return f"piece/{self.name}"

    @property
    def file(self):
        return cells.file_of(str(self))


PIECES = [Piece(name) for name in ("first", "the second", "third")]


def made(piece, size=1):
    return {"cell": str(piece), "size": size}


def contents(piece):
    return Contents({"key": str(piece), "value": 1 / 3}, {"x": torch.arange(len(piece.name))})


def silent(text):
    pass


def test_a_cell_comes_back_as_it_was(tmp_path):
    cells.keep(PIECES[1], contents(PIECES[1]), made(PIECES[1]), tmp_path)
    back = cells.opened(PIECES[1], made(PIECES[1]), tmp_path)
    assert back.result == {"key": "piece/the second", "value": 1 / 3}
    assert back.tensors["x"].tolist() == list(range(10))
    assert [path.name for path in tmp_path.iterdir()] == ["piece-the_second.safetensors"]


def test_a_file_says_in_plain_json_what_it_holds(tmp_path):
    """The format is read by others too: by its header's names."""
    cells.keep(PIECES[0], contents(PIECES[0]), made(PIECES[0]), tmp_path)
    with safe_open(tmp_path / "piece-first.safetensors", framework="pt") as handle:
        header = handle.metadata()
    assert json.loads(header["made"]) == made(PIECES[0])
    assert json.loads(header["result"])["value"] == 1 / 3
    assert len(header["contents"]) == 64


def test_a_killed_study_goes_on_where_it_was(tmp_path):
    begun, said = [], []

    def killed(piece):
        begun.append(piece)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return contents(piece)

    with pytest.raises(KeyboardInterrupt):
        cells.measure_absent(PIECES, tmp_path, made, killed, said.append)
    assert cells.absent(PIECES, tmp_path) == PIECES[1:]
    cells.measure_absent(PIECES, tmp_path, made, killed, said.append)
    assert begun == [PIECES[0], PIECES[1], *PIECES[1:]]
    assert [line.split(":")[0] for line in said] == [str(piece) for piece in PIECES]


def test_a_kill_while_a_cell_is_written_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.files.atomic._put_in_place", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cells.measure_absent(PIECES, tmp_path, made, contents, silent)
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_has_measured_meanwhile_is_left_alone(tmp_path):
    measured = []

    def with_another(piece):
        measured.append(piece)
        cells.keep(PIECES[2], Contents({"key": "the other's"}), made(PIECES[2]), tmp_path)
        return contents(piece)

    cells.measure_absent(PIECES, tmp_path, made, with_another, silent)
    assert measured == PIECES[:2]
    assert cells.opened(PIECES[2], made(PIECES[2]), tmp_path).result == {"key": "the other's"}


def test_cells_of_other_settings_are_refused_before_the_work(tmp_path):
    cells.measure_absent(PIECES[2:], tmp_path, made, contents, silent)
    words = r"expected cells made with {'size': 2} in .*; .* was made with {'size': 1}"
    with pytest.raises(LabError, match=words):
        cells.measure_absent(
            PIECES, tmp_path, lambda each: made(each, 2), lambda each: pytest.fail("work"), silent
        )
    assert cells.absent(PIECES, tmp_path) == PIECES[:2]


@pytest.mark.parametrize("place", [b"1.0e-01", b'"size": 1'])
def test_a_byte_that_has_changed_is_seen(place, tmp_path):
    piece = PIECES[0]
    cells.keep(piece, Contents({"value": "1.0e-01"}), made(piece), tmp_path)
    path = tmp_path / piece.file
    whole = path.read_bytes()
    escaped = place.replace(b'"', b'\\"')
    changed = bytearray(whole)
    changed[whole.index(escaped) + len(escaped) - 1] ^= 3
    path.write_bytes(bytes(changed))
    with pytest.raises(LabError, match="expected the cell piece/first in"):
        cells.opened(piece, made(piece), tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 80])
def test_a_file_that_is_no_cell_is_refused_and_left(content, tmp_path):
    path = tmp_path / PIECES[0].file
    path.write_bytes(content)
    with pytest.raises(LabError, match="expected the cell piece/first in"):
        cells.measure_absent(PIECES[:1], tmp_path, made, contents, silent)
    assert path.read_bytes() == content


def test_a_whole_study_is_one_file_of_json(tmp_path):
    results = {piece: contents(piece).result for piece in PIECES}
    path = tmp_path / "study.json"
    cells.put_together({"plan": {"size": 1}}, results, path)
    raw = json.loads(path.read_text())
    assert raw["plan"] == {"size": 1}
    assert list(raw["cells"]) == [str(piece) for piece in PIECES]
    back = cells.taken_apart(raw["cells"], lambda key: Piece(key.split("/")[1]), PIECES)
    assert back == results
    assert cells.stored_cell(back, PIECES[1], "measure")["key"] == "piece/the second"
    with pytest.raises(LabError, match=r"expected a cell that is stored; got 'piece/none'\n.*now"):
        cells.stored_cell(back, Piece("none"), "measure it now")


def test_a_study_that_lacks_cells_names_the_first():
    with pytest.raises(ValueError, match="2 cells are missing, first 'piece/the second'"):
        cells.taken_apart({"piece/first": {}}, lambda key: Piece(key.split("/")[1]), PIECES)


def test_what_stands_beside_a_file_of_results_is_not_that_file(tmp_path):
    assert cells.beside(tmp_path / "a.json") == tmp_path / "a.cells"
    assert cells.beside(tmp_path / "a.json", ".safetensors").name == "a.safetensors"
    with pytest.raises(LabError, match=r"expected a file of numbers that does not end on \.cells"):
        cells.beside(tmp_path / "a.cells")


def test_the_face_has_what_others_use():
    assert files.DATA.name == "data"
    assert (files.DATA / "masks.json").is_file()
