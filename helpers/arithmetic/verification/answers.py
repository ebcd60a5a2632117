"""Read answers off any model that maps tokens to logits: teacher forced, or greedily."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, reading, uniform
from helpers.errors import LabError, line_of
from helpers.inputs import check_count

BATCH_SIZE = 128
"""Questions per forward pass: the activations of a small model then stay in a core's cache."""

LogitsOf = Callable[[Int[Tensor, "question pos"]], Float[Tensor, "question pos vocab"]]
"""What can be asked: any callable from token ids to logits, such as a model."""


@torch.inference_mode()
def predict(
    model: LogitsOf, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Int[Tensor, "question answer"]:
    """The likeliest token at every answer token, with the true answer before it (teacher forcing).

    One pass per question. On an intact causal model a question is right here **if and only if** it
    is right under greedy decoding, where the model reads its own answer so far. If every
    teacher-forced token is right, then the first greedy token is right, so the second is predicted
    from the same prefix, so it is right, and so on. If the greedy answer is right, every greedy
    prefix was the true one, so the two runs saw the same. Only the tokens *after* a first mistake
    can differ, and then the question is wrong either way. (Equal up to floating-point ties: batches
    of another shape may add in another order.)

    Under ablation or patching this is no longer greedy decoding: there the answer that is expected
    often differs from the true one, and teacher forcing goes on showing the true prefix, so the
    string read off is not what the changed model would write. Use `greedy` where that matters.

    Raises:
        LabError: The model has too small a vocabulary or context, raises a fault of its own, or
            does not return logits for every position, or returns NaN; or the batch size is below 1.
    """
    check_model(model, fmt)
    check_count("batch size", batch_size, least=1)
    if not len(questions):  # a model need not take an empty batch
        return torch.zeros(0, fmt.n_answer, dtype=torch.long)
    start = fmt.equals_position
    batches = questions.tokens(fmt)[:, :-1].split(batch_size)  # the last token predicts nothing
    return torch.cat(
        [reading.likeliest(_logits(model, part, fmt)[:, start:]).cpu() for part in batches]
    )


@torch.inference_mode()
def greedy(
    model: LogitsOf, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Int[Tensor, "question answer"]:
    """The answer that the model writes itself, token by token: one pass for each answer token.

    Raises:
        LabError: As `predict`.
    """
    check_model(model, fmt)
    check_count("batch size", batch_size, least=1)
    if not len(questions):
        return torch.zeros(0, fmt.n_answer, dtype=torch.long)
    answers = []
    for part in questions.tokens(fmt)[:, : fmt.equals_position + 1].split(batch_size):
        for _ in range(fmt.n_answer):
            best = reading.likeliest(_logits(model, part, fmt)[:, -1]).cpu()
            part = torch.cat([part, best[:, None]], dim=1)
        answers.append(part[:, fmt.equals_position + 1 :])
    return torch.cat(answers)


def score(
    model: LogitsOf, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Bool[Tensor, "question answer"]:
    """Whether each answer token is right, teacher forced; a question is right if its row is."""
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    return predict(model, questions, fmt, batch_size) == truth


def answer_text(answer: Int[Tensor, " answer"], fmt: Format) -> str:
    """Answer tokens as text; ``?`` for a token that is neither a digit nor a sign.

    >>> answer_text(torch.tensor([10, 0, 7, 14]), Format(2))
    '+07?'
    """
    symbols = {token: str(digit) for digit, token in enumerate(fmt.digit_ids)}
    symbols |= {fmt.minus_or_plus: "-", fmt.plus: "+"}
    return "".join(symbols.get(token, "?") for token in answer.tolist())


def check_model(model: LogitsOf, fmt: Format) -> None:
    """Refuse a model whose vocabulary or context cannot hold the format.

    Raises:
        LabError: The vocabulary or the context is too small.
    """
    config = getattr(model, "cfg", None) or getattr(model, "config", None)
    vocabulary = getattr(config, "d_vocab", None) or getattr(config, "vocab_size", None)
    if vocabulary and vocabulary < fmt.d_vocab_needed:
        raise LabError(
            f"expected a vocabulary of at least {fmt.d_vocab_needed} tokens for this format",
            f"the model has {vocabulary}",
            hint="give the model's own token ids: "
            "Format(n_digits, digit_ids=…, plus=…, minus=…, equals=…)",
        )
    context = getattr(config, "n_ctx", None) or getattr(config, "max_position_embeddings", None)
    if context and context < fmt.n_ctx - 1:
        raise LabError(
            f"expected a context of at least {fmt.n_ctx - 1} tokens for {fmt.n_digits} digits",
            f"the model has {context}",
            hint="choose the number of digits that the model was trained on, and has_sign=False "
            "if it writes no sign",
        )


def check_causal(model: LogitsOf, fmt: Format, seed: int = 0) -> None:
    """Refuse a model that looks ahead: teacher forcing would show it the answer.

    Raises:
        LabError: As `predict`; or another last token changes the logits before it.
    """
    tokens = uniform(fmt.n_digits, 8, np.random.default_rng(seed)).tokens(fmt)[:, :-1]
    changed, ids = tokens.clone(), torch.tensor(fmt.digit_ids)
    changed[:, -1] = torch.where(tokens[:, -1] == ids[0], ids[1], ids[0])
    with torch.inference_mode():
        before, after = (_logits(model, t, fmt)[:, :-1].float() for t in (tokens, changed))
    reading.check_decisive(before[:, fmt.equals_position :])  # where answers are read
    finite = before[before.isfinite()]  # minus infinity, of a word never said, is no scale
    scale = float(finite.abs().max()) if len(finite) else 0.0
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * scale, equal_nan=True):
        raise LabError(
            "expected a causal model that gives the same logits for the same tokens",
            "another last token changes the logits before it",
            hint="call model.eval() if it has dropout; a model without a causal mask reads the "
            "answer, so use greedy()",
        )


def _logits(
    model: LogitsOf, tokens: Int[Tensor, "question pos"], fmt: Format
) -> Float[Tensor, "question pos vocab"]:
    try:
        output = model(tokens.to(device_of(model)))
    except LabError:
        raise
    except (Exception, SystemExit) as fault:  # a callable of somebody else may raise anything
        raise _raised(fault, tokens, fmt) from fault
    return reading.as_logits(output, (len(tokens), tokens.shape[1]), fmt.d_vocab_out_needed)


def _raised(fault: BaseException, tokens: Int[Tensor, "question pos"], fmt: Format) -> LabError:
    """What a model raised in place of logits, in words."""
    said = (str(fault).strip().splitlines() or [""])[0]
    got = f"it raised {type(fault).__name__}{': ' * bool(said)}{said}{line_of(fault)}"
    if isinstance(fault, IndexError) or "out of range" in said:
        return LabError(
            f"expected a model that takes token ids up to {fmt.d_vocab_needed - 1} and "
            f"{tokens.shape[1]} tokens",
            got,
            hint="give the model's own token ids and number of digits to Format",
        )
    memory = isinstance(fault, MemoryError | torch.OutOfMemoryError)
    return LabError(
        f"expected a model that answers {len(tokens)} questions at once",
        got,
        hint="give a smaller batch_size"
        if memory
        else "a callable takes token ids [question, pos], and a class is called when an instance "
        "is made",
    )


def device_of(model: LogitsOf) -> torch.device:
    """Where the model computes; a callable that is no module computes on the CPU."""
    parameter = next(model.parameters(), None) if isinstance(model, torch.nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
