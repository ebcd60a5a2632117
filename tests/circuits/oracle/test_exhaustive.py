"""The oracle against hooks, subset by subset; what it refuses; and what is stored of it."""

import json
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from helpers import cli, zoo
from helpers.circuits.oracle import (
    ABLATIONS,
    Oracle,
    OracleSummary,
    exhaustive,
    oracle,
    stored,
    tree,
)
from helpers.circuits.tasks.tinyworld import twins
from helpers.errors import LabError
from helpers.interventions import Activations, Node, collect, run_with_replaced
from helpers.tinyworld.models.head_effects import HeadEffects
from helpers.tinyworld.sets import tasks
from tests.circuits import small

pytestmark = pytest.mark.core

PAIRS = {task: twins(task, 3, 0) for task in ("ioi", "greater-than", "docstring")}


def one_by_one(model, pairs, ablation, reference):
    """Every subset with `interventions`, prompt by prompt and without padding: [subset, prompt]."""
    n_heads, columns = model.cfg.n_heads, []
    heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(n_heads)]
    for row in range(len(pairs)):
        pair, length = pairs.rows(slice(row, row + 1)), int(pairs.clean.last[row]) + 1
        clean = pair.clean.tokens[:, :length]
        if ablation == "resample":
            source = collect(model, pair.corrupted.tokens[:, :length])[0]
        else:
            outputs = [
                collect(model, ids[None, : last + 1])[0].z[:, 0]
                for ids, last in zip(*reference, strict=True)
            ]
            mean = torch.cat(outputs, 1).mean(1)  # over all tokens: [layer, head, d_head]
            source = Activations(
                mean[:, None, None].expand(-1, 1, length, -1, -1),
                torch.zeros(model.cfg.n_layers, 1, length, 1),
            )
        behaviour = []
        for subset in range(1 << len(heads)):
            gone = [head for index, head in enumerate(heads) if not subset >> index & 1]
            nodes = [Node(position, *head) for position in range(length) for head in gone]
            behaviour.append(pair.behaviour(run_with_replaced(model, clean, nodes, source)[:, -1]))
        columns.append(torch.cat(behaviour))
    return torch.stack(columns, 1)


def check_against_one_by_one(model, pairs, ablation):
    reference = tasks.prompts(pairs.clean.name, 5, 1)
    table = oracle(model, pairs, ablation, reference, workers=1)
    wanted = one_by_one(model, pairs, ablation, (reference.tokens, reference.last.tolist()))
    assert table.behaviour.shape == wanted.shape
    assert (
        len(wanted.round(decimals=4).unique(dim=0)) > len(wanted) / 2
    )  # the subsets differ, or nothing is shown
    torch.testing.assert_close(table.behaviour, wanted.float(), atol=1e-4, rtol=0)
    return table


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("norm", ["LN", "LNPre", None])
def test_every_subset_equals_hooks_with_each_normalisation(norm, ablation):
    noise = 0.4 if norm else 0.2
    check_against_one_by_one(
        small.model(noise=noise, normalization_type=norm), PAIRS["ioi"], ablation
    )


@pytest.mark.parametrize(
    "metric", ["difference of probabilities", "log of the probability ratio", "margin"]
)
def test_every_subset_equals_hooks_with_each_metric(metric):
    for task in ("greater-than", "docstring"):
        table = check_against_one_by_one(
            small.model(), replace(PAIRS[task], metric=metric), "resample"
        )
        assert (table.task, table.metric, table.ablation) == (task, metric, "resample")


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_new", "silu"])
def test_mlps_stay_as_they_are(activation):
    model = small.model(attn_only=False, d_mlp=24, act_fn=activation)
    check_against_one_by_one(model, PAIRS["ioi"], "mean")


@pytest.mark.parametrize(("layers", "heads"), [(1, 3), (3, 2), (4, 1)])
def test_other_shapes_of_the_tree(layers, heads, monkeypatch):
    monkeypatch.setattr(tree, "ROOM", 1)  # one state at a time
    monkeypatch.setattr(tree, "ROWS", 3)
    check_against_one_by_one(small.model(n_layers=layers, n_heads=heads), PAIRS["ioi"], "mean")


@pytest.fixture(scope="module")
def trained():
    return zoo.load("tinyworld-attn", device="cpu")


