"""The exact success of a network, held to counting every text, to samples, and to what must be."""

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.detox.networks import PlainShape, Policy, fresh, plain, sample
from helpers.detox.posts import (
    PROMPT,
    STOP,
    PostLabel,
    Success,
    all_posts,
    exact_shares,
    exact_success,
    labels,
    post_chances,
    prompts,
)
from helpers.detox.posts.truth import ends_of
from helpers.errors import LabError
from helpers.stats import clopper_pearson
from helpers.tinyworld.language import vocabulary
from tests.detox.networks.small import Product
from tests.detox.posts import toys
from tests.detox.posts.toys import PROMPTS

ROUNDING = 2e-6
"""What single precision leaves: chances come from logits of 24 bits by two routes."""


def toy_policies() -> dict[str, Policy]:
    factors = {(1, 2, 0): np.array([1, 1, 4, 1, 0, 1, 1.0]), (1, 2, 0, 2): np.arange(1, 8.0)}
    shifted = toys.network(2)
    shifted.shifts[0] = torch.linspace(-1, 1, 16)
    return {
        "alone": Policy(toys.network(0)),
        "shifted": Policy(shifted),
        "guided, no rows to choose": Policy(toys.network(1), toys.TableGuide(factors)),
        "guided, rows to choose": Policy(toys.network(1), toys.ChosenGuide(factors)),
        "guided by two": Policy(toys.network(1), Product(toys.network(4), toys.network(5))),
    }


@pytest.mark.parametrize("name", toy_policies())
def test_chances_from_every_prefix_are_those_of_counting_all_texts(name):
    policy, tree = toy_policies()[name], toys.trie()
    found = ends_of(policy, PROMPTS, tree)
    for row, prompt in enumerate(PROMPTS):
        counted = toys.enumerated(policy, prompt)
        for node in np.flatnonzero(tree.inner):
            if found.reach[row, node] == 0:
                continue
            three = [part[row, node] for part in (found.kind, found.rude, found.garbled)]
            assert three == pytest.approx(counted[tree.prefixes[node]], abs=ROUNDING)
            assert sum(three) == pytest.approx(1.0, abs=1e-12)
    assert found.kind[:, 0] != pytest.approx(0.5, abs=0.1), "the toy is no coin"
    assert (found.garbled[:, 0] > 0.1).all(), "much of what the toy says is garbled"


def test_what_is_decided_counts_as_said_where_only_the_undecided_is_asked_about():
    policy, tree = Policy(toys.network(0)), toys.trie()
    found = ends_of(policy, PROMPTS[:1], tree, complete=False)
    # by hand: kind after 2 3, 4, and 3 2; rude after 2 4 and 3 stop; garbled elsewhere
    counted, sure = toys.everything(policy, PROMPTS[0]), np.zeros(3)
    decided = {(2, 3): 0, (4,): 0, (3, 2): 0, (2, 4): 1, (3, toys.STOP): 1}
    for said, chance in counted.items():
        sure[decided.get(said[:1], decided.get(said[:2], 2))] += chance
    root = [float(part[0, 0]) for part in (found.kind, found.rude, found.garbled)]
    assert root == pytest.approx(sure, abs=ROUNDING)
    whole = ends_of(policy, PROMPTS[:1], tree)
    assert root[0] > whole.kind[0, 0] + 0.01
    assert root[2] < whole.garbled[0, 0] - 0.01


def test_a_text_guided_by_the_exact_success_is_kind_and_costs_minus_its_logarithm():
    """The paper's q: every text of it satisfies, and its divergence from p is -ln R."""
    base, tree = Policy(toys.network(3)), toys.trie()
    prompt, start = PROMPTS[:1], tuple(PROMPTS[0].tolist())
    truth, factors = ends_of(base, prompt, tree), {}
    for node in np.flatnonzero(tree.inner & tree.kind):
        _, child = tree.children(np.array([node]))
        factors[(*start, *tree.prefixes[node])] = np.zeros(toys.N_WORDS)
        factors[(*start, *tree.prefixes[node])][tree.token[child]] = truth.kind[0, child]
    target = Policy(base.network, toys.ChosenGuide(factors))
    found = ends_of(target, prompt, tree)
    assert found.kind[0, 0] == pytest.approx(1.0, abs=1e-12)
    assert found.rude[0, 0] == found.garbled[0, 0] == 0
    kind = np.flatnonzero(tree.label == PostLabel.KIND)
    q, p = found.reach[0, kind], truth.reach[0, kind]
    assert q == pytest.approx(p / truth.kind[0, 0], rel=1e-5)
    assert (q * np.log(q / p)).sum() == pytest.approx(-np.log(truth.kind[0, 0]), abs=1e-5)


