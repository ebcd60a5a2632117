"""The house: imports go down one list of layers, and round in no circle.

The syntax tree is walked, so that an import counts wherever it stands: in a function, or for a type
checker alone.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PAPERS = ("arithmetic", "trust", "circuits", "knowledge", "detox")
LAYERS = (
    ("labs", "cli", "commands"),
    ("course", "book"),
    ("changes",),
    PAPERS,
    ("tinyworld",),
    ("zoo",),
    ("show", "training", "attribution"),
    ("texts", "interventions", "stats", "clone", "files"),
    ("runtime", "parallel", "timing", "output", "inputs", "model", "errors"),
)
"""From the top down. A room imports from the layers below its own, and from its own layer where the
list says nothing else: papers do not import each other."""

ROOMS = {
    "arithmetic": {
        "explorer": {"verification", "questions"},
        "reuse": {"training", "circuit", "verification", "questions"},
        "training": {"verification", "questions"},
        "circuit": {"verification", "questions"},
        "verification": {"questions"},
    },
    "trust": {
        "explorer": {"data", "series", "probes", "steering", "information"},
        "steering": {"series"},
        "probes": {"data"},
        "information": {"data", "series", "probes"},
    },
    "circuits": {
        "study": {"rivals", "oracle", "graph", "codes", "tasks", "judging"},
        "explorer": {"judging", "tasks"},
        "rivals": {"graph", "codes", "tasks", "judging"},
        "oracle": {"graph", "codes", "tasks", "judging"},
        "graph": {"tasks", "judging"},
        "codes": {"tasks", "judging"},
    },
    "knowledge": {
        "explorer": {"editing", "masks", "facts"},
        "editing": {"facts", "masks"},
        "masks": {"facts"},
        "study": {"facts", "masks"},
        "tracing": {"facts"},
        "edit_study": {"study", "editing", "tracing", "masks", "facts"},
        "real": {"edit_study", "study", "editing", "masks", "facts"},
    },
    "detox": {
        "posts": {"networks"},
        "oracle": {"networks", "posts"},
        "finetune": {"oracle", "networks", "posts"},
        "rivals": {"finetune", "oracle", "networks", "posts"},
        "judging": {"networks", "posts"},
        "detection": {"finetune", "oracle", "networks", "posts", "judging"},
        "study": {
            *("exact", "networks", "posts", "oracle", "finetune", "rivals", "judging"),
            "detection",
        },
        "real": {"oracle", "finetune", "networks", "rivals"},
        "explorer": {"study", "judging", "posts", "networks"},
    },
    "tinyworld": {"models": {"sets", "language", "bestiary"}, "sets": {"language"}},
}
"""Within a house of several rooms: which other rooms of it a room may import."""

HELD_TOGETHER = "helpers"
MOST_LOOSE_FILES = 14
MOST_LINES_OF_A_FACE = 40

Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Dotted name of every module of the package and of every lab, with its file."""
    found = {}
    for path in sorted([*(root / "helpers").rglob("*.py"), *(root / "labs").glob("*.py")]):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.Module, known: Iterable[str]) -> Iterator[str]:
    """Modules of the package that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from inner & set(known)
            if inner - set(known):
                yield node.module


def imports(root: Path) -> Graph:
    """Module → modules of the package that it imports."""
    known = modules(root)
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in known.items()}
    return {name: set(imported(tree, known)) - {name} for name, tree in trees.items()}


def house(module: str) -> str:
    """The first folder, or loose file, of a module: ``helpers.circuits.graph`` → ``circuits``."""
    return "labs" if module.startswith("labs.") else [*module.split("."), ""][1]


def layer(module: str) -> int:
    """Number of a module's layer, 0 at the top."""
    return next(number for number, names in enumerate(LAYERS) if house(module) in names)


def upward(graph: Graph) -> list[str]:
    """Imports from a layer above, from another paper, or from a room that ROOMS does not allow."""
    faults = []
    for name, targets in graph.items():
        for target in sorted(targets - {HELD_TOGETHER}):
            if name in (HELD_TOGETHER, f"{HELD_TOGETHER}.__main__"):
                continue
            here, there = house(name), house(target)
            if here == there:
                rooms = ROOMS.get(here, {})
                room, other = ([*module.split("."), "", ""][2] for module in (name, target))
                allowed = rooms.get(room, set()) | {room}
                wrong = bool(rooms) and bool(other) and bool(room) and other not in allowed
            else:
                wrong = layer(target) < layer(name) or (here in PAPERS and there in PAPERS)
            if wrong:
                faults.append(f"{name} imports {target}")
    return faults


