"""How much memory masks and edits take, and whether it is there.

Measured on a GPT-2 of random weights and full size (124 M parameters, of which 85 054 464 in its
blocks: a vector of them has 0.32 GiB), in float32 on one CPU core; memory is of the whole process:

================================================  =========  ===========
what                                              peak, GiB  CPU seconds
================================================  =========  ===========
model loaded, its block weights as a vector       1.4        6
a step of the search, 16 prompts of 12 tokens     5.2        9 to 10
its state kept (a file of 0.97 GiB); restored     4.1; 5.2   4; 2
an edit                                           6.4        4 a step
what else changed                                 3.6        4
weights outside whose gradient is as long         7.4        28
================================================  =========  ===========

So GPT-2 small fits a Colab machine without a GPU (12.7 GiB). There `RealPlan(densities=(0.05,),
steps=40, facts=3)` takes seven CPU minutes for the search and at most 45 for the edits, fewer where
the new answer comes to ½ early. By the same count of vectors masks and edits take 5 to 6 of a T4's
15 GiB, the model included; on a GPU nothing was measured.
"""

from helpers.errors import LabError
from helpers.runtime import GIB, free_memory

VECTORS = {"cpu": 20, "cuda": 14}
"""Vectors as long as the block weights that lie in memory at most, beside the model. Weights whose
gradient is as long are sorted on the CPU, wherever the model is."""


def needed(n_weights: int, device: str) -> float:
    """Memory for masks and edits over so many block weights in float32, in GiB, beside the model.

    >>> round(needed(85_054_464, "cpu"), 1), round(needed(85_054_464, "cuda"), 1)  # GPT-2 small
    (6.3, 4.4)
    """
    return VECTORS.get(device.partition(":")[0], VECTORS["cpu"]) * 4 * n_weights / GIB


def check_memory(n_weights: int, device: str) -> None:
    """Refuse what would end in a killed kernel, before the long work.

    Raises:
        LabError: The device has less free memory than masks and edits take.
    """
    wanted, free = needed(n_weights, device), free_memory(device)
    if free is not None and not free >= wanted:
        raise LabError(
            f"expected {wanted:.1f} GiB of free memory on {device} for {n_weights:,} block weights",
            f"there are {free:.1f}",
            hint="take a smaller model, or close what else holds memory",
        )
