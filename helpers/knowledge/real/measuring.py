"""What a piece of a run on a real model measures: numbers for every fact, and the masks.

Facts are edited one by one, and what an edit needs is given back before the next: several at once
would take the memory of several models.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import files, runtime
from helpers.errors import LabError
from helpers.files.cells import opened
from helpers.knowledge.edit_study import typical_gradient
from helpers.knowledge.edit_study.plan import AS_LARGE, AS_LONG
from helpers.knowledge.edit_study.rounding import numbers, told
from helpers.knowledge.editing import RELEASED, Requests, compare, edit, effects
from helpers.knowledge.masks import Blocks, judge, packed, predictions, rivals
from helpers.knowledge.real.asking import Asked, written_by
from helpers.knowledge.real.known import KnownFacts
from helpers.knowledge.real.plan import MASKS, TEXT, RealCell, RealPlan
from helpers.knowledge.real.searching import learn_kept
from helpers.knowledge.study import Measured, cellfiles


@dataclass(frozen=True)
class RealWork:
    """All that a piece is measured with.

    Attributes:
        others: Relations that an edit should not touch.
        folder: Where pieces are kept.
        run: Checksum of all that the run follows from, beside the code.
    """

    blocks: Blocks
    asked: Asked
    others: tuple[KnownFacts, ...]
    plan: RealPlan
    folder: Path
    run: str

    def made_with(self, cell: RealCell) -> dict[str, Any]:
        """What a piece follows from, as its file says it."""
        return {"cell": str(cell), "run": self.run}

    def measure_all(self, cells: list[RealCell]) -> None:
        """Measure the pieces that are not there, each kept as soon as it is whole.

        Raises:
            LabError: A folder that cannot be written; a piece that is there and cannot be used.
        """
        cellfiles.measure_absent(
            cells, self.folder, self.made_with, self._measure, lambda words: None
        )
        for left in self.folder.glob("masks.begun*"), self.folder.glob("masks.*.tmp"):
            for path in left:  # a search whose masks are kept, and what a kill left of a writing
                files.discard(path)

    def result(self, cell: RealCell) -> dict[str, Any]:
        """The numbers of a piece that is there."""
        return opened(cell, self.made_with(cell), self.folder).result

    @property
    def _search_file(self) -> Path:
        return self.folder / "masks.begun"

    def _measure(self, cell: RealCell) -> Measured:
        if cell == TEXT:
            model, known = self.blocks.model, self.asked.known
            rows = written_by(model, known.read, known.device, seed=self.plan.seed)
            return Measured({"rows": rows.tolist()}, {})
        return self._masks() if cell == MASKS else Measured(self._edits(cell), {})

    def _masks(self) -> Measured:
        """Masks of all densities, and what the model says with them and without."""
        its, asked, plan = self.blocks, self.asked.learn_on, self.plan
        objective = predictions(its, asked.tokens, asked.last)
        learned = learn_kept(its, objective, plan.search, self._search_file, self.run)
        stands = {"all": self._stands(torch.ones_like(its.values))}
        for density, mask in learned.masks.items():
            for name in ("circuit", "complement", "per tensor"):
                stands[f"{name}, {100 * density:g}%"] = self._stands(self.place(name, mask))
        return Measured({"losses": numbers(learned.losses), "stands": stands}, learned.masks)

    def _stands(self, mask: Float[Tensor, " weight"]) -> dict[str, list]:
        """What the model says to facts that no mask was learned on, prompt by prompt."""
        found = judge(self.blocks, self.blocks.values * mask, self.asked.judged_on)
        names = ("right", "nll", "above_uniform", "rank", "entropy", "divergence")
        return {name: numbers(getattr(found, name)) for name in names}

    def place(self, place: str, circuit: Float[Tensor, " weight"]) -> Float[Tensor, " weight"]:
        """The mask of a place beside a circuit.

        Raises:
            LabError: There are no weights outside of the circuit with a gradient as long, or as
                large.
        """
        if place == "circuit":
            return circuit
        if place == "complement":
            return rivals.complement(circuit)
        if place == "per tensor":
            return rivals.per_tensor(self.blocks, circuit, self.plan.seed)
        # sorting takes several times the memory of the model, which a GPU has not to spare
        gradient = typical_gradient(self.blocks, self.asked.typical).cpu()
        chosen = rivals.as_large if place == AS_LARGE else rivals.as_long
        return chosen(gradient, circuit.cpu()).to(circuit.device)

    def _edits(self, cell: RealCell) -> dict[str, Any]:
        """Every fact edited in one place; or why there is no such place."""
        bits = opened(MASKS, self.made_with(MASKS), self.folder).tensors
        circuit = packed.unpack(bits[str(cell.density)], len(self.blocks))
        try:
            mask = self.place(cell.place, circuit.to(self.blocks.values.device))
        except LabError as fault:
            if cell.place not in (AS_LONG, AS_LARGE):
                raise
            return {"skipped": str(fault).splitlines()[0]}
        requests = self.asked.requests
        rows = torch.tensor(self.result(TEXT)["rows"], device=self.blocks.values.device)
        facts = [
            self._one(requests.only([number]), mask, rows)
            for number in runtime.progress(range(len(requests)), str(cell))
        ]
        return {
            "kept": int(mask.count_nonzero()),
            "subjects": list(requests.asked.subjects),
            **{name: [fact[name] for fact in facts] for name in facts[0]},
        }

    def _one(
        self, request: Requests, mask: Float[Tensor, " weight"], rows: Tensor
    ) -> dict[str, Any]:
        """One fact edited in one place."""
        plan, its = self.plan, self.blocks
        released = edit(its, request, mask, RELEASED).nll
        found = compare(its, request, mask, (plan.norm,), plan.settings)
        seen: dict[str, Any] = {}
        if bool(found.reached.all()):
            ask = self._questions
            seen = told(effects(its, request, found.at_half, "", rows, ask=ask))
        return {
            "first": numbers(found.first[0]),
            "before": numbers(released[0, 0]),
            "released": numbers(released[-1, 0]),
            "nll_at": numbers(found.nll_at[0, 0]),
            "needed": numbers(found.needed[0]),
            "undone": bool(found.edited.undone[0]),
            **{name: seen[name][0] if seen else None for name in SEEN},
        }

    def _questions(self, subject: str, new: int):
        return self.asked.questions(self.others, subject, self.plan.seed)


SEEN = ("efficacy", "paraphrase", "siblings", "others", "text")
"""What is told of the model where the new answer has probability ½."""
