"""Which heads a behaviour needs, and what each does: where it looks, what it writes, its role.

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
from helpers.inputs import check_count, finite, token_ids
from helpers.interventions import Head
from helpers.model import Model
from helpers.runtime import progress
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.models.head_effects import HeadEffects
from helpers.tinyworld.sets import tasks
from helpers.tinyworld.sets.places import FIRST, LAST, SKILLS, Places, places_of
from helpers.tinyworld.sets.tasks import METRICS

PROMPTS, SEED, REFERENCE_SEED = 128, 0, 1
ITSELF, BEFORE = "itself", "token before"
LOOKS = 0.3
"""Attention on a place, averaged, from which a head counts as looking at it."""
MOSTLY = 0.5
"""The same for the token before and the token itself: untrained heads look there by chance too."""
COPIES, SUPPRESSES = 0.9, 0.1
"""Mean rank (0 to 1) of a word's own logit where a head copies, and where it suppresses."""
FAVOURS = 0.75
"""How often a head that favours the right words raises one above a wrong one; chance is a half."""
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
        at: The place where it works: where alone its ablation costs most.
        looks: Mean attention from there to each place, to the token itself and to the token before;
            they sum to 1.
        same: Attention from there to earlier tokens of the same word; None where hardly any has
            one.
        after_same: The same, to the tokens after those.
        own_rank: Rank of a word's own logit among the words of the task when that word is attended
            to (by its embedding alone): 1 if the head raises it most, 0 if least, 0.5 by chance.
        favours: How often, at the last token, it raises a right word above a wrong one, relative to
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

    The first that fits counts. The first four work at the last token.

    ================  ==============================================================================
    mover             looks at right words, copies what it sees, favours the right words
    negative mover    looks at right words more than at wrong ones, and suppresses what it sees
    suppressor        looks at wrong words more than at right ones, and suppresses what it sees
    threshold         looks at wrong words, neither copies nor suppresses, favours the right words
    duplicate token   looks at earlier tokens of the same word
    induction         looks at the token after an earlier token of the same word
    previous token    looks mostly at the token before
    own token         looks mostly at the token itself
    unclear           none of these
    ================  ==============================================================================
    """
    on_right, on_wrong = (
        sum(seen.looks.get(place, 0.0) for place in group) for group in (right, wrong)
    )
    at_right = seen.at == LAST and on_right >= LOOKS
    at_wrong = seen.at == LAST and on_wrong >= LOOKS and on_wrong > on_right
    copies, suppresses = seen.own_rank >= COPIES, seen.own_rank <= SUPPRESSES
    favours = seen.favours >= FAVOURS
    rules = {
        "mover": at_right and copies and favours,
        "negative mover": at_right and on_right > on_wrong and suppresses,
        "suppressor": at_wrong and suppresses,
        "threshold": at_wrong and not copies and not suppresses and favours,
        "duplicate token": (seen.same or 0.0) >= LOOKS,
        "induction": (seen.after_same or 0.0) >= LOOKS,
        "previous token": seen.looks.get(BEFORE, 0.0) >= MOSTLY,
        "own token": seen.looks.get(ITSELF, 0.0) >= MOSTLY,
    }
    return next((word for word, holds in rules.items() if holds), UNCLEAR)


def _checked(
    pattern: Float[Tensor, "prompt query key"], queries: Bool[Tensor, "prompt query"]
) -> Float[Tensor, "prompt query key"]:
    pattern = finite(pattern, "attention", "prompt query key")
    if queries.shape != pattern.shape[:2] or queries.dtype != torch.bool or not queries.any():
        raise LabError(
            f"expected queries as truth values of shape {list(pattern.shape[:2])}, one at least",
            f"got {queries.dtype} {list(queries.shape)}",
        )
    return pattern


def looks(
    pattern: Float[Tensor, "prompt query key"], queries: Bool[Tensor, "prompt query"], named: Places
) -> dict[str, float]:
    """Mean attention from the queries to each place.

    The token itself counts by itself, and so does the token before, where it has no other name.

    Raises:
        LabError: Attention that is not finite, or queries of other prompts.
    """
    pattern = _checked(pattern, queries)
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

    Raises:
        LabError: Attention that is not finite, or tokens or queries of other prompts.
    """
    pattern, tokens = _checked(pattern, queries), token_ids(tokens)
    if tokens.shape != queries.shape:
        raise LabError(
            f"expected tokens of shape {list(queries.shape)}", f"got {list(tokens.shape)}"
        )
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
    """Rank of each word's own logit among all the words when the head attends to it.

    The highest rank is 1, the lowest 0. The way is embedding, LayerNorm, W_V, W_O, last LayerNorm's
    gain, unembedding. What a word's logit gets whatever is attended to is taken out first.
    """
    layer, index = head
    tokens = torch.tensor(vocabulary().encode(" ".join(words))[1:])
    with torch.no_grad():
        block = model.blocks[layer]
        values = block.ln1(model.W_E[tokens][None])[0] @ block.attn.W_V[index]
        written = values @ block.attn.W_O[index]
        one_hot = torch.nn.functional.one_hot(tokens, model.cfg.d_vocab)
        read = read_directions(model, one_hot.float())
    logits = written @ read.T  # [attended word, word whose logit]
    logits = logits - logits.mean(0)
    own = logits.diagonal()[:, None]
    below = (logits < own).sum(1)
    equal = (logits == own).sum(1) - 1  # a head that writes nothing ranks nothing
    return (below + equal / 2) / (len(words) - 1)


