"""What is lost without a head, and by which way: directly, through later heads, or through the last
LayerNorm's scale.

A head is *replaced* by its mean: its output ``z`` becomes its mean over all tokens of reference
prompts, everywhere or at some tokens. What a behaviour loses by that is measured; and the logit
difference, right less wrong words, is split exactly:

    lost  =  direct (what the head itself no longer writes)  +  later heads (what each of those writes less)  +  scale

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
from helpers.texts.prompts import Prompts, answers


@dataclass(frozen=True)
class Trace:
    """What a run computed.

    Attributes:
        behaviour: the metric of each prompt.
        difference: mean logit of the right words less that of the wrong ones.
        z: head outputs before W_O.
        patterns: attention.
        scale: of the last LayerNorm, at each prompt's last token.
    """

    behaviour: Float[Tensor, " prompt"]
    difference: Float[Tensor, " prompt"]
    z: Float[Tensor, "layer prompt pos head d_head"]
    patterns: Float[Tensor, "layer prompt head query key"]
    scale: Float[Tensor, "prompt 1"]


class Bench:
    """A model, prompts of one skill, and the means that replace its heads.

    Args:
        model: attention only, and with LayerNorm: then the split of a loss is complete.
        prompts: on which is measured.
        reference: other prompts of the same skill, for the means.

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
        self, replaced: Iterable[Head] = (), where: Bool[Tensor, "prompt pos"] | None = None
    ) -> Trace:
        """Run with heads replaced by their means, at all tokens or at those given."""
        mask = self.real if where is None else where
        layers: dict[int, list[int]] = {}
        for layer, head in replaced:
            layers.setdefault(layer, []).append(head)
        kept: dict[str, Tensor] = {}
        hooks = [
            (name, self._replacer(layers.get(layer, []), layer, mask))
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

    def _replacer(self, heads: list[int], layer: int, mask: Bool[Tensor, "prompt pos"]):
        def replace(z: Float[Tensor, "prompt pos head d_head"], hook):
            z = z.clone()
            for head in heads:
                z[:, :, head] = torch.where(mask[..., None], self.mean[layer, head], z[:, :, head])
            return z

        return replace

    def _behaviour(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        said = answers(logits, self.prompts)
        return said.difference if self.prompts.name == "greater-than" else said.log_ratio

    @torch.no_grad()
    def written(self, trace: Trace) -> Float[Tensor, "layer head prompt"]:
        """What each head adds to the logit difference at the last token, with the scale of the full run."""
        z = trace.z[
            :, torch.arange(len(self.prompts)), self.prompts.last
        ]  # [layer, prompt, head, d_head]
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
        """Mean loss when a head is replaced at some tokens only."""
        return float((self.full.behaviour - self.run([head], where).behaviour).mean())

    def share(self, kept: Iterable[Head]) -> float:
        """How much of the behaviour some heads alone bring back: 0 with none of them, 1 with all."""
        chosen = set(kept)
        alone = float(
            self.run([head for head in self.heads if head not in chosen]).behaviour.mean()
        )
        none = float(self.none.behaviour.mean())
        return (alone - none) / (float(self.full.behaviour.mean()) - none)

    def grown(self, enough: float = 0.8) -> list[Head]:
        """Heads added one by one, each time the one that brings back most, until their share is `enough`."""
        chosen: list[Head] = []
        while len(chosen) < len(self.heads) and (not chosen or self.share(chosen) < enough):
            chosen.append(
                max(
                    set(self.heads) - set(chosen),
                    key=lambda head: (self.share([*chosen, head]), head),
                )
            )
        return chosen

    def shrunk(self, enough: float = 0.8) -> list[Head]:
        """All heads less one after the other, each time the one that costs least, as long as the share is `enough`."""
        chosen = list(self.heads)
        while len(chosen) > 1:
            fewer = max(
                ([head for head in chosen if head != left] for left in chosen), key=self.share
            )
            if self.share(fewer) < enough:
                break
            chosen = fewer
        return chosen


@dataclass(frozen=True)
class Ways:
    """How the mean logit difference loses by a replaced head, in logits; the parts add up to `total`."""

    total: float
    direct: float
    later: dict[Head, float]
    scale: float


def _keeper(kept: dict[str, Tensor], name: str):
    def keep(value: Tensor, hook) -> None:
        kept[name] = value.detach()

    return keep
