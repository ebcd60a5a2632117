"""Many facts edited in one model, one after the other: what is left of the earlier ones?

Each edit starts from the weights that the last one left. After 1, 2, 5, 10, 20 and 50 of them the
model is asked for the newest fact, for all earlier ones, for facts that nobody edited, and for
ordinary text.

A run of fifty can be killed at any moment. With a file, everything that its next step needs lies
there after every edit: the weights, the edits so far and what was measured. One file holds all of
it, so that no two can disagree; its metadata say whose run it is, and a checksum over the content
whether it is whole. A run that is resumed ends with the same bits.
"""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int, Real
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.files import check_writable, save_atomically
from helpers.inputs import check_count
from helpers.knowledge.editing.comparison import HALF
from helpers.knowledge.editing.measures import MOST, kept, log_p, text_loss, texts
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import EditSettings, edit
from helpers.knowledge.facts.tinyworld import FRAMES, Facts, facts
from helpers.knowledge.masks.blocks import Blocks, check_mask

COUNTS = (1, 2, 5, 10, 20, 50)
UNTIL_HALF = EditSettings(steps=80, enough=HALF)
"""Steps of one length until the new answer is likelier than all others together."""


@dataclass(frozen=True)
class Standing:
    """How a model stands after some edits.

    Attributes:
        edits: How many.
        efficacy: P(new answer) of the newest fact.
        reached: Share of all facts so far whose edit came to its end within its steps.
        retention: Mean P(new answer) of all earlier facts; NaN after the first edit.
        retained: Share of all earlier facts of which the model says the new answer; likewise.
        paraphrase: Mean P(new answer) of all facts so far in frames that were not edited.
        locality: Share of facts that nobody edited to which the model says what it said at first.
        moved: ‖Δw‖ from the first weights.
        perplexity: Of ordinary text.
        undone: Edits that made NaN and were taken back.
    """

    edits: int
    efficacy: float
    reached: float
    retention: float
    retained: float
    paraphrase: float
    locality: float
    moved: float
    perplexity: float
    undone: int


@dataclass(frozen=True)
class Probe:
    """What is asked between edits.

    Attributes:
        paraphrases: For each request of a series, the fact in frames that are not edited: one or
            more prompts, as many for each, in the order of the requests.
        untouched: Facts that nobody edits.
        rows: Ordinary text.
    """

    paraphrases: Facts
    untouched: Facts
    rows: Int[Tensor, "row pos"]


@dataclass(frozen=True)
class Sequential:
    """A series of edits.

    Attributes:
        order: Which request was edited when.
        standings: How the model stood at each of the counts.
        values: The weights at the end.
    """

    order: tuple[int, ...]
    standings: tuple[Standing, ...]
    values: Float[Tensor, " weight"]


def probe_of(
    requests: Requests, untouched: Sequence[str], frame: str, rows: Int[Tensor, "row pos"]
) -> Probe:
    """What is asked between edits of TinyWorld's kinds.

    Args:
        untouched: Entities that nobody edits, asked in `frame`.

    Raises:
        LabError: An entity that is edited, or that TinyWorld does not have.
    """
    if both := set(untouched) & set(requests.asked.subjects):
        raise LabError("expected entities that no request edits", f"got {min(both)!r}")
    again = facts("kind", requests.asked.subjects, FRAMES["kind"]["held out"])
    return Probe(again, facts("kind", untouched, (frame,)), texts(rows))


def in_turn(
    weights: Blocks,
    requests: Requests,
    mask: Real[Tensor, " weight"] | Bool[Tensor, " weight"],
    probe: Probe,
    settings: EditSettings = UNTIL_HALF,
    counts: Sequence[int] = COUNTS,
    seed: int = 0,
    file: Path | None = None,
    bar: bool = False,
) -> Sequential:
    """Edit facts one after the other in one model.

    Args:
        counts: After how many edits the model is measured; those beyond the requests are left out.
        seed: Of the order of the edits.
        file: Where the state is kept, from which a killed run goes on; nowhere without it.

    Raises:
        LabError: What `edit` refuses, counts that no edit reaches, a seed that is no whole number,
            a probe of other requests or in another order, "untouched" facts that are edited, or a
            file that is damaged, belongs to another series, or cannot be written.
    """
    weights.tensors(mask)
    check_mask(mask)
    texts(probe.rows, weights)
    for count in counts:
        check_count("number of edits", count, least=1)
    counts = [int(count) for count in counts if count <= len(requests)]
    check_count("seed", seed)
    seed = int(seed)  # NumPy's are whole as well, and are no text for the fingerprint
    _check(requests, probe, counts)
    order = tuple(random.Random(seed).sample(range(len(requests)), len(requests)))
    state = _Turn(weights, requests, mask, probe, order, settings, file)
    state.restore(_fingerprint(weights, requests, mask, probe, settings, counts, seed))
    remaining = range(state.done, max(counts))
    for number in runtime.progress(remaining, "edits in turn", disable=not bar):
        state.edit(order[number])
        if number + 1 in counts:
            state.standings.append(state.standing())
        state.save()
    return Sequential(order, tuple(state.standings), state.values)


