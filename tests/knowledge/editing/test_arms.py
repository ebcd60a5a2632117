"""The masks of all arms: their sizes, and what each is told from."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing.arms import ARMS, every_arm, freed
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import blocks, estimators, rivals

MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
TRUTH = facts("kind", ["owl", "oak", "trout"], FRAMES["kind"]["search"])
CIRCUIT = torch.cat(
    [(torch.arange(size) % (3 + number % 5) == 0).float() for number, size in enumerate(ITS.sizes)]
)


def per_tensor(mask):
    return [int(part.sum()) for part in ITS.tensors(mask).values()]


def test_every_arm_but_two_has_the_circuit_s_size():
    masks = every_arm(ITS, CIRCUIT, TRUTH, seed=3)
    assert tuple(masks) == ARMS
    size = int(CIRCUIT.sum())
    for name in ("uniform", "per tensor", "magnitude", "gradient"):
        assert int(masks[name].sum()) == size
    assert torch.equal(masks["circuit"] + masks["complement"], masks["everything"])
    assert per_tensor(masks["per tensor"]) == per_tensor(CIRCUIT) != per_tensor(masks["uniform"])


def test_magnitude_and_gradient_keep_the_largest():
    masks = every_arm(ITS, CIRCUIT, TRUTH)
    values = ITS.values.clone().requires_grad_()
    with torch.enable_grad():
        said = ITS.logits(values, TRUTH.tokens, TRUTH.last).log_softmax(-1)
        (-said[torch.arange(len(TRUTH)), TRUTH.answers].mean()).backward()
    for name, score in (
        ("magnitude", ITS.values.abs()),
        ("gradient", (values.grad * ITS.values).abs()),
    ):
        kept, left = score[masks[name] == 1], score[masks[name] == 0]
        assert float(kept.min()) >= float(left.max()) * (1 - 1e-3)


def test_the_gradient_is_summed_over_batches_in_absolute_value():
    """41 prompts are batches of 32 and 9, whose slopes do not cancel each other."""
    many = facts("kind", divided()[0][:41], FRAMES["kind"]["search"][:1])
    assert len(many) == 41
    wanted = torch.zeros(len(ITS))
    for rows in (slice(0, 32), slice(32, 41)):
        values = ITS.values.clone().requires_grad_()
        with torch.enable_grad():
            said = ITS.logits(values, many.tokens[rows], many.last[rows])
            torch.nn.functional.cross_entropy(said, many.answers[rows]).backward()
        wanted += (values.grad * ITS.values).abs()
    kept = every_arm(ITS, CIRCUIT, many)["gradient"] == 1
    assert float(wanted[kept].min()) >= float(wanted[~kept].max()) * (1 - 1e-3)


@pytest.mark.parametrize("density", [0.5, 0.05])
def test_random_arms_are_not_drawn_from_what_a_search_of_their_seed_began_with(density):
    first = torch.randn(len(ITS), generator=torch.Generator().manual_seed(0))
    start = estimators.keep(first, density)
    masks = every_arm(ITS, start, TRUTH, seed=0)
    for name in ("uniform", "per tensor"):
        shared = float((masks[name] * start).sum() / start.sum())
        # 26 000 weights or more are drawn: five standard errors are .007 at most.
        assert shared == pytest.approx(density, abs=0.007), name


def test_the_seed_decides_the_random_arms_alone():
    first, again, other = (every_arm(ITS, CIRCUIT, TRUTH, seed) for seed in (0, 0, 1))
    for name in ARMS:
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], other[name]) == (name not in ("uniform", "per tensor"))


def test_a_mask_of_any_type_gives_the_same_arms():
    expected = every_arm(ITS, CIRCUIT, TRUTH)
    for dtype in (torch.bool, torch.float64, torch.int64):
        got = every_arm(ITS, CIRCUIT.to(dtype), TRUTH)
        assert all(torch.equal(got[name], expected[name]) for name in ARMS)


@pytest.mark.parametrize(
    ("mask", "seed", "words"),
    [
        (torch.ones(len(ITS)), 0, "expected a density above 0"),
        (torch.zeros(len(ITS)), 0, "expected a mask that keeps a weight or more"),
        (CIRCUIT / 2, 0, "expected a mask of 0 and 1"),
        (CIRCUIT * torch.nan, 0, "expected a mask of 0 and 1"),
        (CIRCUIT[:-1], 0, "expected a vector over the 529,920 weights"),
        (CIRCUIT, -1, "expected a seed of at least 0"),
        (CIRCUIT, 1.5, "expected a seed of at least 0"),
    ],
)
def test_what_makes_no_arms_is_refused(mask, seed, words):
    with pytest.raises(LabError, match=words):
        every_arm(ITS, mask, TRUTH, seed)


def test_a_freed_mask_keeps_the_circuit_and_frees_what_is_outside_the_blocks():
    whole = blocks.of(MODEL, whole=True)
    mask = freed(whole, rivals.uniform(ITS, 0.05))
    inside = torch.cat(
        [
            (part * 0 + name.startswith("blocks.")).flatten()
            for name, part in whole.tensors(whole.values).items()
        ]
    )
    assert torch.equal(mask[inside == 1], rivals.uniform(ITS, 0.05))
    assert mask[inside == 0].all()
    with pytest.raises(LabError, match="expected all weights of a model"):
        freed(ITS, CIRCUIT)
    with pytest.raises(LabError, match="expected a vector over the 529,920 weights"):
        freed(whole, mask)
