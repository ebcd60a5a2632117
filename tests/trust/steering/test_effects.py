"""Choice, effects and controls on a model with a planted concept, and once on a real one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.steering import strength
from helpers.trust.steering.across import across_checkpoints, correlation
from helpers.trust.steering.behaviours import Behaviour, Documents, from_text, scores
from helpers.trust.steering.effects import cluster_means, controls, effects
from helpers.trust.steering.strength import BUDGET, choose
from helpers.trust.steering.vectors import Vector, by_block, mean_difference, steered
from tests.trust.families import (
    CONCEPT,
    FALSE,
    HIGH,
    LOUD,
    LOW,
    NO,
    OTHER,
    SOFT,
    TRUE,
    YES,
    native,
    planted,
)

TOKENS = torch.tensor([*TRUE, *FALSE])
LABELS = np.arange(8) < 4
TWINS = tuple(f"twin {i % 4}" for i in range(8))
ANSWER = Behaviour(
    "says yes", TOKENS[:, None], torch.ones(8, dtype=torch.long), ((YES,),) * 8, ((NO,),) * 8, TWINS
)
MUSIC = Behaviour(
    "loud or soft",
    torch.tensor([[LOUD], [SOFT]]),
    torch.ones(2, dtype=torch.long),
    ((HIGH,), (LOW,)),
    ((LOW,), (HIGH,)),
)
DOCUMENTS = Documents(
    torch.tensor([[0, YES, 1, YES], [4, NO, 5, NO], [LOUD, HIGH, SOFT, LOW]]),
    torch.tensor([4, 4, 4]),
)
FIRST = np.array([group in ("twin 0", "twin 1") for group in TWINS])
DEVELOPMENT, TEST = ANSWER[FIRST], ANSWER[~FIRST]


def along(*weights: tuple[int, float]) -> Vector:
    unit = torch.zeros(8, dtype=torch.float64)
    for dimension, weight in weights:
        unit[dimension] = weight
    return Vector(unit / unit.norm(), norm=2.0, std=1.0)


TRUTH, IRRELEVANT = along((CONCEPT, 1.0)), along((OTHER, 1.0))


@pytest.fixture(scope="module")
def model():
    return planted()


@pytest.fixture(scope="module")
def choice(model):
    return choose(
        model, {0: IRRELEVANT, 1: TRUTH}, DEVELOPMENT, DOCUMENTS, alphas=(1.0, 2.0), budget=2.0
    )


@pytest.fixture(scope="module")
def rows():
    """Activations of the planted classes with noise, in which the labels say only the concept."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2 == 0
    x = rng.normal(size=(200, 8)) * (1.0, 3.0, *[0.5] * 6)
    x[:, CONCEPT] += np.where(labels, 1.0, -1.0)
    return torch.tensor(x), labels


@torch.no_grad()
def by_hand(model, layer, vector, alpha, behaviour, documents):
    """Mean score and perplexity, item by item through `steered`."""
    with steered(model, layer, vector, alpha):
        scores, losses = [], []
        for row in range(len(behaviour)):
            logp = model(behaviour.ids[row : row + 1])[0, -1].double().log_softmax(-1)
            scores.append(
                float(
                    logp[list(behaviour.good[row])].logsumexp(0)
                    - logp[list(behaviour.bad[row])].logsumexp(0)
                )
            )
        for row in documents.ids:
            logp = model(row[None])[0].double().log_softmax(-1)
            losses += [-float(logp[i, row[i + 1]]) for i in range(len(row) - 1)]
    return np.mean(scores), math.exp(np.mean(losses))


# ---- choice ----


def test_the_budget_is_the_papers():
    assert pytest.approx(1.34, abs=0.005) == BUDGET


