"""Activation editing: what is taken off, where, and how it is chosen."""

import math

import pytest
import torch

from helpers.detox.networks import PlainShape, Policy, fresh
from helpers.detox.posts import DetoxCorpus, prompts
from helpers.detox.rivals import ActivationEdit, activation_editing
from helpers.detox.rivals import activations as module
from helpers.detox.rivals.activations import edited, kind_share, mean_difference, shifted
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from tests.detox.rivals.toys import kind_chance, one_of_each, small_corpus, token, writer

SHAPE = PlainShape(len(vocabulary()), 8, 2, 2, 16, 64)


def streamless() -> torch.nn.Module:
    """A network whose blocks write nothing: its residual stream is embedding plus position."""
    network = fresh(SHAPE, seed=0)
    with torch.no_grad():
        for block in network.blocks:
            block.attn["o"].weight.zero_()
            block.mlp["out"].weight.zero_()
    return network


NOUNS = ("dunce", "gem")


@pytest.mark.parametrize(("place", "before"), [("noun", 0), ("before the noun", 1)])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_mean_difference_by_hand(place, before, layer):
    network, posts = streamless(), one_of_each()[[0, 0, 1, 2]]  # all but the last are rude
    found = mean_difference(network, posts, layer, place)
    means = []
    for row in posts.tolist():
        at = next(i for i, word in enumerate(row) if word in map(token, NOUNS)) - before
        means.append(network.embed.weight[row[at]] + network.pos_embed.weight[at])
    wanted = (means[0] + means[1] + means[2]) / 3 - means[3]
    assert torch.allclose(found, wanted.detach(), atol=1e-6)
    assert wanted.abs().max() > 1e-3 or before  # the same word stands before all nouns here


@pytest.mark.parametrize(
    "posts", [one_of_each().float(), one_of_each()[0], one_of_each()[:0], -one_of_each(), None]
)
def test_posts_that_are_none(posts):
    with pytest.raises(LabError, match="token ids"):
        mean_difference(streamless(), posts, 0, "noun")


def test_garbled_posts_count_on_neither_side():
    network, posts = streamless(), one_of_each()
    spoilt = torch.cat([posts, posts[:1]])
    spoilt[-1, 3:] = token("dunce")
    for place in ("noun", "before the noun"):
        found = mean_difference(network, spoilt, 0, place)
        assert torch.equal(found, mean_difference(network, posts, 0, place))


def test_there_is_nothing_to_take_at_the_end_of_the_prompt():
    """Which is why it is no place here: the same prompts come before rude and kind posts."""
    with pytest.raises(LabError, match="and a place"):
        mean_difference(streamless(), one_of_each(), 0, "prompt")


def test_an_edit_takes_its_vector_off_and_leaves_the_base():
    base = fresh(SHAPE, seed=1)
    vector = torch.randn(8, generator=torch.Generator().manual_seed(0))
    tokens = one_of_each()
    policy = edited(base, ActivationEdit(1, "noun", 2.0), vector)
    with torch.no_grad():
        streams = module._after_block(base, tokens, 1)  # the last block: the stream that is read
        wanted = base.unembed(base.ln_final(streams - 2.0 * vector)).log_softmax(-1)
    assert torch.allclose(policy.log_probs(tokens), wanted, atol=1e-5)
    assert base.shifts == {}


def test_shifts_of_one_block_add_up():
    """Also where a network that has one is edited again."""
    vector = torch.arange(8.0)
    once = shifted(fresh(SHAPE, seed=1), 0, vector)
    assert torch.equal(shifted(once, 0, vector).shifts[0], 2 * vector)
    taken = edited(once, ActivationEdit(0, "noun", 3.0), vector).network
    assert torch.equal(taken.shifts[0], -2 * vector)
    assert torch.equal(once.shifts[0], vector)
    assert set(shifted(once, 1, vector).shifts) == {0, 1}


@pytest.mark.parametrize(
    ("block", "vector"),
    [(2, torch.ones(8)), (-1, torch.ones(8)), (0, torch.ones(5)), (0, torch.ones(8) * torch.nan)],
)
def test_shifts_that_do_not_fit(block, vector):
    for shift in (
        lambda: shifted(fresh(SHAPE, seed=1), block, vector),
        lambda: edited(fresh(SHAPE, seed=1), ActivationEdit(block, "noun", 1.0), vector),
    ):
        with pytest.raises(LabError, match="expected"):
            shift()


def test_the_kind_share_is_that_of_the_writer():
    found = kind_share(Policy(writer(0.25, 0.3, 0.2)), prompts(), seed=0, samples=20)
    spread = math.sqrt(kind_chance(0.25, 0.3, 0.2) * (1 - kind_chance(0.25, 0.3, 0.2)) / 960)
    assert found == pytest.approx(kind_chance(0.25, 0.3, 0.2), abs=3 * spread)


def test_the_edit_with_the_highest_share_on_one_half_is_judged_on_the_other(monkeypatch):
    asked = []

    def known(policy, rows, seed, samples=16):
        asked.append((rows[:, 1].tolist(), dict(policy.network.shifts)))
        lengths = [float(shift.norm()) for shift in policy.network.shifts.values()]
        return 1 - abs(lengths[0] - target) if lengths else 0.5

    base = fresh(SHAPE, seed=1)
    target = 2.0 * float(mean_difference(base, one_of_each(), 1, "noun").norm())
    monkeypatch.setattr(module, "kind_share", known)
    found = activation_editing(base, small_corpus(), strengths=(1.0, 2.0, 4.0), seed=3)
    wanted = {"layer": 1, "place": "noun", "strength": 2.0}
    assert {name: found.found[name] for name in wanted} == wanted
    assert list(found.policy.network.shifts) == [1]
    half, other = (set(rows.tolist()) for rows in (prompts()[::2, 1], prompts()[1::2, 1]))
    assert all(set(rows) == half for rows, _ in asked[:12])
    assert all(set(rows) == other for rows, _ in asked[12:])
    assert len(asked) == 2 * 2 * 3 + 3
    random, chosen = asked[-1][1][1], found.policy.network.shifts[1]
    assert float(random.norm()) == pytest.approx(float(chosen.norm()), rel=1e-5)
    assert not torch.allclose(random, chosen)


def test_without_posts_of_both_kinds_there_is_no_difference():
    other = small_corpus().other
    with pytest.raises(LabError, match="expected rude posts and kind posts to compare"):
        activation_editing(fresh(SHAPE, 0), DetoxCorpus(None, other))
    with pytest.raises(LabError, match="got 2 and 0 of 2"):
        activation_editing(fresh(SHAPE, 0), small_corpus(one_of_each()[:2]))


@pytest.mark.parametrize(
    "options", [{"layers": [2]}, {"layers": [-1]}, {"layers": []}, {"strengths": [0.0]},
                {"strengths": [math.nan]}, {"strengths": []}],
)  # fmt: skip
def test_edits_that_cannot_be_made(options):
    with pytest.raises(LabError):
        activation_editing(fresh(SHAPE, 0), small_corpus(), **options)
