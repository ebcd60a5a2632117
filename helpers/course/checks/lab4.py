"""Checks of Lab 4, circuits by discrete codes against an exact oracle."""

import numpy as np
import torch

from helpers import zoo
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.judging import metrics
from helpers.circuits.oracle import SubsetTable, stored, truths
from helpers.circuits.study import methods, trials
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.circuits.tasks.twins import Twins
from helpers.course.asking import call
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function, expect_shape, expect_type
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.texts import Prompts, final_logits
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.sets import tasks

NEAR = 0.1
"""How far below the discrete SAE a one-line score may stay and still earn a point."""
BROKEN = 0.75
"""The mean AUROC that useless twins have to stay below; proper twins give about 0.82."""
TRIALS, PROMPTS = 5, 120


@exercise("lab4.1", points=2, title="Find the slip")
def unit_dictionary(answer):
    expect_function(answer)
    decoder = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor(
        [3.0, 0.5, 1.0, 9.0]
    )
    right = decoder / decoder.norm(dim=0, keepdim=True)
    got = call(answer, decoder)
    expect_shape(got, (6, 4), "the decoder", "d_model latents")
    expect_close(
        got,
        right,
        1e-4,
        {
            (
                "each row has length 1, one row a dimension of the output: that is the slip itself"
            ): decoder / decoder.norm(dim=1, keepdim=True),
            "the whole matrix has length 1, not each vector of the dictionary": decoder
            / decoder.norm(),
            (
                "each vector has squared length 1 divided by itself: divide "
                "by the norm, not by its square"
            ): decoder / decoder.square().sum(0, keepdim=True),
            (
                "the largest entry of each vector is 1: its length is the "
                "root of the sum of squares"
            ): decoder / decoder.abs().amax(0, keepdim=True),
            (
                "the signs are lost: a direction and its opposite are two different vectors"
            ): right.abs(),
        },
        "the decoder",
    )


_SEEN = (
    ([4, 4, 7, 9], [7, 1, 1], 2),
    ([-1, -1, 3], [2, 2], 1),
    ([5, 6, 7], [7, 6, 5], 0),
    ([0, 0, 0, 8], [-1, 5], 2),
    ([-1], [-1], 0),
    ([1, 2, 3, 1, 2], [4, 5, 6, 7, 8, 9], 3),
)
"""Codes on clean prompts, on twins, and how many only the clean ones have."""


@exercise("lab4.2", points=2, title="Count them")
def own_codes(answer):
    expect_function(answer)
    for positive, negative, right in _SEEN:
        mistakes = {
            "-1 is counted as a code: it says that there is none": len(
                set(positive) - set(negative)
            ),
            "prompts are counted, not different codes": sum(
                code not in negative and code != -1 for code in positive
            ),
            "codes of the twins are counted: which of the two comes first?": len(
                set(negative) - set(positive) - {-1}
            ),
            "codes that only one of the two classes has are counted, whichever it is": len(
                (set(positive) ^ set(negative)) - {-1}
            ),
            "all codes of the clean prompts are counted: leave out those that the twins have": len(
                set(positive) - {-1}
            ),
        }
        got = call(answer, positive, negative)
        expect_close(
            got,
            right,
            1e-6,
            [(text, value) for text, value in mistakes.items() if value != right],
            "the score",
        )


def _plain(collection: object) -> object:
    """Arrays and tensors of numbers as lists of Python's; all else as it is."""
    if not isinstance(collection, np.ndarray | np.generic | torch.Tensor):
        return collection
    as_array(collection, "an array of heads", truth=True)  # refuses what holds no numbers
    return collection.tolist()


def _number(circuit: object) -> frozenset[int]:
    """A circuit as the student gave it: head numbers."""
    given = _plain(circuit)
    if not isinstance(given, set | frozenset | list | tuple):
        raise Wrong(f"expected each circuit as a set of head numbers; got {type(circuit).__name__}")
    heads: set[int] = set()
    for head in map(_plain, given):
        if not isinstance(head, int) or isinstance(head, bool):
            raise Wrong(f"expected head numbers 0 to 15 in each set, i for bit i; got {head!r}")
        heads.add(head)
    return frozenset(heads)