@pytest.fixture(scope="module")
def table_and_bench(trained):
    """The trained model's oracle on a few prompts, and a bench that measures it with hooks."""
    pairs, reference = twins("ioi", 6, 0), tasks.prompts("ioi", 16, 1)
    return oracle(trained, pairs, "mean", reference), HeadEffects(trained, pairs.clean, reference)


def test_random_subsets_of_the_trained_model_equal_the_bench(table_and_bench):
    table, bench = table_and_bench
    assert table.heads == tuple(bench.heads)
    subsets = [0, 65535, *np.random.default_rng(0).integers(65536, size=12).tolist()]
    for subset in subsets:
        gone = [head for index, head in enumerate(bench.heads) if not subset >> index & 1]
        torch.testing.assert_close(
            table.behaviour[subset], bench.run(gone).behaviour, atol=1e-4, rtol=0
        )
        assert float(table.faithfulness[subset]) == pytest.approx(
            bench.share(table.kept(subset)), abs=1e-4
        )
    assert table.full == pytest.approx(float(bench.full.behaviour.mean()), abs=1e-4)
    assert table.none == pytest.approx(float(bench.none.behaviour.mean()), abs=1e-4)


def test_subsets_are_numbered_layer_by_layer(table_and_bench):
    table, _ = table_and_bench
    assert table.subset([(0, 0)]) == 1
    assert table.subset([(1, 1), (0, 2)]) == 4 + 32
    assert table.subset(table.heads) == 65535
    assert table.kept(4 + 32) == [(0, 2), (1, 1)]
    assert table.kept(0) == []
    with pytest.raises(LabError, match=r"heads among the 16 of the oracle; got \[\(4, 0\)\]"):
        table.subset([(4, 0)])


def toy(behaviour) -> Oracle:
    behaviour = torch.as_tensor(behaviour, dtype=torch.float32)
    heads = tuple((0, head) for head in range(len(behaviour).bit_length() - 1))
    return Oracle(heads, "toy", "margin", "mean", behaviour)


def test_faithfulness_takes_means_first():
    table = toy([[0.0, 0.0], [1.0, 1.0], [0.0, 5.0], [2.0, 8.0]])
    assert table.faithfulness.tolist() == [
        0.0,
        0.2,
        0.5,
        1.0,
    ]  # of ratios the means are 0.3125 and 0.3125
    assert (table.full, table.none) == (5.0, 0.0)


def test_the_interval_is_that_of_drawn_prompts():
    generator = torch.Generator().manual_seed(0)
    full = 4 + torch.randn(200, generator=generator)
    noisy = 0.5 * full + torch.randn(200, generator=generator)
    easy = 3 * torch.randn(
        200, generator=generator
    )  # how easy a prompt is, whatever is kept: it drops out of differences
    table = toy(easy + torch.stack([0 * full, 0.5 * full, noisy, full]))
    assert table.interval(0) == (0.0, 0.0)
    assert table.interval(3) == (1.0, 1.0)
    low, high = table.interval(1)  # half of it on every prompt: no prompts change that
    assert low == pytest.approx(0.5, abs=1e-6)
    assert high == pytest.approx(0.5, abs=1e-6)
    low, high = table.interval(2)
    error = float(table.error[2])
    assert error == pytest.approx(1 / math.sqrt(200) / 4, rel=0.1)  # noise of size 1 on a mean of 4
    value = float(table.faithfulness[2])
    summary = OracleSummary(table.heads, "toy", "margin", "mean", table.mean, table.error)
    assert (low, high) == pytest.approx(
        (value - 1.96 * error, value + 1.96 * error), abs=0.15 * error
    )
    assert summary.interval(2) == pytest.approx((low, high), abs=0.15 * error)


def test_what_is_no_oracle_is_refused():
    with pytest.raises(LabError, match="expected 2 subsets of 1 heads; got 3"):
        Oracle(((0, 0),), "toy", "margin", "mean", torch.arange(3.0)[:, None])
    with pytest.raises(LabError, match="1 of 4 have NaN or infinite values"):
        toy([[0.0, 0.0], [1.0, math.nan], [0.0, 5.0], [2.0, 8.0]])
    with pytest.raises(LabError, match="2 with all and 2 with none, so faithfulness is undefined"):
        toy([[2.0, 2.0], [1.0, 1.0], [0.0, 5.0], [1.0, 3.0]])


