"""What an installation brings: declared imports, a fitting lock, all files; Colab is left alone."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(text) for text in texts]
    for name, texts in PROJECT["optional-dependencies"].items()
}

# What Colab's image of August 2026 holds; an install there must not replace any of it.
COLAB = {
    "torch": "2.11.0",
    "numpy": "2.1.3",
    "scipy": "1.16.0",
    "scikit-learn": "1.6.1",
    "joblib": "1.5.3",
    "matplotlib": "3.10.0",
    "ipywidgets": "7.7.1",
}
IMPORTED_AS = {
    "sklearn": "scikit-learn",
    "PIL": "matplotlib",
    "yaml": "PyYAML",
    "IPython": "ipywidgets",
}
BROUGHT = {
    "huggingface_hub",
    "transformers",
    "tokenizers",
    "threadpoolctl",
}  # by transformer-lens and scikit-learn


def pins() -> dict[str, str]:
    lines = [
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ;.*)?", line) for line in lines), (
        "exact pins only"
    )
    return {
        canonicalize_name(line.split("==")[0]): line.split("==")[1].split(" ")[0] for line in lines
    }


def imports(tree: ast.Module, nested: bool) -> set[str]:
    """Top-level names of the packages that a module imports, also within its functions."""
    nodes = ast.walk(tree) if nested else tree.body
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(tree) if nested else tree.body
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"helpers"}


def undeclared(names: set[str], requirements: list[Requirement]) -> set[str]:
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    return {n for n in names - BROUGHT if canonicalize_name(IMPORTED_AS.get(n, n)) not in declared}


@pytest.mark.parametrize("nested", [False, True], ids=["at load", "in functions"])
def test_every_import_is_declared(nested):
    requirements = BASE + (
        [requirement for extra in EXTRAS.values() for requirement in extra] if nested else []
    )
    faults = {}
    for path in (ROOT / "helpers").rglob("*.py"):
        found = undeclared(
            imports(ast.parse(path.read_text(encoding="utf-8")), nested), requirements
        )
        if found:
            faults[path.relative_to(ROOT).as_posix()] = found
    assert not faults


def test_labs_import_only_the_base_install():
    for path in (ROOT / "labs").glob("lab*.py"):
        assert not undeclared(imports(ast.parse(path.read_text(encoding="utf-8")), True), BASE), (
            path.name
        )


def test_the_lock_fits_the_declared_ranges():
    locked = pins()
    for requirement in [*BASE, *EXTRAS["book"], *EXTRAS["scale"], *EXTRAS["dev"]]:
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in the lock"
        assert requirement.specifier.contains(version), f"{requirement} does not admit {version}"


def test_the_lock_names_no_host_and_no_path():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|file:|^-|@|\+", re.sub(r"^#.*$", "", text, flags=re.M), flags=re.M)
    assert pins()["transformer-lens"].startswith("3.9.")


def test_colab_keeps_what_it_has():
    ranges = {canonicalize_name(requirement.name): requirement.specifier for requirement in BASE}
    for name, version in COLAB.items():
        assert ranges[name].contains(version), (
            f"{name}{ranges[name]} would replace Colab's {version}"
        )


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_repository_is_named_in_one_place():
    """Elsewhere its address stands in generated files only, which other tests look after."""
    import yaml

    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].removeprefix(
        "https://"
    )
    generated = {"README.md", *(path.name for path in (ROOT / "labs").glob("*.ipynb"))}
    texts = [path for path in tracked() if path.suffix not in (".safetensors", ".png", ".npz")]
    holders = {
        path.name for path in texts if address in path.read_text(encoding="utf-8", errors="replace")
    }
    assert holders - generated == {"_config.yml"}


def test_the_citation_file_is_complete():
    import yaml

    from helpers import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == __version__
    assert citation["authors"] == [{"name": "Trustworthy Circuits contributors"}]


def test_the_licences_are_whole():
    code, text = (ROOT / "LICENSE").read_text(), (ROOT / "LICENSE-TEXT").read_text()
    assert "Apache License" in code
    assert "END OF TERMS AND CONDITIONS" in code
    assert "Attribution 4.0 International" in text
    assert "Section 8" in text


@pytest.mark.slow
def test_the_wheel_holds_weights_data_and_assets(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    copy = tmp_path / "source"
    copy.mkdir()
    for path in tracked():  # setuptools leaves a build folder beside what it builds
        if path.relative_to(ROOT).parts[0] in (
            "helpers",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "LICENSE-TEXT",
        ):
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    done = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = {
        path.relative_to(copy).as_posix()
        for path in (copy / "helpers").rglob("*")
        if path.is_file()
    }
    assert not wanted - held


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, helpers; heavy = {'torch', 'numpy', 'transformer_lens', 'matplotlib'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
