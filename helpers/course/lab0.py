"""Checks of lab 0: hooks, caches and causal interventions.

References come from other code than the student's: closed forms, small random patterns, a toy circuit whose answer is
known, and `helpers.interventions`. Each check also computes what the usual mistakes give, to name them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, uniform
from helpers.course.check import Wrong, as_array, call, exercise, expect_close, expect_shape, expect_type
from helpers.interventions import Activations, Node, ablate, all_nodes, collect, run_with_replaced

MODEL = "add-d5"


@dataclass(frozen=True)
class Bench:
    """What the checks run on: the lab's model, a few questions, and what the model computes on them."""

    model: torch.nn.Module
    fmt: Format
    tokens: Int[Tensor, "question pos"]
    logits: Float[Tensor, "question pos token"]
    cache: dict[str, Tensor]


@cache
def bench() -> Bench:
    """The model of the lab on 24 questions; loaded once."""
    from helpers import zoo

    model, fmt = zoo.load(MODEL, device="cpu"), Format(5)
    tokens = uniform(5, 24, np.random.default_rng(100)).tokens(fmt)
    with torch.no_grad():
        logits, kept = model.run_with_cache(tokens)
    return Bench(model, fmt, tokens, logits, kept)


@exercise("lab0.1", points=1, title="Which position says it?")
def source_position(answer):
    for n_digits in (5, 3, 6):
        for k in range(n_digits + 1):
            right = 3 * n_digits + 2 - k
            mistakes = [
                ("this is where A_k itself stands; its guess is read off one position before", right + 1),
                ("two positions before A_k is one too early: logits at p are about the token at p + 1", right - 1),
                ("did you count from the left? A_0 is the units digit, the last token", 2 * n_digits + 2 + k),
                ("count again from the end: 3n + 4 tokens, so the last one stands at 3n + 3", right + 2),
            ]
            if n_digits != 5:
                mistakes.append((f"right for 5 digits, not for {n_digits}: use n_digits", 17 - k))
            expect_close(call(answer, n_digits, k), right, mistakes=mistakes, name=f"the position for n = {n_digits}, k = {k}")


def _stream_parts(at: Bench, position: int) -> dict[str, Tensor]:
    """The pieces of the residual stream, from the hooks that hold them."""
    parts = {"embed": at.cache["hook_embed"][:, position], "pos": at.cache["hook_pos_embed"][:, position]}
    for layer in range(at.model.cfg.n_layers):
        attn = at.model.blocks[layer].attn
        written = torch.einsum("qhd,hdm->hqm", at.cache[f"blocks.{layer}.attn.hook_z"][:, position], attn.W_O)
        parts |= {f"L{layer}H{head}": piece for head, piece in enumerate(written)}
        parts[f"L{layer}b"] = attn.b_O
        parts[f"L{layer}M"] = at.cache[f"blocks.{layer}.hook_mlp_out"][:, position]
    return parts


def _piece_mistakes(at: Bench, name: str, position: int) -> list[tuple[str, Tensor]]:
    shifted = [
        (
            f"{name} is that of position {position + step}: use the position that is given",
            _stream_parts(at, position + step)[name],
        )
        for step in (-1, 1)
    ]
    if "H" not in name:
        return shifted
    layer, head = int(name[1]), int(name[3])
    z, mixers = at.cache[f"blocks.{layer}.attn.hook_z"][:, position], at.model.blocks[layer].attn.W_O
    for other in range(at.model.cfg.n_heads):
        shifted.append((f"{name} uses W_O of head {other}", z[:, head] @ mixers[other]))
        shifted.append((f"{name} uses z of head {other}", z[:, other] @ mixers[head]))
    all_heads = torch.einsum("qhd,hdm->qm", z, mixers)
    shifted.append((f"{name} holds all heads of the layer: one piece a head", all_heads))
    shifted.append(
        (f"{name} holds the bias b_O too: it belongs to no head", z[:, head] @ mixers[head] + at.model.blocks[layer].attn.b_O)
    )
    return shifted