def _pairs(heads: object) -> set[tuple[int, int]]:
    """Heads (layer, head) as the student gave them."""
    given = _plain(heads)
    if not isinstance(given, set | frozenset | list | tuple):
        raise Wrong(f"expected a set of heads (layer, head) first; got {type(heads).__name__}")
    pairs = set()
    for head in map(_plain, given):
        pair = tuple(map(_plain, head)) if isinstance(head, list | tuple) else ()
        if len(pair) != 2 or any(not isinstance(i, int) or isinstance(i, bool) for i in pair):
            raise Wrong(
                f"expected each head as (layer, head), number i being (i // 4, i % 4); got {head!r}"
            )
        pairs.add(pair)
    return pairs


def _smallest(faithfulness: np.ndarray, enough: float) -> set[frozenset[int]]:
    sets = np.flatnonzero(faithfulness >= enough).tolist()
    least = min(number.bit_count() for number in sets)
    return {
        frozenset(i for i in range(16) if number >> i & 1)
        for number in sets
        if number.bit_count() == least
    }


@exercise("lab4.3", points=3, title="Read off the smallest circuit")
def smallest_circuits(answer):
    expect_function(answer)
    small = np.random.default_rng(3).uniform(0, 1, 32)
    small[[0, -1]] = 0, 1
    bumpy = np.array(
        [0, 0.2, 0.9, 0.3, 0.9, 0.1, 0.2, 1.0]
    )  # two circuits of one head, and less with more
    measured = np.asarray(stored.stored("greater-than", "resample").faithfulness)
    cases = ((bumpy, 0.9), (small, 0.8), (small, 0.5), (measured, 0.8), (measured, 0.95))
    rights = [_smallest(*case) for case in cases]
    for (faithfulness, enough), right in zip(cases, rights, strict=True):
        got = call(answer, faithfulness, enough)
        expect_type(got, list, tuple, set, frozenset, name="the answer")
        circuits = {_number(circuit) for circuit in got}
        if circuits == right:
            continue
        if (
            circuits
            and all(len(circuit) == len(next(iter(right))) for circuit in circuits)
            and circuits < right
        ):
            raise Wrong(
                f"{len(circuits)} of {len(right)} smallest circuits found: there may be several of "
                "one size",
                points=1,
            )
        if circuits > right:
            raise Wrong(
                "among the circuits are larger ones than the smallest, or such that are not "
                "faithful enough",
                points=1,
            )
        if circuits == {
            frozenset(range(len(faithfulness).bit_length() - 1)) - circuit for circuit in right
        }:
            raise Wrong(
                "these are the heads that are left out: a set bit means that the head is kept"
            )
        raise Wrong(
            "these are other sets: is bit i of the number read as head i, and is F at least, not "
            "above, `enough`?"
        )


def _exchanged(table: SubsetTable) -> tuple[set, float, float]:
    """Heads of some smallest circuits only, faithfulness without all, largest loss of one."""
    faithfulness = np.asarray(table.faithfulness)
    circuits = _smallest(faithfulness, 0.8)
    some = frozenset.union(*circuits) - frozenset.intersection(*circuits)
    full = len(faithfulness) - 1
    without = float(faithfulness[full - sum(1 << i for i in some)])
    return (
        {table.heads[i] for i in some},
        without,
        float(max(1 - faithfulness[full - (1 << i)] for i in some)),
    )


@exercise("lab4.4", points=3, title="Two circuits, one behaviour")
def stand_ins(answer):
    expect_function(answer)
    heads, without, loss = _exchanged(stored.stored("greater-than", "resample"))
    got = call(answer)
    if not isinstance(got, tuple | list) or len(got) != 3:
        raise Wrong(
            "expected three things: the set of heads, the faithfulness without all of them, the "
            "largest loss without one"
        )
    given, values = (
        _pairs(got[0]),
        [as_array(value, name) for value, name in zip(got[1:], ("F", "the loss"), strict=True)],
    )
    if any(value.size != 1 for value in values):
        raise Wrong(
            "expected one number each for the faithfulness without all of the heads and for the "
            "largest loss"
        )
    faults = [
        text
        for text, right in (
            (
                "the heads are others: take those that some smallest circuits have and others lack",
                given == heads,
            ),
            (
                "the faithfulness without all of them is another: one lookup in the table",
                abs(values[0].item() - without) < 0.005,
            ),
            (
                "the largest loss without one of them is another: 1 less F, one head missing",
                abs(values[1].item() - loss) < 0.005,
            ),
        )
        if not right
    ]
    if faults:
        raise Wrong("; ".join(faults), points=3 - len(faults))


