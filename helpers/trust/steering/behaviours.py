"""What a model does, in log-probabilities: a behaviour is a set of prompts with good and bad next
tokens.

Nothing is generated and nothing parsed. (The code released with arXiv 2402.19465 looks for the
digits 0 and 1 in two generated tokens, prefers 0 where both occur, and draws an answer at random
where neither does.) General ability is the perplexity on documents, with the steering applied at
every position.

Many pushes are measured in one run: the model computes the blocks up to the steered one once, a
hook there repeats the batch once for each push, and only the rest runs on all of them. For R pushes
after block L of n that costs (L + 1) + R (n − L − 1) block passes instead of R n.
`TransformerBridge` has no ``start_at_layer``; a hook that returns a larger batch does as well,
where mask and positions are handed in once for all rows. Behaviours also drop all positions but the
last real one before the unembedding, so that logits take one row of the vocabulary an item.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import (
    check_lengths,
    check_right_padding,
    check_vocabulary,
    finite,
    token_ids,
)
from helpers.interventions import device_of
from helpers.model import Model
from helpers.trust.series.activations import check_tokens, encode
from helpers.trust.steering.vectors import Positions, check_place, positions_mask

ROWS = 512
"""Most rows (items × pushes) that go through a model at once."""

CELLS = 2**24
"""Most logits (rows × positions × vocabulary) held at once: 64 MiB in single precision."""


@dataclass(frozen=True)
class Documents:
    """Right-padded token ids, on which perplexity is taken.

    Attributes:
        ids, lengths: Right-padded documents and their real lengths.
        name: What the documents are, in words.

    Raises:
        LabError: lengths that do not fit, or no document with a second token to predict.
    """

    ids: Int[Tensor, "item pos"]
    lengths: Int[Tensor, " item"]
    name: str = "documents"

    def __post_init__(self) -> None:
        _settle(self)
        if int(self.lengths.max()) < 2:
            raise LabError(
                "expected a document of at least two tokens",
                "got none: nothing is predicted from anything",
            )

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Behaviour:
    """Prompts, and for each the next tokens that count as good and as bad.

    Attributes:
        name: What is measured, in words.
        ids, lengths: Right-padded prompts and their real lengths.
        good, bad: One set of token ids per prompt; log p(good) sums the probabilities of its set.
        groups: Group of each prompt. Prompts of one group are twins and never count as independent;
            by default equal prompts are twins.

    Raises:
        LabError: no prompts, fields of different lengths, an empty set, a token both good and bad.
    """

    name: str
    ids: Int[Tensor, "item pos"]
    lengths: Int[Tensor, " item"]
    good: tuple[tuple[int, ...], ...]
    bad: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)
        for field in ("good", "bad"):
            object.__setattr__(
                self, field, tuple(tuple(sorted(set(tokens))) for tokens in getattr(self, field))
            )
        alike = [
            " ".join(map(str, row[:length]))
            for row, length in zip(self.ids.tolist(), self.lengths.tolist(), strict=True)
        ]
        object.__setattr__(self, "groups", tuple(self.groups) or tuple(alike))
        counts = {name: len(getattr(self, name)) for name in ("ids", "good", "bad", "groups")}
        if len(set(counts.values())) > 1:
            raise LabError(
                f"expected good and bad tokens and a group for each prompt of {self.name}",
                f"got {counts}",
            )
        for index, (good, bad) in enumerate(zip(self.good, self.bad, strict=True)):
            if not good or not bad or set(good) & set(bad):
                raise LabError(
                    f"expected two disjoint sets of tokens for each prompt of {self.name}",
                    f"got good {list(good)} and bad {list(bad)} for prompt {index}",
                )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Bool[ndarray, " item"] | ndarray) -> "Behaviour":
        """The prompts of a boolean mask or an array of indices."""
        rows = np.arange(len(self))[np.asarray(index)]
        return Behaviour(
            self.name,
            self.ids[rows],
            self.lengths[rows],
            good=tuple(self.good[row] for row in rows),
            bad=tuple(self.bad[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
        )


def _settle(texts: Behaviour | Documents) -> None:
    """Ids and lengths of any whole numbers as int64, checked against each other."""
    object.__setattr__(texts, "ids", token_ids(texts.ids))
    hint, (items, width) = f"give the lengths of {texts.name}", texts.ids.shape
    object.__setattr__(texts, "lengths", check_lengths(texts.lengths, items, width, hint))
    check_right_padding(texts.ids, texts.lengths, texts.name)


def from_text(
    model: Model,
    name: str,
    prompts: Sequence[str],
    good: Sequence[Sequence[str]],
    bad: Sequence[Sequence[str]],
    groups: Sequence[str] = (),
) -> Behaviour:
    """A behaviour from texts, through the model's tokenizer.

    Args:
        good, bad: Words of one token each for each prompt, as they continue it (with a leading
            space, if the tokenizer distinguishes it).
        groups: Group of each prompt (see `Behaviour`).

    Raises:
        LabError: a word that is not one token; as `Behaviour`.
    """
    ids, lengths = encode(model, list(prompts))
    return Behaviour(name, ids, lengths, _tokens(model, good), _tokens(model, bad), tuple(groups))


def _tokens(model: Model, side: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(_token(model, word) for word in words) for words in side)


def _token(model: Model, word: str) -> int:
    tokens = model.tokenizer.encode(word, add_special_tokens=False)
    if len(tokens) != 1 or tokens[0] == model.tokenizer.unk_token_id:
        raise LabError(
            f"expected {word!r} to be one known token",
            f"got {tokens}",
            hint="choose a word of one token",
        )
    return tokens[0]


@torch.no_grad()
def scores(
    model: Model,
    behaviour: Behaviour,
    layer: int,
    pushes: Float[Tensor, "run d"],
    positions: Positions = "all",
) -> Float[ndarray, "run item"]:
    """log p(good) − log p(bad) in nats, for each push that is added to the output of a block.

    Args:
        pushes: What is added, such as ``torch.stack([v.push(alpha) for alpha in ...])``; a row of
            zeros is the model itself.

    Returns:
        One score per push and prompt; NaN for a push that leaves no finite logits.

    Raises:
        LabError: as `vectors.check_place`, and as `activations.check_tokens`, with the behaviour's
            name; pushes of another shape.
    """
    answers = [token for tokens in (*behaviour.good, *behaviour.bad) for token in tokens]
    _check(model, behaviour, layer, pushes, min(answers), max(answers))
    differences = np.full((len(pushes), len(behaviour)), np.nan)
    for runs, items, logits in _runs(model, behaviour, layer, pushes, positions, last_only=True):
        logp = logits[:, :, 0].log_softmax(-1)
        for column, item in enumerate(range(len(behaviour))[items]):
            good, bad = (
                logp[:, column, list(tokens[item])].logsumexp(-1)
                for tokens in (behaviour.good, behaviour.bad)
            )
            differences[runs, item] = (good - bad).numpy()
    return np.where(np.isfinite(differences), differences, np.nan)


@torch.no_grad()
def perplexity(
    model: Model, documents: Documents, layer: int, pushes: Float[Tensor, "run d"]
) -> Float[ndarray, " run"]:
    """Perplexity per token, with each push added at every position of a block's output.

    Returns:
        exp of the mean negative log-likelihood of all real tokens after a document's first;
        infinite where the push leaves no finite logits.

    Raises:
        LabError: as `scores`.
    """
    _check(model, documents, layer, pushes)
    total = np.zeros(len(pushes))
    for runs, items, logits in _runs(model, documents, layer, pushes, "all", last_only=False):
        ids, lengths = documents.ids[items, : logits.shape[2]], documents.lengths[items]
        target, real = ids[:, 1:], torch.arange(1, ids.shape[1]) < lengths[:, None]
        logp = (
            logits[:, :, :-1]
            .log_softmax(-1)
            .gather(-1, target.expand(len(logits), -1, -1)[..., None])[..., 0]
        )
        total[runs] -= torch.where(real, logp, 0.0).double().sum((1, 2)).numpy()
    with np.errstate(over="ignore"):
        return np.nan_to_num(
            np.exp(total / int((documents.lengths - 1).sum())), nan=np.inf, posinf=np.inf
        )


def _check(
    model: Model, texts: Behaviour | Documents, layer: int, pushes: Tensor, *answers: int
) -> None:
    """Refuse pushes and tokens that the model cannot take, naming the texts."""
    if pushes.ndim != 2 or not len(pushes):
        raise LabError(
            "expected pushes [run, d], one at least",
            f"got {tuple(pushes.shape)}",
            hint="a single one is push[None]",
        )
    finite(pushes, "pushes", "run d")
    check_place(model, layer, pushes.shape[1])
    try:
        check_tokens(model, texts.ids, texts.lengths)
        check_vocabulary(model, *(answers or (0, 0)))
    except LabError as fault:
        raise LabError(f"tokens of {texts.name}: {fault}") from None


def _runs(
    model: Model,
    texts: Behaviour | Documents,
    layer: int,
    pushes: Float[Tensor, "run d"],
    positions: Positions,
    last_only: bool,
) -> Iterator[tuple[slice, slice, Float[Tensor, "run item pos vocab"]]]:
    """Logits of all pushes on all texts, a few pushes and items at a time.

    Args:
        last_only: Whether only the last real position of each text is kept.
    """
    # What is wider than the longest text is padding only, and may exceed the context.
    width = int(texts.lengths.max())
    cells = model.cfg.d_vocab * (1 if last_only else width)
    rows = max(1, min(ROWS, CELLS // cells))
    n_runs = min(len(pushes), rows) if _shares_blocks(model) else 1
    n_items = max(1, rows // n_runs)
    for first in range(0, len(pushes), n_runs):
        for start in range(0, len(texts.ids), n_items):
            runs, items = slice(first, first + n_runs), slice(start, start + n_items)
            part = pushes[runs]
            logits = _run(
                model,
                texts.ids[items, :width],
                texts.lengths[items],
                layer,
                part,
                positions,
                last_only,
            )
            yield runs, items, logits.float().cpu().unflatten(0, (len(part), -1))


def _run(
    model: Model,
    ids: Int[Tensor, "item pos"],
    lengths: Int[Tensor, " item"],
    layer: int,
    pushes: Float[Tensor, "run d"],
    positions: Positions,
    last_only: bool,
) -> Float[Tensor, "run_item read vocab"]:
    where, count = device_of(model), len(pushes)
    mask = positions_mask(positions, lengths, (len(ids), ids.shape[1]))[..., None].to(where)

    def repeat(residual: Float[Tensor, "item pos d"], hook) -> Float[Tensor, "run_item pos d"]:
        push = pushes[:, None, None].to(residual)
        return torch.where(mask, residual + push, residual).flatten(0, 1)

    def keep_last(residual: Float[Tensor, "run_item pos d"], hook) -> Float[Tensor, "run_item 1 d"]:
        return residual[torch.arange(len(residual)), (lengths - 1).repeat(count)][:, None]

    hooks = [(f"blocks.{layer}.hook_out", repeat)] + [("unembed.hook_in", keep_last)] * last_only
    shared = _one_mask_for_all_rows(model, ids.shape[1]) if count > 1 else {}
    return model.run_with_hooks(ids.to(where), fwd_hooks=hooks, **shared)


def _shares_blocks(model: Model) -> bool:
    """Whether mask and positions can be handed in, which a batch that grows half-way needs.

    Sliding-window models make two masks from one and are run push by push.
    """
    config = getattr(model.original_model, "config", None)
    accepted = inspect.signature(model.original_model.forward).parameters
    return {"attention_mask", "position_ids"} <= set(accepted) and getattr(
        config, "sliding_window", None
    ) is None


def _one_mask_for_all_rows(model: Model, width: int) -> dict[str, Tensor]:
    """The causal mask and the positions with a batch of one, which fit a batch of any size."""
    where, dtype = device_of(model), next(model.parameters()).dtype
    future = torch.ones(width, width, dtype=torch.bool, device=where).triu(1)
    mask = torch.zeros(1, 1, width, width, dtype=dtype, device=where).masked_fill(
        future, torch.finfo(dtype).min
    )
    return {"attention_mask": mask, "position_ids": torch.arange(width, device=where)[None]}
