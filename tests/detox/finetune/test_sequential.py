"""A tuning as a whole: that it learns, what its targets are of, and that a kill costs nothing."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch

from helpers.detox.finetune import TuningPlan, iterations, running, tune
from helpers.detox.finetune.steps import batch_of
from helpers.detox.finetune.targets import new_target, stream
from helpers.detox.networks import frozen
from helpers.detox.posts import DetoxCorpus
from helpers.errors import LabError
from tests.detox.finetune import toys


def tuned(base=None, corpus=None, *, scorer=toys.allowed, **changes):
    return tune(
        base or toys.base(),
        corpus or toys.corpus(),
        replace(toys.PLAN, **changes),
        oracle=toys.oracle(),
        scorer=scorer,
    )


@pytest.mark.parametrize(("weight", "floor"), [(0.0, 0.5), (4.0, 0.1)])
def test_a_toy_comes_to_the_floor_that_the_law_gives(weight, floor):
    """With an oracle that knows, τ/(1 + λ) is the limit; the base has 1/4."""
    plan = TuningPlan(steps=60, rate=1e-2, kl_weight=weight, rehearsal=0.0, posts=24, rows=1)
    plan = replace(plan, samples=96, refits=0)
    corpus = toys.corpus(100)
    found = tune(toys.base(), corpus, plan, oracle=toys.knowing(), scorer=toys.allowed)
    assert abs(toys.forbidden_share(found.network) - floor) < 0.04
    assert found.losses[-1].text < found.losses[0].text - 0.5


def test_the_base_and_the_given_oracle_are_left_as_they_are():
    base, oracle = toys.base(), toys.oracle()
    before = frozen(base)
    tune(base, toys.corpus(), toys.PLAN, oracle=oracle, scorer=toys.allowed)
    assert toys.apart(base, before) == toys.apart(oracle.network, toys.oracle().network) == 0
    assert all(weight.requires_grad for weight in base.parameters())


def test_a_seed_gives_one_result_and_another_one_another():
    first, again, other = tuned(), tuned(), tuned(seed=1)
    assert toys.apart(first.network, again.network) == 0 < toys.apart(first.network, other.network)
    assert first.losses == again.losses
    assert len(first.losses) == 6
    assert first.seconds.keys() == {"sample", "fit", "model"}


def test_of_weight_0_no_sample_is_drawn_and_nothing_else_of_the_method_matters(monkeypatch):
    monkeypatch.setattr(iterations, "new_target", None)
    plain = tuned(kl_weight=0.0)
    assert plain.oracle is None
    assert plain.seconds["sample"] == plain.seconds["fit"] == 0
    other = tuned(kl_weight=0.0, samples=7, prefixes="corpus", stale=True, iterations=2)
    assert toys.apart(plain.network, other.network) == 0


def recorded(monkeypatch, *, stale: bool):
    """For every target: the model it was made of; and for every step, the model and its target."""
    made, steps = [], []

    def record(**work):
        made.append(work)
        return new_target(**work)

    monkeypatch.setattr(iterations, "new_target", record)
    tune(
        toys.base(),
        toys.corpus(),
        replace(toys.PLAN, stale=stale),
        oracle=toys.oracle(),
        scorer=toys.allowed,
        on_step=lambda run: steps.append((frozen(run.network), run.target)),
    )
    return made, steps


def test_a_target_is_made_of_the_model_as_it_is_when_its_iteration_begins(monkeypatch):
    made, steps = recorded(monkeypatch, stale=False)
    assert [work["iteration"] for work in made] == [0, 1, 2]
    begun = [toys.base(), steps[1][0], steps[3][0]]  # two steps an iteration
    assert all(
        toys.apart(work["base"], model) == 0 for work, model in zip(made, begun, strict=True)
    )
    assert toys.apart(begun[1], begun[2]) > 0
    for number, (_, target) in enumerate(steps):
        assert toys.apart(target.base, begun[number // 2]) == 0
    # every fit goes on from the last one
    assert made[1]["oracle"] is steps[1][1].oracle
    assert made[2]["oracle"] is steps[3][1].oracle


def test_a_stale_target_is_that_of_one_iteration_before_and_the_last_is_not_made(monkeypatch):
    made, steps = recorded(monkeypatch, stale=True)
    assert [work["iteration"] for work in made] == [0, 1]
    begun = [toys.base(), steps[1][0]]
    assert all(
        toys.apart(work["base"], model) == 0 for work, model in zip(made, begun, strict=True)
    )
    for number, (_, target) in enumerate(steps[:-1]):
        used = begun[max(0, number // 2 - 1)] if number != 3 else begun[0]
        assert toys.apart(target.base, used) == 0


def test_an_oracle_of_stale_samples_only_would_be_noticed(monkeypatch):
    first = []

    def of_old_samples(**work):
        first.append(work["base"])
        return new_target(**work | {"base": first[0]})

    fresh = tuned()
    monkeypatch.setattr(iterations, "new_target", of_old_samples)
    assert toys.apart(tuned().network, fresh.network) > 0


def test_samples_of_an_iteration_are_the_models_own():
    """A model that never says the forbidden word does not violate the constraint."""
    base = toys.base()
    with torch.no_grad():
        base.unembed.bias[toys.FORBIDDEN] = -30.0
    target, seconds = new_target(toys.PLAN, 1, frozen(base), toys.oracle(), True, toys.allowed)
    assert target.violations == 0
    assert len(target.accepted) == toys.PLAN.samples
    assert set(seconds) == {"sample", "fit"}


def test_what_is_accepted_are_the_samples_that_the_scorer_lets_pass():
    target, _ = new_target(toys.PLAN, 1, toys.base(), toys.oracle(), True, toys.allowed)
    assert 0 < target.violations < 1
    assert toys.allowed(target.accepted).all()
    assert len(target.accepted) == round((1 - target.violations) * toys.PLAN.samples)


def test_every_piece_of_work_has_random_numbers_of_its_own():
    """By seed, iteration and piece; the batches of steps likewise."""
    words = [(seed, turn, piece) for seed in (0, 1) for turn in (0, 1) for piece in (1, 2)]
    drawn = {
        tuple(torch.rand(3, generator=stream(replace(toys.PLAN, seed=seed), *rest)).tolist())
        for seed, *rest in words
    }
    assert len(drawn) == len(words)
    runs = [
        running.prepared(toys.base(), toys.corpus(), replace(toys.PLAN, seed=seed), toys.allowed)
        for seed in (0, 1)
    ]
    batches = [batch_of(run).other.tokens for run in runs]
    runs[0].step = 1
    batches.append(batch_of(runs[0]).other.tokens)
    assert not any(torch.equal(one, other) for one, other in combinations(batches, 2))


def test_the_weight_follows_the_share_of_violations():
    weights = [
        each.kl_weight
        for each in tuned(adaptive=0.1, controller="dual", pace=1.0, kl_weight=1.0).losses
    ]
    assert weights[0] == weights[1] < weights[2] == weights[3] < weights[4] == weights[5]
    assert 1 + 0.1 < weights[0] < 1 + 0.7  # about half of the base's posts violate


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_a_tuning_that_was_stopped_at_any_step_ends_in_the_same_weights(tmp_path, stale, weight):
    plan = replace(toys.PLAN, stale=stale, kl_weight=weight, adaptive=0.3 if weight else None)
    arguments = toys.base(), toys.corpus(), plan
    whole = tune(*arguments, oracle=toys.oracle(), scorer=toys.allowed)
    for stop in (1, 4, 5):  # before there is a state, in the second iteration, in the last

        def stopped(run, stop=stop):
            if run.step == stop:
                raise KeyboardInterrupt

        folder = tmp_path / f"{stop}"
        with pytest.raises(KeyboardInterrupt):
            tune(*arguments, toys.oracle(), folder, toys.allowed, on_step=stopped)
        found = tune(*arguments, toys.oracle(), folder, toys.allowed)
        assert found.losses == whole.losses
        assert toys.apart(found.network, whole.network) == 0


def test_a_tuning_goes_on_after_its_last_whole_iteration(tmp_path):
    steps, arguments = [], (toys.base(), toys.corpus(), toys.PLAN, toys.oracle(), tmp_path)

    def stopped(run):
        steps.append(run.step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(*arguments, toys.allowed, stopped)
    whole = tune(*arguments, toys.allowed, stopped)
    assert steps == [1, 2, 3, 3, 4, 5, 6]  # an iteration has two
    again = tune(*arguments, toys.allowed, stopped)  # nothing is left to do
    assert len(steps) == 7
    assert toys.apart(again.network, whole.network) == 0


def test_a_folder_of_another_tuning_or_a_damaged_one_is_refused(tmp_path):
    arguments = toys.base(), toys.corpus(), toys.PLAN
    tune(*arguments, toys.oracle(), tmp_path, toys.allowed)
    others = [
        (toys.base(5), toys.corpus(), toys.PLAN),
        (toys.base(), toys.corpus(share=0.1), toys.PLAN),
        (toys.base(), toys.corpus(), replace(toys.PLAN, kl_weight=1.0)),
    ]
    for other in others:
        with pytest.raises(LabError, match="expected a state of this very tuning"):
            tune(*other, toys.oracle(), tmp_path, toys.allowed)
    with pytest.raises(LabError, match="expected a state of this very tuning"):
        tune(*arguments, toys.oracle(4), tmp_path, toys.allowed)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(LabError, match="expected the state of a tuning"):
        tune(*arguments, toys.oracle(), tmp_path, toys.allowed)


def test_what_cannot_be_tuned_is_refused():
    padding = torch.zeros(2, 12, dtype=torch.long)
    with pytest.raises(LabError, match="expected a sample that satisfies the constraint"):
        tuned(scorer=toys.none)
    with pytest.raises(LabError, match="expected the scorer's answers"):
        tuned(scorer=toys.nan)
    with pytest.raises(LabError, match="expected a scorer that answers for every text"):
        tuned(scorer=lambda tokens: 1 / 0)
    with pytest.raises(LabError, match="expected a corpus whose every row"):
        tuned(corpus=DetoxCorpus(toys.corpus().posts, padding))
    with pytest.raises(LabError, match="expected posts to take prefixes from"):
        tuned(corpus=DetoxCorpus(None, toys.corpus().other), prefixes="corpus")
    with pytest.raises(LabError, match="expected a kind post in the corpus"):
        tuned(prefixes="corpus", scorer=None)
    small = replace(toys.SHAPE, n_words=50, n_outputs=50)
    with pytest.raises(LabError, match="expected a network of TinyWorld's"):
        tuned(base=toys.fresh(small, 0))
    with pytest.raises(LabError, match="expected at least 0 as kl_weight"):
        tuned(kl_weight=-1.0)


def test_a_corpus_without_posts_is_pulled_at_the_samples_alone():
    corpus = DetoxCorpus(None, toys.corpus().other)
    found = tune(toys.base(), corpus, toys.PLAN, oracle=toys.knowing(), scorer=toys.allowed)
    assert all(losses.kl > 0.01 for losses in found.losses)
    before = toys.forbidden_share(toys.base())
    assert toys.forbidden_share(found.network) < before


def test_gradients_that_are_switched_off_do_not_stop_a_tuning():
    with torch.inference_mode():
        found = tuned()
    assert toys.apart(found.network, tuned().network) == 0
