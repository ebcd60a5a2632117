"""Causal tracing: which states of a model carry a fact to where it is said.

Two runs on the same prompt are compared: a *clean* one and a *corrupted* one, in which the model
does not know whom it is asked about. It is corrupted in one of two ways:

- an **exchanged** subject: the same prompt about another subject with another answer. Every state
  is then one that the model computes on ordinary text;
- **noise** on the embeddings of the subject's name, as in Meng et al. (arXiv 2202.05262): normal,
  several draws, a multiple of the standard deviation of the subjects' embeddings. The states are
  then none of any text.

Then one state at one layer and place is exchanged between the runs, in one of two directions:

=========  ================================================================================
restore    in the corrupted run, the state of the clean one: is it *enough* for the answer?
replace    in the clean run, the state of the corrupted one: is it *needed* for the answer?
=========  ================================================================================

Both are told as a share of what the corruption costs: (patched − base) / (other run − base), with
P(answer) of the two runs, summed over subjects before the division. States are what a block's
attention writes, what its MLP writes, and the residual stream after the block. A state that the
answer can be computed from is not thereby where the fact is stored, or where it is best edited:
see `helpers.knowledge.tracing.prediction`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers import runtime, stats
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, token_ids
from helpers.interventions import has_mlps
from helpers.knowledge.facts import Facts
from helpers.knowledge.facts.places import PLACES, Place, TokensOf, positions, spans, tokens_of_name
from helpers.knowledge.tracing.exchange import check_exchanged
from helpers.model import Model

State = Literal["residual", "attention", "MLP"]
Direction = Literal["restore", "replace"]
HOOKS: dict[State, str] = {
    "residual": "blocks.{}.hook_resid_post",
    "attention": "blocks.{}.hook_attn_out",
    "MLP": "blocks.{}.hook_mlp_out",
}
BATCH = 256
"""Prompts that are run together."""


@dataclass(frozen=True)
class Noise:
    """Normal noise on the embeddings of the subject's name.

    Attributes:
        scale: In standard deviations of the embeddings of all subjects' names; 3 as published.
        draws: Runs a prompt, over which probabilities are averaged.
        seed: Seed of the draws.
    """

    scale: float = 3.0
    draws: int = 10
    seed: int = 0


@dataclass(frozen=True)
class CausalTrace:
    """What one exchanged state does, at every layer and place.

    Attributes:
        state, direction, places: What was exchanged, and how.
        subjects: What the prompts are about, each once.
        clean, corrupted: P(answer) in the two runs, a mean over each subject's prompts and draws.
        patched: P(answer) with one state exchanged.
    """

    state: State
    direction: Direction
    places: tuple[Place, ...]
    subjects: tuple[str, ...]
    clean: Float[Tensor, " subject"]
    corrupted: Float[Tensor, " subject"]
    patched: Float[Tensor, "layer place subject"]

    @property
    def effects(self) -> Float[Tensor, "layer place subject"]:
        """What the state does to P(answer): how much it restores, or how much is lost with it."""
        sign = 1 if self.direction == "restore" else -1
        return sign * (self.patched - self._base)

    @property
    def shares(self) -> Float[Tensor, "layer place"]:
        """The same as a share of what the corruption costs."""
        return self.effects.sum(-1) / (self.clean - self.corrupted).sum()

    @property
    def _base(self) -> Float[Tensor, " subject"]:
        return self.corrupted if self.direction == "restore" else self.clean

    def interval(self, layer: int, place: Place) -> tuple[float, float]:
        """95 % interval of a share, by a bootstrap over subjects.

        Raises:
            LabError: A layer or place that was not traced, or fewer than two subjects.
        """
        if place not in self.places or layer not in range(len(self.patched)):
            raise LabError(
                f"expected a traced layer below {len(self.patched)} and one of the places "
                f"{', '.join(self.places)}",
                f"got {layer!r}, {place!r}",
            )
        effect = self.effects[layer, self.places.index(place)].numpy()
        cost = (self.clean - self.corrupted).numpy()

        def share(rows: np.ndarray) -> float:
            drawn = rows.astype(int)
            return float(effect[drawn].sum() / cost[drawn].sum())

        return stats.bootstrap(np.arange(len(effect), dtype=float), share)


@torch.no_grad()
def trace(
    model: Model,
    asked: Facts,
    corruption: Facts | Noise,
    state: State,
    direction: Direction = "restore",
    places: tuple[Place, ...] = PLACES,
    tokens_of: TokensOf = tokens_of_name,
    bar: bool = False,
) -> CausalTrace:
    """Exchange a state at every layer and each of some places, one at a time.

    Args:
        asked: Prompts with the answers whose probability is looked at.
        corruption: The same prompts about other subjects (see `exchange`), or noise.
        tokens_of: The tokens of a name, for models of another vocabulary.

    Raises:
        LabError: An unknown state, direction or place, prompts that do not fit the model or each
            other, noise without draws, an attention-only model where MLPs are asked for, or a
            corruption that does not lower P(answer), so that there is nothing to restore.

    >>> from helpers.knowledge.facts import factnet
    >>> from helpers.knowledge.tracing import exchanged
    >>> net, (tokens, answers) = factnet.build(), factnet.prompts()
    >>> asked = Facts(tokens[:16], torch.full((16,), 2), answers[:16], answers, factnet.ENTITIES)
    >>> token = lambda name: [factnet.token(name)]
    >>> other = exchanged(asked, tokens_of=token)
    >>> found = trace(net.model, asked, other, "MLP", places=("last",), tokens_of=token)
    >>> found.shares.round(decimals=2).tolist()
    [[1.0], [1.0]]
    """
    _check(model, asked, corruption, state, direction, places)
    if not isinstance(corruption, Noise):
        check_exchanged(asked, corruption, tokens_of)
    clean, corrupted = _runs(model, asked, corruption, tokens_of)
    base, source = (corrupted, clean) if direction == "restore" else (clean, corrupted)
    at = [positions(asked, place, tokens_of) for place in places]
    names = [HOOKS[state].format(layer) for layer in range(model.cfg.n_layers)]
    states = {name: torch.cat([s[name] for s in source.states(names)]) for name in names}
    cells = [(name, where.repeat_interleave(clean.draws)) for name in names for where in at]
    patched = []
    for name, where in runtime.progress(cells, "states", disable=not bar):
        patched.append(base.answer(name, where, states[name]))
    order = {name: number for number, name in enumerate(dict.fromkeys(asked.subjects))}
    group = torch.tensor([order[name] for name in asked.subjects])
    mean = partial(_mean_of, group=group.repeat_interleave(clean.draws), count=len(order))
    found = CausalTrace(
        state,
        direction,
        tuple(places),
        tuple(order),
        mean(clean.answer()),
        mean(corrupted.answer()),
        mean(torch.stack(patched)).view(len(names), len(at), -1),
    )
    if not (found.clean - found.corrupted).sum() > 0:
        raise LabError(
            "expected a corruption that lowers P(answer)",
            f"got {float(found.clean.mean()):.3g} before and {float(found.corrupted.mean()):.3g} "
            "after it",
            hint="exchange the subject for one with another answer, or take a larger scale",
        )
    return found


def _mean_of(values: Tensor, group: Tensor, count: int) -> Float[Tensor, "... subject"]:
    """Means over the prompts and draws of each subject."""
    sums = values.new_zeros(*values.shape[:-1], count).index_add(-1, group, values)
    return sums / torch.bincount(group, minlength=count)


@dataclass(frozen=True)
class _TracedRun:
    """Prompts, each as often as it is drawn, and what is added to their embeddings."""

    model: Model
    tokens: Int[Tensor, "row pos"]
    last: Int[Tensor, " row"]
    answers: Int[Tensor, " row"]
    draws: int
    added: Float[Tensor, "row pos d_model"] | None = None

    def _parts(self) -> tuple[Tensor, ...]:
        return torch.arange(len(self.tokens)).split(BATCH)

    def _logits(self, rows: Tensor, hooks: list[tuple[str, Callable[..., Any]]]) -> Tensor:
        added = None if self.added is None else self.added[rows]
        first = [] if added is None else [("hook_embed", lambda e, hook: e + added)]
        return self.model.run_with_hooks(self.tokens[rows], fwd_hooks=[*first, *hooks])

    def states(self, names: list[str]) -> list[dict[str, Tensor]]:
        """These states at every position, batch by batch."""
        found = []
        for rows in self._parts():
            kept: dict[str, Tensor] = {}
            hooks = [(name, partial(_keep, kept, name)) for name in names]
            self._logits(rows, hooks)
            found.append(kept)
        return found

    def answer(
        self, name: str = "", at: Tensor | None = None, source: Tensor | None = None
    ) -> Float[Tensor, " row"]:
        """P(answer) of each row, with one state of each taken from another run."""
        said = []
        for rows in self._parts():
            hooks = []
            if at is not None and source is not None:
                hooks = [(name, partial(_write, torch.arange(len(rows)), at[rows], source[rows]))]
            logits = self._logits(rows, hooks)[torch.arange(len(rows)), self.last[rows]]
            said.append(logits.softmax(-1).gather(1, self.answers[rows, None])[:, 0])
        return torch.cat(said)


def _keep(kept: dict[str, Tensor], name: str, value: Tensor, hook: Any) -> None:
    kept[name] = value.detach()


def _write(rows: Tensor, at: Tensor, source: Tensor, value: Tensor, hook: Any) -> Tensor:
    value = value.clone()
    value[rows, at] = source[rows, at]
    return value


def _runs(
    model: Model, asked: Facts, corruption: Facts | Noise, tokens_of: TokensOf
) -> tuple[_TracedRun, _TracedRun]:
    """The clean run and the corrupted one, row by row about the same prompt."""
    if not isinstance(corruption, Noise):
        clean = _TracedRun(model, asked.tokens, asked.last, asked.answers, 1)
        return clean, replace(clean, tokens=corruption.tokens)
    draws = corruption.draws
    tokens, last, answers = (
        part.repeat_interleave(draws, 0) for part in (asked.tokens, asked.last, asked.answers)
    )
    span = spans(asked, tokens_of).repeat_interleave(draws, 0)
    names = {token for name in asked.subjects for token in tokens_of(name)}
    size = corruption.scale * float(model.W_E[sorted(names)].std())
    generator = torch.Generator().manual_seed(corruption.seed)
    drawn = torch.randn(*tokens.shape, model.W_E.shape[1], generator=generator)
    place = torch.arange(tokens.shape[1])
    inside = (place >= span[:, :1]) & (place <= span[:, 1:])
    clean = _TracedRun(model, tokens, last, answers, draws)
    return clean, replace(clean, added=size * drawn * inside[..., None])


def _check(
    model: Model,
    asked: Facts,
    corruption: Facts | Noise,
    state: State,
    direction: Direction,
    places: tuple[Place, ...],
) -> None:
    token_ids(asked.tokens, model)
    if not places:
        raise LabError(f"expected a place in a prompt: {', '.join(PLACES)}", "got none")
    if state not in HOOKS:
        raise LabError(f"expected a state to trace: {', '.join(HOOKS)}", f"got {state!r}")
    if direction not in get_args(Direction):
        raise LabError(
            f"expected a direction of tracing: {', '.join(get_args(Direction))}",
            f"got {direction!r}",
        )
    if state == "MLP" and not has_mlps(model):
        raise LabError("expected a model with MLPs", "this one has attention only")
    if isinstance(corruption, Noise):
        check_count("number of draws", corruption.draws, least=1)
        at_least(0, corruption.scale, "standard deviations of noise")
    else:
        token_ids(corruption.tokens, model)
