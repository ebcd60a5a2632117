"""What a model holds at the end of a text: the residual stream at its last token, at every layer.

The site is that of arXiv 2402.19465 (section 2): the output of every decoder block at the last
token of the raw text, without a chat template. Index 0 adds the embedding, which shows what a probe
reads off the last word alone.

* **Raw weights.** Nothing is folded or centred. Centring the writing weights, a habit of older
  tools, would subtract the residual stream's own mean and move every probe and steering vector.
* **Right padding** only. Attention is causal, so a real token sees nothing to its right and padding
  cannot change it. Left padding would move positions and needs a mask.
* **A beginning-of-text token** is put first exactly where the tokenizer has one of its own (Llama,
  Amber), as such models never saw a text without it. GPT-2, Pythia, OLMo and SmolLM2 have one
  token, ``<|endoftext|>``, for the end of a document and for its beginning, and most of their
  training windows start in the middle of one, so it is left away. `prepend_bos` overrules this.
  (TransformerLens puts one before every text of every model unless told otherwise.) Nothing is put
  after the text: the last token is the text's own.

Memory, in bytes, for `n` texts on a model of `P` parameters, `L` layers, width `d`, `h` heads, in
batches of `b` texts of at most `p` tokens::

    4 P  +  s (L + 1) n d  +  4 b p (16 d + 4 d L + 5 h p)

with s = 4, or 2 with ``dtype=torch.bfloat16``:
the weights, the result, and one batch: some vectors a token, what a Hugging Face model keeps of
every layer (its keys and values among it), and the attention pattern with its copies. The third
term was fitted to measured peaks of GPT-NeoX shapes (2 to 12 layers, 64 to 512 tokens; within 10
%). No logits: the pass ends after the last block, which spares 4 b p times the vocabulary. On
Pythia 70m (P = 70 M, L = 6, d = 512, h = 8), 2 000 texts of at most 64 tokens in batches of 64 take
282 + 29 + 377 MB.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import (
    check_count,
    check_lengths,
    check_right_padding,
    check_vocabulary,
    token_ids,
)
from helpers.interventions import device_of
from helpers.model import Model

DTYPES = (torch.float32, torch.bfloat16)
BATCH_SIZE = 64


class _LastSiteReached(Exception):
    """Raised in the last hook: what follows in the pass, the logits, is not wanted."""


def site_names(n_layers: int) -> list[str]:
    """Hook names in the order of `last_token`'s first axis: the embedding, then all blocks.

    >>> site_names(2)
    ['blocks.0.hook_resid_pre', 'blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']
    """
    return [
        "blocks.0.hook_resid_pre",
        *(f"blocks.{layer}.hook_resid_post" for layer in range(n_layers)),
    ]


def encode(
    model: Model, texts: Sequence[str], prepend_bos: bool | None = None
) -> tuple[Int[Tensor, "item pos"], Int[Tensor, " item"]]:
    """Token ids of texts, padded on the right with 0, and the number of real tokens of each.

    Args:
        model: A `TransformerBridge` with a tokenizer.
        prepend_bos: Whether a beginning-of-text token comes first; None decides as the module
            docstring says.

    Raises:
        LabError: No texts, an empty one, or one longer than the model's context; a model without a
            tokenizer, a word that its tokenizer does not know, or a tokenizer that does not belong
            to the model (ids beyond its vocabulary).
    """
    texts, tokenizer = list(texts), getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise LabError(
            "expected a model with a tokenizer",
            "its tokenizer is missing",
            hint="keep the tokenizer's files in the model's folder, or set model.tokenizer to a "
            "Hugging Face tokenizer",
        )
    if not texts:
        raise LabError("expected at least one text to encode", "got none")
    encoded = tokenizer(texts, add_special_tokens=False)
    rows = encoded["input_ids"]
    _check_known(tokenizer, texts, encoded)
    if prepend_bos is None:
        prepend_bos = (
            tokenizer.bos_token_id is not None and tokenizer.bos_token_id != tokenizer.eos_token_id
        )
    if prepend_bos:
        rows = [[_bos(tokenizer), *row] for row in rows]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = torch.tensor(row, dtype=torch.long)
    return check_tokens(model, ids, lengths)


def _bos(tokenizer) -> int:
    if tokenizer.bos_token_id is None:
        raise LabError(
            "expected a tokenizer with a beginning-of-text token",
            "it has none",
            hint="pass prepend_bos=False",
        )
    return tokenizer.bos_token_id


def _check_known(tokenizer, texts: list[str], encoded) -> None:
    """Refuse texts of which the tokenizer loses a part.

    What the model does not read, no probe can find in it.
    """
    for i, text in enumerate(texts):
        row = encoded["input_ids"][i]
        if tokenizer.is_fast:
            lost = _lost(tokenizer, text, row, encoded.encodings[i].offsets)
        else:
            lost = _unknown(tokenizer, row)
        if lost:
            shown = ", ".join(map(repr, sorted(set(lost))[:5]))
            raise LabError(
                f"expected words that the model's tokenizer knows; text {i} has {shown}",
                f"it reads: {text[:80]!r}",
                hint="this set and this model do not belong together: take a set of the model's "
                "own language, or another model",
            )


def _unknown(tokenizer, row: list[int]) -> list[str]:
    """The unknown-word token where it occurs.

    A tokenizer without offsets cannot say which word it stands for.
    """
    unknown = tokenizer.unk_token_id
    return [tokenizer.unk_token] if unknown is not None and unknown in row else []


def _lost(tokenizer, text: str, row: list[int], offsets: list[tuple[int, int]]) -> list[str]:
    """Words that became the unknown-word token, and visible characters that no token covers."""
    covered, words = bytearray(len(text)), []
    for token, (begin, end) in zip(row, offsets, strict=True):
        covered[begin:end] = bytes([1]) * (end - begin)
        if token == tokenizer.unk_token_id and text[begin:end].strip() != tokenizer.unk_token:
            words.append(text[begin:end])
    bare = [character for read, character in zip(covered, text, strict=True) if not read]
    if all(character.isspace() or not character.isprintable() for character in bare):
        return words
    # offsets behind a lost character are shifted, so ask for each character by itself
    visible = [character for character in set(text) if character.isprintable()]
    return words + [
        character
        for character in visible
        if not tokenizer(character, add_special_tokens=False)["input_ids"]
    ]


def check_tokens(
    model: Model, ids: Int[Tensor, "item pos"], lengths: Int[Tensor, " item"]
) -> tuple[Int[Tensor, "item pos"], Int[Tensor, " item"]]:
    """Ids and lengths as the model takes them; what it cannot read does not reach its embedding.

    Raises:
        LabError: Ids and lengths that do not fit each other or are no whole numbers, ids outside
            the vocabulary, a text beyond the context, padding on the left.
    """
    ids = token_ids(ids)
    lengths = check_lengths(lengths, len(ids), ids.shape[1])
    check_vocabulary(model, int(ids.min()), int(ids.max()))
    if int(lengths.max()) > model.cfg.n_ctx:
        raise LabError(
            f"expected texts of at most {model.cfg.n_ctx} tokens, the model's context",
            f"text {int(lengths.argmax())} has {int(lengths.max())}",
            hint="leave the text out or shorten it; cutting it at the end would move its last "
            "token",
        )
    check_right_padding(ids, lengths, "the texts", model)
    return ids, lengths


@torch.no_grad()
def last_token(
    model: Model,
    ids: Int[Tensor, "item pos"],
    lengths: Int[Tensor, " item"],
    batch_size: int = BATCH_SIZE,
    dtype: torch.dtype = torch.float32,
    called: str = "the model",
) -> Float[Tensor, "layer item d"]:
    """The residual stream at each text's last real token: the embedding, then all blocks' output.

    Batches are made of texts of similar length, so that little is computed on padding; the order of
    the result is that of `ids`. A text gives the same vector in any batch up to rounding (1e-5 of
    its norm in float32).

    Args:
        ids: Token ids, padded on the right; see `encode`.
        lengths: Number of real tokens of each text.
        batch_size: Number of texts in one pass.
        dtype: float32; or bfloat16, which multiplies matrices in bfloat16 (the weights and the
            running sum of the residual stream keep their precision) and returns half the bytes. A
            vector then differs from its float32 self by about 1 % of its norm: on stories260K and
            200 texts the median is 0.2 % at the embedding and 1.1 % after the last block, the worst
            4.1 %.
        called: The model's name in messages, such as ``"pythia-70m at step 512"``.

    Returns:
        On the CPU, of `dtype`, in the residual stream's own units; `layer` has n_layers + 1
        entries.

    Raises:
        LabError: Ids or lengths that do not fit each other or the model, another dtype, or
            activations that are not finite, with the first such layer.
    """
    ids, lengths = check_tokens(model, ids, lengths)
    check_count("batch size", batch_size, least=1)
    if dtype not in DTYPES:
        raise LabError("expected dtype torch.float32 or torch.bfloat16", f"got {dtype}")
    names = site_names(model.cfg.n_layers)
    residuals = torch.empty(len(names), len(ids), model.cfg.d_model, dtype=dtype)
    for rows in torch.argsort(lengths, stable=True).split(batch_size):
        longest = int(lengths[rows].max())
        residuals[:, rows] = _one_batch(model, ids[rows, :longest], lengths[rows] - 1, names, dtype)
    _check_finite(residuals, names, called)
    return residuals


def _one_batch(
    model: Model,
    ids: Int[Tensor, "batch pos"],
    last: Int[Tensor, " batch"],
    names: list[str],
    dtype: torch.dtype,
) -> Float[Tensor, "layer batch d"]:
    where = device_of(model)
    rows, last = torch.arange(len(ids), device=where), last.to(where)
    kept: dict[str, Tensor] = {}

    def keep(residual: Float[Tensor, "batch pos d"], hook, name: str) -> None:
        kept[name] = residual[rows, last].to(dtype)  # only these rows survive the pass
        if name == names[-1]:
            raise _LastSiteReached

    with torch.autocast(where.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        try:
            model.run_with_hooks(
                ids.to(where), fwd_hooks=[(name, partial(keep, name=name)) for name in names]
            )
        except _LastSiteReached:
            return torch.stack([kept[name] for name in names]).cpu()
    raise LabError(f"expected the model to run {names[-1]}", "it never did")


def _check_finite(residuals: Float[Tensor, "layer item d"], names: list[str], called: str) -> None:
    good = torch.stack([torch.isfinite(layer).all(dim=-1) for layer in residuals])  # [layer, item]
    if good.all():
        return
    layer = int((~good).any(dim=1).nonzero()[0, 0])
    raise LabError(
        f"expected finite activations of {called}",
        f"NaN or infinite values from layer index {layer} on ({names[layer]}), in "
        f"{int((~good[layer]).sum())} of {residuals.shape[1]} texts",
        hint="the checkpoint is damaged, or its numbers are too large for half precision: load it "
        "in float32 and look",
    )
