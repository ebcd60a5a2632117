"""Steps of a network on a rival's own loss of posts, with everything else as the method has it.

    L(θ)  =  CE(other text)  +  loss of posts  +  ρ · KL(base ‖ p_θ, other text)

Optimiser, rate, rows of other text and rehearsal are those of `helpers.detox.finetune`: what
differs between rivals is their loss of posts alone.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import runtime
from helpers.detox.finetune import TuningPlan, closed_form_kl, cross_entropy
from helpers.detox.finetune.plan import BETAS, CLIP, check_plan
from helpers.detox.finetune.steps import BATCHES, rows
from helpers.detox.networks import Plain, frozen
from helpers.detox.oracle.losses import counted
from helpers.detox.posts import PROMPT, STOP, DetoxCorpus
from helpers.detox.rivals.outcome import CPUClock
from helpers.errors import LabError
from helpers.inputs import token_ids, within

PostLoss = Callable[[Plain, torch.Generator], Float[Tensor, ""]]
"""The loss of posts of the present network; everything random comes from the generator."""


@runtime.gradients()
def train(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    post_loss: PostLoss,
    clock: CPUClock,
    label: str,
) -> Plain:
    """A copy of the base after the plan's steps; the base is left as it is.

    Args:
        corpus: Its other text is learned and rehearsed.
        post_loss: What the rival minimises on posts.
        clock: Gets the CPU seconds of the steps, under "model".
        label: Of the bar.

    Raises:
        LabError: A plan that cannot be followed, text of another vocabulary, or a loss that is no
            number.
    """
    check_plan(plan)
    token_ids(corpus.other, base)
    network, reference = frozen(base).requires_grad_(True).train(), frozen(base)
    optimiser = torch.optim.AdamW(network.parameters(), plan.rate, BETAS, weight_decay=0.0)
    generator = torch.Generator().manual_seed(plan.seed)
    bar = runtime.progress(range(plan.steps), label)
    for step in bar:
        with clock.of("model"):
            for group in optimiser.param_groups:
                group["lr"] = plan.rate_at(step)
            optimiser.zero_grad()
            own = post_loss(network, generator)
            loss = own + _of_other_text(network, reference, corpus, plan, step)
            if not within(loss.detach().abs(), torch.finfo(torch.float32).max):
                raise LabError(
                    f"expected a loss of {label} that is a number",
                    f"got {float(loss.detach()):.4g} at step {step}",
                    hint="take a smaller learning rate",
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
        bar.set_postfix(loss=f"{float(own.detach()):.3f}", refresh=False)
    return network.eval()


def _of_other_text(
    network: Plain, reference: Plain, corpus: DetoxCorpus, plan: TuningPlan, step: int
) -> Float[Tensor, ""]:
    """Cross-entropy on rows of other text, the method's of this step, and rehearsal there."""
    rng = np.random.default_rng([plan.seed, step, BATCHES])
    drawn = torch.from_numpy(rng.integers(len(corpus.other), size=plan.rows))
    other = rows(corpus.other[drawn])
    log_p = other.log_p(network)
    every = torch.ones(len(log_p), dtype=torch.bool)
    loss = cross_entropy(log_p, other.wanted, every)
    if not plan.rehearsal:
        return loss
    with torch.no_grad():
        log_base = other.log_p(reference)
    return loss + plan.rehearsal * closed_form_kl(log_base, log_p, every)


def word_log_probs(
    network: Plain, tokens: Int[Tensor, "row pos"]
) -> tuple[Float[Tensor, "row word"], Bool[Tensor, "row word"]]:
    """log π of each word behind the prompt, and which of them were said: those up to the stop.

    Gradients flow to the network where it has any.

    Raises:
        LabError: No rows of the network's tokens, or rows that end with the prompt.
    """
    tokens = token_ids(tokens, network)
    if tokens.shape[1] <= PROMPT:
        raise LabError(
            f"expected posts behind prompts of {PROMPT} tokens",
            f"got rows of {tokens.shape[1]}",
        )
    said = network(tokens[:, :-1])[:, PROMPT - 1 :].log_softmax(-1)
    each = said.gather(-1, tokens[:, PROMPT:, None])[..., 0]
    return each, counted(tokens, PROMPT, STOP)[:, PROMPT:]
