"""A causal model of `transformers` with its tokenizer, and what of it is tuned.

Tuned is an adapter of low rank by `peft`, or every weight. Either way the model can be asked as it
was: with an adapter, `disable_adapter` is exactly the base (the layers below are never written to).
Dropout is off throughout, or the model would differ from itself, and so from its own target.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError, optional
from helpers.inputs import check_count
from helpers.runtime import GIB
from helpers.zoo import hub

LOGITS = 6
"""Tables of logits that lie in memory at most, in a step of tuning: the model's, their logarithms,
the target's, and gradients."""


@dataclass(frozen=True)
class Causal:
    """A model with its tokenizer.

    Attributes:
        model: Of `transformers`, in evaluation mode.
        tokenizer: With a pad token, and padding on the left, as generation needs it.
        device: Where the model is.
        name: What it is called.
    """

    model: Any
    tokenizer: Any
    device: str
    name: str

    @property
    def words(self) -> int:
        """How many tokens can come next."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def positions(self) -> int:
        """How many tokens a text may have."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 20)


def load_causal(source: "str | Path | Causal", device: str | None = None) -> Causal:
    """A model by the name of `helpers.zoo`'s hub models, as ``owner/model``, or from a folder.

    Raises:
        LabError: A model that cannot be had or read, or a tokenizer without an end of text.
    """
    if isinstance(source, Causal):
        return source
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = runtime.answering(device) if device else runtime.device()
    folder = _folder(source)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
        model, found = loaded
        if missing := found["missing_keys"]:
            raise ValueError(f"the weights lack {sorted(missing)[0]}")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as fault:
        raise LabError(
            f"expected a causal model with its tokenizer in {folder}",
            f"cannot read it: {type(fault).__name__}: {str(fault).strip()[:200]}",
            hint="give a name such as 'gpt2' or 'smollm2-135m', or the folder of a model",
        ) from None
    return Causal(model.eval().to(where), _with_padding(tokenizer), where, str(source))


def _folder(source: str | Path) -> Path:
    if isinstance(source, str | Path) and runtime.expanded(str(source)).is_dir():
        return runtime.expanded(str(source))
    if isinstance(source, str) and hub.is_name(source):
        about = hub.HUB.get(source) or hub.HubModel(source, "main")
        return hub.download(about.repository, about.revision)
    raise LabError("expected a causal model: a name of the hub, or a folder", f"got {source!r:.80}")


def _with_padding(tokenizer: Any) -> Any:
    """The tokenizer with a pad token that is no word, on the left."""
    if tokenizer.eos_token_id is None:
        raise LabError(
            "expected a tokenizer with a token for the end of a text",
            f"got {type(tokenizer).__name__} without one",
            hint="set tokenizer.eos_token; continuations end with it",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


class Tunable:
    """A copy of a model that is tuned, and that can be asked as it was.

    Attributes:
        model: The copy; with an adapter, a model of `peft`.
    """

    def __init__(self, causal: Causal, adapter: bool = True, rank: int = 16, seed: int = 0) -> None:
        check_count("rank of an adapter", rank, least=1)
        model = copy.deepcopy(causal.model).eval()
        self.adapter = adapter
        self.model = _with_adapter(model, rank, seed) if adapter else model.requires_grad_(True)
        self._first = {} if adapter else self.kept()

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that are trained, by name."""
        return {n: weight for n, weight in self.model.named_parameters() if weight.requires_grad}

    def kept(self) -> dict[str, Tensor]:
        """A copy of the weights that are trained, as they are now."""
        return {name: weight.detach().clone() for name, weight in self.trained.items()}

    def base(self) -> AbstractContextManager[Any]:
        """Inside, the model is the one before all tuning."""
        return self.model.disable_adapter() if self.adapter else self.as_kept(self._first)

    @contextmanager
    def as_kept(self, weights: dict[str, Tensor]) -> Iterator[None]:
        """Inside, the model has the weights that were kept; the present ones come back."""
        now = {name: weight.data for name, weight in self.trained.items()}
        for name, weight in self.trained.items():
            weight.data = weights[name]
        try:
            yield
        finally:
            for name, weight in self.trained.items():
                weight.data = now[name]


def _with_adapter(model: Any, rank: int, seed: int) -> Any:
    with optional("detox"):
        from peft import LoraConfig, get_peft_model  # pyright: ignore[reportMissingImports]
    # the layers of GPT-2 keep their matrices the other way round
    turned = model.config.model_type == "gpt2"
    settings = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        fan_in_fan_out=turned,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, settings).eval()


def log_probs(model: Any, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos word"]:
    """Log-probabilities of the next token; no token reads the pads, which stand on the right."""
    return model(input_ids=tokens).logits.float().log_softmax(-1)


def needed(n_weights: int, words: int, batch: int, length: int, adapter: bool = True) -> float:
    """Memory for a tuning in float32, in GiB: two models, what is trained, tables of logits.

    >>> round(needed(124_439_808, 50_257, 16, 84), 1)  # GPT-2 small
    3.9
    """
    models = 2 * n_weights + (0 if adapter else 4 * n_weights)
    return 4 * (models + LOGITS * 2 * batch * length * words) / GIB


def check_memory(causal: Causal, batch: int, length: int, adapter: bool) -> None:
    """Refuse what would end in a killed kernel, before the long work.

    Raises:
        LabError: The device has less free memory than a tuning takes.
    """
    weights = sum(weight.numel() for weight in causal.model.parameters())
    wanted = needed(weights, causal.words, batch, length, adapter)
    free = runtime.free_memory(causal.device)
    if free is not None and not free >= wanted:
        raise LabError(
            f"expected {wanted:.1f} GiB of free memory on {causal.device} to tune {weights:,} "
            "weights",
            f"there are {free:.1f}",
            hint="take a smaller batch, shorter texts or a smaller model",
        )
