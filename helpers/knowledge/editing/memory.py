"""The output matrix of an MLP as a memory: which matrix, and which key of it stands for a fact.

An MLP writes W k + b, where k are its inner activations. Meng et al. (ROME, arXiv 2202.05262) read
it as a memory in which W maps *keys* to *values*: at one layer and one place in a prompt, k* stands
for the subject, and what the MLP writes there leads to the answer. An edit then has three parts:

1. the key k*: the mean of k over *contexts*, which are the prompt alone, after some ordinary text,
   and in other frames;
2. the value v*: what the MLP would have to write there for the new answer to be said. It is found
   by gradient descent on what is written, with all weights as they are;
3. a change of W that maps k* to v*: see `rank_one` and `null_space`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count, check_lengths, finite, token_ids, within
from helpers.interventions import has_mlps
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.facts.places import Place, TokensOf, positions, tokens_of_name
from helpers.knowledge.facts.tinyworld import Facts
from helpers.knowledge.masks.blocks import Blocks, weights_of
from helpers.texts import BEGIN, PAD

BATCH = 64
"""Rows of ordinary text that are run together."""


@dataclass(frozen=True)
class OutputMatrix:
    """The output matrix of one MLP, inside the vector of a model's weights.

    Attributes:
        weights: All weights, of the blocks or of the whole model.
        layer: Whose MLP.
        where: Its entries in the vector.
        turned: Whether the model keeps it as [d_mlp, d_model], as GPT-2 does.
    """

    weights: Blocks
    layer: int
    where: slice
    shape: tuple[int, int]
    turned: bool

    def of(self, values: Float[Tensor, " weight"]) -> Float[Tensor, "d_model d_mlp"]:
        """The matrix in some weights."""
        matrix = values[self.where].view(self.shape)
        return matrix.T if self.turned else matrix

    def changed(
        self, values: Float[Tensor, " weight"], change: Float[Tensor, "d_model d_mlp"]
    ) -> Float[Tensor, " weight"]:
        """The weights with a change added to the matrix; nothing else differs by a bit."""
        after = values.clone()
        sum_ = self.of(values).double() + change.double()
        after[self.where] = (sum_.T if self.turned else sum_).reshape(-1).to(values)
        return after

    @property
    def mask(self) -> Float[Tensor, " weight"]:
        """1 on the matrix."""
        mask = torch.zeros_like(self.weights.values)
        mask[self.where] = 1
        return mask


@dataclass(frozen=True)
class Contexts:
    """Prompts in which facts are asked for, any number a fact.

    Attributes:
        tokens, last: Padded on the right, and the position of each one's last token.
        at: Position whose MLP is edited.
        fact: Which request each belongs to, 0 and up; each has one at least.
        subjects: What each request is about.
    """

    tokens: Int[Tensor, "row pos"]
    last: Int[Tensor, " row"]
    at: Int[Tensor, " row"]
    fact: Int[Tensor, " row"]
    subjects: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of facts."""
        return len(self.subjects)

    def only(self, number: int) -> "Contexts":
        """The contexts of one fact."""
        mine = self.fact == number
        fact, subject = torch.zeros_like(self.fact[mine]), self.subjects[number]
        return Contexts(self.tokens[mine], self.last[mine], self.at[mine], fact, (subject,))

    def mean(self, values: Float[Tensor, "row *d"]) -> Float[Tensor, "fact *d"]:
        """Means over the contexts of each fact."""
        sums = values.new_zeros(self.count, *values.shape[1:]).index_add(0, self.fact, values)
        each = torch.bincount(self.fact, minlength=self.count).view(-1, *[1] * (values.ndim - 1))
        return sums / each


