"""Continuations under steering against Hugging Face's own generation with a cache and a hook."""

import pytest
import torch

from helpers.errors import LabError
from helpers.trust.steering.generation import generate
from helpers.trust.steering.vectors import steered
from tests.trust.families import direction, native, planted

IDS = torch.tensor([[3, 9, 1, 7, 22, 0, 0], [5, 30, 0, 0, 0, 0, 0], [12, 2, 38, 4, 15, 6, 31]])
LENGTHS = torch.tensor([5, 2, 7])


@torch.no_grad()
def test_the_prompts_last_token_is_the_first_position_generated_from(family):
    model, _ = family
    v = direction(model.cfg.d_model, seed=4)
    plain = generate(model, IDS, LENGTHS, 1, 1, v, 0.0)
    firsts = generate(model, IDS, LENGTHS, 1, 1, v, 30.0)
    rows = torch.arange(3)
    assert torch.equal(plain[:, 0], model(IDS)[rows, LENGTHS - 1].argmax(-1))
    with steered(
        model, 1, v, 30.0, positions="last", lengths=LENGTHS
    ):  # one push, at the prompt's last token
        assert torch.equal(firsts[:, 0], model(IDS)[rows, LENGTHS - 1].argmax(-1))
    assert not torch.equal(firsts, plain)
    longer, late = torch.cat([IDS, IDS[:, :1]], 1), LENGTHS + 1
    with steered(
        model, 1, v, 30.0, positions="onward", lengths=late
    ):  # off by one: it comes too late for the first token
        assert torch.equal(model(longer)[rows, LENGTHS - 1].argmax(-1), plain[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 2])
def test_generation_is_the_released_codes_with_a_cache(both, layer):
    """The released code adds to ``output[0][:, -1]`` while Hugging Face generates with a key-value cache."""
    model, other = both
    v = direction(model.cfg.d_model, seed=4)
    blocks = next(
        part for name, part in other.named_modules() if name.rsplit(".")[-1] in ("h", "layers")
    )

    def add(module, args, output):
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[:, -1, :] += v.push(2.0).float()
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    found = generate(model, IDS, LENGTHS, 6, layer, v, 2.0)
    handle = blocks[layer].register_forward_hook(add)
    options = {
        "do_sample": False,
        "use_cache": True,
        "pad_token_id": 0,
        "min_new_tokens": 6,
        "eos_token_id": None,
    }
    for row, length in enumerate(LENGTHS.tolist()):
        made = other.generate(IDS[row : row + 1, :length], max_new_tokens=6, **options)
        assert made[0, length:].tolist() == found[row].tolist()
    handle.remove()
    assert not torch.equal(generate(model, IDS, LENGTHS, 6, layer, v, 0.0), found)


@torch.no_grad()
def test_generation_steers_all_positions_when_asked(family):
    model, _ = family
    v = direction(model.cfg.d_model, seed=4)
    found = generate(model, IDS, LENGTHS, 3, 0, v, 2.0, positions="all")
    for row, length in enumerate(LENGTHS.tolist()):
        tokens = IDS[row : row + 1, :length]
        for step in range(3):
            with steered(model, 0, v, 2.0):
                tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], dim=1)
            assert tokens[0, -1] == found[row, step]


def test_generation_beyond_the_context_is_refused():
    model = planted()
    with pytest.raises(LabError, match="at most 16 positions"):
        generate(model, IDS % 14, LENGTHS, 10, 0, direction(8), 1.0)


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_to_generate_is_refused(count):
    with pytest.raises(LabError, match=f"one new token or more; got {count}"):
        generate(planted(), IDS % 14, LENGTHS, count, 0, direction(8), 1.0)


def test_a_push_that_destroys_the_model_gives_no_tokens():
    """The largest of NaNs would be token 0."""
    with pytest.raises(
        LabError,
        match=r"finite logits.*got NaN or infinity after 3 of 3 prompts at strength 1e\+39",
    ):
        generate(native(), IDS, LENGTHS, 2, 0, direction(16), 1e39)


@pytest.mark.parametrize("ids", [IDS - 5, IDS + 10])
def test_prompts_of_another_vocabulary_are_refused(ids):
    with pytest.raises(LabError, match="expected token ids from 0 to 39"):
        generate(native(), ids, LENGTHS, 2, 0, direction(16), 1.0)