def _trial(task: str, seed: int, corruption: str | None = None) -> methods.Trial:
    scoring, training = (
        twins(task, PROMPTS, 7000 + 2 * seed + part, corruption) for part in (0, 1)
    )
    return methods.Trial(zoo.load(trials.MODEL), scoring, training, seed)


def _truth(task: str) -> np.ndarray:
    return truths.labels(stored.stored(task, "resample"))


@exercise("lab4.5", points=3, title="Beat it in one line")
def one_line(answer):
    expect_function(answer)
    kept = trials.stored()
    codes = [
        metrics.over_seeds(kept.item("method", task, "discrete SAE").scores, _truth(task)).mean
        for task in CORRUPTIONS
    ]
    areas, drawn = [], {task: _trial(task, 0) for task in CORRUPTIONS}
    for task, trial in drawn.items():
        got = call(answer, trial.positive, trial.negative)
        expect_shape(got, (16,), "the scores", "one a head")
        values = as_array(got, "the scores")
        if not np.isfinite(values).all():
            raise Wrong("some scores are NaN or infinite: look for a division by 0")
        areas.append(metrics.auroc(values, _truth(task)))
    paper = f"the discrete SAE has {np.mean(codes):.2f}"
    said = f"mean AUROC {np.mean(areas):.2f} over the three tasks, {paper}"
    if not np.mean(areas) >= 0.4:
        raise Wrong(f"{said}: is a large score one that speaks for the circuit?")
    if not np.mean(areas) > np.mean(codes):
        raise Wrong(
            f"{said}: the two classes have to be compared, head by head",
            points=float(np.mean(areas) > np.mean(codes) - NEAR),
        )
    return said


def _with_twins(clean: Prompts, answer) -> Twins:
    """The prompts with twins by the student's function."""
    tinyworld = vocabulary()
    tokens, texts = clean.tokens.clone(), []
    for row, text in enumerate(clean.texts):
        words = text.split()
        got = call(answer, words)
        expect_type(got, list, tuple, name="a twin")
        if len(got) != len(words):
            raise Wrong(
                f"a twin has {len(got)} words where its prompt has {len(words)}: replace words one "
                "by one"
            )
        if list(got) == words:
            raise Wrong(f"a twin is its prompt, word by word: {' '.join(words)!r}")
        if foreign := [
            word
            for word in got
            if not isinstance(word, str) or word.startswith("<") or word not in tinyworld.words
        ]:
            raise Wrong(
                f"{foreign[0]!r} is none of TinyWorld's words, in the twin "
                f"{' '.join(map(str, got))!r}"
            )
        ids = [tinyworld.token(word) for word in got]
        tokens[row, 1 : len(ids) + 1] = torch.tensor(ids)
        texts.append(" ".join(got))
    return Twins(
        clean,
        Prompts(clean.name, tuple(texts), tokens, clean.last, clean.good, clean.bad),
        "logit difference",
    )


@exercise("lab4.6", points=3, title="Twins that teach nothing")
def useless_twin(answer):
    expect_function(answer)
    model, truth, areas, kept = zoo.load(trials.MODEL), _truth("ioi"), [], []
    prompts = [
        [tasks.prompts("ioi", PROMPTS, 8000 + 2 * seed + part) for part in (0, 1)]
        for seed in range(TRIALS)
    ]
    for seed, parts in enumerate(prompts):
        drawn = [_with_twins(part, answer) for part in parts]
        before, after = (
            drawn[0].behaviour(final_logits(model, part)).mean()
            for part in (drawn[0].clean, drawn[0].corrupted)
        )
        kept.append(float(after / before))
        scores = methods.with_null(
            methods.Trial(model, drawn[0], drawn[1], seed),
            Settings(),
            methods.TRAIN_PROMPTS,
            PROMPTS,
        )[0]
        areas.append(metrics.auroc(scores.numpy(), truth))
    left = f"the logit difference on the twins is {np.mean(kept):.0%} of that on the prompts"
    said = f"AUROC {np.mean(areas):.2f}, and {left}"
    if not np.mean(kept) >= 0.8:
        raise Wrong(
            f"{said}: on these twins the task can no longer be done as before, so they do tell the "
            "method something"
        )
    if not np.mean(areas) <= BROKEN:
        raise Wrong(
            f"{said}: the method still finds the heads; replace less, or something that matters "
            "less",
            points=1,
        )
    return said
