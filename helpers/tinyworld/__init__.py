"""TinyWorld: a made-up world, its language, and small models trained on it.

The world says what is true, so every statement about it has a label, and every model that was
trained on its texts can be asked what it knows. Papers use this room; it uses none of them.

- `language`: the world, its sentences, documents made of them, and their words.
- `sets`: labelled sets of texts, prompts with a right answer, and the places in them.
- `bestiary`: a second world, with names of two words and facts that only inference gives.
- `models`: recipes, what a model can do, and what its heads are for.
"""