@exercise("lab0.2", points=3, title="Take the stream apart")
@torch.no_grad()
def components(answer):
    at, position = bench(), bench().fmt.answer_position(2) - 1
    right = _stream_parts(at, position)
    got = call(answer, at.model, at.cache, position)
    expect_type(got, dict)
    missing, extra = [name for name in right if name not in got], [name for name in got if name not in right]
    if missing:
        hints = {"b": "the heads of a layer share a bias b_O, which is added too", "M": "an MLP in each layer adds hook_mlp_out"}
        hint = hints.get(missing[0][-1], "every head of both layers is a piece")
        raise Wrong(f"{', '.join(missing)} missing: {hint}" + (f"; not asked for: {', '.join(extra)}" if extra else ""))
    if extra:
        raise Wrong(f"{', '.join(map(str, extra))}: not a piece of its own, or one of another name")
    for name, piece in right.items():
        expect_type(got[name], Tensor, name=name)
        if got[name].shape[-1:] != (at.model.cfg.d_model,):
            raise Wrong(
                f"{name} has shape {list(got[name].shape)}; the last axis must have 96: did you forget W_O, or take hook_post?"
            )
        if got[name].ndim == 3:
            raise Wrong(f"{name} has three axes: take the one position that is given")
        try:
            full = got[name].expand(piece.expand(len(at.tokens), -1).shape)
        except RuntimeError:
            raise Wrong(f"{name} has shape {list(got[name].shape)}, expected [question, 96]") from None
        mistakes = [(message, value.expand(full.shape)) for message, value in _piece_mistakes(at, name, position)]
        expect_close(full, piece.expand(full.shape), tolerance=1e-4, mistakes=mistakes, name=name)


def _random_pattern(questions: int, heads: int, length: int, seed: int) -> Float[Tensor, "question head query key"]:
    """A random causal attention pattern."""
    scores = torch.randn(questions, heads, length, length, generator=torch.Generator().manual_seed(seed)) * 2
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(-1)


@exercise("lab0.3", points=2, title="Who reads the digits?")
def attention_share(answer):
    for n_digits, k, j in ((5, 2, 2), (5, 4, 3), (4, 1, 0)):
        fmt = Format(n_digits)
        pattern = _random_pattern(7, 3, fmt.n_ctx, seed=k)
        query, (first, second) = fmt.answer_position(k) - 1, fmt.operand_positions(j)

        def look(query: int, first: int = first, second: int = second, pattern: Tensor = pattern) -> Float[Tensor, " head"]:
            return (pattern[:, :, query, first] + pattern[:, :, query, second]).mean(0)

        got = call(answer, pattern, fmt, k, j)
        if list(as_array(got).shape) == [7]:
            raise Wrong("one value a question: average over questions (axis 0), not over heads (axis 1)")
        if list(as_array(got).shape) == [7, 3]:
            raise Wrong("one value a question and head: average over the questions, axis 0")
        mistakes = [
            ("you look from A_k itself; its guess is made one position before", look(query + 1)),
            (
                "query and key are swapped: the axes are question, head, query, key",
                (pattern[:, :, first, query] + pattern[:, :, second, query]).mean(0),
            ),
            ("this is only D_j: add the attention to D'_j", pattern[:, :, query, first].mean(0)),
            ("this is only D'_j: add the attention to D_j", pattern[:, :, query, second].mean(0)),
            ("half of what is asked: add the two shares, do not average them", look(query) / 2),
            ("summed over the questions: average them", look(query) * len(pattern)),
            ("this is the first question only: average over all", pattern[0, :, query, [first, second]].sum(-1)),
        ]
        if j != k:
            mistakes.append(("you look from the position that predicts A_j; it must be A_k", look(fmt.answer_position(j) - 1)))
            mistakes.append(("you look at D_k and D'_k; it must be D_j and D'_j", look(query, *fmt.operand_positions(k))))
        expect_close(got, look(query), mistakes=mistakes, name=f"the share for k = {k}, j = {j}")


def _by_hand(model, x: Tensor, centre=True, gain=True, shift=True, offset=True, eps=True, ddof: int = 0) -> Tensor:
    """Logits from a stream, with steps left out on request."""
    x = x - x.mean(-1, keepdim=True) if centre else x
    variance = x.pow(2).sum(-1, keepdim=True) / (x.shape[-1] - ddof)
    y = x / (variance + (model.cfg.eps if eps else 0)).sqrt()
    y = y * model.ln_final.weight if gain else y
    y = y + model.ln_final.bias if shift else y
    return y @ model.unembed.W_U + (model.unembed.b_U if offset else 0)


