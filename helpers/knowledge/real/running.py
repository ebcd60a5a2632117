"""One call from a model's name to the tables of the lab: masks over its weights, and edits in them.

The path is that of the lab on TinyWorld, step by step:

1. facts of a relation that the model knows, in its own tokens; half of the subjects to learn on;
2. masks over its block weights, learned so that the masked model says what the whole one says;
3. facts of the other half changed, each alone, in the circuit and in the places that it must be
   told from: as many random weights of each tensor, the complement, and weights outside whose
   gradient is as long, or as large one by one;
4. what else changed where the new answer has probability ½.

Every piece is a file in a folder, written when it is whole; a search for masks also keeps where it
stands. So a notebook that was disconnected is started again with the same call and goes on, with
the same result to the bit on a CPU with as many threads.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from helpers import files, runtime, zoo
from helpers.errors import LabError
from helpers.knowledge.masks import Blocks, blocks
from helpers.knowledge.real.asking import Asked, asked_of
from helpers.knowledge.real.cost import check_memory
from helpers.knowledge.real.found import RealFound
from helpers.knowledge.real.known import KnownFacts, known_facts
from helpers.knowledge.real.measuring import RealWork
from helpers.knowledge.real.plan import MASKS, REAL_PLAN, TEXT, RealPlan, edit_cells_of
from helpers.knowledge.real.relations import RelationData
from helpers.knowledge.real.relations import relation as relation_of
from helpers.model import Model

OTHERS = ("adj_antonym", "object_superclass")
"""Relations that have nothing to do with capitals."""


def run(
    model: str | Path | Model = "gpt2",
    relation: str | Path | RelationData = "country_capital_city",
    folder: str | Path = "real",
    *,
    others: Iterable[str | Path | RelationData] = OTHERS,
    changes: Mapping[str, str] | None = None,
    plan: RealPlan = REAL_PLAN,
    data: str | Path | None = None,
    device: str | None = None,
) -> RealFound:
    """Masks and edits of the facts of one relation, on any model that the zoo loads.

    Args:
        model: A name of the hub, a folder, or a model with its tokenizer. GPT-2 small has 548 MB to
            download.
        relation: A name of `relations.SOURCES`, a file in the form of these, or a `RelationData` of
            your own.
        folder: Where every finished piece is kept; given again, the call goes on from there.
        others: Relations that an edit should not touch.
        changes: For some subjects the new answer; without it, facts that no mask was learned on get
            a random other answer of the relation.
        plan: How much is measured.
        data: Folder that has the files of `relations.SOURCES`; without it they are downloaded once
            from their public source, and their checksums compared.
        device: Where a model is loaded that is given by its name; by default
            `helpers.runtime.device()`.

    Raises:
        LabError: An unknown relation, subject or answer; an answer of several tokens; too few facts
            that the model knows; too little memory; a folder of another run, or one that cannot be
            written; and what loading the model raises.

    >>> import tempfile
    >>> from helpers import zoo
    >>> model = zoo.load("tinyworld", device="cpu")
    >>> kinds = {"owl": "bird", "robin": "bird", "oak": "tree", "elm": "tree"}
    >>> relation = RelationData("kinds", ("the {} belongs to the",), kinds)
    >>> few = RealPlan((0.5,), steps=2, facts=2, edits=2, places=("circuit",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = run(model, relation, folder, others=(), plan=few)
    >>> len(found.edits)
    1
    """
    loaded = model if not isinstance(model, str | Path) else zoo.load(str(model), device=device)
    about = relation_of(relation, data)
    beside = [relation_of(each, data) for each in _several(others)]
    known = known_facts(loaded, about, plan.first_token)
    far = tuple(known_facts(loaded, each, plan.first_token, least=0) for each in beside)
    asked = asked_of(known, changes, plan.facts, plan.seed, plan.first_token)
    its = blocks.of(loaded)
    check_memory(len(its), known.device)
    where = runtime.expanded(str(folder))
    work = RealWork(
        its, asked, far, plan, where, files.same_run(_follows(its, asked, far, plan), where)
    )
    cells = edit_cells_of(plan)
    work.measure_all([TEXT, MASKS, *cells])
    results = {(cell.density, cell.place): work.result(cell) for cell in cells}
    skipped = {key: each["skipped"] for key, each in results.items() if "skipped" in each}
    edits = {key: each for key, each in results.items() if key not in skipped}
    said = " ".join([known.said, *(each.said for each in far)])
    return RealFound(said, work.result(MASKS)["stands"], edits, skipped)


def _several(others: Any) -> tuple[Any, ...]:
    """Several relations: the name of one would be taken for its letters."""
    if isinstance(others, str | Path | RelationData) or not isinstance(others, Iterable):
        raise LabError("expected a list of other relations", f"got {others!r:.60}")
    return tuple(others)


def _follows(
    its: Blocks, asked: Asked, others: tuple[KnownFacts, ...], plan: RealPlan
) -> dict[str, Any]:
    """All that a run follows from, beside the code: which places are compared follows from none."""
    prompts = [asked.learn_on, asked.judged_on, asked.requests.asked, asked.typical.asked]
    told: list[Any] = [
        [part.tokens.tolist(), part.last.tolist(), part.answers.tolist()] for part in prompts
    ]
    told += [asked.requests.new.tolist(), asked.typical.new.tolist()]
    told += [[each.template, *each.subjects] for each in others]
    return {
        "model": files.weights_checksum(its.model.state_dict()),
        "relation": asked.known.relation.name,
        **{name: value for name, value in plan.as_json().items() if name != "places"},
        "prompts": hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24],
    }
