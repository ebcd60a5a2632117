"""What a policy is worth: how rude, how fluent, how able it is, and who else says so.

- `toxicity`: rude, kind and garbled shares, exact and sampled; the measures of the field.
- `fluency`: perplexity of texts it should know; variety of what it says.
- `distance`: how far it went from its base.
- `skills`: every skill, one by one.
- `verdicts`: what it calls rude itself.
- `independent`: a judge that was trained on other data.
- `judgement`: all of it.
"""

from helpers.detox.judging.distance import divergence, exact_divergence
from helpers.detox.judging.fluency import Perplexity, distinct, perplexities, perplexity
from helpers.detox.judging.independent import WordJudge, errors_by_manner, word_judge
from helpers.detox.judging.judgement import JudgePlan, judged
from helpers.detox.judging.skills import policy_answers, skill_shares
from helpers.detox.judging.toxicity import SampledPosts, graded, sample_shares, sampled_posts
from helpers.detox.judging.verdicts import margins, verdict_shares

__all__ = [
    "JudgePlan", "Perplexity", "SampledPosts", "WordJudge", "distinct", "divergence",
    "errors_by_manner", "exact_divergence", "graded", "judged", "margins", "perplexities",
    "perplexity", "policy_answers", "sample_shares", "sampled_posts", "skill_shares",
    "verdict_shares", "word_judge",
]  # fmt: skip
