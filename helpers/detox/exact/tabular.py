"""The auxiliary model without a network: success learned from samples, one number a prefix.

NADO (arXiv 2205.14219) samples texts from the model, says of each whether it satisfies the
constraint, and fits R(prefix) to that label at every prefix of the text, by binary cross-entropy.
Of a table the best fit is known: the mean label of the samples that begin with the prefix. Three
things can be done besides:

- nothing: a prefix that was never sampled keeps ½, where a zero-initialised model begins;
- one step: R(prefix) := Σ_v p(v | prefix) R(prefix, v), with the means of one word later;
- all the way: the same from the whole texts backwards, so that nothing but the labels of whole
  texts is used, and ½ for those that were never sampled.

`fitted` learns by gradient with NADO's regulariser, which asks for the one-step equation softly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.detox.exact.automata import WordAutomaton
from helpers.detox.exact.chains import MarkovChain, check_size, words_of
from helpers.detox.exact.guides import check_together, success
from helpers.errors import LabError
from helpers.inputs import Labels, at_least, check_count, yes_no

Way = Literal["means", "one step back", "all the way back"]
"""What is done with the labels."""
WAYS: tuple[Way, ...] = ("means", "one step back", "all the way back")
Direction = Literal["expected first", "own first"]
"""KL(Bern(e) ‖ Bern(a)) or KL(Bern(a) ‖ Bern(e)): a the value of a prefix, e what is expected."""
UNSEEN = 0.5
"""Value of a prefix that no sample begins with."""


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """All prefixes of a chain's texts: prefix i with the word v behind it is ``V i + 1 + v``.

    Attributes:
        words: Chances of the next word at every prefix that is no whole text.
        depth: Number of words of each prefix.
        chance: Chance that a text begins with it.
        exact: Chance of success behind it.
    """

    words: Float[ndarray, "inner word"]
    depth: Int[ndarray, " prefix"]
    chance: Float[ndarray, " prefix"]
    exact: Float[ndarray, " prefix"]

    @property
    def length(self) -> int:
        """Number of words of a text."""
        return int(self.depth[-1])

    def places(self, texts: Int[ndarray, "text time"]) -> Int[ndarray, "text time"]:
        """The prefixes that each text passes through, the empty one left out.

        Raises:
            LabError: Words that the vocabulary does not have, or texts of another length.
        """
        n_words = self.words.shape[1]
        texts = words_of(texts, n_words, self.length)
        if texts.shape[1] != self.length:
            raise LabError(f"expected whole texts of {self.length} words", f"got {texts.shape[1]}")
        places, place = [], np.zeros(len(texts), int)
        for word in texts.T:
            place = n_words * place + 1 + word
            places.append(place)
        return np.stack(places, axis=1)

    def backed_up(self, values: Float[ndarray, " prefix"]) -> Float[ndarray, " inner"]:
        """Σ_v p(v | prefix) · value of the prefix with v, at every prefix that is no whole text."""
        return (self.words * values[1:].reshape(self.words.shape)).sum(1)


def prefix_tree(chain: MarkovChain, automaton: WordAutomaton) -> PrefixTree:
    """Every prefix with its chance and the exact success behind it.

    Raises:
        LabError: Different vocabularies, or more prefixes than can be counted.

    >>> from helpers.detox.exact import never, worked_example
    >>> tree = prefix_tree(worked_example(), never(2, n_words=3))
    >>> len(tree.depth), tree.exact[:4].round(4).tolist()
    (364, [0.3329, 0.4455, 0.2754, 0.0])
    """
    check_together(chain, automaton)
    check_size(chain.n_words ** (chain.length + 1))
    table = success(chain, automaton)
    context, state, chance = np.zeros(1, int), np.zeros(1, int), np.ones(1)
    words, chances, exact = [], [chance], [table[0, 0, 0][None]]
    for time in range(1, chain.length + 1):
        words.append(chain.table[context])
        chance = (chance[:, None] * words[-1]).ravel()
        context, state = chain.after[context].ravel(), automaton.delta[state].ravel()
        chances.append(chance)
        exact.append(table[time, context, state])
    depth = np.repeat(np.arange(chain.length + 1), [len(row) for row in chances])
    return PrefixTree(np.concatenate(words), depth, np.concatenate(chances), np.concatenate(exact))


def learned(
    tree: PrefixTree, texts: Int[ndarray, "text time"], satisfied: Labels, way: Way = "means"
) -> Float[ndarray, " prefix"]:
    """Success of every prefix as samples tell it.

    Args:
        texts, satisfied: Samples of the model, and whether each satisfies the constraint.
        way: See the module.

    Raises:
        LabError: Another way, other words, or not one yes or no for each text.

    >>> from helpers.detox.exact import markov, never
    >>> fair = markov([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], length=2)
    >>> tree = prefix_tree(fair, never(1, n_words=2))
    >>> texts, satisfied = [[0, 0], [0, 1], [0, 0], [1, 0]], [True, False, True, False]
    >>> learned(tree, texts, satisfied).round(3).tolist()
    [0.5, 0.667, 0.0, 1.0, 0.0, 0.0, 0.5]
    >>> learned(tree, texts, satisfied, "one step back").round(3).tolist()
    [0.333, 0.5, 0.25, 1.0, 0.0, 0.0, 0.5]
    """
    if way not in WAYS:
        raise LabError(f"expected one of the ways {', '.join(WAYS)}", f"got {way!r}")
    seen, right = _counts(tree, texts, satisfied)
    means = np.where(seen > 0, right / np.maximum(seen, 1), UNSEEN)
    inner = len(tree.words)
    if way == "one step back":
        return np.concatenate([tree.backed_up(means), means[inner:]])
    if way == "all the way back":
        for depth in range(tree.length - 1, -1, -1):
            here = tree.depth[:inner] == depth
            means[:inner][here] = tree.backed_up(means)[here]
    return means


def fitted(
    tree: PrefixTree,
    texts: Int[ndarray, "text time"],
    satisfied: Labels,
    consistency: float = 1.0,
    direction: Direction = "expected first",
    steps: int = 200,
) -> Float[ndarray, " prefix"]:
    """Success of every prefix, learned by gradient as a network learns it: ½ before the first step.

    The loss is the cross-entropy of the label at every prefix of a text, and `consistency` times
    KL(Bern(e) ‖ Bern(a)) at every prefix but the whole text, where e is what p and the values of
    the next word let expect. NADO's code has both directions in different places. Nothing is
    learned of the empty prefix, of which the network is not asked. Adam, with a rate that falls
    from 1 to 0: fast enough to come within 0.001 of means that are 0 or 1.

    Raises:
        LabError: A weight below 0, another direction, no step, other words or labels.

    >>> from helpers.detox.exact import never, unguided, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> texts = unguided(chain, clean).sample(500, np.random.default_rng(0))
    >>> tree, satisfied = prefix_tree(chain, clean), clean.accepts(texts)
    >>> plain = fitted(tree, texts, satisfied, consistency=0.0)
    >>> bool(abs(plain - learned(tree, texts, satisfied))[1:].max() < 1e-3)
    True
    """
    at_least(0, consistency, "as the weight of the regulariser")
    check_count("number of steps", steps, least=1)
    if direction not in ("expected first", "own first"):
        raise LabError("expected a direction: expected first, or own first", f"got {direction!r}")
    counted = _counts(tree, texts, satisfied)
    seen, right = (torch.from_numpy(row / counted[0][0]) for row in counted)
    words = torch.from_numpy(tree.words)
    with torch.enable_grad():
        logits = torch.zeros(len(seen), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([logits], lr=1.0)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = 1 - step / steps
            log_a = torch.nn.functional.logsigmoid(logits)
            log_not = torch.nn.functional.logsigmoid(-logits)
            loss = -(right * log_a + (seen - right) * log_not)[1:].sum()
            if consistency:
                e = (words * logits.sigmoid()[1:].view(words.shape)).sum(1)
                gap = _kl(e, log_a[: len(words)], log_not[: len(words)], direction)
                loss = loss + consistency * (seen[: len(words)] * gap)[1:].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return logits.detach().sigmoid().numpy()


def _counts(
    tree: PrefixTree, texts: Int[ndarray, "text time"], satisfied: Labels
) -> tuple[ndarray, ndarray]:
    """How many texts begin with each prefix, and how many of these satisfy the constraint."""
    places, label = tree.places(texts), yes_no(satisfied, "whether texts satisfy the constraint")
    if label.shape != (len(places),):
        raise LabError(
            "expected a yes or no for each text", f"got {len(label)} for {len(places)} texts"
        )
    size = len(tree.depth)
    seen = np.bincount(places.ravel(), minlength=size).astype(float)
    right = np.bincount(places[label].ravel(), minlength=size).astype(float)
    seen[0], right[0] = len(label), label.sum()
    return seen, right


def _kl(
    e: torch.Tensor, log_a: torch.Tensor, log_not: torch.Tensor, direction: Direction
) -> torch.Tensor:
    """KL between two coins, one given by its chance, the other by its logarithms."""
    e = e.clamp(1e-12, 1 - 1e-12)  # log(0) of an expectation that is sure
    if direction == "expected first":
        return e * (e.log() - log_a) + (1 - e) * ((1 - e).log() - log_not)
    return log_a.exp() * (log_a - e.log()) + log_not.exp() * (log_not - (1 - e).log())
