"""What masks are learned for: six tasks on `tinyworld`, in parts that share no subject.

===========  ====================================  ==============================================
task         what the model does                   a mask shall keep
===========  ====================================  ==============================================
kind         names the kind of an entity           all its next words (KL)
realm        names the realm of an entity          all its next words (KL)
verb number  says "is" or "are" after a noun       all its next words (KL)
truth        is a statement of a kind true?        the class that a read-out gives
toxicity     is a remark rude?                     the class that a read-out gives
noun number  is a noun of the right number?        the class that a read-out gives
===========  ====================================  ==============================================

The first three ask the model for words. The last three are as in arXiv 2406.17241: a linear head of
two classes, without bias, is fitted to what the unembedding reads at the last token, and frozen;
masks are learned for the class that the whole model gives, and judged by the label.

Every task has three parts: `search`, `validation` for choosing settings, and `held out`, which is
reported. No entity and no noun of one part is a subject of another one. Facts are also asked in
frames that are not searched with. Remarks have 24 nouns and all persons in every part.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, Facts, divided, facts
from helpers.knowledge.masks.plain import PlainBlocks
from helpers.knowledge.masks.search import Objective, Targets, predictions
from helpers.texts import PAD
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets import labelled_set
from helpers.tinyworld.sets.tasks import prompts

WORDS = ("kind", "realm", "verb number")
READ_OUTS = ("truth", "toxicity", "noun number")
TASKS = (*WORDS, *READ_OUTS)
PARTS = ("search", "validation", "held out")
VALIDATION = 0.3
"""Share of what is searched with that settings are chosen on."""
DRAWN = {"verb number": 900, "toxicity": 600, "noun number": 300}
"""Prompts, or pairs of texts, that are drawn before they are divided by their subjects."""
HEAD_PENALTY = 1.0
"""Strength of the penalty of the read-out's logistic regression, scikit-learn's 1 / C."""


@dataclass(frozen=True)
class MaskTask:
    """A task in its parts.

    Attributes:
        name: One of `TASKS`.
        blocks: The weights that masks cover, under a read-out where the task has one.
        parts: For each of `PARTS` its prompts with the right answers: words, or classes 0 and 1.
    """

    name: str
    blocks: PlainBlocks
    parts: dict[str, Facts]

    def objective(self, part: Facts) -> Objective:
        """What a mask is learned by: KL to the whole model, or the class that the head gives."""
        if self.name in WORDS:
            return predictions(self.blocks, part.tokens, part.last)
        with torch.no_grad():
            said = self.blocks.logits(self.blocks.values, part.tokens, part.last).argmax(-1)
        return Targets(self.blocks, part.tokens, part.last, said)


def task(name: str, blocks: PlainBlocks) -> MaskTask:
    """A task on a model of TinyWorld.

    Args:
        blocks: The weights of its blocks, under its own unembedding.

    Raises:
        LabError: No such task.
    """
    if name not in TASKS:
        raise LabError(f"expected a task of masks: {', '.join(TASKS)}", f"got {name!r}")
    parts = {part: of_part(name, part) for part in PARTS}
    if name in READ_OUTS:
        fitted_on = joined(parts["search"], parts["validation"])
        blocks = blocks.with_head(read_out(blocks, fitted_on))
    return MaskTask(name, blocks, parts)


def of_part(name: str, part: str) -> Facts:
    """The prompts of one part."""
    if name in ("kind", "realm"):
        frames = FRAMES[name]["held out" if part == "held out" else "search"]
        return facts(name, entities(part), frames)  # type: ignore[arg-type]
    if name == "verb number":
        return _verbs(part)
    texts, labels, subjects = _labelled(name)
    inside = set(entities(part) if name == "truth" else _divided(subjects)[part])
    rows = [row for row, subject in enumerate(subjects) if subject in inside]
    return classes(
        [texts[row] for row in rows], [labels[row] for row in rows], [subjects[row] for row in rows]
    )


def entities(part: str) -> tuple[str, ...]:
    """The entities of a part: those held out everywhere, and the others in two."""
    searched, held_out = divided()
    first = round((1 - VALIDATION) * len(searched))
    return {"search": searched[:first], "validation": searched[first:], "held out": held_out}[part]


def read_out(blocks: PlainBlocks, fitted_on: Facts) -> Float[Tensor, "class d_model"]:
    """A linear classifier on what the unembedding reads at the last token, without bias."""
    from sklearn.linear_model import LogisticRegression

    features = blocks.features(fitted_on.tokens, fitted_on.last).double().numpy()
    model = LogisticRegression(C=1 / HEAD_PENALTY, fit_intercept=False, max_iter=10_000)
    model.fit(features, fitted_on.answers.numpy())
    row = torch.from_numpy(model.coef_[0]).float() / 2
    return torch.stack([-row, row])


def joined(first: Facts, second: Facts) -> Facts:
    """The prompts of two parts, one after the other."""
    width = max(first.tokens.shape[1], second.tokens.shape[1])
    tokens = [
        torch.nn.functional.pad(part.tokens, (0, width - part.tokens.shape[1]), value=PAD)
        for part in (first, second)
    ]
    return Facts(
        torch.cat(tokens),
        torch.cat([first.last, second.last]),
        torch.cat([first.answers, second.answers]),
        first.candidates,
        first.subjects + second.subjects,
    )


def of_subjects(given: Facts, subjects: Sequence[str]) -> Facts:
    """The prompts about some subjects."""
    inside = set(subjects)
    rows = torch.tensor([row for row, name in enumerate(given.subjects) if name in inside])
    return replace(
        given,
        tokens=given.tokens[rows],
        last=given.last[rows],
        answers=given.answers[rows],
        subjects=tuple(given.subjects[row] for row in rows.tolist()),
    )


def classes(texts: Sequence[str], labels: Sequence[bool], subjects: Sequence[str]) -> Facts:
    """Texts with yes-or-no labels as prompts whose answers are the classes 1 and 0."""
    encoded = [vocabulary().encode(text) for text in texts]
    tokens = torch.full((len(encoded), max(map(len, encoded))), PAD)
    for row, ids in enumerate(encoded):
        tokens[row, : len(ids)] = torch.tensor(ids)
    return Facts(
        tokens,
        torch.tensor([len(ids) - 1 for ids in encoded]),
        torch.tensor([int(label) for label in labels]),
        torch.tensor([0, 1]),
        tuple(subjects),
    )


def _divided(subjects: Sequence[str], seed: int = 0) -> dict[str, tuple[str, ...]]:
    """Different subjects in the three parts, in the shares of the entities."""
    names = sorted(set(subjects))
    random.Random(seed).shuffle(names)
    shares = np.cumsum([len(entities(part)) for part in PARTS]) / len(worlds.load().entities)
    ends = [0, *(round(share * len(names)) for share in shares)]
    return {part: tuple(names[ends[i] : ends[i + 1]]) for i, part in enumerate(PARTS)}


def _verbs(part: str) -> Facts:
    """Different prompts before "is" or "are", divided by the noun that the verb agrees with."""
    drawn = prompts("verb number", DRAWN["verb number"])
    lemma = _lemmas()
    subjects = [lemma[text.split()[-4]] for text in drawn.texts]
    inside, seen, rows = set(_divided(subjects)[part]), set(), []
    for row, (text, subject) in enumerate(zip(drawn.texts, subjects, strict=True)):
        if subject in inside and text not in seen:
            seen.add(text)
            rows.append(row)
    width = int(drawn.last[rows].max()) + 1
    return Facts(
        drawn.tokens[rows, :width],
        drawn.last[rows],
        drawn.good[rows].int().argmax(1),
        torch.tensor([vocabulary().token(word) for word in ("is", "are")]),
        tuple(subjects[row] for row in rows),
    )


def _lemmas() -> dict[str, str]:
    """The singular of every noun of the sentences about number."""
    nouns = worlds.load().lists["agreement.nouns"]
    pairs = zip(nouns[::2], nouns[1::2], strict=True)
    return {form: one for one, many in pairs for form in (one, many)}


def _labelled(name: str) -> tuple[list[str], list[bool], list[str]]:
    """Texts in pairs of a true and a false one, with their labels and subjects."""
    if name == "toxicity":
        data = labelled_set("toxicity", DRAWN["toxicity"])
        return list(data.texts), data.labels.tolist(), list(data.groups)
    if name == "truth":
        return _statements()
    return _nouns()


def _statements() -> tuple[list[str], list[bool], list[str]]:
    """Every entity with its kind, and with the kind of another one, as often as that is true."""
    texts, labels, subjects = [], [], []
    world = worlds.load()
    kind_of = {entity.name: entity.kind for entity in world.entities}
    for part in PARTS:
        names = entities(part)
        dealt = _dealt([kind_of[name] for name in names])
        for name, false in zip(names, dealt, strict=True):
            for kind, label in ((kind_of[name], True), (false, False)):
                texts.append(f"the {name} is a kind of {kind} .")
                labels.append(label)
                subjects.append(name)
    return texts, labels, subjects


def _dealt(values: list[str], seed: int = 0) -> list[str]:
    """The values dealt out anew so that nobody has the old one: the sorted ring, turned by as many
    places as the commonest value has."""
    order = sorted(range(len(values)), key=lambda row: (values[row], row))
    most = max(values.count(value) for value in values)
    dealt = [""] * len(values)
    for place, row in enumerate(order):
        dealt[row] = values[order[(place + most) % len(order)]]
    return dealt


def _nouns() -> tuple[list[str], list[bool], list[str]]:
    """Determiner, adjectives and a noun of the right number, or of the other one."""
    rng, world = random.Random("noun number, right or not"), worlds.load()
    nouns = world.lists["agreement.nouns"]
    pairs = list(zip(nouns[::2], nouns[1::2], strict=True))
    texts, labels, subjects, seen = [], [], [], set()
    while len(seen) < DRAWN["noun number"]:
        plural, pair = rng.random() < 0.5, rng.choice(pairs)
        determiner = rng.choice(("these", "those") if plural else ("this", "that"))
        number = rng.randint(1, 2)
        adjectives = " ".join(rng.sample(world.lists["agreement.adjectives"], number))
        if (determiner, adjectives, pair) in seen:
            continue
        seen.add((determiner, adjectives, pair))
        for label in (True, False):
            texts.append(f"{determiner} {adjectives} {pair[plural if label else not plural]}")
            labels.append(label)
            subjects.append(pair[0])
    return texts, labels, subjects
