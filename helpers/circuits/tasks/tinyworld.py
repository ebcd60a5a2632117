"""Corrupted twins of TinyWorld's prompts: the words that are replaced, so that the answer no longer
follows, or still does.

A *corruption* is a function from a prompt's words to the words that replace some of them, place by
place (`places`). Every other token stays, so that a prompt and its twin are aligned. The clean
prompts are those of `tasks.prompts`, held out from training; the same count and seed give the same
ones whatever the corruption. A good corruption takes away exactly what the answer needs;
`CORRUPTIONS` also has bad ones, whose twins still tell the answer, to show what a method makes of
them.
"""

import random
from collections.abc import Callable, Sequence

import torch

from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.texts import Prompts
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets import LAST, METRICS, places_of, tasks

Where = dict[str, list[int]]
Change = Callable[[list[str], Where, random.Random], dict[int, str]]
GIVER = ("giver, first", "giver, second", "giver, earlier sentences")
RECEIVER = ("receiver", "receiver, earlier sentences")
DEFINED = ("first arguments", "argument before it", "asked argument", "arguments after it")
DOCUMENTED = ("documented earlier", "documented last")
YEARS = tuple(f"{year:02d}" for year in range(2, 98))
"""The start years of TinyWorld's texts."""


def _at(where: Where, names: Sequence[str]) -> list[int]:
    return sorted(position for name in names for position in where[name])


def _put(positions: Sequence[int], words: Sequence[str]) -> dict[int, str]:
    return dict(zip(positions, words, strict=True))


def _unused(
    words: list[str], candidates: Sequence[str], count: int, rng: random.Random
) -> list[str]:
    """Different words of a list that the prompt does not have."""
    return rng.sample([word for word in dict.fromkeys(candidates) if word not in words], count)


def _new_names(words: list[str], count: int, rng: random.Random) -> list[str]:
    return _unused(words, [person.name for person in worlds.load().people], count, rng)


