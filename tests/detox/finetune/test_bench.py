"""Both sides of a ratio tune the same model, and what they achieve stands beside the clock."""

from helpers import runtime
from helpers.detox.finetune import TuningPlan, bench


def test_a_ratio_is_of_the_times_beside_it_and_names_what_was_achieved(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 2)
    plan = TuningPlan(steps=2, iterations=2, samples=48, first_samples=48, first_fit=1, refits=1)
    ratios = bench.measure(plan, rounds=1)
    assert [ratio.other for ratio in ratios] == ["one process, fresh q", "one process, stale q"]
    for ratio in ratios:
        assert ratio.ratio == ratio.other_seconds / ratio.ours_seconds > 0
        assert "2 steps in 2 iterations, λ = 10" in ratio.note
    # in one process the stale scheme computes what two compute
    ours, other = ratios[1].note.rsplit("posts ", 1)[1].split(", other ")
    assert ours == other
    assert 0.3 < float(ours) < 0.6  # two steps have changed little: the base has .49