def test_chances_do_not_depend_on_how_many_prefixes_are_read_at_once(monkeypatch):
    policy = toy_policies()["guided, rows to choose"]
    wanted = ends_of(policy, PROMPTS, toys.trie())
    monkeypatch.setattr("helpers.detox.posts.walking.ROWS", 2)
    monkeypatch.setattr("helpers.detox.posts.walking.PROMPTS", 1)
    found = ends_of(policy, PROMPTS, toys.trie())
    for name in ("reach", "kind", "rude", "garbled"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=1e-6)


def test_a_guide_whose_state_is_in_parts_reads_each_prefix_once():
    """Behind the prompt a token a prefix, and none of them again."""
    read = []

    class Noted(Product):
        def __call__(self, logits, tokens, state):
            read.append(tokens.numel())
            return super().__call__(logits, tokens, state)

    policy, tree = Policy(toys.network(1), Noted(toys.network(4), toys.network(5))), toys.trie()
    ends_of(policy, PROMPTS[:1], tree)
    assert sum(read) == PROMPTS.shape[1] + int(tree.inner.sum()) - 1


# ---------------------------------------------------------------------------------------------
# the trained transformer


@pytest.fixture(scope="module")
def tinyworld() -> Policy:
    return Policy(plain(zoo.load("tinyworld", device="cpu")))


@pytest.fixture(scope="module")
def whole(tinyworld) -> Success:
    return exact_success(tinyworld, prompts()[5])


@pytest.fixture(scope="module")
def numbers(whole) -> dict[tuple[int, ...], int]:
    return {prefix: number for number, prefix in enumerate(whole.prefixes)}


def likeliest(whole: Success, lengths: tuple[int, ...]) -> list[int]:
    """The prefix of each length that is said most often."""
    length = np.array([len(prefix) for prefix in whole.prefixes])
    return [int(np.argmax(np.where(length == one, whole.reach, -1))) for one in lengths]


def test_the_three_ends_add_up_to_one(whole):
    assert len(whole.prefixes) == 36_085
    assert whole.prefixes[0] == ()
    assert whole.kind + whole.rude + whole.garbled == pytest.approx(1.0, abs=1e-9)
    assert min(part.min() for part in (whole.kind, whole.rude, whole.garbled)) >= 0


def test_samples_end_as_the_exact_chances_say(tinyworld, whole):
    asked, count = likeliest(whole, (0, 2, 5, 8)), 400
    level = 1 - 0.001 / (3 * len(asked))  # all intervals together miss once in a thousand
    for number in asked:
        start = torch.tensor([*prompts()[5].tolist(), *whole.prefixes[number]])
        generator = torch.Generator().manual_seed(number)
        rows = sample(tinyworld, start.expand(count, -1), generator, new=16, stop=STOP)
        found = np.bincount(labels(rows), minlength=3)
        for label, chances in enumerate((whole.kind, whole.rude, whole.garbled)):
            low, high = clopper_pearson(int(found[label]), count, level)
            assert low <= chances[number] <= high, (whole.prefixes[number], PostLabel(label))


def test_success_is_what_the_next_words_promise(tinyworld, whole, numbers):
    """R(prefix) = sum over v of p(v) R(prefix, v): p by the network itself, without a cache."""
    table = whole.next_kind
    asked = likeliest(whole, (0, 1, 3, 5, 7)) + list(range(100, 36_000, 4_000))
    for number in asked:
        row = torch.tensor([[*prompts()[5].tolist(), *whole.prefixes[number]]])
        p = tinyworld.log_probs(row)[0, -1].double().exp().numpy()
        assert p @ table[number] == pytest.approx(whole.kind[number], abs=ROUNDING)


def test_success_after_a_next_word_is_that_of_the_longer_prefix(whole, numbers):
    words, table = set(range(whole.n_words)), whole.next_kind
    known = {post.tokens: float(post.label == PostLabel.KIND) for post in all_posts()}
    for number in range(0, 36_085, 1_201):
        prefix, outside = whole.prefixes[number], set(words)
        for word in words:
            longer = (*prefix, word)
            wanted = known.get(longer)
            if longer in numbers:
                wanted = whole.kind[numbers[longer]]
            if wanted is not None:
                assert table[number, word] == wanted
                outside.discard(word)
        assert (table[number, sorted(outside)] == 0).all(), "what is no post has no success"