def output_matrix(weights: Blocks, layer: int) -> OutputMatrix:
    """The output matrix of a layer's MLP.

    Raises:
        LabError: A layer that the model does not have, a model without MLPs, or an MLP that writes
            anything else than W k + b.

    >>> from helpers.knowledge.facts import factnet
    >>> from helpers.knowledge.masks import blocks
    >>> output_matrix(blocks.of(factnet.build().model), 0).shape
    (66, 48)
    """
    _check_layer(weights, layer)
    name = f"blocks.{layer}.mlp.out.weight"
    before = sum(weights.sizes[: weights.names.index(name)])
    rows, columns = weights.shapes[weights.names.index(name)]
    where = slice(before, before + rows * columns)
    probe = torch.ones(1, 2, dtype=torch.long)
    key, written = recorded(weights, weights.values, layer, probe)
    bias = weights.tensors(weights.values).get(f"blocks.{layer}.mlp.out.bias", torch.zeros(()))
    for turned in (False, True):
        found = OutputMatrix(weights, layer, where, (rows, columns), turned)
        matrix = found.of(weights.values)
        if matrix.shape == (written.shape[-1], key.shape[-1]):
            apart = (key @ matrix.T + bias - written).abs()
            if within(apart, 1e-3 * float(written.abs().max())):
                return found
    raise LabError(
        "expected an MLP that writes a matrix times its inner activations",
        f"layer {layer} writes something else",
    )


def _check_layer(weights: Blocks, layer: int) -> None:
    check_count("number of a layer", layer)
    n_layers, name = weights.model.cfg.n_layers, f"blocks.{layer}.mlp.out.weight"
    if layer >= n_layers or not has_mlps(weights.model) or name not in weights.names:
        raise LabError(f"expected a layer with an MLP, 0 to {n_layers - 1}", f"got {layer}")


@torch.no_grad()
def recorded(
    weights: Blocks, values: Float[Tensor, " weight"], layer: int, tokens: Int[Tensor, "row pos"]
) -> tuple[Float[Tensor, "row pos d_mlp"], Float[Tensor, "row pos d_model"]]:
    """The inner activations of a layer's MLP, and what it writes, at every position.

    Raises:
        LabError: A layer without an MLP, no tokens of the model, or weights with which it does not
            compute numbers.
    """
    _check_layer(weights, layer)
    kept: dict[str, Tensor] = {}
    names = (f"blocks.{layer}.mlp.hook_post", f"blocks.{layer}.hook_mlp_out")

    def keep(name: str) -> Any:
        return lambda value, hook: kept.update({name: value.detach()})

    with weights.model.hooks(fwd_hooks=[(name, keep(name)) for name in names]):
        # Blocks.run, whatever the weights' class: hooks are of the model itself
        Blocks.run(weights, weights_of(weights, values), token_ids(tokens, weights.model))
    key, written = (finite(kept[name], "activations of an MLP", "row pos d") for name in names)
    return key, written


def behind(text: Sequence[int], prompt: Sequence[int]) -> list[int]:
    """A prompt behind a text, as one document: with one beginning mark, where the prompt has one.

    Args:
        text: Token ids, with or without a mark of its own.

    Raises:
        LabError: Something that is no token id, or no prompt.

    >>> behind([7, 8], [1, 5]), behind([1, 7, 8], [1, 5]), behind([7, 8], [5])
    ([1, 7, 8, 5], [1, 7, 8, 5], [7, 8, 5])
    """
    text, prompt = list(text), list(prompt)
    for token in (*text, *prompt):
        check_count("token of a text", token)
    check_count("number of tokens of a prompt", len(prompt), least=1)
    marked = prompt[0] == BEGIN
    return [*prompt[:marked], *text[marked and text[:1] == [BEGIN] :], *prompt[marked:]]


