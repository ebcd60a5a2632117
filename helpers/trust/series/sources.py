"""A model at many steps of its training: one checkpoint at a time, whatever the weights come from.

====================  =============================================================================
`embedded`            an embedded model with its training history, such as ``tinyworld``
`run_folder`          the checkpoints of ``python -m helpers train``
`folders`             Hugging Face folders named ``step-100``, ``checkpoint-100`` and the like
`hub`                 revisions of a repository on the Hugging Face hub
`pythia`              the same for Pythia, by its known steps
====================  =============================================================================

Nothing is loaded before it is asked for. A checkpoint from the hub is downloaded into a temporary
folder, loaded, and the folder removed at once, so the disk holds one checkpoint however long the
series is; a killed process leaves one behind, which the next one clears away. Weights are raw, in
float32, on `runtime.device()`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from safetensors import safe_open

from helpers import runtime, training, zoo
from helpers.errors import LabError
from helpers.model import Model
from helpers.texts import Vocabulary
from helpers.training import WEIGHTS, WORDS, read_recipe
from helpers.trust.series import integrity, streaming
from helpers.trust.series.integrity import Prints
from helpers.trust.series.steps import choose, few

STEP_NAME = re.compile(r"(?:step|checkpoint|global_step)[-_]?(\d+)")
PYTHIA_STEPS = (0, *(2**k for k in range(10)), *range(1000, 143_001, 1000))
PYTHIA_DEFAULT = (0, 4, 16, 64, 128, 256, 512, *(1000 * 2**k for k in range(7)), 143_000)


@dataclass(frozen=True)
class Checkpoint:
    """One loaded step: the model, in evaluation mode, and the fingerprints of its weights."""

    step: int
    model: Model
    prints: Prints


@dataclass(frozen=True)
class Series:
    """Checkpoints of one training run; the kinds below say where they lie.

    Attributes:
        name: Name of the model.
        steps: Optimiser steps, ascending.
        notes: What `check` left out, and why.
    """

    name: str
    steps: tuple[int, ...]
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    streamed: ClassVar[bool] = False
    """Whether reading a checkpoint means downloading it."""

    @contextmanager
    def on_disk(self, step: int) -> Iterator[Path]:
        """The weight file or the folder of a step, for as long as the ``with`` lasts."""
        raise NotImplementedError

    def build(self, path: Path) -> Model:
        """The model of a file or folder that `on_disk` gave."""
        return zoo.load(str(path))

    def read(self, step: int) -> Checkpoint:
        """Model and fingerprints from one reading of a step.

        Raises:
            LabError: A step that the series does not have, or a checkpoint that cannot be loaded.
        """
        self._check_step(step)
        with self.on_disk(step) as path:
            return Checkpoint(step, self.build(path), _prints(path))

    def load(self, step: int) -> Model:
        """The model at a step, a `TransformerBridge` in evaluation mode."""
        self._check_step(step)
        with self.on_disk(step) as path:
            return self.build(path)

    def prints(self, step: int) -> Prints:
        """Fingerprints of all weights at a step (`integrity`), without building the model."""
        self._check_step(step)
        with self.on_disk(step) as path:
            return _prints(path)

    def digest(self, step: int) -> str:
        """One hash of all weights at a step."""
        return integrity.digest(self.prints(step))

    def stamp(self, step: int) -> str:
        """What tells results of this step from those of other weights, without a download."""
        return self.digest(step)

    def only(self, steps: Iterable[int]) -> "Series":
        """The same series with fewer steps.

        Raises:
            LabError: A step that the series does not have.
        """
        return replace(self, steps=choose(self.steps, steps, self.name))

    def _check_step(self, step: int) -> None:
        if step not in self.steps:
            raise LabError(f"expected a step of {self.name}: {few(self.steps)}", f"got {step}")


def check(series: Series, allow_duplicates: bool = False) -> Series:
    """The series, after the weights of every checkpoint were compared with those of all others.

    On the hub this downloads each checkpoint once; `sweep` makes the same check on the way, without
    a second download.

    Args:
        allow_duplicates: Leave out the later of two neighbours with the same weights and say so in
            `notes`, as Pythia's step 1. Twins with other weights between them are refused all the
            same (`integrity.settle`).

    Raises:
        LabError: A step without weights; duplicated or partly duplicated ones, naming the steps.
    """
    kept, notes = integrity.settle(
        series.name, {step: series.prints(step) for step in series.steps}, allow_duplicates
    )
    return replace(series, steps=kept, notes=series.notes + notes)


def _prints(path: Path) -> Prints:
    """Fingerprints of the weights in a file or folder; LabError if it holds none."""
    prints = integrity.of_files(sorted(path.glob("*.safetensors")) if path.is_dir() else [path])
    if not prints:
        raise LabError(
            f"expected weights in {path}",
            "there is no tensor in any file *.safetensors",
            hint="finish the download, or leave the step out: series.only(steps)",
        )
    return prints


@dataclass(frozen=True)
class _Embedded(Series):
    def load(self, step: int) -> Model:
        self._check_step(step)
        return zoo.load(self.name, step=step)

    def read(self, step: int) -> Checkpoint:
        model = self.load(step)
        return Checkpoint(step, model, integrity.of_tensors(model.state_dict()))

    def prints(self, step: int) -> Prints:
        return self.read(step).prints


def embedded(name: str, steps: Iterable[int] | None = None) -> Series:
    """The training history of an embedded model, as far as it is shipped.

    It has at least the trained model.
    Earlier checkpoints are stored with eight bits a weight (`helpers.training.series_file`), the
    last one in full.

    Raises:
        LabError: No such model, or a step that is not stored.
    """
    return _Embedded(name, choose(zoo.entry(name).steps, steps, f"the embedded model {name}"))


@dataclass(frozen=True)
class _RunFolder(Series):
    folder: Path

    @contextmanager
    def on_disk(self, step: int) -> Iterator[Path]:
        yield self.folder / "checkpoints" / f"step-{step:06d}.safetensors"

    def build(self, path: Path) -> Model:
        model = zoo.into_model(
            training.build_model(read_recipe(self.folder)), path, "train the model again"
        ).eval()
        final = self.folder / WEIGHTS
        # a vocabulary is stored with the final weights only
        if model.tokenizer is None and final.exists():
            with safe_open(final, framework="pt") as handle:
                words = (handle.metadata() or {}).get(WORDS, "").split()
            if words:
                Vocabulary(tuple(words)).attach(model)
        # the move prints a line
        return model if runtime.device() == "cpu" else model.to(runtime.device())


def run_folder(folder: Path | str, steps: Iterable[int] | None = None) -> Series:
    """The checkpoints of a training run (`helpers.training`).

    Args:
        steps: Which steps; without them all that the recipe promises, so that a gap is noticed.

    Raises:
        LabError: No run in the folder, a recipe that keeps no checkpoints, or a checkpoint that is
            missing.
    """
    folder = Path(folder)
    recipe = read_recipe(folder)
    stems = (file.stem for file in folder.glob("checkpoints/*.safetensors"))
    there = [step for stem in stems if (step := _step_of(stem)) is not None]
    chosen = choose(there, recipe.checkpoint_steps if steps is None else steps, folder)
    return _RunFolder(recipe.name, chosen, folder)


@dataclass(frozen=True)
class _Folders(Series):
    folder: Path
    names: tuple[str, ...]

    @contextmanager
    def on_disk(self, step: int) -> Iterator[Path]:
        yield next(self.folder / name for name in self.names if _step_of(name) == step)


def _step_of(name: str) -> int | None:
    """The step that a folder's or a file's name says, or None."""
    match = STEP_NAME.fullmatch(name)
    return int(match[1]) if match else None


def folders(folder: Path | str, steps: Iterable[int] | None = None) -> Series:
    """Hugging Face folders, one for each checkpoint, inside one folder.

    Args:
        steps: Which steps; without them all that are there. Name them where a gap must be noticed.

    Raises:
        LabError: No such folder, none or two of a step, or a step that is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LabError(f"expected a folder of checkpoints in {folder}", "it does not exist")
    children = sorted(child.name for child in folder.iterdir() if child.is_dir())
    there = {name: step for name in children if (step := _step_of(name)) is not None}
    twice = [step for step, count in sorted(Counter(there.values()).items()) if count > 1]
    if twice:
        raise LabError(f"expected one folder a step in {folder}", f"step {twice[0]} has several")
    chosen, whole = choose(there.values(), steps, folder), folder.resolve()
    return _Folders(whole.name, chosen, whole, tuple(there))


