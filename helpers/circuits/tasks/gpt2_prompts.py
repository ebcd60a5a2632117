"""Prompts and twins for a model with a tokenizer of its own: a template, whose slots are filled
with words of one token each.

Because every slot is one token, a prompt and its twin are aligned, and all prompts of a template
are equally long. A word that the tokenizer splits is refused, never padded over. The text around a
slot is encoded by itself; that this gives the tokens of the whole text is checked.
"""

import random
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.texts.prompts import Prompts

_SLOT = re.compile(r"( ?\{\w+\})")
Values = Mapping[str, str]
Pools = Mapping[str, Sequence[str]]
Change = Callable[[Values, Pools, random.Random], Values]
"""A corruption: from a prompt's words, and the words to choose others from, those of its twin."""


def words(name: str) -> tuple[str, ...]:
    """A list of gpt2_words.toml."""
    return tuple(
        tomllib.loads(
            (files("helpers.circuits.tasks") / "gpt2_words.toml").read_text(encoding="utf-8")
        )[name].split()
    )


@dataclass(frozen=True)
class Draft:
    """A prompt before it is encoded.

    Attributes:
        template: text with slots, such as ``Then {S} left``. The space before a slot goes with it.
        values: slot: the word in it.
        good, bad: right and wrong next tokens, with the space before them where they have one.
    """

    template: str
    values: Values
    good: tuple[str, ...]
    bad: tuple[str, ...]

    def pieces(self, values: Values) -> list[tuple[str, bool]]:
        """Parts of the text, and which of them are slots."""
        parts = [part for part in _SLOT.split(self.template) if part]
        return [(part.format(**values), bool(_SLOT.fullmatch(part))) for part in parts]

    def text(self, values: Values) -> str:
        return self.template.format(**values)


