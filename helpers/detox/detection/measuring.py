"""Generating and detecting with one model: does the constraint on one task help or harm the other?

============================  =======================================================
arm                           learns, beside verdicts and the other text
============================  =======================================================
``detection``                 nothing
``detection + text``          posts, half of them rude
``detection + text + KL``     posts, and the pull towards kind ones
``detection + KL``            the pull alone
============================  =======================================================

All arms start from one early checkpoint, which writes posts and cannot judge them yet, see the same
labelled posts in the same order, and take the same steps. With many right labels every arm is
perfect after 120 steps, and nothing can be told: labels are few and partly wrong.

The pull is no free help: through the oracle it brings thousands of right labels of the model's own
samples with it. What an arm with it gains may be these, so its control is ``detection`` with as
many labels, none of them wrong.

Source: the second experiment of arXiv 2410.05559, on detection.
"""

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.detox.detection.task import (
    LabelledPosts,
    detection_auc,
    detection_loss,
    labelled_posts,
)
from helpers.detox.finetune import TuningPlan, TuningRun
from helpers.detox.finetune.iterations import Here, Iterations
from helpers.detox.finetune.running import prepared, run_through
from helpers.detox.judging import sample_shares, sampled_posts
from helpers.detox.judging.toxicity import exact, rounded
from helpers.detox.networks import Plain, Policy, frozen, plain
from helpers.detox.oracle import FitPlan, Oracle, SuccessOracle, fit, labelled_samples, separate
from helpers.detox.posts import corpus
from helpers.errors import LabError
from helpers.inputs import check_count

MODEL = "tinyworld"
ITERATIONS = 3
EXACT_PROMPTS = 2
"""Prompts whose posts are followed to their end; other prompts have nearly the same shares."""
VERDICTS = 4
"""Number of the random stream that draws labelled posts; those of a tuning are 1 to 3."""


@dataclass(frozen=True)
class Arm:
    """What a model learns beside verdicts.

    Attributes:
        text: Whether it learns posts, half of which are rude.
        constrained: Whether it is pulled towards kind posts.
    """

    text: bool
    constrained: bool


ARMS: dict[str, Arm] = {
    "detection": Arm(text=False, constrained=False),
    "detection + text": Arm(text=True, constrained=False),
    "detection + text + KL": Arm(text=True, constrained=True),
    "detection + KL": Arm(text=False, constrained=True),
}
"""The arms, by name."""


@dataclass(frozen=True)
class DetectionPlan:
    """What is the same in every arm.

    Attributes:
        batch: Labelled posts a step.
        kl_weight: λ of the arms with the pull.
        rate: Highest learning rate.
        first_samples, first_fit: Samples of the checkpoint, and steps, from which the first oracle
            is fitted: one for all seeds.
        samples: Posts after each of 48 prompts, in the test.
    """

    batch: int = 32
    kl_weight: float = 10.0
    rate: float = 1e-3
    first_samples: int = 4096
    first_fit: int = 300
    samples: int = 10


PLAN = DetectionPlan()


def measure(
    arm: str,
    labels: int,
    noise: float,
    seed: int,
    steps: int,
    checkpoint: int,
    plan: DetectionPlan = PLAN,
) -> dict[str, Any]:
    """Train one arm, and measure both tasks.

    Args:
        arm: One of `ARMS`.
        labels: How many labelled posts there are.
        noise: Chance that a label is wrong.
        seed: Seed of labels, corpus, batches and samples; the test posts are always the same.
        checkpoint: Step of the model's training to start from.

    Returns:
        ``auc`` of the verdicts on held-out posts, ``right`` the share of labels that are;
        ``rude``, ``kind``, ``garbled`` exact and with ``sampled`` from samples; ``seconds`` of CPU;
        and under ``base`` the AUC and shares of the checkpoint.

    Raises:
        LabError: No such arm or checkpoint, or numbers that no training can follow.
    """
    if arm not in ARMS:
        raise LabError(f"expected an arm of detection: {', '.join(ARMS)}", f"got {arm!r}")
    check_count("number of steps", steps, least=1)
    posts, base = labelled_posts(labels, noise, seed), start(checkpoint)
    oracle = None
    if ARMS[arm].constrained:
        oracle = first_oracle(checkpoint, plan.first_samples, plan.first_fit)
    began = time.process_time()  # the first oracle is one for all seeds, and not counted
    tuning = _tuning(ARMS[arm], plan, steps, seed)
    network = trained(base, ARMS[arm], posts, tuning, plan.batch, oracle)
    seconds = time.process_time() - began
    return {
        "auc": rounded(detection_auc(Policy(network))),
        "right": rounded(float((posts.said == posts.rude).mean())),
        **_shares(network, plan.samples, seed),
        "seconds": round(seconds, 2),
        "base": _base_numbers(checkpoint, plan.samples),
    }


@cache
def start(checkpoint: int) -> Plain:
    """The model at a step of its training, frozen.

    Raises:
        LabError: No such checkpoint.
    """
    return frozen(plain(zoo.load(MODEL, device="cpu", step=checkpoint)))


@cache
def first_oracle(checkpoint: int, samples: int, steps: int) -> SuccessOracle:
    """The oracle of a checkpoint from which every tuning of it begins; half a minute, once."""
    generator, base = torch.Generator().manual_seed(0), start(checkpoint)
    oracle = separate(0)
    drawn = labelled_samples(Policy(base), samples, generator)
    fit(oracle, base, drawn, FitPlan(steps=steps), generator)
    return oracle


@cache
def _base_numbers(checkpoint: int, samples: int) -> dict[str, Any]:
    base = start(checkpoint)
    return {"auc": rounded(detection_auc(Policy(base))), **_shares(base, samples, seed=0)}


def _shares(network: Plain, samples: int, seed: int) -> dict[str, Any]:
    """Exact and sampled shares of what a network writes."""
    shares = exact(Policy(network), EXACT_PROMPTS, complete=True)  # arms may garble much
    drawn = sampled_posts(Policy(network), 48, samples, torch.Generator().manual_seed(seed))
    sampled = sample_shares(drawn)
    names = ("kind", "rude", "garbled")
    return {name: shares[name] for name in names} | {
        "sampled": {name: sampled[name] for name in names}
    }


def _tuning(arm: Arm, plan: DetectionPlan, steps: int, seed: int) -> TuningPlan:
    return TuningPlan(
        steps=steps,
        iterations=min(ITERATIONS, steps),
        rate=plan.rate,
        kl_weight=plan.kl_weight if arm.constrained else 0.0,
        seed=seed,
    )


def trained(
    base: Plain,
    arm: Arm,
    posts: LabelledPosts,
    tuning: TuningPlan,
    batch: int,
    oracle: Oracle | None = None,
) -> Plain:
    """A copy of the base after the steps of one arm: those of a tuning, with a loss of verdicts.

    Args:
        batch: Labelled posts a step.
        oracle: A fitted oracle of the base; without one, the first is fitted here.

    Raises:
        LabError: As `finetune.tune`.
    """
    check_count("number of labelled posts a step", batch, least=1)
    setting = corpus("mixed" if arm.text else "no forum", tuning.seed)
    run = prepared(base, setting, tuning)

    def verdicts(run: TuningRun) -> Float[Tensor, ""]:
        rng = np.random.default_rng([tuning.seed, run.step, VERDICTS])
        drawn = torch.from_numpy(rng.integers(len(posts), size=batch))
        return detection_loss(run.network, posts, drawn)

    run.beside = verdicts
    return run_through(run, Iterations.of(Here(), tuning, oracle), None, None).network
