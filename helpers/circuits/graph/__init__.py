"""A model as a graph: its nodes and edges, and a forward pass that chooses edge by edge.

`handwired` is a model whose circuit is known exactly, `weights` what a `Graph` computes with,
`composition` what the weights alone say of pairs of heads.
"""

from helpers.circuits.graph.edges import Edge, head_name, outgoing
from helpers.circuits.graph.forward import ForwardPass, Graph, Writes, means, twin_replacements

__all__ = [
    "Edge",
    "ForwardPass",
    "Graph",
    "Writes",
    "head_name",
    "means",
    "outgoing",
    "twin_replacements",
]