def favours(
    written: Float[Tensor, "prompt word"],
    good: Bool[Tensor, "prompt word"],
    bad: Bool[Tensor, "prompt word"],
) -> float:
    """How often a right word's logit is raised more than a wrong one's, on average over prompts.

    Raises:
        LabError: Writes that are not finite, or words of other prompts.
    """
    written = finite(written, "writes", "prompt word")
    for mask in (good, bad):
        if mask.shape != written.shape or mask.dtype != torch.bool or not mask.any(1).all():
            raise LabError(
                f"expected right and wrong words as truth values of shape {list(written.shape)}, "
                "some in every prompt",
                f"got {mask.dtype} {list(mask.shape)}",
            )
    shares = []
    for logits, right, wrong in zip(written, good, bad, strict=True):
        gap = logits[right][:, None] - logits[wrong]
        shares.append(((gap > 0).float() + (gap == 0).float() / 2).mean())
    return float(torch.stack(shares).mean())


def see(effects: HeadEffects, named: Places, head: Head) -> tuple[Seen, float]:
    """What a head attends to and writes, and the loss when it is ablated only where it works."""
    layer, index = head
    # The first token is left out: it sees nothing but itself.
    there = {name: named.where(name) for name in named.names if name != FIRST}
    losses = {name: effects.loss_at(head, where) for name, where in there.items() if where.any()}
    at = max(losses, key=lambda name: losses[name])
    pattern, queries, tokens = (
        effects.full.patterns[layer][:, index],
        there[at],
        effects.prompts.tokens,
    )
    with torch.no_grad():
        z = (
            effects.full.z[layer, torch.arange(len(tokens)), effects.prompts.last, index]
            - effects.mean[layer, index]
        )
        every = read_directions(effects.model, torch.eye(effects.model.cfg.d_vocab))
        written = z @ effects.model.blocks[layer].attn.W_O[index] @ every.T
    seen = Seen(
        at=at,
        looks=looks(pattern, queries, named),
        same=repeats(pattern, tokens, queries),
        after_same=repeats(pattern, tokens, queries, after=True),
        own_rank=float(own_ranks(effects.model, head, named.words).mean()),
        favours=favours(written, effects.prompts.good, effects.prompts.bad),
    )
    return seen, losses[at]


