"""Which heads a behaviour needs and what each does: what it looks at, what it writes, and a word
for the two together.

A *role* follows from the numbers by the thresholds of this module (`role`), and from nothing else;
where none fits, it is `UNCLEAR`. The control is the same for an untrained model: how many of its
heads get a role. Name movers and S-inhibition heads are from Wang et al., "Interpretability in the
Wild" (2023), §3; induction and previous-token heads from Olsson et al., "In-context Learning and
Induction Heads" (2022).
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import stats
from helpers.attribution import read_directions
from helpers.errors import LabError
from helpers.interventions import Head
from helpers.model import Model
from helpers.runtime import progress
from helpers.tinyworld.language.vocabulary import vocabulary
from helpers.tinyworld.models.head_effects import Bench
from helpers.tinyworld.sets import tasks
from helpers.tinyworld.sets.places import FIRST, LAST, SKILLS, Places, places
from helpers.tinyworld.sets.tasks import METRICS

PROMPTS, SEED, REFERENCE_SEED = 128, 0, 1
ITSELF, BEFORE = "itself", "token before"
LOOKS = 0.3
"""Attention on a place, averaged, from which a head counts as looking at it."""
MOSTLY = 0.5
"""The same for the token before and for the token itself, which untrained heads with few tokens to choose from look at too."""
COPIES, SUPPRESSES = 0.9, 0.1
"""Mean rank of a word's own logit, 0 to 1, from which upwards a head copies, and from which downwards it suppresses."""
FAVOURS = 0.75
"""How often a head raises a right word above a wrong one, from which it favours the right words; chance is a half."""
MATTERS = 0.05
"""Share of the behaviour that is lost without a head, from which the head counts as needed."""
ENOUGH = 0.8
"""Share of the behaviour that a subset of heads has to bring back."""
THRESHOLDS = {
    "looks": LOOKS,
    "mostly": MOSTLY,
    "copies": COPIES,
    "suppresses": SUPPRESSES,
    "favours": FAVOURS,
    "matters": MATTERS,
    "enough": ENOUGH,
}
UNCLEAR = "unclear"


@dataclass(frozen=True)
class Seen:
    """What a head attends to, and what it writes.

    Attributes:
        at: the place where it works: where alone its replacement costs most.
        looks: mean attention from there to each place, to the token itself and to the token before;
            they sum to 1.
        same: attention from there to earlier tokens of the same word; None where hardly any has
            one.
        after_same: the same, to the tokens after those.
        own_rank: rank of a word's own logit among the words of the task when that word is attended
            to (by its embedding alone): 1 if the head raises it most, 0 if least, 0.5 by chance.
        favours: how often, at the last token, it raises a right word above a wrong one, relative to
            its mean.
    """

    at: str
    looks: dict[str, float]
    same: float | None
    after_same: float | None
    own_rank: float
    favours: float


def role(seen: Seen, right: tuple[str, ...], wrong: tuple[str, ...]) -> str:
    """The word for what a head does.

    ==================  ==============================================================================================
    mover               at the last token; looks at words that are right, copies what it sees, favours the right words
    negative mover      looks at right words more than at wrong ones, and suppresses what it sees
    suppressor          looks at wrong words more than at right ones, and suppresses what it sees
    threshold           looks at wrong words, neither copies nor suppresses, and favours the right words
    duplicate token     looks at earlier tokens of the same word
    induction           looks at the token after an earlier token of the same word
    previous token      looks mostly at the token before
    own token           looks mostly at the token itself
    unclear             none of these
    ==================  ==============================================================================================
    """
    at_last = seen.at == LAST
    on_right, on_wrong = (
        sum(seen.looks.get(place, 0.0) for place in group) for group in (right, wrong)
    )
    copies, suppresses, favours = (
        seen.own_rank >= COPIES,
        seen.own_rank <= SUPPRESSES,
        seen.favours >= FAVOURS,
    )
    rules = {
        "mover": at_last and on_right >= LOOKS and copies and favours,
        "negative mover": at_last and on_right >= LOOKS and on_right > on_wrong and suppresses,
        "suppressor": at_last and on_wrong >= LOOKS and on_wrong > on_right and suppresses,
        "threshold": at_last
        and on_wrong >= LOOKS
        and on_wrong > on_right
        and not copies
        and not suppresses
        and favours,
        "duplicate token": (seen.same or 0.0) >= LOOKS,
        "induction": (seen.after_same or 0.0) >= LOOKS,
        "previous token": seen.looks.get(BEFORE, 0.0) >= MOSTLY,
        "own token": seen.looks.get(ITSELF, 0.0) >= MOSTLY,
    }
    return next((word for word, holds in rules.items() if holds), UNCLEAR)


