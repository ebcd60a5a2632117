"""The gradient of a step by another route, plain tuning at λ = 0, and steps shared by several."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from helpers.detox.networks import PlainShape
from helpers.detox.oracle.network import blank
from helpers.detox.real.models import Tunable
from helpers.detox.real.tuning import Alone, HubTarget, HubTuning, TuningTexts, texts_of
from helpers.detox.real.writing import padded
from helpers.errors import LabError
from tests.detox.real.stand_ins import CORPUS, PLAN, WORDS, causal


def texts() -> TuningTexts:
    return texts_of(causal(), CORPUS.toxic, CORPUS.clean, 12)


def target(seed: int = 0) -> HubTarget:
    """Samples of one length after prompts of several, and an oracle that says something."""
    oracle = blank(PlainShape(len(WORDS), 16, 4, 1, 32, 24, len(WORDS)), seed)
    with torch.no_grad():
        nn.init.normal_(oracle.head.weight, generator=torch.Generator().manual_seed(seed))
    rows = padded([([1, 2, 3, 4, 8], 3), ([1, 2, 6, 3, 17, 8, 0], 4), ([7, 1, 2, 3, 4], 4)], 0)
    return HubTarget(None, oracle, rows)


class Logits(nn.Module):
    """Says the same after every token at a place: logits of its own, with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(
            torch.randn(40, 24, len(WORDS), generator=torch.Generator().manual_seed(1))
        )

    def forward(self, input_ids):
        rows, wide = input_ids.shape
        return SimpleNamespace(logits=self.table[:rows, :wide])


def test_the_gradient_by_the_logits_is_that_of_the_formula():
    """CE: (p − one-hot) / tokens; KL: λ (p − q) / tokens, q without a gradient; else nothing."""
    tuned, said = Tunable(causal(), adapter=False), target()
    stub = Logits()
    plan = PLAN
    tuning = HubTuning(causal(), tuned, texts(), plan, kl_weight=3.0, called=stub)
    tuning.rehearsal = 0.0
    clean, toxic = texts().clean.at([0, 1]), texts().toxic.at([0])
    losses, loss = tuning._losses(toxic, clean, said.accepted, said)
    loss.backward()
    # by hand, place by place
    p = stub.table.detach().softmax(-1)
    wanted = torch.zeros_like(stub.table)
    places = [
        (row, place)
        for row, rows in enumerate([*clean.tokens, *toxic.tokens])
        for place in range(len(rows) - 1)
        if [*clean.counts, *toxic.counts][row][place + 1]
    ]
    tokens = [*clean.tokens, *toxic.tokens]
    for row, place in places:
        wanted[row, place] += p[row, place] / len(places)
        wanted[row, place, tokens[row][place + 1]] -= 1 / len(places)
    asked = [(r, i) for r in range(3) for i in range(6) if said.accepted.counts[r, i + 1]]
    assert len(asked) == 2 + 3 + 1
    with torch.no_grad():
        success = said.oracle(said.accepted.tokens).sigmoid()
    kl = 0.0
    for row, place in asked:
        # the copy that q comes from is asked on its own, so its rows are the first of the table
        q = p[row, place] * success[row, place]
        q = q / q.sum()
        own = p[3 + row, place]
        kl += float((q * (q / own).log()).sum()) / len(asked)
        wanted[3 + row, place] += 3.0 * (own - q) / len(asked)
    assert torch.allclose(stub.table.grad, wanted, atol=1e-6)
    assert float(losses[1]) == pytest.approx(kl, abs=1e-5)


def weights_after(kl_weight: float, given, together=None, steps: int = 3):
    tuned = Tunable(causal(), adapter=False)
    tuning = HubTuning(causal(), tuned, texts(), PLAN, kl_weight, together=together)
    for _ in range(steps):
        tuning.step(given)
    return tuned.kept(), tuning.losses


def test_at_weight_0_a_tuning_is_plain_tuning_bit_for_bit():
    plain, _ = weights_after(0.0, None)
    same, losses = weights_after(0.0, target())
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    other, _ = weights_after(2.0, target())
    assert any(not torch.equal(plain[name], other[name]) for name in plain)
    assert all(each.kl == 0 for each in losses)


def test_a_weight_without_a_target_is_refused():
    with pytest.raises(LabError, match="a target q where λ is above 0"):
        weights_after(1.0, None)
    with pytest.raises(LabError, match="kl_weight"):
        weights_after(-1.0, None)


class Half(Alone):
    """One of two processes, whose partner's numbers of tokens are told to it."""

    def __init__(self, rank, totals=None) -> None:
        self.rank, self.count, self.totals, self.seen = rank, 2, totals, []

    def part(self, rows):
        return rows.at(torch.arange(self.rank, len(rows), 2))

    def total(self, tokens):
        self.seen.append(float(tokens))
        return self.totals[len(self.seen) - 1] if self.totals else 1.0

    def clip(self, weights):
        return None


def test_two_halves_of_a_batch_add_up_to_the_whole_whatever_their_lengths():
    """The mean of both halves' gradients is the gradient of one process."""

    def gradient(together):
        tuned = Tunable(causal(), adapter=False)
        tuning = HubTuning(causal(), tuned, texts(), PLAN, 2.0, together=together)
        clean, toxic = texts().clean.at([0, 8, 2, 9]), texts().toxic.at([0, 0])
        accepted = target().accepted.at([0, 1])
        losses, loss = tuning._losses(toxic, clean, accepted, target())
        loss.backward()
        return losses, torch.cat([w.grad.flatten() for w in tuned.trained.values()])

    counted = [Half(rank) for rank in (0, 1)]
    for each in counted:
        gradient(each)
    totals = [a + b for a, b in zip(counted[0].seen, counted[1].seen, strict=True)]
    assert all(a != b for a, b in zip(counted[0].seen, counted[1].seen, strict=True))
    whole_losses, whole = gradient(Alone())
    halves = [gradient(Half(rank, totals)) for rank in (0, 1)]
    assert torch.allclose((halves[0][1] + halves[1][1]) / 2, whole, atol=1e-6)
    assert torch.allclose(halves[0][0] + halves[1][0], whole_losses, atol=1e-6)
