"""Interventions against a second transformer, written out in NumPy, and against answers known by
hand.

`Reference` below computes the same network with plain matrix products, one question and one
position at a time, and takes replaced node outputs as a dictionary. It shares no code with the
hooks under test.
"""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.interventions import (
    Activations,
    Node,
    ablate,
    all_nodes,
    collect,
    head_writes,
    patch,
    run_with_replaced,
)

pytestmark = pytest.mark.core

N_POS, N_LAYERS, N_HEADS, D_HEAD, D_MODEL, VOCAB = 4, 2, 2, 3, 6, 7


def native(**changes):
    from transformer_lens.model_bridge import TransformerBridge

    shape = {
        "n_layers": N_LAYERS,
        "d_model": D_MODEL,
        "d_head": D_HEAD,
        "n_heads": N_HEADS,
        "d_mlp": 5,
        "n_ctx": N_POS,
    }
    shape |= {
        "d_vocab": VOCAB,
        "d_vocab_out": VOCAB,
        "act_fn": "relu",
        "normalization_type": "LN",
        "seed": 0,
        "device": "cpu",
    }
    model = TransformerBridge.boot_native(shape | changes).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # biases start at 0, where a forgotten one would not show
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model


class Reference:
    """The network in NumPy; `replaced` maps (position, layer, head or -1) to the output there."""

    def __init__(self, model) -> None:
        self.p = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        if f"{name}.weight" not in self.p:
            return x
        centred = x - x.mean()
        return (
            centred / np.sqrt((centred**2).mean() + 1e-5) * self.p[f"{name}.weight"]
            + self.p[f"{name}.bias"]
        )

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.p[f"{name}.weight"] @ x + self.p[f"{name}.bias"]

    def __call__(self, tokens: list[int], replaced: dict | None = None) -> tuple[np.ndarray, dict]:
        replaced, outputs = replaced or {}, {}
        residual = [
            self.p["embed.weight"][t] + self.p["pos_embed.weight"][i] for i, t in enumerate(tokens)
        ]
        for layer in range(N_LAYERS):
            block = f"blocks.{layer}"
            normed = [self.norm(x, f"{block}.ln1") for x in residual]
            q, k, v = (
                [self.linear(x, f"{block}.attn.{c}").reshape(N_HEADS, D_HEAD) for x in normed]
                for c in "qkv"
            )
            for i, head in itertools.product(range(len(tokens)), range(N_HEADS)):
                scores = np.array([q[i][head] @ k[j][head] for j in range(i + 1)]) / np.sqrt(D_HEAD)
                weights = np.exp(scores - scores.max())
                z = sum(w * v[j][head] for j, w in enumerate(weights / weights.sum()))
                outputs[i, layer, head] = np.asarray(replaced.get((i, layer, head), z))
            for i in range(len(tokens)):
                z = np.concatenate([outputs[i, layer, head] for head in range(N_HEADS)])
                residual[i] = residual[i] + self.linear(z, f"{block}.attn.o")
            if f"{block}.mlp.in.weight" not in self.p:
                continue
            for i in range(len(tokens)):
                hidden = np.maximum(
                    self.linear(self.norm(residual[i], f"{block}.ln2"), f"{block}.mlp.in"), 0
                )
                outputs[i, layer, -1] = np.asarray(
                    replaced.get((i, layer, -1), self.linear(hidden, f"{block}.mlp.out"))
                )
                residual[i] = residual[i] + outputs[i, layer, -1]
        return np.array(
            [self.linear(self.norm(x, "ln_final"), "unembed") for x in residual]
        ), outputs


def key(node: Node) -> tuple[int, int, int]:
    return node.position, node.layer, node.head


def tokens_of(seed: int, count: int) -> torch.Tensor:
    return torch.randint(VOCAB, (count, N_POS), generator=torch.Generator().manual_seed(seed))


MODELS = {
    "full": {},
    "attention only": {"attn_only": True},
    "no norm": {"normalization_type": None},
}
CLEAN, OTHER = tokens_of(2, 5), tokens_of(3, 5)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return native(**MODELS[request.param])


def close(found: torch.Tensor, wanted) -> None:
    """Float32 against float64 through two layers."""
    np.testing.assert_allclose(found.double().numpy(), np.asarray(wanted), rtol=0, atol=2e-4)


