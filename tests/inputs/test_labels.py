"""Every function that takes yes-or-no labels takes the same forms, and refuses the same ones."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import stats
from helpers.errors import LabError
from helpers.inputs import yes_no
from helpers.show import rate
from helpers.texts import LabelledSet
from helpers.trust import information
from helpers.trust.data import splits
from helpers.trust.information import dependence
from helpers.trust.probes import linear
from helpers.trust.steering import across, behaviours, effects, strength, vectors
from tests.trust.families import planted

HELPERS = Path(__file__).resolve().parents[2] / "helpers"
ROOMS = ("texts", "stats.py", "trust", "show", "inputs")
NAMES = {"labels", "hits", "shuffled"}

TRUTH = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0], bool)
GROUPS = tuple("aabbccddeeff")
X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) + torch.tensor(TRUTH)[:, None]
PARTS = splits.Splits(
    np.array([[1] * 8 + [0] * 4], bool), np.array([[0] * 8 + [1] * 4], bool), GROUPS
)

GOOD = {
    "booleans": TRUTH,
    "a list": TRUTH.tolist(),
    "whole numbers": TRUTH.astype(int),
    "small whole numbers": TRUTH.astype(np.uint8),
    "numbers": TRUTH.astype(float),
    "1 and -1": np.where(TRUTH, 1, -1),
    "objects": np.array([bool(label) for label in TRUTH], dtype=object),
    "a tensor": torch.tensor(TRUTH),
    "a tensor in bfloat16": torch.tensor(TRUTH).bfloat16(),
    "a tensor with a gradient": torch.tensor(TRUTH).float().requires_grad_(),
    "every other row": np.repeat(TRUTH, 2)[::2],
    "backwards": TRUTH[::-1].copy()[::-1],
    "two names": np.where(TRUTH, "true", "false"),
    "a list of names": np.where(TRUTH, "true", "false").tolist(),
}


def with_first(value, dtype=object) -> np.ndarray:
    labels = np.array([int(label) for label in TRUTH], dtype=dtype)
    labels[0] = value
    return labels


BAD = {
    "a third class": (with_first(2, int), "2"),
    "a share": (with_first(0.1, float), "0.1"),
    "NaN": (with_first(np.nan, float), "nan"),
    "infinity": (with_first(np.inf, float), "inf"),
    "None": (with_first(None), "None"),
    "a complex number": (with_first(1j, complex), "1j"),
    "0, 1 and -1": (with_first(-1, int), "-1"),
    "three names": (np.where(np.arange(12) < 2, "maybe", np.where(TRUTH, "true", "false")), "mayb"),
    "names and numbers": (["true", *TRUTH[1:].astype(int).tolist()], "'true'"),
    "a masked label": (np.ma.array(TRUTH.astype(int), mask=np.arange(12) == 0), "None"),
}


def labelled(labels) -> LabelledSet:
    return LabelledSet("s", tuple(map(str, range(12))), labels, GROUPS)


def choice() -> strength.Choice:
    """The planted model's vector at block 0, at strength 1."""
    unit = torch.eye(8, dtype=torch.float64)[0]
    trial = strength.SteeringTrial(0, 1.0, 0.0, 0.5, 1.0)
    vector = vectors.Vector(unit, 1.0, 1.0)
    return strength.Choice(0, vector, 1.0, "std", "all", 2.0, trial, (trial,), frozenset())


def carried(labels):
    ids = torch.tensor([[0], [4]])
    asked = behaviours.Behaviour("b", ids, torch.ones(2).long(), ((10,),) * 2, ((11,),) * 2)
    rows = behaviours.Documents(torch.tensor([[0, 1]]), torch.tensor([2]))
    x = torch.cat([X, X], 1).expand(3, 12, 8)
    return across.across_checkpoints(planted(), choice(), {1: x}, labels, asked, rows)


