"""What is measured of a model before and after: questions, models, and the cells of both.

=================================  ===========================================================
key                                a cell is
=================================  ===========================================================
``QUESTION/base``                  what the question says of the model before anything is done
``QUESTION/checkpoint N``          the same of the model while it was young
``QUESTION/MODEL/seed S``          a tuned model, beside the base
=================================  ===========================================================
"""

import re
from dataclasses import asdict, dataclass
from typing import Any

from helpers.detox.study import DETOX_PLAN, HIGH, DetoxCell, method_cell, rival_cell
from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import check_count

BASE, CHECKPOINT = "base", "checkpoint"
QUESTIONS = ("probes", "groups", "offset", "attack", "neurons", "writers", "circuits", "masks")
"""Is the concept gone? Which weights undo the change? Is it one offset? How soon is it undone? Do
neurons explain it? Who writes it? Which edges, and which weights, go on with a post?"""
MODELS = ("method", "method without posts", "exact filter", "dpo", "plain", "activation editing")
"""The models after: tuned under the constraint on posts half of which are rude, or on other text
alone; on the kind posts of them; by preferences; on all of them; and the base with a vector taken
off."""
OF_CHANGE = ("groups", "offset", "attack", "neurons", "masks")
"""Questions that are asked of the change of the rude share."""
OF_WEIGHTS = ("groups", "attack", "neurons", "writers", "circuits", "masks")
"""Questions that are asked of weights: where only a vector is taken off, they are the base's."""
FEW = ("neurons", "writers", "circuits", "masks")
"""Questions that are asked of fewer tunings."""
UNTRAINED, BEFORE_POSTS = 0, (113, 292)
"""Checkpoints of the base: before training, and before it writes posts."""
EMERGENCE = (0, 113, 292, 468, 752, 952, 1206, 1936, 3106)
"""Checkpoints at which the concept may appear."""


@dataclass(frozen=True)
class ChangeCell:
    """What one piece of the study is of.

    Attributes:
        question: One of `QUESTIONS`.
        model: "base", "checkpoint N", or one of `MODELS`.
        seed: Of the tuning; None where nothing was tuned.
    """

    question: str
    model: str
    seed: int | None = None

    def __str__(self) -> str:
        end = [] if self.seed is None else [f"seed {self.seed}"]
        return "/".join([self.question, self.model, *end])

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        return file_of(str(self))

    @property
    def step(self) -> int | None:
        """The step of a checkpoint; None for another model."""
        number = re.fullmatch(rf"{CHECKPOINT} (\d+)", self.model)
        return int(number[1]) if number else None

    @classmethod
    def read(cls, key: str) -> "ChangeCell":
        """The cell of a key.

        Raises:
            LabError: The text is no key.

        >>> ChangeCell.read("offset/exact filter/seed 2").seed
        2
        """
        said = re.fullmatch(r"([^/]+)/([^/]+)(?:/seed (\d+))?", str(key))
        if said is not None:
            cell = cls(said[1], said[2], None if said[3] is None else int(said[3]))
            tuned = cell.model in MODELS and cell.seed is not None
            untuned = (cell.model == BASE or cell.step is not None) and cell.seed is None
            if cell.question in QUESTIONS and (tuned or untuned):
                return cell
        raise LabError("expected a key of a question's cell, such as 'probes/base'", f"got {key!r}")


