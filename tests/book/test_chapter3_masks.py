"""What chapter 3 says was found of masks, held against the stored study.

That the summaries follow from the cells is tested beside them; here tables and sentences of the
chapter are compared with the summaries.
"""

import re
from functools import cache

import numpy as np
import pytest
import torch
from chapter3 import ARMS, NUMBER, SPREAD, cells, ends, flat, found, numbers, part, section, told

from helpers import zoo
from helpers.knowledge import masks
from helpers.knowledge.facts import divided, factnet
from helpers.knowledge.masks import plain
from helpers.knowledge.study import stored, summaries
from helpers.knowledge.study.tasks import TASKS, of_part
from helpers.stats import auroc, clopper_pearson
from helpers.tinyworld.language import vocabulary, world

MASKS = section("What we found: masks")
FLAT = flat(MASKS)
STUDY = stored.stored()
CONTROLS = {
    "true kinds": "facts",
    "exchanged kinds": "exchanged kinds",
    "kinds dealt out": "dealt out",
    "true kinds, shuffled weights": "shuffled weights",
    "true kinds, untrained": "untrained",
    "true kinds, before the facts": "before the facts",
}


@cache
def summary(name, *of):
    """The rows of one summary of the stored study."""
    return getattr(summaries, name)(STUDY, *of)


def below(heading):
    """What stands in the section on masks below a heading."""
    return part(MASKS, heading)


@pytest.mark.parametrize("name", ARMS)
def test_what_is_kept(name):
    rows = summary("circuits", "kind")
    expected = [told(found(rows, arm=ARMS[name], density=d)["accuracy"]) for d in (0.5, 0.25, 0.05)]
    assert cells(name, below("A twentieth")) == expected


def test_the_rest_is_damaged():
    rows = summary("circuits", "kind")
    small, large = (found(rows, arm="complement", density=d) for d in (0.05, 0.25))
    none = found(rows, arm="none", density=0.0)
    said = [
        float(each)
        for each in re.search(
            rf"Its KL to the whole model is {SPREAD} nats at 5 % and"
            rf" {SPREAD} at 25 %,"
            rf" its NLL of the truth {NUMBER} and {NUMBER} above",
            FLAT,
        ).groups()
    ]
    kl = [getattr(row["kl"], side) for row in (small, large) for side in ("mean", "low", "high")]
    above = [small["above_uniform"], large["above_uniform"]]
    entropy = re.search(rf"its entropy of {NUMBER} and {NUMBER} nats", FLAT).groups()
    assert [float(x) for x in entropy] == pytest.approx(
        [small["entropy"], large["entropy"]], abs=0.051
    )
    assert said == pytest.approx([*kl, *above], abs=0.051)
    said = re.search(rf"has a KL of {NUMBER} and an NLL {NUMBER} below", FLAT).groups()
    assert [float(x) for x in said] == pytest.approx(
        [none["kl"].mean, -none["above_uniform"]], abs=0.051
    )


@pytest.mark.parametrize("name", CONTROLS)
def test_what_a_mask_can_write(name):
    rows, steady = summary("controls"), summary("steady")
    control = CONTROLS[name]
    whole = found(rows, control=control, density=1.0, asked="learned")["accuracy"].mean
    small = [
        told(found(rows, control=control, density=0.05, asked=asked)["accuracy"])
        for asked in ("learned", "other frames", "other entities")
    ]
    learned, others = (
        found(steady, of=control, arm="circuit", asked=asked)["accuracy"]
        for asked in ("learned", "other entities")
    )
    expected = [f"{whole:.2f}", *small, f"{learned.mean:.2f}", told(others)]
    assert cells(name, below("A mask can write")) == expected


@pytest.mark.parametrize("task", ["truth", "noun number"])
def test_the_sizes(task):
    rows, steady = summary("circuits", task), summary("steady")
    expected = [
        told(found(rows, arm="circuit", density=d)["accuracy"]) for d in STUDY.plan.densities
    ]
    alone = found(steady, of=task, arm="circuit", asked="held out", density=0.5)["accuracy"]
    whole = found(rows, arm="whole", density=1.0)["accuracy"]
    assert cells(task, below("No size")) == [told(whole), *expected, told(alone)]
    best = max(found(rows, arm="circuit", density=d)["accuracy"].mean for d in STUDY.plan.densities)
    assert best <= alone.high


def test_the_other_tasks_at_every_size():
    least = float(re.search(rf"toxicity have {NUMBER} or more at every density", FLAT)[1])
    others = [task for task in TASKS if task not in ("truth", "noun number")]
    assert all(task in FLAT for task in others)
    for task in others:
        for density in STUDY.plan.densities:
            row = found(summary("circuits", task), arm="circuit", density=density)
            assert row["accuracy"].mean >= least


