"""Which facts of a relation a model knows, as prompts in its own tokens.

A fact counts as known where the likeliest of all next tokens is the one with which its answer goes
on. Answers of one token only are taken, unless the first token is said to stand for the whole: the
rest of an answer is never looked at, by no mask and by no edit.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.errors import LabError
from helpers.interventions import device_of
from helpers.knowledge.facts import Facts
from helpers.knowledge.real.relations import HOLE, RelationData
from helpers.model import Model
from helpers.texts.reading import TextReader, reader

BATCH = 64
LEAST = 4
"""Known facts without which there is nothing to learn on and to judge by."""


@dataclass(frozen=True)
class KnownFacts:
    """The facts of a relation that a model knows.

    Attributes:
        relation: All facts, as text.
        read: How the model reads texts.
        template: The one in which most facts are known: edits are made in it.
        right: For each template the subjects of which the model says the answer, in the order of
            the relation.
        answers: For each subject whose answer can be taken, the token.
        device: Where the model is.
    """

    relation: RelationData
    read: TextReader
    template: str
    right: dict[str, tuple[str, ...]]
    answers: dict[str, int]
    device: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """Those of which the model knows the fact, in `template`."""
        return self.right[self.template]

    @property
    def others(self) -> tuple[str, ...]:
        """The other templates: paraphrases."""
        return tuple(each for each in self.right if each != self.template)

    @property
    def said(self) -> str:
        """How many of how many, in one sentence."""
        return (
            f"Of {len(self.relation.objects)} facts of {self.relation.name!r}, "
            f"{len(self.answers)} have an answer that is taken, and the model says "
            f"{len(self.subjects)} of these after {self.template!r}."
        )

    def facts(self, subjects: Sequence[str], templates: Sequence[str]) -> Facts:
        """Prompts about some subjects in some templates.

        Raises:
            LabError: None at all, or a subject without an answer that is taken.
        """
        if unknown := [name for name in subjects if name not in self.answers]:
            raise self.no_subject(unknown[0])
        return self.prompts([(name, each) for name in subjects for each in templates])

    def right_prompts(self, subjects: Sequence[str], templates: Sequence[str]) -> Facts:
        """The same, only where the model says the answer."""
        some = [(n, each) for n in subjects for each in templates if n in self.right[each]]
        return self.prompts(some)

    def prompts(self, asked: Sequence[tuple[str, str]]) -> Facts:
        """Prompts of subjects in templates, padded on the right."""
        if not asked:
            raise LabError(f"expected prompts of {self.relation.name!r}", "got none")
        ids = [_ids(self.read, template.replace(HOLE, name)) for name, template in asked]
        tokens, last = _padded(ids, self.read.pad)
        answers = torch.tensor([self.answers[name] for name, _ in asked])
        values = torch.tensor(sorted(set(self.answers.values())))
        where = self.device
        return Facts(
            tokens.to(where),
            last.to(where),
            answers.to(where),
            values.to(where),
            tuple(name for name, _ in asked),
        )

    def no_subject(self, name: object) -> LabError:
        """The fault of a subject that cannot be asked about."""
        known = ", ".join(map(repr, self.subjects[:8]))
        if name in self.relation.objects:
            return LabError(
                f"expected subjects of {self.relation.name!r} whose answer is one token",
                f"that of {name!r} is {self.relation.objects[str(name)]!r}, which is several",
                hint=f"take others, such as {known}; or let the first token stand for the whole",
            )
        return LabError(
            f"expected subjects of {self.relation.name!r}",
            f"got {name!r:.60}",
            hint=f"the model knows {known} and others",
        )


def answer_tokens(read: TextReader, text: str, answer: str) -> list[int]:
    """The tokens with which an answer goes on after a text; none where the tokenizer joins the two
    otherwise, or does not know the answer.

    >>> from helpers.tinyworld.language import vocabulary
    >>> words = reader(vocabulary())
    >>> vocabulary().decode(answer_tokens(words, "an owl is a", "bird"))
    'bird'
    """
    begun, whole = read.encode(text), read.encode(f"{text} {answer.strip()}")
    rest = whole[len(begun) :] if whole[: len(begun)] == begun else []
    return [] if read.unknown is not None and read.unknown in rest else rest


def known_facts(
    model: Model, relation: RelationData, first_token: bool = False, least: int = LEAST
) -> KnownFacts:
    """The facts of a relation that a model knows.

    Args:
        first_token: Let the first token of an answer stand for the whole. Answers that begin alike
            cannot be told apart then, and are left out.
        least: How many it has to know.

    Raises:
        LabError: A model without a tokenizer; no answer that can be taken; a prompt longer than
            the model's context; or fewer facts that the model knows.
    """
    read, where = reader(model), str(device_of(model))
    answers = _answers(read, relation, first_token)
    if not answers and least:
        raise LabError(
            f"expected answers of {relation.name!r} that are one token of the model",
            f"all {len(relation.objects)} are several, or none that it knows",
            hint="take another relation, or RealPlan(first_token=True): the first token of an "
            "answer stands for the whole then",
        )
    right = {
        template: _right(model, read, template, answers, where) for template in relation.templates
    }
    template = max(right, key=lambda each: len(right[each]))
    found = KnownFacts(relation, read, template, right, answers, where)
    if len(found.subjects) < least:
        raise LabError(
            f"expected {least} facts of {relation.name!r} or more that the model knows",
            f"it says {len(found.subjects)} of {len(answers)}",
            hint="take another relation, other templates, or a larger model",
        )
    return found


def _answers(read: TextReader, relation: RelationData, first_token: bool) -> dict[str, int]:
    """The token of each answer that can be taken, the same one after every template."""
    tokens: dict[str, int] = {}
    for subject, said in relation.objects.items():
        ways = [
            answer_tokens(read, each.replace(HOLE, subject), said) for each in relation.templates
        ]
        heads = {way[0] if way and (first_token or len(way) == 1) else None for way in ways}
        if len(heads) == 1 and None not in heads:
            tokens[subject] = ways[0][0]
    begins = Counter(
        head for head, _ in {(head, relation.objects[name]) for name, head in tokens.items()}
    )
    return {name: head for name, head in tokens.items() if begins[head] == 1}


@torch.no_grad()
def _right(
    model: Model, read: TextReader, template: str, answers: dict[str, int], where: str
) -> tuple[str, ...]:
    """Subjects of which the model says the answer after a template."""
    names, right = list(answers), []
    for start in range(0, len(names), BATCH):
        some = names[start : start + BATCH]
        tokens, last = _padded([_ids(read, template.replace(HOLE, n)) for n in some], read.pad)
        said = model(tokens.to(where))[torch.arange(len(some)), last].argmax(-1).tolist()
        right += [name for name, token in zip(some, said, strict=True) if token == answers[name]]
    return tuple(right)


def _ids(read: TextReader, text: str) -> list[int]:
    ids = [*read.begin, *read.encode(text)]
    if read.longest is not None and len(ids) > read.longest:
        raise LabError(
            f"expected prompts of at most {read.longest} tokens, as the model takes",
            f"got {len(ids)} for {text!r:.60}",
        )
    return ids


def _padded(ids: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    tokens = torch.full((len(ids), max(map(len, ids))), pad)
    for row, part in enumerate(ids):
        tokens[row, : len(part)] = torch.tensor(part)
    return tokens, torch.tensor([len(part) - 1 for part in ids])