SHUFFLED = TRUTH[[2, 3, 0, 1, *range(4, 12)]][None]
TAKERS = {
    "inputs.labels.yes_no": yes_no,
    "texts.labelled.LabelledSet": lambda labels: labelled(labels).labels,
    "stats.permutation_null": None,  # labels of any kind: the statistic reads them
    "stats.auroc": lambda labels: stats.auroc(X[:, 0], labels),
    "stats.majority_share": stats.majority_share,
    "stats.balanced_accuracy": lambda labels: stats.balanced_accuracy(TRUTH[::-1], labels),
    "stats.balanced_accuracy, answers": lambda labels: stats.balanced_accuracy(labels, TRUTH),
    "show.tables.rate": rate,
    "show.plots.bars_with_intervals": None,  # names of bars
    "show.grids.attention": None,  # names of tokens
    "trust.data.splits.check": lambda labels: splits.check(PARTS, labels),
    "trust.data.splits.check_classes": lambda labels: splits.check_classes(
        PARTS.train, labels, "training part"
    ),
    "trust.data.splits.Splits.folds": lambda labels: PARTS.folds(labels, 2),
    "trust.probes.linear.fit": lambda labels: linear.fit(X[None], labels, PARTS, (1.0,)).weights,
    "trust.probes.linear.mass_mean": lambda labels: linear.mass_mean(X[None], labels, PARTS).bias,
    "trust.probes.linear.paper_mode": lambda labels: (
        linear.paper_mode(X[None], labels, PARTS).weights
    ),
    "trust.probes.fitted.Probes.beside": lambda labels: linear.fit(
        X[None], TRUTH, PARTS, (1.0,)
    ).beside(X[None], labels),
    "trust.probes.bench.by_loop": None,  # the other side of a speed comparison, given booleans
    "trust.probes.logistic.minimise": None,  # the solver beneath `fit`, given booleans by it
    "trust.steering.vectors.mean_difference": lambda labels: vectors.mean_difference(X, labels),
    "trust.steering.vectors.by_block": lambda labels: vectors.by_block(X.expand(3, 12, 4), labels),
    "trust.steering.vectors.shuffled_directions": lambda labels: vectors.shuffled_directions(
        X, labels, 2
    ),
    "trust.steering.effects.controls": lambda labels: effects.controls(
        vectors.mean_difference(X, TRUTH), X, labels, 2
    ),
    "trust.steering.across.across_checkpoints": carried,
    "trust.information.bounds.variational_bound": lambda labels: information.variational_bound(
        0.3, labels
    ),
    "trust.information.bounds.fano_bound": lambda labels: information.fano_bound(0.8, labels),
    "trust.information.dependence.label_null": lambda labels: dependence.label_null(
        labels, dependence.smoother(X), SHUFFLED
    ),
    "trust.information.dependence.label_null, shuffled": lambda labels: dependence.label_null(
        TRUTH, dependence.smoother(X), np.array(yes_no(labels))[None]
    ),
    "trust.information.dependence.plane": lambda labels: dependence.plane(
        X[None], labels, permutations=3
    ),
    "trust.information.recovery.without_label": lambda labels: information.without_label(X, labels),
    "trust.information.kernels.rows_of": lambda labels: dependence.smoother(labels).matrix,
}
"""What takes labels, with the rest of its arguments; None where the name means something else."""


