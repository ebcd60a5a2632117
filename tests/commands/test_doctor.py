"""The doctor finds each fault and names its remedy."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from helpers import cli, zoo
from helpers.arithmetic.training.recipes import RECIPES
from helpers.commands import doctor
from helpers.tinyworld.models.recipes import RECIPES as TEXTS
from helpers.zoo import publish

ROOT = Path(doctor.__file__).parents[2]


def faults() -> list[str]:
    return [str(finding) for finding in doctor.examine() if finding.is_fault]


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A weights folder with one small published model for each recipe."""
    from dataclasses import replace

    from helpers import training
    from helpers.arithmetic.training import recipes
    from helpers.tinyworld.models import recipes as texts

    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    small, small_texts = {}, {}

    def shelve(name, recipe, data, task_of):
        little = replace(recipe, data=data, steps=1, batch_size=2, warmup_steps=1, n_checkpoints=0)
        training.train(little, task_of(little), tmp_path / name)
        publish.publish(name, tmp_path / name)
        return little

    # the adders first: the mixed models are built on these very weights
    for name, recipe in recipes.RECIPES.items():
        source = recipe.data.get("source")
        data = recipe.data | ({"sha256": zoo.entry(source).sha256[:12]} if source else {})
        small[name] = shelve(name, recipe, data, recipes.task_of)
    for name, recipe in texts.RECIPES.items():
        small_texts[name] = shelve(name, recipe, recipe.data, texts.task_of)
    monkeypatch.setattr(recipes, "RECIPES", small)
    monkeypatch.setattr(texts, "RECIPES", small_texts)
    return folder


def test_a_sound_installation_has_no_faults(shelf, capsys):
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "all is well" in said.err
    assert said.err.count("checksum right") == len(zoo.names())


def test_a_damaged_and_a_missing_weight_file_are_two_faults(shelf, capsys):
    path = shelf / "add-d3.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    (shelf / "add-d5.safetensors").unlink()
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert said.count("FAULT") == 2
    assert "add-d3.safetensors" in said
    assert "add-d5" in said
    assert said.count("reinstall") == 2
    assert "2 faults to mend" in said


def test_a_missing_manifest_is_one_fault(shelf):
    (shelf / zoo.MANIFEST).unlink()
    assert len(faults()) == 1
    assert "reinstall" in faults()[0]


def test_a_model_that_was_never_published_is_a_fault(shelf):
    (shelf / zoo.MANIFEST).write_text("{}")
    found = faults()
    assert {re.search(r"weights of (\S+):", fault)[1] for fault in found} == (
        RECIPES | TEXTS
    ).keys()
    assert all("python -m helpers train" in fault for fault in found)


def test_a_device_that_does_not_answer_is_a_fault(shelf, monkeypatch):
    monkeypatch.setenv("LAB_DEVICE", "cuda:77")
    assert [re.search("LAB_DEVICE=cpu", fault) is not None for fault in faults()] == [True]


def test_a_cache_that_cannot_be_made_is_a_fault(shelf, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "cache"))
    assert [re.search("set LAB_CACHE", fault) is not None for fault in faults()] == [True]


@pytest.mark.parametrize(
    ("name", "least", "fault"),
    [
        ("numpy", "1.0", ""),
        ("numpy", "999.0", "too old"),
        ("no-such-package-here", "1.0", "not installed"),
    ],
)
def test_packages_are_there_and_new_enough(name, least, fault):
    finding = doctor.package(name, least)
    assert finding.is_fault == bool(fault)
    assert fault in finding.text
    assert not fault or f'pip install "{name}>={least}"' == finding.remedy


def test_version_numbers_compare_as_numbers():
    assert doctor._numbers("2.13.0+cpu") > doctor._numbers("2.6")
    assert doctor._numbers("3.9.0rc1") >= doctor._numbers("3.9")


def test_an_old_python_is_a_fault():
    assert doctor.python_version((3, 10, 9)).is_fault
    assert not doctor.python_version((3, 12, 0)).is_fault


def test_the_required_versions_are_those_of_the_project():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pairs = [re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups() for line in stated]
    assert doctor.required() == dict(pairs)


def test_a_package_that_is_not_installed_is_one_fault(monkeypatch):
    monkeypatch.setattr(doctor, "PROJECT", "no-such-package-here")
    (fault,) = faults()
    assert "no-such-package-here is not installed" in fault
    assert "pip install" in fault


def test_without_a_browser_there_is_a_note_but_no_fault(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not doctor.browser().is_fault
    assert "skipped" in doctor.browser().text
