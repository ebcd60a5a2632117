"""Small random models of every kind that the labs use, random pairs for them, and a model with one
known path."""

import torch

from helpers.circuits.graph import handwired
from helpers.circuits.graph.handwired import HandWired
from helpers.circuits.tasks import Twins
from helpers.texts import Prompts

VOCAB = 20
RIGHT, WRONG = 3, 5


def native(**options):
    """A random model; its weights are so large that attention is not uniform."""
    from transformer_lens.model_bridge import TransformerBridge

    shape = {
        "n_layers": 3,
        "n_heads": 2,
        "d_model": 16,
        "d_head": 8,
        "n_ctx": 12,
        "d_vocab": VOCAB,
        "d_mlp": 32,
    }
    config = {
        "seed": 0,
        "d_vocab_out": VOCAB,
        "act_fn": "gelu_new",
        "device": "cpu",
        **shape,
        **options,
    }
    return disturbed(TransformerBridge.boot_native(config))


def disturbed(model):
    """The model with random biases and gains as well: a forgotten one shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def gpt2(folder):
    """A random model of GPT-2's shape, by way of a folder."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=2, n_head=2, n_embd=16, vocab_size=VOCAB, n_positions=12, initializer_range=0.3
    )
    disturbed(GPT2LMHeadModel(config)).save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu").eval()


def gpt_neo(folder):
    """A random model of GPT-Neo's shape: no biases in queries, keys and values, no scale of the
    scores, and a layer whose attention is local."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    torch.manual_seed(0)
    config = GPTNeoConfig(
        num_layers=2,
        num_heads=2,
        hidden_size=16,
        intermediate_size=32,
        attention_types=[[["global", "local"], 1]],
        window_size=3,
        vocab_size=VOCAB,
        max_position_embeddings=12,
        initializer_range=0.3,
    )
    disturbed(GPTNeoForCausalLM(config)).save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu").eval()


def random_twins(count: int = 5, length: int = 9, seed: int = 2) -> Twins:
    """Pairs of random tokens that differ in two places, padded to different lengths.

    Every prompt has one right word and one wrong one.
    """
    generator = torch.Generator().manual_seed(seed)

    def prompts(tokens) -> Prompts:
        tokens = tokens.masked_fill(torch.arange(length) > last[:, None], 0)
        return Prompts("random", ("",) * count, tokens, last, good, bad)

    tokens = torch.randint(1, VOCAB, (count, length), generator=generator)
    last = torch.randint(5, length, (count,), generator=generator)
    good, bad = torch.zeros(2, count, VOCAB, dtype=torch.bool)
    good[:, RIGHT], bad[:, WRONG] = True, True
    other = tokens.clone()
    other[:, [1, 3]] = torch.randint(1, VOCAB, (count, 2), generator=generator)
    return Twins(prompts(tokens), prompts(other), "logit difference")


@torch.no_grad()
def one_path(name: str, sharpness: float = 80.0) -> tuple[HandWired, handwired.WiredCircuit]:
    """The hand-wired model with the true heads of its other path silenced, and the path that is
    left.

    Without a second path each edge of the first is necessary, so that methods which take away one
    at a time can find them.
    """
    wired = handwired.build(sharpness=sharpness)
    circuit = wired.circuits["AB".index(name)]
    for layer, head in wired.heads - set(circuit.heads):
        wired.model.blocks[layer].attn.W_O[head] = 0.0
    return wired, circuit
