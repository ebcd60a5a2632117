"""When the target of an iteration is made: before its steps, or beside those of the one before.

    in turns    begin(t): make the target of p_t, then the steps of iteration t use it
    stale       begin(0): as above; begin(t): ask for the target of p_t; the steps use that of
                p_{t−1}; end(t): take what was asked for

Who makes a target is told what to make and asked for it later. In one process that is a call; in
two, the steps go on in between. The numbers are the same.
"""

import copy
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.finetune.steps import TuningRun
from helpers.detox.finetune.targets import FrozenTarget, new_target
from helpers.detox.finetune.weight import next_weight
from helpers.detox.networks import frozen
from helpers.detox.oracle import Oracle, Scorer, separate

Made: TypeAlias = tuple[FrozenTarget, dict[str, float]]
"""A target, and the CPU seconds of its parts."""


class Maker(Protocol):
    """Who makes targets."""

    def ask(self, **work: Any) -> None:
        """Tell what is to be made: the arguments of `new_target`."""
        ...

    def answer(self) -> Made:
        """What was made."""
        ...


class Here:
    """Targets are made by this process, when they are asked for."""

    def ask(self, **work: Any) -> None:
        """Keep in mind what is to be made."""
        self.work = work

    def answer(self) -> Made:
        """Make it."""
        return new_target(**self.work)


@dataclass
class Iterations:
    """The iterations of a run.

    Attributes:
        maker: Who makes targets.
        begun: The oracle before the first target.
        fitted: Whether that one is fitted.
        asked: Whether a target is being made beside the steps.
    """

    maker: Maker
    begun: Oracle | None
    fitted: bool
    scorer: Scorer | None
    asked: bool = False

    @classmethod
    def of(
        cls, maker: Maker, plan: TuningPlan, oracle: Oracle | None, scorer: Scorer | None = None
    ) -> "Iterations":
        """Those of a plan, which begin with a copy of a fitted oracle or with one that has learned
        nothing; with none where the plan is plain tuning."""
        begun = copy.deepcopy(oracle) if oracle is not None else separate(plan.seed)
        return cls(maker, begun if plan.constrained else None, oracle is not None, scorer)

    def begin(self, run: TuningRun, iteration: int) -> None:
        """Before the model's steps of an iteration, counted from 0."""
        if not run.plan.constrained:
            return
        beside = run.plan.stale and iteration > 0
        if beside and iteration == run.plan.iterations - 1:
            return  # nobody would need it
        target = run.target
        self.maker.ask(
            plan=run.plan,
            iteration=iteration,
            base=frozen(run.network),
            oracle=self.begun if target is None else target.oracle,
            fitted=self.fitted or target is not None,
            scorer=self.scorer,
        )
        if beside:
            self.asked = True
        else:
            adopt(run, self.maker.answer())

    def end(self, run: TuningRun) -> None:
        """After them."""
        if self.asked:
            adopt(run, self.maker.answer())
            self.asked = False


def adopt(run: TuningRun, made: Made) -> None:
    """A new target takes the place of the last one; λ follows where the plan is adaptive."""
    run.target, seconds = made
    for name, spent in seconds.items():
        run.seconds[name] += spent
    plan = run.plan
    if plan.adaptive is not None:
        share = run.target.violations
        run.kl_weight = next_weight(run.kl_weight, share, plan.adaptive, plan.controller, plan.pace)