def test_collect_gives_the_outputs_of_all_nodes(model):
    reference = Reference(model)
    activations, logits = collect(model, CLEAN, batch_size=2)
    for row, question in enumerate(CLEAN.tolist()):
        wanted, outputs = reference(question)
        close(logits[row], wanted)
        for (position, layer, head), value in outputs.items():
            found = (
                activations.mlp[layer, row, position]
                if head < 0
                else activations.z[layer, row, position, head]
            )
            close(found, value)


def reference_means(reference: Reference, tokens: torch.Tensor) -> dict:
    runs = [reference(question)[1] for question in tokens.tolist()]
    return {node: np.mean([outputs[node] for outputs in runs], axis=0) for node in runs[0]}


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_set_of_nodes_can_be_zeroed_mean_ablated_and_patched(model, data):
    nodes = data.draw(st.sets(st.sampled_from(all_nodes(model, range(N_POS)))))
    reference, activations = Reference(model), collect(model, OTHER)[0]
    means = reference_means(reference, OTHER)
    zeroed, meaned = (
        ablate(model, CLEAN, nodes, activations, "zero"),
        ablate(model, CLEAN, nodes, activations, "mean"),
    )
    patched = patch(model, CLEAN, nodes, OTHER)
    for row, (question, stored) in enumerate(zip(CLEAN.tolist(), OTHER.tolist(), strict=True)):
        outputs = reference(stored)[1]
        close(zeroed[row], reference(question, {key(n): 0 * outputs[key(n)] for n in nodes})[0])
        close(meaned[row], reference(question, {key(n): means[key(n)] for n in nodes})[0])
        close(patched[row], reference(question, {key(n): outputs[key(n)] for n in nodes})[0])


def test_the_mean_is_of_the_nodes_own_layer(model):
    """The released code writes layer 0's mean into layer 1; that must give something else."""
    activations = collect(model, OTHER)[0]
    node, mean = Node(2, 1, 0), activations.mean()
    ours = run_with_replaced(model, CLEAN, [node], mean)
    wrong = Activations(mean.z[[0, 0]], mean.mlp)
    close(
        ours[0],
        Reference(model)(
            CLEAN[0].tolist(), {key(node): reference_means(Reference(model), OTHER)[key(node)]}
        )[0],
    )
    assert (ours - run_with_replaced(model, CLEAN, [node], wrong)).abs().max() > 1e-2


def test_writing_a_nodes_own_value_changes_nothing(model):
    nodes = all_nodes(model, range(N_POS))
    assert torch.equal(patch(model, CLEAN, nodes, CLEAN), model(CLEAN))
    assert torch.equal(run_with_replaced(model, CLEAN, [], collect(model, OTHER)[0]), model(CLEAN))


def test_with_every_node_written_only_the_embeddings_still_depend_on_the_question():
    """Without embeddings, two questions give one answer; with a third's, they give the third's."""
    model = native()
    with torch.no_grad():
        model.embed.weight.zero_()  # all that the nodes do not carry
    generator = torch.Generator().manual_seed(0)
    stored = collect(model, CLEAN)[0]
    noise = Activations(
        torch.randn(stored.z.shape, generator=generator),
        torch.randn(stored.mlp.shape, generator=generator),
    )
    nodes = all_nodes(model, range(N_POS))
    close(
        run_with_replaced(model, CLEAN, nodes, noise), run_with_replaced(model, OTHER, nodes, noise)
    )
    assert torch.equal(patch(model, OTHER, nodes, CLEAN), model(CLEAN))


def test_patching_all_nodes_at_the_last_position_is_the_stored_run_if_the_last_token_agrees():
    """Two questions end in one token: the clean run's last position becomes the stored run's."""
    model, clean, stored = native(), CLEAN.clone(), OTHER.clone()
    clean[:, -1] = stored[:, -1]
    patched = patch(model, clean, all_nodes(model, [N_POS - 1]), stored)
    torch.testing.assert_close(patched[:, -1], model(stored)[:, -1], rtol=0, atol=1e-6)
    assert torch.equal(patched[:, :-1], model(clean)[:, :-1])


def test_zeroing_everything_leaves_the_embeddings_and_the_shared_biases():
    model = native(normalization_type=None)
    p = model.state_dict()
    nodes = all_nodes(model, range(N_POS))
    found = ablate(model, CLEAN, nodes, collect(model, CLEAN)[0], "zero")
    residual = p["embed.weight"][CLEAN] + p["pos_embed.weight"][:N_POS]
    residual = residual + p["blocks.0.attn.o.bias"] + p["blocks.1.attn.o.bias"]
    close(found, (residual @ p["unembed.weight"].T + p["unembed.bias"]).numpy())


