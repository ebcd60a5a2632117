"""Labelled posts, the loss of verdicts and their score, against answers that are known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from helpers.detox.detection import detection_auc, detection_loss, labelled_posts
from helpers.detox.networks import PlainShape, Policy, fresh
from helpers.detox.posts import STOP, PostLabel, labels
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets import labelled_set
from helpers.tinyworld.sets.tasks import JUDGEMENTS

WORDS = vocabulary()
RUDE, KIND = ([WORDS.token(word) for word in words] for words in JUDGEMENTS["toxicity"])
INSULTS = {WORDS.token(word) for word in worlds.load().lists["forum.insults"]}


def blank() -> torch.nn.Module:
    """A network that finds every word equally likely."""
    network = fresh(PlainShape(len(WORDS), 8, 2, 1, 8, 64), seed=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    return network


def says_after_a_stop(word: int):
    """A network that says a word after every stop, and any word elsewhere."""
    network = blank()
    with torch.no_grad():
        network.embed.weight[STOP, 0] = 1.0
        network.ln_final.weight.fill_(1.0)
        network.unembed.weight[word, 0] = 10.0
    return network


def test_right_labels_are_those_of_the_grammar():
    posts = labelled_posts(300, noise=0.0, seed=0)
    assert ((labels(posts.tokens, start=1) == PostLabel.RUDE) == posts.rude).all()
    assert (posts.said == posts.rude).all()
    assert (posts.tokens[torch.arange(300), posts.last] == STOP).all()
    assert set(posts.verdict[torch.from_numpy(posts.said)].tolist()) == set(RUDE)
    assert set(posts.verdict[torch.from_numpy(~posts.said)].tolist()) == set(KIND)


def test_noise_turns_labels_by_chance_and_nothing_else():
    right, noisy, wrong = (labelled_posts(500, noise, seed=1) for noise in (0.0, 0.2, 1.0))
    turned = int((noisy.said != noisy.rude).sum())
    assert binomtest(turned, 500, 0.2).pvalue > 0.001
    assert (wrong.said == ~wrong.rude).all()
    assert torch.equal(right.tokens, noisy.tokens)


def test_more_posts_begin_with_the_same_ones_and_other_seeds_have_others():
    few, many = labelled_posts(20, 0.2, seed=2), labelled_posts(60, 0.2, seed=2)
    width = few.tokens.shape[1]
    assert torch.equal(few.tokens, many.tokens[:20, :width])
    assert (few.said == many.said[:20]).all()
    assert few.tokens.tolist() != labelled_posts(20, 0.2, seed=3).tokens.tolist()


def test_no_test_post_is_learned_from():
    learned = {WORDS.decode(row[1:]) for row in labelled_posts(4000, 0.0, seed=0).tokens}
    assert not learned & set(labelled_set("toxicity", 200, 1_000_000).texts)


def test_the_loss_reads_the_place_after_the_stop():
    posts, drawn = labelled_posts(30, 0.0, seed=0), torch.arange(30)
    unsure = detection_loss(blank(), posts, drawn).item()
    assert unsure == pytest.approx(math.log(len(WORDS)))
    # the share of verdicts that are this word is said for sure, the rest not at all
    share = float((posts.verdict == RUDE[0]).float().mean())
    loss = detection_loss(says_after_a_stop(RUDE[0]), posts, drawn).item()
    log_odds = 10 * 7 / math.sqrt(7)  # the normalised first number of (1, 0, …, 0) of eight
    assert loss == pytest.approx((1 - share) * log_odds, rel=1e-3)


def test_the_loss_is_that_of_the_posts_drawn_whatever_the_padding():
    posts = labelled_posts(6, 0.0, seed=4)
    network = fresh(PlainShape(len(WORDS), 8, 2, 1, 8, 64), seed=1)
    with torch.no_grad():
        each = [float(detection_loss(network, posts, torch.tensor([row]))) for row in range(6)]
        together = float(detection_loss(network, posts, torch.tensor([0, 3, 3])))
    assert together == pytest.approx((each[0] + 2 * each[3]) / 3, rel=1e-5)


@pytest.mark.parametrize("drawn", [[6], [-1], [], [[0]], [0.0], [True]])
def test_posts_that_are_not_there_are_refused(drawn):
    with pytest.raises(LabError, match="numbers of labelled posts, 0 to 5"):
        detection_loss(blank(), labelled_posts(6, 0.0, seed=4), torch.tensor(drawn))


class Verdict:
    """A guide that finds posts rude for a reason of its own."""

    def __init__(self, reason):
        self.reason = reason

    def begin(self):
        return None

    def __call__(self, logits, tokens, state):
        changed = logits.clone()
        for row, read in enumerate(tokens):
            changed[row, :, RUDE] += 1.0 if self.reason(read) else -1.0
        return changed


def is_rude(row: torch.Tensor) -> bool:
    return labels(row[None], start=1)[0] == PostLabel.RUDE


def test_perfect_verdicts_have_one_and_inverted_ones_nothing():
    assert detection_auc(Policy(blank(), Verdict(is_rude))) == 1.0
    assert detection_auc(Policy(blank(), Verdict(lambda row: not is_rude(row)))) == 0.0
    assert detection_auc(Policy(blank())) == 0.5


def test_counting_insult_words_is_at_chance():
    counting = Verdict(lambda row: bool(INSULTS & set(row.tolist())))
    assert detection_auc(Policy(blank(), counting)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("count", "noise", "seed"),
    [(0, 0.0, 0), (5, -0.1, 0), (5, np.nan, 0), (5, 1.5, 0), (5, 0.0, -1), (2.5, 0.0, 0)],
)
def test_posts_that_cannot_be_drawn_are_refused(count, noise, seed):
    with pytest.raises(LabError, match=r"labelled posts|wrong labels|seed"):
        labelled_posts(count, noise, seed)
