"""Trustworthiness over pre-training: when a model comes to know, and whether it can be steered.

The paper is Qian et al., "Towards Tracing Trustworthiness Dynamics: Revisiting Pre-training Period
of Large Language Models" (arXiv 2402.19465).

- `data`: labelled sets, splits that cut no group, and what surface features give away.
- `series`: the checkpoints of a training, and a loop over them that stores what it measures.
- `probes`: linear probes on activations, and when a probe's accuracy rises.
- `steering`: vectors added to the residual stream, and what they change.
- `information`: information planes, and what moves them.
- `explorer`: the view for the page.
"""
