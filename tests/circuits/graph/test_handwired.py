"""The hand-wired model does what its plan says: subsets of heads, edges and weights, one by one."""

import itertools

import numpy as np
import pytest
import torch

from helpers.circuits.graph import handwired, handwired_parts
from helpers.circuits.graph.edges import OUTPUT, Edge
from helpers.circuits.graph.forward import Graph, twin_replacements
from helpers.circuits.graph.handwired_parts import GAIN, LAST, N_CTX, PATHS, REST, UNREAD, WORDS
from helpers.circuits.tasks import Twins
from helpers.errors import LabError
from helpers.texts import answers

pytestmark = pytest.mark.core

SMALL = 1e-4
"""For logits of size 10 in float32, and what an attention score 40 below a match lets through."""


@pytest.fixture(scope="module")
def wired():
    return handwired.build()


@pytest.fixture(scope="module")
def pairs():
    return handwired.twins(120, seed=1)


def last_logits(model, prompts, hooks=()):
    with torch.no_grad():
        return model.run_with_hooks(prompts.tokens, fwd_hooks=list(hooks))[:, LAST]


def both(model, pairs):
    """Last logits on prompts and on twins, one after the other."""
    return torch.cat([last_logits(model, pairs.clean), last_logits(model, pairs.corrupted)])


def head_outputs(model, prompts):
    """z [layer, prompt, pos, head, d_head]."""
    kept = {}
    hooks = [
        (
            f"blocks.{layer}.attn.hook_z",
            lambda z, hook, layer=layer: kept.update({layer: z.clone()}),
        )
        for layer in range(3)
    ]
    last_logits(model, prompts, hooks)
    return torch.stack([kept[layer] for layer in range(3)])


def writes(model, prompts):
    """What each head adds to the residual stream [prompt, pos, layer and head, d_model]."""
    z = head_outputs(model, prompts)
    w_o = torch.stack([block.attn.W_O.detach() for block in model.blocks])
    return torch.einsum("lbphd,lhdm->bplhm", z, w_o).flatten(2, 3)


# the task


def right(text):
    """The answer, by reading the prompt as a person would."""
    words = text.split()
    table = dict(zip(words[1:7:2], words[2:7:2], strict=True))
    return table.get(words[8])


def test_every_prompt_is_answered_and_no_twin_is(wired, pairs):
    answers = [WORDS[token] for token in last_logits(wired.model, pairs.clean).argmax(-1)]
    assert answers == [right(text) for text in pairs.clean.texts]
    assert torch.allclose(
        pairs.behaviour(last_logits(wired.model, pairs.clean)), torch.tensor(GAIN), atol=SMALL
    )
    assert last_logits(wired.model, pairs.corrupted).abs().max() < SMALL


def test_twins_are_what_they_say(pairs):
    assert len(set(pairs.clean.texts)) > 110
    for row, (text, twin) in enumerate(zip(pairs.clean.texts, pairs.corrupted.texts, strict=True)):
        changed = [
            at
            for at, words in enumerate(zip(text.split(), twin.split(), strict=True))
            if words[0] != words[1]
        ]
        asked = text.split()[8]
        assert changed == [text.split().index(asked), 8]
        assert right(twin) is None
        assert not {twin.split()[at] for at in changed} & set(text.split())
        assert [WORDS[token] for token in pairs.clean.good[row].nonzero()[:, 0]] == [right(text)]
        (wrong,) = [WORDS[token] for token in pairs.clean.bad[row].nonzero()[:, 0]]
        assert wrong in text.split()
        assert wrong != right(text)
    assert torch.equal(pairs.clean.good, pairs.corrupted.good)
    assert [" ".join(WORDS[token] for token in row) for row in pairs.clean.tokens] == list(
        pairs.clean.texts
    )
    assert handwired.twins(5, seed=3).clean.texts == handwired.twins(5, seed=3).clean.texts
    assert handwired.twins(5, seed=3).clean.texts != handwired.twins(5, seed=4).clean.texts


