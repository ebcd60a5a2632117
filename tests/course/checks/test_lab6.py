"""Lab 6's checks take right answers however they are written, and name each mistake they know."""

import copy
import itertools
from unittest.mock import ANY

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, kl_divergence

from helpers.course.check import evaluate
from helpers.course.checks import lab6_mistakes as usual
from helpers.course.checks import lab6_posts, lab6_tuning
from helpers.course.sheet import RIGHT
from helpers.detox.networks import Policy
from helpers.detox.posts import PROMPT, exact_success, manner_of
from helpers.tinyworld.language import vocabulary


def said(name, answer):
    return evaluate(name, answer).message


# --- right answers -----------------------------------------------------------------------------


def by_all_texts(steps, after, accepted, length):
    """Every way to go on, one by one."""
    n_words, n_states = len(steps), len(accepted)
    R = np.zeros((length, n_words, n_states))
    for t, w, s in itertools.product(range(length), range(n_words), range(n_states)):
        for rest in itertools.product(range(n_words), repeat=length - 1 - t):
            chance, word, state = 1.0, w, s
            for v in rest:
                chance, word, state = chance * steps[word, v], v, after[state, v]
            R[t, w, s] += chance * accepted[state]
    return R


def by_einsum(steps, after, accepted, length):
    rows = [np.ones((len(steps), 1)) * accepted]
    while len(rows) < length:
        leads = rows[-1][np.arange(len(steps)), after]
        rows.append(np.einsum("wv,sv->ws", steps, leads))
    return torch.from_numpy(np.array(rows[::-1])).float()


def with_nan_to_num(p, success):
    weight = torch.as_tensor(p) * torch.as_tensor(success)
    before = weight.sum(-1)
    return torch.nan_to_num(weight / before.unsqueeze(-1)), before


def place_by_place(p, success):
    p, success = np.asarray(p), np.asarray(success)
    q, before = np.zeros_like(p), np.zeros(p.shape[:-1])
    for at in np.ndindex(before.shape):
        before[at] = p[at] @ success[at]
        if before[at] > 0:
            q[at] = p[at] * success[at] / before[at]
    return [q, before]


def by_distributions(p, success, own, counts):
    """torch's own divergence, which is infinite where a coin is as good as sure."""
    e = (p * torch.sigmoid(success)).sum(-1).clamp(1e-6, 1 - 1e-6)
    return kl_divergence(Bernoulli(e), Bernoulli(logits=own))[counts].mean()


def prefix_by_prefix(p, success, own, counts):
    total = torch.zeros(())
    for text, at in counts.nonzero().tolist():
        e = (p[text, at] * success[text, at].sigmoid()).sum().clamp(1e-6, 1 - 1e-6)
        for chance, sign in ((e, 1), (1 - e, -1)):
            total = total + chance * (chance.log() - F.logsigmoid(sign * own[text, at]))
    return total / counts.sum()


def by_torch(log_q, logits, counts):
    pair = logits.log_softmax(-1)[counts], log_q.exp().detach()[counts]
    return F.kl_div(*pair, reduction="batchmean")


def with_a_floor(log_q, logits, counts):
    with torch.no_grad():
        log_q = log_q.clamp_min(-1e4)
    each = (log_q.exp() * (log_q - F.log_softmax(logits, -1))).sum(-1)
    return (each * counts).sum() / counts.sum()


def in_lists(data, start, rude, kl_weight, steps):
    models = [list(map(float, start))]
    for _ in range(steps):
        kept = sum(p for p, bad in zip(models[-1], rude, strict=True) if not bad)
        q = [0 if bad else p / kept for p, bad in zip(models[-1], rude, strict=True)]
        pairs = zip(data, q, strict=True)
        models.append([(d + kl_weight * own) / (1 + kl_weight) for d, own in pairs])
    return models


def by_numpys_choice(posts, count, seed):
    rng, chosen = np.random.default_rng(seed), []
    for manner, share in (("turned insult", 0.5), ("turned praise", 0.5)):
        pool = [post for post in posts if manner_of(post) == manner]
        chosen += [pool[at] for at in rng.choice(len(pool), int(share * count), replace=False)]
    return chosen


def by_gather(network, posts, steps, rate):
    new = copy.deepcopy(network).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(new.parameters(), lr=rate)
    for _ in range(steps):
        log_p = new(posts).log_softmax(-1)[:, :-1]
        own = log_p.gather(-1, posts[:, 1:, None]).squeeze(-1)
        written = posts[:, 1:] != 0
        written[:, : PROMPT - 1] = False
        new.zero_grad()
        (-own * written).sum().backward()
        optimizer.step()
    return new


