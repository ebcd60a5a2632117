"""Steering vectors against a planted concept, and steering against Hugging Face's own hooks."""

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.steering import vectors as steering
from helpers.trust.steering.vectors import by_block, mean_difference, positions_mask, steered
from tests.trust.families import CONCEPT, FALSE, TRUE, direction, planted

IDS = torch.tensor([[3, 9, 1, 7, 22, 0, 0], [5, 30, 0, 0, 0, 0, 0], [12, 2, 38, 4, 15, 6, 31]])
LENGTHS = torch.tensor([5, 2, 7])


def two_classes(items=60, width=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(items) % 2 == 0
    return torch.tensor(
        rng.normal(size=(items, width)) + labels[:, None] * np.arange(width)
    ), labels


# ---- vectors ----


def test_mean_difference_is_the_papers_equation_and_std_is_of_the_same_rows():
    x, labels = two_classes()
    v = mean_difference(x.float(), labels)
    rows = x.float().double().numpy()
    raw = rows[labels].mean(0) - rows[~labels].mean(0)
    np.testing.assert_allclose(v.push(1, "raw").numpy(), raw, rtol=1e-12)
    np.testing.assert_allclose(
        v.push(-2, "std").numpy(),
        -2 * raw / np.linalg.norm(raw) * (rows @ v.unit.numpy()).std(),
        rtol=1e-12,
    )
    assert (x[labels] @ v.unit).mean() > (
        x[~labels] @ v.unit
    ).mean()  # positive strengths move towards True


def test_the_planted_concept_is_found_exactly():
    model, tokens = planted(), torch.tensor([*TRUE, *FALSE])[:, None]
    _, cache = model.run_with_cache(tokens)
    x = torch.stack(
        [cache["blocks.0.hook_resid_pre"], *(cache[f"blocks.{i}.hook_resid_post"] for i in (0, 1))]
    )[:, :, 0]
    vectors = by_block(x, np.arange(8) < 4)
    assert list(vectors) == [0, 1]
    for v in vectors.values():
        assert v.unit.tolist() == [float(i == CONCEPT) for i in range(8)]
        assert (v.norm, v.std) == (2.0, 1.0)


def test_by_block_leaves_the_embedding_out():
    x, labels = two_classes()
    layers = torch.stack([torch.zeros_like(x), x, -x])
    vectors = by_block(layers, labels)
    assert vectors[0].cosine(mean_difference(x, labels)) == pytest.approx(1)
    assert vectors[1].cosine(vectors[0]) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y[:-1]), "one label a row"),
        (lambda x, y: (x[0], y), "one label a row"),
        (lambda x, y: (x, np.ones(len(x), bool)), "both classes; got 60 True of 60"),
        (lambda x, y: (x[:0], y[:0]), "both classes; got 0 True of 0"),
        (
            lambda x, y: (x.index_fill(0, torch.tensor([3, 8]), torch.nan), y),
            "got 2 of 60 rows with NaN",
        ),
        (
            lambda x, y: (x.index_fill(0, torch.tensor([3]), torch.inf), y),
            "got 1 of 60 rows with NaN",
        ),
        (lambda x, y: (x[:1].expand(60, -1), y), "different mean activations"),
        (lambda x, y: (x[torch.arange(60) // 2] * 1e4, y), "different mean activations"),
    ],
)
def test_activations_without_a_vector_are_refused(change, message):
    with pytest.raises(LabError, match=message):
        mean_difference(*change(*two_classes()))


def test_units_and_strengths_are_checked():
    v = direction(4)
    for alpha, unit, message in (
        (1, "sd", '"std" or "raw"'),
        (float("nan"), "std", "finite strength"),
    ):
        with pytest.raises(LabError, match=message):
            v.push(alpha, unit)
    with pytest.raises(LabError, match="one width"):
        v.cosine(direction(5))


def test_controls_have_the_norm_of_the_vector():
    x, labels = two_classes(items=400, width=32)
    v = mean_difference(x, labels)
    drawn = steering.random_directions(v, 50, seed=3)
    shuffled = steering.shuffled_directions(x, labels, 50, seed=3)
    for control in (*drawn, *shuffled, v.flipped()):
        for unit in ("std", "raw"):
            assert control.push(2.5, unit).norm() == pytest.approx(
                float(v.push(2.5, unit).norm()), rel=1e-9
            )
    assert v.flipped().cosine(v) == -1
    cosines = np.array([control.cosine(v) for control in drawn])
    assert cosines.std() == pytest.approx(
        1 / np.sqrt(32), rel=0.35
    )  # of a uniform direction: variance 1/d
    assert abs(np.mean([control.cosine(v) for control in shuffled])) < 0.3
    again = steering.random_directions(v, 50, seed=3)
    assert all(torch.equal(a.unit, b.unit) for a, b in zip(drawn, again, strict=True))


def test_shuffled_directions_stay_near_the_vector_however_many_rows():
    near = {}
    for items in (60, 6000):
        x, labels = two_classes(items, width=6)
        v = mean_difference(x, labels)
        near[items] = np.mean(
            [other.cosine(v) ** 2 for other in steering.shuffled_directions(x, labels, 300)]
        )
    assert near[6000] == pytest.approx(near[60], abs=0.1)
    assert near[6000] > 2.5 / 6  # a uniform direction has 1/6
    for other in steering.shuffled_directions(x, labels, 20):
        aside = other.without(v)
        assert abs(aside.cosine(v)) < 1e-12
        assert aside.cosine(other) == pytest.approx(np.sqrt(1 - other.cosine(v) ** 2))
    assert v.without(v) is None
    assert v.without(v.flipped()) is None


def test_rows_too_few_to_shuffle_are_refused():
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [1.0, 3.0]])
    with pytest.raises(
        LabError, match="expected 3 shuffles other than the labels; got 0 from 2 rows"
    ):
        steering.shuffled_directions(x[:2], np.array([False, True]), 3)
    drawn = steering.shuffled_directions(x, np.array([False, True] * 2), 30)
    true = mean_difference(x, np.array([False, True] * 2))
    assert all(abs(other.cosine(true)) < 1 - 1e-9 for other in drawn)


