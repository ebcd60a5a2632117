"""What a policy is worth, all of it: one dictionary of numbers, the same for every method.

A method is never judged by one number. Beside the rude share stand what is garbled, what it costs
in perplexity and in every single skill, how far it went from its base, whether kind uses of insult
words survive, whom the model accuses, and what a judge says that was trained on other data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch

from helpers.detox.judging.distance import divergence
from helpers.detox.judging.fluency import distinct, perplexities
from helpers.detox.judging.independent import FEATURES, Judge, word_judge
from helpers.detox.judging.skills import skill_shares
from helpers.detox.judging.toxicity import (
    Result,
    beside_labels,
    exact,
    kind_insults,
    rounded,
    sample_shares,
    sampled_posts,
)
from helpers.detox.judging.verdicts import INNOCENT, verdict_shares
from helpers.detox.networks import Plain, Policy
from helpers.detox.posts import check_network
from helpers.inputs import check_count

KL_SAMPLES = 10
"""Posts of each prompt from which a divergence is estimated."""
OFTEN = 0.05
"""Share of garbled samples above which exact chances follow every post to its end."""


@dataclass(frozen=True)
class JudgePlan:
    """How much is measured.

    Attributes:
        samples: Posts sampled after each prompt; the worst of them is the prompt's maximum.
        rows: Rows of other text for perplexity.
        skill_prompts: Prompts of each skill; even, as judgements come in pairs.
        prompts: Prompts that posts are sampled after, of the 48.
        exact_prompts: Prompts whose rude share is computed exactly.
        seed: Seed of samples, texts and questions. Texts are never those that a model is tuned on.

    Raises:
        LabError: A number of things that is none.
    """

    samples: int = 25
    rows: int = 64
    skill_prompts: int = 100
    prompts: int = 48
    exact_prompts: int = 6
    seed: int = 7

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            what = name.replace("_", " ")
            check_count(f"{what} of a judgement", value, least=int(name != "seed"))


def judged(
    policy: Policy,
    base: Plain,
    plan: JudgePlan | None = None,
    judges: Mapping[str, Judge] | None = None,
) -> Result:
    """Everything that is measured of a policy.

    With the default plan 5 seconds of one core for a network alone; a guide that reads along adds
    what it costs, and a policy that garbles much 10 more.

    ============================  ==============================================================
    key                           has
    ============================  ==============================================================
    ``rude kind garbled``         exact chances (`toxicity.exact`), with ``by_prompt``; under
                                  ``complete`` whether posts were followed to their end, as they are
                                  where more than .05 of the samples are garbled
    ``sampled``                   `toxicity.sample_shares`: labels, manners, expected maximum
    ``perplexity``                `fluency.perplexities`: clean posts, rude posts, other text
    ``skills``                    `skills.skill_shares`: each one
    ``distinct``                  `fluency.distinct`: sequences of 1, 2, 3 words, and posts
    ``kl_to_base``                `distance.divergence`: "of policy" KL(policy‖base), "of base"
                                  KL(base‖policy)
    ``kind_insults``              `toxicity.kind_insults`: insult words used kindly
    ``verdicts``                  `verdicts.verdict_shares`: what the policy itself calls rude
    ``false_positives``           those about kind uses of insult words and mentions of groups, and
                                  under "base" what the base says of the same sentences
    ``judge``                     `toxicity.beside_labels`, by the name of the judge
    ============================  ==============================================================

    Args:
        base: The network that the policy came from.
        judges: Judges by name; by default those of `independent.FEATURES`.

    Raises:
        LabError: A policy of another vocabulary, or a judge that fails or gives NaN.
    """
    check_network(policy.network)
    check_network(base)
    plan = plan or JudgePlan()
    generator = torch.Generator().manual_seed(plan.seed)
    posts = sampled_posts(policy, plan.prompts, plan.samples, generator)
    sampled = sample_shares(posts)
    if judges is None:
        judges = {features: word_judge(features) for features in FEATURES}
    return {
        **exact(policy, plan.exact_prompts, complete=sampled["garbled"] > OFTEN),
        "sampled": sampled,
        "perplexity": perplexities(policy, plan.rows, plan.seed),
        "skills": rounded(skill_shares(policy, plan.skill_prompts, plan.seed)),
        "distinct": distinct(posts),
        "kl_to_base": _distances(policy, Policy(base), plan, generator),
        "kind_insults": kind_insults(posts),
        **_accusations(policy, Policy(base), plan.seed),
        "judge": {name: beside_labels(posts, judge) for name, judge in judges.items()},
    }


def _distances(policy: Policy, base: Policy, plan: JudgePlan, generator: torch.Generator) -> Result:
    """KL to the base in both directions, each from fresh posts of the one that comes first."""
    samples = min(KL_SAMPLES, plan.samples)
    directions = {"of policy": (policy, base), "of base": (base, policy)}
    return {
        name: divergence(sampled_posts(of, plan.prompts, samples, generator), of, against)
        for name, (of, against) in directions.items()
    }


def _accusations(policy: Policy, base: Policy, seed: int) -> Result:
    """What the policy calls rude, and beside the base, what it should not."""
    own, before = verdict_shares(policy, seed), verdict_shares(base, seed)
    wrong = {name: own[name] for name in INNOCENT}
    return {
        "verdicts": own,
        "false_positives": wrong | {"base": {name: before[name] for name in INNOCENT}},
    }
