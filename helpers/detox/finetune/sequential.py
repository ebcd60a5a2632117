"""The method, one thing after the other: sample, label, fit the oracle, tune the model.

    for every iteration t:   B_t = label(sample(p_{t−1}));  R_t = fit(R_{t−1}, B_t);
                             q   = p_{t−1} · R_t;           p_t = steps of CE + λ · KL(q ‖ p)

With `stale=True` the q of an iteration is that of the iteration before, from the second one on,
which lets the two halves run at the same time (`helpers.detox.finetune.parallel`). Here they run in
turns, with the same numbers.

Source: arXiv 2410.05559; iterations after figure 2 there.
"""

from collections.abc import Callable
from pathlib import Path

from helpers.detox.finetune.iterations import Here, Iterations
from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.finetune.running import Tuned, prepared, run_through
from helpers.detox.finetune.steps import TuningRun
from helpers.detox.networks import Plain
from helpers.detox.oracle import Oracle, Scorer
from helpers.detox.posts import DetoxCorpus


def tune(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    oracle: Oracle | None = None,
    folder: Path | None = None,
    scorer: Scorer | None = None,
    on_step: Callable[[TuningRun], None] | None = None,
) -> Tuned:
    """Tune a model on a corpus while it is pulled towards what satisfies the constraint.

    Args:
        base: The model; it is left as it is.
        oracle: A fitted oracle of the base to begin with; it is left as it is. Without one, the
            first is fitted here.
        folder: Where the state is kept after every iteration. Called again with the same arguments
            after a kill, the tuning goes on there and ends in the same weights.
        scorer: Says of each sample whether it satisfies the constraint; without one, the grammar
            does (kind satisfies; rude and garbled do not).
        on_step: Called after every step.

    Raises:
        LabError: As `prepared`; no sample satisfies the constraint; a scorer that fails; losses
            that are not finite; a folder whose state belongs to another tuning.

    >>> from helpers import zoo
    >>> from helpers.detox.networks import plain
    >>> from helpers.detox.posts import corpus
    >>> base = plain(zoo.load("tinyworld", device="cpu"))
    >>> plan = TuningPlan(steps=2, iterations=1, samples=96, first_samples=96, first_fit=2)
    >>> [losses.kl_weight for losses in tune(base, corpus("sixty", 0), plan).losses]
    [10.0, 10.0]
    """
    run = prepared(base, corpus, plan, scorer)
    return run_through(run, Iterations.of(Here(), plan, oracle, scorer), folder, on_step)
