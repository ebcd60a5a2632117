"""Token ids as people bring them: whole numbers of the model's vocabulary, padded on the right."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.model import Model

PADS = (0,)
"""Ids that are known as padding, where no tokenizer names another."""


def token_ids(tokens: Any, model: Model | None = None) -> Int[Tensor, "item pos"]:
    """Token ids of some texts of equal width, as the model's embedding takes them.

    Raises:
        LabError: No table [item, pos] of whole numbers, one that the model's vocabulary does not
            have, or more positions than its context.

    >>> token_ids(torch.tensor([[1, 2]], dtype=torch.uint8)).dtype
    torch.int64
    """
    if not isinstance(tokens, Tensor) or tokens.ndim != 2 or not tokens.numel():
        got = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise LabError("expected token ids as a tensor [item, pos], not empty", f"got {got}")
    if tokens.dtype is torch.bool or tokens.is_floating_point() or tokens.is_complex():
        raise LabError("expected token ids as whole numbers", f"got {tokens.dtype}")
    tokens = tokens.long()
    if model is not None and hasattr(model, "cfg"):  # a function from tokens to logits has none
        check_vocabulary(model, int(tokens.min()), int(tokens.max()))
        if tokens.shape[1] > model.cfg.n_ctx:
            raise LabError(
                f"expected texts of at most {model.cfg.n_ctx} tokens, the model's context",
                f"got {tokens.shape[1]}",
            )
    return tokens


def check_vocabulary(model: Model, smallest: int, largest: int) -> None:
    """Refuse token ids that are none of the model's.

    Raises:
        LabError: An id below 0, or beyond the vocabulary.
    """
    if smallest < 0 or largest >= model.cfg.d_vocab:
        raise LabError(
            f"expected token ids from 0 to {model.cfg.d_vocab - 1}, the model's vocabulary",
            f"got ids from {smallest} to {largest}",
            hint="the tokenizer belongs to another model; load both from one folder or name",
        )


def check_lengths(
    lengths: Any, items: int, width: int, hint: str = "give the lengths of these very texts"
) -> Int[Tensor, " item"]:
    """Numbers of real tokens of texts, 1 to the width of their table.

    Raises:
        LabError: Another number of lengths, or one that is no whole number in this range.

    >>> check_lengths(torch.tensor([2, 3]), items=2, width=3).tolist()
    [2, 3]
    """
    lengths = torch.as_tensor(lengths)
    whole = not (lengths.is_floating_point() or lengths.is_complex())
    fits = whole and lengths.shape == (items,) and items > 0
    if not fits or not ((lengths >= 1) & (lengths <= width)).all():
        some = f" from {lengths.min()} to {lengths.max()}" if whole and lengths.numel() else ""
        raise LabError(
            f"expected a length of 1 to {width} for each of {items} items",
            f"got {lengths.numel()} lengths{some}",
            hint=hint,
        )
    return lengths.long()


def check_right_padding(
    ids: Int[Tensor, "item pos"],
    lengths: Int[Tensor, " item"],
    what: str = "the texts",
    pads: Iterable[int] = PADS,
) -> None:
    """Refuse texts that are padded on the left: their last token is not where it is looked for.

    On the left, every text that is shorter than the table begins with one and the same id, as often
    as places are free, and real tokens stand where the padding would be. What stands in the padding
    on the right does not matter.

    Args:
        ids, lengths: Token ids, and the number of real tokens of each text, 1 to pos.
        what: Whose texts they are, for the message.
        pads: Ids of the padding, as far as they are known.

    Raises:
        LabError: Padding on the left, or no token ids and lengths at all.

    >>> check_right_padding(torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([3, 2]))
    >>> check_right_padding(torch.tensor([[5, 6, 7], [0, 8, 9]]), torch.tensor([3, 2]))
    Traceback (most recent call last):
    helpers.errors.LabError: expected the texts padded on the right; got 0 in front of all 1 \
shorter ones
      try: set tokenizer.padding_side = "right", and encode again
    """
    ids = token_ids(ids)
    free = ids.shape[1] - check_lengths(lengths, len(ids), ids.shape[1]).to(ids.device)
    short = free > 0
    place = torch.arange(ids.shape[1], device=ids.device)
    rows, free = ids[short], free[short, None]
    front, back = rows[place < free], rows[place >= ids.shape[1] - free]
    if not len(front) or (front != front[0]).any():
        return
    pad, known = int(front[0]), set(pads)
    one_kind = bool((back == back[0]).all())
    if one_kind and (int(back[0]) in known or pad not in known):
        return
    raise LabError(
        f"expected {what} padded on the right",
        f"got {pad} in front of all {int(short.sum())} shorter ones",
        hint='set tokenizer.padding_side = "right", and encode again',
    )
