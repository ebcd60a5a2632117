"""What heads write: against plain transformers and TransformerLens' own stack of heads."""

from types import SimpleNamespace
from typing import get_args

import pytest
import torch

from helpers import zoo
from helpers.circuits.codes.writes import (
    Pool,
    WeightKind,
    head_writes,
    load_model,
    output_weights,
)
from helpers.circuits.tasks import gpt2_docstring, gpt2_greater_than, gpt2_ioi, tinyworld, twins
from helpers.errors import LabError
from helpers.texts import Prompts
from tests.circuits import random_models
from tests.circuits.standin_tokenizer import standin


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def pooled(writes, prompts: Prompts, pool: str):
    """Writes [prompt, pos, ...] pooled row by row, in loops."""
    rows = []
    for row, last in zip(writes, prompts.last.tolist(), strict=True):
        rows.append(row[: last + 1].mean(0) if pool == "mean" else row[last])
    return torch.stack(rows)


def by_transformer_lens(model, prompts: Prompts, pool: str):
    with torch.no_grad():
        _, cache = model.run_with_cache(prompts.tokens)
        stacked = cache.stack_head_results(layer=-1)  # [head, prompt, pos, d_model]
    return pooled(stacked.permute(1, 2, 0, 3), prompts, pool)


def by_transformers(model, projections, prompts: Prompts, n_heads: int, pool: str):
    """What enters each output projection, cut into heads, times the rows of its matrix: hooks of
    torch on plain transformers.

    Args:
        projections: modules and their matrices [head · d_head, d_model].
    """
    kept = {}
    handles = [
        module.register_forward_pre_hook(
            lambda _, given, layer=layer: kept.__setitem__(layer, given[0])
        )
        for layer, (module, _) in enumerate(projections)
    ]
    with torch.no_grad():
        model(prompts.tokens)
    for handle in handles:
        handle.remove()
    heads = []
    for layer, (_, matrix) in enumerate(projections):
        z = kept[layer].chunk(n_heads, -1)
        heads += [
            part @ rows for part, rows in zip(z, matrix.detach().chunk(n_heads, 0), strict=True)
        ]
    return pooled(torch.stack(heads, 2), prompts, pool)


def random_prompts(vocabulary: int, count: int = 5) -> Prompts:
    generator = torch.Generator().manual_seed(4)
    prompts = random_models.random_twins(count).clean
    tokens = torch.randint(3, vocabulary, prompts.tokens.shape, generator=generator)
    return Prompts(prompts.name, prompts.texts, tokens, prompts.last, prompts.good, prompts.bad)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A random model of GPT-2's shape in a folder."""
    folder = tmp_path_factory.mktemp("gpt2")
    random_models.gpt2(folder)
    return str(folder)


@pytest.mark.parametrize("pool", get_args(Pool))
def test_embedded_model(pool):
    model = zoo.load("tinyworld-attn", "cpu")
    prompts = tinyworld.twins("docstring", 40, 0).clean
    ours = head_writes(model, prompts, pool, batch_size=16)
    assert ours.shape == (40, 16, 128)
    close(ours, by_transformer_lens(model, prompts, pool))


@pytest.mark.parametrize("pool", get_args(Pool))
def test_gpt2_as_transformers_computes_it(gpt2, pool):
    from transformers import GPT2LMHeadModel

    prompts = random_models.random_twins().clean
    plain = GPT2LMHeadModel.from_pretrained(gpt2).eval()
    projections = [(block.attn.c_proj, block.attn.c_proj.weight) for block in plain.transformer.h]
    model = load_model(gpt2, "raw")
    ours = head_writes(model, prompts, pool, "raw")
    close(ours, by_transformers(plain, projections, prompts, 2, pool))
    close(ours, by_transformer_lens(model, prompts, pool))


