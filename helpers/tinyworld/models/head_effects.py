"""What is lost without a head, and by which way.

A head is mean-ablated: its output ``z`` becomes its mean over all tokens of reference prompts,
everywhere or at some tokens. What a behaviour loses by that is measured; and the logit difference,
right less wrong words, is split exactly into three ways:

    lost  =  direct (what the head itself no longer writes)
          +  later heads (what each of those writes less)
          +  scale (of the last LayerNorm)

where writes are read with the last LayerNorm's scale as it was, so that the rest is what a changed
scale does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.attribution import read_directions
from helpers.errors import LabError
from helpers.interventions import Head, has_mlps
from helpers.model import Model
from helpers.texts import Prompts, answers


@dataclass(frozen=True)
class Trace:
    """What a run computed.

    Attributes:
        behaviour: The metric of each prompt.
        difference: Mean logit of the right words less that of the wrong ones.
        z: Head outputs before W_O.
        patterns: Attention patterns.
        scale: Scale of the last LayerNorm, at each prompt's last token.
    """

    behaviour: Float[Tensor, " prompt"]
    difference: Float[Tensor, " prompt"]
    z: Float[Tensor, "layer prompt pos head d_head"]
    patterns: Float[Tensor, "layer prompt head query key"]
    scale: Float[Tensor, "prompt 1"]


class HeadEffects:
    """What a model's heads do for prompts of one skill, measured by ablating them to their means.

    Args:
        model: An attention-only model with LayerNorm: then the split of a loss is complete.
        prompts: The prompts on which effects are measured.
        reference: Other prompts of the same skill, for the means.

    Raises:
        LabError: a model with MLPs or without LayerNorm.
    """

    def __init__(self, model: Model, prompts: Prompts, reference: Prompts) -> None:
        if has_mlps(model) or model.cfg.normalization_type not in ("LN", "LNPre"):
            raise LabError(
                "expected a model of attention only, with LayerNorm",
                "got one with MLPs or without LayerNorm",
            )
        self.model, self.prompts = model, prompts
        self.heads: list[Head] = [
            (layer, head)
            for layer in range(model.cfg.n_layers)
            for head in range(model.cfg.n_heads)
        ]
        self.real = torch.arange(prompts.tokens.shape[1]) <= prompts.last[:, None]
        self.mean = self._mean(reference)
        weights = [mask.float() / mask.sum(1, keepdim=True) for mask in (prompts.good, prompts.bad)]
        self.weights = weights[0] - weights[1]
        self.read = read_directions(model, self.weights)
        self.full = self.run()
        self.none = self.run(self.heads)

    def _mean(self, reference: Prompts) -> Float[Tensor, "layer head d_head"]:
        kept: dict[str, Tensor] = {}
        self._forward(reference, [(name, _keeper(kept, name)) for name in self._names("z")])
        z = torch.stack([kept[name] for name in self._names("z")])
        real = (torch.arange(z.shape[2]) <= reference.last[:, None])[..., None, None]
        return (z * real).sum((1, 2)) / real.sum()

    def _names(self, what: str) -> list[str]:
        return [f"blocks.{layer}.attn.hook_{what}" for layer in range(self.model.cfg.n_layers)]

    @torch.no_grad()
    def _forward(self, prompts: Prompts, hooks: list) -> Float[Tensor, "prompt word"]:
        logits = self.model.run_with_hooks(prompts.tokens, fwd_hooks=hooks)
        return logits[torch.arange(len(prompts)), prompts.last]

    def run(
        self, ablated: Iterable[Head] = (), where: Bool[Tensor, "prompt pos"] | None = None
    ) -> Trace:
        """Run with heads mean-ablated, at all tokens or at those given."""
        mask = self.real if where is None else where
        layers: dict[int, list[int]] = {}
        for layer, head in ablated:
            layers.setdefault(layer, []).append(head)
        kept: dict[str, Tensor] = {}
        hooks = [
            (name, self._ablater(layers.get(layer, []), layer, mask))
            for layer, name in enumerate(self._names("z"))
        ]
        names = [*self._names("z"), *self._names("pattern"), "ln_final.hook_scale"]
        hooks += [(name, _keeper(kept, name)) for name in names]
        logits = self._forward(self.prompts, hooks)
        z, patterns = (
            torch.stack([kept[name] for name in self._names(what)]) for what in ("z", "pattern")
        )
        scale = kept["ln_final.hook_scale"][torch.arange(len(self.prompts)), self.prompts.last]
        return Trace(self._behaviour(logits), (logits * self.weights).sum(-1), z, patterns, scale)

    def _ablater(self, heads: list[int], layer: int, mask: Bool[Tensor, "prompt pos"]):
        def ablate(z: Float[Tensor, "prompt pos head d_head"], hook):
            z = z.clone()
            for head in heads:
                z[:, :, head] = torch.where(mask[..., None], self.mean[layer, head], z[:, :, head])
            return z

        return ablate

    def _behaviour(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        said = answers(logits, self.prompts)
        return said.difference if self.prompts.name == "greater-than" else said.log_ratio

    @torch.no_grad()
    def written(self, trace: Trace) -> Float[Tensor, "layer head prompt"]:
        """What each head adds to the last token's logit difference, with the full run's scale."""
        z = trace.z[
            :, torch.arange(len(self.prompts)), self.prompts.last
        ]  # [layer, b, head, d_head]
        w_o = torch.stack([block.attn.W_O for block in self.model.blocks])
        return torch.einsum("lbhd,lhdm,bm->lhb", z, w_o, self.read / self.full.scale)

    def loss(self, head: Head) -> Float[Tensor, " prompt"]:
        """What each prompt's behaviour loses without a head."""
        return self.full.behaviour - self.run([head]).behaviour

    def ways(self, head: Head) -> "Ways":
        """Split the loss of the logit difference without a head."""
        without = self.run([head])
        less = (self.written(self.full) - self.written(without)).mean(-1)
        total = float((self.full.difference - without.difference).mean())
        direct = float(less[head])
        later = {other: float(less[other]) for other in self.heads if other[0] > head[0]}
        return Ways(total, direct, later, total - direct - sum(later.values()))

    def loss_at(self, head: Head, where: Bool[Tensor, "prompt pos"]) -> float:
        """Mean loss when a head is ablated at some tokens only."""
        return float((self.full.behaviour - self.run([head], where).behaviour).mean())

    def share(self, kept: Iterable[Head]) -> float:
        """How much of the behaviour some heads alone bring back: 0 with none, 1 with all."""
        chosen = set(kept)
        others = [head for head in self.heads if head not in chosen]
        alone, none, full = (
            float(trace.behaviour.mean()) for trace in (self.run(others), self.none, self.full)
        )
        return (alone - none) / (full - none)

    def grown(self, enough: float = 0.8) -> list[Head]:
        """Heads added one by one, the most useful first, until their share is `enough`."""
        chosen: list[Head] = []
        while len(chosen) < len(self.heads) and (not chosen or self.share(chosen) < enough):
            left = set(self.heads) - set(chosen)
            chosen.append(max(left, key=lambda head: (self.share([*chosen, head]), head)))
        return chosen

    def shrunk(self, enough: float = 0.8) -> list[Head]:
        """Heads left after removing the least useful one by one, while the share is `enough`."""
        chosen = list(self.heads)
        while len(chosen) > 1:
            without = ([head for head in chosen if head != left] for left in chosen)
            fewer = max(without, key=self.share)
            if self.share(fewer) < enough:
                break
            chosen = fewer
        return chosen


@dataclass(frozen=True)
class Ways:
    """What the mean logit difference loses without a head; the parts add up to `total` (logits)."""

    total: float
    direct: float
    later: dict[Head, float]
    scale: float


def _keeper(kept: dict[str, Tensor], name: str):
    def keep(value: Tensor, hook) -> None:
        kept[name] = value.detach()

    return keep
