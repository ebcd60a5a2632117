"""Reading answers, on callables whose failures are known exactly and on a real model."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.arithmetic.circuit.sufficiency import bench
from helpers.arithmetic.explorer.data import Reader
from helpers.arithmetic.questions import (
    Format,
    Questions,
    all_additions,
    answer_tokens,
    reading,
    uniform,
)
from helpers.arithmetic.training.insertion import agreement
from helpers.arithmetic.verification import check_causal, greedy, predict, score, verify
from helpers.errors import LabError
from tests.arithmetic.calculators import Calculator, Forgetful, small_model

pytestmark = pytest.mark.core


FORMATS = [
    Format(3),
    Format(3, has_sign=False),
    Format(3, minus=None, equals=11, has_sign=False),
    Format(3, minus=None, plus=11, equals=10),
    Format(3, digit_ids=tuple(range(40, 50)), plus=3, minus=2, equals=1, prefix=(0, 7)),
]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("subtract", [False, True])
def test_a_perfect_model_is_right_in_every_format(fmt, subtract):
    if subtract and fmt.minus is None:
        pytest.skip("this vocabulary has no minus")
    questions = uniform(3, 300, np.random.default_rng(0), subtract)
    model = Calculator(fmt, Questions.answer_digits)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    assert torch.equal(predict(model, questions, fmt), truth)
    assert torch.equal(greedy(model, questions, fmt, batch_size=7), truth)
    assert score(model, questions, fmt).all()
    assert score(model, questions, fmt).shape == (300, fmt.n_answer)


def test_teacher_forced_and_greedy_verdicts_are_equal_although_the_answers_are_not():
    fmt = Format(4)
    questions = uniform(4, 400, np.random.default_rng(0))
    model, truth = Forgetful(fmt), questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = predict(model, questions, fmt), greedy(model, questions, fmt)
    verdicts = (forced == truth).all(1)
    assert torch.equal(verdicts, (written == truth).all(1))
    assert 50 < int(verdicts.sum()) < 350
    assert not torch.equal(forced, written)  # after a first mistake the two read different prefixes
    first_mistake = (forced != truth).long().argmax(1)
    for row in torch.nonzero(~verdicts).flatten().tolist():
        upto = slice(0, int(first_mistake[row]) + 1)
        assert torch.equal(forced[row, upto], written[row, upto])


def test_an_untrained_bridge_gets_equal_verdicts_both_ways():
    model, fmt = small_model(1), Format(1)
    questions = all_additions(1)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = (read(model, questions, fmt) for read in (predict, greedy))
    assert torch.equal((forced == truth).all(1), (written == truth).all(1))
    assert forced.shape == written.shape == (100, 3)


def test_a_model_with_a_smaller_vocabulary_is_refused():
    with pytest.raises(
        LabError, match="vocabulary of at least 13 tokens for this format; the model has 12"
    ):
        predict(small_model(d_vocab=12), uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_a_model_with_a_shorter_context_is_refused():
    with pytest.raises(
        LabError, match="context of at least 15 tokens for 4 digits; the model has 13"
    ):
        greedy(small_model(3), uniform(4, 5, np.random.default_rng(0)), Format(4))


def test_an_unknown_id_in_a_bare_callable_is_refused():
    embedding = torch.nn.Embedding(5, 20)
    with pytest.raises(LabError, match="token ids up to 12"):
        predict(embedding, uniform(3, 5, np.random.default_rng(0)), Format(3))


@pytest.mark.parametrize(
    "model",
    [
        lambda tokens: tokens,
        lambda tokens: None,
        lambda tokens: torch.zeros(len(tokens), 4, 15),
        lambda t: torch.zeros(*t.shape, 5),
    ],
)
def test_a_callable_that_gives_no_logits_is_refused(model):
    with pytest.raises(LabError, match="expected logits of shape"):
        predict(model, uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_logits_may_come_wrapped():
    fmt = Format(3)
    bare = Calculator(fmt, Questions.answer_digits)
    assert score(
        lambda tokens: SimpleNamespace(logits=bare(tokens)),
        uniform(3, 20, np.random.default_rng(0)),
        fmt,
    ).all()


# what is no number never decides

FMT = Format(3)
RIGHT = Calculator(FMT, Questions.answer_digits)
NEITHER = "expected logits among which one is the largest; the model gives NaN or infinity"


def at_the_right_token(value: float, spared: int = 8):
    """A model that is right but for the value there, in batches of all sizes but one."""

    def model(tokens):
        logits = RIGHT(tokens)
        return logits if len(tokens) == spared else logits.masked_fill(logits > 0, value)

    return model


READERS = {
    "verify": lambda model: verify(model, FMT, questions=300, per_class=20),
    "predict": lambda model: predict(model, batch(20), FMT),
    "greedy": lambda model: greedy(model, batch(20), FMT),
    "score": lambda model: score(model, batch(20), FMT),
    "check_causal": lambda model: check_causal(model, FMT),
    "answer_tokens": lambda model: answer_tokens(logits_of(model), FMT),
    "likeliest": lambda model: reading.likeliest(logits_of(model)),
    "probabilities": lambda model: Reader(FMT).probabilities(logits_of(model)),
}
"""Everything that lets the logits of a model decide."""


def batch(count: int) -> Questions:
    return uniform(3, count, np.random.default_rng(0))


def logits_of(model) -> torch.Tensor:
    return model(batch(20).tokens(FMT)[:, :-1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", READERS)
def test_no_token_is_chosen_among_values_that_are_no_numbers(name, value):
    spared = 0 if name == "check_causal" else 8
    with pytest.raises(LabError, match=NEITHER):
        READERS[name](at_the_right_token(value, spared))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", [name for name in READERS if name != "check_causal"])
def test_logits_that_are_all_alike_are_refused(name, value):
    with pytest.raises(LabError, match=NEITHER):
        READERS[name](lambda tokens: RIGHT(tokens) * 0 + value)


def test_one_weight_that_is_nan_is_refused_wherever_the_model_is_asked():
    broken, whole = small_model(), small_model()
    with torch.no_grad():
        next(broken.parameters())[3, 0] = torch.nan
    shared = replace(bench(whole, FMT, per_class=4, reference_per_class=4), model=broken)
    for ask in (
        lambda: verify(broken, FMT, questions=300, per_class=20),
        lambda: agreement(whole, broken, batch(20), FMT),
        lambda: agreement(broken, whole, batch(20), FMT),
        lambda: shared.right([]),
    ):
        with pytest.raises(LabError, match=NEITHER):
            ask()


def test_words_that_are_never_said_may_be_minus_infinity():
    def model(tokens):
        logits = RIGHT(tokens)
        logits[..., -1] = -torch.inf
        return logits

    assert score(model, batch(20), FMT).all()
    check_causal(model, FMT)

    def looks_ahead(tokens):
        return model(tokens) + tokens[:, -1:, None]

    with pytest.raises(LabError, match="expected a causal model"):
        check_causal(looks_ahead, FMT)


@pytest.mark.parametrize(
    "convert",
    [
        lambda logits: logits.numpy(),
        lambda logits: logits.double().numpy(),
        torch.Tensor.double,
        torch.Tensor.half,
        torch.Tensor.bfloat16,
        lambda logits: logits.to(torch.float8_e5m2),
        lambda logits: logits.requires_grad_(),
    ],
)
def test_logits_of_any_precision_are_read(convert):
    assert score(lambda tokens: convert(RIGHT(tokens)), batch(20), FMT).all()
    assert verify(lambda t: convert(RIGHT(t)), FMT, questions=50, per_class=2).failures == 0


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (lambda logits: logits > 0, "numbers of torch.bool"),
        (lambda logits: logits.long(), "numbers of torch.int64"),
        (lambda logits: logits + 0j, "numbers of torch.complex64"),
        (lambda logits: logits.to("meta"), "a tensor on the device meta"),
        (lambda logits: logits.to_sparse(), "layout torch.sparse_coo"),
        (lambda logits: logits.numpy() > 0, "ndarray of bool"),
        (lambda logits: logits.numpy().astype(complex), "ndarray of complex128"),
    ],
)
def test_what_are_no_logits_is_named(convert, said):
    with pytest.raises(LabError, match=r"expected logits as a dense tensor.*" + said):
        verify(lambda tokens: convert(RIGHT(tokens)), FMT)


class Owner(torch.nn.Module):
    def forward(self, tokens):
        return RIGHT(tokens)


def leaves(tokens):
    raise SystemExit(3)


def fails(tokens):
    raise ZeroDivisionError("one line\nand another")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Owner, "TypeError"),
        (lambda tokens, mask: RIGHT(tokens), "TypeError"),
        (leaves, "SystemExit: 3"),
        (fails, "ZeroDivisionError: one line"),
    ],
)
def test_what_a_callable_raises_is_a_sentence(model, said):
    with pytest.raises(LabError, match=f"(12 tokens|at once); it raised {said}") as e:
        predict(model, batch(5), FMT)
    assert not isinstance(e.value.__cause__, LabError | None)  # where it happened is kept


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (IndexError("index out of range in self"), "takes token ids up to"),
        (MemoryError(), "it raised MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory"), "give a smaller batch_size"),
        (KeyError("x"), "answers 4 questions at once"),
    ],
)
def test_a_fault_of_the_model_is_not_blamed_on_its_tokens(fault, words):
    def model(tokens):
        raise fault

    fmt = Format(3)
    questions = uniform(3, 4, np.random.default_rng(0))
    with pytest.raises(LabError) as refused:
        predict(model, questions, fmt)
    assert words in str(refused.value)


@pytest.mark.parametrize("kind", [">f4", np.longdouble, "f8", "f2"])
def test_arrays_of_any_order_and_width_are_read(kind):
    def model(tokens):
        return np.zeros((*tokens.shape, 14), dtype=kind)

    fmt = Format(3)
    questions = uniform(3, 4, np.random.default_rng(0))
    assert not predict(model, questions, fmt).any(), "all alike: the first token"


def test_nan_where_nothing_is_read_decides_nothing():
    model, fmt = zoo.load("add-d3", device="cpu"), Format(3)

    def spoiled(tokens):
        logits = model(tokens).clone()
        logits[:, : fmt.equals_position - 1] = torch.nan
        return logits

    questions = uniform(3, 20, np.random.default_rng(0))
    expected = predict(model, questions, fmt)
    assert torch.equal(predict(spoiled, questions, fmt), expected)
    check_causal(spoiled, fmt)