@exercise("lab0.4", points=2, title="Logits by hand")
@torch.no_grad()
def logits_by_hand(answer):
    at = bench()
    stream = torch.randn(5, at.model.cfg.d_model, generator=torch.Generator().manual_seed(0)) * 2 + 0.7
    stream[-1] *= 0.01  # so small that eps is seen
    right = at.model.unembed(at.model.ln_final(stream[:, None]))[:, 0]
    model, head = at.model, at.model.unembed
    spread = stream - stream.mean(-1, keepdim=True)
    outside = spread / (spread.pow(2).mean(-1, keepdim=True).sqrt() + model.cfg.eps)
    across = (stream - stream.mean(0)) / (stream.var(0, unbiased=False) + model.cfg.eps).sqrt()
    mistakes = [
        ("the last LayerNorm is missing: these are the stream's own logits", stream @ head.W_U + head.b_U),
        ("the last LayerNorm is missing, and b_U too", stream @ head.W_U),
        ("b_U is missing", _by_hand(model, stream, offset=False)),
        ("the LayerNorm's bias b is missing", _by_hand(model, stream, shift=False)),
        ("the LayerNorm's weight w is missing", _by_hand(model, stream, gain=False)),
        ("the LayerNorm's weight and bias are missing", _by_hand(model, stream, gain=False, shift=False)),
        ("the mean of the 96 numbers must be subtracted first", _by_hand(model, stream, centre=False)),
        ("the variance divides by 96: torch.var needs unbiased=False", _by_hand(model, stream, ddof=1)),
        ("eps is missing: add it to the variance", _by_hand(model, stream, eps=False)),
        (
            "eps belongs under the root, added to the variance",
            (outside * model.ln_final.weight + model.ln_final.bias) @ head.W_U + head.b_U,
        ),
        (
            "mean and variance run over the wrong axis: each question has its own, over 96 numbers",
            (across * model.ln_final.weight + model.ln_final.bias) @ head.W_U + head.b_U,
        ),
        ("this is the normalised stream: W_U and b_U are still missing", model.ln_final(stream[:, None])[:, 0]),
    ]
    got = call(answer, model, stream)
    if list(as_array(got).shape) == [5, model.cfg.d_model]:
        raise Wrong("this is the normalised stream: W_U and b_U are still missing")
    expect_close(got, right, tolerance=2e-4, mistakes=[m for m in mistakes if m[1].shape == right.shape], name="logits")


@exercise("lab0.5", points=2, title="The share of one component")
@torch.no_grad()
def direct_share(answer):
    at, generator = bench(), torch.Generator().manual_seed(1)
    piece = torch.randn(6, at.model.cfg.d_model, generator=generator) + 0.5
    scale = 1 + 2 * torch.rand(6, 1, generator=generator)
    token = torch.tensor([3, 1, 4, 1, 5, 9])
    gain, shift, unembed = at.model.ln_final.weight, at.model.ln_final.bias, at.model.unembed.W_U
    centred = piece - piece.mean(-1, keepdim=True)

    def logit(vector: Tensor) -> Float[Tensor, " question"]:
        return (vector @ unembed).gather(1, token[:, None])[:, 0]

    got = call(answer, at.model, piece, scale, token)
    if list(as_array(got).shape) in ([6, at.model.cfg.d_vocab], [6, 6]):
        raise Wrong("these are several tokens for each question: pick question i's own token, token[i]")
    own_scale = (centred.pow(2).mean(-1, keepdim=True) + at.model.cfg.eps).sqrt()
    mistakes = [
        (
            "the scale is that of the whole stream, which is given; you recomputed it from the piece",
            logit(centred / own_scale * gain),
        ),
        ("the piece must be centred: subtract its own mean", logit(piece / scale * gain)),
        ("the LayerNorm's weight w is missing", logit(centred / scale)),
        ("w and the centring are missing", logit(piece / scale)),
        ("the division by the scale is missing", logit(centred * gain)),
        ("you multiply by the scale: divide", logit(centred * scale * gain)),
        ("the bias b belongs to no piece: it would be counted once for each", logit(centred / scale * gain + shift)),
        (
            "b_U belongs to no piece: it would be counted once for each",
            logit(centred / scale * gain) + at.model.unembed.b_U[token],
        ),
        ("both biases belong to no piece", logit(centred / scale * gain + shift) + at.model.unembed.b_U[token]),
    ]
    expect_close(got, logit(centred / scale * gain), tolerance=1e-4, mistakes=mistakes, name="the share")


