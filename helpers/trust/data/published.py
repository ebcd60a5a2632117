"""What Qian et al. 2024 (arXiv 2402.19465) measured on Amber-7B, to stand beside our measurements.

All values are read from the vector figures of the paper, which has no tables of them: test
accuracies of the probes from figure 2 and appendix D (one seed, ordered split, no interval, no
untrained model), information from figure 13. Compare shapes, not levels: another model, another
number of items, another width.
"""

from dataclasses import dataclass

from helpers.stats import clopper_pearson


@dataclass(frozen=True)
class Published:
    """Accuracies of the probes of one set at one layer.

    Attributes:
        layer: The one whose curve is quoted, the best or near it.
        first: Accuracy at the first checkpoint, after 762 optimiser steps; step 0 was not measured.
        best: The highest of all checkpoints, so an optimistic number.
        late: Mean over the checkpoints from 100 to the end.
        tested: Number of test rows, from the steps of the curve.
    """

    layer: int
    first: float
    best: float
    late: float
    tested: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval of `late`, as of one checkpoint with `tested` rows."""
        return clopper_pearson(round(self.late * self.tested), self.tested)


PUBLISHED = {
    "truthfulqa": Published(layer=15, first=0.550, best=0.843, late=0.813, tested=636),
    "toxigen": Published(layer=18, first=0.611, best=0.820, late=0.796, tested=1303),
    "confaide": Published(layer=21, first=0.732, best=0.879, late=0.849, tested=470),
    "stereoset": Published(layer=18, first=0.765, best=0.969, late=0.959, tested=391),
    "sst2": Published(layer=18, first=0.716, best=0.988, late=0.974, tested=729),
}
"""By the names of `public.SOURCES`; read from the paper's vector figures. (636 rows are not a
fifth of the released TruthfulQA file: the figure must stand on another one.)"""

CHECKPOINTS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 179, 250, 300)
"""Checkpoints of the curves below, counted from 0, every 3.5 billion tokens (762 optimiser steps).

Number 0 is not the untrained model."""
CURVES = {
    ("truthfulqa", 0): (
        0.594, 0.569, 0.574, 0.612, 0.579, 0.590, 0.597, 0.613, 0.571, 0.607, 0.638, 0.604,
    ),
    ("truthfulqa", 6): (
        0.555, 0.602, 0.676, 0.681, 0.712, 0.706, 0.720, 0.736, 0.737, 0.728, 0.745, 0.733,
    ),
    ("truthfulqa", 15): (
        0.550, 0.597, 0.681, 0.708, 0.722, 0.759, 0.794, 0.785, 0.799, 0.843, 0.825, 0.800,
    ),
    ("truthfulqa", 18): (
        0.544, 0.590, 0.684, 0.725, 0.730, 0.770, 0.783, 0.781, 0.813, 0.813, 0.803, 0.814,
    ),
    ("truthfulqa", 30): (
        0.541, 0.604, 0.667, 0.670, 0.728, 0.741, 0.761, 0.786, 0.802, 0.791, 0.789, 0.807,
    ),
    ("toxigen", 18): (
        0.611, 0.620, 0.695, 0.694, 0.724, 0.748, 0.762, 0.767, 0.784, 0.804, 0.800, 0.790,
    ),
    ("confaide", 21): (
        0.732, 0.757, 0.787, 0.789, 0.817, 0.821, 0.840, 0.823, 0.847, 0.847, 0.855, 0.851,
    ),
    ("stereoset", 18): (
        0.765, 0.852, 0.882, 0.913, 0.934, 0.951, 0.954, 0.946, 0.946, 0.969, 0.951, 0.962,
    ),
    ("sst2", 18): (
        0.716, 0.882, 0.957, 0.974, 0.986, 0.985, 0.973, 0.982, 0.977, 0.974, 0.971, 0.978,
    ),
}  # fmt: skip
"""Test accuracy of the probe of one set and layer (counted from 0) at each of `CHECKPOINTS`."""

STEPS = (0, 100, 200, 300, 400, 500, 1000, 1500, 2000, 2500, 3000)
"""Steps of the information curves: a second run of the first chunk, not released.

Of the steps, 2000 are warm-up."""
INFORMATION = {
    ("tx", 0): (2.74, 4.38, 5.10, 5.29, 5.25, 5.39, 5.64, 5.79, 5.34, 5.33, 4.86),
    ("tx", 6): (1.40, 3.18, 4.29, 4.48, 4.38, 4.43, 3.98, 3.47, 3.02, 3.08, 2.78),
    ("tx", 18): (1.04, 2.77, 3.93, 4.05, 3.91, 3.84, 2.97, 2.40, 2.15, 2.24, 1.95),
    ("tx", 31): (0.92, 2.66, 3.75, 3.75, 3.59, 3.44, 2.50, 2.10, 1.96, 2.01, 1.78),
    ("ty", 0): (0.024, 0.022, 0.019, 0.020, 0.020, 0.019, 0.025, 0.032, 0.025, 0.033, 0.027),
    ("ty", 18): (0.017, 0.017, 0.019, 0.022, 0.026, 0.028, 0.053, 0.076, 0.092, 0.099, 0.112),
    ("ty", 31): (0.018, 0.016, 0.018, 0.021, 0.025, 0.026, 0.045, 0.061, 0.074, 0.075, 0.080),
}
"""I(T;X) and I(T;Y) on TruthfulQA at each of `STEPS`, as the released code estimates them, of
layers counted from 0. The first falls from step 300 on in the upper layers ("compression") and from
step 1500 on in layer 0."""
