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
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.texts import Prompts

if TYPE_CHECKING:
    from typing import Protocol

    class Tokenizer(Protocol):
        """What is needed of a tokenizer of the transformers library."""

        bos_token_id: int | None
        eos_token_id: int | None
        pad_token_id: int | None

        def __len__(self) -> int: ...
        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
        def decode(self, token_ids: list[int]) -> str: ...

else:
    Tokenizer = Any

_SLOT = re.compile(r"( ?\{\w+\})")
Values = Mapping[str, str]
"""Slot: the word in it."""
Pools = Mapping[str, Sequence[str]]
"""Words to draw from, by kind."""
Change = Callable[[Values, Pools, random.Random], Values]
"""A corruption: from a prompt's words and the words to choose others from, those of its twin."""


def words(name: str) -> tuple[str, ...]:
    """A list of gpt2_words.toml."""
    text = (files("helpers.circuits.tasks") / "gpt2_words.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)[name].split())


@dataclass(frozen=True)
class Draft:
    """A prompt before it is encoded.

    Attributes:
        template: Text with slots, such as ``Then {S} left``. The space before a slot goes with it.
        values: The word in each slot.
        good, bad: Right and wrong next tokens, with the space before them where they have one.
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
        """The template with other words."""
        return self.template.format(**values)


@dataclass(frozen=True)
class TemplateTask:
    """A task for GPT-2 and its like: how prompts are drawn, and how their twins are made.

    Attributes:
        name: Name of the task.
        metric: What it is measured by, a name of `twins.METRICS`.
        corruptions: What makes a twin of a prompt, by name; the first is the default.
        pools: The words to draw from: those that are one token of a tokenizer.
        draft: One prompt, drawn from the pools.
    """

    name: str
    metric: str
    corruptions: Mapping[str, Change]
    pools: Callable[[Tokenizer], Pools]
    draft: Callable[[Pools, random.Random], Draft]

    def twins(
        self,
        tokenizer: Tokenizer,
        count: int = 64,
        seed: int = 0,
        corruption: str | None = None,
        *,
        prepend_bos: bool = True,
        d_vocab: int | None = None,
    ) -> Twins:
        """Prompts of the task, and their twins.

        Args:
            tokenizer: A tokenizer of the transformers library.
            count: Number of pairs.
            seed: Seed of the prompts, and of what they are corrupted with.
            corruption: A key of `corruptions`; by default the first.
            prepend_bos: Whether every prompt gets the token that begins a text, as the published
                circuits of GPT-2 had it.
            d_vocab: Size of the model's vocabulary, if it is larger than the tokenizer's.

        Raises:
            LabError: no such corruption, too few words that are one token, or as `pairs`.
        """
        pools, rng = self.pools(tokenizer), random.Random(f"{seed} {self.name}")
        drafts = [self.draft(pools, rng) for _ in range(count)]
        changed = self.changed(drafts, corruption, pools, seed)
        return pairs(tokenizer, self.name, self.metric, drafts, changed, prepend_bos, d_vocab)

    def changed(
        self, drafts: Sequence[Draft], corruption: str | None, pools: Pools, seed: int
    ) -> list[Values]:
        """The words of each draft's twin.

        Raises:
            LabError: no such corruption.
        """
        chosen = corruption or next(iter(self.corruptions))
        if chosen not in self.corruptions:
            names = ", ".join(self.corruptions)
            raise LabError(f"expected a corruption of {self.name}: {names}", f"got {chosen!r}")
        rng = random.Random(f"{seed} {self.name} {chosen}")
        return [self.corruptions[chosen](draft.values, pools, rng) for draft in drafts]


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokens of a text, and nothing added to them."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def single(
    tokenizer: Tokenizer, candidates: Iterable[str], before: str = " ", least: int = 1
) -> list[str]:
    """Those words that are one token each.

    Args:
        before: What stands before the word.
        least: How many are needed.

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


def token(tokenizer: Tokenizer, word: str) -> int:
    """The token of a word.

    Raises:
        LabError: the tokenizer splits it.
    """
    parts = ids(tokenizer, word)
    if len(parts) != 1:
        raise LabError(
            f"expected {word!r} to be one token of the tokenizer",
            f"it is {len(parts)}: {[tokenizer.decode([part]) for part in parts]}",
            hint="prompts and twins are compared token by token; "
            "choose words with `gpt2_prompts.single`",
        )
    return parts[0]


def _encode(tokenizer: Tokenizer, draft: Draft, values: Values) -> list[int]:
    tokens: list[int] = []
    for part, slot in draft.pieces(values):
        tokens += [token(tokenizer, part)] if slot else ids(tokenizer, part)
    return tokens


def _clean(tokenizer: Tokenizer, draft: Draft) -> list[int]:
    text = draft.text(draft.values)
    tokens = _encode(tokenizer, draft, draft.values)
    if tokens != ids(tokenizer, text):
        raise LabError(
            "expected the words of a prompt to be tokens in the whole text as well",
            f"the tokenizer joins some of {text!r} with what is beside them",
            hint="write the space before a slot inside it, and let no slot touch a letter",
        )
    return tokens


def _mask(
    tokenizer: Tokenizer, answers: Sequence[tuple[str, ...]], d_vocab: int
) -> Bool[Tensor, "prompt word"]:
    mask = torch.zeros(len(answers), d_vocab, dtype=torch.bool)
    for row, said in enumerate(answers):
        mask[row, [token(tokenizer, word) for word in said]] = True
    return mask


def start(tokenizer: Tokenizer, prepend_bos: bool) -> list[int]:
    """The token before a prompt, if one is asked for.

    Raises:
        LabError: the tokenizer has none.
    """
    if not prepend_bos:
        return []
    first = getattr(tokenizer, "bos_token_id", None)
    if first is None:
        raise LabError(
            "expected a tokenizer with a token that begins a text",
            "got one without",
            hint="pass prepend_bos=False",
        )
    return [first]


def pairs(
    tokenizer: Tokenizer,
    name: str,
    metric: str,
    drafts: Sequence[Draft],
    changed: Sequence[Values],
    prepend_bos: bool = True,
    d_vocab: int | None = None,
) -> Twins:
    """Encode drafts and their twins, padded on the right.

    Args:
        name, metric: Name of the task, and what it is measured by.
        changed: The words of each twin.
        prepend_bos, d_vocab: See `TemplateTask.twins`.

    Raises:
        LabError: no drafts, no right or no wrong answer, a word that is not one token, an answer
            that is both.
    """
    if not drafts or not all(draft.good and draft.bad for draft in drafts):
        raise LabError(
            f"expected prompts with right and wrong answers for {name}",
            f"got {len(drafts)} prompts",
        )
    size = d_vocab or len(tokenizer)
    good = _mask(tokenizer, [draft.good for draft in drafts], size)
    bad = _mask(tokenizer, [draft.bad for draft in drafts], size)
    if (good & bad).any():
        row = int((good & bad).any(1).nonzero()[0])
        raise LabError(
            "expected no answer to be right and wrong",
            f"prompt {row} has one: {drafts[row].text(drafts[row].values)!r}",
        )
    begin, filled = start(tokenizer, prepend_bos), list(zip(drafts, changed, strict=True))
    clean = [begin + _clean(tokenizer, draft) for draft in drafts]
    twin = [begin + _encode(tokenizer, draft, values) for draft, values in filled]
    texts = [draft.text(draft.values) for draft in drafts]
    twin_texts = [draft.text(values) for draft, values in filled]
    return Twins(
        _prompts(tokenizer, name, texts, clean, good, bad),
        _prompts(tokenizer, name, twin_texts, twin, good, bad),
        metric,
    )


def _prompts(
    tokenizer: Tokenizer,
    name: str,
    texts: list[str],
    encoded: list[list[int]],
    good: Bool[Tensor, "prompt word"],
    bad: Bool[Tensor, "prompt word"],
) -> Prompts:
    padding = (
        *(getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id")),
        0,
    )
    pad = next(number for number in padding if number is not None)
    tokens = torch.full((len(encoded), max(map(len, encoded))), pad)
    for row, prompt in enumerate(encoded):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    last = torch.tensor([len(prompt) - 1 for prompt in encoded])
    return Prompts(name, tuple(texts), tokens, last, good, bad)


def others(words: Sequence[str], used: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """Different words that are not among those used."""
    taken = set(used)
    return rng.sample([word for word in words if word not in taken], count)


def copy(values: Values, pools: Pools, rng: random.Random) -> Values:
    """The twin is the prompt."""
    return values