def _hooked(at: Bench, node: Node, change: Callable[[Tensor], None]) -> Float[Tensor, "question pos token"]:
    """Logits when `change` has written into the heads' outputs of the node's layer."""

    def write(z: Tensor, hook) -> Tensor:
        z = z.clone()
        change(z)
        return z

    return at.model.run_with_hooks(at.tokens, fwd_hooks=[(f"blocks.{node.layer}.attn.hook_z", write)])


def _logit_answer(got: object, at: Bench) -> None:
    if isinstance(got, tuple | list):
        raise Wrong(f"expected the logits alone; got {type(got).__name__} of {len(got)}")
    expect_shape(got, tuple(at.logits.shape), "the logits", "question position token")


@exercise("lab0.6", points=3, title="Write the hook")
@torch.no_grad()
def zero_head(answer):
    at = bench()
    source = at.fmt.answer_position(2) - 1
    reference = collect(at.model, at.tokens)[0]
    for node in (Node(source, 0, 0), Node(source, 1, 1), Node(source - 3, 0, 2)):

        def place(p: slice | int, h: slice | int, q: slice | int = slice(None)) -> Callable[[Tensor], None]:
            return lambda z: z[q, p, h].zero_()

        p, h, every = node.position, node.head, slice(None)
        got = call(answer, at.model, at.tokens, node)
        _logit_answer(got, at)
        elsewhere = Node(p, 1 - node.layer, h)
        mistakes = [
            ("nothing changed: does the hook return z, and does its name match the node's layer?", at.logits),
            ("the head is silent at all positions: only node.position is asked for", _hooked(at, node, place(every, h))),
            ("all heads are silent at this position: only node.head is asked for", _hooked(at, node, place(p, every))),
            ("all heads at all positions are silent", _hooked(at, node, place(every, every))),
            ("this is the other layer: use node.layer", _hooked(at, elsewhere, place(p, h))),
            ("this is one position later than node.position", _hooked(at, node, place(p + 1, h))),
            ("this is one position before node.position", _hooked(at, node, place(p - 1, h))),
            ("only the first question is changed: keep the whole first axis", _hooked(at, node, place(p, h, 0))),
            ("position and head are swapped: the axes are question, position, head, 32", _hooked(at, node, place(h, p % 3))),
            ("the MLP is silent, not the head", ablate(at.model, at.tokens, [Node(p, node.layer)], reference, "zero")),
            ("the mean of the questions is written instead of 0", ablate(at.model, at.tokens, [node], reference, "mean")),
        ]
        right = ablate(at.model, at.tokens, [node], reference, "zero")
        expect_close(got, right, tolerance=1e-3, mistakes=mistakes, name=f"the logits for {node}")


@exercise("lab0.7", points=2, title="The means")
@torch.no_grad()
def mean_mlp_outputs(answer):
    at = bench()
    outputs = torch.stack([at.cache[f"blocks.{layer}.hook_mlp_out"] for layer in range(at.model.cfg.n_layers)])
    right = outputs.mean(1)
    got = call(answer, at.model, at.cache)
    shape = list(as_array(got).shape)
    if shape == list(right.shape[1:]):
        raise Wrong("one layer only: stack one mean for each layer along a first axis")
    if shape == [outputs.shape[0], outputs.shape[1], outputs.shape[3]]:
        raise Wrong("the positions are averaged away: average over the questions, axis 0 of each output")
    if shape == [outputs.shape[0], outputs.shape[3]]:
        raise Wrong("the positions are averaged away too: each position has its own mean")
    if shape == list(outputs.shape):
        raise Wrong("nothing is averaged yet: take the mean over the questions")
    if shape == [right.shape[1], right.shape[0], right.shape[2]]:
        raise Wrong("layer and position are swapped: layers come first")
    if shape[-1:] == [at.model.cfg.d_mlp]:
        raise Wrong("these are the MLP's hidden values: use hook_mlp_out, what it adds to the stream")
    across = outputs.mean((1, 2))[:, None].expand_as(right)
    mistakes = [
        ("the trap: these are the means of layer 0 in every layer", right[:1].expand_as(right)),
        ("the layers are in the wrong order", right.flip(0)),
        ("one mean for all positions: each position has its own", across),
        ("a sum, not a mean", outputs.sum(1)),
        ("the median is not the mean", outputs.median(1).values),
        ("this is the first question, not the mean", outputs[:, 0]),
        ("these are the outputs of attention, not of the MLP", _mean_of(at, "hook_attn_out")),
        ("this is the stream, not what the MLP adds to it", _mean_of(at, "hook_resid_post")),
        ("this is the stream, not what the MLP adds to it", _mean_of(at, "hook_resid_mid")),
    ]
    expect_close(got, right, tolerance=1e-4, mistakes=mistakes, name="the means")


