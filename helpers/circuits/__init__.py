"""Finding circuits: which heads of a model do a task.

The paper is O'Neill and Bui, "Sparse Autoencoders Enable Scalable and Reliable Circuit
Identification in Language Models" (arXiv 2405.12522). Its discrete codes stand here beside rival
methods, and beside the exact answer, found by trying every subset of heads.

- `tasks`: prompts with a known answer, and corrupted twins without it.
- `codes`: the paper's method: what heads write, turned into codes; and its controls.
- `graph`: a model as nodes and edges, a forward pass over chosen edges, a hand-wired circuit.
- `rivals`: ACDC, attribution patching, head importance, path patching, subnetwork probing.
- `oracle`: the behaviour of every subset of heads, and the circuits that follow from it.
- `judging`: how well scores find a known circuit; published circuits and results.
- `study`: every method on one footing, over many trials, stored.
- `explorer`: the view for the page.
"""
