"""Do neurons explain the change? Activations of some MLP neurons are put back to the base's.

Yang et al. (arXiv 2411.06424) find that the neurons that read as toxic account for 2.5 to 24 % of
what DPO changes. Here the neurons are ranked by what they change first: the difference of their
activation before and after, times the gradient of the log odds of rude nouns, on every second of
the posts that are read. Then the k highest get, at every token, the activation that they have in
the base on the same text, and the exact rude share says how much of the change is undone. Controls:
as many neurons drawn at random; and all of them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import both_possible, read_posts, reported, rude_shares
from helpers.detox.networks import KeyValues, Plain, Policy
from helpers.detox.posts import manners, noun_places, noun_words
from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.runtime import gradients

Activations = list[Float[Tensor, "row pos neuron"]]
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
RANDOM = (50, 200)
"""Numbers of neurons that are drawn at random as well, where the plan has them."""


def neurons(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """Rude shares with the activations of some neurons put back.

    Returns:
        Rude shares of both models as they are ("base", "after"), with each number of neurons put
        back ("ranked"), and with as many random ones ("random").

    Raises:
        LabError: Networks of another vocabulary or of different shapes.
    """
    asked = reported(plan.prompts)
    ranked = ranking(base, network, read_posts(plan.posts)[::2])
    drawn = ranked[torch.randperm(len(ranked), generator=torch.Generator().manual_seed(0))]
    found: dict[str, Any] = {"base": rude_shares(base, asked), "after": rude_shares(network, asked)}
    found["ranked"] = {
        str(k): rude_shares(restored(base, network, ranked[:k]), asked) for k in plan.neurons
    }
    found["random"] = {
        str(k): rude_shares(restored(base, network, drawn[:k]), asked)
        for k in plan.neurons
        if k in RANDOM
    }
    return found


def restored(base: Plain, network: Plain, chosen: Int[Tensor, " neuron"]) -> Policy:
    """The network with the base's activations of some neurons.

    Args:
        chosen: Numbers of neurons, those of the first block first.

    Raises:
        LabError: Networks of different shapes, no neuron, or some that there are not.
    """
    shape = network.shape
    if base.shape != shape:
        raise LabError("expected networks of one shape", f"got {base.shape} and {shape}")
    count = shape.n_layers * shape.d_mlp
    chosen = torch.as_tensor(chosen)
    whole = chosen.dtype in WHOLE and chosen.ndim == 1 and len(chosen)
    if not whole or not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        raise LabError(f"expected numbers of neurons below {count}", f"got {chosen!r:.60}")
    return Policy(network, _Restoring(base, network, chosen.long()))


@gradients()
def ranking(base: Plain, network: Plain, posts: Int[Tensor, "post pos"]) -> Int[Tensor, " neuron"]:
    """Neurons, those first that raise rudeness most when they are put back, to first order.

    The log odds are those of insults against praises where the noun is to come; in a frame that
    turns the noun round, of praises against insults. Posts with "an" before the noun are left out:
    no insult begins with a vowel.

    Raises:
        LabError: As `restored`; posts without a noun.
    """
    posts = token_ids(posts, network)
    posts = posts[both_possible(posts)]
    before, rows = noun_places(posts) - 1, torch.arange(len(posts))
    with torch.no_grad():
        olds = _activations(base, posts)
    leaves: Activations = []

    def keep(_: Any, read: tuple[Tensor, ...]) -> tuple[Tensor]:
        leaves.append(read[0].detach().requires_grad_(True) if not leaves else read[0])
        leaves[-1].retain_grad()
        return (leaves[-1],)

    hooks = [last.register_forward_pre_hook(keep) for last in _last_layers(network)]
    try:
        logits = network(posts)[rows, before]
    finally:
        for hook in hooks:
            hook.remove()
    insults, praises = (logits[:, list(words)].logsumexp(1) for words in noun_words())
    sign = torch.tensor([-1.0 if "turned" in manner else 1.0 for manner in manners(posts)])
    (sign * (insults - praises)).sum().backward()
    effect = [
        ((old - new.detach()) * new.grad).sum((0, 1))
        for old, new in zip(olds, leaves, strict=True)
        if new.grad is not None
    ]
    return torch.cat(effect).argsort(descending=True, stable=True)


def _activations(
    network: Plain, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
) -> Activations:
    """What every MLP's last layer reads."""
    kept: Activations = []
    hooks = [
        last.register_forward_pre_hook(lambda _, read: kept.append(read[0]))
        for last in _last_layers(network)
    ]
    try:
        network.states(tokens, past)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def _last_layers(network: Plain) -> list[Any]:
    return [network.get_submodule(f"blocks.{n}.mlp.out") for n in range(network.shape.n_layers)]


@dataclass(frozen=True)
class _Restoring:
    """A guide that says what the network says with some neurons of the base."""

    base: Plain
    network: Plain
    chosen: Int[Tensor, " neuron"]

    def begin(self) -> tuple[KeyValues, KeyValues]:
        return KeyValues(), KeyValues()

    def __call__(
        self,
        logits: Float[Tensor, "row pos word"],
        tokens: Int[Tensor, "row pos"],
        state: tuple[KeyValues, KeyValues] | None,
    ) -> Float[Tensor, "row pos word"]:
        old_past, past = state or (None, None)
        olds = _activations(self.base, tokens, old_past)
        hooks = [
            last.register_forward_pre_hook(self._putting_back(layer, olds[layer]))
            for layer, last in enumerate(_last_layers(self.network))
        ]
        try:
            return self.network(tokens, past)
        finally:
            for hook in hooks:
                hook.remove()

    def _putting_back(self, layer: int, old: Float[Tensor, "row pos neuron"]) -> Any:
        width = self.network.shape.d_mlp
        mine = self.chosen[self.chosen // width == layer] % width

        def hook(_: Any, read: tuple[Tensor, ...]) -> tuple[Tensor]:
            mixed = read[0].clone()
            mixed[..., mine] = old[..., mine]
            return (mixed,)

        return hook