def _mean_of(at: Bench, name: str) -> Float[Tensor, "layer pos d_model"]:
    return torch.stack([at.cache[f"blocks.{layer}.{name}"].mean(0) for layer in range(at.model.cfg.n_layers)])


@exercise("lab0.8", points=2, title="Draw donors")
@torch.no_grad()
def resample_head(answer):
    at = bench()
    rng = np.random.default_rng(101)
    reference = collect(at.model, uniform(5, 40, rng).tokens(at.fmt))[0]
    donors = torch.from_numpy(rng.integers(40, size=len(at.tokens)))
    source, z = at.fmt.answer_position(2) - 1, reference.z
    for node in (Node(source, 0, 0), Node(source, 1, 1)):
        p, h, layer = node.position, node.head, node.layer

        def put(rows: Activations, *nodes: Node) -> Float[Tensor, "question pos token"]:
            return run_with_replaced(at.model, at.tokens, nodes, rows)

        drawn, others = reference.rows(donors), [n for n in all_nodes(at.model, [p]) if n.layer == layer and not n.is_mlp]
        wrong_layer = Activations(z[[1 - layer, 1 - layer]][:, donors], drawn.mlp)
        mistakes = [
            ("nothing changed: does the hook return the value that it wrote?", at.logits),
            (
                "one donor for all questions: question i takes donors[i]",
                put(reference.rows(donors[:1].expand(len(donors))), node),
            ),
            (
                "the donors are not used: question i takes the row donors[i], not row i",
                put(reference.rows(torch.arange(len(donors))), node),
            ),
            ("this is the mean over the donors: take each question's own donor", put(drawn.mean(), node)),
            ("this is the mean over the reference: take each question's own donor", put(reference.mean(), node)),
            ("zeros are written, not the donor's value", put(reference.zeros(), node)),
            ("all heads are replaced: only node.head is asked for", put(drawn, *others)),
            (
                "all positions are replaced: only node.position is asked for",
                put(drawn, *[Node(i, layer, h) for i in range(at.tokens.shape[1])]),
            ),
            ("the values come from the other layer: use z[node.layer]", put(wrong_layer, node)),
            ("this is the other layer's head: the hook's name needs node.layer", put(drawn, Node(p, 1 - layer, h))),
            (
                "the questions' own values are shuffled: the donors are rows of the reference z",
                _hooked(at, node, _shuffle(p, h, donors)),
            ),
        ]
        got = call(answer, at.model, at.tokens, node, z, donors)
        _logit_answer(got, at)
        expect_close(got, put(drawn, node), tolerance=1e-3, mistakes=mistakes, name=f"the logits for {node}")


def _shuffle(position: int, head: int, donors: Int[Tensor, " question"]) -> Callable[[Tensor], None]:
    def change(z: Tensor) -> None:
        z[:, position, head] = z[donors % len(z), position, head]

    return change


def _carry(questions: Questions, k: int) -> Int[Tensor, " question"]:
    """Carry into column k by integer arithmetic on the lower digits."""
    powers = 10 ** torch.arange(k)
    lower = (questions.first[:, :k] * powers).sum(1) + (questions.second[:, :k] * powers).sum(1)
    return lower // 10**k if k else torch.zeros(len(questions), dtype=torch.long)


