"""Prompts with right and wrong next words, and what a model answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count, check_right_padding, real, token_ids
from helpers.model import Model
from helpers.texts.vocabulary import PAD, Vocabulary


@dataclass(frozen=True)
class Prompt:
    """A text to continue, its right next words and its wrong ones."""

    text: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Prompts:
    """Prompts of one skill as tokens, padded on the right.

    Attributes:
        last: Position of each prompt's last token, where the answer is predicted.
        good, bad: Which words of the vocabulary count as right and as wrong, one row per prompt.

    Raises:
        LabError: parts that do not fit together, a prompt without a right or without a wrong word,
            or with a word that is both: no metric says anything of it.
    """

    name: str
    texts: tuple[str, ...]
    tokens: Int[Tensor, "prompt pos"]
    last: Int[Tensor, " prompt"]
    good: Bool[Tensor, "prompt word"]
    bad: Bool[Tensor, "prompt word"]

    @classmethod
    def of(cls, name: str, prompts: Sequence[Prompt], words: Vocabulary) -> "Prompts":
        """Tokens and answers of some prompts.

        Raises:
            LabError: No prompts, a word that the vocabulary does not have, or what the class
                refuses.

        >>> words = Vocabulary(("<pad>", "<begin>", "<unknown>", "an", "owl", "is", "kind", "rude"))
        >>> Prompts.of("tone", [Prompt("an owl is", ("kind",), ("rude",))], words).tokens.tolist()
        [[1, 3, 4, 5]]
        """
        if not prompts:
            raise LabError(f"expected prompts with right and wrong answers for {name}", "got none")
        encoded = [words.encode(prompt.text) for prompt in prompts]
        tokens = torch.full((len(encoded), max(map(len, encoded))), PAD)
        good, bad = torch.zeros(2, len(encoded), len(words), dtype=torch.bool)
        for row, (ids, prompt) in enumerate(zip(encoded, prompts, strict=True)):
            tokens[row, : len(ids)] = torch.tensor(ids)
            good[row, [words.token(word) for word in prompt.good]] = True
            bad[row, [words.token(word) for word in prompt.bad]] = True
        last = torch.tensor([len(ids) - 1 for ids in encoded])
        return cls(name, tuple(prompt.text for prompt in prompts), tokens, last, good, bad)

    def __post_init__(self) -> None:
        for field in ("tokens", "last"):
            part = getattr(self, field)
            if part.dtype in (torch.int32, torch.int16, torch.int8, torch.uint8):
                object.__setattr__(self, field, part.long())
        self._check_parts()
        for which, mask in (("right", self.good), ("wrong", self.bad)):
            if lacking := (~mask.any(1)).nonzero()[:, 0].tolist():
                raise LabError(
                    f"expected prompts with right and wrong words for {self.name}",
                    f"prompt {lacking[0]} has no {which} one: {self.texts[lacking[0]]!r}",
                )
        if both := (self.good & self.bad).any(1).nonzero()[:, 0].tolist():
            raise LabError(
                "expected no answer to be right and wrong",
                f"prompt {both[0]} has one: {self.texts[both[0]]!r}",
            )

    def _check_parts(self) -> None:
        count, parts = len(self.texts), (self.tokens, self.last, self.good, self.bad)
        whole = all(part.dtype == torch.long for part in parts[:2])
        yes_or_no = all(part.dtype == torch.bool for part in parts[2:])
        dimensions = [part.ndim for part in parts] == [2, 1, 2, 2]
        fit = whole and yes_or_no and dimensions and {len(part) for part in parts} == {count}
        if not fit or self.good.shape != self.bad.shape:
            kinds = [f"{str(part.dtype)[6:]} {list(part.shape)}" for part in parts]
            raise LabError(
                f"expected tokens and last positions of {count} prompts in int64, and one row of "
                "right and one of wrong words each in bool",
                f"got {', '.join(kinds)}",
            )
        if count and not 0 <= int(self.last.min()) <= int(self.last.max()) < self.tokens.shape[1]:
            raise LabError(
                f"expected last positions from 0 to {self.tokens.shape[1] - 1}",
                f"got {int(self.last.min())} to {int(self.last.max())}",
            )

    def __len__(self) -> int:
        return len(self.texts)


def final_logits(
    model: Model, prompts: Prompts, batch_size: int = 256
) -> Float[Tensor, "prompt word"]:
    """Logits of the word after each prompt.

    Raises:
        LabError: Tokens that the model does not have, padding on the left, or a batch size below 1.
    """
    token_ids(prompts.tokens, model)
    check_right_padding(prompts.tokens, prompts.last + 1, prompts.name, model)
    check_count("batch size", batch_size, least=1)
    parts = []
    with torch.no_grad():
        for tokens, last in zip(
            prompts.tokens.split(batch_size), prompts.last.split(batch_size), strict=True
        ):
            parts.append(model(tokens)[torch.arange(len(tokens)), last])
    return torch.cat(parts)


@dataclass(frozen=True)
class Answers:
    """What a model says to some prompts.

    Attributes:
        right: Whether the likeliest of the good and bad words is a good one.
        difference: Probability of the good words less that of the bad ones.
        log_ratio: Log of the good words' probability over the bad ones', in nats; for one word
            each, the logit difference.
    """

    right: Bool[Tensor, " prompt"]
    difference: Float[Tensor, " prompt"]
    log_ratio: Float[Tensor, " prompt"]


def answers(logits: Float[Tensor, "prompt word"], prompts: Prompts) -> Answers:
    """Compare the good and the bad words of each prompt.

    Raises:
        LabError: Logits of other prompts or words, or with NaN or infinity in them. (Minus infinity
            is the logit of a word that cannot come.)
    """
    real(logits, "logits", "prompt word")  # looked at alone: gradients go through the logits
    # one prompt may stand for many rows: the states of the exact oracle
    if logits.shape[1] != prompts.good.shape[1] or len(prompts) not in (1, len(logits)):
        raise LabError(
            f"expected logits of shape {list(prompts.good.shape)}", f"got {list(logits.shape)}"
        )
    log_p = (logits if logits.is_floating_point() else logits.double()).log_softmax(-1)
    if log_p.isnan().any():
        raise LabError(
            "expected finite logits of the model",
            f"got NaN or infinity for {int(log_p.isnan().any(1).sum())} of {len(logits)} prompts",
        )
    parts = [log_p.masked_fill(~mask, -torch.inf) for mask in (prompts.good, prompts.bad)]
    good, bad = (part.logsumexp(-1) for part in parts)
    best = [part.max(-1).values for part in parts]
    return Answers(best[0] > best[1], good.exp() - bad.exp(), good - bad)
