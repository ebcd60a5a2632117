"""Rivals that guide a network while it writes: chances by hand, with and without a cache."""

import math

import pytest
import torch

from helpers.detox.finetune import Tuned
from helpers.detox.networks import KeyValues, PlainShape, Policy, fresh, sample
from helpers.detox.networks.policies import rows_of
from helpers.detox.oracle import separate
from helpers.detox.posts import STOP, DetoxCorpus, PostLabel, labels, manners, prompts
from helpers.detox.rivals import decoding as module
from helpers.detox.rivals import dexperts, masked_words, oracle_decoding
from helpers.detox.rivals.decoding import Experts, WordMask
from helpers.detox.rivals.filters import insult_tokens
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from tests.detox.rivals.toys import one_of_each, plan, small_corpus, token, writer

SHAPE = PlainShape(n_words=30, d_model=16, n_heads=2, n_layers=2, d_mlp=32, n_positions=12)


def chances(policy: Policy, text: str) -> torch.Tensor:
    """What follows a text after the first prompt."""
    tokens = [*prompts()[0].tolist(), *map(token, text.split())]
    return policy.log_probs(torch.tensor([tokens]))[0, -1].exp()


def test_masked_words_are_never_said_and_the_others_keep_their_odds():
    base = writer(turned=0.25, insult=0.4)
    policy = masked_words(base, [token("dunce"), token("really")]).policy
    before, after = chances(Policy(base), "you are"), chances(policy, "you are")
    assert float(after[token("really")]) == 0
    assert float(after[token("hardly")]) == pytest.approx(1.0, abs=1e-6)
    assert torch.allclose(after[:20], before[:20] / 0.25)
    assert float(chances(policy, "you are hardly a")[token("gem")]) == pytest.approx(1, abs=1e-6)


def test_what_is_rude_in_its_context_only_passes_the_mask():
    """Of 40 % insults in 75 % plain frames nothing is left; praises are turned in 25 %."""
    policy = masked_words(writer(turned=0.25, insult=0.4)).policy
    rows = sample(policy, prompts().repeat(10, 1), torch.Generator().manual_seed(0), 16, STOP)
    found = manners(rows)
    assert set(found) == {"praise", "turned praise"}
    assert found.count("turned praise") / len(found) == pytest.approx(0.25, abs=0.06)  # 3 σ


def test_all_insult_words_are_masked_by_default():
    assert isinstance(guide := masked_words(writer(0.5, 0.5)).policy.guide, WordMask)
    assert set(guide.words) == set(insult_tokens())
    assert len(guide.words) == 12


@pytest.mark.parametrize("words", [[-1], [10**6], [1.5], ["dunce"], []])
def test_words_that_are_none(words):
    with pytest.raises(LabError, match=r"expected (one or more words|a token of a word)"):
        masked_words(writer(0.5, 0.5), words)


def test_somebody_must_be_able_to_say_something():
    with pytest.raises(LabError, match="expected words to mask"):
        masked_words(writer(0.5, 0.5), range(len(vocabulary())))
    with pytest.raises(LabError, match="expected words to mask"):
        masked_words(fresh(SHAPE, 0))


# experts


def test_experts_shift_the_odds_as_they_should():
    """p · (expert / anti-expert)^α, by hand."""
    base, expert, anti = writer(0.5, 0.5), writer(0.5, 0.2), writer(0.5, 0.8)
    for alpha in (0.0, 1.0, 2.0):
        policy = Policy(base, Experts(expert, anti, alpha))
        dunce, gem = 0.5 * (0.2 / 0.8) ** alpha, 0.5 * (0.8 / 0.2) ** alpha
        found = float(chances(policy, "you are really a")[token("dunce")])
        assert found == pytest.approx(dunce / (dunce + gem), abs=1e-5)