def test_the_best_trial_within_the_budget_is_chosen(model):
    vectors, alphas = {0: IRRELEVANT, 1: TRUTH}, (0.5, 1.0, 2.0, 4.0, 8.0)
    _, base = by_hand(model, 0, TRUTH, 0.0, DEVELOPMENT, DOCUMENTS)
    trials = {}
    for layer, vector in vectors.items():
        for alpha in alphas:
            score, level = by_hand(model, layer, vector, alpha, DEVELOPMENT, DOCUMENTS)
            trials[layer, alpha] = (score, level / base)
    ratios = sorted(ratio for _, ratio in trials.values())
    chosen = set()
    for budget in (ratios[0] + 1e-6, (ratios[4] + ratios[5]) / 2, 100.0):
        found = choose(model, vectors, DEVELOPMENT, DOCUMENTS, alphas, budget=budget)
        allowed = {key: score for key, (score, ratio) in trials.items() if ratio <= budget}
        assert (found.layer, found.alpha) == max(allowed, key=lambda key: allowed[key])
        assert found.vector is vectors[found.layer]
        for trial in found.trials:
            assert (trial.score, trial.ratio) == pytest.approx(
                trials[trial.layer, trial.alpha], abs=1e-4
            )
        assert len(found.trials) == 10
        assert (found.base.alpha, found.base.ratio, found.base.accuracy) == (0.0, 1.0, 0.5)
        chosen.add((found.layer, found.alpha))
    assert len(chosen) > 1  # the budget decides


def test_no_strength_within_the_budget_is_an_error_that_says_how_far_it_was(model):
    with pytest.raises(
        LabError,
        match=r"within 1.00 of the unsteered.*got 3\.\d+ times at best \(block 1, strength 8, of 2",
    ) as fault:
        choose(model, {1: TRUTH}, DEVELOPMENT, DOCUMENTS, (8.0, 9.0), budget=1.0)
    assert "smaller strengths" in str(fault.value)


def test_strengths_that_break_the_model_are_recorded_and_never_chosen():
    broken = native()
    ids = torch.arange(12).reshape(3, 4)
    behaviour = Behaviour("x", ids, torch.full((3,), 4), ((1,),) * 3, ((2,),) * 3)
    unit = torch.ones(16, dtype=torch.float64) / 4
    vector = Vector(unit, norm=1.0, std=1.0)
    found = choose(
        broken, {0: vector}, behaviour, Documents(ids, torch.full((3,), 4)), (1e38, 0.1), budget=1e6
    )
    assert found.alpha == 0.1
    assert math.isnan(found.trials[0].score)
    assert found.trials[0].ratio == math.inf
    with pytest.raises(LabError, match="got inf times at best"):
        choose(
            broken, {0: vector}, behaviour, Documents(ids, torch.full((3,), 4)), (1e38,), budget=1e6
        )


def test_a_model_that_is_broken_without_steering_is_named():
    broken = native()
    with torch.no_grad():
        broken.unembed.original_component.weight[3] = torch.nan
    ids = torch.arange(8).reshape(2, 4)
    behaviour = Behaviour("x", ids, torch.full((2,), 4), ((1,),) * 2, ((2,),) * 2)
    with pytest.raises(LabError, match="without any steering"):
        choose(
            broken,
            {0: Vector(torch.ones(16).double() / 4, 1.0, 1.0)},
            behaviour,
            Documents(ids, torch.full((2,), 4)),
        )


@pytest.mark.parametrize(
    ("vectors", "alphas"), [({}, (1.0,)), ({0: TRUTH}, ()), ({0: TRUTH}, (0.0, 1.0))]
)
def test_nothing_to_try_is_refused(model, vectors, alphas):
    with pytest.raises(LabError, match="at least one block and strengths other than 0"):
        choose(model, vectors, DEVELOPMENT, DOCUMENTS, alphas)


# ---- effects ----


def test_the_planted_vector_works_and_its_controls_do_not(model, choice, rows):
    x, labels = rows
    vector = mean_difference(x, labels)
    assert vector.cosine(TRUTH) > 0.9
    named = {"steered": TRUTH, **controls(TRUTH, x, labels, count=20)}
    found = effects(model, choice, named, TEST, DOCUMENTS, [MUSIC])
    assert found["steered"].target.mean > 2.0 > -2.0 > found["sign flip"].target.mean
    assert (
        found["steered"].target.low < 0
    )  # two groups of twins show nothing by themselves; the controls do
    assert found.rank("steered", "random") <= 2 / 21
    assert found.rank("steered", "shuffled") <= 2 / 21
    assert found.rank("sign flip", "random") == 1.0
    strongest = max(abs(effect.target.mean) for effect in found.of_kind("random", "shuffled"))
    assert strongest <= found["steered"].target.mean + 1e-9
    assert (
        found["steered"].behaviours["says yes"].accuracy.mean == 0.5
    )  # FALSE tokens now say yes too
    assert found["steered"].behaviours["loud or soft"].accuracy.mean == 0.0
    assert found.base["says yes"][1] == 0.5
    assert found.base["loud or soft"] == (pytest.approx(2 * 2 * 8 / math.sqrt(28), abs=0.8), 1.0)
    with pytest.raises(LabError, match="controls named 'other'"):
        found.rank("steered", "other")