def takers() -> set[str]:
    """Public functions and classes of the rooms with an argument or field called like labels."""
    found = set()
    paths = [path for room in ROOMS for path in [HELPERS / room, *(HELPERS / room).rglob("*.py")]]
    for path in paths:
        if path.suffix != ".py":
            continue
        module = ".".join(path.relative_to(HELPERS).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            inside = node.body if isinstance(node, ast.ClassDef) else []
            fields = {part.target.id for part in inside if isinstance(part, ast.AnnAssign)}
            if fields & NAMES and not node.name.startswith("_"):
                found.add(f"{module}.{node.name}")
            owner = f"{node.name}." if inside else ""
            for part in (node, *inside):
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    arguments = [*part.args.args, *part.args.kwonlyargs]
                    if NAMES & {argument.arg for argument in arguments}:
                        found.add(f"{module}.{owner}{part.name}")
    return found


def test_every_function_that_takes_labels_is_in_the_table():
    assert takers() <= set(TAKERS)
    assert len(takers()) > 15


CALLED = [name for name, call in TAKERS.items() if call]


@pytest.mark.parametrize("name", CALLED)
def test_the_same_labels_in_any_form_give_the_same(name):
    wanted = TAKERS[name](TRUTH)
    for form, labels in GOOD.items():
        assert repr(TAKERS[name](labels)) == repr(wanted), form


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize("kind", BAD)
def test_what_says_neither_yes_nor_no_is_refused_with_the_values_seen(name, kind):
    labels, seen = BAD[kind]
    with pytest.raises(LabError, match=r"expected .* as yes or no") as refused:
        TAKERS[name](labels)
    assert seen in str(refused.value)


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize("value", [True, 0, "true"])
def test_one_class_is_refused_or_counted(name, value):
    """Functions that compare classes refuse one; those that count do not."""
    counts = {"inputs.labels.yes_no", "show.tables.rate", "stats.majority_share"}
    counts |= {"trust.data.splits.Splits.folds", "stats.balanced_accuracy, answers"}
    if name in counts:
        TAKERS[name]([value] * 12)
        return
    with pytest.raises(LabError):
        TAKERS[name]([value] * 12)


def test_the_names_of_a_set_say_which_is_true():
    names = np.where(TRUTH, "toxic", "benign")
    data = LabelledSet("s", ("",) * 12, names, GROUPS, (), "benign", "toxic")
    assert data.labels.tolist() == (~TRUTH).tolist()
    with pytest.raises(LabError, match="'true' and 'false'; got 'toxic', 'benign'"):
        LabelledSet("s", ("",) * 12, names, GROUPS)


@pytest.mark.parametrize("word", ["yes", "Yes", "true", "TRUE", "no", "No", "false", "False"])
@pytest.mark.parametrize("read", [yes_no, lambda labels: yes_no(labels, axes=(1, 2))])
def test_one_class_of_a_word_that_says_yes_or_no_means_what_it_says(word, read):
    wanted = [word.lower() in ("yes", "true")] * 3
    assert read([word] * 3).tolist() == wanted
    assert read(np.array([word] * 3)).tolist() == wanted
    assert rate([word] * 3).startswith("100" if wanted[0] else "0.0")


@pytest.mark.parametrize("name", CALLED)
def test_one_class_of_another_name_is_refused_where_nothing_says_which_it_is(name):
    with pytest.raises(LabError, match=r"yes or no.*got 'toxic' alone|'toxic'"):
        TAKERS[name](["toxic"] * 12)


def test_one_class_of_a_named_pair_is_read():
    assert yes_no(["toxic"] * 2, names=("toxic", "benign")).tolist() == [True, True]
    assert yes_no(["benign"] * 2, names=("toxic", "benign")).tolist() == [False, False]


def test_words_that_say_yes_or_no_are_not_put_in_alphabetical_order():
    assert yes_no(["Yes", "no"]).tolist() == [True, False]
    assert yes_no(["True", "true", "false"]).tolist() == [True, True, False]
    assert yes_no(["False", "true"]).tolist() == [False, True]
    assert yes_no([]).tolist() == []


@pytest.mark.parametrize("labels", [TRUTH[:, None], "yes", 1, None])
def test_labels_are_one_row(labels):
    with pytest.raises(LabError):
        labelled(labels)
    with pytest.raises(LabError):
        vectors.mean_difference(X, labels)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["+1", "-1"], [True, False]),
        (["0", "1", "1"], [False, True, True]),
        (["Yes", "no"], [True, False]),
        (["True", "true", "FALSE"], [True, True, False]),
        (["1.0", "0.0"], [True, False]),
        (torch.tensor([-1j, 0j]).conj().imag, [True, False]),
    ],
)
def test_texts_of_numbers_and_capitals_are_what_they_say(labels, expected):
    assert yes_no(labels).tolist() == expected


@pytest.mark.parametrize(
    "labels",
    [
        ["yes", ""],
        np.array(["toxic", np.nan]),
        ["toxic", "None"],
        ["Toxic", "toxic"],
        ["toxic", "true"],
        torch.eye(2)[0].to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(2, dtype=torch.complex64),
    ],
)
def test_missing_and_double_names_are_no_classes(labels):
    with pytest.raises(LabError, match=r"expected (the )?labels as"):
        yes_no(labels)


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        (("a", float("nan")), ("1", "2")),
        (("a", None), ("1", "2")),
        ("ab", ("1", "2")),
        (("a", "b"), "12"),
        (("a", "b"), np.array([["1", "2"], ["3", "4"]])),
    ],
)
def test_a_set_takes_texts_and_groups_only(texts, groups):
    with pytest.raises(LabError, match=r"expected (the texts of s and|one label, group)"):
        LabelledSet("s", texts, [True, False], groups)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["none", "toxic"], "'none' may say that there is no label"),
        (["Toxic", "toxic"], "they differ in capitals or spaces only"),
        (["no", "maybe"], "'no' says yes or no by itself, and the other one does not"),
        (["toxic"], "'toxic' alone"),
    ],
)
def test_two_texts_that_are_no_names_are_told_why(labels, reason):
    with pytest.raises(LabError) as refused:
        yes_no(labels)
    assert reason in str(refused.value)
