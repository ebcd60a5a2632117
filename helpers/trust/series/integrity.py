"""Are the checkpoints of a series different weights? Hashes of every tensor, and equal ones.

Published series are not always what their names say. Of Pythia's, step 0 and step 1 are equal in
every model, as the first warm-up step has a learning rate of 0; 86 of the 154 branches of
pythia-2.8b serve weights of the end of training, in two versions that share their embedding
matrices; two branches of pythia-12b hold the first third of the final model and the rest of their
own; in one seed of pythia-160m two steps differ in the signs of zeros only (EleutherAI/pythia
issues 83, 205, 206, 203). A curve over such a series shows the branches, not the training.

So *every* tensor is hashed, not a few of them: a sample finds whole twins and misses a shard that
was put in the wrong place. It costs little: hashing runs at about 1 GB a second on one core, where
a download or a forward pass over the texts takes longer. What is hashed is the numbers, as float32
and with -0 as 0, not the bytes of the file, so a file that was saved anew in another order or
precision is still recognised.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers.errors import LabError

CHUNK = 1 << 22  # numbers hashed at a time: bounds the float32 copy to 16 MiB

Prints = dict[str, str]
"""Name of a tensor: its fingerprint."""


def fingerprint(tensor: Shaped[Tensor, "..."]) -> str:
    """Shape and hash of a tensor's numbers, the same for equal numbers of any precision.

    >>> row = torch.tensor([[1.0, 0.0]])
    >>> fingerprint(row) == fingerprint(torch.tensor([[1.0, -0.0]]).half()), fingerprint(row)[:4]
    (True, '1x2:')
    """
    digest = hashlib.sha256()
    for chunk in tensor.detach().reshape(-1).split(CHUNK):
        if chunk.is_floating_point() and chunk.dtype is not torch.float64:
            chunk = chunk.float()
        digest.update((chunk + 0).cpu().numpy().tobytes())  # -0.0 + 0 is 0.0
    return "x".join(map(str, tensor.shape)) + ":" + digest.hexdigest()[:24]


def of_tensors(tensors: Mapping[str, Tensor]) -> Prints:
    """Fingerprints of a model's state."""
    return {name: fingerprint(tensors[name]) for name in sorted(tensors)}


def of_files(files: Iterable[Path]) -> Prints:
    """Fingerprints of the tensors in safetensors files, one tensor in memory at a time.

    Raises:
        LabError: A file cannot be read.
    """
    prints: Prints = {}
    for file in sorted(files):
        try:
            with safe_open(file, framework="pt") as handle:
                prints |= {name: fingerprint(handle.get_tensor(name)) for name in handle.keys()}  # noqa: SIM118  no mapping
        except (SafetensorError, OSError) as fault:
            raise LabError(f"expected weights in {file}", f"cannot be read: {fault}") from None
    return dict(sorted(prints.items()))