def test_effects_are_those_measured_item_by_item(model, choice):
    found = effects(model, choice, {"a": TRUTH, "b": IRRELEVANT}, TEST, DOCUMENTS)
    score, level = by_hand(model, choice.layer, TRUTH, 0.0, TEST, DOCUMENTS)
    assert (found.base["says yes"][0], found.perplexity) == pytest.approx(
        (score, level), rel=1e-4, abs=1e-5
    )
    for name, vector in (("a", TRUTH), ("b", IRRELEVANT)):
        moved, after = by_hand(model, choice.layer, vector, choice.alpha, TEST, DOCUMENTS)
        assert found[name].target.mean == pytest.approx(moved - score, abs=1e-4)
        assert found[name].ratio == pytest.approx(after / level, rel=1e-4)


def test_effects_are_measured_where_the_strength_was_chosen():
    model, ids = native(), torch.arange(24).reshape(6, 4)
    prompts = Behaviour("x", ids, torch.full((6,), 4), ((30,),) * 6, ((31,),) * 6)
    documents, vector = (
        Documents(ids, torch.full((6,), 4)),
        Vector(torch.eye(16).double()[3], 1.0, 1.0),
    )
    found = {}
    for positions in ("all", "last"):
        chosen = choose(
            model,
            {0: vector},
            prompts[np.arange(3)],
            documents,
            (2.0,),
            positions=positions,
            budget=100.0,
        )
        found[positions] = effects(
            model, chosen, {"v": vector}, prompts[np.arange(3, 6)], documents
        )
        values = scores(
            model,
            prompts[np.arange(3, 6)],
            0,
            torch.stack([0 * vector.unit, vector.push(2.0)]),
            positions,
        )
        assert found[positions]["v"].target.mean == pytest.approx(
            (values[1] - values[0]).mean(), abs=1e-5
        )
    assert found["all"]["v"].target.mean != pytest.approx(found["last"]["v"].target.mean, abs=1e-3)
    assert found["all"]["v"].ratio == pytest.approx(
        found["last"]["v"].ratio
    )  # perplexity: at every position either way


def test_a_control_that_does_as_much_counts_against_the_vector(model, choice):
    same, opposite = (replace(vector, kind="random") for vector in (TRUTH, TRUTH.flipped()))
    named = {"v": TRUTH, "random 1": same, "random 2": opposite}
    report = effects(model, choice, named, TEST, DOCUMENTS)
    assert report.rank("v", "random") == 2 / 3


def test_controls_are_as_many_and_as_long_as_asked(rows):
    x, labels = rows
    named = controls(TRUTH, x, labels, count=3)
    wanted = [
        "sign flip",
        *(f"{kind} {i}" for kind in ("random", "shuffled", "off-axis") for i in (1, 2, 3)),
    ]
    assert list(named) == wanted
    assert all(
        abs(named[f"off-axis {i}"].cosine(TRUTH)) < 1e-9 < abs(named[f"shuffled {i}"].cosine(TRUTH))
        for i in (1, 2, 3)
    )
    assert all(v.push(2).norm() == pytest.approx(2.0) for v in named.values())


def test_development_items_are_refused_as_test_items(model, choice):
    for behaviour in (DEVELOPMENT, ANSWER):
        with pytest.raises(LabError, match="2 groups in both, such as 'twin 0'"):
            effects(model, choice, {"a": TRUTH}, behaviour, DOCUMENTS)


def test_two_behaviours_of_one_name_and_broken_vectors_are_refused(model, choice):
    with pytest.raises(LabError, match="different names"):
        effects(model, choice, {"a": TRUTH}, TEST, DOCUMENTS, [TEST])
    with pytest.raises(LabError, match="NaN or infinity under 'huge'"):
        effects(model, choice, {"a": TRUTH, "huge": Vector(TRUTH.unit, 1.0, 3e38)}, TEST, DOCUMENTS)


# ---- intervals ----


