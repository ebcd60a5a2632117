"""A labelled set of short texts, and which of them belong together.

A probe is only worth its test items: an item whose twin was in the training part tests memory. So
every item names its group (the pair, question or entity it shares with others) and its template
(the sentence frame it was made from).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import yes_no


@dataclass(frozen=True)
class LabelledSet:
    """Texts with a yes-or-no label.

    Attributes:
        name: Name of the set.
        texts: The items.
        labels: One label per text, as `helpers.inputs.yes_no` takes them; kept as booleans. Labels
            that are texts are the two names `positive` and `negative`.
        groups: Group of each text; texts of one group must not be split between training and test
            part.
        templates: Sentence frame of each text, or "" where there is none.
        positive, negative: What the labels True and False mean, in words.

    Raises:
        LabError: No items, items of one class only, labels that do not say yes or no, fields of
            different lengths, or something among the texts that is none, such as an empty cell.

    >>> texts = ("a cat is a bird .", "a cat is a mammal .")
    >>> pair = LabelledSet("truth", texts, np.array([False, True]), ("cat", "cat"))
    >>> pair.balance
    0.5
    """

    name: str
    texts: tuple[str, ...]
    labels: Bool[ndarray, " item"] | Integer[ndarray, " item"]
    groups: tuple[str, ...]
    templates: tuple[str, ...] = ()
    positive: str = "true"
    negative: str = "false"

    def __post_init__(self) -> None:
        names = self.positive, self.negative
        labels = yes_no(self.labels, f"the labels of {self.name}", names)
        object.__setattr__(self, "labels", labels)
        letters = isinstance(self.texts, str) or isinstance(self.groups, str)
        if letters or not all(isinstance(text, str) for text in self.texts):
            odd = [text for text in self.texts if not isinstance(text, str)]
            raise LabError(
                f"expected the texts of {self.name} and their groups as lists",
                f"got {odd[0]!r} among the texts" if odd else "got one text",
                hint="leave rows without a text out",
            )
        if getattr(self.groups, "ndim", 1) != 1:
            raise LabError(
                f"expected one label, group and template for each text of {self.name}",
                f"got groups of shape {np.shape(self.groups)}",
            )
        object.__setattr__(self, "templates", tuple(self.templates) or ("",) * len(self.texts))
        lengths = {"texts": len(self.texts), "labels": len(self.labels), "groups": len(self.groups)}
        lengths["templates"] = len(self.templates)
        if len(set(lengths.values())) > 1:
            raise LabError(
                f"expected one label, group and template for each text of {self.name}",
                f"got {lengths}",
            )
        if len(np.unique(self.labels)) < 2:
            got = f"{len(self.texts)} items" + (
                f", all {bool(self.labels[0])}" if len(self.texts) else ""
            )
            raise LabError(
                f"expected items of both classes in {self.name}",
                f"got {got}",
                hint="a probe cannot be trained on one class; check the labels, or draw more items",
            )

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Bool[ndarray, " item"] | ndarray) -> "LabelledSet":
        """The items of a boolean mask or an array of indices."""
        rows = np.arange(len(self))[index]
        pick = {
            name: tuple(getattr(self, name)[row] for row in rows)
            for name in ("texts", "groups", "templates")
        }
        return LabelledSet(
            self.name,
            labels=self.labels[rows],
            positive=self.positive,
            negative=self.negative,
            **pick,
        )

    @property
    def balance(self) -> float:
        """Share of items with the label True."""
        return float(self.labels.mean())
