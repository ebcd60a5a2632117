"""Texts: a vocabulary of whole words, labelled sets for probes, and prompts with right answers."""

from helpers.texts.labelled import LabelledSet
from helpers.texts.prompts import Answers, Prompt, Prompts, answers, final_logits
from helpers.texts.vocabulary import BEGIN, PAD, SPECIAL, UNKNOWN, Vocabulary

__all__ = [
    "BEGIN",
    "PAD",
    "SPECIAL",
    "UNKNOWN",
    "Answers",
    "LabelledSet",
    "Prompt",
    "Prompts",
    "Vocabulary",
    "answers",
    "final_logits",
]
