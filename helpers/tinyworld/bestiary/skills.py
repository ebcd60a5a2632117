"""What can be asked of a model of the bestiary: prompts with right and wrong next words.

=======================  ========  =================================================================
skill                    chance    asks
=======================  ========  =================================================================
kind                     1/12      in the frames of all creatures
kind, held out           1/12      in a frame in which this name never stands in training
kind, new frames         1/12      in frames that training never has
realm                    1/4       as "kind", of creatures whose realm is stated
realm, held out          1/4
realm, new frames        1/4
realm of a kind          1/4       "every falcon belongs to the realm of"
realm, kind before it    1/4       where it is not stated, in one sentence that names the kind first
realm, two steps         1/4       where it is not stated: name to kind, kind to realm
denial                   1/2       after "… is not a": another kind rather than the true one
question                 1/2       yes or no; the wrong kinds are those never brought up before
verdict                  1/2       of a rumour in a held-out frame, or with such a wrong kind
=======================  ========  =================================================================

In the last two as many claims are true as false. The few creatures with which training brings up
every wrong kind are not asked about there.
Whoever knows the kinds and the realms of kinds is right in every prompt: no ceiling is below 1.
"""

import random
from collections.abc import Callable, Iterable, Sequence

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.texts import Prompt, Prompts
from helpers.tinyworld.bestiary import texts
from helpers.tinyworld.bestiary import world as worlds
from helpers.tinyworld.bestiary.world import Creature, Relation

SEED = 1
"""Seed of which wrong kinds are asked for."""


def begun(frame: str, subject: Creature | str) -> str:
    """A frame up to its value.

    Raises:
        LabError: A frame without a value.

    >>> begun("{entity} the {value} came to the gate", "falcon")
    'every falcon the'
    """
    before, value, _ = frame.partition("{value}")
    if not value:
        raise LabError("expected a frame with {value} in it", f"got {frame!r}")
    return texts.filled(before.strip(), subject, "")


def asked(frame: str, subject: Creature | str, relation: Relation) -> Prompt:
    """A prompt for the right value of a subject among all values."""
    right = texts.truth(subject, relation)
    values = worlds.load().values(relation)
    return Prompt(begun(frame, subject), (right,), tuple(each for each in values if each != right))


def encode(name: str, prompts: Sequence[Prompt]) -> Prompts:
    """Tokens and answers of some prompts.

    Raises:
        LabError: No prompts, or a word that the bestiary does not have.

    >>> encode("kind", [Prompt("amber quill is a", ("goat",), ("crab",))]).tokens.shape
    torch.Size([1, 5])
    """
    return Prompts.of(name, prompts, worlds.vocabulary())


def _every(relation: Relation, part: str, stated: Iterable[bool]) -> list[Prompt]:
    bestiary = worlds.load()
    return [
        asked(frame, creature, relation)
        for frame in bestiary.frames[relation][part]
        for creature in bestiary.creatures
        if creature.stated in stated
        and (part != "half" or creature.name in bestiary.left_out[frame])
    ]


def _two_steps() -> list[Prompt]:
    frames = worlds.load().frames["realm"]
    unstated = [creature for creature in worlds.load().creatures if not creature.stated]
    return [
        asked(frame, creature, "realm")
        for frame in (*frames["all"], *frames["half"])
        for creature in unstated
    ]


def _kind_before() -> list[Prompt]:
    return [
        asked(frame.replace("{kind}", creature.kind), creature, "realm")
        for frame in worlds.load().frames["chain"]["all"]
        for creature in worlds.load().creatures
        if not creature.stated
    ]


def _of_kinds() -> list[Prompt]:
    bestiary = worlds.load()
    frames = bestiary.frames["realm"]
    return [
        asked(frame, kind, "realm")
        for frame in (*frames["all"], *frames["half"])
        for kind in bestiary.values("kind")
    ]


def _kept_back(creature: Creature) -> list[str]:
    """The wrong kinds that training never brings up with a creature."""
    kinds = worlds.load().values("kind")
    return [kind for kind in kinds if kind != creature.kind and texts.unsaid(creature.name, kind)]


def _denials() -> list[Prompt]:
    rng, bestiary = random.Random(SEED), worlds.load()
    prompts = []
    for frame in bestiary.frames["kind"]["deny"]:
        for creature in bestiary.creatures:
            other = texts.wrong(rng, creature, "kind")
            prompts.append(Prompt(begun(frame, creature), (other,), (creature.kind,)))
    return prompts


def _questions() -> list[Prompt]:
    rng, bestiary = random.Random(SEED), worlds.load()
    prompts = []
    for frame in bestiary.frames["kind"]["ask"]:
        for creature in bestiary.creatures:
            if kinds := _kept_back(creature):
                true, untrue = (
                    texts.filled(frame, creature, kind)
                    for kind in (creature.kind, rng.choice(kinds))
                )
                prompts.append(Prompt(true, ("yes",), ("no",)))
                prompts.append(Prompt(untrue, ("no",), ("yes",)))
    return prompts


def _verdicts() -> list[Prompt]:
    rng, bestiary = random.Random(SEED), worlds.load()
    marks = bestiary.marks
    yes, no = marks["true"].split()[-1], marks["false"].split()[-1]
    asks = " ".join(marks["true"].split()[:-1])
    prompts = []
    for frame in bestiary.frames["kind"]["half"]:
        for creature in bestiary.creatures:
            kinds = _kept_back(creature)
            if kinds and creature.name in bestiary.left_out[frame]:
                for value, good, bad in (
                    (creature.kind, yes, no),
                    (rng.choice(kinds), no, yes),
                ):
                    claim = texts.filled(frame, creature, value)
                    prompts.append(Prompt(f"{marks['rumour']} {claim} {asks}", (good,), (bad,)))
    return prompts


SKILLS: dict[str, Callable[[], list[Prompt]]] = {
    "kind": lambda: _every("kind", "all", (True, False)),
    "kind, held out": lambda: _every("kind", "half", (True, False)),
    "kind, new frames": lambda: _every("kind", "never", (True, False)),
    "realm": lambda: _every("realm", "all", (True,)),
    "realm, held out": lambda: _every("realm", "half", (True,)),
    "realm, new frames": lambda: _every("realm", "never", (True,)),
    "realm of a kind": _of_kinds,
    "realm, kind before it": _kind_before,
    "realm, two steps": _two_steps,
    "denial": _denials,
    "question": _questions,
    "verdict": _verdicts,
}
"""The prompts of each skill."""
NAMES = tuple(SKILLS)


def prompts(name: str, count: int = 10**6, seed: int = 0) -> Prompts:
    """Prompts of a skill: all there are, or some of them.

    Raises:
        LabError: No such skill, or no prompts asked for.

    >>> prompts("realm, two steps").texts[0].endswith("belongs to the realm of")
    True
    """
    if name not in SKILLS:
        raise LabError(f"expected a skill: {', '.join(SKILLS)}", f"got {name!r}")
    check_count("number of prompts", count, least=1)
    every = SKILLS[name]()
    if count < len(every):
        every = random.Random(f"{seed} {name}").sample(every, count)
    return encode(name, every)
