"""What the usual mistakes in lab 0 give, so that its checks can name them.

Every function returns a mapping from a message to the value that an answer with this mistake has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, uniform
from helpers.interventions import Activations, Node, ablate, collect, run_with_replaced
from helpers.model import Model

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

MODEL = "add-d5"
Mistakes = dict[str, Tensor]


@dataclass(frozen=True)
class Bench:
    """What the checks run on: the lab's model, a few questions, and what it computes on them."""

    model: Model
    fmt: Format
    tokens: Int[Tensor, "question pos"]
    logits: Float[Tensor, "question pos token"]
    cache: "ActivationCache"
    reference: Activations

    @property
    def source(self) -> int:
        """The position that predicts the digit of the hundreds."""
        return self.fmt.answer_position(2) - 1

    def z(self, layer: int) -> Float[Tensor, "question pos head d_head"]:
        """Head outputs of a layer, before W_O."""
        return self.cache[f"blocks.{layer}.attn.hook_z"]

    def rewritten(
        self, layer: int, change: Callable[[Tensor], object]
    ) -> Float[Tensor, "question pos token"]:
        """Logits when `change` has written into a copy of the head outputs of a layer."""

        def write(z: Tensor, hook) -> Tensor:
            z = z.clone()
            change(z)
            return z

        return self.model.run_with_hooks(
            self.tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", write)]
        )


@cache
def bench() -> Bench:
    """The model of the lab on 24 questions, with 40 other ones as a reference; loaded once."""
    from helpers import zoo

    model, fmt = zoo.load(MODEL, device="cpu"), Format(5)
    tokens = uniform(5, 24, np.random.default_rng(100)).tokens(fmt)
    with torch.no_grad():
        logits, kept = model.run_with_cache(tokens)
    reference = collect(model, uniform(5, 40, np.random.default_rng(101)).tokens(fmt))[0]
    return Bench(model, fmt, tokens, logits, kept, reference)


def positions(n_digits: int, k: int) -> dict[str, int]:
    """Lab0.1: other positions than the one that predicts A_k."""
    right = 3 * n_digits + 2 - k
    mistakes = {
        "this is where A_k itself stands; its guess is read off one position before": right + 1,
        "two positions before A_k is one too early: logits at p are about the token at p + 1": right
        - 1,
        "count again from the end: 3n + 4 tokens, so the last one stands at 3n + 3": right + 2,
        "did you count from the left? A_0 is the units digit, the last token": 2 * n_digits + 2 + k,
    }
    if n_digits != 5:
        mistakes[f"right for 5 digits, not for {n_digits}: use n_digits"] = 17 - k
    return mistakes


def stream_parts(at: Bench, position: int) -> dict[str, Float[Tensor, "question d_model"]]:
    """The pieces of the residual stream at a position, from the hooks that hold them."""
    parts = {
        "embed": at.cache["hook_embed"][:, position],
        "pos": at.cache["hook_pos_embed"][:, position],
    }
    for layer in range(at.model.cfg.n_layers):
        attn = at.model.blocks[layer].attn
        written = torch.einsum("qhd,hdm->hqm", at.z(layer)[:, position], attn.W_O)
        parts |= {f"L{layer}H{head}": piece for head, piece in enumerate(written)}
        parts[f"L{layer}b"] = attn.b_O
        parts[f"L{layer}M"] = at.cache[f"blocks.{layer}.hook_mlp_out"][:, position]
    return {name: piece.expand(len(at.tokens), -1) for name, piece in parts.items()}


def pieces(at: Bench, name: str) -> Mistakes:
    """Lab0.2: what may stand in place of one piece of the stream."""
    mistakes = {
        f"this is the piece at position {at.source + i}: take the one given": i for i in (-1, 1)
    }
    mistakes = {message: stream_parts(at, at.source + i)[name] for message, i in mistakes.items()}
    if name[0] == "L":
        twin = f"L{1 - int(name[1])}{name[2:]}"
        mistakes[f"this is {twin}: the hook's name says the layer"] = stream_parts(at, at.source)[
            twin
        ]
    if "H" not in name:
        return mistakes
    layer, head = int(name[1]), int(name[3])
    z, attn = at.z(layer)[:, at.source], at.model.blocks[layer].attn
    for other in range(at.model.cfg.n_heads):
        mistakes[f"this uses W_O of head {other}"] = z[:, head] @ attn.W_O[other]
        mistakes[f"this uses z of head {other}"] = z[:, other] @ attn.W_O[head]
    mistakes["this uses W_O of the other layer"] = (
        z[:, head] @ at.model.blocks[1 - layer].attn.W_O[head]
    )
    mistakes["this is all heads of the layer: one piece a head"] = torch.einsum(
        "qhd,hdm->qm", z, attn.W_O
    )
    mistakes["the bias b_O belongs to no head: it is a piece of its own"] = (
        z[:, head] @ attn.W_O[head] + attn.b_O
    )
    return mistakes


