"""Published circuits of GPT-2 small and of a four-layer attention-only model, read from
published_circuits.toml, which says where each list stands and where the sources disagree.

What the paper and others measured stands in `published_results`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.errors import LabError
from helpers.interventions import Head


@dataclass(frozen=True)
class PublishedCircuit:
    """One list of heads.

    Attributes:
        task: "ioi", "greater-than" or "docstring".
        variant: Whose list it is.
        model: Name of the model.
        shape: Its number of layers, and of heads in each layer.
        roles: The heads of each role; "head" where the source gives no roles.
        source: Where the list stands.
        mlps: Layers whose MLP belongs to the circuit as well.
    """

    task: str
    variant: str
    model: str
    shape: tuple[int, int]
    roles: Mapping[str, tuple[Head, ...]]
    source: str
    mlps: tuple[int, ...] = ()

    @property
    def heads(self) -> tuple[Head, ...]:
        """All heads, in layer-major order."""
        return tuple(sorted(head for group in self.roles.values() for head in group))

    @property
    def base_rate(self) -> float:
        """Share of the model's heads that are on the list: the precision of a guess."""
        return len(self.heads) / (self.shape[0] * self.shape[1])


def heads(text: str) -> tuple[Head, ...]:
    """Heads in the papers' notation.

    >>> heads("9.9 10.0")
    ((9, 9), (10, 0))
    """
    pairs = (name.partition(".") for name in text.split())
    return tuple((int(layer), int(head)) for layer, _, head in pairs)


def _read(table: dict[str, Any], models: dict[str, list[int]]) -> PublishedCircuit:
    layers, n_heads = models[table["model"]]
    roles = MappingProxyType({role: heads(text) for role, text in table["roles"].items()})
    mlps = tuple(table.get("mlps", ()))
    return PublishedCircuit(**table | {"shape": (layers, n_heads), "roles": roles, "mlps": mlps})


_DATA = tomllib.loads(
    (files("helpers.circuits.judging") / "published_circuits.toml").read_text(encoding="utf-8")
)
CIRCUITS = MappingProxyType(
    {
        (table["task"], table["variant"]): _read(table, _DATA["models"])
        for table in _DATA["circuits"]
    }
)
"""The lists by task and variant."""


def variants(task: str) -> tuple[str, ...]:
    """Names of a task's lists."""
    return tuple(variant for of, variant in CIRCUITS if of == task)


def circuit(task: str, variant: str = "released code") -> PublishedCircuit:
    """A list by task and variant.

    Raises:
        LabError: no such list.
    """
    if (task, variant) not in CIRCUITS:
        tasks = dict.fromkeys(of for of, _ in CIRCUITS)
        lists = "; ".join(f"{of}: {', '.join(variants(of))}" for of in tasks)
        raise LabError(f"expected a published circuit: {lists}", f"got {task!r}, {variant!r}")
    return CIRCUITS[task, variant]


def labels(task: str, variant: str, n_layers: int, n_heads: int) -> Bool[Tensor, " head"]:
    """Which heads of a model are on a list, in layer-major order.

    Raises:
        LabError: no such list, or a model of another shape than that in which the circuit was
            found.

    >>> int(labels("ioi", "wang", 12, 12).sum())
    26
    """
    published = circuit(task, variant)
    if published.shape != (n_layers, n_heads):
        raise LabError(
            f"expected {published.model}, in which this circuit was found: "
            f"{published.shape[0]} layers of {published.shape[1]} heads",
            f"got {n_layers} layers of {n_heads} heads",
        )
    return mask(published.heads, n_layers, n_heads)


def mask(chosen: Iterable[Head], n_layers: int, n_heads: int) -> Bool[Tensor, " head"]:
    """Heads as a mask in layer-major order.

    Raises:
        LabError: a head that a model of this size does not have.
    """
    marked = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for layer, head in chosen:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise LabError(
                f"expected heads of {n_layers} layers of {n_heads}", f"got {(layer, head)}"
            )
        marked[layer, head] = True
    return marked.flatten()
