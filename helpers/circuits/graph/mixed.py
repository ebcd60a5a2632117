"""What receivers read where edges do not all carry what their sources write."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.graph.edges import Stage
from helpers.errors import LabError


class Mixed:
    """What receivers read in one run, when edges do not all carry what their sources write."""

    def __init__(
        self,
        stages: Sequence[Stage],
        keep: Tensor | None,
        probe: tuple[Tensor, tuple[Tensor, ...]] | None,
        replacement: Sequence[Tensor],
    ) -> None:
        self.stages, self.keep, self.probe, self.replacement = stages, keep, probe, replacement
        # what a removed edge takes away, for each of the writes so far
        self.removed: list[Tensor] = []

    def inputs(
        self, index: int, residual: Tensor, writes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Inputs of a stage's receivers, and which of them each receiver has.

        Where the second is None, all receivers have the first input.
        """
        if self.probe is not None:
            weight = self._of_stage(index, self.probe[0])
            added = _weighted(weight, self.probe[1][: len(writes)])
            return residual + added, torch.arange(len(weight))
        kept = None if self.keep is None else self._of_stage(index, self.keep)
        if kept is None or (not kept.requires_grad and bool((kept == 1).all())):
            return residual[None], None
        which = torch.arange(len(kept))
        if not kept.requires_grad:  # receivers with the same edges have the same input
            kept, which = torch.unique(kept, dim=0, return_inverse=True)
        for place in range(len(self.removed), len(writes)):
            self.removed.append(writes[place] - self.replacement[place])
        return residual + _weighted(kept - 1, self.removed), which

    def _of_stage(
        self, index: int, mask: Float[Tensor, "edge *prompt"]
    ) -> Float[Tensor, "receiver source *prompt"]:
        stage = self.stages[index]
        return mask[stage.first : stage.last].unflatten(0, (len(stage.receivers), stage.sources))


def _columns(mask: Float[Tensor, "row *prompt"], like: Tensor) -> Tensor:
    """A mask as a factor of writes."""
    return mask.reshape(*mask.shape[:1], *(mask.shape[1:] or (1,)), 1, 1).to(like)


def check_mask(mask: Tensor | None, count: int, prompts: int, what: str) -> None:
    """Refuse a mask that has not one finite number per edge or source, or one for each prompt.

    Raises:
        LabError: such a mask.
    """
    if mask is None:
        return
    if mask.shape not in ((count,), (count, prompts)) or not mask.isfinite().all():
        raise LabError(
            f"expected a mask of {count} finite numbers, one for each {what}, or a column of them "
            f"for each of {prompts} prompts",
            f"got shape {list(mask.shape)}, or NaN",
        )


def mix(
    gates: Tensor, written: Tensor, other: Tensor
) -> Float[Tensor, "source prompt pos d_model"]:
    """Writes mixed with others: a gate of 1 leaves them as they are."""
    return other + _columns(gates, written) * (written - other)


def _weighted(
    mask: Float[Tensor, "receiver source *prompt"], writes: Sequence[Tensor]
) -> Float[Tensor, "receiver prompt pos d_model"]:
    """For each receiver the weighted sum of writes."""
    shapes = "rs,sbpd->rbpd" if mask.ndim == 2 else "rsb,sbpd->rbpd"
    sums, start = [], 0
    for block in writes:
        part = mask[:, start : start + len(block)].to(block)
        sums.append(torch.einsum(shapes, part, block))
        start += len(block)
    return sum(sums[1:], sums[0])


def rows_of(writes: tuple[Tensor, ...], rows: Tensor | slice) -> tuple[Tensor, ...]:
    """The writes of some pairs; a block with one write for all pairs stays as it is."""
    return tuple(block if block.shape[1] == 1 else block[:, rows] for block in writes)