def attention(
    pattern: Float[Tensor, "question head query key"], fmt: Format, k: int, j: int
) -> Mistakes:
    """Lab0.3: other shares of attention than the one asked for."""
    query, (first, second) = fmt.answer_position(k) - 1, fmt.operand_positions(j)

    def look(query: int, first: int = first, second: int = second) -> Float[Tensor, " head"]:
        return (pattern[:, :, query, first] + pattern[:, :, query, second]).mean(0)

    swapped = (pattern[:, :, first, query] + pattern[:, :, second, query]).mean(0)
    mistakes = {
        "you look from A_k itself; its guess is made one position before": look(query + 1),
        "query and key are swapped: the axes are question, head, query, key": swapped,
        "this is only D_j: add the attention to D'_j": pattern[:, :, query, first].mean(0),
        "this is only D'_j: add the attention to D_j": pattern[:, :, query, second].mean(0),
        "half of what is asked: add the two shares, do not average them": look(query) / 2,
        "summed over the questions: average them": look(query) * len(pattern),
        "this is the first question only: average over all": pattern[
            0, :, query, [first, second]
        ].sum(-1),
    }
    if j != k:
        mistakes["you look from the position that predicts A_j; it must be A_k"] = look(
            fmt.answer_position(j) - 1
        )
        mistakes["you look at D_k and D'_k; it must be D_j and D'_j"] = look(
            query, *fmt.operand_positions(k)
        )
    return mistakes


def logits(model: Model, stream: Float[Tensor, "question d_model"]) -> Mistakes:
    """Lab0.4: logits from a stream with a step left out or done otherwise."""
    unembed, eps = model.unembed, model.cfg.eps
    centred = stream - stream.mean(-1, keepdim=True)
    variance = centred.pow(2).mean(-1, keepdim=True)

    def finish(
        x: Tensor, gain: bool = True, shift: bool = True, offset: bool = True
    ) -> Float[Tensor, "question token"]:
        x = x * model.ln_final.weight if gain else x
        x = x + model.ln_final.bias if shift else x
        return x @ unembed.W_U + (unembed.b_U if offset else 0)

    right = centred / (variance + eps).sqrt()
    off_centre = stream.pow(2).mean(-1, keepdim=True)
    width = stream.shape[-1]
    across = (stream - stream.mean(0)) / (stream.var(0, unbiased=False) + eps).sqrt()
    return {
        "the last LayerNorm is missing: these are the stream's own logits": stream @ unembed.W_U
        + unembed.b_U,
        "the last LayerNorm is missing, and b_U too": stream @ unembed.W_U,
        "the bias b_U is missing": finish(right, offset=False),
        "the LayerNorm's bias b is missing": finish(right, shift=False),
        "the LayerNorm's weight w is missing": finish(right, gain=False),
        "the LayerNorm's weight and bias are missing": finish(right, gain=False, shift=False),
        "the mean of the 96 numbers must be subtracted first": finish(
            stream / (off_centre + eps).sqrt()
        ),
        "the mean of the 96 numbers must be subtracted before the division": finish(
            stream / (variance + eps).sqrt()
        ),
        "the variance is missing: divide by its root": finish(centred),
        "divide by the root of the variance, not by the variance": finish(
            centred / (variance + eps)
        ),
        "the variance divides by 96: torch.var needs unbiased=False": finish(
            centred / (variance * width / (width - 1) + eps).sqrt()
        ),
        "the number eps is missing: add it to the variance": finish(centred / variance.sqrt()),
        "the number eps belongs under the root, added to the variance": finish(
            centred / (variance.sqrt() + eps)
        ),
        (
            "mean and variance run over the wrong axis: each question has its own, over 96 numbers"
        ): finish(across),
        "these are probabilities: leave out the softmax": finish(right).softmax(-1),
    }


