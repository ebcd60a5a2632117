"""Information planes: how much activations know of the input and of the label, and what moves it.

- `dependence`: the paper's estimator (HSIC, normalised), its null, and its linear limit.
- `kernels`: the kernel and the smoothing matrix of which the estimator is made.
- `recovery`: whether the input can still be read, and what remains without the label's direction.
- `bounds`: lower bounds on the mutual information in bits.
"""

from helpers.trust.information.bounds import fano_bound, variational_bound
from helpers.trust.information.dependence import closed_form, hsic, normalised_hsic, plane, readings
from helpers.trust.information.recovery import recovered, without_label, without_largest

__all__ = [
    "closed_form",
    "fano_bound",
    "hsic",
    "normalised_hsic",
    "plane",
    "readings",
    "recovered",
    "variational_bound",
    "without_label",
    "without_largest",
]