@dataclass(frozen=True)
class ChangePlan:
    """How much is measured.

    Attributes:
        seeds: Tunings of every model.
        few: Tunings of which some questions are asked (`FEW`).
        prompts: Prompts after which shares are exact: of every second person.
        posts: Posts that are read, of everybody; what is fitted or ranked is so on every second
            one.
        attack_posts: Numbers of rude posts that a model is tuned on.
        attack_steps: Steps of such a tuning after which it is judged.
        neurons: Numbers of neurons whose activations are put back.
        dimensions: Numbers of directions that may explain a change.
        pairs: Number of posts with a twin, by which edges are scored.
        mask_steps: Steps of a search for a mask.
    """

    seeds: int = 3
    few: int = 3
    prompts: int = 2
    posts: int = 512
    attack_posts: tuple[int, ...] = (4, 64)
    attack_steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    neurons: tuple[int, ...] = (10, 50, 200, 1024)
    dimensions: tuple[int, ...] = (1, 2, 4, 8, 16)
    pairs: int = 64
    mask_steps: int = 60

    def __post_init__(self) -> None:
        counts = {"number of seeds": self.seeds, "number of prompts": self.prompts}
        counts |= {"number of seeds of few": self.few}
        for what, count in counts.items():
            check_count(what, count, least=1)
        check_count("number of posts", self.posts, least=16)
        check_count("number of pairs", self.pairs, least=2)
        check_count("number of steps", self.mask_steps, least=1)
        for name in ("attack_posts", "attack_steps", "neurons", "dimensions"):
            rising = getattr(self, name)
            if not rising or list(rising) != sorted(set(rising)):
                raise LabError(f"expected rising numbers as {name}", f"got {rising!r}")
            for count in rising:
                check_count(f"number in {name}", count, least=1)

    def asked(self, question: str) -> range:
        """The seeds of the tunings of which a question is asked.

        >>> [list(ChangePlan(seeds=3, few=1).asked(name)) for name in ("probes", "masks")]
        [[0, 1, 2], [0]]
        """
        return range(self.few if question in FEW else self.seeds)

    def as_json(self) -> dict[str, Any]:
        """The plan as it is stored."""
        return {name: _as_list(value) for name, value in asdict(self).items()}

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "ChangePlan":
        """The plan that was stored."""
        said: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in raw.items()}
        return cls(**said)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


CHANGE_PLAN = ChangePlan()


def tuned_cell(model: str, seed: int) -> DetoxCell:
    """The cell of the study of constrained tuning that has a model.

    Raises:
        LabError: No such model, or a seed that is none.

    >>> str(tuned_cell("method without posts", 1))
    'method/no forum/kl 10/120 steps/seed 1'
    """
    check_count("seed", seed)
    steps = DETOX_PLAN.steps
    if model in ("method", "method without posts"):
        setting = "mixed" if model == "method" else "no forum"
        return method_cell(setting, HIGH, steps, seed)
    if model in ("plain", "exact filter"):
        return rival_cell(model, "mixed", 1 if model == "plain" else HIGH, steps, seed)
    if model not in MODELS:
        raise LabError(f"expected a model after tuning: {', '.join(MODELS)}", f"got {model!r}")
    return DetoxCell(model, seed=seed)


def change_cells(plan: ChangePlan = CHANGE_PLAN) -> list[ChangeCell]:
    """Every cell of a plan: the controls first, then all models of one seed, and of the next.

    >>> [str(cell) for cell in change_cells()][:2]
    ['probes/base', 'probes/checkpoint 0']
    """
    found = [ChangeCell("probes", BASE)]
    found += [ChangeCell("probes", f"{CHECKPOINT} {step}") for step in EMERGENCE]
    found += [ChangeCell("attack", f"{CHECKPOINT} {step}") for step in BEFORE_POSTS]
    found += [ChangeCell("writers", BASE)]
    for seed in range(max(plan.seeds, plan.few)):
        for question in QUESTIONS:
            if seed in plan.asked(question):
                found += [ChangeCell(question, model, seed) for model in models_of(question)]
    return found


def models_of(question: str) -> tuple[str, ...]:
    """The models that a question is asked of.

    Plain tuning leaves posts as rude as they are: there is no change to explain or to undo. Where a
    vector is taken off, no weight has changed: there is none to put back or to tune again, and no
    sum of what was written. A mask is learned for the model that changed most.

    Raises:
        LabError: No such question.

    >>> "activation editing" in models_of("groups")
    False
    """
    if question not in QUESTIONS:
        raise LabError(f"expected a question: {', '.join(QUESTIONS)}", f"got {question!r}")
    left_out = {"plain"} if question in OF_CHANGE else set()
    if question in OF_WEIGHTS:
        left_out |= {"activation editing"}
    if question == "masks":
        left_out |= {"method", "exact filter", "dpo"}
    return tuple(model for model in MODELS if model not in left_out)
