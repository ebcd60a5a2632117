"""One training loop for every embedded model: AdamW, warm-up and cosine, clipping, checkpoints, exact resumption.

The loop is a function of the recipe alone. Batch number i is drawn from a generator seeded with (seed, i), so no
random state has to survive an interruption; what does have to is the parameters, the two Adam moments and the loss
history, and these go into one safetensors file that is replaced atomically. A run that was killed at any moment and
resumed therefore ends in exactly the weights of an uninterrupted one (bit for bit on one machine with one thread
count; across machines the order of floating-point sums differs, and only the measured behaviour is the same).

Learning rate at step t of T with warm-up W and peak eta (linear, then cosine):

    eta_t = eta * (t + 1) / W                                            for t < W
    eta_t = eta * (1 + cos(pi * (t - W) / (T - W))) / 2                  otherwise
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.errors import LabError
from helpers.runtime import progress

STATE, WEIGHTS, RECIPE, REPORT = "state.safetensors", "model.safetensors", "recipe.json", "report.json"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run.

    Attributes:
        name: the model's name in the zoo.
        task: which task makes the batches and the loss, e.g. "arithmetic".
        model: fields of a `TransformerBridgeConfig` (n_layers, d_model, …).
        data: the task's own settings.
        n_checkpoints: how many log-spaced snapshots to keep, step 0 and the last step included; 0 keeps none.
    """

    name: str
    task: str
    model: dict[str, Any]
    data: dict[str, Any]
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    gradient_clip: float = 1.0
    seed: int = 0
    n_checkpoints: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """The recipe whose `to_json` was parsed into `fields`.

        Raises:
            TypeError: a field is missing, unknown or of another kind.
        """
        return cls(**(fields | {"betas": tuple(fields["betas"])}))

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when anything in the recipe changes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def rate(self, step: int) -> float:
        """Learning rate at a step (equation in the module docstring)."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        share = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    @property
    def checkpoint_steps(self) -> list[int]:
        """Log-spaced steps at which a snapshot is kept: 0, 1, …, steps."""
        if self.n_checkpoints < 1:
            return []
        spaced = np.geomspace(1, self.steps, max(self.n_checkpoints - 1, 1)).round().astype(int)
        return sorted({0, *spaced.tolist(), self.steps})


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder.

    Raises:
        LabError: the file is missing or damaged.
    """
    path = folder / RECIPE
    try:
        return Recipe.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise LabError(
            f"expected the recipe of a training run in {path}",
            f"cannot use it: {fault!r}",
            hint=f"remove {path}; training with --resume writes it anew",
        ) from None


class Task(Protocol):
    """What a recipe trains on. Implementations live with the paper that needs them."""

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        """Draw one batch; everything random comes from `rng`."""

    def loss(self, model: torch.nn.Module, batch: Any) -> Float[Tensor, ""]:
        """Scalar training loss of the batch, in nats."""


@dataclass
class Run:
    """A training run in progress."""

    recipe: Recipe
    model: torch.nn.Module
    optimizer: torch.optim.AdamW
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def build_model(recipe: Recipe) -> torch.nn.Module:
    """A freshly initialised model of the recipe's shape, seeded by the recipe."""
    from transformer_lens.model_bridge import TransformerBridge

    config = {"seed": recipe.seed, "d_vocab_out": recipe.model["d_vocab"], "device": "cpu", **recipe.model}
    return TransformerBridge.boot_native(config)


def start(recipe: Recipe, device: str = "cpu") -> Run:
    """A run at step 0."""
    model = build_model(recipe)
    if device != "cpu":  # the move prints a line even where there is nothing to move
        model = model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    return Run(recipe, model, optimizer)


def take_step(run: Run, task: Task) -> float:
    """One optimiser step; returns the loss before it, in nats."""
    recipe = run.recipe
    batch = task.batch(np.random.default_rng([recipe.seed, run.step]), recipe.batch_size)
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.rate(run.step)
    loss = task.loss(run.model, batch)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), recipe.gradient_clip)
    run.optimizer.step()
    run.step += 1
    value = float(loss.detach())
    if not math.isfinite(value):
        raise LabError(
            f"training of {recipe.name} diverged at step {run.step}",
            f"the loss is {value}",
            hint="lower learning_rate or raise warmup_steps in the recipe",
        )
    run.losses.append(value)
    return value


