"""Which parameters suffice to undo the change, and which suffice to make it?

One group of the model after gets the base's values back; or the base gets one group of the model
after. Two controls for the unembedding: as many weights elsewhere, drawn at random; and random
weights elsewhere whose change is as long.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import reported, rude_shares
from helpers.detox.networks import Plain, frozen
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, real

UNEMBEDDING = "unembedding"
Weights = dict[str, Tensor]


def parameter_groups(network: Plain) -> dict[str, list[str]]:
    """The weights of a network, in groups: embeddings, attention and MLP of each block, all
    normalisations, unembedding.

    >>> from helpers.detox.networks import PlainShape, fresh
    >>> list(parameter_groups(fresh(PlainShape(50, 8, 2, 1, 16, n_positions=8), 0)))
    ['embeddings', 'attention 0', 'MLP 0', 'normalisations', 'unembedding']
    """
    found: dict[str, list[str]] = {"embeddings": []}
    for layer in range(network.shape.n_layers):
        found |= {f"attention {layer}": [], f"MLP {layer}": []}
    found |= {"normalisations": [], UNEMBEDDING: []}
    for name in network.state_dict():
        found[_group_of(name)].append(name)
    return found


def _group_of(name: str) -> str:
    part, *rest = name.split(".")
    if part in ("embed", "pos_embed"):
        return "embeddings"
    if part == "unembed":
        return UNEMBEDDING
    if part == "blocks" and rest[1] in ("attn", "mlp"):
        return f"{'attention' if rest[1] == 'attn' else 'MLP'} {rest[0]}"
    return "normalisations"


def with_values(network: Plain, values: Weights) -> Plain:
    """A copy of a network with some other weights.

    Raises:
        LabError: Weights that it does not have, or of another shape.
    """
    copy, own = frozen(network), network.state_dict()
    if odd := [n for n, v in values.items() if n not in own or own[n].shape != v.shape]:
        raise LabError("expected weights of the network", f"got {odd[0]} of another one")
    copy.load_state_dict({**own, **values})
    return copy


def groups(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """Rude shares with one group put back in the model after, and with one group put into the base.

    Returns:
        Rude shares of both as they are ("base", "after"), with each group "restored" and
        "transplanted", with as many "random" weights restored as the unembedding has, and with
        random ones whose change is as long ("same norm"); "weights" says how many these are, and
        "changed" is the length of each group's change over that of its weights.

    Raises:
        LabError: Networks of another vocabulary or of different shapes.
    """
    asked, named = reported(plan.prompts), parameter_groups(base)
    old, new = base.state_dict(), network.state_dict()
    changed = {g: _norm({n: new[n] - old[n] for n in names}) for g, names in named.items()}
    restored, transplanted = {}, {}
    for group, names in named.items():
        restored[group] = rude_shares(with_values(network, {n: old[n] for n in names}), asked)
        transplanted[group] = rude_shares(with_values(base, {n: new[n] for n in names}), asked)
    elsewhere = [n for group, names in named.items() if group != UNEMBEDDING for n in names]
    count = sum(old[name].numel() for name in named[UNEMBEDDING])
    back = {
        "random": some_restored(old, new, elsewhere, count=count),
        "same norm": some_restored(old, new, elsewhere, norm=changed[UNEMBEDDING]),
    }
    return {
        "base": rude_shares(base, asked),
        "after": rude_shares(network, asked),
        "restored": restored,
        "transplanted": transplanted,
        **{name: rude_shares(with_values(network, values), asked) for name, values in back.items()},
        "weights": {
            UNEMBEDDING: count,
            **{name: _differing(values, new) for name, values in back.items()},
        },
        "changed": {
            g: round(changed[g] / max(_norm({n: old[n] for n in names}), 1e-12), 5)
            for g, names in named.items()
        },
    }


def some_restored(
    old: Weights,
    new: Weights,
    names: list[str],
    count: int | None = None,
    norm: float | None = None,
    seed: int = 0,
) -> Weights:
    """Weights of which some, drawn at random one by one, have their old values again.

    Args:
        names: Tensors among whose weights is drawn.
        count: How many.
        norm: Or: until their change is so long, or there are no more.

    Raises:
        LabError: Not exactly one of both, more weights than there are, or other tensors in both.

    >>> old, new = {"w": torch.zeros(4)}, {"w": torch.ones(4)}
    >>> some_restored(old, new, ["w"], count=3)["w"].sum()
    tensor(1.)
    """
    flat_old, flat_new = (_flat(weights, names, old) for weights in (old, new))
    order = torch.randperm(len(flat_old), generator=torch.Generator().manual_seed(seed))
    if count is not None:
        check_count("number of weights", count)
    if norm is not None:
        at_least(0, norm, "as the length of a change")
    if (count is None) == (norm is None) or (count or 0) > len(order):
        raise LabError(
            f"expected a number of weights up to {len(order)}, or a length of their change",
            f"got {count} and {norm}",
        )
    if norm is not None:
        length = (flat_new - flat_old)[order].double().square().cumsum(0).sqrt()
        count = int((length < norm).sum())
    mixed = flat_new.clone()
    mixed[order[:count]] = flat_old[order[:count]]
    parts = mixed.split([old[name].numel() for name in names])
    return {n: part.view_as(old[n]) for n, part in zip(names, parts, strict=True)}


def _flat(weights: Weights, names: list[str], like: Weights) -> Float[Tensor, " weight"]:
    """Named weights in a row, of single precision."""
    parts = []
    for name in names:
        if name not in weights or name not in like or weights[name].shape != like[name].shape:
            raise LabError("expected weights before and after", f"got others of the name {name!r}")
        parts.append(real(weights[name], "weights").float().flatten())
    flat = torch.cat(parts) if parts else torch.zeros(0)
    if not len(flat) or not flat.isfinite().all():
        raise LabError("expected finite weights, one or more", f"got some of {', '.join(names)}")
    return flat


def _differing(values: Weights, others: Weights) -> int:
    return sum(int((value != others[name]).sum()) for name, value in values.items())


def _norm(weights: Weights) -> float:
    return float(sum(w.double().square().sum() for w in weights.values()) ** 0.5)
