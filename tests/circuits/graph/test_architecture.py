"""Whatever computes a model by hand computes the model's own numbers, or refuses it in words."""

import random
import re
from functools import partial

import pytest
import torch

from helpers.circuits.codes import head_writes
from helpers.circuits.graph import Graph, composition, weights
from helpers.circuits.graph.architecture import KNOWN
from helpers.circuits.oracle import oracle, tree
from helpers.circuits.oracle.shapley import by_hooks
from helpers.circuits.study import RIVALS
from helpers.errors import LabError
from helpers.texts import final_logits
from tests.circuits.random_models import VOCAB, disturbed, gpt2, gpt_neo, native, random_twins

pytestmark = pytest.mark.core

CHOICES = {
    "attention_dir": ("causal", "causal", "bidirectional"),
    "positional_embedding_type": ("standard",) * 7 + ("rotary",),
    "normalization_type": (None, "LN", "LNPre", "RMS", "RMSPre"),
    "attn_only": (True, False),
    "final_rms": (False,) * 3 + (True,),
    "gated_mlp": (False,) * 7 + (True,),
    "act_fn": ("gelu", "gelu_new", "relu", "silu", "swish"),
    "n_key_value_heads": (None,) * 7 + (1,),
    "attn_scores_soft_cap": (-1.0,) * 7 + (2.0,),
    "output_logits_soft_cap": (-1.0,) * 7 + (2.0,),
    "attn_scale": (-1.0, -1.0, 2.0),
    "use_attn_scale": (True, True, False),
    "d_head": (8, 4),
    "n_layers": (1, 2),
}
"""What a native model may have. Most have nothing unknown, so that the numbers are compared too."""
DRAWS = 60


def drawn(seed: int) -> dict:
    rng = random.Random(seed)
    return {name: rng.choice(values) for name, values in CHOICES.items()}


def even_pairs():
    """Pairs without padding, which a model of both directions would read."""
    return random_twins(12).of_length(7)


def refusal(work) -> str:
    """The words of a refusal; "" where the work was done."""
    try:
        work()
    except LabError as fault:
        return str(fault)
    return ""