def ids(tokenizer, text: str) -> list[int]:
    """Tokens of a text, and nothing added to them."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def single(tokenizer, candidates: Iterable[str], before: str = " ", least: int = 1) -> list[str]:
    """Those words that are one token each.

    Args:
        before: what stands before the word.
        least: how many are needed.

    Raises:
        LabError: fewer than `least`.
    """
    different = list(dict.fromkeys(candidates))
    kept = [word for word in different if len(ids(tokenizer, before + word)) == 1]
    if len(kept) < least:
        raise LabError(
            f"expected at least {least} words that are one token each",
            f"the tokenizer has {len(kept)} of the {len(different)} in question",
            hint="pass words of this tokenizer, or the tokenizer of a model of English",
        )
    return kept


def token(tokenizer, word: str) -> int:
    """The token of a word.

    Raises:
        LabError: the tokenizer splits it.
    """
    found = ids(tokenizer, word)
    if len(found) != 1:
        raise LabError(
            f"expected {word!r} to be one token of the tokenizer",
            f"it is {len(found)}: {[tokenizer.decode([part]) for part in found]}",
            hint="prompts and twins are compared token by token; choose words with `gpt2_prompts.single`",
        )
    return found[0]


def _encode(tokenizer, draft: Draft, values: Values) -> list[int]:
    found: list[int] = []
    for part, slot in draft.pieces(values):
        found += [token(tokenizer, part)] if slot else ids(tokenizer, part)
    return found


def _clean(tokenizer, draft: Draft) -> list[int]:
    found, whole = _encode(tokenizer, draft, draft.values), ids(tokenizer, draft.text(draft.values))
    if found != whole:
        raise LabError(
            "expected the words of a prompt to be tokens in the whole text as well",
            f"the tokenizer joins some of {draft.text(draft.values)!r} with what is beside them",
            hint="write the space before a slot inside it, and let no slot touch a letter",
        )
    return found


def _mask(
    tokenizer, drafts: Sequence[Draft], answers: Sequence[tuple[str, ...]], d_vocab: int
) -> Bool[Tensor, "prompt word"]:
    mask = torch.zeros(len(drafts), d_vocab, dtype=torch.bool)
    for row, said in enumerate(answers):
        mask[row, [token(tokenizer, word) for word in said]] = True
    return mask


def start(tokenizer, prepend_bos: bool) -> list[int]:
    """The token before a prompt, if one is asked for.

    Raises:
        LabError: the tokenizer has none.
    """
    if not prepend_bos:
        return []
    if tokenizer.bos_token_id is None:
        raise LabError(
            "expected a tokenizer with a token that begins a text",
            "got one without",
            hint="pass prepend_bos=False",
        )
    return [tokenizer.bos_token_id]


def pairs(
    tokenizer,
    task: tuple[str, str],
    drafts: Sequence[Draft],
    changed: Sequence[Values],
    prepend_bos: bool = True,
    d_vocab: int | None = None,
) -> Twins:
    """Encode drafts and their twins, padded on the right.

    Args:
        task: its name and its metric.
        changed: the words of each twin.
        prepend_bos: whether every prompt gets the token that begins a text, as the published
            circuits of GPT-2 had it.
        d_vocab: size of the model's vocabulary, if it is larger than the tokenizer's.

    Raises:
        LabError: no drafts, no right or no wrong answer, a word that is not one token, an answer
            that is both.
    """
    if not drafts or not all(draft.good and draft.bad for draft in drafts):
        raise LabError(
            f"expected prompts with right and wrong answers for {task[0]}",
            f"got {len(drafts)} prompts",
        )
    begin = start(tokenizer, prepend_bos)
    clean = [begin + _clean(tokenizer, draft) for draft in drafts]
    twin = [
        begin + _encode(tokenizer, draft, values)
        for draft, values in zip(drafts, changed, strict=True)
    ]
    size = d_vocab or len(tokenizer)
    good, bad = (
        _mask(tokenizer, drafts, [getattr(draft, kind) for draft in drafts], size)
        for kind in ("good", "bad")
    )
    if (good & bad).any():
        row = int((good & bad).any(1).nonzero()[0])
        raise LabError(
            "expected no answer to be right and wrong",
            f"prompt {row} has one: {drafts[row].text(drafts[row].values)!r}",
        )
    texts = [draft.text(draft.values) for draft in drafts]
    other = [draft.text(values) for draft, values in zip(drafts, changed, strict=True)]
    sides = [
        _prompts(tokenizer, task[0], *side, good, bad) for side in ((texts, clean), (other, twin))
    ]
    return Twins(*sides, task[1])


def _prompts(
    tokenizer, name: str, texts: list[str], encoded: list[list[int]], good: Tensor, bad: Tensor
) -> Prompts:
    pad = next(
        (known for known in (tokenizer.pad_token_id, tokenizer.eos_token_id) if known is not None),
        0,
    )
    tokens = torch.full((len(encoded), max(map(len, encoded))), pad)
    for row, found in enumerate(encoded):
        tokens[row, : len(found)] = torch.tensor(found)
    return Prompts(
        name, tuple(texts), tokens, torch.tensor([len(found) - 1 for found in encoded]), good, bad
    )


def corrupt(
    task: str,
    drafts: Sequence[Draft],
    known: Mapping[str, Change],
    name: str | None,
    pools: Pools,
    seed: int,
) -> list[Values]:
    """The words of each draft's twin.

    Args:
        known: the task's corruptions.
        name: one of them; by default the first.

    Raises:
        LabError: no such corruption.
    """
    chosen = name or next(iter(known))
    if chosen not in known:
        raise LabError(f"expected a corruption of {task}: {', '.join(known)}", f"got {chosen!r}")
    rng = random.Random(f"{seed} {task} {chosen}")
    return [known[chosen](draft.values, pools, rng) for draft in drafts]


def others(words: Sequence[str], used: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """Different words that are not among those used."""
    taken = set(used)
    return rng.sample([word for word in words if word not in taken], count)


def copy(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The twin is the prompt."""
    return values
