"""The clock of the parallel scheme beside that of the sequential one, and what each achieves.

A clock alone would favour the scheme that does less: the share of posts that are still rude stands
beside each. The second process takes seconds to start, and they count.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

from helpers import zoo
from helpers.detox.finetune.parallel import tune_parallel
from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.finetune.running import Tuned, one_thread
from helpers.detox.finetune.sequential import tune
from helpers.detox.finetune.targets import new_target
from helpers.detox.networks import Policy, frozen, plain
from helpers.detox.oracle import separate
from helpers.detox.posts import PostLabel, corpus, exact_shares, prompts
from helpers.timing import Ratio

PLAN = TuningPlan(steps=96, iterations=4)
OURS = "two processes, stale q"
EVERY = 16
"""Of how many prompts one is judged."""


def measure(plan: TuningPlan = PLAN, rounds: int = 1) -> list[Ratio]:
    """The ratios of ``bench detox``: two processes against one, with a fresh q and with the same.

    The first oracle is fitted beforehand and given to all of them. They take turns; each lasts so
    long that none needs a turn to warm up.

    Raises:
        LabError: This process may use one core only.
    """
    base = plain(zoo.load("tinyworld", device="cpu"))
    with one_thread():
        first, _ = new_target(plan, 0, frozen(base), separate(plan.seed), fitted=False)
    texts, stale = corpus("mixed", plan.seed), replace(plan, stale=True)
    sides: dict[str, Callable[[], Tuned]] = {
        OURS: partial(tune_parallel, base, texts, stale, first.oracle),
        "one process, fresh q": partial(tune, base, texts, plan, first.oracle),
        "one process, stale q": partial(tune, base, texts, stale, first.oracle),
    }
    clocks: dict[str, list[float]] = {name: [] for name in sides}
    rude = {}
    for _ in range(rounds):
        for name, side in sides.items():
            began = time.perf_counter()
            tuned = side()
            clocks[name].append(time.perf_counter() - began)
            rude[name] = _rude(tuned)
    seconds = {name: median(each) for name, each in clocks.items()}
    return [_ratio(plan, name, seconds, rude) for name in sides if name != OURS]


def _ratio(
    plan: TuningPlan, other: str, seconds: dict[str, float], rude: dict[str, float]
) -> Ratio:
    return Ratio(
        name="detox: a tuning in two processes",
        ratio=seconds[other] / seconds[OURS],
        ours_seconds=seconds[OURS],
        other_seconds=seconds[other],
        other=other,
        note=f"{plan.steps} steps in {plan.iterations} iterations, λ = {plan.kl_weight:g}, one "
        f"thread a process; exact share of rude posts {rude[OURS]:.4f}, other {rude[other]:.4f}",
    )


def _rude(tuned: Tuned) -> float:
    shares = exact_shares(Policy(tuned.network), prompts()[::EVERY])
    return float(shares[:, PostLabel.RUDE].mean())
