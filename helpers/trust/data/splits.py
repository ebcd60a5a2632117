"""Training and test parts that keep what belongs together on one side, with fitting intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import Labels, check_count, yes_no
from helpers.stats import check_level
from helpers.texts import LabelledSet

TEMPLATES = 4
"""With this many different templates or more, templates are kept apart as well."""
MORE_GROUPS = "draw more groups, or spread the labels over more of them"
SORTED = (
    "the file seems to be sorted by class: ordered(data, by_class=True) takes the last rows of each"
)
TRIES = 200
"""Draws of a split before it is given up."""


@dataclass(frozen=True)
class Interval:
    """Means over splits with an interval, one of each per site.

    Attributes:
        mean: Mean over the splits.
        low, high: Ends of the interval.
    """

    mean: Float[ndarray, " site"]
    low: Float[ndarray, " site"]
    high: Float[ndarray, " site"]

    def clipped(self, least: float, most: float) -> "Interval":
        """The interval within the values that are possible, such as 0 to 1 for a share.

        Student's t knows no such limits.
        """
        low, high = np.maximum(self.low, least), np.minimum(self.high, most)
        return Interval(self.mean, low, high)


@dataclass(frozen=True)
class Splits:
    """Training and test parts of one labelled set.

    Attributes:
        train, test: Items of each part. An item may be in neither; what joins it to both parts
            would leak.
        groups: Group of each item (`LabelledSet.groups`).
    """

    train: Bool[ndarray, "split item"]
    test: Bool[ndarray, "split item"]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.train)

    @property
    def tested_groups(self) -> int:
        """Different groups that are in a test part at least once."""
        return len({self.groups[item] for item in np.flatnonzero(self.test.any(0))})

    def interval(self, values: Float[ndarray, "site split"], level: float = 0.95) -> Interval:
        """Interval of a mean over splits: the corrected resampled t of Nadeau and Bengio.

        The training parts of different splits overlap, so the values are not independent, and
        standard deviation / √splits is far too small. Nadeau and Bengio (Machine Learning 52, 2003)
        replace the variance's factor 1 / splits by 1 / splits + test items / training items. It
        stays a correction, not a guarantee. On data sets of noise with five splits, intervals meant
        to hold the truth in 95 % did so in 95 to 98 %, the naive ones in 80 to 90 %. Works for
        differences of two probes as well. It may end beyond what is possible; see `clipped`.

        Raises:
            LabError: Fewer than two splits, for which there is no such interval, or a level that is
                no share.

        >>> part = np.arange(10) < 7
        >>> splits = Splits(np.array([part, ~part]), np.array([~part, part]), tuple("abcdefghij"))
        >>> interval = splits.interval(np.array([[0.7, 0.8]]))
        >>> bool(interval.low[0] < 0.4)
        True
        """
        from scipy.stats import t

        check_level(level)
        values = np.atleast_2d(values)
        if values.shape[1] < 2 or values.shape[1] != len(self):
            raise LabError(
                f"expected one value for each of {len(self)} splits, and two splits or more",
                f"got {values.shape[1]}",
            )
        ratio = self.test.sum() / self.train.sum()
        error = np.sqrt((1 / len(self) + ratio) * values.var(axis=1, ddof=1))
        half = t.ppf((1 + level) / 2, len(self) - 1) * error
        mean = values.mean(axis=1)
        return Interval(mean, mean - half, mean + half)

    def folds(
        self, labels: Labels, n_folds: int, seed: int = 0
    ) -> Bool[ndarray, "split fold item"]:
        """Rows to fit on in each fold of a cross-validation inside each training part.

        The other rows of the part validate. Groups stay whole, and are dealt out in turn, those of
        equal composition (labels, number of items) together.

        Raises:
            LabError: Fewer groups than folds.
        """
        labels = yes_no(labels)
        fit = np.zeros((len(self), n_folds, len(self.groups)), dtype=bool)
        for split, train in enumerate(self.train):
            rows = np.flatnonzero(train)
            units, unit = np.unique(np.asarray(self.groups)[rows], return_inverse=True)
            if len(units) < n_folds:
                raise LabError(
                    f"expected at least {n_folds} groups in every training part, one a fold",
                    f"got {len(units)} in split {split}",
                    hint="draw more items, or pass a smaller n_folds",
                )
            order = _by_composition(unit, labels[rows], np.random.default_rng([seed, split]))
            fold = np.empty(len(units), dtype=int)
            fold[order] = np.arange(len(units)) % n_folds
            fit[split][:, rows] = fold[unit] != np.arange(n_folds)[:, None]
        return fit


def ordered(data: LabelledSet, test_share: float = 0.2, by_class: bool = False) -> Splits:
    """The one split of the code released with arXiv 2402.19465: the last rows are the test part.

    Twins and questions end up on both sides; it is here to show what that does.

    Args:
        test_share: Share of the rows that are tested on.
        by_class: Take the last rows of each class, for a file that is sorted by class.

    Raises:
        LabError: A share outside 0 to 1, or a part that is empty or of one class.
    """
    _check_share(test_share)
    test = np.zeros(len(data), dtype=bool)
    for rows in _of_each_class(data.labels) if by_class else [np.arange(len(data))]:
        test[rows[int((1 - test_share) * len(rows)) :]] = True
    splits = Splits(~test[None], test[None], data.groups)
    enough = not by_class and min(map(len, _of_each_class(data.labels))) > 1
    check(splits, data.labels, SORTED if enough else MORE_GROUPS)
    return splits


def one_sided(data: LabelledSet, test_share: float = 0.2) -> bool:
    """Whether a part of `ordered` lacks a class, as where the file is sorted by class.

    Raises:
        LabError: A share outside 0 to 1.

    >>> data = LabelledSet("s", tuple("abcd"), np.array([1, 1, 0, 0]), tuple("1212"))
    >>> one_sided(data, 0.5)
    True
    """
    _check_share(test_share)
    cut = int((1 - test_share) * len(data))
    return any(len(np.unique(part)) < 2 for part in (data.labels[:cut], data.labels[cut:]))


def _check_share(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise LabError("expected a test share between 0 and 1", f"got {test_share}")


def _of_each_class(labels: Bool[ndarray, " item"]) -> list[ndarray]:
    return [np.flatnonzero(labels == label) for label in (True, False)]


def grouped(data: LabelledSet, n_splits: int = 5, test_share: float = 0.3, seed: int = 0) -> Splits:
    """Random splits in which no group is on both sides, and no template where there are several.

    Several are at least `TEMPLATES`. Where every group keeps to few templates, what is connected by
    groups and templates moves together and no item is lost. Where groups and templates cross, test
    items are those of test groups *in* test templates, training items those of the other groups in
    the other templates, and the rest is left out (about half of the items). Groups of equal
    composition are drawn in the same share, so that both parts have the balance of the whole set.

    Args:
        n_splits: Number of splits.
        test_share: Wanted number of test items among those of both parts, as a share.
        seed: Seed of the draws.

    Raises:
        LabError: Too few groups (or templates) for this many different splits with both classes in
            every part.

    >>> data = LabelledSet("s", tuple("abcdefgh"), np.tile([True, False], 4), tuple("11223344"))
    >>> splits = grouped(data, n_splits=3, test_share=0.25)
    >>> splits.test.sum(1).tolist(), bool((splits.train & splits.test).any())
    ([2, 2, 2], False)
    """
    check_count("number of splits", n_splits, least=1)
    _check_share(test_share)
    draw, names = _drawer(data, test_share)
    drawn: dict[bytes, tuple[ndarray, ndarray]] = {}
    rng = np.random.default_rng(seed)
    for _ in range(TRIES * n_splits):
        train, test = draw(rng)
        if all(len(np.unique(data.labels[part])) == 2 for part in (train, test)):
            drawn.setdefault(test.tobytes() + train.tobytes(), (train, test))
        if len(drawn) == n_splits:
            parts = list(drawn.values())
            return Splits(
                np.array([train for train, _ in parts]),
                np.array([test for _, test in parts]),
                data.groups,
            )
    raise LabError(
        f"expected {n_splits} different splits of {data.name} with both classes in every part",
        f"found {len(drawn)}, with {names}",
        hint="draw more groups or templates, or pass a smaller n_splits",
    )


def check(splits: Splits, labels: Labels, hint: str = MORE_GROUPS) -> None:
    """Refuse splits of other items, and those with a part that is empty or of one class.

    Raises:
        LabError: Naming the first such part.
    """
    labels = yes_no(labels)
    if splits.train.shape[1:] != labels.shape:
        raise LabError(
            f"expected splits of {len(labels)} items", f"got splits of {splits.train.shape[1]}"
        )
    check_classes(splits.train, labels, "training part", hint)
    check_classes(splits.test, labels, "test part", hint)


def check_classes(
    parts: Bool[ndarray, "part item"], labels: Labels, what: str, hint: str = MORE_GROUPS
) -> None:
    """Refuse parts that are empty or of one class.

    Raises:
        LabError: Naming the first such part as `what`.
    """
    labels, parts = yes_no(labels), np.asarray(parts)
    if parts.dtype != bool or parts.ndim != 2 or parts.shape[1:] != labels.shape:
        raise LabError(
            f"expected a {what} as truth values of {len(labels)} items",
            f"got {parts.dtype} {list(parts.shape)}",
        )
    for index, part in enumerate(parts):
        present = np.unique(labels[part])
        if len(present) < 2:
            got = (
                f"{int(part.sum())} items, all {bool(present[0])}," if len(present) else "no items"
            )
            raise LabError(
                f"expected items of both classes in every {what}",
                f"got {got} in {what} {index}",
                hint=hint,
            )


def _by_composition(
    unit: Int[ndarray, " item"], labels: Bool[ndarray, " item"], rng: np.random.Generator
) -> ndarray:
    """The units in an order where those of like composition and size follow each other.

    Among these the order is random. Sizes count by powers of two. Were they told apart exactly,
    units of different size would always stand in the same order, and a sample of every so many
    would hardly be random: some groups would never be tested.
    """
    positive, size = np.bincount(unit, labels), np.bincount(unit)
    return np.lexsort((rng.random(len(size)), np.log2(size).astype(int), positive / size))


def _sample(
    unit: ndarray, labels: ndarray, share: float, rng: np.random.Generator
) -> Bool[ndarray, " item"]:
    """Items of random units, about the given share of every composition (systematic sampling)."""
    order = _by_composition(unit, labels, rng)
    chosen = np.empty(len(order), dtype=bool)
    chosen[order] = np.diff(np.floor(np.arange(len(order) + 1) * share + rng.random())) > 0
    return chosen[unit]


def _drawer(data: LabelledSet, share: float) -> tuple[Callable, str]:
    """The function that draws one split of a set, and what it draws from, in words."""
    group = np.unique(data.groups, return_inverse=True)[1]
    # an item without a template shares it with no other item
    own = [name or f"\0{item}" for item, name in enumerate(data.templates)]
    template = np.unique(own, return_inverse=True)[1]
    n_groups, n_templates = group.max() + 1, len(set(data.templates) - {""})
    names = f"{n_groups} groups"

    def whole(unit: ndarray) -> Callable:
        def draw(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
            test = _sample(unit, data.labels, share, rng)
            return ~test, test

        return draw

    if n_templates < TEMPLATES:
        return whole(group), names
    component = _connected(group, template)
    sizes = np.bincount(component)
    if len(sizes) >= TEMPLATES and sizes.max() <= len(data) / 2:
        names += f" in {n_templates} templates that fall into {len(sizes)} unconnected parts"
        return whole(component), names
    # odds of the test side, for groups and for templates: their product has the share
    odds = np.sqrt(share / (1 - share))

    def crossed(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        sides = [_sample(unit, data.labels, odds / (1 + odds), rng) for unit in (group, template)]
        return ~(sides[0] | sides[1]), sides[0] & sides[1]

    return crossed, f"{names} and {n_templates} templates"


def _connected(
    group: Int[ndarray, " item"], template: Int[ndarray, " item"]
) -> Int[ndarray, " item"]:
    """Which connected part of the graph of groups and templates each item is in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_groups, n_templates = group.max() + 1, template.max() + 1
    links = coo_array(
        (np.ones(len(group)), (group, n_groups + template)), shape=[n_groups + n_templates] * 2
    )
    return np.unique(connected_components(links, directed=False)[1][group], return_inverse=True)[1]
