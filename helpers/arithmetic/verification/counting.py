"""How often a model is wrong: ask many questions and count failures per class.

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

from helpers.arithmetic.questions import Format, cascades
from helpers.arithmetic.verification.answers import (
    BATCH_SIZE,
    LogitsOf,
    answer_text,
    check_causal,
    check_model,
    device_of,
    predict,
)
from helpers.arithmetic.verification.plan import CHUNK, Chunk, draw, plan
from helpers.arithmetic.verification.report import Report, Tally, summarise
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.parallel import in_parallel
from helpers.runtime import progress


def verify(
    model: LogitsOf,
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
        name: Name of the model, for the report.
        questions: Number of uniform questions for each operator.
        per_class: Number of further questions for every class of each operator.
        exhaustive: Ask all 10^(2n) questions of each operator instead; n is at most 3.
        operations: ``"+"``, ``"-"`` or ``"+-"``.
        seed: Seed of the questions; what is asked does not depend on `batch_size` or `workers`.
        batch_size: Questions per pass; by default 128 on a CPU and 4096 on a GPU.
        workers: Threads of one core each; by default as many as torch would use, and 1 on a GPU.

    Raises:
        LabError: As `predict`, `check_causal` and `plan.plan`; too few workers; or subtractions are
            asked of a format without minus.
    """
    began = time.monotonic()
    chunks = plan(fmt.n_digits, questions, per_class, exhaustive, operations, seed)
    if "-" in operations and fmt.minus is None:
        raise LabError(
            "expected the operations + alone, as the format has no minus", f"got {operations}"
        )
    check_model(model, fmt)
    check_causal(model, fmt)
    on_cpu = device_of(model).type == "cpu"
    size = (BATCH_SIZE if on_cpu else 4096) if batch_size is None else batch_size
    workers = (torch.get_num_threads() if on_cpu else 1) if workers is None else workers
    check_count("batch size", size, least=1)
    check_count("number of workers", workers, least=1)
    tallies = in_parallel(lambda chunk: ask(model, fmt, chunk, size), chunks, workers)
    unit = f" x {CHUNK} questions"
    done = list(progress(tallies, f"verify {name}", total=len(chunks), unit=unit))
    return summarise(name, fmt, chunks, done, seed, seconds=time.monotonic() - began)


def ask(
    model: LogitsOf,
    fmt: Format,
    chunk: Chunk,
    batch_size: int = BATCH_SIZE,
    read: Callable = predict,
    max_examples: int = 10,
) -> Tally:
    """Draw the questions of a chunk, read the model's answers and count its failures.

    Args:
        read: `predict` or `greedy`.
        max_examples: Number of failing questions that are kept as text.
    """
    questions = draw(chunk, fmt.n_digits)
    answers = read(model, questions, fmt, batch_size)
    wrong_tokens = answers != questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    wrong = wrong_tokens.any(1)
    automaton = cascades.automaton_of(fmt.n_digits, chunk.subtract)
    classes = cascades.classify(automaton, questions.first.numpy(), questions.second.numpy())
    size = len(automaton.classes)
    shown = torch.nonzero(wrong).flatten()[:max_examples].tolist()
    return Tally(
        questions=np.bincount(classes, minlength=size),
        failures=np.bincount(classes[wrong.numpy()], minlength=size),
        wrong_tokens=wrong_tokens.sum(0).numpy(),
        examples=[
            f"{questions.text(i, fmt.has_sign)}, the model says {answer_text(answers[i], fmt)}"
            for i in shown
        ],
    )