def circles(graph: Graph) -> list[list[str]]:
    """One circle for each knot of the graph: modules that reach themselves."""
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> None:
        state[name] = 1
        for target in sorted(graph.get(name, ())):
            if state.get(target) == 1:
                found.append([*path[path.index(target) :], target])
            elif target not in state:
                visit(target, [*path, target])
        state[name] = 2

    for name in graph:
        if name not in state:
            visit(name, [name])
    return found


def folders(graph: Graph) -> Graph:
    """The same arrows between folders. A face belongs to its folder; the package's own does not."""
    known = set(graph)

    def folder(name: str) -> str:
        is_package = any(other.startswith(name + ".") for other in known)
        return name if is_package else name.rpartition(".")[0]

    merged: Graph = {}
    for name, targets in graph.items():
        inside = merged.setdefault(folder(name), set())
        inside |= {folder(target) for target in targets}
    return {
        name: {t for t in targets if t != name and HELD_TOGETHER not in (t, name)}
        for name, targets in merged.items()
    }


@pytest.fixture(scope="module")
def graph() -> Graph:
    return imports(ROOT)


def test_every_module_has_a_layer(graph):
    named = {name for names in LAYERS for name in names} | {"", "__main__"}
    assert {house(module) for module in graph} <= named


def test_no_import_goes_up_and_no_paper_imports_another(graph):
    assert not upward(graph), "\n".join(upward(graph))


def test_no_circle_between_files(graph):
    assert not circles(graph), "\n".join(" → ".join(circle) for circle in circles(graph))


def test_no_circle_between_folders(graph):
    found = circles(folders(graph))
    assert not found, "\n".join(" → ".join(circle) for circle in found)


def test_few_loose_files_at_the_top():
    loose = [path.name for path in (ROOT / "helpers").glob("*.py")]
    assert len(loose) <= MOST_LOOSE_FILES, loose


def faces() -> list[Path]:
    return sorted((ROOT / "helpers").rglob("__init__.py"))


@pytest.mark.parametrize("face", faces(), ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_a_face_is_short_says_what_the_room_is_for_and_names_what_others_may_use(face):
    text = face.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MOST_LINES_OF_A_FACE
    assert len(ast.get_docstring(tree) or "") > 20
    names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    stored = [node for node in tree.body if isinstance(node, ast.Assign)]
    listed = next((ast.literal_eval(n.value) for n in stored if n.targets[0].id == "__all__"), [])
    assert set(listed) == names
    files = {path.stem for path in face.parent.glob("*.py")}
    assert not names & files, "a name that others import is also the name of a file"


def test_no_two_classes_share_a_name():
    names: dict[str, list[str]] = {}
    for path in (ROOT / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert not {name: paths for name, paths in names.items() if len(paths) > 1}


def test_tests_mirror_the_package():
    kept = {"book", "labs"}  # about pages and notebooks, not about one module
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder.parts and folder.parts[0] not in kept:
            assert (ROOT / "helpers" / folder).is_dir(), path


# the test can fail


def small(tmp_path: Path, **files: str) -> Graph:
    for name, text in files.items():
        path = tmp_path / "helpers" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [tmp_path / "helpers", *(tmp_path / "helpers").iterdir()]:
        if path.is_dir() and not (path / "__init__.py").exists():
            (path / "__init__.py").write_text("")
    return imports(tmp_path)


def test_an_upward_import_is_named_with_both_files(tmp_path):
    graph = small(tmp_path, stats="def late():\n    from helpers.zoo import load\n", zoo__load="")
    assert upward(graph) == ["helpers.stats imports helpers.zoo.load"]


def test_a_paper_that_imports_another_is_named(tmp_path):
    graph = small(tmp_path, trust__a="from helpers.circuits import b\n", circuits__b="")
    assert upward(graph) == ["helpers.trust.a imports helpers.circuits.b"]


def test_a_circle_is_named_file_by_file(tmp_path):
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import stats\n"
    graph = small(tmp_path, stats="from helpers import files\n", files=late)
    assert circles(graph) == [["helpers.files", "helpers.stats", "helpers.files"]]


def test_a_circle_between_folders_without_one_between_files(tmp_path):
    graph = small(
        tmp_path,
        show__a="from helpers.training import b\n",
        training__b="",
        training__c="from helpers.show import d\n",
        show__d="",
    )
    assert not circles(graph)
    assert circles(folders(graph)) == [["helpers.show", "helpers.training", "helpers.show"]]
