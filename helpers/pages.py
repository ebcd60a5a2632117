"""``python -m helpers pages``: the parts of the book that follow from data, written between marks in its pages.

A page says where a generated part stands; what stands around the marks is written by hand::

    <!-- generated: model-cards -->
    …
    <!-- end of generated part -->

The parts come from the manifest of the embedded models, their recipes, the exact class frequencies, and the stored costs
(``helpers/data``). None of them depends on the machine that writes it.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from helpers import runtime, zoo
from helpers.errors import LabError
from helpers.recipe import Recipe
from helpers.zoo import Entry

_PART = re.compile(r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end of generated part -->)", re.DOTALL)
DATA = Path(__file__).parent / "data"


def table(head: list[str], rows: list[list[str]], numbers: int = 0) -> str:
    """A Markdown table whose last `numbers` columns are right-aligned.

    >>> print(table(["class", "share"], [["S0", "5 %"]], numbers=1))
    | class | share |
    |---|--:|
    | S0 | 5 % |
    """
    rule = "|" + "|".join(["---"] * (len(head) - numbers) + ["--:"] * numbers) + "|"
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])


def short(value: float) -> str:
    """A number for a table: plain where readable, else by its distance from 0 or 1 as a power of ten.

    >>> short(0.7761), short(4.5e-6), short(0), short(0.99982)
    ('0.776', '4.5 × 10⁻⁶', '0', '1 − 1.8 × 10⁻⁴')
    """
    if 0.999 < value < 1:
        return f"1 − {short(1 - value)}"
    if value == 0 or value >= 1e-3:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _layers(shape: dict) -> str:
    return "1 layer" if shape["n_layers"] == 1 else f"{shape['n_layers']} layers"


def _entries() -> list[Entry]:
    """The embedded models in the order of their names."""
    return [entry for _, entry in sorted(zoo.read_manifest().items())]


def model_overview() -> str:
    """One row an embedded model."""
    rows = []
    for entry in _entries():
        shape = entry.recipe.model
        size = f"{_layers(shape)} × {shape['n_heads']} heads, width {shape['d_model']}"
        rows.append([f"[`{entry.name}`](#model-{entry.name})", size, f"{entry.parameters:,}", f"{entry.bytes / 1e6:.1f} MB"])
    return table(["name", "shape", "parameters", "file"], rows, numbers=2)


def model_cards() -> str:
    """A section an embedded model: what it is, how it was trained, what was measured on exactly these weights."""
    return "\n\n".join(_card(entry) for entry in _entries())


def _card(entry: Entry) -> str:
    recipe, shape = entry.recipe, entry.recipe.model
    facts = {
        "task": f"{recipe.data['n_digits']}-digit {_operation(recipe)}, zero-padded; {shape['n_ctx']} tokens of a vocabulary of "
        f"{shape['d_vocab']}",
        "start": _start(recipe.data),
        "architecture": f"{_layers(shape)}, {shape['n_heads']} heads of {shape['d_head']}, residual stream "
        f"{shape['d_model']}, MLP {shape['d_mlp']} ({shape['act_fn']}), {shape['normalization_type']}, learned positions",
        "parameters": f"{entry.parameters:,}",
        "training": f"{recipe.steps:,} steps of {recipe.batch_size} fresh questions; AdamW, learning rate "
        f"{recipe.learning_rate:g} after {recipe.warmup_steps} warm-up steps, then cosine to 0; weight decay "
        f"{recipe.weight_decay:g}; gradient norm at most {recipe.gradient_clip:g}; seed {recipe.seed}",
        "recipe fingerprint": f"`{entry.fingerprint}`",
        "file": f"`{entry.file}`, {entry.bytes:,} bytes",
        "sha256": f"`{entry.sha256[:32]}` `{entry.sha256[32:]}`",
        "licence": entry.licence,
    }
    rows = table(["property", "value"], [[name, value] for name, value in facts.items()])
    return f"(model-{entry.name})=\n### `{entry.name}`\n\n{rows}\n\n{_measured(entry)}"


def _operation(recipe: Recipe) -> str:
    if recipe.task == "mixed":
        return f"addition and subtraction ({100 * recipe.data['p_subtract']:.0f} % of the training questions)"
    return recipe.task


def _start(data: dict) -> str:
    """What training began with."""
    arm = data.get("arm", "scratch")
    if arm == "scratch":
        return "random weights"
    return f"[`{data['source']}`](#model-{data['source']}) inserted, arm `{arm}`"


def _measured(entry: Entry) -> str:
    report = entry.measured
    if not report:
        return "Not measured yet: `python -m helpers verify` has not been run on these weights."
    asked, failed = report["questions"], report["failures"]
    exhaustive = report.get("method") == "exhaustive"
    how = "every question there is" if exhaustive else "uniform ones, and further ones in every class"
    head = (
        f"Measured on exactly these weights, teacher forced, all answer tokens right: **{failed:,} of {asked:,} wrong** ({how})."
    )
    rows = []
    for name, count in report["classes"].items():
        low, high = count["ci95"]
        interval = "known exactly" if exhaustive else f"{short(low)} to {short(high)}"
        rows.append([name, f"{count['questions']:,}", f"{count['failures']:,}", interval])
    return f"{head}\n\n" + table(["class", "questions", "wrong", "failure rate (95 %)"], rows, numbers=3)


def class_shares() -> str:
    """Exact share of each cascade class among uniform questions, for the digit counts of the embedded models."""
    from helpers.arithmetic import cascades, plan

    recipes = [entry.recipe for entry in _entries()]
    parts = []
    for subtract, operation in ((False, "additions"), (True, "subtractions")):
        digits = sorted({recipe.data["n_digits"] for recipe in recipes if recipe.task == "mixed" or not subtract})
        if not digits:
            continue
        shares = {n: cascades.frequencies(plan.automaton_of(n, subtract), n) for n in digits}
        rows = [[name, *(short(shares[n][name]) if name in shares[n] else "–" for n in digits)] for name in shares[digits[-1]]]
        parts.append(table([f"class, {operation}", *(f"{n} digits" for n in digits)], rows, numbers=len(digits)))
    return "\n\n".join(parts)


def training_mixture() -> str:
    """What the training batches of each embedded model consist of."""
    rows = []
    for entry in _entries():
        rows.append([f"`{entry.name}`", *_shares(entry.recipe.data), f"{entry.recipe.steps * entry.recipe.batch_size:,}"])
    head = ["model", "subtractions", "uniform", "columns forced", "class drawn first", "each class at least", "questions seen"]
    return table(head, rows, numbers=6)


def _shares(data: dict) -> list[str]:
    """Shares of the kinds of questions in a recipe's data."""
    if "max_cascade" in data:
        return ["0 %", f"100 %, none above S{data['max_cascade']}", "0 %", "0 %", "–"]
    subtract, slots, cascade = data.get("p_subtract", 0.0), data["p_slots"], data["p_cascade"]
    classes = {False: data["n_digits"] + 1, True: 2 * data["n_digits"]}  # S0 to Sn; M0 to M(n-1) and N1 to Nn
    least = min(cascade * share / classes[minus] for minus, share in ((False, 1 - subtract), (True, subtract)) if share)
    return [f"{100 * share:.0f} %" for share in (subtract, 1 - slots - cascade, slots, cascade, least)]


