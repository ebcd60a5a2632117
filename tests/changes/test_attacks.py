"""One step of tuning on rude posts: how far it goes, and where to."""

import numpy as np
import pytest
import torch

from helpers.changes.attacks import attack, attacked
from helpers.changes.subjects import before
from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Policy
from helpers.detox.posts import posts_of
from helpers.errors import LabError
from tests.changes.toys import PLAN


def test_the_first_step_moves_every_weight_by_the_rate_or_not_at_all():
    """Adam's first step is the rate times the sign of the gradient."""
    old = {name: weight.clone() for name, weight in before().state_dict().items()}
    [(after, norm)] = attacked(before(), 2, (1,))
    moved = torch.cat([(after.state_dict()[n] - w).abs().flatten() for n, w in old.items()])
    rate = TuningPlan().rate
    assert float(moved.max()) == pytest.approx(rate, rel=0.01)
    assert norm == pytest.approx(float(moved.double().square().sum() ** 0.5), rel=1e-4)
    assert all(torch.equal(w, before().state_dict()[n]) for n, w in old.items()), "a copy is tuned"


def test_the_posts_become_likelier_step_by_step():
    posts = posts_of(1_000_501, 2, rude_share=1.0)
    policies = [
        Policy(before()),
        *(Policy(network) for network, _ in attacked(before(), 2, (1, 3))),
    ]
    said = [
        float(policy.log_probs(posts)[:, 2:8].gather(2, posts[:, 3:9, None]).sum())
        for policy in policies
    ]
    assert said == sorted(said)


def test_the_measured_share_is_that_of_the_tuned_network():
    found = attack(before(), before(), PLAN)
    assert set(found) == {"after", "2 posts"}
    assert np.shape(found["2 posts"]["rude"]) == (1, 1)
    assert found["2 posts"]["rude"][0][0] > found["after"][0]


@pytest.mark.parametrize(("count", "steps"), [(0, (1,)), (2, (0,)), (2.5, (1,))])
def test_attacks_that_are_none(count, steps):
    with pytest.raises(LabError):
        attacked(before(), count, steps)
