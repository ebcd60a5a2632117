"""What was found on a real model, as the tables of the lab."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from helpers.stats import bootstrap

Table = tuple[list[str], list[list[str]]]
"""A header and its rows, as `helpers.show.table` takes them."""
NONE = "–"


@dataclass(frozen=True)
class RealFound:
    """What was found on one model and one relation.

    Attributes:
        said: How many facts the model knows, of how many, for each relation.
        stands: For each set of weights what the model says to prompts whose subjects no mask was
            learned on.
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

        NLL of the truth and entropy are medians over prompts, in nats.
        """
        head = ["weights", "right", "NLL of the truth", "NLL − ln|V|", "entropy"]
        rows = [
            [
                name,
                f"{fmean(found['right']):.2f}",
                f"{median(found['nll']):.2f}",
                f"{median(found['above_uniform']):+.2f}",
                f"{median(found['entropy']):.2f}",
            ]
            for name, found in self.stands.items()
        ]
        return head, rows

    @property
    def edit_table(self) -> Table:
        """How far weights have to move in each place: ``table(*found.edit_table)``.

        Means over facts with 95 % intervals; of the distance over those facts that came to ½.
        """
        head = ["may change", "density", "length of the gradient", "NLL before"]
        head += ["NLL after, published way", "distance to ½", "came to ½"]
        rows = []
        for (density, place), found in self.edits.items():
            came = sum(each is not None for each in found["needed"])
            row = [place, f"{100 * density:g}%"]
            row += [_mean(found[name]) for name in ("first", "before", "released", "needed")]
            rows.append([*row, f"{came} of {len(found['needed'])}"])
        return head, rows + self._skipped(len(head))

    @property
    def effect_table(self) -> Table:
        """What else changed where the new answer has probability ½: ``table(*found.effect_table)``.

        Means over those facts that came there, with 95 % intervals. "text" is by how much the loss
        on what the model itself writes rose, in nats a token.
        """
        names = ["paraphrase", "siblings", "others", "text"]
        rows = [
            [place, f"{100 * density:g}%", *(_mean(found[name]) for name in names)]
            for (density, place), found in self.edits.items()
        ]
        return ["changed", "density", *names], rows + self._skipped(len(names) + 2)

    def _skipped(self, width: int) -> list[list[str]]:
        return [
            [place, f"{100 * density:g}%", *[NONE] * (width - 2)] for density, place in self.skipped
        ]


def _mean(values: Sequence[float | None]) -> str:
    """A mean of what there is, with its interval where there are two or more."""
    there = [float(value) for value in values if value is not None]
    if not there:
        return NONE
    if len(there) == 1:
        return f"{there[0]:.2f}"
    low, high = bootstrap(np.array(there), np.mean)
    return f"{fmean(there):.2f} [{low:.2f}, {high:.2f}]"