def contexts(
    requests: Requests,
    place: Place = "last",
    prefixes: Sequence[Sequence[int]] = (),
    also: Facts | None = None,
    tokens_of: TokensOf = tokens_of_name,
) -> Contexts:
    """The requested prompts, alone and after some texts, and other prompts about the same subjects.

    Args:
        place: Where in each prompt the MLP is edited.
        prefixes: Tokens of texts to stand before the prompts (see `behind`).
        also: Other prompts; those about other subjects are left out.
        tokens_of: The tokens of a name, for models of another vocabulary.

    Raises:
        LabError: As `positions`.
    """
    asked, rows = requests.asked, []
    at = positions(asked, place, tokens_of).tolist()
    for number, (prompt, last) in enumerate(zip(asked.tokens, asked.last.tolist(), strict=True)):
        for prefix in ((), *prefixes):
            ids = behind(prefix, prompt[: last + 1].tolist())
            rows.append((ids, at[number] + len(ids) - (last + 1), number))
    if also is not None:
        at = positions(also, place, tokens_of).tolist()
        for row, subject in enumerate(also.subjects):
            ids = also.tokens[row, : int(also.last[row]) + 1].tolist()
            same = [i for i, name in enumerate(asked.subjects) if name == subject]
            rows += [(ids, at[row], number) for number in same]
    tokens = torch.full((len(rows), max(len(ids) for ids, *_ in rows)), PAD)
    for row, (ids, *_) in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(ids)
    last = torch.tensor([len(ids) - 1 for ids, *_ in rows])
    return Contexts(
        tokens,
        last,
        torch.tensor([r[1] for r in rows]),
        torch.tensor([r[2] for r in rows]),
        asked.subjects,
    )


def check_contexts(requests: Requests, *given: Contexts | None) -> None:
    """Refuse contexts of other facts than those that are to be edited.

    Raises:
        LabError: Other subjects, or the same in another order.
    """
    wanted = requests.asked.subjects
    for part in given:
        if part is not None and part.subjects != wanted:
            pairs = zip(part.subjects, wanted, strict=False)
            other = next((f"{a!r} where {b!r} is edited" for a, b in pairs if a != b), "")
            raise LabError(
                f"expected contexts of each of the {len(wanted)} facts",
                f"got {other or f'them of {part.count}'}",
                hint="make them of these requests, with helpers.knowledge.editing.memory.contexts",
            )


def keys(
    matrix: OutputMatrix, values: Float[Tensor, " weight"], given: Contexts
) -> Float[Tensor, "fact d_mlp"]:
    """k* of each fact, the mean over its contexts.

    Raises:
        LabError: As `recorded`.
    """
    inner, _ = recorded(matrix.weights, values, matrix.layer, given.tokens)
    return given.mean(inner[torch.arange(len(given.at)), given.at])


def second_moment(
    matrix: OutputMatrix,
    rows: Int[Tensor, "row pos"],
    values: Tensor | None = None,
    lengths: Int[Tensor, " row"] | None = None,
) -> Float[Tensor, "d_mlp d_mlp"]:
    """C = E[k kᵀ] over all tokens of ordinary text, in double precision.

    Args:
        rows: Ordinary text, such as `helpers.tinyworld.language.documents.rows` gives.
        values: The weights to compute it with; the model's own without them.
        lengths: Numbers of real tokens of rows that are padded on the right. No token says by
            itself that it is padding: 0, which TinyWorld pads with, is "!" in GPT-2.

    Raises:
        LabError: As `recorded`; lengths that do not fit; or rows that end in 0 without lengths.
    """
    start, rows = weights_of(matrix.weights, values), token_ids(rows, matrix.weights.model)
    if lengths is None and bool((rows[:, -1] == PAD).any()):
        raise LabError(
            "expected lengths of rows of ordinary text that may be padded",
            f"got none, and {int((rows[:, -1] == PAD).sum())} rows that end in {PAD}",
            hint="give lengths; of text without padding, the width of the rows for each",
        )
    n_rows, width = rows.shape
    ends = torch.full((n_rows,), width) if lengths is None else lengths
    ends = check_lengths(ends, n_rows, width)
    total = torch.zeros((), dtype=torch.float64)
    for part, end in zip(rows.split(BATCH), ends.split(BATCH), strict=True):
        inner, _ = recorded(matrix.weights, start, matrix.layer, part)
        real = inner[torch.arange(width) < end[:, None]].double()
        total = total + real.T @ real
    return total / int(ends.sum())