def test_a_model_of_nan_is_refused():
    model = small.model()
    with torch.no_grad():
        model.blocks[1].attn.q.original_component.weight[0, 0] = math.nan
    with pytest.raises(LabError, match="expected finite logits of the model"):
        oracle(model, PAIRS["ioi"], "resample")


def test_a_model_whose_heads_change_nothing_is_refused():
    model = small.model()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.o.original_component.weight.zero_()
    with pytest.raises(LabError, match="so faithfulness is undefined"):
        oracle(model, PAIRS["ioi"], "resample")


@pytest.mark.parametrize(
    ("shape", "ways"),
    [
        ({}, "by the tree"),
        ({"positional_embedding_type": "rotary"}, "one by one, the tree does not know positional"),
        ({"normalization_type": "RMS"}, "one by one, the tree does not know normalization_type"),
    ],
)
def test_the_estimate_names_only_ways_that_work(shape, ways):
    with pytest.raises(LabError, match=ways) as fault:
        oracle(small.model(n_layers=3, n_heads=6, **shape), PAIRS["ioi"], "resample")
    assert ("by the tree" in str(fault.value)) == ("most=18" in str(fault.value)) == (not shape)


def test_too_many_heads_are_refused_with_what_it_would_take(trained):
    wide = small.model(n_layers=3, n_heads=6)
    with pytest.raises(LabError) as fault:
        oracle(wide, PAIRS["ioi"], "resample")
    assert "expected at most 16 heads" in str(fault.value)
    assert "18 heads have 2^18 = 2.62e+5 subsets: about" in str(fault.value)
    assert "helpers.circuits.oracle.shapley.sampled" in str(fault.value)
    with pytest.raises(
        LabError, match=r"2\^1200 = 1.72e\+361 subsets: about \S+ years by the tree"
    ):
        oracle(small.model(n_layers=2, n_heads=600, d_head=1), PAIRS["ioi"], "resample")
    assert exhaustive._duration(Decimal(7200)) == "2 hours"
    assert exhaustive._duration(Decimal("3.21")) == "3.21 seconds"


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ({"normalization_type": "RMS"}, "normalization_type 'RMS'"),
        ({"positional_embedding_type": "rotary"}, "positional_embedding_type 'rotary'"),
        ({"attn_only": False, "gated_mlp": True, "d_mlp": 8}, "gated_mlp True"),
        ({"attention_dir": "bidirectional"}, "attention_dir 'bidirectional'"),
        ({"output_logits_soft_cap": 30.0}, "output_logits_soft_cap 30.0"),
    ],
)
def test_models_that_the_tree_does_not_compute_are_refused(shape, fault):
    with pytest.raises(LabError, match=f"expected a native model .*got {fault}"):
        oracle(small.model(**shape), PAIRS["ioi"], "resample")


def test_faults_of_the_question_are_refused():
    model, pairs = small.model(), PAIRS["ioi"]
    with pytest.raises(LabError, match="expected an ablation: mean, resample; got 'zero'"):
        oracle(model, pairs, "zero")
    with pytest.raises(LabError, match="expected reference prompts for the mean of each head"):
        oracle(model, pairs)
    with pytest.raises(LabError, match="expected at least one prompt; got none"):
        oracle(model, pairs.rows(slice(0, 0)), "resample")
    with pytest.raises(
        LabError, match="expected tokens of the model, 0 to 19; the prompts have token"
    ):
        oracle(small.model(d_vocab=20), pairs, "resample")
    with pytest.raises(
        LabError,
        match="expected prompts of at most 5 tokens, as the model takes; they are padded to",
    ):
        oracle(small.model(n_ctx=5), pairs, "resample")
    with pytest.raises(LabError, match="answers are among the 1000 words of the model; got 993"):
        oracle(small.model(d_vocab=1000), pairs, "resample")


def test_a_tree_that_computes_something_else_is_noticed(monkeypatch):
    true = tree.read_weights
    monkeypatch.setattr(tree, "read_weights", lambda model: replace(true(model), eps=0.1))
    with pytest.raises(LabError, match="expected the tree to compute what the model computes"):
        oracle(small.model(noise=0.1), PAIRS["ioi"], "resample")


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_model_of_double_precision_is_read_as_float32(ablation):
    reference = tasks.prompts("ioi", 5, 1)
    single, double = (
        oracle(model, PAIRS["ioi"], ablation, reference)
        for model in (small.model(), small.model().double())
    )
    torch.testing.assert_close(double.behaviour, single.behaviour, atol=1e-4, rtol=0)


