"""Published circuits of GPT-2 small and of a four-layer attention-only model: lists of heads, all
where sources disagree.

The lists are what O'Neill and Bui 2024 (arXiv 2405.12522) score their method against. They were
found by hand, by patching, and none of them is known to be complete: a head that is not on a list
need not be without effect. What the paper and others measured stands in `published_results`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.errors import LabError
from helpers.interventions import Head

GPT2, ATTN_ONLY = (12, 12), (4, 8)
"""Layers and heads a layer of the two models."""


@dataclass(frozen=True)
class Circuit:
    """One list of heads.

    Attributes:
        task: "ioi", "greater-than" or "docstring".
        variant: whose list.
        model: name of the model.
        shape: its layers and heads a layer.
        roles: what heads are said to do: their role, and they. "head" where the source gives none.
        source: where the list stands.
        mlps: layers whose MLP belongs to the circuit as well; the discrete SAE looks at heads
            alone.
    """

    task: str
    variant: str
    model: str
    shape: tuple[int, int]
    roles: MappingProxyType
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
    return tuple(
        (int(layer), int(head)) for layer, _, head in (name.partition(".") for name in text.split())
    )


def _roles(**groups: str) -> MappingProxyType:
    return MappingProxyType({name.replace("_", " "): heads(text) for name, text in groups.items()})


_IOI = {
    "name_mover": "9.9 10.0 9.6",
    "backup_name_mover": "10.10 10.6 10.2 10.1 11.2 9.7 9.0 11.9",
    "negative_name_mover": "10.7 11.10",
    "S-inhibition": "7.3 7.9 8.6 8.10",
    "induction": "5.5 5.8 5.9 6.9",
    "duplicate_token": "0.1 0.10 3.0",
    "previous_token": "2.2 4.11",
}
_CIRCUITS = (
    Circuit(
        "ioi",
        "wang",
        "gpt2",
        GPT2,
        _roles(**_IOI),
        "Wang et al. 2023 (arXiv 2211.00593), as in their released code and in that of ACDC (arXiv 2304.14997)",
    ),
    Circuit(
        "ioi",
        "released code",
        "gpt2",
        GPT2,
        _roles(**_IOI | {"backup_name_mover": "10.10 10.6 10.2 10.1 11.2 9.7 11.3 11.9"}),
        "code of arXiv 2405.12522, data/ioi.py: 11.3 stands where the others have 9.0",
    ),
    Circuit(
        "greater-than",
        "hanna",
        "gpt2",
        GPT2,
        _roles(last_token="9.1 8.11 7.10 6.9 5.5 8.8 5.1", start_year="0.1 0.3 0.5"),
        "code of Hanna et al. 2023 (arXiv 2305.00586)",
        (0, 1, 2, 3, 8, 9, 10, 11),
    ),
    Circuit(
        "greater-than",
        "released code",
        "gpt2",
        GPT2,
        _roles(head="0.1 0.3 0.5 5.5 6.1 6.9 7.10 8.11 9.1"),
        "code of arXiv 2405.12522, data/gt.py, as in the code of ACDC (arXiv 2304.14997): 6.1 instead of 5.1 and 8.8",
        (0, 1, 2, 3, 8, 9, 10, 11),
    ),
    Circuit(
        "docstring",
        "acdc",
        "attn-only-4l",
        ATTN_ONLY,
        _roles(head="0.5 1.2 1.4 2.0 3.0 3.6"),
        "code of ACDC (arXiv 2304.14997), the circuit of 37 edges after Heimersheim and Janiak 2023",
    ),
    Circuit(
        "docstring",
        "released code",
        "attn-only-4l",
        ATTN_ONLY,
        _roles(head="0.5 1.0 1.4 2.0 3.0 3.6"),
        "code of arXiv 2405.12522, data/ds.py: 1.0 stands where ACDC has 1.2, which looks like a slip",
    ),
)
CIRCUITS: MappingProxyType = MappingProxyType(
    {(known.task, known.variant): known for known in _CIRCUITS}
)
"""Task and variant: the list. The variant "released code" is what the published numbers were computed with."""


def variants(task: str) -> tuple[str, ...]:
    """Names of a task's lists."""
    return tuple(variant for known, variant in CIRCUITS if known == task)


def circuit(task: str, variant: str = "released code") -> Circuit:
    """A list by task and variant.

    Raises:
        LabError: no such list.
    """
    if (task, variant) not in CIRCUITS:
        known = "; ".join(
            f"{task}: {', '.join(variants(task))}"
            for task in dict.fromkeys(task for task, _ in CIRCUITS)
        )
        raise LabError(f"expected a published circuit: {known}", f"got {task!r}, {variant!r}")
    return CIRCUITS[task, variant]


def labels(task: str, variant: str, n_layers: int, n_heads: int) -> Bool[Tensor, " head"]:
    """Which heads of a model are on a list, in layer-major order.

    Raises:
        LabError: no such list, or a model of another shape than that in which the circuit was
            found.

    >>> int(labels("ioi", "wang", 12, 12).sum())
    26
    """
    known = circuit(task, variant)
    if known.shape != (n_layers, n_heads):
        raise LabError(
            f"expected {known.model}, in which this circuit was found: {known.shape[0]} layers of {known.shape[1]} heads",
            f"got {n_layers} layers of {n_heads} heads",
        )
    return mask(known.heads, n_layers, n_heads)


def mask(chosen: Iterable[Head], n_layers: int, n_heads: int) -> Bool[Tensor, " head"]:
    """Heads as a mask in layer-major order.

    Raises:
        LabError: a head that a model of this size does not have.
    """
    chosen = list(chosen)
    if outside := [
        head for head in chosen if not (0 <= head[0] < n_layers and 0 <= head[1] < n_heads)
    ]:
        raise LabError(f"expected heads of {n_layers} layers of {n_heads}", f"got {outside[0]}")
    found = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for head in chosen:
        found[head] = True
    return found.flatten()
