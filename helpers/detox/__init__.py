"""Fine-tuning under a constraint on whole sequences: fewer rude posts, and what that costs.

Paper: Meng and others, arXiv 2410.05559; its ancestor is NADO, arXiv 2205.14219.

- `exact`: the theory where everything can be computed.
- `networks`: a plain trainable transformer, its samples, and policies that guide it.
- `posts`: forum posts: their grammar, labels, corpora, and the exact success of a model.
- `oracle`: the auxiliary model that learns success from samples, held to the exact one.
- `finetune`: the method, sequential and parallel, resumable.
- `rivals`: filters, rejection sampling, decoding only, experts, preferences, activation editing.
- `judging`: how rude, how fluent, how able a policy is.
- `detection`: one model that writes and that detects.
- `study`: what is measured and stored, with intervals.
- `real`: the same path on a model of the hub.
- `explorer`: λ moved by hand, what is said before and after.
"""
