"""Texts with labels: what satisfies, what does not, and what is no label."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from helpers import zoo
from helpers.detox.networks import PlainShape, Policy, fresh, plain
from helpers.detox.oracle import LabelledSamples, labelled_samples, scored
from helpers.detox.oracle.samples import kind
from helpers.detox.posts import PROMPT, STOP, PostLabel, all_posts, exact_shares, prompts
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from tests.detox.oracle import tiny


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def row_of(post) -> list[int]:
    row = [*prompts()[0].tolist(), *post.tokens]
    return row + [0] * (PROMPT + 16 - len(row))


def test_a_kind_post_satisfies_and_neither_a_rude_nor_a_garbled_one_does():
    posts = {label: next(p for p in all_posts() if p.label == label) for label in (0, 1)}
    turned = next(p for p in all_posts() if p.turned and p.label == PostLabel.KIND)
    without_stop = row_of(posts[0])
    without_stop[without_stop.index(STOP)] = 0
    rows = [row_of(posts[0]), row_of(posts[1]), row_of(turned), without_stop]
    assert kind(torch.tensor(rows)).tolist() == [True, False, True, False]


def test_as_many_samples_satisfy_as_the_exact_share_says():
    """Outside an interval of chance 1 − 10⁻⁴ there would be something wrong."""
    policy = Policy(plain(zoo.load("tinyworld", device="cpu")))
    exact = float(exact_shares(policy, prompts()[::12])[:, PostLabel.KIND].mean())
    samples = labelled_samples(policy, 384, seeded())
    low, high = binom.interval(1 - 1e-4, 384, exact)
    assert low <= int(samples.satisfied.sum()) <= high
    assert torch.equal(samples.tokens[:48, :PROMPT], prompts())
    assert torch.equal(samples.tokens[48:96, :PROMPT], prompts())
    assert torch.equal(samples.accepted, samples.tokens[samples.satisfied])
    assert samples.share == pytest.approx(int(samples.satisfied.sum()) / 384)


def untrained() -> Policy:
    return Policy(fresh(PlainShape(len(vocabulary()), 8, 1, 1, 8, 24), 0))


def test_what_an_untrained_network_writes_is_garbled_and_satisfies_nothing():
    samples = labelled_samples(untrained(), 50, seeded())
    assert samples.share == 0.0
    assert len(samples.accepted) == 0


def test_one_seed_one_set_of_samples():
    first, again, other = (labelled_samples(untrained(), 5, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.tokens, again.tokens)
    assert not torch.equal(first.tokens, other.tokens)


def test_a_scorer_takes_the_place_of_the_grammar():
    seen = []

    def scorer(tokens):
        seen.append(tokens.shape)
        return tokens[:, 1] == prompts()[0, 1]

    samples = labelled_samples(untrained(), 96, seeded(), scorer)
    assert samples.satisfied.nonzero()[:, 0].tolist() == [0, 48]
    assert len(seen) == 1


def test_a_scorer_that_changes_what_it_is_given_changes_nothing():
    samples = labelled_samples(untrained(), 3, seeded(), lambda rows: rows.zero_()[:, 0] == 0)
    assert (samples.tokens[:, :PROMPT] == prompts()[:3]).all()
    assert samples.satisfied.all()


ROWS = torch.ones(4, 5, dtype=torch.long)


@pytest.mark.parametrize(
    "answers",
    [
        [True, False, True, True],
        np.array([1, 0, 1, 1]),
        torch.tensor([1.0, 0.0, 1.0, 1.0]),
        torch.tensor([1, 0, 1, 1], dtype=torch.uint8),
    ],
)
def test_yes_and_no_in_any_form(answers):
    assert scored(ROWS, lambda rows: answers).tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    "answers",
    [
        [0.9, 0.1, 0.5, 1.0],
        torch.tensor([1.0, 0.0, torch.nan, 1.0]),
        [True, False, None, True],
        ["rude", "kind", "kind", "rude"],
        ["yes", "no", "yes", "no"],
        np.array(["rude", "kind", "kind", "rude"]),
        [True, False],
        [],
        None,
        "clean",
        torch.ones(4, 1),
        True,
    ],
)
def test_what_is_no_answer_is_never_taken_for_clean(answers):
    with pytest.raises(LabError, match="expected the scorer's answers"):
        scored(ROWS, lambda rows: answers)


def test_a_scorer_that_fails_is_said_with_its_fault():
    def scorer(rows):
        raise RuntimeError("out of memory")

    with pytest.raises(LabError, match="it stopped: RuntimeError: out of memory"):
        scored(ROWS, scorer)
    with pytest.raises(LabError, match="it stopped: TypeError"):
        labelled_samples(untrained(), 3, seeded(), lambda: True)


def test_samples_that_are_none_are_refused():
    with pytest.raises(LabError, match="number of samples of at least 1"):
        labelled_samples(untrained(), 0, seeded())
    with pytest.raises(LabError, match=r"network of TinyWorld's \d+ words"):
        labelled_samples(Policy(tiny.network()), 3, seeded())
    with pytest.raises(LabError, match="longer than their prompt"):
        LabelledSamples(torch.ones(1, 3, dtype=torch.long), torch.tensor([True]))
    with pytest.raises(LabError, match="labels of the texts for 1 texts"):
        LabelledSamples(torch.ones(1, 4, dtype=torch.long), torch.tensor([True, False]))
    with pytest.raises(LabError, match="length of the prompt"):
        LabelledSamples(torch.ones(1, 4, dtype=torch.long), torch.tensor([True]), start=0)