def test_on_twins_the_right_colour_is_as_likely_as_any(wired, pairs):
    probabilities = last_logits(wired.model, pairs.corrupted).softmax(-1)
    assert torch.allclose(probabilities, torch.tensor(1 / len(WORDS)), atol=1e-5)
    logits = answers(last_logits(wired.model, pairs.corrupted), pairs.clean)
    assert logits.log_ratio.abs().max() < SMALL


# heads


def every_subset(model, pairs, ablation):
    """Mean logit difference with each subset of the 12 heads kept, by hooks; bit i keeps head i."""
    prompts, tokens = len(pairs), pairs.clean.tokens
    clean, other = head_outputs(model, pairs.clean), head_outputs(model, pairs.corrupted)
    if ablation == "zero":
        other = torch.zeros_like(clean)
    elif ablation == "mean":
        other = clean.mean((1, 2), keepdim=True).expand_as(clean)
    means = []
    for subsets in torch.arange(1 << 12).split(512):
        kept = (subsets[:, None] >> torch.arange(12) & 1).bool()
        kept = kept.view(-1, 1, 3, 4)  # [subset, 1, layer, head]
        rows = kept.expand(-1, prompts, -1, -1).flatten(0, 1)

        def write(z, hook, rows=rows):
            layer = int(hook.name.split(".")[1])
            source = other[layer].repeat(len(rows) // prompts, 1, 1, 1)
            return torch.where(rows[:, layer, None, :, None], z, source)

        hooks = [(f"blocks.{layer}.attn.hook_z", write) for layer in range(3)]
        with torch.no_grad():
            logits = model.run_with_hooks(tokens.repeat(len(subsets), 1), fwd_hooks=hooks)[:, LAST]
        difference = (
            logits[pairs.clean.good.repeat(len(subsets), 1)]
            - logits[pairs.clean.bad.repeat(len(subsets), 1)]
        )
        means.append(difference.view(-1, prompts).mean(1))
    return torch.cat(means).numpy()


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_of_all_subsets_exactly_the_two_circuits_are_minimal(wired, ablation):
    metric = every_subset(wired.model, handwired.twins(8), ablation)
    faithful = {subset for subset in range(1 << 12) if metric[subset] > 0.95 * GAIN}
    minimal = {
        circuit
        for circuit in faithful
        if not any(circuit & other == other and circuit != other for other in faithful)
    }
    bits = [
        sum(1 << wired.all_heads.index(head) for head in circuit.heads)
        for circuit in wired.circuits
    ]
    assert minimal == set(bits)
    # the mean of the one path is a little of every colour
    near = 0.1 if ablation == "mean" else SMALL
    # one path gives what both give
    assert metric[sorted(faithful)] == pytest.approx(GAIN, abs=near)
    others = [subset for subset in range(1 << 12) if subset not in faithful]
    assert max(metric[others]) < 0.25 * GAIN  # and nothing else gives much
    assert faithful == {
        subset for subset in range(1 << 12) if any(subset & circuit == circuit for circuit in bits)
    }


def test_the_truth_about_heads_is_told_consistently(wired):
    assert wired.heads == {head for circuit in wired.circuits for head in circuit.heads}
    assert sorted([*wired.heads, *wired.decoys, *wired.silent]) == wired.all_heads
    assert {layer for layer, _ in wired.circuits[0].heads} == {0, 1, 2}


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_what_decoys_and_silent_heads_put_out_changes_no_logit_at_all(pairs, noise):
    model = handwired.build(noise=noise).model
    intact = last_logits(model, pairs.clean)
    useless = [*handwired_parts.DECOYS, *handwired_parts.SILENT]
    for chosen in [*([head] for head in useless), useless]:
        if (2, 1) in chosen:
            continue  # it does have outputs; what it lacks is anything to put out
        for change in (torch.zeros_like, torch.randn_like, lambda z: z.flip(0)):

            def write(z, hook, change=change, chosen=chosen):
                z = z.clone()
                for layer, head in chosen:
                    if hook.name.startswith(f"blocks.{layer}."):
                        z[:, :, head] = change(z[:, :, head])
                return z

            hooks = [(f"blocks.{layer}.attn.hook_z", write) for layer in range(3)]
            assert torch.equal(last_logits(model, pairs.clean, hooks), intact)
    silent = [
        model_head for model_head in range(12) if divmod(model_head, 4) in handwired_parts.SILENT
    ]
    assert writes(model, pairs.clean)[:, :, silent].abs().max() == 0


def test_silent_heads_are_silent_for_two_reasons(wired, pairs):
    z = head_outputs(wired.model, pairs.clean)
    out = [block.attn.W_O.detach() for block in wired.model.blocks]
    (no_output, no_input) = wired.silent
    assert z[no_output[0], :, :, no_output[1]].abs().min() > 0  # it reads …
    assert out[no_output[0]][no_output[1]].abs().max() == 0  # … and has nowhere to write
    assert z[no_input[0], :, :, no_input[1]].abs().max() == 0
    assert out[no_input[0]][no_input[1]].abs().min() > 0


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_decoys_write_only_where_nobody_reads(wired, pairs, noise):
    model = handwired.build(noise=noise).model
    written = writes(model, pairs.clean)[:, :, [4 * layer + head for layer, head in wired.decoys]]
    assert written[..., : UNREAD.start].abs().max() == 0
    state = model.state_dict()
    for name in [name for name in state if name.endswith(("q.weight", "k.weight", "v.weight"))]:
        layer = int(name.split(".")[1])
        heard = [
            row for row in range(40) if (layer, row // 10) not in wired.silent
        ]  # a silent head may read anything
        assert state[name][heard][:, UNREAD.start :].abs().max() == 0
    assert state["unembed.weight"][:, UNREAD.start :].abs().max() == 0


def test_norms_put_decoys_above_true_heads(wired, pairs):
    """By length, and by the difference of means, every decoy outdoes every true head."""
    clean, corrupted = (
        writes(wired.model, prompts).mean(1) for prompts in (pairs.clean, pairs.corrupted)
    )
    for scores in (clean.norm(dim=-1).mean(0), (clean.mean(0) - corrupted.mean(0)).norm(dim=-1)):
        score = dict(zip(wired.all_heads, scores.tolist(), strict=True))
        assert min(score[head] for head in wired.decoys) > max(score[head] for head in wired.heads)
        assert max(score[head] for head in wired.silent) == 0


# edges


def with_edges(graph, pairs, kept, ablation):
    keep = torch.tensor([float(edge in kept) for edge in graph.edges])
    return pairs.behaviour(
        graph.forward(
            pairs.clean.tokens, pairs.clean.last, keep, twin_replacements(graph, pairs, ablation)
        ).logits
    )


@pytest.mark.parametrize("ablation", ["zero", "resample"])
@pytest.mark.parametrize("path", [0, 1])
def test_the_edges_of_a_path_suffice_and_each_is_needed(wired, ablation, path):
    pairs, graph, circuit = handwired.twins(40), Graph(wired.model), wired.circuits[path]
    edges = circuit.edges if ablation == "zero" else circuit.carrying
    assert edges <= set(graph.edges)
    alone = with_edges(graph, pairs, edges, ablation)
    assert torch.allclose(alone, torch.tensor(GAIN), atol=SMALL)
    for edge in edges:
        without = with_edges(graph, pairs, edges - {edge}, ablation)
        if str(edge) == "embed→L1H1.k":
            assert torch.allclose(
                without, torch.tensor(GAIN), atol=SMALL
            )  # this one matters to twins only, see below
        else:
            assert float(without.mean()) < 0.5 * GAIN, str(edge)


RESTING = {Edge("embed", "L1H1", "k"), Edge("embed", "L1H0", "k")}
"""Over these a head knows the first token, where it attends if nothing matches."""


def test_without_resting_a_twin_gets_an_answer(wired):
    pairs, graph = handwired.twins(40), Graph(wired.model)
    exchanged = Twins(pairs.corrupted, pairs.clean, pairs.metric)
    for circuit in wired.circuits:
        for kept, least, most in ((circuit.edges, 0, SMALL), (circuit.edges - RESTING, 1, GAIN)):
            keep = torch.tensor([float(edge in kept) for edge in graph.edges])
            zero = twin_replacements(graph, exchanged, "zero")
            logits = graph.forward(exchanged.clean.tokens, exchanged.clean.last, keep, zero).logits
            assert least <= float(logits.max()) <= most


def test_edges_over_which_prompt_and_twin_do_not_differ_carry_nothing(wired):
    pairs, graph = handwired.twins(40), Graph(wired.model)
    for circuit in wired.circuits:
        rest = set(graph.edges) - wired.carrying
        assert circuit.carrying < circuit.edges
        assert torch.allclose(
            with_edges(graph, pairs, wired.carrying, "resample"), torch.tensor(GAIN), atol=SMALL
        )
        assert with_edges(graph, pairs, rest, "resample").abs().max() < SMALL


def test_edges_are_named_by_hand(wired):
    first, second = ({str(edge) for edge in circuit.edges} for circuit in wired.circuits)
    lookup = (
        {f"embed→L0H0.{kind}" for kind in "qkv"}
        | {f"embed→L1H1.{kind}" for kind in "qkv"}
        | {"L0H0→L1H1.k"}
    )
    assert first == lookup | {"embed→L2H2.q", "L1H1→L2H2.k", "L1H1→L2H2.v", "L2H2→output"}
    carry = {f"embed→{head}.{kind}" for head in ("L0H2", "L0H3") for kind in "qkv"} | {
        "L0H3→L1H0.q"
    }
    lookup = carry | {"L0H2→L1H0.k", "embed→L1H0.k", "embed→L1H0.v"}
    assert second == lookup | {"embed→L2H2.q", "L1H0→L2H2.k", "L1H0→L2H2.v", "L2H2→output"}
    assert Edge("L2H2", OUTPUT, "in") in wired.edges
    assert wired.edges == wired.circuits[0].edges | wired.circuits[1].edges


# weights


def loaded(state):
    model = handwired.build().model
    model.load_state_dict(state)
    return model


def reduced(wired, masks):
    return {name: value * masks[name] for name, value in wired.model.state_dict().items()}


@pytest.mark.parametrize("path", [0, 1])
def test_the_weights_of_a_path_suffice_and_each_is_needed(wired, pairs, path):
    masks = wired.circuits[path].weights
    state = reduced(wired, masks)
    model = loaded(state)
    intact = both(model, pairs)
    assert torch.allclose(intact, both(wired.model, pairs), atol=SMALL)
    live = model.state_dict()  # the parameters themselves
    for name, mask in masks.items():
        for index in mask.nonzero().tolist():
            value = float(live[name][tuple(index)])
            assert value != 0, (name, index)
            live[name][tuple(index)] = 0.0
            changed = (both(model, pairs) - intact).abs().max()
            live[name][tuple(index)] = value
            assert changed > 1, (name, index)
    assert torch.equal(both(model, pairs), intact)


def test_all_other_weights_are_superfluous_together_and_one_by_one(wired, pairs):
    intact = both(wired.model, pairs)
    assert torch.allclose(both(loaded(reduced(wired, wired.weights)), pairs), intact, atol=1e-5)
    model = loaded(wired.model.state_dict())
    live, few, tried = model.state_dict(), pairs.rows(slice(0, 8)), 0
    expected = both(model, few)
    for name, mask in wired.weights.items():
        spare = ((live[name] != 0) & ~mask).nonzero().tolist()
        for index in (
            spare if len(spare) < 200 else spare[::50]
        ):  # silent heads have thousands of weights
            value = float(live[name][tuple(index)])
            live[name][tuple(index)] = 0.0
            assert torch.allclose(both(model, few), expected, atol=1e-5), (name, index)
            live[name][tuple(index)] = value
            tried += 1
    assert tried > 100


def test_without_one_path_the_other_does_it(wired, pairs):
    for lost, kept in itertools.permutations(range(2)):
        only = {
            name: mask & ~wired.circuits[kept].weights[name]
            for name, mask in wired.circuits[lost].weights.items()
        }
        assert sum(int(mask.sum()) for mask in only.values()) > 50
        state = {name: value * ~only[name] for name, value in wired.model.state_dict().items()}
        assert torch.allclose(both(loaded(state), pairs), both(wired.model, pairs), atol=SMALL)


def test_masks_have_the_shapes_of_the_model(wired):
    state = wired.model.state_dict()
    assert {name: mask.shape for name, mask in wired.weights.items()} == {
        name: value.shape for name, value in state.items()
    }
    total = sum(int(mask.sum()) for mask in wired.weights.values())
    assert total < 0.02 * sum(value.numel() for value in state.values())
    heads = {
        (int(name.split(".")[1]), row // 10)
        for name, mask in wired.weights.items()
        if name.endswith("q.weight")
        for row in mask.any(1).nonzero()[:, 0].tolist()
    }
    assert heads == wired.heads
    assert set(PATHS["A"]) & set(PATHS["B"]) == {(2, 2)}
    assert wired.weights["blocks.1.attn.q.bias"].nonzero()[:, 0].tolist() == [REST, 10 + REST]


# variants


@pytest.mark.parametrize("seed", [0, 1])
def test_a_rotated_basis_gives_the_same_logits(wired, pairs, seed):
    turned = handwired.build(rotated=True, seed=seed)
    assert torch.allclose(both(turned.model, pairs), both(wired.model, pairs), atol=5e-5)
    assert turned.heads == wired.heads
    assert turned.edges == wired.edges
    assert turned.weights == {}
    dense = turned.model.state_dict()["blocks.0.attn.q.weight"][:10]
    assert (dense[:3] != 0).float().mean() > 0.99  # one wire is now a full row
    z, straight = (
        head_outputs(model, pairs.clean)
        for model in (turned.model, handwired.build(seed=seed).model)
    )
    assert torch.allclose(
        z, straight, atol=1e-3
    )  # heads do the same inside; silent ones read with random weights


def test_noise_is_written_by_decoys_and_read_by_nobody(wired, pairs):
    noisy = handwired.build(noise=1.0, seed=3)
    assert torch.equal(both(noisy.model, pairs), both(handwired.build(seed=3).model, pairs))
    quiet, loud = (
        writes(model, pairs.clean).norm(dim=-1).mean((0, 1)) for model in (wired.model, noisy.model)
    )
    decoys = [head in wired.decoys for head in wired.all_heads]
    assert (loud > quiet).tolist() == decoys
    unread = writes(noisy.model, pairs.clean)[:, :, torch.tensor(decoys), UNREAD.start :]
    assert unread.abs().mean((0, 1)).min() > 0  # each writes everywhere there
    assert torch.equal(loud[~torch.tensor(decoys)], quiet[~torch.tensor(decoys)])


@pytest.mark.parametrize("sharpness", [20.0, 40.0])
def test_a_softer_model_does_the_same_approximately(pairs, sharpness):
    model = handwired.build(sharpness=sharpness).model
    assert torch.allclose(
        pairs.behaviour(last_logits(model, pairs.clean)), torch.tensor(GAIN), atol=0.1
    )
    assert last_logits(model, pairs.corrupted).abs().max() < 0.2


def test_the_model_is_of_attention_only_and_fits_its_prompts(wired, pairs):
    assert pairs.clean.tokens.shape[1] == N_CTX == wired.model.cfg.n_ctx
    assert not [name for name in wired.model.state_dict() if "mlp" in name or "ln" in name]
    assert np.isfinite(
        [float(value.abs().max()) for value in wired.model.state_dict().values()]
    ).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: handwired.build(noise=-1.0), "no negative noise"),
        (lambda: handwired.build(sharpness=0.0), "a positive sharpness"),
        (lambda: handwired.twins(0), "at least one prompt"),
    ],
)
def test_what_cannot_be_built_is_refused(call, message):
    with pytest.raises(LabError, match=message):
        call()
