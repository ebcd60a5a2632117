"""Oracles on disk: whole, of the weights in use, or refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers import zoo
from helpers.detox.oracle import linear, load, save, shipped
from helpers.detox.oracle.network import blank
from helpers.detox.oracle.stored import about
from helpers.errors import LabError
from tests.detox.oracle import tiny


@pytest.fixture
def stored(tmp_path):
    oracle = blank(tiny.SHAPE, 3)
    with torch.no_grad():
        oracle.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    path = tmp_path / "oracle.safetensors"
    save(oracle, path, {"model": "tinyworld", "sha256": zoo.entry("tinyworld").sha256, "n": 3})
    return oracle, path


def test_what_is_read_is_what_was_written(stored):
    oracle, path = stored
    again, before = load(path), oracle.state_dict()
    assert all(torch.equal(before[name], value) for name, value in again.state_dict().items())
    assert again.network.shape == oracle.network.shape
    assert about(path)["n"] == 3
    assert all(weight.requires_grad for weight in again.parameters())
    with torch.inference_mode():
        assert not load(path).head.weight.is_inference()


def rewritten(path, change_tensors=None, change_header=None):
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        header = dict(handle.metadata())
    if change_tensors:
        change_tensors(tensors)
    if change_header:
        change_header(header)
    save_file(tensors, path, header)


def another_weight(tensors):
    tensors["unembed.bias"][0] += 1


def another_word_about_it(header):
    said = json.loads(header["oracle"])
    said["about"]["n"] = 4
    header["oracle"] = json.dumps(said, sort_keys=True)


@pytest.mark.parametrize("fault", ["weight", "header", "no header", "half", "missing", "no file"])
def test_a_file_that_is_not_as_it_was_written_is_refused(stored, fault):
    _, path = stored
    if fault == "weight":
        rewritten(path, change_tensors=another_weight)
    elif fault == "header":
        rewritten(path, change_header=another_word_about_it)
    elif fault == "no header":
        rewritten(path, change_header=lambda header: header.clear())
    elif fault == "missing":
        rewritten(path, change_tensors=lambda tensors: tensors.pop("unembed.bias"))
    elif fault == "half":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    for read in (load, about, shipped):
        with pytest.raises(LabError, match="expected a stored oracle in"):
            read(path)


def test_an_oracle_of_other_weights_is_refused(stored):
    oracle, path = stored
    assert torch.equal(shipped(path).head.weight, oracle.head.weight)
    save(oracle, path, {"model": "tinyworld", "sha256": "0" * 64})
    with pytest.raises(LabError, match="an oracle fitted to the weights of tinyworld"):
        shipped(path)
    save(oracle, path)
    with pytest.raises(LabError, match="an oracle fitted to the weights of an embedded model"):
        shipped(path)


def test_a_linear_oracle_is_nothing_without_its_base(tmp_path):
    with pytest.raises(LabError, match="a network of its own; got a LinearOracle"):
        save(linear(tiny.network()), tmp_path / "oracle.safetensors")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="expected to write"):
        save(blank(tiny.SHAPE, 0), tmp_path / "file" / "oracle.safetensors")
