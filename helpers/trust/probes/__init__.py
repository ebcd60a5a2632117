"""Linear probes: can a label be read off activations, and from which checkpoint on?

- `linear`: logistic probes at many sites at once (`logistic` is their solver).
- `fitted`: how fitted probes do on the test parts, with intervals.
- `onset`: the first checkpoint from which on a curve stays above its control.
- `bench`: the speed of the probes, against a loop of scikit-learn's.
"""

from helpers.trust.probes.fitted import Probes, ProbeSummary
from helpers.trust.probes.linear import fit, mass_mean, paper_mode
from helpers.trust.probes.onset import Onset

__all__ = ["Onset", "ProbeSummary", "Probes", "fit", "mass_mean", "paper_mode"]