def shares(model: Model, piece: Tensor, scale: Tensor, token: Int[Tensor, " question"]) -> Mistakes:
    """Lab0.5: shares of a piece in a logit, computed otherwise."""
    gain, shift = model.ln_final.weight, model.ln_final.bias
    centred = piece - piece.mean(-1, keepdim=True)
    own_scale = (centred.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
    offset = model.unembed.b_U[token]

    def logit(vector: Tensor) -> Float[Tensor, " question"]:
        return (vector @ model.unembed.W_U).gather(1, token[:, None])[:, 0]

    right = centred / scale * gain
    return {
        (
            "the scale is that of the whole stream, which is given; you recomputed "
            "it from the piece"
        ): logit(centred / own_scale * gain),
        "the piece must be centred: subtract its own mean": logit(piece / scale * gain),
        "the LayerNorm's weight w is missing": logit(centred / scale),
        "the weight w and the centring are missing": logit(piece / scale),
        "the division by the scale is missing": logit(centred * gain),
        "you multiply by the scale: divide": logit(centred * scale * gain),
        "the bias b belongs to no piece: it would be counted once for each": logit(right + shift),
        "the bias b_U belongs to no piece: it would be counted once for each": logit(right)
        + offset,
        "both biases belong to no piece": logit(right + shift) + offset,
    }


def zeros(at: Bench, node: Node) -> Mistakes:
    """Lab0.6: logits after other interventions than the one asked for."""
    p, h, layer = node.position, node.head, node.layer

    def silent(*index: int | slice, layer: int = layer) -> Float[Tensor, "question pos token"]:
        return at.rewritten(layer, lambda z: z[index].zero_())

    every = slice(None)
    mlp = ablate(at.model, at.tokens, [Node(p, layer)], at.reference, "zero")
    return {
        (
            "nothing changed: does the hook return z, and does its name match the node's layer?"
        ): at.logits,
        "the head is silent at all positions: only node.position is asked for": silent(
            every, every, h
        ),
        "all heads are silent at this position: only node.head is asked for": silent(every, p),
        "all heads at all positions are silent": silent(every),
        "this is the other layer: use node.layer": silent(every, p, h, layer=1 - layer),
        "this is one position later than node.position": silent(every, p + 1, h),
        "this is one position before node.position": silent(every, p - 1, h),
        "only the first question is changed: keep the whole first axis": silent(0, p, h),
        "position and head are swapped: the axes are question, position, head, 32": silent(
            every, h, p % 3
        ),
        "the MLP is silent, not the head": mlp,
    }


def means(at: Bench) -> Mistakes:
    """Lab0.7: other averages of the right shape."""

    def stack(name: str) -> Float[Tensor, "layer question pos d_model"]:
        return torch.stack(
            [at.cache[f"blocks.{layer}.{name}"] for layer in range(at.model.cfg.n_layers)]
        )

    outputs = stack("hook_mlp_out")
    right = outputs.mean(1)
    return {
        "the trap: these are the means of layer 0 in every layer": right[:1].expand_as(right),
        "the layers are in the wrong order": right.flip(0),
        "one mean for all positions: each position has its own": outputs.mean((1, 2))[
            :, None
        ].expand_as(right),
        "a sum, not a mean": outputs.sum(1),
        "the median is not the mean": outputs.median(1).values,
        "this is the first question, not the mean": outputs[:, 0],
        "these are the outputs of attention, not of the MLP": stack("hook_attn_out").mean(1),
        "this is the stream after the layer, not what the MLP adds to it": stack(
            "hook_resid_post"
        ).mean(1),
        "this is the stream before the MLP, not what the MLP adds to it": stack(
            "hook_resid_mid"
        ).mean(1),
    }


def donors(at: Bench, node: Node, rows: Int[Tensor, " question"]) -> Mistakes:
    """Lab0.8: logits after other values were written."""
    p, h, layer = node.position, node.head, node.layer
    reference, drawn = at.reference, at.reference.rows(rows)
    other = Node(p, 1 - layer, h)

    def put(values: Activations, *nodes: Node) -> Float[Tensor, "question pos token"]:
        return run_with_replaced(at.model, at.tokens, nodes, values)

    def from_layer(layer: int) -> Activations:
        return Activations(drawn.z[[layer, layer]], drawn.mlp)

    def shuffle(z: Tensor) -> None:
        z[:, p, h] = z[rows % len(z), p, h]

    return {
        "nothing changed: does the hook return the value that it wrote?": at.logits,
        "one donor for all questions: question i takes donors[i]": put(
            reference.rows(rows[:1].expand(len(rows))), node
        ),
        "question i takes the row donors[i], not row i": put(
            reference.rows(torch.arange(len(rows))), node
        ),
        "this is the mean over the donors: take each question's own donor": put(drawn.mean(), node),
        "this is the mean over the reference: take each question's own donor": put(
            reference.mean(), node
        ),
        "zeros are written, not the donor's value": put(reference.zeros(), node),
        "all heads are replaced: only node.head is asked for": put(
            drawn, *(Node(p, layer, i) for i in range(3))
        ),
        "all positions are replaced: only node.position is asked for": put(
            drawn, *(Node(i, layer, h) for i in range(at.fmt.n_ctx))
        ),
        "the values come from the other layer: use z[node.layer]": put(from_layer(1 - layer), node),
        "the values are written into the other layer: the hook's name needs node.layer": put(
            from_layer(layer), other
        ),
        "this is the other layer's head: use node.layer in both places": put(drawn, other),
        (
            "the questions' own values are shuffled: the donors are rows of the reference z"
        ): at.rewritten(layer, shuffle),
    }


def carry(questions: Questions, k: int) -> Int[Tensor, " question"]:
    """Carry into column k by integer arithmetic on the numbers made of the lower digits."""
    powers = 10 ** torch.arange(k)
    lower = (questions.first[:, :k] * powers).sum(1) + (questions.second[:, :k] * powers).sum(1)
    return lower // 10**k


def digits(clean: Questions, stored: Questions, k: int) -> Mistakes:
    """Lab0.9: other digits than the predicted one."""
    ours, theirs = (batch.first[:, k] + batch.second[:, k] for batch in (clean, stored))
    mistakes = {
        (
            "this is the stored question's own answer: the carry must come from the clean one"
        ): stored.answer_digits()[:, k],
        (
            "this is the clean question's own answer: the sum must come from the stored one"
        ): clean.answer_digits()[:, k],
        "the wrong direction: the sum is the stored question's, the carry the clean one's": (
            ours + carry(stored, k)
        )
        % 10,
        "the carry is missing": theirs % 10,
        "a digit is 0 to 9: take the sum modulo 10": theirs + carry(clean, k),
        "this is the carry out of column k; the one into it comes from below": (
            theirs + carry(clean, k + 1)
        )
        % 10,
        "this is only D_k: the sum is D_k + D'_k": (stored.first[:, k] + carry(clean, k)) % 10,
        "this is only D'_k: the sum is D_k + D'_k": (stored.second[:, k] + carry(clean, k)) % 10,
        "the carry is taken away, not added": (theirs - carry(clean, k)) % 10,
        "this is the sum of both questions' digits: only the stored digits go in": (ours + theirs)
        % 10,
    }
    if k:
        simple = (clean.first[:, k - 1] + clean.second[:, k - 1] >= 10).long()
        mistakes[
            "a carry can pass through a column that sums to nine: derive it from the answer digit"
        ] = (theirs + simple) % 10
    return mistakes


def toy_run(
    base: Int[Tensor, "question source"], donor: Int[Tensor, "question source"], nodes: list[int]
) -> Tensor:
    """A known circuit of three sources: the larger of the first two, plus the third, modulo 10."""
    mixed = base.clone()
    mixed[:, nodes] = donor[:, nodes]
    return (torch.maximum(mixed[:, 0], mixed[:, 1]) + mixed[:, 2]) % 10


def directions(clean: Tensor, corrupted: Tensor, nodes: list[int]) -> dict[str, list[float]]:
    """Lab0.10: other pairs of shares."""
    wanted, bad = toy_run(clean, clean, []), toy_run(corrupted, corrupted, [])
    noised, denoised = toy_run(clean, corrupted, nodes), toy_run(corrupted, clean, nodes)

    def two(lost: Tensor, restored: Tensor) -> list[float]:
        return [float(lost.double().mean()), float(restored.double().mean())]

    return {
        "the two numbers are swapped: lost first, restored second": two(
            denoised == wanted, noised != wanted
        ),
        "in denoising the base is the corrupted question": two(noised != wanted, noised == wanted),
        "in noising the base is the clean question": two(denoised != wanted, denoised == wanted),
        "base and donor are swapped in both directions": two(denoised != wanted, noised == wanted),
        "lost means any other answer than the clean one": two(noised == bad, denoised == wanted),
        "restored means the clean answer, not any other than the corrupted one": two(
            noised != wanted, denoised != bad
        ),
        "compare both with the clean question's plain answer": two(noised != bad, denoised == bad),
        "the first number is the share kept: it must be the share lost": two(
            noised == wanted, denoised == wanted
        ),
        "these are counts: divide by the number of questions": [
            len(clean) * x for x in two(noised != wanted, denoised == wanted)
        ],
    }
