"""How much is done on a real model, and the pieces in which it is kept."""

from dataclasses import asdict, dataclass
from typing import Any

from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import at_least, check_count, positive_row

RIVALS = ("plain", "filtered", "dpo", "grpo")
"""What the method is compared with. The last two are those of `trl`."""


@dataclass(frozen=True)
class HubPlan:
    """How much is done. The first numbers are chosen for a T4; on a CPU fewer do the same path.

    Attributes:
        kl_weights: λ, one run of the method each.
        rivals: Of `RIVALS`.
        steps: Steps of every tuning, the same for all.
        batch: Texts a step; as many accepted samples where λ is above 0.
        rate: Highest learning rate of AdamW.
        rehearsal: Weight of KL(base ‖ p) on clean text of the corpus, in the method alone.
        toxic_share: τ, of the corpus.
        iterations: How often the model's own samples are drawn and the auxiliary model is fitted.
        first_samples, samples: Samples of the first iteration, and of each later one.
        fits, refits: Steps of the auxiliary model's first fit, and of those after it.
        width, layers: Of the auxiliary model.
        prompts: Prompts that are asked; half to sample on, half to judge by.
        tries: Continuations of a prompt that are judged.
        new: Tokens of a continuation.
        top_p: Nucleus that the judged continuations are drawn from. Those that the auxiliary model
            learns from are drawn from the model itself: R is a chance under it.
        longest: Tokens of a prompt, or of a text that is tuned on, at most.
        held_out: Clean texts that perplexity is measured on.
        adapter: Train an adapter of low rank by `peft`; False trains every weight.
        rank: Of the adapter.
        seed: Of everything random.

    >>> HubPlan(steps=20).kl_weights
    (2.0, 10.0)
    """

    kl_weights: tuple[float, ...] = (2.0, 10.0)
    rivals: tuple[str, ...] = ("plain", "filtered")
    steps: int = 200
    batch: int = 16
    rate: float = 2e-4
    rehearsal: float = 2.0
    toxic_share: float = 0.5
    iterations: int = 2
    first_samples: int = 2048
    samples: int = 1024
    fits: int = 300
    refits: int = 60
    width: int = 64
    layers: int = 2
    prompts: int = 200
    tries: int = 25
    new: int = 20
    top_p: float = 0.9
    longest: int = 64
    held_out: int = 64
    adapter: bool = True
    rank: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            check_count(f"plan's {name}", getattr(self, name), least=least)
        weights = positive_row(self.kl_weights, "weights λ") if self.kl_weights else []
        object.__setattr__(self, "kl_weights", tuple(weights))
        positive_row([self.rate], "learning rates")
        at_least(0, self.rehearsal, "as rehearsal")
        check_share("toxic_share", self.toxic_share)
        check_share("top_p", self.top_p, above=True)
        rivals = [self.rivals] if isinstance(self.rivals, str) else list(self.rivals)
        object.__setattr__(self, "rivals", tuple(rivals))
        if unknown := [each for each in rivals if each not in RIVALS]:
            raise LabError(f"expected rivals: {', '.join(RIVALS)}", f"got {unknown[0]!r}")
        if self.iterations > self.steps:
            raise LabError(
                "expected a step or more in each iteration",
                f"got {self.steps} steps and {self.iterations} iterations",
            )

    @property
    def ends(self) -> list[int]:
        """The step after each iteration."""
        return [round((t + 1) * self.steps / self.iterations) for t in range(self.iterations)]

    def as_json(self) -> dict[str, Any]:
        """The plan as it is stored: without what only says which arms there are."""
        arms = ("kl_weights", "rivals")
        return {name: value for name, value in asdict(self).items() if name not in arms}


def check_share(name: str, value: Any, above: bool = False) -> None:
    """Refuse what is no share from 0 to 1.

    Args:
        above: Refuse 0 as well.

    Raises:
        LabError: It is none.

    >>> check_share("top_p", 0.0, above=True)
    Traceback (most recent call last):
    helpers.errors.LabError: expected a share as top_p; got 0.0
    """
    at_least(0, value, f"as {name}")
    if value > 1 or (above and value == 0):
        raise LabError(f"expected a share as {name}", f"got {value!r}")


LEAST = {
    "steps": 1,
    "batch": 2,
    "iterations": 1,
    "first_samples": 2,
    "samples": 2,
    "fits": 1,
    "refits": 1,
    "width": 4,
    "layers": 1,
    "prompts": 2,
    "tries": 1,
    "new": 1,
    "longest": 2,
    "held_out": 1,
    "rank": 1,
    "seed": 0,
}
"""Whole numbers of a plan, and the least of each."""
HUB_PLAN = HubPlan()


@dataclass(frozen=True)
class HubCell:
    """One piece: "oracle", the first auxiliary model, or an arm."""

    kind: str
    kl_weight: float = 0.0

    def __str__(self) -> str:
        return f"λ = {self.kl_weight:g}" if self.kl_weight else self.kind

    @property
    def file(self) -> str:
        """Name of its file in the folder."""
        return file_of(f"constrained {self.kl_weight:g}" if self.kl_weight else self.kind)


ORACLE, BASE = HubCell("oracle"), HubCell("base")


def arms_of(plan: HubPlan) -> list[HubCell]:
    """What is judged: the model as it is, the rivals, and the method at each λ.

    >>> [str(arm) for arm in arms_of(HubPlan(kl_weights=(2.0,)))]
    ['base', 'plain', 'filtered', 'λ = 2']
    """
    method = [HubCell("constrained", weight) for weight in plan.kl_weights]
    return [BASE, *(HubCell(name) for name in plan.rivals), *method]
