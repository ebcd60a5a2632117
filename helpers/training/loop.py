"""One training loop for every embedded model: AdamW, warm-up and cosine, clipping, checkpoints,
exact resumption.

The loop is a function of the recipe alone. Batch number i is drawn from a generator seeded with
(seed, i), so no random state has to survive an interruption; what does have to is the parameters,
the two Adam moments and the loss history, and these go into one safetensors file that is replaced
atomically. A run that was killed at any moment and resumed therefore ends in the weights of an
uninterrupted one, up to the rounding of floating-point sums: on one machine with one thread count
these nearly always repeat bit for bit, which the libraries do not promise; across machines their
order differs, and only the measured behaviour is the same.
"""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.errors import LabError
from helpers.files import save_atomically, write_atomically
from helpers.model import Model
from helpers.runtime import answering, gradients, progress
from helpers.training.folder import (
    RECIPE,
    REPORT,
    STATE,
    WEIGHTS,
    held,
    read_recipe,
    restore_state,
    save_state,
)
from helpers.training.recipe import Recipe
from helpers.training.run import Frozen, Run


class Task(Protocol):
    """What a recipe trains on. A task inherits what it leaves as it is."""

    def initialise(self, model: Model) -> dict[str, Bool[Tensor, "..."]]:
        """Change a freshly built model before step 0.

        Returns:
            For each parameter that training must leave alone in part: a mask of its frozen entries.
        """
        return {}

    def metadata(self) -> dict[str, str]:
        """What the weight file says beside the recipe."""
        return {}

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        """Draw one batch; everything random comes from `rng`."""
        ...

    def loss(self, model: Model, batch: Any) -> Float[Tensor, ""]:
        """Scalar training loss of the batch, in nats."""
        ...


def build_model(recipe: Recipe) -> Model:
    """A freshly initialised model of the recipe's shape, seeded by the recipe.

    Every tensor of its state is a parameter, the bias of the output layer included.

    Raises:
        LabError: The recipe's model lacks a field or has an unknown one.
    """
    from transformer_lens.model_bridge import TransformerBridge

    try:
        config = {
            "seed": recipe.seed,
            "d_vocab_out": recipe.model["d_vocab"],
            "device": "cpu",
            **recipe.model,
        }
        with torch.device("cpu"):  # another default device, such as meta, would have the weights
            model = TransformerBridge.boot_native(config)
            _make_output_bias_a_parameter(model)
    except (KeyError, TypeError, ValueError) as fault:
        raise LabError(
            f"expected {recipe.name} to have the shape of a model", f"cannot build it: {fault!r}"
        ) from None
    return model


def _make_output_bias_a_parameter(model: Model) -> None:
    """TransformerLens 4 keeps the output layer's bias fixed at zero, 3 trains it; so do we."""
    head = model.unembed.original_component
    if "bias" in dict(head.named_buffers()):
        bias = head.bias
        del head.bias
        head.bias = torch.nn.Parameter(bias)


@gradients()  # weights made in inference mode could never be trained
def start(recipe: Recipe, device: str = "cpu", task: Task | None = None) -> Run:
    """A run at step 0.

    Args:
        task: What initialises the model; without it the model is the freshly built one.
    """
    model = build_model(recipe)
    masks = task.initialise(model) if task else {}
    if device != "cpu":  # the move prints a line even where there is nothing to move
        model = model.to(answering(device))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
    )
    return Run(recipe, model, optimizer, _freeze(model, masks))


def _freeze(model: Model, masks: dict[str, Bool[Tensor, "..."]]) -> list[Frozen]:
    """Find the masks' parameters: a bridge's state has other names than its parameters."""
    state = model.state_dict()
    parameters = {parameter.data_ptr(): parameter for parameter in model.parameters()}
    masked = [(parameters[state[name].data_ptr()], mask) for name, mask in masks.items()]
    return [
        Frozen(parameter, mask.to(parameter.device), parameter.detach().clone())
        for parameter, mask in masked
    ]


@gradients()
def take_step(run: Run, task: Task) -> float:
    """One optimiser step; returns the loss before it, in nats.

    Raises:
        LabError: A loss or gradient that is not finite; the weights are then as before the step.
    """
    recipe = run.recipe
    batch = task.batch(np.random.default_rng([recipe.seed, run.step]), recipe.batch_size)
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.rate(run.step)
    loss = task.loss(run.model, batch)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for part in run.frozen:  # a frozen entry has no part in the clipping, and no moments
        if part.parameter.grad is not None:
            part.parameter.grad.masked_fill_(part.mask, 0.0)
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), recipe.gradient_clip)
    value = float(loss.detach())
    # before the step, which would spoil the weights
    if not (math.isfinite(value) and math.isfinite(float(norm))):
        raise LabError(
            f"expected a finite loss and gradient at step {run.step} of {recipe.name}",
            f"got a loss of {value} and a gradient of norm {float(norm)}",
            hint="lower learning_rate or raise warmup_steps in the recipe",
        )
    run.optimizer.step()
    for part in run.frozen:  # weight decay shrinks every entry, with or without a gradient
        part.parameter.data[part.mask] = part.value[part.mask]
    run.step += 1
    run.losses.append(value)
    return value


