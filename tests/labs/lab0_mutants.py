"""Plausible wrong answers to the exercises of lab 0."""

import torch

from helpers.arithmetic.questions import Format


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab0.1": _positions(),
        "lab0.2": _streams(lab["components"]),
        "lab0.3": _looks(),
        "lab0.4": _logits(),
        "lab0.5": _shares(),
        "lab0.6": _zeros(),
        "lab0.7": _means(),
        "lab0.8": _donors(),
        "lab0.9": _digits(),
        "lab0.10": _directions(),
    }


def _positions() -> list:
    return [
        lambda n, k: 3 * n + 3 - k,  # where A_k stands
        lambda n, k: 3 * n + 1 - k,  # one too early
        lambda n, k: 2 * n + 2 + k,  # counted from the left
        lambda n, k: 17 - k,  # right for five digits only
        lambda n, k: 3 * n + 1 - k + (k == 0),  # right for the units only
        lambda n, k: Format(n).operand_positions(min(k, n - 1))[1],  # where D'_k stands
    ]


def _streams(right) -> list:
    def without(*names):
        return lambda model, cache, p: {
            name: piece for name, piece in right(model, cache, p).items() if name not in names
        }

    def changed(name, change):
        return lambda model, cache, p: right(model, cache, p) | {name: change(model, cache, p)}

    def z(cache, p, head, layer=0):
        return cache[f"blocks.{layer}.attn.hook_z"][:, p, head]

    return [
        without("pos"),
        without("L0b", "L1b"),
        without("L1H0", "L1H1", "L1H2", "L1b", "L1M"),
        lambda model, cache, p: right(model, cache, p + 1),
        lambda model, cache, p: list(right(model, cache, p).values()),
        lambda model, cache, p: sum(right(model, cache, p).values()),
        changed("L0H1", lambda model, cache, p: z(cache, p, 1)),  # forgot W_O
        changed("L0H1", lambda model, cache, p: z(cache, p, 1) @ model.blocks[0].attn.W_O[0]),
        changed("L0H1", lambda model, cache, p: z(cache, p, 1) @ model.blocks[1].attn.W_O[1]),
        changed(
            "L1H2",
            lambda model, cache, p: (
                z(cache, p, 2, 1) @ model.blocks[1].attn.W_O[2] + model.blocks[1].attn.b_O
            ),
        ),
        changed("L0M", lambda model, cache, p: cache["blocks.0.mlp.hook_post"][:, p]),
        changed("L1M", lambda model, cache, p: cache["blocks.0.hook_mlp_out"][:, p]),
        changed("embed", lambda model, cache, p: cache["hook_embed"]),
        changed("stream", lambda model, cache, p: cache["blocks.0.hook_resid_mid"][:, p]),
    ]


def _looks() -> list:
    def look(shift=0, both=True, reduce=lambda x: x.mean(0), swap=False, from_j=False, to_k=False):
        def answer(pattern, fmt, k, j):
            query = fmt.answer_position(j if from_j else k) - 1 + shift
            first, second = fmt.operand_positions(k if to_k else j)
            pattern = pattern.transpose(2, 3) if swap else pattern
            found = pattern[:, :, query, first]
            return reduce(found + pattern[:, :, query, second] if both else found)

        return answer

    return [
        look(shift=1),
        look(both=False),
        look(swap=True),
        look(from_j=True),
        look(to_k=True),
        look(reduce=lambda x: x.mean(1)),
        look(reduce=lambda x: x),
        look(reduce=lambda x: x.sum(0)),
        look(reduce=lambda x: x[0]),
        look(reduce=lambda x: x.mean(0) / 2),
        look(reduce=lambda x: x.mean()),
        look(reduce=lambda x: int(x.mean(0).argmax())),
    ]