def test_a_head_wired_to_copy_the_first_token_copies_the_stored_one():
    """A head copies the token of position 0; patching it at the end must change the answer."""
    model = native(
        n_layers=1,
        n_heads=1,
        d_head=VOCAB,
        d_model=VOCAB + N_POS,
        attn_only=True,
        normalization_type=None,
    )
    tokens, places = torch.eye(VOCAB + N_POS)[:VOCAB], torch.eye(VOCAB + N_POS)[VOCAB:]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embed.weight.copy_(tokens)
        model.pos_embed.weight.copy_(places)
        attn = model.blocks[0].attn
        attn.q.bias[0] = 100.0  # every query asks for feature 0 of the keys …
        attn.k.weight[0, VOCAB] = 10.0  # … which only position 0 has
        attn.v.weight.copy_(tokens)
        attn.o.weight.copy_(2 * tokens.T)  # louder than the token's own embedding
        model.unembed.weight.copy_(tokens)
    assert model(CLEAN)[:, -1].argmax(-1).tolist() == CLEAN[:, 0].tolist()
    last = [Node(N_POS - 1, 0, 0)]
    assert patch(model, CLEAN, last, OTHER)[:, -1].argmax(-1).tolist() == OTHER[:, 0].tolist()
    reference = collect(model, OTHER)[0]
    assert (
        ablate(model, CLEAN, last, reference, "zero")[:, -1].argmax(-1).tolist()
        == CLEAN[:, -1].tolist()
    )
    counts = torch.bincount(OTHER[:, 0], minlength=VOCAB) / len(OTHER)
    own = torch.eye(VOCAB)[CLEAN[:, -1]]
    close(ablate(model, CLEAN, last, reference, "mean")[:, -1], (own + 2 * counts).numpy())
    assert torch.equal(
        patch(model, CLEAN, [Node(1, 0, 0)], OTHER)[:, -1], model(CLEAN)[:, -1]
    )  # nothing reads position 1


def test_resampling_writes_one_consistent_run_a_question():
    model, nodes = native(), [Node(3, 1, 0), Node(3, 1, 1), Node(2, 0)]
    reference, activations = Reference(model), collect(model, OTHER)[0]
    found = ablate(model, CLEAN, nodes, activations, "resample", seed=7)
    assert torch.equal(found, ablate(model, CLEAN, nodes, activations, "resample", seed=7))
    assert not torch.equal(found, ablate(model, CLEAN, nodes, activations, "resample", seed=8))
    runs = [reference(question)[1] for question in OTHER.tolist()]
    for row, question in enumerate(CLEAN.tolist()):
        candidates = [
            reference(question, {key(n): outputs[key(n)] for n in nodes})[0] for outputs in runs
        ]
        assert (
            min(np.abs(candidate - found[row].double().numpy()).max() for candidate in candidates)
            < 2e-4
        )


def test_batches_do_not_matter():
    model, nodes, stored = native(), [Node(1, 0, 1), Node(3, 1)], collect(native(), OTHER)[0]
    whole = run_with_replaced(model, CLEAN, nodes, stored)
    torch.testing.assert_close(
        run_with_replaced(model, CLEAN, nodes, stored, batch_size=2), whole, rtol=0, atol=1e-6
    )


def test_head_writes_and_the_bias_are_the_attention_output(model):
    activations = collect(model, CLEAN)[0]
    _, cache = model.run_with_cache(CLEAN)
    writes = head_writes(model, activations).sum(3)
    for layer in range(N_LAYERS):
        wanted = cache[f"blocks.{layer}.hook_attn_out"]
        torch.testing.assert_close(
            writes[layer] + model.blocks[layer].attn.b_O, wanted, rtol=0, atol=1e-5
        )


def test_all_nodes_counts_and_orders(model):
    nodes = all_nodes(model, [3, 1])
    mlps = "mlp.in" in str(list(model.state_dict()))
    assert len(nodes) == 2 * N_LAYERS * (N_HEADS + mlps)
    assert [str(node) for node in nodes[:2]] == ["P3L0H0", "P3L0H1"]


