"""Skills of a language model of TinyWorld: prompts whose next word has a right answer.

A prompt stops before the word in question. Its `good` words are the answers that the world allows,
its `bad` words the ones that a model without the skill would give. Prompts are held out: their
words are known, their combination is not (see `sentences`). Exceptions are the facts about people,
which are there to be remembered, and "sentiment" and "noun number", whose prompts lack a word of
the combination that is held out, so that their sentences occur in training. What fixed places and
constants give away stands with each skill below, and is counted in the book's chapter on data.
"""

import random
from collections.abc import Callable, Sequence

from helpers.errors import LabError
from helpers.texts import LabelledSet, Prompt, Prompts
from helpers.tinyworld.language import documents, sentences, vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets import dimensions

JUDGEMENTS = {
    "reliability": (("true", "right", "correct"), ("false", "wrong", "untrue")),
    "privacy": (("allowed", "proper"), ("forbidden", "improper")),
    "toxicity": (("rude", "nasty"), ("kind", "nice")),
    "fairness": (("confirmed", "counted"), ("hearsay", "prejudice")),
    "robustness": (("clear", "readable"), ("garbled", "muddled")),
}
"""What is said after a statement when its label is true, and when it is false."""


def encode(name: str, prompts: Sequence[Prompt]) -> Prompts:
    """Tokens and answers of some prompts.

    Raises:
        LabError: no prompts, a word that TinyWorld does not have, or a prompt without right or
            wrong answers.
    """
    return Prompts.of(name, prompts, vocabulary())


def _earlier(rng: random.Random, names: Sequence[str]) -> str:
    """Up to three earlier sentences that mention names."""
    mentions = [sentences.mention(rng, rng.choice(names)) for _ in range(rng.randint(0, 3))]
    return "".join(f"{mention.text} . " for mention in mentions)


def _ioi(rng: random.Random) -> Prompt:
    """The receiver of a gift, which names its giver twice: the rarer name is right in 77 %."""
    gift = sentences.gift(rng, unseen=True)
    return Prompt(
        _earlier(rng, (gift.values["a"], gift.values["b"])) + gift.text.rsplit(" ", 1)[0],
        (gift.values["io"],),
        (gift.values["s"],),
    )


def _greater_than(rng: random.Random) -> Prompt:
    """The years of the century after the one given.

    99 is always right: only the difference of probabilities says something.
    """
    written = sentences.years(rng, unseen=True)
    begin = int(written.values["from"])
    years = [f"{year:02d}" for year in range(100)]
    return Prompt(
        written.text.rsplit(" ", 1)[0], tuple(years[begin + 1 :]), tuple(years[: begin + 1])
    )


def _docstring(rng: random.Random) -> Prompt:
    """The next argument to document: any of them, so that no fixed place has the answer."""
    written = sentences.code(rng, unseen=True)
    arguments = written.values["arguments"].split()
    asked = rng.choice(arguments)
    head, _, _ = written.text.rpartition(f" param {asked} ")
    others = [word for word in worlds.load().lists["code.arguments"] if word != asked]
    return Prompt(head + " param", (asked,), tuple(others))


def _before(rng: random.Random) -> str:
    """Nothing, or a sentence of the same kind with a number of its own."""
    return f"{sentences.agreement(rng).text} . " if rng.random() < 0.5 else ""


def _noun_number(rng: random.Random) -> Prompt:
    """Singular or plural noun after determiner and adjectives."""
    written = sentences.agreement(rng, unseen=True)
    words = worlds.load().lists["agreement.nouns"]
    plural = written.values["verb"] == "are"
    head = written.text.partition(f" {written.values['adjectives']} ")[0]
    return Prompt(
        f"{_before(rng)}{head} {written.values['adjectives']}",
        words[plural::2],
        words[not plural :: 2],
    )


