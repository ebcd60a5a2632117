"""Chains beside brute force over all texts, and a transformer of a short context as a chain."""

import itertools

import numpy as np
import pytest
import torch

from helpers.detox.exact import MarkovChain, markov, of_model, success, unguided, worked_example
from helpers.detox.exact.automata import at_most, never
from helpers.detox.exact.chains import every_text
from helpers.errors import LabError


def test_the_chances_of_all_texts_by_hand():
    start, steps = [0.5, 0.4, 0.1], [[0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]]
    chain = worked_example()
    for text, found in zip(every_text(chain), chain.chances(every_text(chain)), strict=True):
        by_hand = start[text[0]]
        for one, other in itertools.pairwise(text):
            by_hand *= steps[one][other]
        assert found == pytest.approx(by_hand, rel=1e-12)
    assert chain.chances(every_text(chain)).sum() == pytest.approx(1, abs=1e-12)
    assert chain.chances([[]]) == [1.0]


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_chain_of_any_order_reads_the_last_words(order):
    rng = np.random.default_rng(order)
    rows = {
        context: rng.dirichlet([1] * 3)
        for seen in range(order + 1)
        for context in itertools.product(range(3), repeat=seen)
    }
    chain = of_model(lambda contexts: [rows[tuple(c)] for c in contexts.tolist()], 3, order, 5)
    assert chain.order == order
    for text, found in zip(every_text(chain), chain.chances(every_text(chain)), strict=True):
        words = text.tolist()
        by_hand = np.prod([rows[tuple(words[max(0, i - order) : i])][words[i]] for i in range(5)])
        assert found == pytest.approx(by_hand, rel=1e-12)


class ShortTransformer(torch.nn.Module):
    """One block that reads the last words and a first token that begins every context."""

    def __init__(self, n_words: int, order: int) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(n_words + 1, 8)
        self.place = torch.nn.Embedding(order + 1, 8)
        self.block = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.unembed = torch.nn.Linear(8, n_words)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Logits of the next word behind each row of words."""
        begin = torch.full((len(words), 1), self.embed.num_embeddings - 1)
        tokens = torch.cat([begin, words], 1)
        states = self.embed(tokens) + self.place(torch.arange(tokens.shape[1]))
        return self.unembed(self.block(states)[:, -1])


def test_success_of_a_trained_transformer_is_exact():
    """Trained on one alternating text, then counted: 4 words, of which it sees 2."""
    torch.manual_seed(0)
    network = ShortTransformer(4, order=2)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    text = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1]])
    windows, nexts = text.unfold(1, 2, 1)[0, :-1], text[0, 2:]
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(network(windows), nexts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def next_words(contexts: np.ndarray) -> torch.Tensor:
        return network(torch.from_numpy(contexts)).softmax(-1)

    chain = of_model(next_words, n_words=4, order=2, length=5)
    texts = every_text(chain)
    with torch.no_grad():
        log_p = sum(
            network(torch.from_numpy(texts[:, max(0, i - 2) : i]))
            .log_softmax(-1)[torch.arange(len(texts)), torch.from_numpy(texts[:, i])]
            .double()
            for i in range(5)
        )
    clean = at_most(1, word=3, n_words=4)
    by_brute_force = float(log_p.exp()[torch.from_numpy((texts == 3).sum(1) <= 1)].sum())
    assert 0.1 < by_brute_force < 0.99  # there is something to find
    assert success(chain, clean)[0, 0, 0] == pytest.approx(by_brute_force, abs=1e-5)


def test_drawn_texts_come_as_often_as_they_are_likely():
    chain = worked_example()
    drawn = unguided(chain, never(2, 3)).sample(20_000, np.random.default_rng(0))
    number = drawn @ 3 ** np.arange(4, -1, -1)
    shares = np.bincount(number, minlength=243) / len(drawn)
    apart = np.abs(shares - chain.chances(every_text(chain)))
    # four standard errors of a share of at most 0.05
    assert apart.max() < 4 * np.sqrt(0.05 * 0.95 / 20_000)


def test_the_same_seed_draws_the_same():
    plain = unguided(worked_example(), never(2, 3))
    first, second = (plain.sample(50, np.random.default_rng(3)) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    "table",
    [
        [[0.5, 0.6], [0.5, 0.5], [0.5, 0.5]],
        [[1.5, -0.5], [0.5, 0.5], [0.5, 0.5]],
        [[np.nan, 0.5], [0.5, 0.5], [0.5, 0.5]],
        [[0.5, 0.5], [0.5, 0.5]],
        [[0.0, 0.0], [0.5, 0.5], [0.5, 0.5]],
        [0.5, 0.5],
        "half",
        None,
    ],
)
def test_what_is_no_chain_is_refused(table):
    with pytest.raises(LabError, match="expected"):
        MarkovChain(table, length=2)


@pytest.mark.parametrize("length", [0, -1, 1.5, None, True])
def test_a_text_has_words(length):
    with pytest.raises(LabError, match="length of texts"):
        MarkovChain(np.full((3, 2), 0.5), length)


@pytest.mark.parametrize("texts", [[[0, 3]], [[-1]], [[0.5]], [0, 1], [[0, 1], [0]], [], None])
def test_other_words_are_refused(texts):
    with pytest.raises(LabError, match="expected texts as a table of at most 5 words"):
        worked_example().chances(texts)


def test_worlds_that_are_too_large_are_refused():
    with pytest.raises(LabError, match="expected a world of at most"):
        of_model(lambda contexts: contexts, n_words=1000, order=3, length=4)
    with pytest.raises(LabError, match="expected a world of at most"):
        every_text(markov(np.full(10, 0.1), np.full((10, 10), 0.1), length=12))
    with pytest.raises(LabError, match="chances behind each of 3 contexts"):
        of_model(lambda contexts: np.full((1, 3), 1 / 3), n_words=3, order=1, length=4)
