"""The theory of constrained fine-tuning where everything can be computed, and nothing is learned.

- `chains`: language models of which every text can be counted.
- `automata`: constraints on whole texts.
- `guides`: success by dynamic programming; a chain whose words are chosen with a view to it.
- `targets`: the nearest distributions that keep a constraint: hard, soft, at a price.
- `tabular`, `table_errors`: success learned from samples in a table, and how far it is off.
- `bounds`: what a learned success may cost.
- `fixed_point`: where tuning ends, and how fast, also with a stale target.
- `stop_gradient`: the gradient of the KL, with the target held fixed and without.
"""

from helpers.detox.exact.automata import WordAutomaton, anything, at_most, both, never, never_after
from helpers.detox.exact.chains import MarkovChain, markov, of_model, worked_example
from helpers.detox.exact.guides import Guided, guided, locally_masked, success, unguided
from helpers.detox.exact.targets import Target, hard, penalised, soft, target_words

__all__ = [
    "Guided",
    "MarkovChain",
    "Target",
    "WordAutomaton",
    "anything",
    "at_most",
    "both",
    "guided",
    "hard",
    "locally_masked",
    "markov",
    "never",
    "never_after",
    "of_model",
    "penalised",
    "soft",
    "success",
    "target_words",
    "unguided",
    "worked_example",
]
