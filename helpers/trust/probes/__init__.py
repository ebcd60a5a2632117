"""Linear probes: can a label be read off activations, and from which checkpoint on?

- `linear`: logistic probes at many sites at once (`logistic` is their solver).
- `fitted`: how fitted probes do on the test parts, with intervals.
- `numbers`: the same question for a number or an angle.
- `onset`: the first checkpoint from which on a curve stays above its control.
- `bench`: the speed of the probes, against a loop of scikit-learn's.
"""

from helpers.trust.probes.fitted import Probes, ProbeSummary
from helpers.trust.probes.linear import fit, mass_mean, paper_mode
from helpers.trust.probes.numbers import NumberProbes, fit_angle, fit_number
from helpers.trust.probes.onset import Onset

__all__ = [
    "NumberProbes",
    "Onset",
    "ProbeSummary",
    "Probes",
    "fit",
    "fit_angle",
    "fit_number",
    "mass_mean",
    "paper_mode",
]
