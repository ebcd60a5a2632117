"""The gradient of a step, held to one that is written out by hand; and what spoils it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.detox.finetune import closed_form_kl, running, steps
from helpers.detox.finetune.plan import BETAS, TuningPlan, check_plan
from helpers.detox.finetune.steps import Marked, TuningRun, batch_of, take_step
from helpers.detox.finetune.targets import FrozenTarget
from helpers.detox.networks import frozen
from helpers.detox.posts import STOP
from helpers.errors import LabError
from tests.detox.finetune import toys


def run_of(**changes) -> TuningRun:
    """A run whose base, model, snapshot and oracle all say different things."""
    plan = replace(toys.PLAN, **changes)
    run = running.prepared(toys.base(), toys.corpus(), plan, toys.allowed)
    snapshot, oracle = toys.base(3), toys.oracle()
    with torch.no_grad():
        for number, module in enumerate((run.network, snapshot, oracle)):
            generator = torch.Generator().manual_seed(number)
            for weight in module.parameters():
                weight += 0.3 * torch.randn(weight.shape, generator=generator)
    accepted = toys.corpus(8).posts
    run.target = FrozenTarget(frozen(snapshot), oracle.requires_grad_(False), accepted, 0.5)
    return run


def by_hand(run: TuningRun) -> torch.Tensor:
    """The gradient of the loss by the last layer, a sum over places written out.

    By the logits of a place, that of a cross-entropy is p − the word, and that of KL(q ‖ p) p − q;
    by the layer, it is this times the state that the layer reads there.
    """
    batch, plan = batch_of(run), run.plan

    def said(network, row) -> np.ndarray:
        with torch.no_grad():
            return network(row[None])[0].double().softmax(-1).numpy()

    def mean(tokens: torch.Tensor, start: int, wanted) -> np.ndarray:
        found = []
        for row in tokens:
            p, q = said(run.network, row), wanted(row)
            with torch.no_grad():
                states = run.network.states(row[None])[0].double().numpy()
            for place in range(start, len(row)):
                found.append(np.outer(p[place - 1] - q(place), states[place - 1]))
                if start > 1 and row[place] == STOP:
                    break  # what comes after it is padding
        return np.mean(found, axis=0)

    def next_word(row):
        return lambda place: np.eye(toys.WORDS)[row[place]]

    def of_base(row):
        return lambda place: said(run.base, row)[place - 1]

    def of_target(row):
        success = run.target.oracle(row[None])[0].double().sigmoid().numpy()
        q = said(run.target.base, row) * success
        return lambda place: q[place - 1] / q[place - 1].sum()

    other, posts = batch.other.tokens, batch.posts.tokens
    found = mean(other, 1, next_word) + plan.post_weight * mean(posts, 3, next_word)
    found += run.kl_weight * mean(batch.prefixes.tokens, 3, of_target)
    found += plan.rehearsal * mean(other, 1, of_base)
    return torch.from_numpy(found).float()


def gradient(run: TuningRun) -> torch.Tensor:
    """The gradient of a step by the last layer, before it is clipped."""
    kept = []
    clip = nn.utils.clip_grad_norm_

    def keep(weights, *rest):
        kept.append(run.network.unembed.weight.grad.clone())
        return clip(weights, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.utils, "clip_grad_norm_", keep)
        take_step(run)
    return kept[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"kl_weight": 0.5, "post_weight": 3.0, "rehearsal": 0.7},
        {"prefixes": "corpus"},
        {"accumulate": 2},
        {"accumulate": 7},
    ],
)
def test_the_gradient_is_the_one_written_out_by_hand(changes):
    run = run_of(**changes)
    wanted = by_hand(run)
    assert torch.allclose(gradient(run), wanted, atol=1e-5)
    assert float(wanted.abs().max()) > 1e-2


def test_of_other_text_neither_the_first_word_nor_padding_counts():
    part = steps.rows(torch.tensor([[70, 71, 0, 0], [70, 71, 72, 0]]))
    assert part.wanted.tolist() == [71, 71, 72]


def counts_pads(tokens: torch.Tensor) -> Marked:
    place = torch.arange(tokens.shape[1])
    return Marked(tokens, (place >= 3).expand(tokens.shape)[:, 1:])


def counts_prompts(tokens: torch.Tensor) -> Marked:
    return Marked(tokens, steps.rows(tokens).mask)


def shifted(part: Marked) -> torch.Tensor:
    return part.tokens[:, :-1][part.mask]


def shifted_target(log_q, log_p, mask):
    return closed_form_kl(log_q.roll(1, dims=0), log_p, mask)


def turned_round(log_q, log_p, mask):
    return closed_form_kl(log_p, log_q, mask)


def no_weight(run: TuningRun, prefixes: Marked) -> torch.Tensor:
    return torch.zeros(())


MUTANTS = {
    "pads counted": (steps, "posts", counts_pads),
    "prompts counted": (steps, "posts", counts_prompts),
    "label shifted": (Marked, "wanted", property(shifted)),
    "target shifted": (steps, "closed_form_kl", shifted_target),
    "other direction": (steps, "closed_form_kl", turned_round),
    "λ ignored": (steps, "kl_to_target", no_weight),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_has_another_gradient(mutant, monkeypatch):
    run = run_of()
    wanted = by_hand(run)
    monkeypatch.setattr(*MUTANTS[mutant])
    assert not torch.allclose(gradient(run), wanted, atol=1e-2)


def test_without_the_stop_the_gradient_is_another_one():
    run = run_of(stop_gradient=False)
    assert not torch.allclose(gradient(run), by_hand(run), atol=1e-2)


def test_parts_add_up_to_the_whole_also_where_posts_differ_in_length():
    weights = [gradient(run_of(accumulate=number)) for number in (1, 2, 3, 5)]
    assert all(torch.allclose(weights[0], other, atol=1e-6) for other in weights[1:])


@pytest.mark.parametrize("parts", [1, 3])
def test_what_is_minimised_beside_counts_once_a_step(parts):
    """A loss of 2 · the sum of the last layer: its gradient there is 2 everywhere."""
    alone, both = run_of(accumulate=parts), run_of(accumulate=parts)
    both.beside = lambda run: 2 * run.network.unembed.weight.sum()
    value = float(both.beside(both).detach())
    assert torch.allclose(gradient(both), gradient(alone) + 2, atol=1e-5)
    assert both.losses[0].beside == pytest.approx(value, rel=1e-5)
    assert replace(both.losses[0], beside=0.0) == alone.losses[0]


def test_batches_do_not_depend_on_the_weight():
    with_target, without = run_of(), run_of()
    without.target = None
    for name in ("other", "posts"):
        ours, other = (getattr(batch_of(run), name).tokens for run in (with_target, without))
        assert torch.equal(ours, other)
    assert batch_of(without).prefixes is None


def test_without_a_target_a_step_is_one_of_plain_tuning_bit_for_bit():
    run = run_of(kl_weight=0.0, rehearsal=0.0, post_weight=2.0)
    run.target = None
    network = frozen(run.network).requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), betas=BETAS, weight_decay=0.0)
    for _ in range(3):
        batch = batch_of(run)
        optimizer.param_groups[0]["lr"] = run.plan.rate_at(run.step)
        loss = torch.zeros(())
        for weight, part in ((1.0, batch.other), (2.0, batch.posts)):
            logits = network.unembed(network.states(part.tokens[:, :-1])[part.mask])
            loss = loss + weight * F.cross_entropy(logits, part.tokens[:, 1:][part.mask])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        take_step(run)
        assert toys.apart(run.network, network) == 0.0


def test_losses_that_are_no_numbers_leave_the_weights_alone():
    run = run_of()
    with torch.no_grad():
        run.network.unembed.bias[5] = torch.inf
    other = run_of()
    other.beside = lambda run: torch.tensor(torch.nan)
    for spoilt in (run, other):
        before = frozen(spoilt.network)
        with pytest.raises(LabError, match="expected"):
            take_step(spoilt)
        assert torch.equal(before.embed.weight, spoilt.network.embed.weight)


@pytest.mark.parametrize(
    "changes",
    [
        {"kl_weight": -1.0},
        {"kl_weight": float("nan")},
        {"kl_weight": float("inf")},
        {"rehearsal": -0.1},
        {"post_weight": float("nan")},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"steps": 0},
        {"steps": 2, "iterations": 3},
        {"iterations": 0},
        {"posts": 0},
        {"rows": 1.5},
        {"samples": 0},
        {"first_fit": -1},
        {"accumulate": 0},
        {"seed": -1},
        {"prefixes": "other"},
        {"adaptive": 0.0},
        {"adaptive": float("nan")},
        {"adaptive": 0.1, "controller": "other"},
        {"adaptive": 0.1, "kl_weight": 0.0, "controller": "proportional"},
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(changes):
    with pytest.raises(LabError, match="expected"):
        check_plan(replace(TuningPlan(), **changes))