def digest(prints: Prints) -> str:
    """One hash, 24 hex digits, for all weights of a checkpoint."""
    return hashlib.sha256(repr(sorted(prints.items())).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class RepeatedWeights:
    """Two steps that share weights which training changes elsewhere in the series.

    Attributes:
        first, later: The steps.
        shared: Number of matrices that are equal at both.
        matrices: Number of matrices that change anywhere in the series.
        whole: Whether all tensors are equal.
        apart: Whether a step between the two has other values there.
    """

    first: int
    later: int
    shared: int
    matrices: int
    whole: bool
    apart: bool

    def __str__(self) -> str:
        if self.whole:
            return f"steps {self.first} and {self.later} hold the same weights"
        return (
            f"steps {self.first} and {self.later} share {self.shared} of {self.matrices} matrices"
        )


def twins(prints: Mapping[int, Prints]) -> list[RepeatedWeights]:
    """Every later step that repeats an earlier one, in whole or in part, with the first such step.

    A tensor that no step changes, such as a frozen one, says nothing. Vectors count only in whole
    twins: biases and gains start at 0 and 1, and in half precision the first steps leave many of
    them there. A whole matrix stays equal by mistake, or because it is frozen for a time. Steps
    that lack a tensor are no twins in it.

    >>> [str(pair) for pair in twins({0: {"w": "2x2:a"}, 1: {"w": "2x2:a"}, 2: {"w": "2x2:b"}})]
    ['steps 0 and 1 hold the same weights']
    """
    steps = sorted(prints)
    whole = dict(_repeats({step: digest(prints[step]) for step in steps}))
    matrices = {
        name for step in steps for name, value in prints[step].items() if "x" in value.split(":")[0]
    }
    values = {
        name: {step: prints[step][name] for step in steps if name in prints[step]}
        for name in sorted(matrices)
    }
    moving = {name: by_step for name, by_step in values.items() if len(set(by_step.values())) > 1}
    partly = [repeat for by_step in moving.values() for repeat in _repeats(by_step)]
    shared, apart = (
        Counter(pair for pair, _ in partly),
        Counter(pair for pair, between in partly if between),
    )
    repeated = [
        RepeatedWeights(*pair, len(moving), len(moving), True, between)
        for pair, between in whole.items()
    ]
    doubles = {later for _, later in whole}
    repeated += [
        RepeatedWeights(*pair, n, len(moving), False, apart[pair] > 0)
        for pair, n in shared.items()
        if pair[1] not in doubles
    ]
    return sorted(repeated, key=lambda pair: (pair.later, pair.first))


def _repeats(by_step: Mapping[int, str]) -> list[tuple[tuple[int, int], bool]]:
    """Pairs of a first step with a value and a later one, and whether it changes in between."""
    repeats: list[tuple[tuple[int, int], bool]] = []
    first_with: dict[str, int] = {}
    for step, value in by_step.items():
        first = first_with.setdefault(value, step)
        if first != step:
            between = (by_step[other] for other in by_step if first < other < step)
            repeats.append(((first, step), any(other != value for other in between)))
    return repeats


def settle(
    name: str, prints: Mapping[int, Prints], allow_duplicates: bool = False
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The steps to keep, and a note on each pair of twins.

    Neighbours that share weights can be honest: nothing was learned between them, as between
    Pythia's steps 0 and 1, or a part was frozen. With `allow_duplicates` the later of two equal
    ones is left out, and both are kept where only a part is shared. But weights that go away and
    come back are not training: one of the two steps is not what its name says, the weights cannot
    tell which, and leaving out the later one might keep the wrong one. That is never settled here.

    Raises:
        LabError: A step without weights; twins, unless they are neighbours and `allow_duplicates`
            is true.
    """
    empty = [step for step in sorted(prints) if not prints[step]]
    if empty:
        raise LabError(
            f"expected weights at every step of {name}",
            f"step {empty[0]} has none",
            hint="finish the download, or choose the steps: series.only(steps)",
        )
    pairs = twins(prints)
    apart = [pair for pair in pairs if pair.apart]
    if apart:
        raise LabError(
            f"expected other weights at every step of {name}",
            _few(apart) + ", with other weights between them",
            hint="one of each pair was stored under a wrong step: find out which and leave it out "
            "with series.only(steps)",
        )
    if pairs and not allow_duplicates:
        raise LabError(
            f"expected other weights at every step of {name}",
            _few(pairs),
            hint="pass allow_duplicates=True to leave the later one out, with a note, or choose "
            "the steps: series.only(steps)",
        )
    left_out = {pair.later for pair in pairs if pair.whole}
    notes = (
        f"{pair}: {f'{pair.later} is left out' if pair.whole else 'both are kept'}"
        for pair in pairs
    )
    return tuple(step for step in sorted(prints) if step not in left_out), tuple(notes)


def _few(pairs: list[RepeatedWeights], most: int = 4) -> str:
    more = len(pairs) - most
    return "; ".join(map(str, pairs[:most])) + (f"; and {more} more pairs" if more > 0 else "")
