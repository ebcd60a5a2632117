"""The map: which nodes a model uses, what each one does, and where it looks.

A *role* is given by experiment only. A node, or a few heads of one layer at one position acting
together (the paper's "virtual head"), has the role of a sub-task and digit when writing its stored
output gives exactly the predicted answer in at least `STRONG` of many random pairs, half of them in
each direction, and leaves it right in at least `STRONG` of the null pairs. From `PARTIAL` on the
role is called partial: the value is stored elsewhere as well.

A role says that the value passes through the nodes, not that nothing else does. The last MLP before
an answer digit writes the digit itself, so it passes every test of its position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.circuit.addition import SUBTASKS
from helpers.arithmetic.circuit.pairs import Interchange
from helpers.arithmetic.circuit.patching import Experiment, NodeSet, Rate, measure, prepare
from helpers.arithmetic.questions import Format
from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.interventions import Node, all_nodes, device_of
from helpers.model import Model
from helpers.runtime import progress

STRONG, PARTIAL, WEAK = 0.9, 0.3, 0.1


@dataclass(frozen=True)
class Role:
    """A set of nodes at one position and layer, the sub-task it carries, and the evidence."""

    evidence: Rate

    @property
    def nodes(self) -> NodeSet:
        return self.evidence.nodes

    @property
    def label(self) -> str:
        return self.evidence.label

    @property
    def strong(self) -> bool:
        return self.evidence.rate >= STRONG

    def __str__(self) -> str:
        low, high = self.evidence.interval
        names = "+".join(map(str, self.nodes))
        rate = f"{self.evidence.rate:.0%} [{low:.0%}, {high:.0%}]"
        return f"{self.label} at {names}: {rate}, null {self.evidence.null_rate:.0%}"


def _groups(nodes: list[Node], size: int) -> list[NodeSet]:
    """All sets of `size` heads."""
    return list(combinations([node for node in nodes if not node.is_mlp], size))


def _search(model: Model, fmt: Format, experiment: Experiment, position: int) -> list[Role]:
    """The roles of one experiment at one position (see `roles_at`)."""

    def passing(node_sets: list[NodeSet], floor: float) -> list[Rate]:
        return [
            rate
            for rate in measure(model, fmt, experiment, node_sets, floor)
            if rate.null_rate >= STRONG
        ]

    roles: list[Role] = []
    for layer in range(model.cfg.n_layers):
        nodes = [node for node in all_nodes(model, [position]) if node.layer == layer]
        singles = passing([(node,) for node in nodes], PARTIAL)
        strong = [rate for rate in singles if rate.rate >= STRONG]
        for size in range(2, model.cfg.n_heads + 1):
            if any(not rate.nodes[0].is_mlp for rate in strong):
                break
            strong += sorted(passing(_groups(nodes, size), STRONG), key=lambda rate: -rate.rate)[:1]
        covered = {node for rate in strong for node in rate.nodes}
        partial = [rate for rate in singles if rate.nodes[0] not in covered]
        roles += [Role(rate) for rate in strong + partial]
    return roles


def roles_at(
    model: Model,
    fmt: Format,
    task: Interchange,
    digit: int,
    position: int,
    count: int = 100,
    seed: int = 0,
) -> list[Role]:
    """Roles of one sub-task and digit among the nodes at one position.

    In each layer the smallest group of heads that passes is taken: all single heads, else the best
    pair, and so on. An MLP stands for itself. Partial roles are listed for single nodes that belong
    to no strong group.
    """
    return _search(model, fmt, prepare(model, fmt, task, digit, count, seed), position)


def find_roles(
    model: Model,
    fmt: Format,
    count: int = 100,
    seed: int = 0,
    tasks: tuple[str, ...] | None = None,
    registry: Mapping[str, Interchange] = SUBTASKS,
) -> list[Role]:
    """All roles of a model: every sub-task, every digit, every position it could be carried at.

    Args:
        tasks: Names of the sub-tasks to test; all of the registry by default.
        registry: Sub-tasks by name: those of addition, ``subtraction.SUBTASKS``, or both (joined by
            ``|``).

    Raises:
        LabError: An unknown sub-task, or a count that is not even and positive.
    """
    names = tuple(registry) if tasks is None else tasks
    if unknown := [name for name in names if name not in registry]:
        raise LabError(f"expected sub-tasks among {', '.join(registry)}", f"got {unknown[0]!r}")
    work = [
        (registry[name], digit) for name in names for digit in registry[name].digits(fmt.n_digits)
    ]
    roles: list[Role] = []
    for task, digit in progress(work, "patch tests"):
        experiment = prepare(model, fmt, task, digit, count, seed)  # once for all positions
        for position in task.positions(fmt, digit):
            roles += _search(model, fmt, experiment, position)
    return roles


def carry_kind(
    sc: float, undecided: float, sv: float, high: float = STRONG, low: float = WEAK
) -> str:
    """Name a carry from the rates of the three separating tests (table in `addition`).

    A rate of at least `high` counts as a flip, one of at most `low` as none; with anything in
    between, or a pattern that is not in the table, the carry is ``"mixed"``; three times none is
    ``"none"``.

    >>> carry_kind(0.98, 0.02, 0.0), carry_kind(0.97, 0.95, 0.01), carry_kind(0.1, 1.0, 1.0)
    ('binary (SC)', 'tri-state (ST)', 'mixed')
    """
    pattern = tuple(
        1 if rate >= high else 0 if rate <= low else None for rate in (sc, undecided, sv)
    )
    names: dict[tuple[int | None, ...], str] = {
        (1, 0, 0): "binary (SC)",
        (1, 1, 0): "tri-state (ST)",
        (1, 1, 1): "cascaded (SV)",
        (0, 0, 0): "none",
    }
    return names.get(pattern, "mixed")


def mean_pattern(
    model: Model, tokens: Int[Tensor, "question pos"]
) -> Float[Tensor, "layer head query key"]:
    """Attention pattern of every head, averaged over questions.

    Raises:
        LabError: No question, or what are no token ids of the model.
    """
    tokens = token_ids(tokens, model)
    layers = range(model.cfg.n_layers)
    kept: dict[int, Tensor] = {}

    def keep(layer: int):
        def store(pattern, hook):
            kept[layer] = pattern.detach().mean(0).to(tokens.device)

        return store

    with torch.no_grad():
        model.run_with_hooks(
            tokens.to(device_of(model)),
            fwd_hooks=[(f"blocks.{n}.attn.hook_pattern", keep(n)) for n in layers],
        )
    return torch.stack([kept[layer] for layer in layers])


def attends(
    pattern: Float[Tensor, "layer head query key"],
    fmt: Format,
    node: Node,
    digit: int,
    at_least: float = 0.1,
) -> bool:
    """The paper's attention prerequisite: does a head look at both D_k and D'_k?

    An MLP looks nowhere.
    Positions are compared as numbers, so position 1 never matches 10 … 19 (the released code
    compares substrings).

    Args:
        pattern: Attention averaged over questions (`mean_pattern`).
        at_least: Smallest weight on each of the two that counts as looking.

    Raises:
        LabError: A digit that operands of this format do not have.
    """
    if not 0 <= digit < fmt.n_digits:
        raise LabError(f"expected a digit from 0 to {fmt.n_digits - 1}", f"got {digit}")
    if node.is_mlp:
        return False
    weights = pattern[node.layer, node.head, node.position]
    return all(float(weights[position]) >= at_least for position in fmt.operand_positions(digit))
