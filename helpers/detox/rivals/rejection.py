"""Fine-tuning on the model's own accepted samples.

What a model says and the constraint accepts is an exact sample of the target q*, so cross-entropy
on it is an estimate of KL(q* ‖ p) up to a constant: the method without its auxiliary model. What
the auxiliary adds is that each position is told the whole target distribution, instead of the one
word that was drawn. (Spec of paper 5, section 2.3; "rejection-sampling fine-tuning" elsewhere.)

In several rounds each samples from the model that the round before has left. The steps are shared
out among the rounds; optimiser and warm-up begin anew in each, and rehearsal holds a round to the
model that it began with.
"""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.detox.finetune import TuningPlan, tune
from helpers.detox.networks import Plain, Policy
from helpers.detox.oracle import labelled_samples
from helpers.detox.posts import DetoxCorpus
from helpers.detox.rivals.filters import unconstrained
from helpers.detox.rivals.outcome import CPUClock, RivalPolicy
from helpers.errors import LabError
from helpers.inputs import check_count


def rejection_sampling(
    base: Plain, corpus: DetoxCorpus, plan: TuningPlan, rounds: int = 1
) -> RivalPolicy:
    """Cross-entropy on accepted samples in place of the corpus' posts.

    The first round draws ``first_samples``, each later one ``samples``, as the method does.

    Args:
        corpus: Its other text is rehearsed; its posts are not looked at.
        rounds: How often the model is sampled anew.

    Raises:
        LabError: More rounds than steps, or a round in which no sample is accepted.
    """
    check_count("number of rounds", rounds, least=1)
    if rounds > plan.steps:
        raise LabError(f"expected at most {plan.steps} rounds, one a step", f"got {rounds} rounds")
    clock, network, accepted = CPUClock(), base, []
    generator = torch.Generator().manual_seed(plan.seed)
    for number in range(rounds):
        count = plan.samples if number else plan.first_samples
        with clock.of("sample"):
            posts = _accepted(Policy(network), count, generator)
        accepted.append(len(posts) / count)
        steps = plan.steps * (number + 1) // rounds - plan.steps * number // rounds
        part = replace(unconstrained(plan), steps=steps, seed=plan.seed + number)
        tuned = tune(network, replace(corpus, posts=posts), part)
        clock.add(tuned.seconds)
        network = tuned.network
    return RivalPolicy(Policy(network), clock.seconds, {"accepted": accepted})


def _accepted(policy: Policy, count: int, generator: torch.Generator) -> Int[Tensor, "post pos"]:
    drawn = labelled_samples(policy, count, generator)
    if not drawn.satisfied.any():
        raise LabError(
            "expected accepted samples to tune on",
            f"got none of {count}",
            hint="draw more samples; a model that never satisfies the constraint has no target",
        )
    return drawn.tokens[torch.as_tensor(drawn.satisfied)]