def save_atomically(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file so that a kill leaves either the old file or the new one, never half of one.

    Raises:
        LabError: the folder cannot be written.
    """
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, scratch, metadata)
        with open(scratch, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(scratch, path)
    except (OSError, SafetensorError) as fault:
        scratch.unlink(missing_ok=True)
        raise LabError(
            f"expected to write {path}",
            f"the system says: {fault}",
            hint="choose a folder with space that you may write to, with --out DIR",
        ) from None


def save_state(run: Run, folder: Path) -> None:
    """Store what a resumed run needs: parameters, Adam moments, loss history, step."""
    tensors = {f"model.{k}": v for k, v in run.model.state_dict().items()}
    parameters = dict(run.model.named_parameters())
    for name, parameter in parameters.items():
        for moment in ("exp_avg", "exp_avg_sq"):
            if parameter in run.optimizer.state:
                tensors[f"{moment}.{name}"] = run.optimizer.state[parameter][moment]
    tensors["losses"] = torch.tensor(run.losses, dtype=torch.float64)
    metadata = {"step": str(run.step), "seconds": str(run.seconds), "fingerprint": run.recipe.fingerprint}
    save_atomically(tensors, folder / STATE, metadata)


def restore_state(run: Run, folder: Path) -> None:
    """Load a stored state into a run at step 0.

    Raises:
        LabError: the state is damaged or belongs to another recipe.
    """
    path = folder / STATE
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as fault:
        raise LabError(
            f"expected a training state in {path}",
            f"it cannot be read: {fault}",
            hint=f"remove {path.name} to start anew; nothing else in the folder depends on it",
        ) from None
    if metadata.get("fingerprint") != run.recipe.fingerprint:
        raise LabError(
            f"expected a state of recipe {run.recipe.name} ({run.recipe.fingerprint})",
            f"{path} holds a state of another recipe ({metadata.get('fingerprint')})",
            hint="train into another folder with --out DIR, or pass the seed that the folder was started with",
        )
    run.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, strict=True)
    run.step, run.seconds = int(metadata["step"]), float(metadata["seconds"])
    run.losses = tensors["losses"].tolist()
    for name, parameter in run.model.named_parameters():
        if run.step:
            run.optimizer.state[parameter] = {
                "step": torch.tensor(float(run.step)),
                "exp_avg": tensors[f"exp_avg.{name}"].to(parameter.device),
                "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(parameter.device),
            }


def _claim_folder(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Refuse to overwrite a run by accident; note the recipe in a new folder."""
    noted = folder / RECIPE
    if noted.exists() and noted.read_text() != recipe.to_json():
        raise LabError(
            f"expected {folder} to be empty or to hold a run of {recipe.name} ({recipe.fingerprint})",
            "it holds a run of another recipe or seed",
            hint="train into another folder with --out DIR",
        )
    if (folder / STATE).exists() and not resume:
        raise LabError(
            f"expected {folder} to be free",
            "it holds an unfinished or finished run of this recipe",
            hint="continue it with --resume, or train into another folder with --out DIR",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        noted.write_text(recipe.to_json())
    except OSError as fault:
        raise LabError(
            f"expected to write into {folder}",
            f"the system says: {fault}",
            hint="choose a folder that you may write to, with --out DIR",
        ) from None


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
    """Train a recipe into a folder, or continue there.

    The folder receives ``recipe.json``, ``state.safetensors`` (for resumption), ``checkpoints/step-N.safetensors`` and,
    at the end, ``model.safetensors`` and ``report.json``. Ctrl-C stores the state before it ends the run.

    Raises:
        LabError: the folder belongs to another recipe, holds a run and `resume` is false, or cannot be written.
        KeyboardInterrupt: after the state was stored.
    """
    _claim_folder(recipe, folder, resume)
    run = start(recipe, device)
    if (folder / STATE).exists():
        restore_state(run, folder)
    bar = progress(range(run.step, recipe.steps), f"train {recipe.name}", total=recipe.steps, initial=run.step)
    try:
        _loop(run, task, folder, bar, save_every_seconds, on_step)
    except BaseException:
        save_state(run, folder)
        raise
    save_state(run, folder)
    save_atomically(run.model.state_dict(), folder / WEIGHTS, {"recipe": recipe.to_json()})
    report = {"name": recipe.name, "fingerprint": recipe.fingerprint, "steps": run.step, "seconds": round(run.seconds, 1)}
    report |= {"final_loss": final_loss(run), "loss_every_50": run.losses[::50]}
    (folder / REPORT).write_text(json.dumps(report, indent=1))
    return run


def _loop(run: Run, task: Task, folder: Path, bar, save_every_seconds: float, on_step) -> None:
    recipe, keep = run.recipe, set(run.recipe.checkpoint_steps)
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
        if time.monotonic() - saved > save_every_seconds:
            save_state(run, folder)
            saved = time.monotonic()
    if recipe.steps in keep:
        _keep_checkpoint(run, folder)


def _keep_checkpoint(run: Run, folder: Path) -> None:
    path = folder / "checkpoints" / f"step-{run.step:06d}.safetensors"
    save_atomically(run.model.state_dict(), path, {"step": str(run.step), "fingerprint": run.recipe.fingerprint})