def _logits() -> list:
    def hand(
        axis=-1,
        centre=True,
        gain=True,
        shift=True,
        unbiased=False,
        outside=False,
        unembed=True,
        offset=True,
    ):
        def answer(model, stream):
            x = stream - stream.mean(axis, keepdim=True) if centre else stream
            variance = stream.var(axis, unbiased=unbiased, keepdim=True)
            x = x / (
                variance.sqrt() + model.cfg.eps if outside else (variance + model.cfg.eps).sqrt()
            )
            x = x * model.ln_final.weight if gain else x
            x = x + model.ln_final.bias if shift else x
            x = x @ model.unembed.W_U if unembed else x
            return x + model.unembed.b_U if unembed and offset else x

        return answer

    return [
        hand(axis=0),
        hand(centre=False),
        hand(gain=False),
        hand(shift=False),
        hand(unbiased=True),
        hand(outside=True),
        hand(unembed=False),
        hand(offset=False),
        lambda model, stream: stream @ model.unembed.W_U + model.unembed.b_U,
        lambda model, stream: hand()(model, stream).softmax(-1),
        lambda model, stream: hand()(model, stream).argmax(-1),
    ]


def _shares() -> list:
    def part(centre=True, gain=True, shift=False, own_scale=False, all_tokens=False, total=False):
        def answer(model, piece, scale, token):
            x = piece - piece.mean(-1, keepdim=True) if centre else piece
            scale = (
                x.pow(2).mean(-1, keepdim=True).add(model.cfg.eps).sqrt() if own_scale else scale
            )
            x = x / scale * (model.ln_final.weight if gain else 1) + (
                model.ln_final.bias if shift else 0
            )
            if all_tokens:
                return x @ model.unembed.W_U
            shares = x * model.unembed.W_U[:, token].T
            return shares.sum() if total else shares.sum(-1)

        return answer

    return [
        part(own_scale=True),
        part(centre=False),
        part(gain=False),
        part(shift=True),
        part(all_tokens=True),
        part(total=True),
        lambda model, piece, scale, token: (
            part()(model, piece, scale, token) + model.unembed.b_U[token]
        ),
        lambda model, piece, scale, token: part()(model, piece, scale**-1, token),
        lambda model, piece, scale, token: (
            (piece / scale * model.ln_final.weight) @ model.unembed.W_U[:, token]
        ),
    ]


def _run(model, tokens, layer, write, name="attn.hook_z"):
    def hook(value, hook):
        return write(value.clone())

    return model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.{name}", hook)])


def _put(index, value=0.0):
    def write(z):
        z[index] = value
        return z

    return write


def _zeros() -> list:
    every = slice(None)
    return [
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, every, node.head))
        ),
        lambda model, tokens, node: _run(model, tokens, node.layer, _put((every, node.position))),
        lambda model, tokens, node: _run(model, tokens, node.layer, torch.zeros_like),
        lambda model, tokens, node: _run(model, tokens, 0, _put((every, node.position, node.head))),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, node.position + 1, node.head))
        ),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((0, node.position, node.head))
        ),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, node.head, node.position % 3))
        ),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, node.position)), "hook_mlp_out"
        ),
        lambda model, tokens, node: _run(model, tokens, node.layer, lambda z: z),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, node.position, node.head), 1.0)
        ),
        lambda model, tokens, node: model(tokens),
        lambda model, tokens, node: _run(
            model, tokens, node.layer, _put((every, node.position, node.head))
        )[:, node.position],
        lambda model, tokens, node: model.run_with_cache(tokens),
    ]


def _means() -> list:
    def stack(cache, name="hook_mlp_out", layers=(0, 1)):
        return torch.stack([cache[f"blocks.{layer}.{name}"] for layer in layers])

    return [
        lambda model, cache: stack(cache, layers=(0, 0)).mean(
            1
        ),  # the means of layer 0 in every layer
        lambda model, cache: stack(cache, layers=(1, 0)).mean(1),
        lambda model, cache: stack(cache).mean(2),
        lambda model, cache: stack(cache).mean((1, 2)),
        lambda model, cache: stack(cache).mean((1, 2))[:, None].expand(-1, 19, -1),
        lambda model, cache: stack(cache).sum(1),
        lambda model, cache: stack(cache),
        lambda model, cache: stack(cache).mean(0),
        lambda model, cache: stack(cache).mean(1).transpose(0, 1),
        lambda model, cache: stack(cache, "mlp.hook_post").mean(1),
        lambda model, cache: stack(cache, "hook_attn_out").mean(1),
        lambda model, cache: stack(cache, "hook_resid_post").mean(1),
        lambda model, cache: cache["blocks.1.hook_mlp_out"].mean(0),
        lambda model, cache: stack(cache).mean(1).mean(-1),
    ]


