"""Which heads are "the circuit": every definition that the oracle allows, so that a verdict does
not hang on one of them.

====================  =====================================================================================
"smallest"            heads of any circuit of the smallest size: whoever finds one of them has found a circuit
"core"                heads that are in every circuit: without one of them there is none
"Shapley"             heads whose Shapley value of faithfulness is at least `SHARE`
====================  =====================================================================================

A circuit is a subset of heads whose faithfulness is enough (`minimal`). The first definition is the
one that scores are held against where nothing else is said.
"""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from helpers.circuits.judging.metrics import membership
from helpers.circuits.oracle import shapley
from helpers.circuits.oracle.minimal import minimal
from helpers.circuits.oracle.subsets import Known
from helpers.errors import LabError

KINDS = ("smallest", "core", "Shapley")
ENOUGH = 0.8
"""The least faithfulness of a circuit."""
SHARE = 0.05
"""The least Shapley value of a head that counts, as a share of the behaviour."""


def labels(known: Known, kind: str = "smallest", enough: float = ENOUGH) -> Bool[ndarray, " head"]:
    """Which heads belong to the circuit, by one of the definitions.

    Raises:
        LabError: another definition, or behaviour that is worse with the heads than without:
            faithfulness then says how well a subset spoils it.
    """
    if kind not in KINDS:
        raise LabError(f"expected a definition of the circuit: {', '.join(KINDS)}", f"got {kind!r}")
    if known.full < known.none:
        raise LabError(
            "expected heads that help: a higher metric with all of them than with none",
            f"got {known.full:.4g} with all and {known.none:.4g} with none",
            hint="are prompts and twins swapped, or right and wrong words?",
        )
    if kind == "Shapley":
        return shapley.exact(known.faithfulness) >= SHARE
    found = minimal(known, enough)
    if kind == "core":
        return membership(known.heads, found.core)
    bits = np.bitwise_or.reduce(found.smallest)
    return membership(known.heads, known.kept(int(bits)))