@pytest.mark.parametrize(
    "node",
    [Node(4, 0, 0), Node(-1, 0, 0), Node(0, 2, 0), Node(0, -1, 0), Node(0, 0, 2), Node(0, 0, -2)],
)
def test_nodes_the_model_does_not_have_are_refused(node):
    with pytest.raises(LabError, match="got"):
        patch(native(), CLEAN, [node], OTHER)


def test_an_mlp_of_an_attention_only_model_is_refused():
    with pytest.raises(LabError, match="no MLPs"):
        patch(native(attn_only=True), CLEAN, [Node(0, 0)], OTHER)


def test_sources_of_another_shape_and_unknown_modes_are_refused():
    model = native()
    stored = collect(model, OTHER)[0]
    for source in (stored.rows(torch.tensor([0, 1])), Activations(stored.z[:1], stored.mlp[:1])):
        with pytest.raises(LabError, match="source"):
            run_with_replaced(model, CLEAN, [Node(0, 0, 0)], source)
    with pytest.raises(LabError, match="source"):
        patch(model, CLEAN, [Node(0, 0, 0)], OTHER[:, :3])
    with pytest.raises(LabError, match="resample"):
        ablate(model, CLEAN, [], stored, "median")


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_a_reference_set_without_questions_is_refused(ablation):
    """The mean of nothing is NaN, and there is nothing to draw from."""
    model, tokens = native(), tokens_of(0, 4)
    reference, _ = collect(model, tokens)
    empty = reference.rows(torch.tensor([], dtype=torch.long))
    with pytest.raises(LabError, match="at least one question; got none"):
        ablate(model, tokens, [Node(1, 0, 0)], empty, ablation)


def test_a_source_with_nan_is_refused():
    model, tokens = native(), tokens_of(0, 4)
    reference, _ = collect(model, tokens)
    reference.z[0, 1, 2, 1, 0] = torch.nan
    for call in (
        lambda: run_with_replaced(model, tokens, [Node(1, 0, 0)], reference),
        lambda: ablate(model, tokens, [Node(1, 0, 0)], reference, "mean"),
    ):
        with pytest.raises(LabError, match="finite outputs of the heads; got"):
            call()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    from transformers import GPT2Config, GPT2LMHeadModel

    from helpers import zoo

    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=3, n_head=2, n_embd=16, vocab_size=VOCAB, n_positions=8, initializer_range=0.5
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return zoo.load(str(folder), device="cpu"), folder


def test_a_gpt2_shaped_model_from_transformers(gpt2):
    """The same tools on another architecture; the reference is transformers with edited outputs."""
    from transformers import GPT2LMHeadModel

    model, folder = gpt2
    other = GPT2LMHeadModel.from_pretrained(folder).eval()
    close(collect(model, CLEAN)[1], other(CLEAN).logits.detach().double().numpy())
    assert torch.equal(patch(model, CLEAN, all_nodes(model, range(N_POS)), CLEAN), model(CLEAN))

    def zero_head(module, args):  # head 1 of layer 1 at position 2, before the output projection
        (z,) = args
        z = z.clone()
        z[:, 2, 8:] = 0
        return (z,)

    def zero_mlp(module, args, output):
        output = output.clone()
        output[:, 3] = 0
        return output

    handles = [other.transformer.h[1].attn.c_proj.register_forward_pre_hook(zero_head)]
    handles.append(other.transformer.h[0].mlp.register_forward_hook(zero_mlp))
    with torch.no_grad():
        wanted = other(CLEAN).logits
    for handle in handles:
        handle.remove()
    found = ablate(model, CLEAN, [Node(2, 1, 1), Node(3, 0)], collect(model, OTHER)[0], "zero")
    close(found, wanted.double().numpy())
    assert (found - model(CLEAN)).abs().max() > 1e-2


def test_a_real_pretrained_model(shared_dir):
    from helpers import zoo

    model = zoo.load(str(shared_dir / "models" / "stories260K"), device="cpu")
    clean, stored = torch.tensor([[1, 403, 407, 261, 378]]), torch.tensor([[1, 410, 300, 261, 378]])
    assert torch.equal(patch(model, clean, all_nodes(model, range(5)), clean), model(clean))
    last = patch(model, clean, all_nodes(model, [4]), stored)[:, -1]
    torch.testing.assert_close(last, model(stored)[:, -1], rtol=0, atol=1e-4)
