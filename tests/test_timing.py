"""The benchmark command, its registry, and what its numbers mean."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from helpers import cli, parallel, timing
from helpers.arithmetic.questions import Format
from helpers.arithmetic.verification import bench as arithmetic_bench
from helpers.circuits.oracle import bench as circuits_bench
from helpers.circuits.study import growth
from helpers.commands import bench
from helpers.detox.finetune import bench as detox_bench
from helpers.detox.networks import bench as sampling_bench
from helpers.knowledge.masks import bench as masks_bench
from helpers.tinyworld.models import bench as text_bench
from helpers.training import Recipe, build_model
from helpers.trust.probes import bench as trust_bench
from helpers.zoo import bench as thread_bench

pytestmark = pytest.mark.core


def test_turns_alternate_after_a_warm_up_of_each():
    calls = []
    timing.take_turns(lambda: calls.append("a"), lambda: calls.append("b"), rounds=2)
    assert calls == ["a", "b"] * 3


def test_medians_are_those_of_the_right_side(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def lasting(*seconds: float):
        left = iter(seconds)
        return lambda: clock.__setitem__(0, clock[0] + next(left))

    ours, other = lasting(9, 1, 3, 2), lasting(9, 20, 10, 60)  # the first of each is the warm-up
    assert timing.take_turns(ours, other, rounds=3) == (2, 20)


def test_unknown_names_are_refused_with_the_list(capsys):
    assert cli.main(["bench", "nothing"]) == 1
    printed = capsys.readouterr()
    assert (
        "expected a benchmark among threads, verify, probes, text, circuits, oracle, masks, "
        "sampling, detox; got 'nothing'" in printed.err
    )
    assert printed.out == ""


def test_every_registered_benchmark_can_be_imported():
    from importlib import import_module

    assert all(callable(import_module(module).measure) for module in bench.BENCHES.values())


def test_the_command_prints_stable_json(monkeypatch, capsys):
    ratio = timing.Ratio("a", 2.0, 1.0, 2.0, "b", "c")
    modules = (
        thread_bench,
        arithmetic_bench,
        trust_bench,
        text_bench,
        growth,
        circuits_bench,
        masks_bench,
        sampling_bench,
        detox_bench,
    )
    assert {module.__name__ for module in modules} == set(
        bench.BENCHES.values()
    )  # none is left to run for minutes
    for module in modules:
        monkeypatch.setattr(module, "measure", lambda: [ratio])
    assert cli.main(["bench", "verify", "--json"]) == 0
    keys = {"name", "ratio", "ours_seconds", "other_seconds", "other", "note"}
    found = json.loads(capsys.readouterr().out)
    assert [set(item) for item in found] == [keys]
    assert cli.main(["bench"]) == 0
    assert "2.00 x b" in capsys.readouterr().out


def test_flop_counts_equal_those_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    shape = {
        "n_layers": 2,
        "n_heads": 3,
        "d_model": 96,
        "d_head": 32,
        "d_mlp": 384,
        "n_ctx": 22,
        "d_vocab": 15,
    }
    shape |= {"act_fn": "relu", "normalization_type": "LN"}
    model = build_model(Recipe("shape", "addition", shape, {}, 1, 8, 1e-3, 1))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.randint(10, (4, 21), generator=torch.Generator().manual_seed(0)))
    assert arithmetic_bench.flop_per_question(model.cfg, Format(6)) == counter.get_total_flops() / 4


def test_parallel_results_keep_their_order_and_torchs_threads():
    before = torch.get_num_threads()

    def work(x: int) -> tuple[int, int]:
        time.sleep(0.001 * (5 - x))
        return x, torch.get_num_threads()

    for workers in (1, 3):
        assert list(parallel.in_parallel(work, range(5), workers)) == [(x, 1) for x in range(5)]
        assert torch.get_num_threads() == before


def test_a_fault_in_parallel_work_is_raised_and_drops_what_is_queued(monkeypatch):
    done, dropped, shutdown = [], threading.Event(), ThreadPoolExecutor.shutdown

    def drop_then_wait(pool: ThreadPoolExecutor, **options) -> None:
        shutdown(pool, wait=False, **options)
        dropped.set()
        shutdown(pool)

    def work(x: int) -> None:
        done.append(x)
        if x == 1:
            raise ValueError("broken")
        if x > 1:
            dropped.wait(60)  # else work would go on for as long as the fault needs to arrive

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", drop_then_wait)

    with pytest.raises(ValueError, match="broken"):
        list(parallel.in_parallel(work, range(1000), 2))
    assert len(done) <= 4


@pytest.mark.slow
def test_verification_beats_greedy_decoding_and_uses_the_machine():
    """The floors are half of what is promised, so that a busy machine does not fail the test."""
    against_greedy, against_matmul = arithmetic_bench.measure("add-d6", questions=2048, rounds=3)
    assert against_greedy.ratio == pytest.approx(
        against_greedy.other_seconds / against_greedy.ours_seconds
    )
    assert against_greedy.ratio > 2.5
    assert 0.2 < against_matmul.ratio < 1


@pytest.mark.slow
def test_the_tree_over_layers_beats_one_pass_a_subset():
    """A sample of what is promised with 64 prompts; the floor leaves room for a busy machine."""
    (found,) = circuits_bench.measure(prompts=8, sample=8)
    assert found.ratio == pytest.approx(found.other_seconds / found.ours_seconds)
    assert found.ratio > 30
