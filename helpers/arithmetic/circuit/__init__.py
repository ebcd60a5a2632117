"""The circuit of an arithmetic model: what each node carries, and which nodes suffice.

`addition`, `subtraction` and `selectors` hold the interchange tests, made of `columns` and `pairs`.
`patching` runs them, `nodemap` finds every node's roles, `tristate` and `lookback` look closer at
the carry. `sufficiency` ablates what a map leaves out, `maps` keeps chosen maps, `usage` compares
the nodes of several operations and models.
"""

from helpers.arithmetic.circuit.lookback import Comparison, compare, failure_rate
from helpers.arithmetic.circuit.maps import Map
from helpers.arithmetic.circuit.nodemap import STRONG, Role, find_roles
from helpers.arithmetic.circuit.pairs import Interchange, Pairs
from helpers.arithmetic.circuit.patching import NodeSet, Rate, measure, prepare, rates
from helpers.arithmetic.circuit.sufficiency import AblationBench, mixture
from helpers.arithmetic.circuit.tristate import TriState, tri_state
from helpers.arithmetic.circuit.usage import Use, renamings

__all__ = [
    "STRONG",
    "AblationBench",
    "Comparison",
    "Interchange",
    "Map",
    "NodeSet",
    "Pairs",
    "Rate",
    "Role",
    "TriState",
    "Use",
    "compare",
    "failure_rate",
    "find_roles",
    "measure",
    "mixture",
    "prepare",
    "rates",
    "renamings",
    "tri_state",
]
