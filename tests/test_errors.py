"""The package's one exception, and libraries that are not everywhere."""

import sys

import pytest

from helpers.errors import LabError, optional


def test_a_message_has_up_to_three_parts():
    assert str(LabError("expected a")) == "expected a"
    assert str(LabError("expected a", "got b")) == "expected a; got b"
    assert str(LabError("expected a", hint="do c")) == "expected a\n  try: do c"


def test_a_missing_library_names_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    missing = pytest.raises(LabError, match=r"the extra \[book\](.|\n)*circuits\[book\]")
    with missing as fault, optional("book"):
        import yaml  # noqa: F401
    assert "yaml" in str(fault.value)


def test_a_library_that_is_there_is_imported_and_other_faults_pass():
    with optional("book"):
        import json
    assert json.loads("1") == 1
    with pytest.raises(KeyError), optional("book"):
        raise KeyError