def one_at_a_time(oracle, prompt):
    base, found = lab6_tuning.base(), []
    true = exact_success(Policy(base), prompt, complete=False)
    right = true.next_kind
    for number in np.flatnonzero(true.reach >= 0.003):
        tokens = torch.cat([prompt, torch.tensor(true.prefixes[number], dtype=torch.long)])[None]
        with torch.no_grad():
            likely = base(tokens)[0, -1].softmax(-1) >= 0.01
            off = oracle(tokens)[0, -1].sigmoid() - torch.from_numpy(right[number])
        found.append((float(off[likely].abs().max()), vocabulary().decode(true.prefixes[number])))
    return tuple(text for _, text in sorted(found)[-3:])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("lab6.1", by_all_texts),
        ("lab6.1", by_einsum),
        ("lab6.1", lambda *case: by_einsum(*case).tolist()),
        ("lab6.2", with_nan_to_num),
        ("lab6.2", place_by_place),
        ("lab6.3", prefix_by_prefix),
        ("lab6.4", one_at_a_time),
        ("lab6.5", by_torch),
        ("lab6.5", with_a_floor),
        ("lab6.6", in_lists),
        ("lab6.6", lambda *case: torch.tensor(in_lists(*case))),
        ("lab6.7", by_numpys_choice),
        ("lab6.7", lambda *case: tuple(by_numpys_choice(*case))),
        ("lab6.8", by_gather),
    ],
)
def test_a_right_answer_in_other_words_is_right(name, answer):
    result = evaluate(name, answer)
    assert result.status == RIGHT, result.message


# --- references by another route -----------------------------------------------------------------


def test_an_update_is_the_lowest_point_of_its_loss():
    rng = np.random.default_rng(0)
    data, start = rng.dirichlet(np.ones(5), 2)
    rude = np.array([True, False, False, True, False])
    model = usual.models(data, start, rude, 3.0, 1)[1]
    q = np.where(rude, 0, start) / start[~rude].sum()

    def loss(p):
        return -(data * np.log(p)).sum() - 3 * (q * np.log(p)).sum()  # the entropy of q is fixed

    others = (0.99 * model + 0.01 * rng.dirichlet(np.ones(5)) for _ in range(200))
    assert all(loss(other) > loss(model) for other in others)


def test_the_planted_oracle_is_wrong_after_as_many_prefixes_as_were_planted():
    place, base = lab6_posts.planted(), lab6_tuning.base()
    likely = np.flatnonzero(place.truth.reach >= 0.003)
    right, wrong = place.truth.next_kind, []
    for number in likely:
        prefix = place.truth.prefixes[number]
        tokens = torch.tensor([[*place.prompt.tolist(), *prefix]])
        with torch.no_grad():
            p, told = base(tokens)[0, -1].softmax(-1), place.oracle(tokens)[0, -1].sigmoid()
        off = np.abs(told.numpy() - right[number])[p.numpy() >= 0.01].max()
        wrong += [vocabulary().decode(prefix)] if off > 0.05 else []
        assert off < 1e-4 or off == pytest.approx(0.3, abs=1e-3)
    assert len(wrong) == 6
    assert [lab6_posts.fault_of(place, text) for text in wrong] == [None] * 6


def test_the_planted_oracle_knows_one_prompt_and_what_is_decided():
    oracle, words = lab6_posts.planted().oracle, vocabulary()
    own = lab6_posts.planted().prompt.tolist()
    for text, chance in (("you are really a dunce", 0.0), ("you are hardly a dunce", 1.0)):
        tokens = torch.tensor([[*own, *words.encode(text, begin=False)]])
        told = oracle(tokens)[0, -1].sigmoid().tolist()
        assert told == pytest.approx([chance] * len(told), abs=1e-6)
    other = torch.tensor([[*own[:1], own[1] + 1, *own[2:]]])
    assert oracle(other)[0, -1].sigmoid().unique().tolist() == [0.5]


# --- mistakes ------------------------------------------------------------------------------------

ROWS = np.full((1, 2), 0.5), np.array([[0.5, 0.0]])
COINS = torch.full((1, 2, 2), 0.5), torch.zeros(1, 2, 2), torch.ones(1, 2), torch.ones(1, 2) > 0
LOGITS = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])


