"""Lab 0's checks judge values alone: not what an answer does to what it is given."""

import pytest
import torch

from helpers.course.check import evaluate
from helpers.course.sheet import RIGHT


def share_in_place(model, piece, scale, token):
    piece -= piece.mean(-1, keepdim=True)
    piece /= scale
    return (piece * model.ln_final.weight * model.unembed.W_U[:, token].T).sum(-1)


def by_hand(model, stream):
    x = stream - stream.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
    return (x * model.ln_final.weight + model.ln_final.bias) @ model.unembed.W_U + model.unembed.b_U


def in_double(model, stream):
    model.to(torch.float64)
    return by_hand(model, stream.double())


def silent(node):
    def write(z, hook):
        z = z.clone()
        z[:, node.position, node.head] = 0
        return z

    return f"blocks.{node.layer}.attn.hook_z", write


def hook_left(model, tokens, node):
    model.add_hook(*silent(node))
    return model(tokens)


def hook_taken_away(model, tokens, node):
    model.add_hook(*silent(node))
    logits = model(tokens)
    model.reset_hooks()
    return logits


def other_tokens(model, tokens, node):
    tokens.zero_()
    return model.run_with_hooks(tokens, fwd_hooks=[silent(node)])


def zero_means(model, cache):
    for value in cache.cache_dict.values():
        value.zero_()
    return torch.zeros(2, 19, 96)


def test_an_answer_that_works_in_place_is_right():
    assert evaluate("lab0.5", share_in_place).status == RIGHT


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("lab0.3", lambda p, f, k, j: (p.zero_(), torch.zeros(3))[1]),
        ("lab0.5", lambda model, p, s, t: (p.zero_(), torch.zeros(6))[1]),
        ("lab0.7", zero_means),
        ("lab0.6", other_tokens),
    ],
)
def test_an_answer_about_inputs_that_it_has_spoiled_is_wrong(name, answer):
    assert evaluate(name, answer).points == 0


def test_a_hook_that_stays_is_the_mistake():
    said = "your hook is still there, at blocks.0.attn.hook_z, and changes every later run"
    result = evaluate("lab0.6", hook_left)
    assert (result.points, result.message[: len(said)]) == (0, said)
    assert evaluate("lab0.6", hook_taken_away).status == RIGHT


def test_a_model_that_was_converted_is_told_and_is_no_longer_so_for_the_next_answer():
    assert "converts the model" in evaluate("lab0.4", in_double).message
    assert evaluate("lab0.4", by_hand).status == RIGHT


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda values: values + 7j, "complex"),
        (lambda values: values.to_sparse(), "sparse"),
        (lambda values: values.to("meta"), "meta"),
        (lambda values: [str(value) for value in values.tolist()], "text"),
    ],
)
def test_forms_that_hold_no_plain_numbers_are_told(form, words):
    def answer(pattern, fmt, k, j):
        seen = pattern[:, :, fmt.answer_position(k) - 1, list(fmt.operand_positions(j))]
        return form(seen.sum(-1).mean(0))

    result = evaluate("lab0.3", answer)
    assert result.points == 0
    assert words in result.message
