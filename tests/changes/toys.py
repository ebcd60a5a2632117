"""Models that differ from the base in one known respect, and a plan that asks little."""

from helpers.changes import ChangePlan
from helpers.changes.restoring import with_values
from helpers.changes.subjects import before
from helpers.detox.posts import noun_words

PLAN = ChangePlan(
    seeds=1,
    prompts=1,
    posts=64,
    attack_posts=(2,),
    attack_steps=(1,),
    neurons=(1, 1024),
    dimensions=(1, 2),
    pairs=6,
    mask_steps=2,
)
LOWER = 3.0
"""How much less likely insults are made, in logits."""


def other_unembedding():
    """The base, which says insults more seldom: nothing but a bias of its unembedding differs."""
    bias = before().state_dict()["unembed.bias"].clone()
    bias[list(noun_words()[0])] -= LOWER
    return with_values(before(), {"unembed.bias": bias})


def other_neuron(layer, neuron):
    """The base with one neuron that reads something else."""
    name = f"blocks.{layer}.mlp.in.weight"
    weights = before().state_dict()[name].clone()
    weights[neuron] = -3 * weights[neuron]
    return with_values(before(), {name: weights})
