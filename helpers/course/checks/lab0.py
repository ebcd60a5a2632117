"""Checks of lab 0: hooks, caches and causal interventions.

References come from other code than the student's: closed forms, random attention patterns, the
model's own modules, a toy circuit whose answer is known, and `helpers.interventions`.
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helpers.arithmetic.questions import Format, uniform
from helpers.course.asking import call
from helpers.course.check import exercise
from helpers.course.checks import lab0_mistakes as usual
from helpers.course.expect import expect_close, expect_shape, expect_type
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.interventions import Node, ablate, run_with_replaced


@exercise("lab0.1", points=1, title="Which position says it?")
def source_position(answer):
    for n_digits in (5, 3, 6):
        for k in range(n_digits + 1):
            expect_close(
                call(answer, n_digits, k),
                3 * n_digits + 2 - k,
                mistakes=usual.positions(n_digits, k),
                name=f"the position for n = {n_digits}, k = {k}",
            )


@exercise("lab0.2", points=3, title="Take the stream apart")
@torch.no_grad()
def components(answer):
    at = usual.bench()
    right = usual.stream_parts(at, at.source)
    got = call(answer, at.model, at.cache, at.source)
    expect_type(got, dict)
    _same_names(list(got), list(right))
    for name, piece in right.items():
        expect_type(got[name], Tensor, name=f"the piece {name}")
        mistakes = partial(_of_piece, at, name)
        expect_close(
            _spread(got[name], piece, name), piece, 1e-4, mistakes, name=f"the piece {name}"
        )


def _of_piece(at: usual.Bench, name: str) -> usual.Mistakes:
    return {f"the piece {name}: {said}": value for said, value in usual.pieces(at, name).items()}


def _same_names(got: list, right: list[str]) -> None:
    missing, extra = (
        [name for name in right if name not in got],
        [str(name) for name in got if name not in right],
    )
    hints = {
        "b": "the heads of a layer share a bias b_O",
        "M": "each layer's MLP adds hook_mlp_out",
    }
    if missing:
        hint = hints.get(
            missing[0][-1],
            "every head of both layers is a piece"
            if "H" in missing[0]
            else "the stream starts with it",
        )
        also = f"; not asked for: {', '.join(extra)}" if extra else ""
        raise Wrong(f"missing pieces: {', '.join(missing)} ({hint}){also}")
    if extra:
        raise Wrong(f"not a piece of its own, or one of another name: {', '.join(extra)}")


def _spread(
    got: Tensor, right: Float[Tensor, "question d_model"], name: str
) -> Float[Tensor, "question d_model"]:
    """A piece for each question; a bias may come without the question axis."""
    values = torch.from_numpy(as_array(got, f"the piece {name}"))
    shape = list(got.shape)
    if got.ndim == 3:
        raise Wrong(f"the piece {name} has three axes: take the one position that is given")
    if shape[-1:] != [right.shape[1]]:
        raise Wrong(
            f"the piece {name} has shape {shape}; the last axis must have 96: did you forget W_O, "
            "or take hook_post?"
        )
    if shape[:-1] not in ([], [1], [len(right)]):
        raise Wrong(f"the piece {name} has shape {shape}, expected [question, 96]")
    return values.expand(right.shape)


def random_pattern(
    questions: int, heads: int, length: int, seed: int
) -> Float[Tensor, "question head query key"]:
    """A random causal attention pattern: rows sum to 1, nothing above the diagonal."""
    scores = 2 * torch.randn(
        questions, heads, length, length, generator=torch.Generator().manual_seed(seed)
    )
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(-1)


@exercise("lab0.3", points=2, title="Who reads the digits?")
def attention_share(answer):
    cases = []
    for n_digits, k, j in ((5, 2, 2), (5, 4, 3), (4, 1, 0)):
        fmt, pattern = Format(n_digits), random_pattern(7, 3, 3 * n_digits + 4, seed=k)
        from_here = pattern.mean(0)[:, fmt.answer_position(k) - 1]
        right = from_here[:, list(fmt.operand_positions(j))].sum(-1)
        cases.append(((pattern, fmt, k, j), right))
    for case, right in cases:
        got = call(answer, *case)
        if list(as_array(got).shape) == [7]:
            raise Wrong(
                "one value a question: average over questions (axis 0), not over heads (axis 1)"
            )
        if list(as_array(got).shape) == [7, 3]:
            raise Wrong("one value a question and head: average over the questions, axis 0")
        name = "the share for k = {}, j = {}".format(*case[2:])
        expect_close(got, right, mistakes=partial(usual.attention, *case), name=name)


@exercise("lab0.4", points=2, title="Logits by hand")
@torch.no_grad()
def logits_by_hand(answer):
    model = usual.bench().model
    stream = torch.randn(5, model.cfg.d_model, generator=torch.Generator().manual_seed(0)) * 2 + 0.7
    stream[-1] *= 0.01  # so small that eps is seen
    right = model.unembed(model.ln_final(stream[:, None]))[:, 0]
    got = call(answer, model, stream)
    if as_array(got).shape == stream.shape:
        raise Wrong("this is the normalised stream: W_U and b_U are still missing")
    mistakes = partial(usual.logits, model, stream)
    expect_close(got, right, tolerance=2e-4, mistakes=mistakes, name="the logits")


@exercise("lab0.5", points=2, title="The share of one component")
@torch.no_grad()
def direct_share(answer):
    model, generator = usual.bench().model, torch.Generator().manual_seed(1)
    piece = torch.randn(6, model.cfg.d_model, generator=generator) + 0.5
    scale = 1 + 2 * torch.rand(6, 1, generator=generator)
    token = torch.tensor([3, 1, 4, 1, 5, 9])
    centred = piece - piece.mean(-1, keepdim=True)
    right = torch.stack(
        [
            (centred[i] / scale[i] * model.ln_final.weight) @ model.unembed.W_U[:, token[i]]
            for i in range(6)
        ]
    )
    got = call(answer, model, piece, scale, token)
    if list(as_array(got).shape) in ([6, model.cfg.d_vocab], [6, 6]):
        raise Wrong(
            "these are several tokens for each question: pick question i's own token, token[i]"
        )
    mistakes = partial(usual.shares, model, piece, scale, token)
    expect_close(got, right, tolerance=1e-4, mistakes=mistakes, name="the share")


def _expect_logits(got: object, like: Tensor) -> None:
    if isinstance(got, tuple | list):
        raise Wrong(f"expected the logits alone; got {type(got).__name__} of {len(got)}")
    expect_shape(got, tuple(like.shape), "the logits", "question position token")


@exercise("lab0.6", points=3, title="Write the hook")
@torch.no_grad()
def zero_head(answer):
    at = usual.bench()
    nodes = (Node(at.source, 0, 0), Node(at.source, 1, 1), Node(at.source - 3, 0, 2))
    rights = [ablate(at.model, at.tokens, [node], at.reference, "zero") for node in nodes]
    for node, right in zip(nodes, rights, strict=True):
        got = call(answer, at.model, at.tokens, node)
        _expect_logits(got, at.logits)
        mistakes = partial(usual.zeros, at, node)
        expect_close(got, right, 1e-3, mistakes, name=f"the logits for {node}")


@exercise("lab0.7", points=2, title="The means")
@torch.no_grad()
def mean_mlp_outputs(answer):
    at = usual.bench()
    layers, (questions, length), width = (
        at.model.cfg.n_layers,
        at.tokens.shape,
        at.model.cfg.d_model,
    )
    outputs = [at.cache[f"blocks.{layer}.hook_mlp_out"] for layer in range(layers)]
    right = torch.stack([output.sum(0) / questions for output in outputs])
    got = call(answer, at.model, at.cache)
    shape = list(as_array(got).shape)
    mistakes = {
        "one layer only: stack one mean for each layer along a first axis": [length, width],
        "the positions are averaged away: average over the questions, axis 0 of each output": [
            layers,
            questions,
            width,
        ],
        "the positions are averaged away too: each position has its own mean": [layers, width],
        "the layers are averaged away: take the mean over the questions of each layer": [
            questions,
            length,
            width,
        ],
        "nothing is averaged yet: take the mean over the questions": [
            layers,
            questions,
            length,
            width,
        ],
        "layer and position are swapped: layers come first": [length, layers, width],
        "these are the MLP's hidden values: use hook_mlp_out, what it adds to the stream": [
            layers,
            length,
            at.model.cfg.d_mlp,
        ],
    }
    for message, wrong in mistakes.items():
        if shape == wrong:
            raise Wrong(message)
    expect_close(got, right, 1e-4, partial(usual.means, at), name="the means")


@exercise("lab0.8", points=2, title="Draw donors")
@torch.no_grad()
def resample_head(answer):
    at = usual.bench()
    rows = torch.from_numpy(
        np.random.default_rng(102).integers(at.reference.z.shape[1], size=len(at.tokens))
    )
    nodes, drawn = (Node(at.source, 0, 0), Node(at.source, 1, 1)), at.reference.rows(rows)
    rights = [run_with_replaced(at.model, at.tokens, [node], drawn) for node in nodes]
    for node, right in zip(nodes, rights, strict=True):
        got = call(answer, at.model, at.tokens, node, at.reference.z, rows)
        _expect_logits(got, at.logits)
        mistakes = partial(usual.donors, at, node, rows)
        expect_close(got, right, 1e-3, mistakes, name=f"the logits for {node}")


@exercise("lab0.9", points=2, title="Predict the patched digit")
def patched_digit(answer):
    rng = np.random.default_rng(103)
    clean, stored = uniform(5, 200, rng), uniform(5, 200, rng)
    rights = {
        k: (stored.first[:, k] + stored.second[:, k] + usual.carry(clean, k)) % 10
        for k in (2, 4, 1, 0)
    }
    for k, right in rights.items():
        got, mistakes = call(answer, clean, stored, k), partial(usual.digits, clean, stored, k)
        expect_close(got, right, tolerance=0, mistakes=mistakes, name=f"the digit for k = {k}")


@exercise("lab0.10", points=1, title="Both directions")
def both_directions(answer):
    clean, corrupted = torch.from_numpy(np.random.default_rng(104).integers(10, size=(2, 400, 3)))
    differ = usual.toy_run(clean, clean, []) != usual.toy_run(corrupted, corrupted, [])
    clean, corrupted = clean[differ], corrupted[differ]
    wanted, cases = usual.toy_run(clean, clean, []), []
    for nodes in ([0], [0, 1], [2]):
        hits = (
            usual.toy_run(clean, corrupted, nodes) != wanted,
            usual.toy_run(corrupted, clean, nodes) == wanted,
        )
        cases.append((nodes, [int(hit.sum()) / len(clean) for hit in hits]))
    for nodes, right in cases:
        got = as_array(call(answer, usual.toy_run, clean, corrupted, nodes))
        if got.shape != (2,):
            raise Wrong(f"expected two numbers (lost, restored); got shape {list(got.shape)}")
        mistakes = partial(usual.directions, clean, corrupted, nodes)
        expect_close(got, right, mistakes=mistakes, name="the two shares")