def test_twins_do_not_make_an_interval_narrower():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 40))
    [single, _] = cluster_means(values, [str(i) for i in range(40)])
    [twins, _] = cluster_means(np.repeat(values, 10, axis=1), [str(i // 10) for i in range(400)])
    [ignored, _] = cluster_means(np.repeat(values, 10, axis=1), [str(i) for i in range(400)])
    assert (twins.low, twins.high) == pytest.approx((single.low, single.high))
    assert ignored.high - ignored.low < 0.5 * (twins.high - twins.low)
    half = 1.96 * values[0].std() / np.sqrt(40)
    assert (single.mean - single.low, single.high - single.mean) == pytest.approx(
        (half, half), rel=0.15
    )


def test_intervals_of_unequal_groups_are_the_jackknifes():
    """Written out: the mean without each group in turn."""
    groups, values = np.array(list("aaabbccccc")), np.random.default_rng(0).normal(size=10)
    [change] = cluster_means(values[None], groups)
    left_out = np.array([values[groups != name].mean() for name in "abc"])
    half = 4.302652730 * np.sqrt(
        2 / 3 * ((left_out - values.mean()) ** 2).sum()
    )  # t with 2 degrees of freedom
    assert change.mean == pytest.approx(values.mean())
    assert (change.low, change.high) == pytest.approx((values.mean() - half, values.mean() + half))


@pytest.mark.parametrize("sizes", ["equal", "unequal"])
@pytest.mark.parametrize("count", [4, 8, 12])
def test_intervals_hold_the_truth_however_few_the_groups(count, sizes):
    """Normal group means and items around them: 95 % are expected, give or take 1 %."""
    rng = np.random.default_rng(count)
    members = np.repeat(np.arange(count), 3 if sizes == "equal" else 1 + np.arange(count) % 4)
    values = rng.normal(size=(4000, count))[:, members] + rng.normal(size=(4000, len(members)))
    share = np.mean(
        [
            change.low <= 0 <= change.high
            for change in cluster_means(values, [str(i) for i in members])
        ]
    )
    assert 0.92 <= share <= 0.98
    assert all(
        change.low <= change.mean <= change.high
        for change in cluster_means(values[:50], members.astype(str))
    )


@pytest.mark.parametrize("groups", [["a"] * 4, ["a", "b"]])
def test_too_few_groups_are_refused(groups):
    with pytest.raises(LabError, match="two groups at least"):
        cluster_means(np.zeros((1, 4)), groups)


# ---- checkpoints ----


def test_vectors_of_checkpoints_turn_towards_the_concept(model, choice):
    """Classes differ by 5 cos along the concept and 5 sin along an irrelevant dimension."""
    angles = {0: 90, 10: 60, 100: 30, 1000: 0}
    activations = {}
    for step, angle in angles.items():
        direction = along(
            (CONCEPT, math.cos(math.radians(angle))), (3, math.sin(math.radians(angle)))
        ).unit
        block = 5 * torch.tensor(np.where(LABELS, 1.0, -1.0))[:, None] * direction
        activations[step] = torch.stack([torch.zeros_like(block), torch.randn_like(block), block])
    found = across_checkpoints(model, choice, activations, LABELS, TEST, DOCUMENTS)
    assert list(found) == list(angles)
    assert [effect.cosine for effect in found.values()] == pytest.approx(
        [math.cos(math.radians(a)) for a in angles.values()], abs=1e-6
    )
    means = [effect.target.mean for effect in found.values()]
    assert means == sorted(means)
    assert abs(means[0]) < 0.25 * means[-1]
    exact = effects(model, choice, {"own": TRUTH}, TEST, DOCUMENTS)["own"].target.mean
    assert means[-1] == pytest.approx(exact, abs=1e-5)
    own = across_checkpoints(model, choice, activations, LABELS, TEST, DOCUMENTS, own_size=True)
    longer = effects(model, choice, {"5": Vector(TRUTH.unit, 10.0, 5.0)}, TEST, DOCUMENTS)[
        "5"
    ].target.mean
    assert own[1000].target.mean == pytest.approx(longer, abs=1e-5)
    assert longer > exact + 0.1


def test_a_checkpoint_without_a_vector_is_named(model, choice):
    same = torch.ones(3, 8, 8)
    with pytest.raises(LabError, match="step 512, block 1: expected two classes"):
        across_checkpoints(model, choice, {512: same}, LABELS, TEST, DOCUMENTS)


def test_correlation_is_pearsons_and_knows_two_rising_curves():
    rng = np.random.default_rng(0)
    rising = np.linspace(0, 1, 16)
    a, b = rising + 0.05 * rng.normal(size=16), rising + 0.05 * rng.normal(size=16)
    found = correlation(a, b)
    assert found.r == pytest.approx(np.corrcoef(a, b)[0, 1])
    z, half = np.arctanh(found.r), 1.96 / np.sqrt(13)
    assert (found.low, found.high) == pytest.approx(
        (np.tanh(z - half), np.tanh(z + half)), abs=1e-4
    )
    assert found.p_value < 0.001  # they only share that they rise …
    assert found.p_steps > 0.05  # … which the steps show
    shared = np.cumsum(rng.normal(size=16))
    assert correlation(shared, shared + 0.1 * rng.normal(size=16)).p_steps < 0.01


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2, 4, 3], [1, 2, 4, 3], "five checkpoints"),
        ([1, 2, 4, 3, 5], [1, 2, 4, 3], "got 5 and 4"),
        ([1, 2, 4, 3, np.nan], [1, 2, 4, 3, 5], "finite"),
        ([1, 1, 1, 1, 1], [1, 2, 4, 3, 5], "curves that change"),
        ([1, 2, 3, 4, 5], [1, 2, 4, 3, 5], "straight line"),
        (np.linspace(0.1, 0.6, 6), [0.3, 0.1, 0.5, 0.2, 0.6, 0.4], "straight line"),
        (
            [0.3, 0.1, 0.5, 0.2, 0.6, 0.4],
            np.linspace(0.9, 0.1, 6, dtype=np.float32),
            "straight line",
        ),
        ([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3], [1, 2, 4, 3, 5], "straight line"),
    ],
)
def test_curves_that_cannot_correlate_are_refused(first, second, message):
    with pytest.raises(LabError, match=message):
        correlation(first, second)