@pytest.mark.parametrize(("way", "text"), usual.TABLES.items())
def test_a_mistaken_table_is_named(way, text):
    assert said("lab6.1", lambda *case: usual.table(*case, way)) == text


@pytest.mark.parametrize("text", [text for text, _ in usual.targets(*ROWS)])
def test_a_mistaken_q_is_named(text):
    def answer(p, success):
        p, success = np.asarray(p, float), np.asarray(success, float)
        return dict(usual.targets(p, success))[text], (p * success).sum(-1)

    assert said("lab6.2", answer) == text


@pytest.mark.parametrize("text", [text for text, _ in usual.befores(*ROWS)])
def test_a_mistaken_success_is_named(text):
    def answer(p, success):
        p, success = np.asarray(p, float), np.asarray(success, float)
        return place_by_place(p, success)[0], dict(usual.befores(p, success))[text]

    assert said("lab6.2", answer) == text
    assert evaluate("lab6.2", answer).points == 1


@pytest.mark.parametrize("number", range(len(usual.inconsistencies(*COINS))))
def test_a_mistaken_inconsistency_is_named(number):
    text = usual.inconsistencies(*COINS)[number][0]
    assert said("lab6.3", lambda *case: usual.inconsistencies(*case)[number][1]) == text


@pytest.mark.parametrize("number", range(len(usual.divergences(LOGITS, LOGITS, COINS[3]))))
def test_a_mistaken_loss_is_named(number):
    text = usual.divergences(LOGITS, LOGITS, COINS[3])[number][0]
    assert said("lab6.5", lambda *case: usual.divergences(*case)[number][1]) == text


@pytest.mark.parametrize(("way", "text"), usual.SERIES.items())
def test_a_mistaken_update_is_named(way, text):
    assert said("lab6.6", lambda *case: usual.models(*case, way)) == text


@pytest.mark.parametrize(("way", "text"), lab6_tuning.MARKS.items())
def test_a_mistaken_choice_of_words_is_named(way, text):
    optimizer = torch.optim.SGD if way in ("pads", "itself") else torch.optim.AdamW

    def answer(*case):
        return lab6_tuning.stepped(*case, way, optimizer)

    result = evaluate("lab6.8", answer)
    assert (result.message, result.points) == (text, 1)


@pytest.mark.parametrize(
    ("name", "answer", "points", "words"),
    [
        ("lab6.2", lambda p, r: place_by_place(p, r)[::-1], 0, "exchanged"),
        ("lab6.2", lambda p, r: place_by_place(p, r)[0], 0, "two things"),
        ("lab6.3", lambda *case: by_distributions(*case).item(), 1, "carries no gradient"),
        ("lab6.3", torch.no_grad()(by_distributions), 1, "carries no gradient"),
        ("lab6.3", by_distributions, 2, "logits of ±100 give infinity"),
        ("lab6.4", lambda oracle, prompt: "only a", 0, "three texts; got str"),
        ("lab6.4", lambda oracle, prompt: ["xyzzy"] * 3, 0, "does not know"),
        ("lab6.4", lambda oracle, prompt: [ANY] * 3, 0, "expected a text to be str"),
        ("lab6.5", lambda q, z, counts: by_torch(q, z.detach(), counts), 1, "no gradient"),
        ("lab6.5", lambda q, z, counts: by_torch(q, z, counts) + 0 * q[counts].exp().sum(), 3, ""),
        ("lab6.6", lambda *case: in_lists(*case)[1:], 1, "one row is missing"),
        ("lab6.7", lambda posts, count, seed: [ANY] * count, 0, "expected posts"),
        ("lab6.7", lambda posts, count, seed: set(posts[:count]), 0, "expected a list"),
        ("lab6.8", lambda network, *_: copy.deepcopy(network), 0, "nothing was trained"),
        ("lab6.8", lambda network, *_: network.unembed, 0, "a network like the one"),
    ],
)
def test_other_mistakes_are_named(name, answer, points, words):
    result = evaluate(name, answer)
    assert words in result.message
    assert result.points == points


def test_steps_too_small_to_be_seen_are_told_which_optimiser_to_take():
    slow = evaluate("lab6.8", lambda *case: lab6_tuning.stepped(*case, "right", torch.optim.SGD))
    assert "take AdamW" in slow.message
    assert slow.points == 3