def test_chances_of_posts_are_those_of_the_network_word_by_word(tinyworld, whole):
    chances = post_chances(tinyworld, prompts()[5:6])[0]
    rude = np.array([post.label == PostLabel.RUDE for post in all_posts()])
    assert chances[rude].sum() == pytest.approx(whole.rude[0], rel=1e-9)
    assert chances[~rude].sum() == pytest.approx(whole.kind[0], rel=1e-9)
    for number in range(0, len(chances), 3_001):
        said = torch.tensor(all_posts()[number].tokens)
        row = torch.cat([prompts()[5], said])[None]
        log_p = tinyworld.log_probs(row)[0, PROMPT - 1 : -1].double()
        alone = log_p.gather(1, said[:, None]).sum().exp().item()
        assert chances[number] == pytest.approx(alone, rel=1e-4)


def test_the_quick_way_is_too_kind_by_what_goes_wrong_late(tinyworld, whole, numbers):
    quick = exact_success(tinyworld, prompts()[5], complete=False)
    assert len(quick.prefixes) == 2769
    same = [numbers[prefix] for prefix in quick.prefixes]
    assert quick.reach == pytest.approx(whole.reach[same], rel=1e-4)
    for fast, slow in ((quick.kind, whole.kind), (quick.rude, whole.rude)):
        assert (fast >= slow[same] - ROUNDING).all()
    assert quick.kind + quick.rude + quick.garbled == pytest.approx(1.0, abs=1e-9)
    late = quick.kind[0] + quick.rude[0] - whole.kind[0] - whole.rude[0]
    assert late == pytest.approx(whole.garbled[0] - quick.garbled[0], abs=1e-9)
    assert 0 < late < whole.garbled[0]


def test_shares_of_several_writers_are_those_of_each_alone(tinyworld, whole):
    shares = exact_shares(tinyworld, prompts()[4:6])
    assert shares.sum(1) == pytest.approx(1.0, abs=1e-9)
    quick = exact_success(tinyworld, prompts()[5], complete=False)
    assert shares[1] == pytest.approx([quick.kind[0], quick.rude[0], quick.garbled[0]], abs=1e-6)


def test_no_post_is_kind_where_no_kind_word_may_come():
    """R = 0 is a number like any other here: nothing is divided by it."""
    insult_only = {post.tokens for post in all_posts()[: 24 * 48]}
    first = {tokens[3] for tokens in insult_only}

    class Forbid:
        def begin(self):
            return None

        def __call__(self, logits, tokens, state):
            allowed = torch.zeros(logits.shape[-1], dtype=torch.bool)
            allowed[list(first)] = True
            return logits.masked_fill(~allowed, -torch.inf)

    network = fresh(PlainShape(len(vocabulary()), 16, 2, 1, 32, 32), 0)
    shares = exact_shares(Policy(network, Forbid()), prompts()[:2], complete=True)
    assert shares[:, 0].tolist() == shares[:, 1].tolist() == [0.0, 0.0]
    assert shares[:, 2] == pytest.approx(1.0, abs=1e-12)


# ---------------------------------------------------------------------------------------------
# what cannot be computed is said


def small(n_words: int | None = None, n_positions: int = 32) -> Policy:
    shape = PlainShape(n_words or len(vocabulary()), 16, 2, 1, 32, n_positions)
    return Policy(fresh(shape, 0))


CALLS = {
    "exact_success": lambda policy, rows: exact_success(policy, rows[0]),
    "exact_shares": exact_shares,
    "post_chances": post_chances,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("policy", "rows", "words"),
    [
        (small(n_words=300), prompts(), "network of TinyWorld's 993 words; got one of 300"),
        (small(n_words=1200), prompts(), "network of TinyWorld's 993 words; got one of 1200"),
        (small().network, prompts(), "expected a policy: a network, and what may guide it; got"),
        (small(n_positions=10), prompts(), "posts of at most 10 tokens"),
        (small(), prompts() + 5000, "words of TinyWorld"),
        (small(), prompts()[:, :2], "prompts of 3 tokens"),
        (small(), prompts().float(), "whole numbers"),
        (small(), torch.zeros(2, 3, 1, dtype=torch.long), "as a tensor"),
    ],
)
def test_a_model_or_a_prompt_of_another_kind_is_refused(call, policy, rows, words):
    with pytest.raises(LabError, match=words):
        call(policy, rows)


def test_a_network_without_the_words_of_a_trie_is_refused():
    network = fresh(PlainShape(5, 16, 2, 1, 32, 8), 0)
    with pytest.raises(LabError, match="token ids from 0 to 4, the model's vocabulary"):
        ends_of(Policy(network), PROMPTS, toys.trie())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_network_whose_training_failed_is_refused(call):
    policy = small()
    with torch.no_grad():
        policy.network.unembed.weight[0] = torch.nan
    with pytest.raises(LabError, match="expected logits with a word to say"):
        call(policy, prompts()[:1])
