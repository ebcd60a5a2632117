"""The parts of the book that follow from data, written between marks in its pages.

A page says where a generated part stands; what stands around the marks is written by hand::

    <!-- generated: model-cards -->
    …
    <!-- end of generated part -->

The parts come from the manifest of the embedded models, their recipes, the exact class frequencies,
the files of TinyWorld, the records of the public sets, and the stored costs (``helpers/data``).
None of them depends on the machine that writes it. Figures of measured numbers are made in the same
way: those that a page names and that are in `detox_figures`.
"""

import json
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from helpers import zoo
from helpers.book import data_cards, model_cards
from helpers.errors import LabError
from helpers.files import DATA
from helpers.show import markdown, short
from helpers.zoo import Entry

_PART = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n)(?P<old>.*?)"
    r"(?P<end><!-- end of generated part -->)",
    re.DOTALL,
)
_BEGIN = "<!-- generated: "


def _entries() -> list[Entry]:
    """The embedded models in the order of their names."""
    return [entry for _, entry in sorted(zoo.read_manifest().items())]


def _of_sums() -> list[Entry]:
    """The embedded models that calculate."""
    return [entry for entry in _entries() if "n_digits" in entry.recipe.data]


def model_overview() -> str:
    """One row per embedded model."""
    return model_cards.overview(_entries())


def cards_of_models() -> str:
    """A section per embedded model: what it is, how it was trained, what was measured on it."""
    return "\n\n".join(model_cards.card(entry) for entry in _entries())


def class_shares() -> str:
    """Exact share of each cascade class among uniform questions, for the models' digit counts."""
    from helpers.arithmetic.questions import cascades

    recipes = [entry.recipe for entry in _of_sums()]
    parts = []
    for subtract, operation in ((False, "additions"), (True, "subtractions")):
        digits = sorted(
            {
                recipe.data["n_digits"]
                for recipe in recipes
                if recipe.task == "mixed" or not subtract
            }
        )
        if not digits:
            continue
        shares = {n: cascades.frequencies(cascades.automaton_of(n, subtract), n) for n in digits}
        rows = [
            [name, *(short(shares[n][name]) if name in shares[n] else "–" for n in digits)]
            for name in shares[digits[-1]]
        ]
        parts.append(
            markdown(
                [f"class, {operation}", *(f"{n} digits" for n in digits)], rows, numbers=len(digits)
            )
        )
    return "\n\n".join(parts)


def training_mixture() -> str:
    """What the training batches of each embedded model of sums consist of."""
    rows = []
    for entry in _of_sums():
        rows.append(
            [
                f"`{entry.name}`",
                *_shares(entry.recipe.data),
                f"{entry.recipe.steps * entry.recipe.batch_size:,}",
            ]
        )
    head = [
        "model",
        "subtractions",
        "uniform",
        "columns forced",
        "class drawn first",
        "each class at least",
        "questions seen",
    ]
    return markdown(head, rows, numbers=6)


def _shares(data: dict) -> list[str]:
    """Shares of the kinds of questions in a recipe's data."""
    if "max_cascade" in data:
        return ["0 %", f"100 %, none above S{data['max_cascade']}", "0 %", "0 %", "–"]
    subtract, slots, cascade = data.get("p_subtract", 0.0), data["p_slots"], data["p_cascade"]
    classes = {
        False: data["n_digits"] + 1,
        True: 2 * data["n_digits"],
    }  # S0 to Sn; M0 to M(n-1) and N1 to Nn
    least = min(
        cascade * share / classes[minus]
        for minus, share in ((False, 1 - subtract), (True, subtract))
        if share
    )
    return [
        f"{100 * share:.0f} %" for share in (subtract, 1 - slots - cascade, slots, cascade, least)
    ]


def lab_costs() -> str:
    """Measured seconds and peak memory of each lab, and of the whole book built from nothing."""
    costs = _stored("measured.json")
    rows = [
        [lab, f"{c['seconds']:.0f} s", f"{c['peak_mib']:.0f} MiB", str(c["cores"])]
        for lab, c in sorted(costs.items())
    ]
    build = _stored("build.json")
    if build:
        name = "the whole book, from nothing"
        rows.append(
            [name, f"{build['seconds']:.0f} s", f"{build['peak_mib']:.0f} MiB", str(build["cores"])]
        )
    return (
        markdown(["what", "run time", "peak memory", "cores"], rows, numbers=3)
        if rows
        else "Not measured yet."
    )


