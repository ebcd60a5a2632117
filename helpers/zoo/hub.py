"""Models of the Hugging Face hub, and folders in its form, as a `TransformerBridge`.

Only safetensors files are read: a pickle can run code when it is opened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import within


@dataclass(frozen=True)
class HubModel:
    """A model of the hub under a short name.

    Attributes:
        repository: ``owner/model``.
        revision: The commit that the labs were written for.
    """

    repository: str
    revision: str


HUB: dict[str, HubModel] = {
    "gpt2": HubModel("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
    "pythia-70m": HubModel("EleutherAI/pythia-70m", "a39f36b100fe8a5377810d56c3f4789b9c53ac42"),
    "pythia-160m": HubModel("EleutherAI/pythia-160m", "50f5173d932e8e61f858120bcb800b97af589f46"),
    "smollm2-135m": HubModel(
        "HuggingFaceTB/SmolLM2-135M", "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    ),
}

TOLERANCE = 1e-3
"""Largest difference of logits between two computations of one model, as a share of the largest."""

PICKLED = {"attn-only-4l": "NeelNanda/Attn_Only_4L512W_C4_Code"}
"""Published models whose weights exist only as a pickle, by their name in TransformerLens."""


def is_name(name: str) -> bool:
    """Whether a name could be one of the hub: ``owner/model``, not the start of a path.

    >>> is_name("gpt2"), is_name("someone/model"), is_name("./model")
    (True, True, False)
    """
    owner, slash, model = name.partition("/")
    named = bool(slash and owner and model) and "/" not in model and owner not in (".", "..", "~")
    return named or name in HUB or name in PICKLED


def load(name: str, revision: str | None):
    """A model by its short name or as ``owner/model``; by default at its pinned commit, if any.

    Raises:
        LabError: The hub does not answer, or has no safetensors weights of an architecture that the
            bridge takes.
    """
    if name in PICKLED or name in PICKLED.values():
        raise LabError(
            f"expected a model with safetensors weights, unlike {name}",
            "its only weights are a pickle, which can run code when it is opened",
            hint="if you trust it, open it yourself: "
            'HookedTransformer.from_pretrained("attn-only-4l") of transformer-lens 3; '
            "helpers.circuits.codes.writes.head_writes takes what comes",
        )
    by_repository = {model.repository: model for model in HUB.values()}
    model = HUB.get(name) or by_repository.get(name) or HubModel(name, "main")
    return boot(download(model.repository, revision or model.revision), model.repository)


def boot(folder: Path, called: str):
    """A bridge around a Hugging Face folder.

    Raises:
        LabError: Incomplete files, an architecture that the bridge does not take, or a model of
            which the bridge computes something else than Hugging Face does.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM

    try:
        # in the precision of the bridge, so that the two can be compared
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
        # transformers fills weights that a file lacks with random numbers, and only logs it
        if missing := loaded[1]["missing_keys"]:
            raise ValueError(f"the weights lack {sorted(missing)[0]}")
        tokens = _probe(loaded[0].config)
        wanted = _logits(loaded[0], tokens)
        del loaded  # before the bridge loads the weights anew: one copy at a time
        model = TransformerBridge.boot_transformers(str(folder), device="cpu").eval()
        _check_same(_logits(model, tokens), wanted, called)
        return model
    except LabError:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        SafetensorError,
        KeyError,
        AttributeError,
        TypeError,
    ) as fault:
        raise LabError(
            f"expected {called} to be a model that TransformerBridge.boot_transformers takes",
            f"it says: {type(fault).__name__}: {str(fault).strip()[:400]}",
            hint="check that the files are complete "
            "and that the architecture is one of TransformerLens",
        ) from None


def _probe(config: Any, length: int = 8) -> Int[Tensor, "1 pos"]:
    """A few token ids from all over the vocabulary, and none of a pad, a begin or an end."""
    config = config.get_text_config()
    special = {getattr(config, f"{kind}_token_id", None) for kind in ("bos", "eos", "pad")}
    size, context = config.vocab_size, getattr(config, "max_position_embeddings", None)
    ids = [i for i in range(1, size, max(1, size // (2 * length))) if i not in special] or [0]
    return torch.tensor([ids[: min(length, context or length)]])


@torch.no_grad()
def _logits(model: Any, tokens: Int[Tensor, "1 pos"]) -> Float[Tensor, "1 pos vocab"]:
    output = model(tokens)
    return getattr(output, "logits", output).float()


def _check_same(
    ours: Float[Tensor, "1 pos vocab"], wanted: Float[Tensor, "1 pos vocab"], called: str
) -> None:
    """Refuse a bridge that leaves away a setting of the model, such as the scale of attention.

    The two add up in another order, which moves a logit by some millionths of the largest. NaN that
    both compute is the checkpoint's own, as of a training that diverged: whoever reads it says so.
    """
    finite = wanted[wanted.isfinite()]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    same = (ours == wanted) | (ours.isnan() & wanted.isnan())
    apart = torch.where(same, 0.0, (ours - wanted).abs()).max()
    if not within(apart, TOLERANCE * largest):
        raise LabError(
            f"expected the logits that Hugging Face computes for {called}",
            f"those of TransformerBridge differ by {float(apart):.3g}, and the largest logit is "
            f"{largest:.3g}",
            hint="the bridge knows no setting of its config.json, such as scale_attn_weights: "
            "give a callable from tokens to logits instead",
        )


def download(repository: str, revision: str) -> Path:
    """Folder with the model's files, from the cache or the hub; weights as safetensors only.

    Raises:
        LabError: The hub does not answer, or the repository has no safetensors weights.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.safetensors", "*.model"]
    try:
        try:
            folder = Path(
                snapshot_download(
                    repository, revision=revision, allow_patterns=wanted, local_files_only=True
                )
            )
            if list(folder.glob("*.safetensors")):
                return folder
        except LocalEntryNotFoundError:
            pass  # not in the cache: ask the hub
        folder = Path(
            snapshot_download(repository, revision=revision, allow_patterns=wanted, max_workers=2)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as fault:
        raise LabError(
            f"expected {repository} at {revision} from the Hugging Face hub",
            f"it did not come: {(str(fault).strip() or type(fault).__name__).splitlines()[0]}",
            hint="check the name and the network, "
            "or download the model elsewhere and pass its folder; "
            "the embedded models need no network",
        ) from None
    if not list(folder.glob("*.safetensors")):
        raise LabError(
            f"expected safetensors weights in {repository} at {revision}",
            "it has none; pickles are not opened",
        )
    return folder
