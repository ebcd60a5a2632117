"""Probes of a model beside itself, beside one that knows nothing, and of a broken one."""

import torch

from helpers.changes.probing import probes
from helpers.changes.subjects import before, checkpoint
from helpers.detox.networks import frozen
from tests.changes.toys import PLAN


def test_a_model_beside_itself_has_changed_nothing():
    found = probes(before(), before(), PLAN)
    for place in ("noun", "end"):
        assert found[place]["own"] == found[place]["base's"]
        assert found[place]["cosine"] == found[place]["kept"] == [1.0] * 5
    assert min(found["end"]["own"][2:]) > 0.95, "it has read the post"
    assert max(found["end"]["own"][:1]) < 0.75, "before the first block it sees a stop"


def test_a_direction_that_is_turned_round_is_read_the_wrong_way():
    """The streams of a network whose last block writes nothing are those before that block."""
    network = frozen(before())
    for name in ("attn.o", "mlp.out"):
        module = network.get_submodule(f"blocks.3.{name}")
        for weight in module.parameters():
            weight.zero_()
    found = probes(before(), network, PLAN)
    for place in ("noun", "end"):
        assert found[place]["own"][4] == found[place]["own"][3]
        assert found[place]["cosine"][:4] == [1.0] * 4 != found[place]["cosine"][1:]


def test_before_training_no_probe_reads_the_end():
    found = probes(before(), checkpoint(0), PLAN)
    assert max(found["end"]["base's"]) < 0.8
    assert torch.tensor(found["end"]["cosine"]).abs().max() < 0.6
