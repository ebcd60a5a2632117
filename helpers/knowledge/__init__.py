"""What a circuit knows: masks over single weights, and facts edited inside and outside of them.

Paper: Ge, Rudzicz and Zhu, arXiv 2406.17241.

- `facts`: a model whose every fact is known to the single weight, TinyWorld's, the bestiary's.
- `masks`: masks over the weights of a model's blocks, learned and not.
- `editing`: facts changed in some place, ways and rivals, and what else changes with them.
- `tracing`: at which layer and position a fact is formed, and whether that says where to edit.
- `study`: masks, their controls and estimators, measured in cells that can be stopped.
- `edit_study`: edits in all places, their rivals and tracing, in such cells.
- `real`: masks and edits on a model of the hub, or on yours.
"""