def test_threads_change_nothing():
    model = small.model()
    single, double = (
        oracle(model, PAIRS["ioi"], "resample", workers=workers) for workers in (1, 2)
    )
    assert torch.equal(single.behaviour, double.behaviour)


def measured_small(monkeypatch, tmp_path, *arguments):
    """The command on an untrained small model in the place of the trained one."""
    monkeypatch.setattr(zoo, "load", lambda name, device: small.model())
    return cli.main(
        ["oracle", "--prompts", "4", "--out", str(tmp_path / "o.safetensors"), *arguments]
    )


def test_the_command_stores_what_was_measured_and_measures_nothing_twice(
    monkeypatch, tmp_path, capsys
):
    file = tmp_path / "o.safetensors"
    assert measured_small(monkeypatch, tmp_path, "--task", "ioi") == 0
    assert "ioi/mean: measured" in capsys.readouterr().err
    wanted = oracle(
        small.model(), twins("ioi", 4, 0), "mean", tasks.prompts("ioi", stored.REFERENCE_PROMPTS, 1)
    )
    table = stored.stored("ioi", "mean", file)
    assert (table.heads, table.task, table.metric, table.ablation) == (
        wanted.heads,
        "ioi",
        "logit difference",
        "mean",
    )
    torch.testing.assert_close(table.mean.double(), wanted.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        table.error.double(), wanted.error, atol=float(wanted.error.max()) / 255, rtol=0
    )

    monkeypatch.setattr(exhaustive, "oracle", None)  # a second measurement would call it
    assert measured_small(monkeypatch, tmp_path, "--task", "ioi") == 0
    assert capsys.readouterr().err.count("already stored") == 2
    monkeypatch.setattr(exhaustive, "oracle", oracle)
    assert measured_small(monkeypatch, tmp_path, "--task", "docstring") == 0
    assert set(stored.read(file)) == {
        "ioi/mean",
        "ioi/resample",
        "docstring/mean",
        "docstring/resample",
    }
    assert measured_small(monkeypatch, tmp_path, "--task", "ioi", "--seed", "3") == 0
    assert "measured in" in capsys.readouterr().err
    assert stored.read(file)["ioi/mean"].settings["seed"] == 3


def test_foreign_and_damaged_files_are_refused_and_never_written_over(
    monkeypatch, tmp_path, capsys
):
    file = tmp_path / "o.safetensors"
    assert measured_small(monkeypatch, tmp_path, "--task", "ioi") == 0
    with pytest.raises(
        LabError,
        match=r"expected an oracle stored in .*ioi/mean, ioi/resample; got 'docstring/mean'",
    ):
        stored.stored("docstring", "mean", file)
    tensors = load_file(file)
    with safe_open(file, framework="pt") as handle:
        metadata = handle.metadata()

    tensors["ioi/mean/mean"][7] += 1e-3
    save_file(tensors, file, metadata)
    with pytest.raises(LabError, match="the checksum of ioi/mean is another"):
        stored.stored("ioi", "resample", file)
    changed = file.read_bytes()
    assert measured_small(monkeypatch, tmp_path) == 1
    assert file.read_bytes() == changed

    file.write_bytes(changed[:1000])
    with pytest.raises(LabError, match="expected stored oracles in"):
        stored.stored("ioi", "mean", file)
    save_file(tensors, file, {"ioi/mean": "[]"})
    with pytest.raises(LabError, match="expected stored oracles in"):
        stored.stored("ioi", "mean", file)


def test_oracles_of_other_weights_are_refused(monkeypatch, tmp_path):
    assert measured_small(monkeypatch, tmp_path, "--task", "ioi") == 0
    file = tmp_path / "o.safetensors"
    entry = stored.read(file)["ioi/mean"]
    foreign = entry._replace(settings=entry.settings | {"sha256": "0" * 64}).signed()
    save_file(
        {"ioi/mean/mean": foreign.mean, "ioi/mean/error": foreign.error},
        file,
        {"ioi/mean": json.dumps(foreign.settings)},
    )
    with pytest.raises(
        LabError, match="oracle of the weights of tinyworld-attn; it was measured on others"
    ):
        stored.stored("ioi", "mean", file)


def test_one_prompt_cannot_be_stored(capsys):
    assert cli.main(["oracle", "--prompts", "1"]) == 1
    assert "expected at least 2 prompts, as intervals need them; got 1" in capsys.readouterr().err
