"""Token ids as people bring them: whole numbers of the model's vocabulary, padded on the right."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.model import Model


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
    if model is not None:
        check_vocabulary(model, int(tokens.min()), int(tokens.max()))
        longest = getattr(getattr(model, "cfg", None), "n_ctx", tokens.shape[1])
        if tokens.shape[1] > longest:
            raise LabError(
                f"expected texts of at most {longest} tokens, the model's context",
                f"got {tokens.shape[1]}",
            )
    return tokens


def check_vocabulary(model: Model, smallest: int, largest: int) -> None:
    """Refuse token ids that are none of the model's; a function has no size to compare with.

    Raises:
        LabError: An id below 0, or beyond the vocabulary.
    """
    size = getattr(getattr(model, "cfg", None), "d_vocab", None)
    if smallest < 0 or (size is not None and largest >= size):
        most = "the vocabulary's size" if size is None else size - 1
        raise LabError(
            f"expected token ids from 0 to {most}, the model's vocabulary",
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
    found = _whole(lengths)
    if found is None or found.shape != (items,) or not items:
        got = f"{lengths.dtype} " if isinstance(lengths, Tensor) else ""
        got += f"{list(found.shape)}" if found is not None else f"{lengths!r:.60}"
        problem = f"got {got}"
    elif not ((found >= 1) & (found <= width)).all():
        bad = int(((found < 1) | (found > width)).nonzero()[0, 0])
        problem = f"text {bad} has {int(found[bad])}"
    else:
        return found
    raise LabError(
        f"expected a length of 1 to {width} for each of {items} texts", problem, hint=hint
    )


def _whole(numbers: Any) -> Int[Tensor, "..."] | None:
    """Whole numbers in any form as int64; None where they are something else."""
    if isinstance(numbers, Tensor):
        other = numbers.is_floating_point() or numbers.is_complex() or numbers.dtype is torch.bool
        return None if other else numbers.long()
    try:
        array = np.asarray(numbers)
    except ValueError:  # rows of different lengths
        return None
    return torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" else None


def pads(model: Model | None = None) -> set[int]:
    """Ids that a table of the model's texts may be padded with: 0, its tokenizer's pad and end.

    >>> from types import SimpleNamespace
    >>> tokenizer = SimpleNamespace(pad_token_id=None, eos_token_id=50256)
    >>> sorted(pads(SimpleNamespace(tokenizer=tokenizer)))
    [0, 50256]
    """
    tokenizer = getattr(model, "tokenizer", None)
    named = (getattr(tokenizer, f"{name}_token_id", None) for name in ("pad", "eos"))
    return {0, *(token for token in named if token is not None)}


def check_right_padding(
    ids: Int[Tensor, "item pos"],
    lengths: Int[Tensor, " item"],
    what: str = "the texts",
    model: Model | None = None,
) -> None:
    """Refuse texts that are padded on the left: their last token is not where it is looked for.

    On the left, every text that is shorter than the table begins with one and the same id, as often
    as places are free, and real tokens stand where the padding would be. What stands in the padding
    on the right does not matter. One id in front of all may be no padding but the token that begins
    every text, or their first word: a table is refused where it is one of `pads` and does not begin
    the longest texts as well, or where it stands twice in front of one.

    Args:
        ids, lengths: Token ids, and the number of real tokens of each text, 1 to pos.
        what: Whose texts they are, for the message.
        model: Whose tokens they are: its tokenizer says what it pads with and begins a text with.

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
    items, width = ids.shape
    lengths = check_lengths(lengths, items, width, f"give the lengths of {what}")
    free = width - lengths.to(ids.device)
    short = free > 0
    place = torch.arange(width, device=ids.device)
    rows, free = ids[short], free[short, None]
    front, back = rows[place < free], rows[place >= width - free]
    if not len(front) or (front != front[0]).any():
        return
    pad, known = int(front[0]), torch.tensor(sorted(pads(model)), device=ids.device)
    if torch.isin(back, known).all():
        return
    if pad in known:
        fine = int(free.max()) == 1 and _begins(pad, ids, rows, model)
    else:
        fine = int(free.max()) == 1 or bool((back == back[0]).all())
    if not fine:
        raise LabError(
            f"expected {what} padded on the right",
            f"got {pad} in front of all {int(short.sum())} shorter ones",
            hint='set tokenizer.padding_side = "right", and encode again',
        )


def _begins(
    token: int, ids: Int[Tensor, "item pos"], short: Int[Tensor, "row pos"], model: Model | None
) -> bool:
    """Whether a token begins all texts: once, and of a model that has such a token."""
    begin = getattr(getattr(model, "tokenizer", None), "bos_token_id", token)
    again = short.shape[1] > 1 and bool((short[:, 1] == token).all())
    return begin == token and bool((ids[:, 0] == token).all()) and not again