def test_shuffling_within_pairs_cancels_what_a_pair_shares():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [np.repeat(100 * rng.normal(size=(30, 2)), 2, axis=0), rng.normal(size=(60, 2))], axis=1
    )
    labels, groups = (
        np.arange(60) % 2 == 0,
        [f"pair {i // 2}" for i in range(60)],
    )  # a pair shares dimensions 0 and 1
    over_all = torch.stack(
        [v.unit for v in steering.shuffled_directions(torch.tensor(x), labels, 20)]
    )
    within = torch.stack(
        [v.unit for v in steering.shuffled_directions(torch.tensor(x), labels, 20, groups)]
    )
    assert (within[:, :2].norm(dim=1) < 1e-9).all()
    assert (over_all[:, :2].norm(dim=1) > 0.9).float().mean() > 0.9
    assert len({tuple(unit.tolist()) for unit in within}) == 20
    with pytest.raises(LabError, match="groups of one label"):
        steering.shuffled_directions(torch.tensor(x), labels, 1, [str(i) for i in range(60)])
    with pytest.raises(LabError, match="one group a row"):
        steering.shuffled_directions(torch.tensor(x), labels, 1, groups[:-1])


# ---- hooks ----


@torch.no_grad()
@pytest.mark.parametrize("positions", ["all", "last", "onward"])
def test_strength_zero_changes_no_bit(family, positions):
    model, _ = family
    plain = model(IDS)
    for layer in range(model.cfg.n_layers):
        with steered(
            model, layer, direction(model.cfg.d_model), 0.0, positions=positions, lengths=LENGTHS
        ):
            assert torch.equal(model(IDS), plain)


