"""What the circuit explorer shows of one task, checked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from helpers.circuits.judging.metrics import checked
from helpers.errors import LabError
from helpers.interventions import Head

MOST_HEADS = 16
STEP = 0.01
"""To this step the page knows the faithfulness."""


class Code(NamedTuple):
    """One code of a head.

    Attributes:
        code: The code's number; -1 where no latent is active.
        clean: Number of clean prompts on which the head shows it.
        twins: Number of twins on which the head shows it.
        texts: Which of the page's texts are among them: 0 to P - 1 for the P prompts, P to 2P - 1
            for their twins.
    """

    code: int
    clean: int
    twins: int
    texts: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskPage:
    """One task of the explorer.

    Attributes:
        task: Name of the task.
        metric: Name of what faithfulness is measured by.
        heads: The heads as (layer, head), layer by layer, at most 16.
        n_layers: Number of layers of the model.
        n_heads: Number of heads per layer; those that are not among `heads` stay empty in the grid.
        true: Which heads count as the true circuit.
        truth: One line that says when a head counts as true.
        shapley: Value of each head in the game of faithfulness; the values add up to 1.
        faithfulness: Faithfulness of every subset of heads: bit i of the index says that head i is
            kept.
        scores: Scores of the heads by name of the method; larger means rather in the circuit.
        codes: For each head the codes that it shows.
        prompts: Tokens of some clean prompts.
        twins: Tokens of their twins, each as long as its prompt.
        attention: Attention from the last token of each prompt and then of each twin; what lies
            beyond a text's end is not read.

    Raises:
        LabError: Parts that do not fit, NaN, or faithfulness that is not 0 without heads and 1 with
            all.
    """

    task: str
    metric: str
    heads: Sequence[Head]
    n_layers: int
    n_heads: int
    true: Bool[ndarray, " head"]
    truth: str
    shapley: Float[ndarray, " head"]
    faithfulness: Float[ndarray, " subset"]
    scores: Mapping[str, Float[ndarray, " head"]]
    codes: Sequence[Sequence[Code]]
    prompts: Sequence[Sequence[str]]
    twins: Sequence[Sequence[str]]
    attention: Float[ndarray, "head text key"]

    def __post_init__(self) -> None:
        _check_heads(self)
        for values in (self.shapley, *self.scores.values()):
            checked(values, self.true)
        if not self.scores:
            raise LabError("expected scores of at least one method", "got none")
        if len(self.true) != len(self.heads):
            raise LabError(
                "expected true or false for every head",
                f"got {len(self.true)} for {len(self.heads)} heads",
            )
        _check_faithfulness(np.asarray(self.faithfulness, dtype=float), len(self.heads))
        _check_texts(self)

    @property
    def texts(self) -> list[list[str]]:
        """Words of the prompts, then of the twins."""
        return [[str(word) for word in text] for text in (*self.prompts, *self.twins)]


def _check_heads(page: TaskPage) -> None:
    heads = [(int(layer), int(head)) for layer, head in page.heads]
    inside = all(0 <= layer < page.n_layers and 0 <= head < page.n_heads for layer, head in heads)
    if not 1 <= len(heads) <= MOST_HEADS or not inside or heads != sorted(set(heads)):
        too_large = "with more heads the faithfulness of all subsets does not fit on a page"
        raise LabError(
            f"expected 1 to {MOST_HEADS} different heads, layer by layer, of {page.n_layers} "
            f"layers of {page.n_heads}",
            f"got {len(heads)}: {heads[:20]}",
            hint=too_large if len(heads) > MOST_HEADS else "",
        )


def _check_faithfulness(values: Float[ndarray, " subset"], n: int) -> None:
    if values.shape != (1 << n,):
        raise LabError(
            f"expected the faithfulness of all {1 << n} subsets", f"got shape {values.shape}"
        )
    ends = abs(values[0]) < STEP / 2 and abs(values[-1] - 1) < STEP / 2
    if not np.isfinite(values).all() or not ends:
        raise LabError(
            "expected finite faithfulness, 0 without heads and 1 with all",
            f"got {values[0]:.3g} and {values[-1]:.3g}, "
            f"{int((~np.isfinite(values)).sum())} values not finite",
            hint="bit i of a subset's number says that head i is kept; curves.normalised makes "
            "faithfulness of a metric",
        )


def _check_texts(page: TaskPage) -> None:
    lengths = [len(text) for text in page.texts]
    count = len(page.prompts)
    if not count or min(lengths) == 0 or lengths[:count] != lengths[count:]:
        raise LabError(
            "expected some prompts, and for each a twin of as many words",
            f"got texts of {lengths} words",
        )
    shape = (len(page.heads), len(lengths), max(lengths))
    attention = np.asarray(page.attention, dtype=float)
    if attention.shape != shape:
        raise LabError(
            f"expected attention from the last token of shape {shape} [head, text, key]",
            f"got {attention.shape}",
        )
    sums = np.array([attention[:, text, :length].sum(-1) for text, length in enumerate(lengths)])
    if not ((np.abs(sums - 1) < 0.01).all() and (attention >= 0).all()):
        raise LabError(
            "expected attention that sums to 1 over a text's words",
            f"got sums from {sums.min():.3g} to {sums.max():.3g}",
            hint="take the row of the last real token, not of the padding",
        )
    if len(page.codes) != shape[0] or any(
        not 0 <= t < shape[1] for codes in page.codes for code in codes for t in code.texts
    ):
        raise LabError(
            f"expected a list of codes for each of {shape[0]} heads, whose texts are among "
            f"{shape[1]}",
            f"got {len(page.codes)} lists, or a text that is not shown",
        )


def count_codes(
    clean: Int[ndarray, "prompt head"],
    twins: Int[ndarray, "prompt head"],
    shown: Sequence[int] = range(8),
) -> list[list[Code]]:
    """The codes of every head with their counts, from the codes on all prompts and on all twins.

    Args:
        clean: Code of each head on each clean prompt.
        twins: Code of each head on each twin.
        shown: Which of the prompts, and which twins, the page shows.

    Raises:
        LabError: Codes of different heads, or a prompt to show that is not there.

    >>> count_codes([[4], [4], [7]], [[4], [5], [5]], shown=[0, 2])[0][:2]
    [Code(code=4, clean=2, twins=1, texts=(0, 2)), Code(code=5, clean=0, twins=2, texts=(3,))]
    """
    clean, twins, shown = np.asarray(clean), np.asarray(twins), list(shown)
    if (
        clean.ndim != 2
        or clean.shape[1:] != twins.shape[1:]
        or max(shown, default=0) >= min(len(clean), len(twins))
    ):
        raise LabError(
            "expected codes [prompt, head] of the same heads, with all prompts that are shown",
            f"got shapes {clean.shape} and {twins.shape}, shown {shown}",
        )
    per_head = []
    for head in range(clean.shape[1]):
        on_clean, on_twins = (Counter(codes[:, head].tolist()) for codes in (clean, twins))
        texts = [*clean[shown, head].tolist(), *twins[shown, head].tolist()]
        per_head.append(
            [
                Code(
                    code,
                    on_clean[code],
                    on_twins[code],
                    tuple(text for text, other in enumerate(texts) if other == code),
                )
                for code in sorted(on_clean | on_twins)
            ]
        )
    return per_head
