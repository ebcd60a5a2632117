"""What the addition explorer shows: the model on a few questions, with every node replaced in turn.

Interventions, one node at a time (see `helpers.interventions`): the node's output is replaced by
its mean over a reference sample, by zero, by its output on a minimal pair (one digit changed, so
that as many carries as possible flip) and by its output on an unrelated listed question. Every
answer token is predicted after the true ones before it (teacher forcing), so what is read off under
an intervention is each token's own reaction, not a rewritten answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.questions import (
    Format,
    Questions,
    algorithm,
    cascades,
    join,
    of_class,
    parse,
    reading,
    uniform,
)
from helpers.arithmetic.verification import check_model
from helpers.errors import LabError
from helpers.interventions import (
    Activations,
    Node,
    all_nodes,
    check_nodes,
    collect,
    device_of,
    has_mlps,
    run_with_replaced,
)
from helpers.model import Model

LEVELS = 99
"""Probabilities are stored as two decimal digits, 00 … 99 for 0 … 1.

The error is at most half a percentage point.
"""

REFERENCE = 2000
"""Number of uniform questions over which the mean of mean ablation is taken."""

SUBTASKS = {
    "SA": "sum of the column without any carry, modulo 10",
    "SC": "1 where the column alone makes a carry",
    "SS": "1 where the column sums to nine, so that a carry would pass through",
    "ST": "tri-case: 1 carry, 0 none, U undecided because the column sums to nine",
    "SV": "the carry that really leaves the column, once everything below it is decided",
}


def showcase(n_digits: int, seed: int = 0) -> Questions:
    """Two additions of every cascade class S0 … Sn, the extremes among them.

    >>> from collections import Counter
    >>> sorted(Counter(showcase(3).classes()).items())
    [('S0', 2), ('S1', 2), ('S2', 2), ('S3', 2)]
    """
    rng = np.random.default_rng(seed)
    longest = f"{'4' * (n_digits - 1)}5+{'5' * n_digits}"
    chosen = [f"{'4' * n_digits}+{'5' * n_digits}", longest, f"{'9' * n_digits}+1"]
    chosen += ["133357+182243"] if n_digits == 6 else []  # the paper's example
    first = [parse(text, n_digits) for text in chosen]
    drawn = [
        of_class(name, n_digits, 2, rng)[i]
        for name in cascades.addition(n_digits).classes
        for i in range(2)
    ]
    return _two_of_each([*first, *drawn], cascades.addition(n_digits).classes)


def _two_of_each(candidates: list[Questions], classes: Sequence[str]) -> Questions:
    kept: list[Questions] = []
    for name in classes:
        kept += [c for c in candidates if c.classes() == [name]][:2]
    return join(kept)


def minimal_pair(questions: Questions) -> Questions:
    """Each addition with the smallest change of one digit that flips as many carries as possible.

    >>> minimal_pair(parse("999999+000001")).text()
    '999999+000000=+0999999'
    """
    return join([_closest_flip(questions[i]) for i in range(len(questions))])


def _closest_flip(question: Questions) -> Questions:
    sizes, variants = [], []
    for operand, k, digit in product(("second", "first"), range(question.n_digits), range(10)):
        digits = getattr(question, operand).clone()
        sizes.append(abs(int(digits[0, k]) - digit))
        digits[0, k] = digit
        variants.append(replace(question, **{operand: digits}))
    changed = join(variants)
    carries = algorithm.sv(changed.first, changed.second)
    flips = (carries != algorithm.sv(question.first, question.second)).sum(1).tolist()
    return variants[max(range(len(variants)), key=lambda i: (flips[i], -sizes[i]))]


@dataclass(frozen=True)
class Reader:
    """What goes into a model and what is read off it, in one format."""

    fmt: Format

    def tokens(self, model: Model, questions: Questions) -> Int[Tensor, "question pos"]:
        """The questions where the model is, without their last token, which predicts nothing."""
        return questions.tokens(self.fmt)[:, :-1].to(device_of(model))

    def answer(self, question: Questions) -> str:
        """The true answer of one question."""
        return self.text(question.tokens(self.fmt)[0, self.fmt.equals_position + 1 :])

    def probabilities(
        self, logits: Float[Tensor, "question pos vocab"]
    ) -> Float[Tensor, "question answer vocab"]:
        """The probabilities of every answer token, from the logits at the position before it.

        Raises:
            LabError: NaN or infinity in a logit that decides.
        """
        answer = logits[:, self.fmt.equals_position :]
        reading.check_decisive(answer)
        return answer.float().softmax(-1).cpu()

    def text(self, ids: Int[Tensor, " token"]) -> str:
        """Token ids as characters; ``?`` for a token outside the format."""
        fmt = self.fmt
        symbols = {token: str(digit) for digit, token in enumerate(fmt.digit_ids)}
        symbols |= {fmt.minus_or_plus: "-", fmt.plus: "+", fmt.equals: "="}
        symbols |= dict.fromkeys(fmt.prefix, "^")
        return "".join(symbols.get(token, "?") for token in ids.tolist())


def node_positions(fmt: Format) -> range:
    """Positions from the operator to A_1.

    No earlier one can know the digits of both operands, and A_0 predicts nothing.
    """
    return range(fmt.operator_position, fmt.n_ctx - 1)


def reference_sample(
    model: Model, fmt: Format, count: int = REFERENCE, seed: int = 0
) -> Activations:
    """Activations on uniform additions; their mean is what mean ablation writes."""
    questions = uniform(fmt.n_digits, count, np.random.default_rng(seed))
    return collect(model, Reader(fmt).tokens(model, questions))[0]


@torch.no_grad()
def patterns(
    model: Model, tokens: Int[Tensor, "question pos"]
) -> Float[Tensor, "question layer head query key"]:
    """Attention patterns of every head."""
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names)
    return torch.stack([cache[name].detach().float().cpu() for name in names], dim=1)


def precompute(
    model: Model,
    fmt: Format,
    questions: Questions | None = None,
    nodes: Sequence[Node] | None = None,
    seed: int = 0,
) -> dict:
    """Everything that the page shows about the model, as compact JSON-serialisable data.

    Args:
        questions: Additions; by default those of `showcase`.
        nodes: By default every head and MLP at `node_positions`.
        seed: Seed of the reference sample and of the default questions.

    Returns:
        ``"questions"`` holds for each question its predicted answer, the probability of each
        predicted token, the rows ``"rows"`` of every head's attention pattern (two digits per cell,
        causal part only; see `LEVELS`), and for each intervention in ``"modes"`` the predictions
        that a node's replacement ``"changed"`` and, for every node, the largest ``"drop"`` in
        probability of an intact prediction with the index of its answer token.

    Raises:
        LabError: Questions that are not additions, no questions, a node that the model does not
            have, or another vocabulary.
    """
    questions = showcase(fmt.n_digits, seed) if questions is None else questions
    if not len(questions) or questions.subtract.any():
        raise LabError(
            "expected additions",
            f"got {int(questions.subtract.sum())} subtractions among {len(questions)} questions",
        )
    check_model(model, fmt)
    nodes = all_nodes(model, node_positions(fmt)) if nodes is None else list(nodes)
    check_nodes(model, nodes, fmt.n_ctx - 1)
    reader = Reader(fmt)
    tokens = reader.tokens(model, questions)
    intact = reader.probabilities(model(tokens).detach())
    unrelated = questions[torch.arange(len(questions)).roll(-(len(questions) // 2))]
    partners = [minimal_pair(questions), unrelated]
    effects = {
        name: _effects(model, reader, tokens, intact, nodes, source)
        for name, source in _sources(model, reader, partners, seed).items()
    }
    attention = patterns(model, tokens).flatten(1, 2)
    rows = list(node_positions(fmt))
    return _shape(model, fmt) | {
        "nodes": [[node.position, node.layer, node.head] for node in nodes],
        "modes": list(effects),
        "reference": REFERENCE,
        "questions": [
            {
                **_describe(questions[i], reader, intact[i]),
                "tokens": reader.text(tokens[i]),
                "partners": [
                    [*operands(partner[i]), reader.answer(partner[i])] for partner in partners
                ],
                "attention": [_levels(pattern, rows) for pattern in attention[i]],
                "effects": {name: by_question[i] for name, by_question in effects.items()},
            }
            for i in range(len(questions))
        ],
    }


def _shape(model: Model, fmt: Format) -> dict:
    """The sizes of the model and the names of the positions."""
    return {
        "digits": fmt.n_digits,
        "sign": fmt.has_sign,
        "layers": model.cfg.n_layers,
        "heads": model.cfg.n_heads,
        "mlps": has_mlps(model),
        "labels": [label.replace("'", "′") for label in fmt.position_labels],
        "rows": list(node_positions(fmt)),
    }


def operands(question: Questions) -> list[str]:
    """The two numbers of one question, zero-padded."""
    return [
        "".join(map(str, reversed(digits[0].tolist())))
        for digits in (question.first, question.second)
    ]


def _describe(question: Questions, reader: Reader, intact: Float[Tensor, "answer vocab"]) -> dict:
    """One question, its true answer and the model's."""
    best, ids = intact.max(-1)
    first, second = operands(question)
    return {
        "first": first,
        "second": second,
        "class": question.classes()[0],
        "answer": reader.answer(question),
        "predicted": reader.text(ids),
        "p": [round(p, 4) for p in best.tolist()],
    }


