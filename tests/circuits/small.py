"""Models small enough that every subset of their heads can be tried one by one."""

import torch

from helpers import training
from helpers.tinyworld.models.recipes import RECIPES
from helpers.training import Recipe

SHAPE = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_head": 8}


def model(seed: int = 0, noise: float = 0.4, **shape):
    """An untrained model with TinyWorld's vocabulary; with its weights all heads matter."""
    shape = RECIPES["tinyworld-attn"].model | SHAPE | shape
    built = training.build_model(Recipe("small", "tinyworld", shape, {}, 1, 8, 1e-3, seed)).eval()
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: tensor + noise * torch.randn(tensor.shape, generator=generator)
        for name, tensor in built.state_dict().items()
    }
    built.load_state_dict(state)
    return built