@pytest.mark.parametrize("pool", get_args(Pool))
def test_grouped_queries_as_transformers_computes_them(shared_dir, pool):
    """stories260K: eight query heads share four key and value heads."""
    from transformers import LlamaForCausalLM

    folder, prompts = str(shared_dir / "models" / "stories260K"), random_prompts(512)
    plain = LlamaForCausalLM.from_pretrained(folder).eval()
    assert plain.config.num_key_value_heads < plain.config.num_attention_heads
    projections = [
        (block.self_attn.o_proj, block.self_attn.o_proj.weight.T) for block in plain.model.layers
    ]
    ours = head_writes(load_model(folder, "raw"), prompts, pool)
    assert ours.shape == (5, 40, 64)
    close(ours, by_transformers(plain, projections, prompts, 8, pool))


def test_processed_weights_say_the_same_and_write_otherwise(gpt2):
    prompts = random_models.random_twins().clean
    raw, processed = (load_model(gpt2, weights) for weights in get_args(WeightKind))
    with torch.no_grad():
        close(raw(prompts.tokens).log_softmax(-1), processed(prompts.tokens).log_softmax(-1))
    raw_writes, processed_writes = (
        head_writes(raw, prompts, weights="raw"),
        head_writes(processed, prompts, weights="processed"),
    )
    assert (raw_writes - processed_writes).abs().max() > 0.01
    assert raw_writes.mean(-1).abs().max() > 0.01
    assert processed_writes.mean(-1).abs().max() < 1e-5  # centred
    close(processed_writes, by_transformer_lens(processed, prompts, "mean"))


def test_weights_of_the_other_kind_are_refused(gpt2):
    prompts = random_models.random_twins().clean
    with pytest.raises(LabError, match="expected a model with processed weights"):
        head_writes(load_model(gpt2, "raw"), prompts, weights="processed")
    with pytest.raises(LabError, match='expected the weights "raw" or "processed"'):
        load_model(gpt2, "folded")


@pytest.mark.parametrize("pool", get_args(Pool))
def test_padding_and_batches_change_nothing(gpt2, pool):
    model, prompts = load_model(gpt2, "raw"), random_models.random_twins(7).clean
    whole = head_writes(model, prompts, pool)
    close(head_writes(model, prompts, pool, batch_size=2), whole)
    for row in range(3):
        alone = twins.rows(prompts, slice(row, row + 1))
        bare = Prompts(
            "bare",
            alone.texts,
            alone.tokens[:, : int(alone.last) + 1],
            alone.last,
            alone.good,
            alone.bad,
        )
        close(head_writes(model, bare, pool)[0], whole[row])
    noise = prompts.tokens.masked_fill(~twins.real(prompts), 7)
    close(
        head_writes(
            model,
            Prompts("noise", prompts.texts, noise, prompts.last, prompts.good, prompts.bad),
            pool,
        ),
        whole,
    )


def test_no_logits_are_computed(gpt2):
    model, prompts = load_model(gpt2, "raw"), random_models.random_twins().clean
    reached = []
    model.add_hook("unembed.hook_out", lambda value, hook: reached.append(value.shape))
    before, hooks = (
        model(prompts.tokens),
        sum(len(point.fwd_hooks) for point in model.hook_dict.values()),
    )
    assert len(reached) == 1
    head_writes(model, prompts)
    assert len(reached) == 1
    assert torch.equal(
        model(prompts.tokens), before
    )  # and the run that was broken off leaves nothing behind
    assert hooks == sum(len(point.fwd_hooks) for point in model.hook_dict.values())


def test_heads_that_do_not_add_up_are_refused(gpt2):
    """A model that doubles what its attention writes, as a norm or a gate after it would."""
    model, prompts = load_model(gpt2, "raw"), random_models.random_twins().clean
    model.add_hook("blocks.1.hook_attn_out", lambda value, hook: 2 * value)
    with pytest.raises(
        LabError, match=r"(?s)expected heads that add up to what the attention writes.*in layer 1"
    ):
        head_writes(model, prompts)


