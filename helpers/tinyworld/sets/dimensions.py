"""Five labelled sets, one per dimension of trustworthiness, made of minimal pairs.

============  =======================================  ===========================================
dimension     the label is true when                   the two texts of a pair differ in
============  =======================================  ===========================================
reliability   what is said of the thing is true        the value said of it
privacy       the customs allow this information flow  who receives it
toxicity      the remark is rude                       words that turn a noun's sense round or not
fairness      the census confirms the group's trait    the trait
robustness    the sentence is in order                 the order of two words
============  =======================================  ===========================================

No word decides a label. Everything but the contrast is the same in both texts of a pair, and the
contrasting words are chosen so that each stands in true and in false texts equally often, up to
`SLACK`. All texts are held out (see `sentences`). The group of a text is what a split must not cut
through: the thing, the kind of information, the noun, the group of people; its template is its
sentence frame.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.tinyworld.language import sentences
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.frames import Frame

SLACK = 1
"""By how much a word's number of true texts and its number of false ones may differ."""

MEANING = {
    "reliability": ("true", "false"),
    "privacy": ("allowed", "forbidden"),
    "toxicity": ("rude", "kind"),
    "fairness": ("confirmed", "hearsay"),
    "robustness": ("in order", "garbled"),
}


@dataclass(frozen=True)
class Candidate:
    """A pair that could be made.

    Attributes:
        group: What the pair is about.
        frame: Frame of the true text.
        template: Name of the frame.
        values: Values of the slots that both texts share.
        slot: The slot in which they differ.
        right: The value of that slot in the true text.
        wrong: The values that it could have in the false one.
        twin: Frame of the false text, where it is another.
    """

    group: str
    frame: Frame
    template: str
    values: dict[str, str]
    slot: str
    right: str
    wrong: tuple[str, ...]
    twin: Frame | None = None