def looks(
    pattern: Float[Tensor, "prompt query key"], queries: Bool[Tensor, "prompt query"], named: Places
) -> dict[str, float]:
    """Mean attention from the queries to each place; the token itself and, of unnamed ones, the token before by themselves."""
    rows, places_ = queries.nonzero(as_tuple=True)
    attention, keys = pattern[rows, places_], torch.arange(pattern.shape[2])
    names = (*named.names, BEFORE, ITSELF)
    label = named.at[rows].clamp(min=0)
    before = (keys == places_[:, None] - 1) & (label == 0)
    label = label.masked_fill(before, names.index(BEFORE)).masked_fill(
        keys == places_[:, None], names.index(ITSELF)
    )
    shares = torch.stack(
        [(attention * (label == index)).sum(1).mean() for index in range(len(names))]
    )
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def repeats(
    pattern: Float[Tensor, "prompt query key"],
    tokens: Int[Tensor, "prompt pos"],
    queries: Bool[Tensor, "prompt query"],
    after: bool = False,
    least: float = 0.5,
) -> float | None:
    """Mean attention to earlier tokens of the query's own word, or to the tokens after those.

    Only queries that have such tokens count. None where fewer than the share `least` of the queries
    do.
    """
    n = torch.arange(tokens.shape[1])
    same = tokens[:, :, None] == tokens[:, None, :]
    if after:
        same = torch.cat([torch.zeros_like(same[:, :, :1]), same[:, :, :-1]], 2)
    same &= n[:, None] > n
    has = same.any(2) & queries
    if not has.any() or has.sum() < least * queries.sum():
        return None
    return float((pattern * same).sum(2)[has].mean())


def own_ranks(model: Model, head: Head, words: tuple[str, ...]) -> Float[Tensor, " word"]:
    """Where each word's own logit stands among all the words when the head attends to it: 1
    highest, 0 lowest.

    The way is embedding, LayerNorm, W_V, W_O, last LayerNorm's gain, unembedding. What a word's
    logit gets whatever is attended to is taken out first.
    """
    layer, index = head
    tokens = torch.tensor(vocabulary().encode(" ".join(words))[1:])
    with torch.no_grad():
        block = model.blocks[layer]
        written = (
            block.ln1(model.W_E[tokens][None])[0] @ block.attn.W_V[index] @ block.attn.W_O[index]
        )
        read = read_directions(
            model, torch.nn.functional.one_hot(tokens, model.cfg.d_vocab).float()
        )
    logits = written @ read.T  # [attended word, word whose logit]
    logits = logits - logits.mean(0)
    own = logits.diagonal()[:, None]
    below, equal = (
        (logits < own).sum(1),
        (logits == own).sum(1) - 1,
    )  # a head that writes nothing ranks nothing
    return (below + equal / 2) / (len(words) - 1)


def favours(
    written: Float[Tensor, "prompt word"],
    good: Bool[Tensor, "prompt word"],
    bad: Bool[Tensor, "prompt word"],
) -> float:
    """How often a right word's logit is raised more than a wrong word's, over all pairs of a prompt, then over prompts."""
    shares = []
    for logits, right, wrong in zip(written, good, bad, strict=True):
        gap = logits[right][:, None] - logits[wrong]
        shares.append(((gap > 0).float() + (gap == 0).float() / 2).mean())
    return float(torch.stack(shares).mean())


def see(bench: Bench, named: Places, head: Head) -> tuple[Seen, float]:
    """What a head attends to and writes; and the loss when it is replaced only at the place where it works."""
    layer, index = head
    there = {
        name: named.where(name) for name in named.names if name != FIRST
    }  # from there no choice: it sees itself only
    losses = {name: bench.loss_at(head, where) for name, where in there.items() if where.any()}
    at = max(losses, key=lambda name: losses[name])
    pattern, queries, tokens = bench.full.patterns[layer][:, index], there[at], bench.prompts.tokens
    with torch.no_grad():
        z = (
            bench.full.z[layer, torch.arange(len(tokens)), bench.prompts.last, index]
            - bench.mean[layer, index]
        )
        every = read_directions(bench.model, torch.eye(bench.model.cfg.d_vocab))
        written = z @ bench.model.blocks[layer].attn.W_O[index] @ every.T
    found = Seen(
        at=at,
        looks=looks(pattern, queries, named),
        same=repeats(pattern, tokens, queries),
        after_same=repeats(pattern, tokens, queries, after=True),
        own_rank=float(own_ranks(bench.model, head, named.words).mean()),
        favours=favours(written, bench.prompts.good, bench.prompts.bad),
    )
    return found, losses[at]


