"""Models of the Hugging Face hub, and folders in its form, as a `TransformerBridge`.

Only safetensors files are read: a pickle can run code when it is opened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from helpers.errors import LabError


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
        LabError: Incomplete files, or an architecture that the bridge does not take.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM

    try:
        # transformers fills weights that a file lacks with random numbers, and only logs it
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        info = loaded[1]
        if info["missing_keys"]:
            raise ValueError(f"the weights lack {sorted(info['missing_keys'])[0]}")
        return TransformerBridge.boot_transformers(str(folder), device="cpu")
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