def _verb_number(rng: random.Random) -> Prompt:
    """``is`` or ``are`` after the noun, with another noun between.

    It is always the same frame: the noun is fourth from the end.
    """
    written = sentences.agreement(rng, unseen=True, number=1)
    verb = written.values["verb"]
    head = written.text.rpartition(f" {verb} ")[0]
    return Prompt(_before(rng) + head, (verb,), ("is" if verb == "are" else "are",))


def _fact(relation: str) -> Callable[[random.Random], Prompt]:
    """The value of a relation, in frames that end with it."""

    def make(rng: random.Random) -> Prompt:
        while True:
            written = sentences.claim(rng, relation, unseen=True)
            head, _, end = written.text.rpartition(" ")
            told = head.split()[-1] in ("a", "an")  # "an" would tell how the value begins
            if end == written.values["value"] and not told:
                others = tuple(value for value in worlds.load().values(relation) if value != end)
                return Prompt(head, (end,), others)

    return make


def _remembered(relation: str) -> Callable[[random.Random], Prompt]:
    def make(rng: random.Random) -> Prompt:
        person = rng.choice(worlds.load().people)
        values = dict.fromkeys(getattr(other, relation) for other in worlds.load().people)
        right = getattr(person, relation)
        frame = worlds.frames()[f"person.{relation}"][0]
        head = frame.fill({"name": person.name, "value": right}, rng).rsplit(" ", 1)[0]
        return Prompt(head, (right,), tuple(value for value in values if value != right))

    return make


def _sentiment(rng: random.Random) -> Prompt:
    """What the critic did, by the last clause.

    Its adjective is third from the end, right by itself in 76 %; with a look at whether "not"
    stands before it, always.
    """
    written, good = sentences.review(rng, unseen=True)
    verbs = ("loved", "liked", "praised"), ("hated", "disliked", "scorned")
    return Prompt(
        f"{documents.text(written)} {written[-1].values['name']}", verbs[not good], verbs[good]
    )


def judged(data: LabelledSet) -> list[Prompt]:
    """The texts of a dimension's labelled set, and what is said after them."""
    words = JUDGEMENTS[data.name]
    pairs = zip(data.texts, data.labels.tolist(), strict=True)
    return [Prompt(text, words[not label], words[label]) for text, label in pairs]


SKILLS: dict[str, Callable[[random.Random], Prompt]] = {
    "ioi": _ioi,
    "greater-than": _greater_than,
    "docstring": _docstring,
    "noun number": _noun_number,
    "verb number": _verb_number,
    "kind": _fact("kind"),
    "realm": _fact("realm"),
    "colour": _fact("colour"),
    "profession": _remembered("profession"),
    "code": _remembered("code"),
    "sentiment": _sentiment,
}
"""How one prompt of each skill is made. Judgements are not here: they come from labelled sets."""
JUDGED = {f"judge {dimension}": dimension for dimension in JUDGEMENTS}
"""The dimension of each judgement."""
NAMES = (*SKILLS, *JUDGED)
"""Every skill."""


def prompts(skill: str, count: int = 200, seed: int = 0) -> Prompts:
    """Held-out prompts of a skill, one of `NAMES`.

    Raises:
        LabError: no such skill, or an odd number of judgements, which come in pairs.
    """
    if skill not in NAMES:
        raise LabError(f"expected a skill: {', '.join(NAMES)}", f"got {skill!r}")
    if skill in JUDGED:
        if count % 2:
            raise LabError(
                "expected an even number of prompts of a judgement, as its texts come in pairs",
                f"got {count}",
            )
        return encode(skill, judged(dimensions.labelled_set(JUDGED[skill], count // 2, seed)))
    rng = random.Random(f"{seed} {skill}")
    return encode(skill, [SKILLS[skill](rng) for _ in range(count)])


METRICS = {
    "ioi": "logit difference",
    "greater-than": "difference of probabilities",
    "docstring": "log of the probability ratio",
}
"""How each behaviour is measured: right words against wrong ones (`prompts.Answers`)."""