@pytest.mark.slow
@pytest.mark.parametrize(("step", "place"), [(None, 0), (468, 1), (0, 2)])
def test_the_embedding_alone_tells_kinds_of_the_trained_model(step, place):
    model = zoo.load("tinyworld", device="cpu", **({} if step is None else {"step": step}))
    rows = model.embed.W_E.detach().double().numpy()
    kind = {entity.name: entity.kind for entity in world.load().entities}
    searched, held_out = divided()
    row = {name: rows[vocabulary().token(name)] for name in (*searched, *held_out)}
    means = {
        each: np.mean([row[name] for name in searched if kind[name] == each], axis=0)
        for each in {kind[name] for name in searched}
    }
    right = 0
    for name in held_out:
        far = {each: np.linalg.norm(row[name] - mean) for each, mean in means.items()}
        right += min(far, key=far.get) == kind[name]
    counts = re.search(
        r"right for (\d+) of (\d+); before .* learned for (\d+) of 77 \[[\d., ]+\];"
        r" untrained for (\d+) of 77",
        FLAT,
    ).groups()
    assert [right, len(held_out)] == [int(counts[(0, 2, 3)[place]]), int(counts[1])]
    if step is not None:
        low, high = clopper_pearson(right, len(held_out))
        assert f"{right} of 77 [{low:.2f}, {high:.2f}]" in FLAT


@pytest.mark.parametrize("task", TASKS)
def test_what_circuits_share(task):
    rows = [row for row in summary("overlaps") if row["density"] == 0.05]
    expected = []
    for other in TASKS:
        row = found(rows, first=task, second=other)
        expected.append(f"{row['containment'][0]:.3f} ({row['per_tensor'][0]:.3f})")
    assert cells(task, below("One circuit")) == expected


def test_the_ranges_that_are_told_of_shares():
    rows = [row for row in summary("overlaps") if row["density"] == 0.05]
    shared = {(row["first"], row["second"]): row["containment"][0] for row in rows}
    chance = [row["per_tensor"][0] for row in rows]
    text = flat(below("One circuit"))
    low, high = re.search(rf"for that alone share {NUMBER} to {NUMBER}\.", text).groups()
    assert [float(low), float(high)] == pytest.approx([min(chance), max(chance)], abs=0.005)
    three = ("kind", "realm", "truth")
    pairs = [shared[a, b] for a in three for b in three if a != b]
    low, high = re.search(rf"share more than that, {NUMBER} to {NUMBER};", text).groups()
    assert [float(low), float(high)] == pytest.approx([min(pairs), max(pairs)], abs=0.005)
    again = [shared[task, task] for task in TASKS]
    low, high = re.search(rf"another seed finds {NUMBER} to {NUMBER} of", text).groups()
    assert [float(low), float(high)] == pytest.approx([min(again), max(again)], abs=0.005)
    null = {(row["first"], row["second"]): row["per_tensor"][1:] for row in rows}
    for other in three:
        assert shared["verb number", other] <= null["verb number", other][1]
        for one in three:
            if one != other:
                assert shared[one, other] > null[one, other][1] + 0.02


@pytest.mark.parametrize(
    ("name", "kind"), [("attention", "attention"), ("MLP", "MLP"), ("LayerNorm", "normalisation")]
)
def test_what_a_circuit_is_made_of(name, kind):
    rows = summary("compositions")
    at = [found(rows, task="kind", kind=kind, density=d) for d in (0.5, 0.05)]
    expected = [row[measure][0] for measure in ("keep_rate", "share") for row in at]
    said = [float(cell) for cell in cells(name, below("Made of"))]
    assert said == pytest.approx(expected, abs=0.0006)


def test_the_estimators():
    rows, text = summary("estimators"), below("Three estimators")
    for name, estimator in (("straight through", "top-k"), ("hard concrete", "hard concrete")):
        expected = [
            told(found(rows, estimator=estimator, density=d)["accuracy"]) for d in (0.5, 0.25, 0.05)
        ]
        assert cells(name, text) == expected
    released = [found(rows, estimator="binary concrete", density=d) for d in (0.5, 0.25, 0.05)]
    assert cells("binary concrete, as released", text)[0] == told(released[0]["accuracy"])
    assert [row["accuracy"] for row in released[1:]] == [None, None]
    kl = [
        found(rows, estimator=each, density=0.5)["kl"].mean for each in ("hard concrete", "top-k")
    ]
    said = re.search(rf"with a KL of {NUMBER} against {NUMBER} at 50 %", text).groups()
    assert [float(x) for x in said] == pytest.approx(kl, abs=0.0006)
    for density in (0.5, 0.35, 0.25, 0.15):
        near, far = (
            found(rows, estimator=each, density=density)["kl"].mean
            for each in ("hard concrete", "top-k")
        )
        assert near < far
    lower = [
        (of[density] or {"accuracy": 0})["accuracy"]
        for row in summary("tuning")
        if row["estimator"] == "binary concrete"
        for of in [row["densities"]]
        for density in of
        if density < 0.5
    ]
    said = float(re.search(rf"leave at most {NUMBER} of the validation prompts", text)[1])
    assert max(lower) == pytest.approx(said, abs=0.005)


