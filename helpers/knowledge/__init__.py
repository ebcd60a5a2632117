"""What a circuit knows: masks over single weights, and facts edited inside and outside of them.

Paper: Ge, Rudzicz and Zhu, arXiv 2406.17241.

- `facts`: a model whose every fact is known to the single weight, and TinyWorld's facts.
- `masks`: masks over the weights of a model's blocks, learned and not.
"""
