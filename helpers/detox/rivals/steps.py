"""Steps of a network on a rival's own loss of posts, with everything else as the method has it.

    L(θ)  =  CE(other text)  +  loss of posts  +  ρ · KL(base ‖ p_θ, other text)

Optimiser, rate, rows of other text and rehearsal are those of `helpers.detox.finetune`: what
differs between rivals is their loss of posts alone.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.finetune import TuningPlan
from helpers.detox.finetune.running import prepared
from helpers.detox.finetune.steps import take_step
from helpers.detox.networks import Plain
from helpers.detox.oracle.losses import counted
from helpers.detox.posts import PROMPT, STOP, DetoxCorpus
from helpers.detox.rivals.filters import unconstrained
from helpers.detox.rivals.outcome import CPUClock
from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.runtime import gradients, progress

PostLoss = Callable[[Plain, torch.Generator], Float[Tensor, ""]]
"""The loss of posts of the present network; everything random comes from the generator."""


@gradients()  # what is trained must not be made in inference mode
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
        LabError: As `finetune.tune`.
    """
    run = prepared(base, replace(corpus, posts=None), unconstrained(plan))
    generator = torch.Generator().manual_seed(plan.seed)
    run.beside = lambda run: post_loss(run.network, generator)
    bar = progress(range(plan.steps), label)
    for _ in bar:
        with clock.of("model"):
            losses = take_step(run)
        bar.set_postfix(loss=f"{losses.beside:.3f}", refresh=False)
    return run.network.eval()


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