def test_what_was_asked():
    model = plain.of(zoo.load("tinyworld", device="cpu"))
    said = re.search(r"([\d,]+) weights in four blocks", FLAT)[1]
    assert int(said.replace(",", "")) == len(model)
    learned, judged = (len(set(of_part("kind", p).subjects)) for p in ("search", "held out"))
    assert f"about {learned} entities and judged by prompts about {judged} others" in FLAT
    assert f"of all {model.model.cfg.d_vocab} words" in FLAT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("straight through", ("top-k", (0.05,), 400, 0.01)),
        ("hard concrete", ("hard concrete", (0.05,), 200, 0.1)),
    ],
)
def test_where_the_truth_is_known(name, settings):
    told_there = [
        [float(each) for each in re.findall(r"\d\.\d\d", cell)]
        for cell in cells(name, below("Where the truth is known"))
    ]
    for column, numbers_said in zip(searched(settings).T, told_there, strict=True):
        expected = [column.mean(), column.min(), column.max()]
        assert numbers_said == pytest.approx(expected, abs=0.15), "searches wander apart"


@pytest.mark.slow
def test_the_other_learning_rate():
    text = flat(below("Where the truth is known"))
    said = numbers(rf"with 0\.003 it has {NUMBER}, and {NUMBER} of the facts", text)
    found_there = searched(("top-k", (0.05,), 400, 0.003)).mean(0)[:2]
    assert said == pytest.approx(found_there, abs=0.15), "searches wander apart"


def searched(settings):
    """AUROC, facts right and true weights kept of five searches in FactNet, one a row."""
    net = factnet.build(noise=0.01)
    its, (tokens, answers) = plain.of(net.model), factnet.prompts()
    wired = np.concatenate([net.wired[tensor].flatten().numpy() for tensor in its.names])
    last = torch.full((len(tokens),), 2)
    objective, rows = masks.predictions(its, tokens, last), []
    for seed in range(5):
        one = masks.learn(its, objective, masks.SearchSettings(*settings, batch=36, seed=seed))
        scores, kept = one.scores[0.05].numpy(), one.masks[0.05]
        said = its.logits(its.values * kept, tokens, last).argmax(-1)
        pairs = scores[wired][:, None] - scores[~wired][None]  # AUROC as the share of pairs
        area = (pairs > 0).mean() + (pairs == 0).mean() / 2
        right = float((said == answers).float().mean())
        rows.append([area, right, float(kept.numpy()[wired].mean())])
    return np.array(rows)


def test_the_size_of_weights_where_the_truth_is_known():
    net = factnet.build(noise=0.01)
    its = plain.of(net.model)
    wired = np.concatenate([net.wired[tensor].flatten().numpy() for tensor in its.names])
    text = flat(below("Where the truth is known"))
    assert f"{wired.sum()} of {len(its):,} weights do" in text
    area = numbers(rf"has an AUROC of {NUMBER}\.", text)
    assert [auroc(its.values.abs().numpy(), wired)] == pytest.approx(area, abs=0.0051)


def test_halves_at_fifty_percent_and_what_numbers_share():
    rows = summary("circuits", "kind")
    rest, random = (found(rows, arm=arm, density=0.5)["kl"] for arm in ("complement", "per tensor"))
    said = numbers(rf"the rest's KL is {SPREAD}, that of as many", FLAT)
    assert said == pytest.approx(ends(rest), abs=0.051)
    said = numbers(rf"random weights in every tensor {SPREAD}\. The intervals overlap", FLAT)
    assert said == pytest.approx(ends(random), abs=0.051)
    assert rest.low < random.high
    both = [row for row in summary("overlaps") if row["density"] == 0.05]
    one = found(both, first="verb number", second="noun number")
    said = numbers(rf"more than chance, {NUMBER} against {NUMBER}, but", FLAT)
    assert said == pytest.approx([one["containment"][0], one["per_tensor"][0]], abs=0.0006)
    assert one["containment"][1] < one["per_tensor"][2]


def test_circuits_of_noun_number_are_right_more_often_than_the_model():
    rows = summary("circuits", "noun number")
    whole = found(rows, arm="whole", density=1.0)["accuracy"].mean
    small = [
        found(rows, arm="circuit", density=d)["accuracy"].mean for d in (0.35, 0.25, 0.15, 0.05)
    ]
    assert min(small) > whole + 0.05
