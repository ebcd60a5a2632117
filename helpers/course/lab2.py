"""Checks of Lab 2, reuse of a verified circuit."""

from collections.abc import Mapping

import torch
from torch import Tensor

from helpers.course.check import Wrong, as_array, call, exercise, expect_close, expect_function

_D_MODEL, _D_HEAD, _D_MLP = 6, 4, 8
_SHAPES = {
    **dict.fromkeys(("W_Q", "W_K", "W_V"), (_D_MODEL, _D_HEAD)),
    **dict.fromkeys(("b_Q", "b_K", "b_V"), (_D_HEAD,)),
    "W_O": (_D_HEAD, _D_MODEL),
    "W_in": (_D_MODEL, _D_MLP),
    "b_in": (_D_MLP,),
    "W_out": (_D_MLP, _D_MODEL),
    **dict.fromkeys(("b_O", "b_out", "ln1_w", "ln1_b", "ln2_w", "ln2_b"), (_D_MODEL,)),
}


def _layer(seed: int) -> dict[str, Tensor]:
    """A layer with no zero in it, so that nothing is neutral by luck."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in _SHAPES.items()}


def _writes(weights: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """What the attention and the MLP of a layer add to the stream x [pos, d_model]; one causal head."""

    def norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x, x.shape[-1:], w, b)

    seen = norm(x, weights["ln1_w"], weights["ln1_b"])
    q, k, v = (seen @ weights[f"W_{part}"] + weights[f"b_{part}"] for part in "QKV")
    scores = (q @ k.T / _D_HEAD**0.5).masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf)
    attention = scores.softmax(-1) @ v @ weights["W_O"] + weights["b_O"]
    inner = norm(x + attention, weights["ln2_w"], weights["ln2_b"]) @ weights["W_in"] + weights["b_in"]
    return attention, inner.relu() @ weights["W_out"] + weights["b_out"]


def _as_layer(got: object, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The student's layer as fresh leaves with gradients."""
    if not isinstance(got, Mapping):
        raise Wrong(f"expected a dictionary of tensors; got {type(got).__name__}")
    if odd := sorted(map(str, set(given) ^ set(got))):
        raise Wrong(f"expected the same names as in the given dictionary; {odd[0]} is missing or new")
    found = {}
    for name, tensor in given.items():
        value = as_array(got[name], name)
        if value.shape != tuple(tensor.shape):
            raise Wrong(f"{name} must keep its shape {list(tensor.shape)}; got {list(value.shape)}")
        found[name] = torch.from_numpy(value).clone().requires_grad_()
    return found


def _after_one_step(layer: dict[str, Tensor], x: Tensor, target: Tensor) -> tuple[float, float]:
    """How much attention and MLP write after one step of gradient descent towards a random target."""
    attention, mlp = _writes(layer, x)
    ((x + attention + mlp - target) ** 2).sum().backward()
    # a dead tensor may have no gradient at all
    moved = {name: (value - 0.01 * (0 if value.grad is None else value.grad)).detach() for name, value in layer.items()}
    return tuple(float(part.abs().max()) for part in _writes(moved, x))


@exercise("lab2.1", points=3, title="A new layer that changes nothing")
def neutral_layer(answer):
    expect_function(answer)
    for seed in range(3):
        given = _layer(seed)
        layer = _as_layer(call(answer, {name: value.clone() for name, value in given.items()}), given)
        x, target = torch.randn(2, 5, _D_MODEL, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        attention, mlp = (float(part.abs().max()) for part in _writes(layer, x))
        for written, part, names in ((attention, "attention", "W_O and b_O"), (mlp, "MLP", "W_out and b_out")):
            if written > 1e-9:
                raise Wrong(f"the {part} of your layer still writes into the stream: look at {names}")
        for written, part in zip(_after_one_step(layer, x, target), ("attention", "MLP"), strict=True):
            if written < 1e-9:
                raise Wrong(
                    f"the layer is neutral, but its {part} can never learn: after a step of gradient descent it still writes "
                    "nothing. A product of two factors that are both zero has no gradient in either",
                    points=1,
                )


_PER_HEAD = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
_PER_LAYER = ("W_in", "b_in", "W_out", "b_out", "ln1_w", "ln1_b", "ln2_w", "ln2_b", "b_O")


def _heads(owner: str, heads: int) -> dict[str, object]:
    """A layer whose tensors are labels that say whose they are."""
    per_head = {name: [f"{owner} {name} {h}" for h in range(heads)] for name in _PER_HEAD}
    return per_head | {name: f"{owner} {name}" for name in _PER_LAYER}


def _check_start(start) -> None:
    for few, many in ((3, 4), (2, 5)):
        source, target = _heads("source", few), _heads("target", many)
        start(source, target, few, many)
        forgotten = [name for name in _PER_LAYER if target[name] != source[name]]
        forgotten += [name for name in _PER_HEAD if target[name][:few] != source[name]]
        if forgotten:
            raise Wrong(
                f"`start` leaves {len(forgotten)} of {len(_PER_HEAD + _PER_LAYER)} tensors as they are; go through the list again"
            )
        if any(target[name][few:] != _heads("target", many)[name][few:] for name in _PER_HEAD):
            raise Wrong("`start` writes into a head that is new")


def _check_write_back(write_back) -> None:
    for few, many in ((3, 4), (2, 5)):
        source, target, fresh = _heads("source", few), _heads("target", many), _heads("target", many)
        write_back(source, target, few, many)
        for name in _PER_HEAD:
            frozen = name not in ("W_O",)
            if target[name][few:] != fresh[name][few:]:
                raise Wrong(f"`write_back` overwrites a new head when {few} heads stand in {many}", points=2)
            if frozen and target[name][:few] != source[name]:
                raise Wrong(f"`write_back` leaves an inserted head as it is when {few} heads stand in {many}", points=2)
            if not frozen and target[name] != fresh[name]:
                raise Wrong("`write_back` is to write Q, K and V only", points=2)
        if any(target[name] != fresh[name] for name in _PER_LAYER):
            raise Wrong("`write_back` is to write Q, K and V only", points=2)


@exercise("lab2.2", points=4, title="Spot the two bugs")
def repaired(answer):
    expect_function(answer)
    got = call(answer)
    if not isinstance(got, tuple | list) or len(got) != 2 or not all(map(callable, got)):
        raise Wrong("expected two functions, (start, write_back)")
    _check_start(got[0])
    _check_write_back(got[1])
