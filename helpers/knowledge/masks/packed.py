"""Masks on disk, one bit a weight."""

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.knowledge.masks.blocks import check_mask


def pack(mask: Float[Tensor, " weight"]) -> UInt8[Tensor, " byte"]:
    """A mask with eight weights to a byte, the first one in the highest bit.

    Raises:
        LabError: A value that is neither 0 nor 1.

    >>> pack(torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 1, 1])).tolist()
    [129, 128]
    """
    check_mask(mask)
    return torch.from_numpy(np.packbits(mask.bool().cpu().numpy()))


def unpack(bits: Integer[Tensor, " byte"], n_weights: int) -> Float[Tensor, " weight"]:
    """The mask over so many weights that was packed.

    Raises:
        LabError: Bytes of another number of weights.

    >>> unpack(torch.tensor([129, 128], dtype=torch.uint8), 9).tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """
    check_count("number of weights", n_weights, least=1)
    whole = not bits.is_floating_point() and not bits.is_complex()
    are_bytes = whole and bool(((bits.long() >= 0) & (bits.long() < 256)).all())
    if not are_bytes or bits.shape != ((n_weights + 7) // 8,):
        raise LabError(
            f"expected a packed mask of {n_weights:,} weights",
            f"got {list(bits.shape)} of {bits.dtype}",
        )
    plain = bits.to(torch.uint8).numpy()
    return torch.from_numpy(np.unpackbits(plain, count=n_weights)).float()