def test_one_matrix_for_all_heads_is_cut_by_head():
    matrix = torch.arange(24.0).reshape(6, 4)
    block = SimpleNamespace(attn=SimpleNamespace(W_O=matrix))
    model = SimpleNamespace(blocks=[block], cfg=SimpleNamespace(n_heads=3, d_model=4))
    assert torch.equal(output_weights(model, 0)[1], matrix[2:4])


def test_other_pools_and_tokens_are_refused(gpt2):
    model = load_model(gpt2, "raw")
    with pytest.raises(LabError, match='expected to pool by "mean" or "last"'):
        head_writes(model, random_models.random_twins().clean, "max")
    with pytest.raises(LabError, match="expected tokens of the model, 0 to 19"):
        head_writes(model, random_prompts(512))
    with pytest.raises(LabError, match="expected at least one prompt; got none"):
        head_writes(model, twins.rows(random_models.random_twins().clean, slice(0, 0)))
    with pytest.raises(LabError, match="expected prompts of at most 12 tokens"):
        head_writes(model, random_models.random_twins(length=13).clean)


@pytest.mark.parametrize("name", ["attn-only-4l", "NeelNanda/Attn_Only_4L512W_C4_Code"])
def test_the_docstring_model_is_refused_and_its_kind_is_read(name):
    """Its weights are a pickle.

    Opened by TransformerLens it is a HookedTransformer with positions in queries and keys alone.
    """
    with pytest.raises(
        LabError,
        match=r"(?s)expected a model with safetensors weights, unlike .*writes\.head_writes",
    ):
        zoo.load(name)
    lens = pytest.importorskip("transformer_lens")
    if not hasattr(lens, "HookedTransformer"):
        pytest.skip("this transformer-lens has no HookedTransformer")
    shape = {
        "n_layers": 2,
        "n_heads": 2,
        "d_model": 16,
        "d_head": 8,
        "n_ctx": 12,
        "d_vocab": random_models.VOCAB,
    }
    config = lens.HookedTransformerConfig(
        **shape, attn_only=True, positional_embedding_type="shortformer", seed=0
    )
    model, prompts = lens.HookedTransformer(config), random_models.random_twins().clean
    close(head_writes(model, prompts, weights="raw"), by_transformer_lens(model, prompts, "mean"))
    model.process_weights_()  # as `HookedTransformer.from_pretrained` does unless told otherwise
    close(
        head_writes(model, prompts, weights="processed"),
        by_transformer_lens(model, prompts, "mean"),
    )
    assert head_writes(model, prompts).mean(-1).abs().max() < 1e-5  # centred


def gpt2_shaped(folder, tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=3,
        n_head=4,
        n_embd=32,
        n_positions=160,
        vocab_size=len(tokenizer),
        initializer_range=0.2,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), "processed")


def check_tasks(model, tokenizer):
    for module in (gpt2_ioi, gpt2_greater_than, gpt2_docstring):
        pairs = module.task().twins(tokenizer, 12, 0)
        clean, corrupted = (
            head_writes(model, side, weights="processed") for side in (pairs.clean, pairs.corrupted)
        )
        assert clean.shape == corrupted.shape == (12, 12, 32)
        assert clean.isfinite().all()
        assert (clean - corrupted).abs().max() > 1e-4
        with torch.no_grad():
            logits = model(pairs.clean.tokens)[torch.arange(12), pairs.clean.last]
        assert pairs.behaviour(logits).isfinite().all()


def test_the_tasks_run_on_a_model_of_gpt2s_shape(tmp_path):
    check_tasks(gpt2_shaped(tmp_path, standin()), standin())


@pytest.mark.slow
def test_the_tasks_run_with_gpt2s_tokenizer(tmp_path, shared_dir):
    from transformers import GPT2TokenizerFast

    files = shared_dir / "models" / "gpt2-tokenizer"
    tokenizer = GPT2TokenizerFast(vocab=str(files / "vocab.json"), merges=str(files / "merges.txt"))
    check_tasks(gpt2_shaped(tmp_path, tokenizer), tokenizer)