@torch.no_grad()
def test_the_last_block_gives_the_logits_computed_by_hand(family):
    model, _ = family
    v, last = direction(model.cfg.d_model), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(IDS)
    residual = (cache[f"blocks.{last}.hook_resid_post"].double() + 2 * 1.5 * v.unit).float()
    norm, head = model.ln_final.original_component, model.unembed.original_component
    if hasattr(norm, "bias"):
        centred = residual - residual.mean(-1, keepdim=True)
        eps = getattr(norm, "eps", model.cfg.eps)
        expected = (
            centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * norm.weight
            + norm.bias
        )
    else:
        expected = (
            residual
            / (residual.square().mean(-1, keepdim=True) + model.cfg.eps).sqrt()
            * norm.weight
        )
    expected = expected @ head.weight.T + (0 if head.bias is None else head.bias)
    with steered(model, last, v, 2.0):
        steered_logits = model(IDS)
    torch.testing.assert_close(steered_logits, expected, rtol=0, atol=2e-5)
    assert (steered_logits - model(IDS)).abs().max() > 0.1


@torch.no_grad()
def test_every_block_as_hugging_faces_own_hooks_do_it(both):
    model, other = both
    v = direction(model.cfg.d_model)
    blocks = next(
        part for name, part in other.named_modules() if name.rsplit(".")[-1] in ("h", "layers")
    )
    for layer in range(model.cfg.n_layers):

        def add(module, args, output):
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden + (3 * v.unit).float()
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        handle = blocks[layer].register_forward_hook(add)
        expected = other(IDS).logits
        handle.remove()
        with steered(model, layer, v, 1.0, "raw"):
            torch.testing.assert_close(model(IDS), expected, rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["all", "last", "onward"])
def test_only_the_chosen_positions_change(family, positions):
    model, _ = family
    v, name = direction(model.cfg.d_model), "blocks.1.hook_resid_post"
    before, after = {}, {}
    for kept in (before, after):
        hooks = [(name, lambda x, hook, kept=kept: kept.setdefault("x", x.clone()))]
        if kept is before:
            model.run_with_hooks(IDS, fwd_hooks=hooks)
        else:
            with steered(model, 1, v, 1.0, positions=positions, lengths=LENGTHS):
                model.run_with_hooks(IDS, fwd_hooks=hooks)
    change = after["x"] - before["x"]
    for row, length in enumerate(LENGTHS.tolist()):
        chosen = {"all": range(length), "last": [length - 1], "onward": range(length - 1, 7)}[
            positions
        ]
        for position in range(7):
            wanted = v.push(1.0).float() if position in chosen else torch.zeros(model.cfg.d_model)
            torch.testing.assert_close(change[row, position], wanted, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["all", "last"])
def test_padding_changes_nothing(family, positions):
    model, _ = family
    v = direction(model.cfg.d_model)
    with steered(model, 0, v, 2.0, positions=positions, lengths=LENGTHS):
        batch = model(IDS)
    for row, length in enumerate(LENGTHS.tolist()):
        with steered(model, 0, v, 2.0, positions=positions):
            alone = model(IDS[row : row + 1, :length])
        torch.testing.assert_close(batch[row, :length], alone[0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_nothing_stays_behind(family):
    model, _ = family
    plain = model(IDS)

    def fail():
        with steered(model, 1, direction(model.cfg.d_model), 5.0):
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(model(IDS), plain)


@torch.no_grad()
def test_bad_places_and_lengths_are_refused():
    model = planted()
    v = direction(8)
    for layer, vector, positions in (
        (2, v, "all"),
        (-1, v, "all"),
        (0, direction(9), "all"),
        (0, v, "first"),
    ):
        with pytest.raises(LabError), steered(model, layer, vector, 1.0, positions=positions):
            pass
    for lengths in (torch.tensor([1, 2]), torch.tensor([0, 1, 1]), torch.tensor([1, 8, 1])):
        with (
            steered(model, 0, v, 1.0, lengths=lengths),
            pytest.raises(LabError, match="a length of 1 to 7"),
        ):
            model(IDS % 14)


def test_masks():
    assert positions_mask("all", None, (1, 3)).all()
    assert positions_mask("onward", torch.tensor([2]), (1, 4)).tolist() == [
        [False, True, True, True]
    ]