def build_versions() -> str:
    """Versions with which the costs were measured."""
    versions = _stored("build.json").get("versions", {})
    return (
        markdown(["library", "version"], [[name, version] for name, version in versions.items()])
        if versions
        else "Not measured yet."
    )


def _stored(name: str) -> dict:
    path = DATA / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


DETOX_TABLES = (
    *("detox-tunings", "detox-skills", "detox-weights", "detox-settings", "detox-said"),
    *("detox-lost", "detox-variants", "detox-oracles", "detox-detection"),
)
"""Tables of `detox_tables`, which is loaded when one of them is asked for."""
CHANGE_TABLES = (
    *("changes-probes", "changes-young", "changes-offsets", "changes-weights", "changes-attacks"),
    *("changes-neurons", "changes-writers", "changes-shared", "changes-verdicts"),
)
"""Tables of `change_tables`, likewise."""


@cache
def detox_table(name: str) -> str:
    """A table of the chapter on tuning under a constraint."""
    from helpers.book.detox_tables import TABLES
    from helpers.detox.study import stored_detox

    return TABLES[name](stored_detox())


@cache
def change_table(name: str) -> str:
    """A table of the chapter's section on what such tuning changes inside."""
    from helpers.book.change_tables import TABLES
    from helpers.changes import stored_changes

    return TABLES[name](stored_changes())


@cache
def detox_figures() -> dict[str, str]:
    """The figures of measured numbers, by the name of their file."""
    from helpers.book.detox_figures import drawn_from
    from helpers.detox.study import stored_detox

    return drawn_from(stored_detox())


PARTS: dict[str, Callable[[], str]] = {
    "model-overview": model_overview,
    "model-cards": cards_of_models,
    "class-shares": class_shares,
    "training-mixture": training_mixture,
    "tinyworld-contents": data_cards.world_contents,
    "tinyworld-documents": data_cards.mixtures,
    "bestiary-contents": data_cards.bestiary_contents,
    "bestiary-documents": data_cards.bestiary_documents,
    "tinyworld-sets": data_cards.labelled_sets,
    "public-sets": data_cards.public_sets,
    "twins-tinyworld": data_cards.tinyworld_twins,
    "twins-gpt2": data_cards.gpt2_twins,
    "lab-costs": lab_costs,
    "build-versions": build_versions,
    **{name: partial(detox_table, name) for name in DETOX_TABLES},
    **{name: partial(change_table, name) for name in CHANGE_TABLES},
}


def filled(text: str, where: str) -> str:
    """A page with every generated part brought up to date.

    Raises:
        LabError: The page asks for a part that does not exist, or one does not end before the next
            begins.
    """

    def replace(part: re.Match) -> str:
        if part["name"] not in PARTS:
            raise LabError(
                f"{where}: expected a generated part among {', '.join(PARTS)}",
                f"got {part['name']!r}",
            )
        return f"{part['begin']}\n{PARTS[part['name']]()}\n\n{part['end']}"

    parts = list(_PART.finditer(text))
    if len(parts) != text.count(_BEGIN) or any(_BEGIN in part["old"] for part in parts):
        raise LabError(
            f"{where}: expected every generated part to end with <!-- end of generated part -->",
            f"{text.count(_BEGIN)} begin, {text.count('<!-- end of generated part -->')} end",
            hint="else what is written by hand after it would be replaced; put the mark back",
        )
    return _PART.sub(replace, text)


def generated(root: Path) -> dict[Path, str]:
    """Every page that has generated parts, and every generated figure that a page names, with the
    text that it should have."""
    pages = {
        path: path.read_text(encoding="utf-8") for path in sorted((root / "book").glob("*.md"))
    }
    filled_in = {path: filled(text, path.name) for path, text in pages.items() if _BEGIN in text}
    named = [
        f"figures/{name}"
        for name in re.findall(r"figures/(detox_\w+\.svg)", "".join(pages.values()))
    ]
    drawn = detox_figures() if named else {}
    return filled_in | {
        root / "book" / each: drawn[Path(each).name] for each in named if Path(each).name in drawn
    }


def stale(root: Path) -> list[str]:
    """The pages and figures that are not current, by their path in the folder of the book."""
    return [
        path.relative_to(root / "book").as_posix()
        for path, text in generated(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
