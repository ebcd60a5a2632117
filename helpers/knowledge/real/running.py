"""One call from a model's name to the tables of the lab: masks over its weights, and edits in them.

The path is that of the lab on TinyWorld, step by step:

1. facts of a relation that the model knows, in its own tokens; half of the subjects to learn on;
2. masks over its block weights, learned so that the masked model says what the whole one says;
3. facts of the other half changed, each alone, in the circuit and in the places that it must be
   told from: as many random weights of each tensor, the complement, and weights outside whose
   gradient is as long;
4. what else changed where the new answer has probability ½.

Every piece is a file in a folder, written when it is whole; a search for masks also keeps where it
stands. So a notebook that was disconnected is started again with the same call and goes on, with
the same result to the bit on a CPU.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.model import Model

Table = tuple[list[str], list[list[str]]]
"""A header and its rows, as `helpers.show.table` takes them."""


@dataclass(frozen=True)
class RealFound:
    """What was found on one model and one relation.

    Attributes:
        said: In one sentence which facts there were: how many the model knows, of how many, and
            what was left out.
        stands: For each set of weights what the model says to facts that no mask was learned on.
        edits: For each density and place what edits did, fact by fact; None where there is no
            number.
        skipped: For each density the places that it does not have, and why.
    """

    said: str
    stands: dict[str, dict[str, Any]]
    edits: dict[tuple[float, str], dict[str, Any]]
    skipped: dict[tuple[float, str], str]

    @property
    def mask_table(self) -> Table:
        """What the model says with some of its weights: ``table(*found.mask_table)``.

        Columns: weights, right, NLL of the truth, NLL − ln|V|, entropy; medians, as in the lab.
        """
        raise NotImplementedError

    @property
    def edit_table(self) -> Table:
        """Edits in each place: ``table(*found.edit_table)``.

        Columns: may change, density, length of the gradient, NLL after, published way, distance
        to ½, reached, paraphrase, siblings, others, text; means over facts with 95 % intervals.
        """
        raise NotImplementedError


def run(
    model: str | Model = "gpt2",
    relation: Any = "country_capital_city",
    folder: str | Path = "real",
    *,
    others: Iterable[Any] = ("adj_antonym", "object_superclass"),
    changes: Mapping[str, str] | None = None,
    plan: Any = None,
    data: str | Path | None = None,
    device: str | None = None,
    bar: bool = True,
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
        plan: How much is measured (`RealPlan`).
        data: Folder that has the files of `relations.SOURCES`; without it they are downloaded once
            from their public source, and their checksums compared.
        device: Where to compute; by default `helpers.runtime.device()`.
        bar: Whether to show progress.

    Raises:
        LabError: An unknown relation, subject or answer; an answer of several tokens; too few facts
            that the model knows; too little memory; a folder of another run, or one that cannot be
            written; and what loading the model raises.
    """
    raise NotImplementedError