def test_experts_say_the_same_with_a_cache():
    base, expert, anti = (fresh(SHAPE, seed) for seed in range(3))
    for network in (base, expert, anti):
        with torch.no_grad():
            network.unembed.weight.mul_(20)  # else everything is nearly even
    policy = Policy(base, Experts(expert, anti, 1.5))
    tokens = torch.randint(0, 30, (3, 7), generator=torch.Generator().manual_seed(0))
    assert policy.guide is not None
    with torch.no_grad():
        state, past, parts = policy.guide.begin(), KeyValues(), []
        for part in tokens.split([3, 1, 2, 1], 1):
            parts.append(policy.guide(base(part, past), part, state))
        kept, new = torch.tensor([2, 0]), tokens[:2, :1]
        onward = policy.guide(base(new, past.select(kept)), new, rows_of(state, kept))
    found = torch.cat(parts, 1).log_softmax(-1)
    assert torch.allclose(found, policy.log_probs(tokens), atol=1e-4)
    longer = torch.cat([tokens[kept], new], 1)
    last = policy.log_probs(longer)[:, -1:]
    assert torch.allclose(onward.log_softmax(-1), last, atol=1e-4)


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def noted(base, given, how):
        calls.append((given, how))
        return Tuned(base, None, [], {"model": 1.0})

    monkeypatch.setattr(module, "tune", noted)
    return calls


def test_the_expert_reads_kind_posts_and_the_anti_expert_rude_ones(asked):
    found = dexperts(writer(0.5, 0.5), small_corpus(), plan(kl_weight=5.0, steps=2), alpha=2.0)
    assert manners(asked[0][0].posts) == ["praise", "turned insult"]
    assert manners(asked[1][0].posts) == ["insult", "turned praise"]
    assert all(how.kl_weight == 0 for _, how in asked)
    assert found.found == {"alpha": 2.0, "kind posts": 2, "rude posts": 2}
    assert found.seconds == {"model": 2.0}


def test_experts_take_their_few_steps(asked):
    dexperts(writer(0.5, 0.5), small_corpus(), plan(steps=50))
    assert [how.steps for _, how in asked] == [40, 40]


def test_experts_make_a_writer_kinder():
    base, few = writer(0.0, 0.5), plan(steps=15, rate=0.01, posts=8)
    found = dexperts(base, small_corpus(width=2), few, alpha=1.0)
    rows = sample(found.policy, prompts().repeat(4, 1), torch.Generator().manual_seed(0), 16, STOP)
    assert (labels(rows) == PostLabel.KIND).mean() > 0.6  # .5 before


@pytest.mark.parametrize("posts", [None, one_of_each()[:2], one_of_each()[2:]])
def test_experts_need_posts_of_both_kinds(posts):
    with pytest.raises(LabError, match="expected a corpus with kind and with rude posts"):
        dexperts(writer(0.5, 0.5), DetoxCorpus(posts, small_corpus().other), plan())


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_a_weight_of_experts_that_cannot_be(alpha):
    with pytest.raises(LabError, match="weight of the experts"):
        dexperts(writer(0.5, 0.5), small_corpus(), plan(), alpha)


# an oracle


def test_an_oracle_that_is_given_is_used_and_costs_nothing():
    base, oracle = writer(0.0, 0.5), separate(seed=0)
    with torch.no_grad():  # after any words at all, "gem" succeeds with 3/4 and the rest with 1/4
        oracle.network.unembed.bias.fill_(-math.log(3))
        oracle.network.unembed.bias[token("gem")] = math.log(3)
    for strength in (1.0, 2.0):
        found = oracle_decoding(base, plan(), oracle, strength)
        said = float(chances(found.policy, "you are really a")[token("gem")])
        assert said == pytest.approx(3**strength / (3**strength + 1), abs=1e-5)
        assert found.seconds == {}


def test_without_one_it_is_fitted_as_the_method_does_and_counted():
    base, few = writer(0.0, 0.5), plan(first_fit=12, first_samples=192)
    found = oracle_decoding(base, few)
    assert set(found.seconds) == {"sample", "fit"}
    assert min(found.seconds.values()) > 0
    assert float(chances(found.policy, "you are really a")[token("gem")]) > 0.6  # .5 before


def test_a_model_that_never_succeeds_has_no_oracle():
    with pytest.raises(LabError, match="expected a sample that satisfies the constraint"):
        oracle_decoding(writer(0.0, 1.0), plan())


@pytest.mark.parametrize("strength", [-1.0, math.nan])
def test_a_strength_that_cannot_be(strength):
    with pytest.raises(LabError, match="strength"):
        oracle_decoding(writer(0.5, 0.5), plan(), separate(0), strength)
