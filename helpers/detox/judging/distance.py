"""How far a policy is from the model it came from: KL per post, in nats, in both directions.

A post's log-probability is a sum over its words, so KL(a‖b) over posts is the mean, over posts that
`a` writes, of the sum of KL(a‖b) over the next word at each place. Only the posts are sampled: the
sum over the vocabulary is exact, and the estimate varies far less than log a − log b does. Over all
posts of the grammar (`exact_divergence`) nothing is sampled, but what is garbled is one outcome.

It is infinite where `a` says a word that `b` cannot, as under a mask. Then ``nats`` is None, and
``infinite`` is the share of posts at which that happens.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.judging.fluency import said_places
from helpers.detox.judging.toxicity import Result, SampledPosts, rounded
from helpers.detox.networks import Policy
from helpers.detox.posts import PROMPT, post_chances
from helpers.errors import LabError

ROUNDING = 1e-9
"""A chance below this is what sums of chances are wrong by."""


def _next_word_kl(
    log_a: Float[Tensor, "... word"], log_b: Float[Tensor, "... word"]
) -> Float[Tensor, "..."]:
    """KL(a‖b) over the last axis; infinite where b cannot say what a says."""
    if log_a.shape != log_b.shape or not log_a.numel():
        raise LabError(
            "expected log-probabilities of the same words from both policies",
            f"got shapes {list(log_a.shape)} and {list(log_b.shape)}",
        )
    log_a, log_b = log_a.double(), log_b.double()
    # what a never says adds nothing, whatever b says of it: 0 · log 0 = 0
    apart = torch.where(log_a == -torch.inf, 0.0, log_a - log_b)
    found = (log_a.exp() * apart).sum(-1)
    if found.isnan().any():
        raise LabError(
            "expected log-probabilities to compare", f"got NaN at {int(found.isnan().sum())} places"
        )
    return found.clamp_min(0.0)  # rounding makes it a little less than nothing


def divergence(posts: SampledPosts, of: Policy, against: Policy) -> Result:
    """KL(of‖against) per post, from posts that `of` wrote.

    ``error`` is the standard error over prompts, whose means are independent; None for one prompt.

    Raises:
        LabError: Policies of other vocabularies, or NaN from one of them.
    """
    read = posts.tokens[:, :-1]
    log_a, log_b = (policy.log_probs(read)[:, PROMPT - 1 :] for policy in (of, against))
    kl = _next_word_kl(log_a, log_b)
    by_post = torch.where(said_places(posts.tokens), kl, 0.0).sum(1)
    return _summary(by_post.reshape(-1, posts.samples))


def exact_divergence(of: Policy, against: Policy, prompts: Int[Tensor, "prompt 3"]) -> Result:
    """KL(of‖against) over the posts of the grammar and "garbled", which is one outcome.

    Telling garbled texts apart could only add to it, so it is at most what `divergence` estimates,
    and nearly that where little is garbled. A prompt costs 4 CPU-seconds. Keys as in `divergence`;
    ``infinite`` is the chance that `of` says what `against` cannot, and ``error`` the standard
    error over prompts.

    Raises:
        LabError: As `posts.exact_success`.
    """
    log_a, log_b = (_log_chances(policy, prompts) for policy in (of, against))
    never = (log_b == -torch.inf) & (log_a > -torch.inf)
    if never.any():
        infinite = float(log_a.exp()[never].sum() / len(log_a))
        return rounded({"nats": None, "error": None, "infinite": infinite})
    return _summary(_next_word_kl(log_a, log_b)[:, None])


def _log_chances(
    policy: Policy, prompts: Int[Tensor, "prompt 3"]
) -> Float[Tensor, "prompt outcome"]:
    """Of every post of the grammar, and at the end of everything else."""
    chances = torch.from_numpy(post_chances(policy, prompts))
    garbled = (1 - chances.sum(1, keepdim=True)).clamp_min(0.0)
    garbled[garbled < ROUNDING] = 0.0
    return torch.cat([chances, garbled], 1).log()


def _summary(by_post: Float[Tensor, "prompt sample"]) -> Result:
    infinite = float(by_post.isinf().double().mean())
    if infinite:
        return rounded({"nats": None, "error": None, "infinite": infinite})
    means = by_post.mean(1)
    error = float(means.std() / math.sqrt(len(means))) if len(means) > 1 else None
    return rounded({"nats": float(means.mean()), "error": error, "infinite": 0.0})
