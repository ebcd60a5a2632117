"""Networks from models and models from networks: the same weights, each on its own."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import zoo
from helpers.detox.networks import PlainShape, bridge, fresh, frozen, plain
from helpers.errors import LabError
from tests.circuits import random_models
from tests.detox.networks.small import SHAPE, network, tokens

NATIVE = {"normalization_type": "LN", "act_fn": "gelu"}


@pytest.fixture(scope="module")
def model():
    return zoo.load("tinyworld", device="cpu")


def native(**options):
    return random_models.native(**NATIVE | options)


def same(one, other) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_there_and_back_no_weight_changes(model):
    network = plain(model)
    again = bridge(network, model)
    assert same(network, model)
    assert same(again, model)
    read = tokens(3, 10, 993)
    with torch.no_grad():
        assert torch.equal(again(read), model(read))


def test_each_has_weights_of_its_own():
    model = native()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    ours = plain(model)
    kept, again = frozen(ours), bridge(ours, model)
    with torch.no_grad():
        for weight in ours.parameters():
            weight += 1
        for weight in again.parameters():
            weight += 2
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())
    assert all(torch.equal(kept.state_dict()[name], weight) for name, weight in before.items())
    assert not any(weight.requires_grad for weight in kept.parameters())
    assert all(weight.requires_grad for weight in ours.parameters())
    assert not kept.training


def test_a_model_made_of_a_network_has_its_weights_its_words_and_hooks(model):
    trained = plain(model)
    with torch.no_grad():
        trained.unembed.bias[7] += 100
    again = bridge(trained, model)
    read = tokens(2, 6, 993)
    with torch.no_grad():
        logits, cache = again.run_with_cache(read)
        assert torch.allclose(logits, trained(read), atol=1e-4)
        silent = again.run_with_hooks(
            read, fwd_hooks=[("ln_final.hook_normalized", lambda value, hook: 0 * value)]
        )
    assert bool((logits.argmax(-1) == 7).all())
    assert not torch.allclose(silent, logits)
    assert "blocks.3.hook_resid_post" in cache or "blocks.3.hook_out" in cache
    text = "mara : you are a twit ."
    assert again.tokenizer(text)["input_ids"] == model.tokenizer(text)["input_ids"]


def test_hooks_of_a_model_do_not_come_along():
    model, read = native(), tokens(2, 5)
    with torch.no_grad():
        wanted = model(read)
        model.add_hook("blocks.0.hook_out", lambda value, hook: 0 * value)
        again = bridge(plain(model), model)
        assert torch.allclose(again(read), wanted, atol=1e-4)
        assert not torch.allclose(model(read), wanted, atol=1e-2)  # it keeps its own


def test_a_file_of_one_fits_the_other(tmp_path):
    ours, model = network(PlainShape(20, 16, 2, 3, 32, 12)), native()
    save_file(ours.state_dict(), tmp_path / "ours.safetensors")
    model.load_state_dict(load_file(tmp_path / "ours.safetensors"), strict=True)
    read = tokens(3, 7)
    with torch.no_grad():
        assert torch.allclose(model(read), ours(read), atol=1e-4)


def test_before_training_weights_are_those_of_gpt2():
    shape = PlainShape(500, 64, 4, 2, 128, 32)
    made = fresh(shape, 0)
    for name, weight in made.state_dict().items():
        if name.endswith("bias"):
            assert not weight.any()
        elif ".ln" in name or name.startswith("ln"):
            assert bool((weight == 1).all())
        else:
            writes = "attn.o" in name or "mlp.out" in name
            spread = 0.02 / math.sqrt(4) if writes else 0.02
            count = weight.numel()  # the estimate's own standard error, five times
            assert abs(float(weight.std()) / spread - 1) < 5 / math.sqrt(2 * count)
            assert abs(float(weight.mean())) < 5 * spread / math.sqrt(count)


def test_a_seed_gives_one_network_and_leaves_torchs_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second, third = fresh(SHAPE, 1), fresh(SHAPE, 1), fresh(SHAPE, 2)
    frozen(plain(native()))
    assert torch.equal(torch.rand(3), expected)
    assert same(first, second)
    assert not same(first, third)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_network_can_be_trained_wherever_it_was_made(mode):
    with mode():
        made = [plain(native()), fresh(SHAPE, 0)]
        quiet = frozen(made[1])
    for its in made:
        its(tokens(2, 3)).sum().backward()
        assert its.unembed.weight.grad is not None
    assert not quiet(tokens(2, 3)).requires_grad


def test_a_frozen_copy_keeps_its_shifts():
    its = network()
    its.shifts = {1: torch.linspace(-2, 2, 16)}
    kept, read = frozen(its), tokens(2, 4)
    its.shifts.clear()
    with torch.no_grad():
        assert not torch.allclose(kept(read), its(read), atol=1e-2)


# bad input


@pytest.mark.parametrize(
    "options",
    [
        {"act_fn": "relu"},
        {"act_fn": "gelu_new"},
        {"normalization_type": "LNPre"},
        {"normalization_type": "RMS"},
        {"normalization_type": None},
        {"attn_only": True},
        {"gated_mlp": True},
        {"final_rms": True},
        {"positional_embedding_type": "rotary", "rotary_dim": 8},
        {"n_key_value_heads": 1},
        {"attn_scale": 3.0},
        {"attn_scores_soft_cap": 5.0},
        {"output_logits_soft_cap": 5.0},
        {"attention_dir": "bidirectional"},
        {"eps": 1e-3},
        {"d_head": 4},
    ],
    ids=str,
)
def test_a_model_that_computes_otherwise_is_refused(options):
    with pytest.raises(LabError, match="expected a native model with plain attention, MLPs of"):
        plain(native(**options))


def test_what_is_no_native_model_is_refused(tmp_path):
    for other in (random_models.gpt2(tmp_path), network(), torch.nn.Linear(2, 2), None, "gpt2"):
        with pytest.raises(LabError, match="expected a native model with plain attention, MLPs of"):
            plain(other)


def test_a_model_of_another_shape_is_refused():
    with pytest.raises(LabError, match="expected a model of the network's shape"):
        bridge(network(), native())


def test_a_model_has_no_shifts_and_says_so():
    its = plain(native())
    its.shifts = {0: torch.ones(16)}
    with pytest.raises(LabError, match="expected a network without shifts; got some after blocks"):
        bridge(its, native())


@pytest.mark.parametrize("seed", [-1, 0.5, None, True, float("nan")])
def test_seeds_that_are_none_are_refused(seed):
    with pytest.raises(LabError, match="expected a seed of at least 0"):
        fresh(SHAPE, seed)