def copy(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """Nothing is replaced: what a method finds on such twins is its own doing."""
    return {}


def third_name(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """The giver's second mention becomes a name that the prompt does not have ("ABC"): one token.

    The sentence to be finished then has three names, each once. Earlier sentences stay: they
    mention giver and receiver by the toss of a coin. So the prompt with the two exchanged has the
    same twin, and is as likely: nothing but chance is left (the order of the two follows the coin
    as well).
    """
    return _put(where["giver, second"], _new_names(words, 1, rng))


def swapped(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """Giver and receiver exchanged everywhere: the twin has the answer that was wrong."""
    givers, receivers = _at(where, GIVER), _at(where, RECEIVER)
    giver, receiver = words[givers[0]], words[receivers[0]]
    return dict.fromkeys(givers, receiver) | dict.fromkeys(receivers, giver)


def three_new_names(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """No name of the prompt is left.

    One new name stands for the receiver and two for the giver's mentions in the last sentence, the
    first of them in earlier sentences too.
    """
    receiver, first, second = _new_names(words, 3, rng)
    changed = dict.fromkeys(_at(where, RECEIVER), receiver) | dict.fromkeys(
        _at(where, GIVER), first
    )
    return changed | dict.fromkeys(where["giver, second"], second)


def other_place(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """Where the last sentence takes place, which does not matter: the answer stays."""
    return _other_word(words, worlds.load().lists["stories.places"], rng)


def _other_word(words: list[str], candidates: Sequence[str], rng: random.Random) -> dict[int, str]:
    """The last word of the prompt that is in a list becomes another one of it."""
    position = max(position for position, word in enumerate(words) if word in candidates)
    return _put([position], _unused(words, candidates, 1, rng))


def lowest_year(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """The start year becomes the first that texts have, 02, so that any year may follow.

    02 itself, one start year in 96, becomes 03.
    """
    start = words[where["start year"][0]]
    return _put(where["start year"], [next(year for year in YEARS if year != start)])


def unseen_year(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """The start year becomes 01, as in the papers on GPT-2.

    TinyWorld has no text that starts in 01: the model must guess.
    """
    return _put(where["start year"], ["01"])


def other_year(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """Another start year, 02 to 97: the same question about it, with mostly the same answers."""
    return _put(where["start year"], _unused(words, YEARS, 1, rng))


def other_century(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """Another century in both years, the start year kept: the answer stays."""
    both = [*where["century"], *where[LAST]]
    return dict.fromkeys(both, *_unused(words, worlds.load().lists["years.centuries"], 1, rng))


def other_event(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
    """What it was that lasted, which does not matter: the answer stays."""
    return _other_word(words, worlds.load().lists["years.events"], rng)


def _replaced(*groups: Sequence[str]) -> Change:
    """Arguments at some places become arguments that the prompt does not have, all different."""

    def change(words: list[str], where: Where, rng: random.Random) -> dict[int, str]:
        positions = [position for names in groups for position in _at(where, names)]
        arguments = worlds.load().lists["code.arguments"]
        return _put(positions, _unused(words, arguments, len(positions), rng))

    return change


random_random = _replaced(DEFINED, DOCUMENTED)
"""Every argument of the definition and every documented one becomes another: the two lists have
nothing in common, and the answer occurs in neither. (A word "build the node ." between them stays;
it is an argument drawn at random.)"""
random_definition = _replaced(DEFINED)
"""The definition's arguments become others, the documented ones stay: the answer does not occur."""
random_documentation = _replaced(DOCUMENTED)
"""The documented arguments become others. Their number still tells the answer; where there are
none, the twin is a copy."""

CORRUPTIONS: dict[str, dict[str, Change]] = {
    "ioi": {
        "abc": third_name,
        "swapped": swapped,
        "three new names": three_new_names,
        "other place": other_place,
        "copy": copy,
    },
    "greater-than": {
        "02": lowest_year,
        "01": unseen_year,
        "range": other_year,
        "century": other_century,
        "other event": other_event,
        "copy": copy,
    },
    "docstring": {
        "random-random": random_random,
        "random definition": random_definition,
        "random documentation": random_documentation,
        "copy": copy,
    },
}
"""The corruptions of each task by name. The first takes away just the answer."""


def twins(task: str, count: int = 64, seed: int = 0, corruption: str | None = None) -> Twins:
    """Held-out prompts of a task and their twins.

    Args:
        task: A key of `CORRUPTIONS`.
        count: Number of pairs.
        seed: Seed of the prompts (as in `tasks.prompts`), and of what they are corrupted with.
        corruption: A key of ``CORRUPTIONS[task]``; by default its first.

    Returns:
        Pairs whose twins have the clean prompts' answers, with the task's metric.

    Raises:
        LabError: no such task or corruption.

    >>> pairs = twins("greater-than", 2)
    >>> pairs.clean.texts[0], pairs.corrupted.texts[0]
    ('there was a journey between 18 29 and 18', 'there was a journey between 18 02 and 18')
    """
    if task not in CORRUPTIONS:
        raise LabError(f"expected a task with twins: {', '.join(CORRUPTIONS)}", f"got {task!r}")
    chosen = corruption or next(iter(CORRUPTIONS[task]))
    if chosen not in CORRUPTIONS[task]:
        raise LabError(
            f"expected a corruption of {task}: {', '.join(CORRUPTIONS[task])}", f"got {chosen!r}"
        )
    clean = tasks.prompts(task, count, seed)
    return Twins(
        clean,
        _corrupted(clean, CORRUPTIONS[task][chosen], random.Random(f"{seed} {task} {chosen}")),
        METRICS[task],
    )


def _corrupted(clean: Prompts, change: Change, rng: random.Random) -> Prompts:
    language, named = vocabulary(), places_of(clean)
    tokens, texts = clean.tokens.clone(), []
    for row in range(len(clean)):
        prompt = clean.tokens[row, : int(clean.last[row]) + 1].tolist()
        words = [language.words[token] for token in prompt]
        where = {
            name: (named.at[row] == place).nonzero()[:, 0].tolist()
            for place, name in enumerate(named.names)
        }
        for position, word in change(words, where, rng).items():
            words[position] = word
        texts.append(" ".join(words[1:]))
        tokens[row, : len(words)] = torch.tensor([language.token(word) for word in words])
    return Prompts(clean.name, tuple(texts), tokens, clean.last, clean.good, clean.bad)