def lab_costs() -> str:
    """Measured seconds and peak memory of each lab, and of the whole book built from nothing."""
    costs = _stored("measured.json")
    rows = [[lab, f"{c['seconds']:.0f} s", f"{c['peak_mib']:.0f} MiB", str(c["cores"])] for lab, c in sorted(costs.items())]
    build = _stored("build.json")
    if build:
        name = "the whole book, from nothing"
        rows.append([name, f"{build['seconds']:.0f} s", f"{build['peak_mib']:.0f} MiB", str(build["cores"])])
    return table(["what", "run time", "peak memory", "cores"], rows, numbers=3) if rows else "Not measured yet."


def build_versions() -> str:
    """Versions with which the costs were measured."""
    versions = _stored("build.json").get("versions", {})
    return (
        table(["library", "version"], [[name, version] for name, version in versions.items()])
        if versions
        else "Not measured yet."
    )


def _stored(name: str) -> dict:
    path = DATA / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


PARTS: dict[str, Callable[[], str]] = {
    "model-overview": model_overview,
    "model-cards": model_cards,
    "class-shares": class_shares,
    "training-mixture": training_mixture,
    "lab-costs": lab_costs,
    "build-versions": build_versions,
}


def filled(text: str, where: str) -> str:
    """A page with every generated part brought up to date.

    Raises:
        LabError: the page asks for a part that does not exist.
    """

    def replace(part: re.Match) -> str:
        if part["name"] not in PARTS:
            raise LabError(f"{where}: expected a generated part among {', '.join(PARTS)}", f"got {part['name']!r}")
        return f"{part['begin']}\n{PARTS[part['name']]()}\n\n{part['end']}"

    return _PART.sub(replace, text)


def generated(root: Path) -> dict[Path, str]:
    """Every page that has generated parts, with the text that it should have."""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted((root / "book").glob("*.md"))}
    return {path: filled(text, path.name) for path, text in pages.items() if _PART.search(text)}


def stale(root: Path) -> list[str]:
    """Names of the pages whose generated parts are not current."""
    return [path.name for path, text in generated(root).items() if path.read_text(encoding="utf-8") != text]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m helpers pages``."""
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 naming each page that is not current")
    parser.add_argument("--measure", action="store_true", help="build the whole book from nothing and store what it cost first")


def run(arguments: argparse.Namespace) -> int:
    """Write the generated parts, or say which are not current. Returns the exit code."""
    from helpers.course.notebooks import find_root

    root = find_root()
    if arguments.measure:
        _measure_build(root)
    names = stale(root)
    for path, text in generated(root).items():
        if path.name in names and not arguments.check:
            path.write_text(text, encoding="utf-8")
    verb = "is not current; run: python -m helpers pages" if arguments.check else "written"
    for name in names:
        print(f"book/{name} {verb}", file=sys.stderr)
    return 1 if arguments.check and names else 0


def _measure_build(root: Path) -> None:
    from importlib.metadata import version

    from helpers.build_cost import measure_build

    seconds, peak = measure_build(root)
    versions = runtime.versions() | {"jupyter-book": version("jupyter-book")}
    cost = {"seconds": round(seconds, 1), "peak_mib": round(peak, 1), "cores": runtime.cores(), "versions": versions}
    DATA.mkdir(exist_ok=True)
    (DATA / "build.json").write_text(json.dumps(cost, indent=2) + "\n", encoding="utf-8")