def of_skill(
    model: Model, skill: str, prompts: int = PROMPTS, subsets: bool = True
) -> dict[str, Any]:
    """Everything that is known about a model's heads in one skill, as a card shows it.

    Raises:
        LabError: a skill without places, fewer than two prompts, a model with MLPs.
    """
    check_count("number of prompts per skill", prompts, least=2)
    asked, reference = (tasks.prompts(skill, prompts, seed) for seed in (SEED, REFERENCE_SEED))
    named, effects = places_of(asked), HeadEffects(model, asked, reference)
    full, none = (float(trace.behaviour.mean()) for trace in (effects.full, effects.none))
    report: dict[str, Any] = {"metric": METRICS[skill], "full": full, "none": none, "heads": {}}
    report["interval"] = list(stats.bootstrap(effects.full.behaviour.numpy()))
    for head in progress(effects.heads, f"heads in {skill}"):
        loss, ways = effects.loss(head), effects.ways(head)
        low, high = stats.bootstrap(loss.numpy())
        seen, alone = see(effects, named, head)
        later = {name_of(other): value for other, value in ways.later.items()}
        parts = {"total": ways.total, "direct": ways.direct, "later": later, "scale": ways.scale}
        needed = abs(float(loss.mean())) >= MATTERS * abs(full - none) and (low > 0 or high < 0)
        numbers = {
            "loss": [float(loss.mean()), low, high],
            "needed": needed,
            "logits": parts,
            "loss_there": alone,
        }
        report["heads"][name_of(head)] = (
            numbers | asdict(seen) | {"role": role(seen, named.right, named.wrong)}
        )
    report["repeats"] = strongest_repeats(effects, named)
    return rounded(report | (_subsets(effects) if subsets else {}))


def strongest_repeats(effects: HeadEffects, named: Places) -> dict[str, list]:
    """The heads that attend most from a word to where it was before, and to the token after that.

    All words that can be an answer count, wherever they stand: names, years or arguments.
    """
    tokens = effects.prompts.tokens
    queries = (
        torch.isin(tokens, torch.tensor(vocabulary().encode(" ".join(named.words))[1:]))
        & effects.real
    )
    strongest = {}
    for field, after in (("same", False), ("after_same", True)):
        shares: dict[Head, float] = {}
        for layer, head in effects.heads:
            pattern = effects.full.patterns[layer][:, head]
            share = repeats(pattern, tokens, queries, after, 0.0)
            if share is not None:
                shares[layer, head] = share
        if shares:
            best = max(shares, key=lambda head: shares[head])
            strongest[field] = [name_of(best), shares[best]]
    return strongest


def _subsets(effects: HeadEffects) -> dict[str, Any]:
    shares = {head: effects.share([head]) for head in effects.heads}
    best = max(shares, key=lambda head: shares[head])
    few = min(effects.shrunk(ENOUGH), effects.grown(ENOUGH), key=len)
    names = [name_of(head) for head in sorted(few)]
    return {
        "alone": [name_of(best), shares[best]],
        "subset": names,
        "subset_share": effects.share(few),
    }


def measure(model: Model, untrained: Model, prompts: int = PROMPTS) -> dict[str, Any]:
    """What ``measured["heads"]`` of a manifest entry holds: each skill, and its control."""
    skills = {}
    for skill in SKILLS:
        skills[skill] = of_skill(model, skill, prompts)
        control = of_skill(untrained, skill, prompts, subsets=False)
        roles = {
            name: head["role"] for name, head in control["heads"].items() if head["role"] != UNCLEAR
        }
        skills[skill]["untrained"] = {
            "full": control["full"],
            "none": control["none"],
            "roles": roles,
        }
    return {
        "prompts": prompts,
        "seed": SEED,
        "reference_seed": REFERENCE_SEED,
        "thresholds": THRESHOLDS,
        "skills": skills,
    }


def name_of(head: Head) -> str:
    """Layer and head, as "0.3"."""
    return f"{head[0]}.{head[1]}"


def rounded(value: Any, digits: int = 4) -> Any:
    """The same value with every number in it rounded."""
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, digits) for part in value]
    return round(value, digits) if isinstance(value, float) else value
