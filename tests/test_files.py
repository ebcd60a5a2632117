"""Files that a kill cannot leave half written, and stored measurements that cannot be used."""

import json

import pytest

from helpers import files
from helpers.errors import LabError


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


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "text.json"
    files.write_atomically("old", path)
    files.write_atomically("new", path)
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["text.json"]
    with pytest.raises(LabError, match="expected to write"):
        files.write_atomically("newer", path / "text.json")
