"""The exact oracle: behaviour with every subset of heads, and what follows from it.

Modules: `exhaustive` and `tree` compute it, `subsets` holds it, `stored` keeps it in a file,
`truths` says which heads are the circuit, `shapley` shares the behaviour out among heads.
"""

from helpers.circuits.oracle.exhaustive import ABLATIONS, oracle
from helpers.circuits.oracle.subsets import Oracle, OracleSummary, SubsetTable
from helpers.circuits.oracle.truths import ENOUGH, KINDS, labels, minimal

__all__ = [
    "ABLATIONS",
    "ENOUGH",
    "KINDS",
    "Oracle",
    "OracleSummary",
    "SubsetTable",
    "labels",
    "minimal",
    "oracle",
]
