"""TinyWorld: a small written world, a grammar that speaks about it, and language models trained on nothing else."""
