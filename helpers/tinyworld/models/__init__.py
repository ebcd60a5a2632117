"""Models of TinyWorld: how they are trained, what they can do, and what their heads are for.

- `recipes`: recipes of the embedded models, and the task that trains them.
- `measure`: skills and loss over training, the numbers of a model's card.
- `head_effects`: what is lost without a head, and by which way.
- `head_roles`: where a head looks, what it writes, and its role.
- `bench`: how long making text takes beside training on it.
"""

from helpers.tinyworld.models.recipes import RECIPES, TextTask, task_of

__all__ = ["RECIPES", "TextTask", "task_of"]