def _donors() -> list:
    def resample(
        rows=lambda z, donors: z[donors], layer=None, hook_layer=None, wide=False, everywhere=False
    ):
        def answer(model, tokens, node, z, donors):
            values = rows(z[node.layer if layer is None else layer], donors)
            index = (
                slice(None),
                slice(None) if everywhere else node.position,
                *(() if wide else (node.head,)),
            )
            at = node.layer if hook_layer is None else hook_layer
            return _run(model, tokens, at, _put(index, values[index]))

        return answer

    return [
        resample(rows=lambda z, donors: z[donors[:1]]),
        resample(rows=lambda z, donors: z[: len(donors)]),
        resample(rows=lambda z, donors: z[donors].mean(0, keepdim=True)),
        resample(rows=lambda z, donors: z.mean(0, keepdim=True)),
        resample(rows=lambda z, donors: torch.zeros_like(z[donors])),
        resample(rows=lambda z, donors: z[donors.flip(0)]),
        resample(layer=0),
        resample(hook_layer=0),
        resample(wide=True),
        resample(everywhere=True),
        lambda model, tokens, node, z, donors: model(tokens),
    ]


def _digits() -> list:
    def total(questions, k):
        return questions.first[:, k] + questions.second[:, k]

    def carry(questions, k):
        return (questions.answer_digits()[:, k] - total(questions, k)) % 10

    def simple_carry(questions, k):
        return (total(questions, k - 1) >= 10).long() if k else 0

    return [
        lambda clean, stored, k: stored.answer_digits()[:, k],
        lambda clean, stored, k: clean.answer_digits()[:, k],
        lambda clean, stored, k: (total(clean, k) + carry(stored, k)) % 10,
        lambda clean, stored, k: total(stored, k) % 10,
        lambda clean, stored, k: total(stored, k) + carry(clean, k),
        lambda clean, stored, k: (total(stored, k) + simple_carry(clean, k)) % 10,
        lambda clean, stored, k: (total(stored, k) + carry(clean, k + 1)) % 10,
        lambda clean, stored, k: (total(stored, k) - carry(clean, k)) % 10,
        lambda clean, stored, k: (total(stored, k) + total(clean, k)) % 10,
        lambda clean, stored, k: (stored.first[:, k] + carry(clean, k)) % 10,
        lambda clean, stored, k: int((total(stored, k)[0] + carry(clean, k)[0]) % 10),
    ]


def _directions() -> list:
    def share(hits):
        return float(hits.float().mean())

    def both(
        noise=("clean", "corrupted"),
        denoise=("corrupted", "clean"),
        against="clean",
        lost=True,
        turn=False,
    ):
        def answer(run, clean, corrupted, nodes):
            batches = {"clean": clean, "corrupted": corrupted}
            wanted = run(batches[against], clean, [])
            noised = run(*(batches[name] for name in noise), nodes)
            denoised = run(*(batches[name] for name in denoise), nodes)
            found = (
                share((noised != wanted) if lost else (noised == wanted)),
                share(denoised == wanted),
            )
            return found[::-1] if turn else found

        return answer

    return [
        both(turn=True),
        both(denoise=("clean", "corrupted")),
        both(noise=("corrupted", "clean")),
        both(noise=("corrupted", "clean"), denoise=("clean", "corrupted")),
        both(against="corrupted"),
        both(lost=False),
        lambda run, clean, corrupted, nodes: both()(run, clean, corrupted, nodes)[0],
        lambda run, clean, corrupted, nodes: tuple(
            len(clean) * x for x in both()(run, clean, corrupted, nodes)
        ),
        lambda run, clean, corrupted, nodes: (
            (share(run(clean, corrupted, nodes) == run(corrupted, clean, [])),) * 2
        ),
    ]
