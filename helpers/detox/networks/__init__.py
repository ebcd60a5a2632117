"""A plain trainable transformer of the mathematics of our models; its samples; what guides it.

- `transformer`: the network, with a cache of keys and values.
- `making`: networks from models, and models from networks.
- `policies`: a network, alone or guided, as what writes.
- `sampling`: what a policy writes.
"""

from helpers.detox.networks.making import bridge, fresh, frozen, plain
from helpers.detox.networks.policies import Guide, Policy
from helpers.detox.networks.sampling import PAD, sample
from helpers.detox.networks.transformer import KeyValues, Plain, PlainShape

__all__ = [
    "PAD",
    "Guide",
    "KeyValues",
    "Plain",
    "PlainShape",
    "Policy",
    "bridge",
    "fresh",
    "frozen",
    "plain",
    "sample",
]