def final_loss(run: Run) -> float:
    """Mean training loss of the last hundred steps, in nats."""
    tail = run.losses[-100:]
    return sum(tail) / len(tail)


def train(
    recipe: Recipe,
    task: Task,
    folder: Path,
    resume: bool = False,
    device: str = "cpu",
    save_every_seconds: float = 20.0,
    on_step: Callable[[Run], None] | None = None,
) -> Run:
    """Train a recipe into a folder (see `helpers.training.folder`), or continue there.

    Ctrl-C stores the state after the step in progress and then ends the run; a second Ctrl-C ends
    it at once. Resuming a run that is complete trains nothing and writes its final files again.

    Args:
        resume: Continue the run in the folder if there is one.
        save_every_seconds: How much work a kill may cost. The weights do not depend on it.
        on_step: Called after every step.

    Raises:
        LabError: The folder belongs to another recipe or process, holds a run and `resume` is
            false, is damaged or cannot be written; or the loss is no longer finite.
        KeyboardInterrupt: After the state was stored.
    """
    with held(folder):
        _check_folder(recipe, folder, resume)
        write_atomically(recipe.to_json(), folder / RECIPE)
        run = start(recipe, device, task)
        if (folder / STATE).exists():
            restore_state(run, folder)
            run.resumed_at = run.step
        with _deferred_interrupt() as interrupted:
            _loop(run, task, folder, save_every_seconds, on_step, interrupted)
        if run.resumed_at < recipe.steps:
            save_state(run, folder)
        save_atomically(
            run.model.state_dict(),
            folder / WEIGHTS,
            {"recipe": recipe.to_json(), **task.metadata()},
        )
        report = {"name": recipe.name, "fingerprint": recipe.fingerprint, "steps": run.step}
        report |= {
            "seconds": round(run.seconds, 1),
            "final_loss": final_loss(run),
            "loss_every_50": run.losses[::50],
        }
        write_atomically(json.dumps(report, indent=1), folder / REPORT)
    return run


def _check_folder(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Refuse to overwrite a run by accident."""
    if (folder / RECIPE).exists() and read_recipe(folder).fingerprint != recipe.fingerprint:
        raise LabError(
            f"expected {folder} to be empty or to hold a run of {recipe.name} "
            f"with seed {recipe.seed}",
            "it holds a run of another recipe or seed",
            hint="train into another folder with --out DIR",
        )
    if (folder / STATE).exists() and not resume:
        raise LabError(
            f"expected {folder} to be free",
            "it holds an unfinished or finished run of this recipe",
            hint="continue it with --resume, or train into another folder with --out DIR",
        )
    if (folder / WEIGHTS).exists() and not (folder / STATE).exists():
        raise LabError(
            f"expected {folder} to be free or to hold a state to resume",
            f"it holds final weights, which training would overwrite, and no {STATE}",
            hint="train into another folder with --out DIR",
        )


@contextmanager
def _deferred_interrupt() -> Iterator[Event]:
    """Turn Ctrl-C into an event, so that it cannot split a step; a second Ctrl-C acts at once."""
    interrupted = Event()
    if current_thread() is not main_thread():  # only the main thread receives signals
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number, frame) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _loop(
    run: Run, task: Task, folder: Path, save_every_seconds: float, on_step, interrupted: Event
) -> None:
    recipe, keep = run.recipe, set(run.recipe.checkpoint_steps)
    bar = progress(
        range(run.step, recipe.steps), f"train {recipe.name}", total=recipe.steps, initial=run.step
    )
    began, saved = time.monotonic() - run.seconds, time.monotonic()
    for _ in bar:
        if run.step in keep:
            _keep_checkpoint(run, folder)
        loss = take_step(run, task)
        run.seconds = time.monotonic() - began
        if run.step % 20 == 0:
            bar.set_postfix_str(f"loss {loss:.2e}", refresh=False)
        if on_step:
            on_step(run)
        if interrupted.is_set():
            bar.close()
            save_state(run, folder)
            raise KeyboardInterrupt
        if time.monotonic() - saved > save_every_seconds:
            save_state(run, folder)
            saved = time.monotonic()
    if recipe.steps in keep:
        _keep_checkpoint(run, folder)


def _keep_checkpoint(run: Run, folder: Path) -> None:
    path = folder / "checkpoints" / f"step-{run.step:06d}.safetensors"
    save_atomically(
        run.model.state_dict(), path, {"step": str(run.step), "fingerprint": run.recipe.fingerprint}
    )