# ---- a real model ----


def test_a_real_model_is_steered_from_he_to_she(shared_dir):
    """Sentences about Lily and Tim, and who comes next where the story does not say."""
    from helpers import zoo
    from helpers.trust.series.activations import encode, last_token

    model = zoo.load(str(shared_dir / "models" / "stories260K"), device="cpu")
    rest = (
        "went to the park",
        "was very happy",
        "saw a big dog",
        "had a red ball",
        "wanted to play",
        "likes to run",
    )
    texts = [f"{name} {end}." for end in rest for name in ("Lily", "Tim")]
    labels = np.array([text.startswith("Lily") for text in texts])
    vectors = by_block(last_token(model, *encode(model, texts)), labels)
    prompts = [
        f"Once upon a time there was a {x}."
        for x in ("child", "dog", "big bear", "bird", "cat", "friend", "fish", "star")
    ]
    side = [["She", "she"]] * 8, [["He", "he"]] * 8
    behaviour = from_text(model, "she", prompts, *side)
    stories = [
        "One day, Lily went to the park with her mom. She saw a big dog.",
        "Tim had a red ball. He liked to play with it.",
    ]
    documents = Documents(*encode(model, stories))
    chosen = choose(model, vectors, behaviour[np.arange(4)], documents)
    assert (
        next(t.ratio for t in chosen.trials if (t.layer, t.alpha) == (chosen.layer, chosen.alpha))
        <= strength.BUDGET
    )
    x = last_token(model, *encode(model, texts))[chosen.layer + 1]
    named = {
        "steered": chosen.vector,
        **controls(chosen.vector, x, labels, 10, [text.split(" ", 1)[1] for text in texts]),
    }
    found = effects(model, chosen, named, behaviour[np.arange(4, 8)], documents)
    assert found["steered"].target.low > 0.5 > 0 > found["sign flip"].target.high
    assert found.rank("steered", "random") == 1 / 11
    # Six pairs that differ in little else: a shuffled direction is nearly ± the vector, so only its
    # off-axis part is a null.
    assert max(abs(effect.cosine) for effect in found.of_kind("shuffled")) > 0.8
    assert found.rank("steered", "off-axis") == 1 / 11
    off_axis = max(effect.target.mean for effect in found.of_kind("off-axis"))
    assert found["steered"].target.mean > 2 * off_axis