def _levels(values: Float[Tensor, "query key"], rows: Sequence[int]) -> str:
    """The causal part of the given rows, two digits a cell."""
    cells = torch.cat([values[row, : row + 1] for row in rows])
    return "".join(f"{round(value * LEVELS):02d}" for value in cells.tolist())


def _sources(
    model: Model, reader: Reader, partners: Sequence[Questions], seed: int
) -> dict[str, Activations]:
    """What replaces a node's output, for every intervention."""
    reference = reference_sample(model, reader.fmt, seed=seed)
    pair, other = (collect(model, reader.tokens(model, partner))[0] for partner in partners)
    return {"mean": reference.mean(), "zero": reference.zeros(), "pair": pair, "other": other}


def _effects(
    model: Model,
    reader: Reader,
    tokens: Int[Tensor, "question pos"],
    intact: Float[Tensor, "question answer vocab"],
    nodes: Sequence[Node],
    source: Activations,
) -> list[dict]:
    """For each question: what replacing each node alone does to the predicted answer tokens."""
    effects: list[dict] = [{"changed": {}, "drop": ""} for _ in range(len(tokens))]
    best, ids = intact.max(-1)
    for index, node in enumerate(nodes):
        after = reader.probabilities(run_with_replaced(model, tokens, [node], source))
        drop, where = (best - after.gather(-1, ids[..., None])[..., 0]).clamp(0).max(-1)
        predicted = after.argmax(-1)
        for i, effect in enumerate(effects):
            effect["drop"] += f"{round(drop[i].item() * LEVELS):02d}{int(where[i]):02d}"
            if not predicted[i].equal(ids[i]):
                effect["changed"][str(index)] = reader.text(predicted[i])
    return effects


def columns(question: Questions) -> dict[str, list[str]]:
    """Sub-task values of one addition, units first; ``U`` is the undecided ST.

    >>> columns(parse("95+05"))["ST"], columns(parse("95+05"))["SV"]
    (['1', 'U'], ['1', '1'])
    """
    values = {
        name: getattr(algorithm, name.lower())(question.first, question.second)[0].tolist()
        for name in SUBTASKS
    }
    return {
        name: ["U" if name == "ST" and value == algorithm.U else str(value) for value in row]
        for name, row in values.items()
    }
