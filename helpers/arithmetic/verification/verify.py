"""How often a model is wrong: read answers off any model that maps tokens to logits, and count
failures per class.

A uniform sample alone is blind where it matters: a million 6-digit questions hold about five
full-length cascades. So `verify` asks N uniform questions and at least M in every cascade class,
and pools them per class. Pooling is exact, because a uniform question that falls into a class is a
uniform draw from that class, which is just what the stratified sample draws. For three digits or
fewer `exhaustive` asks every question there is.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.questions.batch import Questions, uniform
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.verification.plan import CHUNK, Chunk, automaton_of, draw, plan
from helpers.arithmetic.verification.report import Report, Tally, summarise
from helpers.errors import LabError
from helpers.parallel import in_parallel
from helpers.runtime import progress

BATCH_SIZE = 128
"""Questions per forward pass: the activations of a small model then stay in a core's cache; more is slower."""

Model = Callable[[Int[Tensor, "question pos"]], Float[Tensor, "question pos vocab"]]


@torch.inference_mode()
def predict(
    model: Model, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Int[Tensor, "question answer"]:
    """Token ids that the model puts first at every answer token, with the true answer before it
    (teacher forcing).

    One pass a question. On an intact causal model a question is right here **if and only if** it is
    right under greedy decoding, where the model reads its own answer so far. If every
    teacher-forced token is right, then the first greedy token is right, so the second is predicted
    from the same prefix, so it is right, and so on. If the greedy answer is right, every greedy
    prefix was the true one, so the two runs saw the same. Only the tokens *after* a first mistake
    can differ, and then the question is wrong either way. (Equal up to floating-point ties: batches
    of another shape may add in another order.)

    Under ablation or patching this is no longer greedy decoding: there the answer that is expected
    often differs from the true one, and teacher forcing goes on showing the true prefix, so the
    string read off is not what the changed model would write. Use `greedy` where that matters.

    Raises:
        LabError: a model with too small a vocabulary or context, or one that does not return logits
            per position.
    """
    check_model(model, fmt)
    tokens, start = (
        questions.tokens(fmt)[:, :-1],
        fmt.equals_position,
    )  # the last token predicts nothing
    return torch.cat(
        [_logits(model, part, fmt)[:, start:].argmax(-1).cpu() for part in tokens.split(batch_size)]
    )


@torch.inference_mode()
def greedy(
    model: Model, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Int[Tensor, "question answer"]:
    """Token ids of the answer that the model writes itself, token by token: one pass for each
    answer token.

    Raises:
        LabError: as `predict`.
    """
    check_model(model, fmt)
    answers = []
    for part in questions.tokens(fmt)[:, : fmt.equals_position + 1].split(batch_size):
        for _ in range(fmt.n_answer):
            best = _logits(model, part, fmt)[:, -1].argmax(-1).cpu()
            part = torch.cat([part, best[:, None]], dim=1)
        answers.append(part[:, fmt.equals_position + 1 :])
    return torch.cat(answers)


def score(
    model: Model, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Bool[Tensor, "question answer"]:
    """Whether each answer token is right under teacher forcing; a question is right when its whole row is."""
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    return predict(model, questions, fmt, batch_size) == truth


def check_model(model: Model, fmt: Format) -> None:
    """Refuse a model whose vocabulary or context cannot hold the format.

    Raises:
        LabError: saying which.
    """
    config = getattr(model, "cfg", None) or getattr(model, "config", None)
    vocabulary = getattr(config, "d_vocab", None) or getattr(config, "vocab_size", None)
    if vocabulary and vocabulary < fmt.d_vocab_needed:
        raise LabError(
            f"expected a vocabulary of at least {fmt.d_vocab_needed} tokens for this format",
            f"the model has {vocabulary}",
            hint="give the model's own token ids: Format(n_digits, digit_ids=…, plus=…, minus=…, equals=…)",
        )
    context = getattr(config, "n_ctx", None) or getattr(config, "max_position_embeddings", None)
    if context and context < fmt.n_ctx - 1:
        raise LabError(
            f"expected a context of at least {fmt.n_ctx - 1} tokens for {fmt.n_digits} digits",
            f"the model has {context}",
            hint="choose the number of digits that the model was trained on, and has_sign=False if it writes no sign",
        )


def check_causal(model: Model, fmt: Format, seed: int = 0) -> None:
    """Refuse a model that looks ahead: teacher forcing would show it the answer.

    Raises:
        LabError: another last token changes the logits before it.
    """
    tokens = uniform(fmt.n_digits, 8, np.random.default_rng(seed)).tokens(fmt)[:, :-1]
    other, ids = tokens.clone(), torch.tensor(fmt.digit_ids)
    other[:, -1] = torch.where(tokens[:, -1] == ids[0], ids[1], ids[0])
    with torch.inference_mode():
        one, two = (_logits(model, x, fmt)[:, :-1].float() for x in (tokens, other))
    if not torch.allclose(one, two, rtol=1e-3, atol=1e-3 * float(one.abs().max())):
        raise LabError(
            "expected a causal model that gives the same logits for the same tokens",
            "another last token changes the logits before it",
            hint="call model.eval() if it has dropout; a model without a causal mask reads the answer, so use greedy()",
        )


def _logits(
    model: Model, tokens: Int[Tensor, "question pos"], fmt: Format
) -> Float[Tensor, "question pos vocab"]:
    try:
        output = model(tokens.to(_device(model)))
    except IndexError as fault:  # what an embedding raises for an id it does not have
        raise LabError(
            f"expected a model that takes token ids up to {fmt.d_vocab_needed - 1} and {tokens.shape[1]} tokens",
            f"it raised IndexError: {fault}",
            hint="give the model's own token ids and number of digits to Format",
        ) from None
    output = getattr(output, "logits", output)
    shape = tuple(getattr(output, "shape", ()))
    if len(shape) != 3 or shape[:2] != tuple(tokens.shape) or shape[2] < fmt.d_vocab_needed:
        raise LabError(
            f"expected logits of shape ({len(tokens)}, {tokens.shape[1]}, at least {fmt.d_vocab_needed})",
            f"the model returned {shape or type(output).__name__}",
            hint="pass a callable that maps token ids [question, pos] to logits [question, pos, vocab]",
        )
    return output


def _device(model: Model) -> torch.device:
    parameter = next(model.parameters(), None) if isinstance(model, torch.nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device


def verify(
    model: Model,
    fmt: Format,
    name: str = "model",
    questions: int = 1_000_000,
    per_class: int = 20_000,
    exhaustive: bool = False,
    operations: str = "+",
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Report:
    """Ask a model many questions and count its failures per cascade class.

    Args:
        name: of the model, for the report.
        questions: uniform questions for each operator.
        per_class: further questions for every class of each operator.
        exhaustive: ask all 10^(2n) questions of each operator instead; n is at most 3.
        operations: ``"+"``, ``"-"`` or ``"+-"``.
        seed: of the questions; what is asked does not depend on `batch_size` or `workers`.
        batch_size: questions per pass; by default 128 on a CPU and 4096 on a GPU.
        workers: threads of one core each; by default as many as torch would use, and 1 on a GPU.

    Raises:
        LabError: as `predict`, `check_causal` and `plan.plan`.
    """
    began = time.monotonic()
    chunks = plan(fmt.n_digits, questions, per_class, exhaustive, operations, seed)
    check_model(model, fmt)
    check_causal(model, fmt)
    on_cpu = _device(model).type == "cpu"
    batch_size = batch_size or (BATCH_SIZE if on_cpu else 4096)
    workers = workers or (torch.get_num_threads() if on_cpu else 1)
    tallies = in_parallel(lambda chunk: ask(model, fmt, chunk, batch_size), chunks, workers)
    done = list(
        progress(tallies, f"verify {name}", total=len(chunks), unit=f" x {CHUNK} questions")
    )
    return summarise(name, fmt.n_digits, chunks, done, seed, seconds=time.monotonic() - began)


def ask(
    model: Model,
    fmt: Format,
    chunk: Chunk,
    batch_size: int = BATCH_SIZE,
    read: Callable = predict,
    max_examples: int = 10,
) -> Tally:
    """Draw the questions of a chunk, read the model's answers with `predict` or `greedy`, and count failures."""
    questions = draw(chunk, fmt.n_digits)
    answers = read(model, questions, fmt, batch_size)
    wrong = (answers != questions.tokens(fmt)[:, fmt.equals_position + 1 :]).any(1)
    automaton = automaton_of(fmt.n_digits, chunk.subtract)
    classes = cascades.classify(automaton, questions.first.numpy(), questions.second.numpy())
    size = len(automaton.classes)
    shown = torch.nonzero(wrong).flatten()[:max_examples].tolist()
    return Tally(
        questions=np.bincount(classes, minlength=size),
        failures=np.bincount(classes[wrong.numpy()], minlength=size),
        examples=[
            f"{questions.text(i)}, the model says {answer_text(answers[i], fmt)}" for i in shown
        ],
    )


def answer_text(answer: Int[Tensor, " answer"], fmt: Format) -> str:
    """Answer tokens as text; ``?`` for a token that is neither a digit nor a sign.

    >>> answer_text(torch.tensor([10, 0, 7, 14]), Format(2))
    '+07?'
    """
    symbols = {token: str(digit) for digit, token in enumerate(fmt.digit_ids)} | {
        fmt.plus: "+",
        fmt.minus: "-",
    }
    return "".join(symbols.get(token, "?") for token in answer.tolist())