@exercise("lab0.9", points=2, title="Predict the patched digit")
def patched_digit(answer):
    rng = np.random.default_rng(102)
    clean, stored = uniform(5, 200, rng), uniform(5, 200, rng)
    for k in (2, 4, 1, 0):
        sums = {name: batch.first[:, k] + batch.second[:, k] for name, batch in (("clean", clean), ("stored", stored))}
        carry = {"clean": _carry(clean, k), "stored": _carry(stored, k)}
        right = (sums["stored"] + carry["clean"]) % 10
        mistakes = [
            ("this is the stored question's own answer: the carry must come from the clean one", stored.answer_digits()[:, k]),
            ("this is the clean question's own answer: the sum must come from the stored one", clean.answer_digits()[:, k]),
            (
                "the wrong direction: the sum comes from the stored question, the carry from the clean one",
                (sums["clean"] + carry["stored"]) % 10,
            ),
            ("the carry is missing", sums["stored"] % 10),
            ("a digit is 0 to 9: take the sum modulo 10", sums["stored"] + carry["clean"]),
            (
                "this is the carry out of column k; the carry into it comes from the columns below",
                (sums["stored"] + _carry(clean, k + 1)) % 10,
            ),
            ("the carry is taken away, not added", (sums["stored"] - carry["clean"]) % 10),
            ("this is the sum of both questions' digits: only the stored digits go in", (sums["clean"] + sums["stored"]) % 10),
        ]
        if k:
            simple = (clean.first[:, k - 1] + clean.second[:, k - 1] >= 10).long()
            mistakes.append(
                (
                    "a carry can pass through a column that sums to nine: derive it from the answer digit",
                    (sums["stored"] + simple) % 10,
                )
            )
        expect_close(call(answer, clean, stored, k), right, tolerance=0, mistakes=mistakes, name=f"the digit for k = {k}")


def _toy_run(base: Int[Tensor, "question source"], donor: Int[Tensor, "question source"], nodes: list[int]) -> Tensor:
    """A known circuit of three sources: the larger of the first two, plus the third, modulo 10."""
    mixed = base.clone()
    mixed[:, nodes] = donor[:, nodes]
    return (torch.maximum(mixed[:, 0], mixed[:, 1]) + mixed[:, 2]) % 10


@exercise("lab0.10", points=1, title="Both directions")
def both_directions(answer):
    clean, corrupted = torch.from_numpy(np.random.default_rng(103).integers(10, size=(2, 400, 3)))
    differ = _toy_run(clean, clean, []) != _toy_run(corrupted, corrupted, [])
    clean, corrupted = clean[differ], corrupted[differ]
    wanted, bad = _toy_run(clean, clean, []), _toy_run(corrupted, corrupted, [])
    for nodes in ([0], [0, 1], [2]):
        noised, denoised = _toy_run(clean, corrupted, nodes), _toy_run(corrupted, clean, nodes)

        def shares(lost: Tensor, restored: Tensor) -> list[float]:
            return [float(lost.float().mean()), float(restored.float().mean())]

        mistakes = [
            ("the two numbers are swapped: lost first, restored second", shares(denoised == wanted, noised != wanted)),
            ("in denoising the base is the corrupted question", shares(noised != wanted, noised == wanted)),
            ("in noising the base is the clean question", shares(denoised != wanted, denoised == wanted)),
            ("base and donor are swapped in both directions", shares(denoised != wanted, noised == wanted)),
            (
                "lost means any other answer than the clean one, not exactly the corrupted one",
                shares(noised == bad, denoised == wanted),
            ),
            ("restored means the clean answer, not any other than the corrupted one", shares(noised != wanted, denoised != bad)),
            ("compare both with the clean question's plain answer", shares(noised != bad, denoised == bad)),
            ("the first number is the share kept: it must be the share lost", shares(noised == wanted, denoised == wanted)),
            (
                "these are counts: divide by the number of questions",
                [float((noised != wanted).sum()), float((denoised == wanted).sum())],
            ),
        ]
        got = as_array(call(answer, _toy_run, clean, corrupted, nodes))
        if got.shape != (2,):
            raise Wrong(f"expected two numbers (lost, restored); got shape {list(got.shape)}")
        expect_close(got, shares(noised != wanted, denoised == wanted), mistakes=mistakes, name="the two shares")
