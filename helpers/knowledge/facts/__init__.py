"""Facts to find and to edit: hand-wired (`factnet`), and those that TinyWorld's models learned."""

from helpers.knowledge.facts.tinyworld import FRAMES, Facts, divided, facts, permuted

__all__ = ["FRAMES", "Facts", "divided", "facts", "permuted"]