def _check(requests: Requests, probe: Probe, counts: Sequence[int]) -> None:
    """Refuse counts that are never reached, and a probe that asks about other requests."""
    subjects = requests.asked.subjects
    per = len(probe.paraphrases) // max(len(requests), 1)
    if not counts or not per or per * len(requests) != len(probe.paraphrases):
        raise LabError(
            "expected numbers of edits that the requests reach, and paraphrases of each request",
            f"got {len(requests)} requests and {len(probe.paraphrases)} paraphrases",
        )
    wanted = tuple(subject for subject in subjects for _ in range(per))
    if other := [
        pair for pair in zip(wanted, probe.paraphrases.subjects, strict=True) if len(set(pair)) > 1
    ]:
        raise LabError(
            "expected paraphrases of each request, in the order of the requests",
            f"got {other[0][1]!r} where {other[0][0]!r} is asked for",
            hint="make the probe of these requests, with probe_of",
        )
    if both := set(probe.untouched.subjects) & set(subjects):
        raise LabError("expected entities that no request edits", f"got {min(both)!r}")


class _Turn:
    """A series under way."""

    def __init__(
        self,
        weights: Blocks,
        requests: Requests,
        mask: Tensor,
        probe: Probe,
        order: tuple[int, ...],
        settings: EditSettings,
        file: Path | None,
    ) -> None:
        self.weights, self.requests, self.mask, self.probe = weights, requests, mask, probe
        self.order, self.settings, self.file = order, settings, file
        self.values, self.fingerprint = weights.values.clone(), ""
        self.reached: list[bool] = []
        self.undone = 0
        self.standings: list[Standing] = []

    @property
    def done(self) -> int:
        return len(self.reached)

    def edit(self, number: int) -> None:
        """One more edit, from the weights as they are."""
        one = self.requests.only([number])
        edited = edit(self.weights, one, self.mask, self.settings, self.values)
        self.values = edited.values[0].clone()
        self.undone += int(edited.undone[0])
        self.reached.append(bool(float(edited.nll[-1, 0]) <= HALF))

    @torch.no_grad()
    def standing(self) -> Standing:
        """How the model stands now."""
        asked = self.requests.only(list(self.order[: self.done]))
        said = log_p(self.weights, self.values, asked.asked)
        new = said.gather(1, asked.new[:, None])[:, 0].exp()
        right = (said.argmax(-1) == asked.new).double()
        again = log_p(self.weights, self.values, self.probe.paraphrases).exp()
        per = len(again) // len(self.requests)
        again = again.gather(1, self.requests.new.repeat_interleave(per)[:, None]).view(-1, per)
        loss = text_loss(self.weights, self.values, self.probe.rows)
        return Standing(
            self.done,
            float(new[-1]),
            sum(self.reached) / self.done,
            float(new[:-1].mean()),
            float(right[:-1].mean()),
            float(again[list(self.order[: self.done])].mean()),
            kept(self.weights, self.values, self.probe.untouched),
            float((self.values - self.weights.values).norm()),
            math.inf if loss >= MOST else math.exp(loss),
            self.undone,
        )

    def save(self) -> None:
        """Put everything into the file, all of it or nothing."""
        if self.file is None:
            return
        about = {
            "fingerprint": self.fingerprint,
            "reached": json.dumps(self.reached),
            "undone": json.dumps(self.undone),
            "standings": json.dumps([asdict(standing) for standing in self.standings]),
        }
        save_atomically(
            {"values": self.values}, self.file, about | {"contents": _contents(self.values, about)}
        )

    def restore(self, fingerprint: str) -> None:
        """Go on from the file, where there is one."""
        self.fingerprint = fingerprint
        if self.file is None:
            return
        check_writable(self.file)
        if not self.file.exists():
            return
        try:
            with safe_open(self.file, framework="pt") as handle:
                about, values = handle.metadata() or {}, handle.get_tensor("values")
            if about.pop("contents") != _contents(values, about):
                raise ValueError("its checksum is another")
            owner, reached = about["fingerprint"], json.loads(about["reached"])
            standings = [Standing(**each) for each in json.loads(about["standings"])]
            undone = json.loads(about["undone"])
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as fault:
            raise LabError(
                f"expected a series of edits in {self.file}",
                f"it cannot be used: {str(fault).splitlines()[0]}",
                hint="remove the file to begin anew",
            ) from None
        if owner != fingerprint:
            raise LabError(
                f"expected {self.file} to hold this series of edits",
                "it holds one with other facts, another mask, model, seed or settings",
                hint="give each series a file of its own",
            )
        self.values, self.reached, self.undone = values, reached, undone
        self.standings = standings


def _contents(values: Tensor, about: dict[str, str]) -> str:
    told = json.dumps({name: about[name] for name in sorted(about)})
    return hashlib.sha256(values.contiguous().numpy().tobytes() + told.encode()).hexdigest()


def _fingerprint(
    weights: Blocks,
    requests: Requests,
    mask: Tensor,
    probe: Probe,
    settings: EditSettings,
    counts: Sequence[int],
    seed: int,
) -> str:
    """Changes with anything that changes a result."""
    hashed = hashlib.sha256(json.dumps([asdict(settings), list(counts), seed]).encode())
    asked = [requests.asked, probe.paraphrases, probe.untouched]
    tensors = [
        *weights.model.state_dict().values(),
        weights.values,
        mask.detach().double(),
        requests.new,
    ]
    tensors += [part for each in asked for part in (each.tokens, each.last)]
    for tensor in [*tensors, probe.rows]:
        hashed.update(f"{list(tensor.shape)}".encode())
        hashed.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return hashed.hexdigest()