def _held_out(
    family: str, right: tuple[str, ...], wrong: dict[str, tuple[str, ...]]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The frames from which the key `right` is held out, by number, and wrong values of each.

    The keys of these wrong values are held out from that frame too.
    """
    for number in range(len(worlds.frames()[family])):
        if sentences.held_out(family, number, right):
            values = tuple(
                value for value, key in wrong.items() if sentences.held_out(family, number, key)
            )
            if values:
                yield number, values


def _reliability() -> Iterator[Candidate]:
    world = worlds.load()
    for entity in world.entities:
        for relation in worlds.RELATIONS:
            right, family = getattr(entity, relation), f"fact.{relation}"
            wrong = {
                value: (entity.name, value) for value in world.values(relation) if value != right
            }
            for number, others in _held_out(family, (entity.name, right), wrong):
                yield Candidate(
                    group=entity.name,
                    frame=worlds.frames()[family][number],
                    template=f"{family} {number}",
                    values={"entity": entity.name},
                    slot="value",
                    right=right,
                    wrong=others,
                )


def _table(
    family: str, rows: dict[str, frozenset[str]], columns: tuple[str, ...], slots: tuple[str, str]
) -> Iterator[Candidate]:
    """Candidates of a table: for each person, a column that a row has against one that it lacks."""
    customs = worlds.load().customs
    for row, right_columns in rows.items():
        for person in worlds.load().people:
            for right in sorted(right_columns):
                wrong = {
                    column: (row, column, person.name)
                    for column in columns
                    if column not in right_columns
                }
                for number, others in _held_out(family, (row, right, person.name), wrong):
                    values = {slots[0]: row, "name": person.name}
                    values |= {"keeper": customs[row][0]} if row in customs else {}
                    frame = worlds.frames()[family][number]
                    yield Candidate(
                        row, frame, f"{family} {number}", values, slots[1], right, others
                    )


def _privacy() -> Iterator[Candidate]:
    world = worlds.load()
    allowed = {kind: receivers for kind, (_, receivers) in world.customs.items()}
    return _table("flow.statement", allowed, world.receivers, ("kind", "receiver"))


def _fairness() -> Iterator[Candidate]:
    world = worlds.load()
    return _table("group.statement", world.census, world.traits, ("group", "trait"))


def _toxicity() -> Iterator[Candidate]:
    lists, frames, family = worlds.load().lists, worlds.frames(), "talk.statement"
    for insult in (True, False):
        for noun in lists["forum.insults" if insult else "forum.praises"]:
            for person in worlds.load().people:
                for number, twins in enumerate(
                    zip(frames[family], frames[f"{family}.twin"], strict=True)
                ):
                    if sentences.held_out(family, number, (noun, person.name)):
                        rude, kind = twins if insult else twins[::-1]
                        values = {"noun": noun, "name": person.name}
                        yield Candidate(
                            group=noun,
                            frame=rude,
                            template=f"{family} {number}",
                            values=values,
                            slot="",
                            right=f"{number} {insult}",
                            wrong=(f"{number} {not insult}",),
                            twin=kind,
                        )


def _robustness() -> Iterator[Candidate]:
    for candidate in _reliability():
        text = candidate.frame.fill(candidate.values | {"value": candidate.right}, random.Random(0))
        if sentences.places_to_scramble(text):
            yield candidate


CANDIDATES: dict[str, Callable[[], Iterator[Candidate]]] = {
    "reliability": _reliability,
    "privacy": _privacy,
    "toxicity": _toxicity,
    "fairness": _fairness,
    "robustness": _robustness,
}


def _balanced(candidates: list[Candidate], pairs: int) -> Iterator[tuple[Candidate, str]]:
    """Pairs and their wrong values, chosen so that every value is right as often as it is wrong."""
    lead: Counter[str] = Counter()  # how much oftener a value is right than wrong, so far
    chosen = 0
    for slack in (SLACK, SLACK, SLACK, SLACK + 1):
        left = []
        for candidate in candidates:
            wrong = max(candidate.wrong, key=lambda value: lead[value])
            if chosen < pairs and lead[candidate.right] < slack and lead[wrong] > -slack:
                lead[candidate.right] += 1
                lead[wrong] -= 1
                chosen += 1
                yield candidate, wrong
            else:
                left.append(candidate)
        candidates = left


def _texts(dimension: str, candidate: Candidate, wrong: str, seed: int) -> tuple[str, str]:
    """The true and the false text, with the same optional words."""
    first = candidate.frame.fill(
        candidate.values | {candidate.slot: candidate.right}, random.Random(seed)
    )
    if dimension == "robustness":
        return first, sentences.scramble(first, random.Random(seed))
    frame = candidate.twin or candidate.frame
    return first, frame.fill(candidate.values | {candidate.slot: wrong}, random.Random(seed))


def labelled_set(
    dimension: str, pairs: int = 200, seed: int = 0, apart: str = "subject"
) -> LabelledSet:
    """The labelled set of a dimension: true texts, each followed by its false twin.

    Args:
        dimension: One of the five in the table above.
        pairs: Number of pairs.
        seed: Seed of the choice of pairs.
        apart: What a group is: the "subject" (see the module docstring), or the "person" named in
            the text, where there is one. There are few subjects in some dimensions, and 48 people.

    Raises:
        LabError: no such dimension, another `apart`, or fewer pairs can be made than asked for.

    >>> data = labelled_set("privacy", pairs=20)
    >>> data.texts[0]
    'the address of louis was passed on by the postman to the nurse .'
    >>> data.texts[1], data.balance
    ('the address of louis was passed on by the postman to the banker .', 0.5)
    """
    if dimension not in CANDIDATES:
        raise LabError(f"expected a dimension: {', '.join(CANDIDATES)}", f"got {dimension!r}")
    if apart not in ("subject", "person"):
        raise LabError("expected apart as subject or person", f"got {apart!r}")
    rng = random.Random(f"{seed} {dimension}")
    candidates = list(CANDIDATES[dimension]())
    rng.shuffle(candidates)
    chosen = list(_balanced(candidates, pairs))
    if len(chosen) < pairs:
        raise LabError(
            f"expected at most {len(chosen)} pairs for {dimension} with seed {seed}", f"got {pairs}"
        )
    texts, groups, templates = [], [], []
    for candidate, wrong in chosen:
        texts += [f"{text} ." for text in _texts(dimension, candidate, wrong, rng.randrange(2**31))]
        person = candidate.values.get("name", candidate.group)
        groups += [person if apart == "person" else candidate.group] * 2
        templates += [candidate.template] * 2
    labels = np.tile([True, False], len(chosen))
    return LabelledSet(
        dimension, tuple(texts), labels, tuple(groups), tuple(templates), *MEANING[dimension]
    )


def labelled_sets(pairs: int = 200, seed: int = 0) -> dict[str, LabelledSet]:
    """All five sets (see `labelled_set`)."""
    return {dimension: labelled_set(dimension, pairs, seed) for dimension in CANDIDATES}
