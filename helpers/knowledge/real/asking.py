"""Which facts are learned on, which are changed to what, and what an edited model is asked.

Siblings are other subjects of the same relation, none of which a mask was learned on. A relation
need not have several subjects with one answer, so most of these had other answers than the edited
fact. Others are subjects of other relations. Of both only what the model says counts, right or not:
whether it says it still.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.knowledge.editing import Requests
from helpers.knowledge.editing.questions import OTHERS, SIBLINGS, EditQuestions
from helpers.knowledge.facts import Facts
from helpers.knowledge.real.known import LEAST, KnownFacts, answer_tokens
from helpers.knowledge.real.relations import HOLE
from helpers.model import Model
from helpers.texts.reading import TextReader

TYPICAL = 12
"""Facts, none of which is edited, whose gradient stands for all (`places.as_long`)."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a model, by everything that is measured.

    Attributes:
        learn_on: Prompts that masks are learned on.
        judged_on: Prompts of other subjects, all known.
        requests: Facts that are edited, none of which a mask was learned on.
        typical: Requests about subjects that masks were learned on.
    """

    known: KnownFacts
    learn_on: Facts
    judged_on: Facts
    requests: Requests
    typical: Requests

    def questions(self, others: Sequence[KnownFacts], subject: str, seed: int = 0) -> EditQuestions:
        """What is asked about a subject whose fact was changed."""
        known, rng = self.known, random.Random(f"{seed} {subject}")
        held = dict.fromkeys(self.judged_on.subjects)  # a mask keeps those that it was learned on
        near = [name for name in held if name != subject]
        far = [(each, name) for each in others for name in each.subjects if name != subject]
        paraphrases = [(subject, each) for each in known.others if subject in known.right[each]]
        far = rng.sample(far, min(OTHERS, len(far)))
        return EditQuestions(
            known.prompts(paraphrases) if paraphrases else None,
            known.facts(rng.sample(near, min(SIBLINGS, len(near))), (known.template,)),
            _together([each.facts((name,), (each.template,)) for each, name in far]),
        )


def _together(parts: Sequence[Facts]) -> Facts | None:
    """Prompts of several relations, as one table."""
    if not parts:
        return None
    longest = max(part.tokens.shape[1] for part in parts)
    rows = [
        torch.nn.functional.pad(part.tokens, (0, longest - part.tokens.shape[1]), value=0)
        for part in parts
    ]
    return Facts(
        torch.cat(rows),
        torch.cat([part.last for part in parts]),
        torch.cat([part.answers for part in parts]),
        torch.cat([part.candidates for part in parts]).unique(),
        tuple(name for part in parts for name in part.subjects),
    )


def asked_of(
    known: KnownFacts, changes: Mapping[str, str] | None, facts: int, seed: int, first_token: bool
) -> Asked:
    """Divide what a model knows: half to learn on, half to judge by and to edit.

    Args:
        changes: New answers; without them, `facts` of the second half get a random other one.

    Raises:
        LabError: A subject that the relation or the model does not know, a new answer of several
            tokens, none of the relation's, or the old one; fewer than two different answers.
    """
    check_count("number of facts", facts, least=2)
    values = sorted(set(known.answers.values()))
    if len(values) < 2:
        raise LabError("expected facts with two different answers or more", f"got {len(values)}")
    rng = random.Random(seed)
    names = rng.sample(known.subjects, len(known.subjects))
    if changes is None:
        held = names[: max(LEAST // 2, len(names) // 2)]
        requests = drawn_requests(known, held[:facts], rng)
    else:
        requests = own_requests(known, changes, first_token)
        rest = [name for name in names if name not in changes]
        held = [*changes, *rest[: max(0, len(names) // 2 - len(changes))]]
    learn = [name for name in names if name not in held]
    if len(learn) < LEAST // 2:
        raise LabError(
            f"expected {LEAST // 2} facts or more to learn a mask on, beside those to change",
            f"got {len(learn)}",
            hint="change fewer facts",
        )
    everywhere = (known.template, *known.others)
    return Asked(
        known,
        known.right_prompts(learn, everywhere),
        known.right_prompts(held, everywhere),
        requests,
        drawn_requests(known, learn[:TYPICAL], rng),
    )


def drawn_requests(known: KnownFacts, names: Sequence[str], rng: random.Random) -> Requests:
    """Requests to give facts a random other answer of their relation."""
    values = sorted(set(known.answers.values()))
    new = [rng.choice([v for v in values if v != known.answers[name]]) for name in names]
    asked = known.facts(names, (known.template,))
    return Requests(asked, torch.tensor(new, device=asked.answers.device))


def own_requests(
    known: KnownFacts, changes: Mapping[str, str], first_token: bool = False
) -> Requests:
    """Requests to give some subjects the answers that are named.

    Raises:
        LabError: As `asked_of`.
    """
    if not isinstance(changes, Mapping) or not changes:
        raise LabError("expected a new answer for each of some subjects", f"got {changes!r:.60}")
    new = []
    for subject, answer in changes.items():
        if subject not in known.answers:
            raise known.no_subject(subject)
        if subject not in known.subjects:
            raise LabError(
                "expected subjects whose fact the model knows",
                f"it does not say {known.relation.objects[subject]!r} of {subject!r}",
            )
        new.append(_new_token(known, subject, answer, first_token))
    asked = known.facts(tuple(changes), (known.template,))
    return Requests(asked, torch.tensor(new, device=asked.answers.device))


def _new_token(known: KnownFacts, subject: str, answer: object, first_token: bool) -> int:
    text = known.template.replace(HOLE, subject)
    tokens = answer_tokens(known.read, text, answer) if isinstance(answer, str) else []
    if not tokens or (len(tokens) > 1 and not first_token):
        raise LabError(
            "expected a new answer that is one token of the model",
            f"got {answer!r} for {subject!r}"
            + (f", which is {len(tokens)}: {known.read.parts(tokens)}" if tokens else ""),
            hint="take a shorter one; or let the first token stand for the whole",
        )
    return tokens[0]


@torch.no_grad()
def written_by(
    model: Model, read: TextReader, where: str, rows: int = 8, length: int = 32, seed: int = 0
) -> Int[Tensor, "row pos"]:
    """Ordinary text: what the model itself writes, drawn word by word.

    So there is text in every model's own language, and the loss on it says how far an edited model
    has come from the one that wrote it.

    Raises:
        LabError: No rows, or fewer than two tokens a row.
    """
    check_count("number of rows", rows, least=1)
    check_count("number of tokens", length, least=2)
    generator = torch.Generator().manual_seed(seed)
    first = read.begin[0] if read.begin else read.special_begin
    tokens = torch.full((rows, 1), read.pad if first is None else first)
    for _ in runtime.progress(range(min(length, read.longest or length) - 1), "ordinary text"):
        said = model(tokens.to(where))[:, -1].float().softmax(-1).cpu()
        tokens = torch.cat([tokens, torch.multinomial(said, 1, generator=generator)], 1)
    return tokens
