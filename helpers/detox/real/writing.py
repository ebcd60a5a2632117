"""Texts as tokens: what a model writes after prompts, and what it is tuned on.

Rows are padded on the right; which tokens count is said beside them, so neither the prompt nor a
pad ever does. An end of text that the model writes is one of its words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers import runtime
from helpers.detox.real.models import Causal
from helpers.detox.real.plan import check_share
from helpers.errors import LabError
from helpers.inputs import check_count

AT_ONCE = 128
"""Rows that are written together."""


@dataclass(frozen=True)
class Rows:
    """Texts as tokens.

    Attributes:
        tokens: Padded on the right.
        counts: Which tokens count: those that the model wrote, or all but the first.
        texts: What counts, as text.
    """

    tokens: Int[Tensor, "row pos"]
    counts: Bool[Tensor, "row pos"]
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def at(self, places: Any) -> "Rows":
        """Some of the rows, as wide as the longest of them."""
        tokens, counts = self.tokens[places], self.counts[places]
        wide = int((counts * torch.arange(1, counts.shape[1] + 1)).max()) if len(counts) else 0
        return Rows(tokens[:, :wide], counts[:, :wide])


def padded(rows: Sequence[tuple[list[int], int]], pad: int, texts: Sequence[str] = ()) -> Rows:
    """Rows from lists of tokens, each with the place from which its tokens count.

    Raises:
        LabError: No rows, or one in which nothing counts.

    >>> padded([([5, 6, 7], 1), ([5, 8], 1)], pad=0).counts.int().tolist()
    [[0, 1, 1], [0, 1, 0]]
    """
    if not rows or any(not 0 < start < len(ids) for ids, start in rows):
        raise LabError("expected texts of two tokens or more", f"got {len(rows)} texts")
    wide = max(len(ids) for ids, _ in rows)
    tokens = torch.full((len(rows), wide), pad)
    counts = torch.zeros(len(rows), wide, dtype=torch.bool)
    for place, (ids, start) in enumerate(rows):
        tokens[place, : len(ids)] = torch.tensor(ids)
        counts[place, start : len(ids)] = True
    return Rows(tokens, counts, tuple(texts))


def before(counts: Bool[Tensor, "row pos"]) -> Bool[Tensor, "row pos"]:
    """The places whose next token counts: what is said there is said of that token.

    Raises:
        LabError: No table of truth values.

    >>> before(torch.tensor([[False, True, True]])).int().tolist()
    [[1, 1, 0]]
    """
    good = isinstance(counts, Tensor) and counts.dtype is torch.bool and counts.ndim == 2
    if not good or not counts.numel():
        got = f"{counts.dtype} of shape {list(counts.shape)}" if isinstance(counts, Tensor) else ""
        raise LabError(
            "expected a truth value for each token of each row", got or f"got {counts!r}"
        )
    return torch.nn.functional.pad(counts[:, 1:], (0, 1))


def encoded(causal: Causal, texts: Sequence[str], longest: int) -> Rows:
    """Texts to tune on, cut to a length: every token counts but the first, which none precedes.

    Raises:
        LabError: No text of two tokens.
    """
    check_count("length of a text", longest, least=2)
    ids = [causal.tokenizer(text)["input_ids"][:longest] for text in texts]
    return padded([(row, 1) for row in ids if len(row) > 1], causal.tokenizer.pad_token_id)


def short_enough(causal: Causal, prompts: Sequence[str], longest: int, new: int) -> list[str]:
    """The prompts that have at most so many tokens, and room for what is written after them.

    Raises:
        LabError: None has.
    """
    most = min(longest, causal.positions - new)
    found = [text for text in prompts if 0 < len(causal.tokenizer(text)["input_ids"]) <= most]
    if not found:
        raise LabError(
            f"expected prompts of 1 to {most} tokens", f"got {len(prompts)} that are longer"
        )
    return found


@torch.no_grad()
def write(
    model: Any, causal: Causal, prompts: Sequence[str], new: int, seed: int, top_p: float = 1.0
) -> Rows:
    """One continuation of each prompt; a prompt that is given several times has several.

    Args:
        model: The causal model, or a tuned copy of it.
        top_p: Nucleus that tokens are drawn from; 1 draws from the model itself.

    Raises:
        LabError: No prompts, or a nucleus that is no share.
    """
    check_count("number of prompts", len(prompts), least=1)
    check_count("number of new tokens", new, least=1)
    check_share("top_p", top_p, above=True)
    found: list[tuple[list[int], int]] = []
    starts = range(0, len(prompts), AT_ONCE)
    for first in runtime.progress(starts, "writing") if len(starts) > 8 else starts:
        some = causal.tokenizer(
            list(prompts[first : first + AT_ONCE]), return_tensors="pt", padding=True
        )
        said = _generated(model, causal, some, new, seed + first, top_p)
        for row, mask in zip(said.tolist(), some["attention_mask"], strict=True):
            skipped, wide = int((mask == 0).sum()), len(mask)
            ids = _to_the_end(row[wide:], causal.tokenizer.eos_token_id)
            found.append((row[skipped:wide] + ids, wide - skipped))
    texts = [_said(causal.tokenizer, row, start) for row, start in found]
    return padded(found, causal.tokenizer.pad_token_id, texts)


def _said(tokenizer: Any, ids: list[int], start: int) -> str:
    """What stands after the prompt, with the space before it, which some leave out of a part."""
    whole, prompt = (
        tokenizer.decode(part, skip_special_tokens=True) for part in (ids, ids[:start])
    )
    return whole[len(prompt) :]


def _generated(model: Any, causal: Causal, some: Any, new: int, seed: int, top_p: float) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.generate(
            **{name: some[name].to(causal.device) for name in ("input_ids", "attention_mask")},
            do_sample=True,
            top_p=top_p,
            top_k=0,  # else that of the model's own settings, 50 for GPT-2
            temperature=1.0,
            max_new_tokens=new,
            pad_token_id=causal.tokenizer.pad_token_id,
        ).cpu()


def _to_the_end(ids: list[int], end: int) -> list[int]:
    """The tokens up to the end of the text, with it."""
    return ids[: ids.index(end) + 1] if end in ids else ids