def of_skill(
    model: Model, skill: str, prompts: int = PROMPTS, subsets: bool = True
) -> dict[str, Any]:
    """Everything that is known about a model's heads in one skill, as a card shows it.

    Raises:
        LabError: a skill without places, fewer than two prompts, a model with MLPs.
    """
    if prompts < 2:
        raise LabError("expected at least 2 prompts a skill", f"got {prompts}")
    asked = tasks.prompts(skill, prompts, SEED)
    named, bench = places(asked), Bench(model, asked, tasks.prompts(skill, prompts, REFERENCE_SEED))
    full, none = (float(trace.behaviour.mean()) for trace in (bench.full, bench.none))
    found: dict[str, Any] = {"metric": METRICS[skill], "full": full, "none": none, "heads": {}}
    found["interval"] = list(stats.bootstrap(bench.full.behaviour.numpy()))
    for head in progress(bench.heads, f"heads in {skill}"):
        loss, ways = bench.loss(head), bench.ways(head)
        low, high = stats.bootstrap(loss.numpy())
        seen, alone = see(bench, named, head)
        later = {name_of(other): value for other, value in ways.later.items()}
        parts = {"total": ways.total, "direct": ways.direct, "later": later, "scale": ways.scale}
        needed = abs(float(loss.mean())) >= MATTERS * abs(full - none) and (low > 0 or high < 0)
        numbers = {
            "loss": [float(loss.mean()), low, high],
            "needed": needed,
            "logits": parts,
            "loss_there": alone,
        }
        found["heads"][name_of(head)] = (
            numbers | asdict(seen) | {"role": role(seen, named.right, named.wrong)}
        )
    return rounded(
        found | {"repeats": strongest_repeats(bench, named)} | (_subsets(bench) if subsets else {})
    )


def strongest_repeats(bench: Bench, named: Places) -> dict[str, list]:
    """Which head attends most from a word that was there before to where it was, and which to the
    token after that.

    All words that can be an answer count, wherever they stand: names, years or arguments.
    """
    tokens = bench.prompts.tokens
    queries = (
        torch.isin(tokens, torch.tensor(vocabulary().encode(" ".join(named.words))[1:]))
        & bench.real
    )
    found = {}
    for field, after in (("same", False), ("after_same", True)):
        shares = {
            head: repeats(bench.full.patterns[head[0]][:, head[1]], tokens, queries, after, 0.0)
            for head in bench.heads
        }
        shares = {head: share for head, share in shares.items() if share is not None}
        if shares:
            best = max(shares, key=lambda head: shares[head])
            found[field] = [name_of(best), shares[best]]
    return found


def _subsets(bench: Bench) -> dict[str, Any]:
    shares = {head: bench.share([head]) for head in bench.heads}
    best = max(shares, key=lambda head: shares[head])
    few = min(bench.shrunk(ENOUGH), bench.grown(ENOUGH), key=len)
    names = [name_of(head) for head in sorted(few)]
    return {
        "alone": [name_of(best), shares[best]],
        "subset": names,
        "subset_share": bench.share(few),
    }


def measure(model: Model, untrained, prompts: int = PROMPTS) -> dict[str, Any]:
    """What ``measured["heads"]`` of a model's manifest entry holds: each skill, and beside it the untrained model."""
    found = {}
    for skill in SKILLS:
        found[skill] = of_skill(model, skill, prompts)
        control = of_skill(untrained, skill, prompts, subsets=False)
        roles = {
            name: head["role"] for name, head in control["heads"].items() if head["role"] != UNCLEAR
        }
        found[skill]["untrained"] = {
            "full": control["full"],
            "none": control["none"],
            "roles": roles,
        }
    return {
        "prompts": prompts,
        "seed": SEED,
        "reference_seed": REFERENCE_SEED,
        "thresholds": THRESHOLDS,
        "skills": found,
    }


def name_of(head: Head) -> str:
    return f"{head[0]}.{head[1]}"


def rounded(value: Any, digits: int = 4) -> Any:
    """The same with every number rounded."""
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, digits) for part in value]
    return round(value, digits) if isinstance(value, float) else value