@dataclass(frozen=True)
class _Hub(Series):
    repository: str
    pattern: str

    streamed: ClassVar[bool] = True

    @contextmanager
    def on_disk(self, step: int) -> Iterator[Path]:
        with streaming.temporary_folder() as folder:
            streaming.download(self.repository, self.pattern.format(step=step), folder)
            yield folder

    def build(self, path: Path) -> Model:
        return streaming.own(super().build(path))

    def stamp(self, step: int) -> str:
        """Repository and revision, as the weights' own hash would cost a download.

        Branches of finished runs do not move.
        """
        return f"{self.repository}@{self.pattern.format(step=step)}"


def hub(repository: str, steps: Iterable[int], pattern: str = "step{step}") -> Series:
    """Checkpoints that are revisions of a repository on the hub, streamed one at a time.

    Args:
        repository: ``owner/model``; safetensors only, as everywhere.
        steps: Which steps.
        pattern: The revision of a step: ``"step{step}"`` for Pythia, ``"step-{step}"`` for
            SmolLM2's checkpoints.
    """
    steps = tuple(sorted(set(steps)))
    return _Hub(repository.split("/")[-1], choose(steps, None, repository), repository, pattern)


def pythia(name: str = "pythia-70m", steps: Iterable[int] | None = None) -> Series:
    """Checkpoints of a Pythia model (Biderman et al. 2023, arXiv 2304.01373), from the hub.

    154 steps of 2 097 152 tokens are published: 0, 1, 2, 4, …, 512, then every 1 000 to 143 000
    (`PYTHIA_STEPS`). Without `steps` this takes 15 of them, about log-spaced (`PYTHIA_DEFAULT`).
    Known faults, all caught by `check`: step 1 equals step 0 in every model, because the learning
    rate of the first warm-up step is 0, and a report says the same of step 2; pythia-2.8b serves
    final weights at 86 steps; pythia-12b has foreign parts at steps 50 000 and 58 000; some seeds
    of 410m lack steps (EleutherAI/pythia issues 83, 198, 205, 206, 202). No text began with a
    beginning-of-text token in training, so `activations.encode` puts none.

    Args:
        name: Such as ``"pythia-70m"``, ``"pythia-160m-deduped"``, ``"pythia-70m-seed3"``.

    Raises:
        LabError: Another model's name, or a step that was not published.

    >>> pythia("pythia-70m", steps=(0, 512, 1000)).steps
    (0, 512, 1000)
    """
    short = name.removeprefix("EleutherAI/")
    if not re.fullmatch(r"pythia-[\w.-]+", short):
        raise LabError(
            "expected a Pythia model, such as pythia-70m or pythia-160m-deduped", f"got {name!r}"
        )
    chosen = choose(PYTHIA_STEPS, PYTHIA_DEFAULT if steps is None else steps, f"EleutherAI/{short}")
    return _Hub(short, chosen, f"EleutherAI/{short}", "step{step}")
