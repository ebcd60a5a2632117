"""What the chapter on trustworthiness quotes is what the helpers compute and what is stored."""

import re
from pathlib import Path

import pytest
import torch

from helpers.tinyworld.language import vocabulary, world
from helpers.tinyworld.sets import dimensions
from helpers.trust.data import controls, splits, surface
from helpers.trust.data.public import SOURCES, load
from helpers.trust.data.published import CHECKPOINTS, INFORMATION, PUBLISHED, STEPS
from helpers.trust.data.surveys import stored
from helpers.trust.information import bounds, dependence, kernels
from helpers.trust.probes import linear

PLAIN = (Path(__file__).resolve().parents[2] / "book" / "ch2_trust_dynamics.md").read_text(
    encoding="utf-8"
)
TEXT = re.sub(r"\s+", " ", PLAIN)
TITLES = {
    "truthfulqa": "TruthfulQA",
    "toxigen": "ToxiGen",
    "confaide": "ConfAIde",
    "stereoset": "StereoSet",
    "sst2": "SST-2",
}


def share(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def row(name: str) -> list[str]:
    """The cells after a set's title in the first table of the surface."""
    items = re.search(rf"\n\* - {TITLES[name]}\n((?:  - .+\n)+)", PLAIN)[1]
    return [cell.replace("*", "") for cell in re.findall(r"  - (.+)\n", items)]


@pytest.fixture(scope="module")
def surveys():
    """The stored surveys; a test beside the module that stores them says that they are right."""
    return stored()


@pytest.mark.parametrize("name", SOURCES)
def test_the_surface_on_the_released_split(surveys, name):
    found, paper = surveys[name], PUBLISHED[name]
    seen, capital, bayes, logistic, late, best = row(name)
    assert seen == f"{100 * found.leaked:.1f} %"
    assert capital.split()[0] == f"{found.capital.value:.3f}"
    assert [bayes, logistic] == [share(s.value, s.low, s.high) for s in found.ordered.values()]
    assert (late, best) == (share(paper.late, *paper.interval), f"{paper.best:.3f}")


def test_the_classes_of_the_sets_are_nearly_of_one_size(surveys):
    largest = max(found.capital.majority for found in surveys.values())
    assert f"In no set is the larger class more than {100 * largest:.1f} % of all rows" in TEXT
    shares = [
        s for found in surveys.values() for s in (*found.ordered.values(), *found.grouped.values())
    ]
    assert "balanced accuracy of the words is within 1 point of their accuracy" in TEXT
    assert all(abs(each.value - each.balanced) < 0.01 for each in shares)
    reversed_ = [TITLES[name] for name, found in surveys.items() if not found.capital_says]
    assert f"on {' and '.join(reversed_)} a capital stands for label 0" in TEXT
    same = [TITLES[name] for name, found in surveys.items() if found.capital.balanced == 0.5]
    assert f"On {' and '.join(same)} it says the same of every text" in TEXT
    toxic = surveys["toxigen"].capital
    above = 100 * (toxic.value - toxic.majority)
    assert (
        f"on ToxiGen it is {above:.1f} points above that ({{term}}`balanced accuracy` "
        f"{toxic.balanced:.3f})" in TEXT
    )


@pytest.mark.parametrize("name", SOURCES)
def test_the_surface_with_groups_apart(surveys, name):
    found = surveys[name]
    cells = [share(s.value, s.low, s.high) for s in found.grouped.values()] + [
        f"{found.length:.3f}"
    ]
    assert f"| {TITLES[name]} | {' | '.join(cells)} |" in TEXT


@pytest.mark.parametrize("name", SOURCES)
def test_the_first_claim(name):
    assert f"{TITLES[name]} {PUBLISHED[name].first:.3f}, {PUBLISHED[name].late:.3f}" in TEXT


def test_the_words_do_better_than_the_first_checkpoint(surveys):
    names = ("toxigen", "confaide", "stereoset")
    assert (
        "scores {:.3f}, {:.3f} and {:.3f} on".format(*(PUBLISHED[name].first for name in names))
        in TEXT
    )
    assert all(
        surveys[name].ordered[kind].low > PUBLISHED[name].first
        for name in names
        for kind in surface.CLASSIFIERS
    )
    assert [round(100 * surveys[name].gain) for name in ("toxigen", "confaide", "truthfulqa")] == [
        2,
        3,
        11,
    ]


def test_the_two_phases():
    at = [STEPS.index(step) for step in (0, 300, 3000)]
    tx, ty = ([INFORMATION[kind, 18][i] for i in at] for kind in ("tx", "ty"))
    assert (
        "I(T;X): {:.2f} at step 0, {:.2f} at step 300, {:.2f} at step 3000. "
        "I(T;Y): {:.3f}, {:.3f}, {:.3f}.".format(*tx, *ty)
        in TEXT
    )
    start = [curve[0] for (kind, _), curve in INFORMATION.items() if kind == "tx"]
    assert f"I(T;X) is {min(start):.2f} to {max(start):.2f} at step 0" in TEXT
    assert 179 in CHECKPOINTS


def test_letters_turned_into_capitals(shared_dir):
    data = load("sst2", shared_dir / "data" / "trust")
    letters = [
        letter
        for text, label in zip(data.texts, data.labels, strict=True)
        if label
        for letter in text
        if letter.isalpha()
    ]
    assert f"{100 * sum(map(str.isupper, letters)) / len(letters):.1f} % of the letters" in TEXT


def test_the_size_of_the_world():
    known, frames = world.load(), sum(map(len, world.frames().values()))
    kinds = len(known.values("kind")), len(known.values("realm"))
    assert f"{len(known.entities)} things of {kinds[0]} kinds in {kinds[1]} realms" in TEXT
    assert f"{len(known.people)} people" in TEXT
    assert (
        f"{frames} {{term}}`frames <frame>` speaks about this in English of {len(vocabulary())} "
        "words" in TEXT
    )
    assert (len(known.customs), len(known.receivers), len(known.census), len(known.traits)) == (
        8,
        8,
        12,
        12,
    )


@pytest.mark.parametrize("name", dimensions.CANDIDATES)
def test_the_example_pairs_are_the_first_of_each_set(name):
    true, false = dimensions.labelled_set(name).texts[:2]
    cells = re.search(rf"\n\| {name} \| (.+?) \| (.+?) \|", PLAIN)
    assert cells[1] == true
    assert false.endswith(cells[2].removeprefix("… "))


@pytest.mark.parametrize("name", dimensions.CANDIDATES)
def test_words_are_at_chance_or_below_on_the_minimal_pairs(name):
    data = dimensions.labelled_set(name)
    accuracy = linear.fit(
        controls.bag_of_words(data), data.labels, splits.grouped(data)
    ).accuracy.mean()
    assert accuracy < 0.6
    assert f"{accuracy:.2f} for {name}" in TEXT


def simulated() -> tuple[torch.Tensor, torch.Tensor]:
    """X with a falling spectrum, and T, a rotated and slightly noisy copy of it."""

    def draws(*shape: int, seed: int) -> torch.Tensor:
        return torch.randn(
            *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )

    x = draws(500, 64, seed=1) * torch.arange(1, 65) ** -0.5 @ draws(64, 64, seed=2)
    x = x / x.std()
    return x, x @ torch.linalg.qr(draws(64, 64, seed=3))[0] + 0.5 * draws(500, 64, seed=4)


def cells(head: str) -> list[float]:
    """The numbers of a table's row, looked for by its beginning."""
    return [
        float(cell) for cell in re.search(rf"\n\| {re.escape(head)} \|(.+)\|", PLAIN)[1].split("|")
    ]


def test_compression_without_loss():
    x, t = simulated()
    tables = [dependence.with_direction(t, scale) for scale in (0, 2, 5, 10, 30)]
    nulls = [
        dependence.null(kernels.smoother(x), kernels.smoother(table), permutations=1)
        for table in tables
    ]
    assert cells("I(T;X), normalised HSIC") == pytest.approx(
        [null.observed for null in nulls], abs=0.005
    )
    start = PLAIN.index("| I(T;X), normalised HSIC |")
    means = re.search(r"\| mean of the null \|(.+)\|", PLAIN[start:])[1].split("|")
    assert list(map(float, means)) == pytest.approx([null.expected for null in nulls], abs=0.006)
    ranks = [kernels.smoother(table).effective_rank for table in tables]
    assert cells("effective rank of $T$") == pytest.approx(ranks, abs=0.05)
    left = [
        x - x.mean(0) - fitted(kernels.standardise(table), x - x.mean(0))
        for table in (tables[0], tables[-1])
    ]
    explained = [
        100 * (1 - float(rest.square().sum() / (x - x.mean(0)).square().sum())) for rest in left
    ]
    assert (
        "explains {:.1f} % of the variance of $X$ from $T$ at scale 0, "
        "and {:.1f} % at scale 30".format(*explained)
        in TEXT
    )


def fitted(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return t @ torch.linalg.lstsq(t, x).solution


def test_the_bandwidth_decides():
    x, t = simulated()
    table = dependence.readings(x, t, (1, 5, 50, 200, 400))
    assert cells("I(T;X)") == pytest.approx(
        [reading.value for reading in table], abs=0.05, rel=0.03
    )
    start = PLAIN.index("\n| I(T;X) |")
    means = re.search(r"\| mean of the null \|(.+)\|", PLAIN[start:])[1].split("|")
    assert list(map(float, means)) == pytest.approx(
        [reading.expected for reading in table], abs=0.05
    )
    low, _, high = (
        reading.value for reading in dependence.readings(x, t, (50,), (1e-6, 1e-5, 1e-4))
    )
    assert f"({low:.1f} at $10^{{-6}}$, {high:.2f} at $10^{{-4}}$)" in TEXT
    assert 250 < table[2].value / table[4].value < 350


def test_an_accuracy_bounds_the_information():
    assert (
        f"An accuracy of 0.84, if it is the true one, proves {bounds.fano_bound(0.84).bits:.3f} bit"
        in TEXT
    )