def exact(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return bool(((ours - theirs).abs() <= 1e-4 * theirs.abs().max().clamp_min(1.0)).all())


@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_random_model_is_computed_at_all_positions_or_refused(seed: int) -> None:
    options = drawn(seed)
    model, pairs = native(**options), even_pairs()
    said = refusal(lambda: Graph(model))
    named = re.findall(r"\b(\w+) (?:'[^']+'|[\w.]+)(?:, |\n)", said)
    if said:
        assert said.startswith("expected"), said
        assert any(
            options[name] not in KNOWN.get(name, ("gelu", "gelu_new", "relu", "silu", None))
            for name in named
            if name in options
        ), said
        return
    graph, tokens = Graph(model), torch.randint(VOCAB, (6, 11))
    assert exact(graph.logits(tokens), model(tokens))
    theirs = final_logits(model, pairs.clean)
    assert exact(graph.forward(pairs.clean.tokens, pairs.clean.last).logits, theirs)


@pytest.mark.parametrize("seed", range(DRAWS))
def test_the_exact_oracle_agrees_with_hooks_or_refuses(seed: int) -> None:
    model, pairs = native(**drawn(seed)), even_pairs()
    if said := refusal(lambda: oracle(model, pairs, "resample")):
        assert said.startswith("expected a native model with LayerNorm"), said
        assert refusal(lambda: tree.read_weights(model)).startswith("expected")
        return
    measured, run = oracle(model, pairs, "resample"), by_hooks(model, pairs, "resample")
    for subset in (0, 1, len(measured.behaviour) // 2, len(measured.behaviour) - 1):
        assert exact(measured.behaviour[subset], run(subset))


def test_the_draws_have_both_sorts() -> None:
    """A test that every model was refused, or none, would say little."""
    models = [native(**drawn(seed)) for seed in range(DRAWS)]
    graphs = [refusal(partial(Graph, model)) for model in models]
    oracles = [refusal(partial(tree.read_weights, model)) for model in models]
    assert 10 < sum(not said for said in graphs) < DRAWS - 10
    assert 3 < sum(not said for said in oracles) < sum(not said for said in graphs)


def test_a_model_of_both_directions_that_was_taken_for_a_causal_one() -> None:
    """Every method gave 0 where one head carried everything."""
    options = {"n_layers": 1, "n_heads": 2, "normalization_type": None}
    model = native(attention_dir="bidirectional", **options)
    causal = native(**options)
    causal.load_state_dict(model.state_dict())
    tokens = torch.randint(VOCAB, (6, 11))
    assert not exact(model(tokens)[:, :-1], causal(tokens)[:, :-1])
    assert exact(Graph(model).logits(tokens), model(tokens))
    pairs = even_pairs()
    both, one = (RIVALS["ablate one head"](built, pairs) for built in (model, causal))
    run = by_hooks(model, pairs, "resample")
    alone = [(run(0b11) - run(0b11 ^ 1 << head)).mean().abs() for head in range(2)]
    assert torch.allclose(both, torch.stack(alone), atol=1e-4)
    assert both.shape == one.shape


def test_padding_that_would_be_read_is_refused() -> None:
    model, pairs = native(attention_dir="bidirectional"), random_twins()
    works = [lambda rival=rival: rival(model, pairs) for rival in RIVALS.values()]
    works += [lambda: head_writes(model, pairs.clean), lambda: by_hooks(model, pairs, "resample")]
    for work in works:
        assert "expected prompts of one length" in refusal(work)
    even = pairs.of_length(7)
    assert even.clean.tokens.shape[1] == 7
    assert RIVALS["EAP"](model, even).isfinite().all()
    assert (
        refusal(lambda: pairs.of_length(3)) == "expected a length of the pairs: [6, 7, 8, 9]; got 3"
    )
    assert refusal(lambda: head_writes(native(), pairs.clean)) == ""


def booted(folder, config, kind):
    from transformer_lens.model_bridge import TransformerBridge

    torch.manual_seed(0)
    disturbed(kind(config)).save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu").eval()


def foreign():
    """Small models of other libraries' shapes, with what is expected of each."""
    import transformers as hub

    old = {"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": VOCAB, "initializer_range": 0.3}
    new = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 12,
        "vocab_size": VOCAB,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return {
        "GPT-2, scaled by layer": (
            hub.GPT2Config(**old, n_positions=12, scale_attn_by_inverse_layer_idx=True),
            hub.GPT2LMHeadModel,
        ),
        "OPT": (
            hub.OPTConfig(
                vocab_size=VOCAB,
                hidden_size=16,
                num_hidden_layers=2,
                ffn_dim=32,
                num_attention_heads=2,
                max_position_embeddings=12,
                word_embed_proj_dim=16,
                init_std=0.3,
            ),
            hub.OPTForCausalLM,
        ),
        "BERT": (hub.BertConfig(**new), hub.BertForMaskedLM),
        "NeoX": (hub.GPTNeoXConfig(**new), hub.GPTNeoXForCausalLM),
        "Phi": (hub.PhiConfig(**new), hub.PhiForCausalLM),
        "GPT-J": (hub.GPTJConfig(**old, n_positions=12, rotary_dim=4), hub.GPTJForCausalLM),
        "GPT-1": (hub.OpenAIGPTConfig(**old, n_positions=12), hub.OpenAIGPTLMHeadModel),
        "XGLM": (
            hub.XGLMConfig(
                vocab_size=VOCAB,
                max_position_embeddings=12,
                d_model=16,
                ffn_dim=32,
                num_layers=2,
                attention_heads=2,
                init_std=0.3,
            ),
            hub.XGLMForCausalLM,
        ),
        "MPT": (
            hub.MptConfig(d_model=16, n_heads=2, n_layers=2, max_seq_len=12, vocab_size=VOCAB),
            hub.MptForCausalLM,
        ),
    }


@pytest.mark.parametrize("name", foreign())
def test_a_model_of_another_library_is_refused_in_words(name: str, tmp_path) -> None:
    model = booted(tmp_path, *foreign()[name])
    for work in (lambda: Graph(model), lambda: tree.read_weights(model)):
        assert refusal(work).startswith("expected"), name


@pytest.mark.parametrize("build", [gpt2, gpt_neo])
def test_a_model_of_another_library_that_is_known_is_computed(build, tmp_path) -> None:
    model, pairs = build(tmp_path), random_twins()
    graph, tokens = Graph(model), torch.randint(VOCAB, (6, 11))
    assert model(tokens).std() > 0.5
    assert exact(graph.logits(tokens), model(tokens))
    run = by_hooks(model, pairs, "resample")
    every = (1 << len(graph.heads)) - 1
    alone = [(run(every) - run(every ^ 1 << head)).mean().abs() for head in range(4)]
    assert torch.allclose(RIVALS["ablate one head"](model, pairs), torch.stack(alone), atol=1e-4)
    for rival in RIVALS.values():
        assert rival(model, pairs).isfinite().all()
    assert head_writes(model, pairs.clean).isfinite().all()


def test_local_attention_is_seen_on_the_readers_own_prompts(tmp_path, monkeypatch) -> None:
    """A window that the graph did not know of would show on no shorter prompt."""
    model, pairs = gpt_neo(tmp_path), random_twins()
    assert weights.of(model).blocks[2].window == 3
    monkeypatch.setattr(weights.architecture, "windows", lambda model: [None] * 2)
    monkeypatch.setattr("helpers.circuits.graph.forward.CHECKED_LENGTH", 3)
    with pytest.raises(LabError, match="expected the graph to compute the model's logits"):
        RIVALS["EAP"](model, pairs)


def test_a_model_that_changes_after_its_graph_was_made_is_refused() -> None:
    model, pairs = native(), random_twins()
    graph = Graph(model)
    with torch.no_grad():
        model.blocks[0].attn.q.original_component.weight += 1
    with pytest.raises(LabError, match="or has changed since the graph was made"):
        graph.check_twins(pairs)


def test_a_difference_of_nan_is_refused(monkeypatch) -> None:
    graph = Graph(native())
    monkeypatch.setattr(
        graph, "logits", lambda tokens: torch.full((*tokens.shape, VOCAB), torch.nan)
    )
    with pytest.raises(LabError, match="they differ by up to nan"):
        graph.check_twins(random_twins())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_weights_of_few_digits_are_called_by_their_name(kind) -> None:
    model, pairs = native().to(kind), random_twins()
    works = [lambda rival=rival: rival(model, pairs) for rival in RIVALS.values()]
    works += [lambda: Graph(model), lambda: oracle(model, pairs, "resample")]
    works += [lambda: composition.composition(model)]
    for work in works:
        said = refusal(work)
        assert str(kind)[6:] in said
        assert "model.float()" in said
        assert "part that sums" not in said
    assert refusal(lambda: Graph(model.float())) == ""


def test_writes_of_a_model_of_few_digits_are_those_of_its_weights() -> None:
    """Where a sum in the model's own type is all that is needed, it is taken."""
    model, pairs = native().to(torch.bfloat16), random_twins()
    coarse = head_writes(model, pairs.clean)
    fine = head_writes(model.float(), pairs.clean)
    assert coarse.dtype == torch.float32
    assert float((coarse - fine).abs().max()) < 0.05 * float(fine.abs().max())


def test_double_precision_is_computed() -> None:
    model, pairs = native().double(), random_twins()
    assert exact(RIVALS["EAP"](model, pairs).float(), RIVALS["EAP"](model.float(), pairs))


@pytest.mark.parametrize("thing", [None, "tinyworld", torch.nn.Linear(2, 2)])
def test_what_is_no_model_is_refused(thing):
    for compute in (Graph, composition.composition):
        with pytest.raises(LabError, match="expected a model of TransformerLens; got"):
            compute(thing)
