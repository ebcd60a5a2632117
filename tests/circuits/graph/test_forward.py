"""The graph computes what the model computes, edge by edge, for every kind of model in the labs."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import zoo
from helpers.circuits.graph.edges import outgoing
from helpers.circuits.graph.forward import Graph, means, twin_replacements
from helpers.circuits.rivals.path_patching import effects
from helpers.circuits.study import RIVALS
from helpers.circuits.tasks import Twins
from helpers.circuits.tasks.tinyworld import twins as tinyworld_twins
from helpers.errors import LabError
from helpers.interventions import Activations, Node, collect, run_with_replaced
from helpers.texts import final_logits
from tests.circuits.random_models import gpt2, native, random_twins

pytestmark = pytest.mark.core

TOLERANCE = 1e-4  # float32 sums of a few dozen terms, of size 10 at most
NATIVE = {
    f"{norm} {'attention' if attn_only else 'MLPs'}": {
        "normalization_type": norm,
        "attn_only": attn_only,
    }
    for norm in (None, "LN", "LNPre", "RMS", "RMSPre")
    for attn_only in (True, False)
}


@pytest.fixture(scope="module", params=[*NATIVE, "GPT-2"])
def model(request, tmp_path_factory):
    if request.param == "GPT-2":
        return gpt2(tmp_path_factory.mktemp("gpt2"))
    return native(**NATIVE[request.param])


@pytest.fixture(scope="module")
def pairs():
    return random_twins()


def logits(graph: Graph, pairs: Twins, **options):
    return graph.forward(pairs.clean.tokens, pairs.clean.last, **options).logits


def test_all_edges_kept_is_the_model(model, pairs) -> None:
    graph = Graph(model)
    theirs = final_logits(model, pairs.clean)
    assert theirs.std() > 0.5  # so that the tolerance says something
    replaced = twin_replacements(graph, pairs)
    for options in ({}, {"keep": graph.ones()}, {"gates": torch.ones(len(graph.sources))}):
        assert torch.allclose(
            logits(graph, pairs, replacement=replaced, **options), theirs, atol=TOLERANCE
        )


class Sizes(TorchDispatchMode):
    """How many numbers the largest tensor has that is made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else (result,)
        sizes = [one.numel() for one in made if isinstance(one, torch.Tensor)]
        self.largest = max([self.largest, *sizes])
        return result


def test_prompts_are_compared_one_by_one_where_their_logits_are_large(monkeypatch) -> None:
    model = native(d_vocab=4000, d_vocab_out=4000, d_model=8, d_head=4, attn_only=True)
    some = random_twins().clean
    tokens = some.tokens.repeat(2, 1)[:4]
    graph = Graph(model)
    with Sizes() as all_at_once:
        graph._compare(tokens)
    monkeypatch.setattr("helpers.circuits.graph.agreement.LOGITS_AT_ONCE", 1)
    with Sizes() as one_by_one:
        graph._compare(tokens)
    assert one_by_one.largest == tokens.shape[1] * 4000
    assert all_at_once.largest == 4 * one_by_one.largest


@pytest.mark.parametrize("at_once", [1, 2**24])
@pytest.mark.parametrize("row", range(4))
def test_a_difference_in_any_prompt_is_seen(monkeypatch, at_once, row) -> None:
    monkeypatch.setattr("helpers.circuits.graph.agreement.LOGITS_AT_ONCE", at_once)
    graph, tokens = Graph(native()), torch.arange(20).view(4, 5)
    right = graph.logits
    for spoiled, off in ((2.0, "2"), (float("nan"), "nan")):

        def wrong(some, spoiled=spoiled):
            logits = right(some).clone()
            logits[some[:, 0] == tokens[row, 0], 3, 7] += spoiled
            return logits

        monkeypatch.setattr(graph, "logits", wrong)
        with pytest.raises(LabError, match=f"they differ by up to {off}"):
            graph._compare(tokens)
        unread = torch.ones(4, 5, dtype=torch.bool)
        unread[:, 3] = False
        graph._compare(tokens, unread)


def test_no_edge_kept_is_the_model_on_the_twins(model, pairs) -> None:
    graph = Graph(model)
    theirs = final_logits(model, pairs.corrupted)
    replaced = twin_replacements(graph, pairs)
    assert not torch.allclose(theirs, final_logits(model, pairs.clean), atol=100 * TOLERANCE)
    for options in ({"keep": 0 * graph.ones()}, {"gates": torch.zeros(len(graph.sources))}):
        assert torch.allclose(
            logits(graph, pairs, replacement=replaced, **options), theirs, atol=TOLERANCE
        )


def test_the_twins_embedding_alone_makes_the_run_on_the_twins(model, pairs) -> None:
    graph = Graph(model)
    replaced, theirs = twin_replacements(graph, pairs), final_logits(model, pairs.corrupted)
    gates = torch.ones(len(graph.sources))
    gates[0] = 0
    keep = torch.tensor([float(edge.source != "embed") for edge in graph.edges])
    for options in ({"gates": gates}, {"keep": keep}, {"embedding": replaced[0][0]}):
        assert torch.allclose(
            logits(graph, pairs, replacement=replaced, **options), theirs, atol=TOLERANCE
        )


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_all_edges_of_a_node_replaced_is_a_hook_on_the_node(model, pairs, ablation: str) -> None:
    """The reference is `interventions`, which writes over hook_z and hook_mlp_out."""
    graph = Graph(model)
    stored, _ = collect(model, pairs.corrupted.tokens)
    real = torch.arange(pairs.clean.tokens.shape[1]) <= pairs.clean.last[:, None]
    if ablation != "resample":
        mean = [block[:, real].mean(1)[:, None, None] for block in (stored.z, stored.mlp)]
        stored = Activations(
            *(
                m.expand_as(s) * (ablation == "mean")
                for m, s in zip(mean, (stored.z, stored.mlp), strict=True)
            )
        )
    for name, head in (("L1H1", 1), ("L0M", -1)):
        if name not in graph.sources:
            continue
        nodes = [
            Node(position, int(name[1]), head) for position in range(pairs.clean.tokens.shape[1])
        ]
        theirs = run_with_replaced(model, pairs.clean.tokens, nodes, stored)[
            range(len(pairs)), pairs.clean.last
        ]
        keep = torch.tensor([float(edge.source != name) for edge in graph.edges])
        gates = torch.tensor([float(source != name) for source in graph.sources])
        replaced = twin_replacements(graph, pairs, ablation)
        assert not torch.allclose(theirs, logits(graph, pairs), atol=TOLERANCE)
        for options in ({"keep": keep}, {"gates": gates}):
            assert torch.allclose(
                logits(graph, pairs, replacement=replaced, **options), theirs, atol=TOLERANCE
            )


@pytest.mark.parametrize("kind", ["q", "k", "v"])
def test_all_edges_into_an_input_replaced_is_that_input_on_the_twin(
    model, pairs, kind: str
) -> None:
    """With all edges into a head's q, k or v replaced, the model's own q, k or v is the twin's."""
    graph, layer, head = Graph(model), 1, 1
    name, kept = f"blocks.{layer}.attn.hook_{kind}", {}

    def keep(value, hook):
        kept["twin"] = value.detach().clone()

    def write(value, hook):
        value = value.clone().view(*value.shape[:2], model.cfg.n_heads, -1)
        value[:, :, head] = kept["twin"].view_as(value)[:, :, head]
        return value.view_as(kept["twin"])

    model.run_with_hooks(pairs.corrupted.tokens, fwd_hooks=[(name, keep)])
    theirs = model.run_with_hooks(pairs.clean.tokens, fwd_hooks=[(name, write)])[
        range(len(pairs)), pairs.clean.last
    ]
    mask = torch.tensor(
        [float((edge.receiver, edge.kind) != ("L1H1", kind)) for edge in graph.edges]
    )
    ours = logits(graph, pairs, keep=mask, replacement=twin_replacements(graph, pairs))
    assert torch.allclose(ours, theirs, atol=TOLERANCE)
    assert not torch.allclose(ours, logits(graph, pairs), atol=TOLERANCE)


def test_direct_edges_to_the_output_add_up(pairs) -> None:
    """Without normalisation the effects of direct edges sum to that of all at once."""
    graph = Graph(native(normalization_type=None))
    replaced, clean = twin_replacements(graph, pairs), logits(graph, pairs)
    into = [index for index, edge in enumerate(graph.edges) if edge.receiver == "output"]
    moved = 0
    for index in into:
        keep = graph.ones()
        keep[index] = 0
        moved = moved + logits(graph, pairs, keep=keep, replacement=replaced) - clean
    keep = graph.ones()
    keep[into] = 0
    assert torch.allclose(
        moved, logits(graph, pairs, keep=keep, replacement=replaced) - clean, atol=TOLERANCE
    )


def test_masks_for_each_prompt_and_runs_from_the_middle(model, pairs) -> None:
    graph = Graph(model)
    replaced = twin_replacements(graph, pairs)
    generator = torch.Generator().manual_seed(3)
    keep = torch.randint(2, (len(graph.edges), len(pairs)), generator=generator).float()
    together = logits(graph, pairs, keep=keep, replacement=replaced)
    for row in range(len(pairs)):
        pair = pairs.rows(slice(row, row + 1))
        alone = logits(graph, pair, keep=keep[:, row], replacement=twin_replacements(graph, pair))
        assert torch.allclose(alone[0], together[row], atol=TOLERANCE)
    run = graph.forward(pairs.clean.tokens, pairs.clean.last)
    stage = len(graph.stages) - 2
    mask = torch.ones(len(graph.edges))
    mask[graph.stages[stage].first :] = keep[graph.stages[stage].first :, 0]
    whole = logits(graph, pairs, keep=mask, replacement=replaced)
    rest = logits(graph, pairs, keep=mask, replacement=replaced, computed=run.writes[: stage + 1])
    assert torch.allclose(rest, whole, atol=TOLERANCE)
    assert torch.allclose(
        graph.resume(stage, graph.residual(stage, run.writes), pairs.clean.last),
        run.logits,
        atol=TOLERANCE,
    )


def test_gradients_are_those_of_finite_differences(model, pairs) -> None:
    graph = Graph(model)
    replaced = twin_replacements(graph, pairs)
    generator = torch.Generator().manual_seed(4)
    for name, size in (("keep", len(graph.edges)), ("gates", len(graph.sources))):
        mask = torch.rand(size, generator=generator).requires_grad_()
        pairs.behaviour(logits(graph, pairs, replacement=replaced, **{name: mask})).sum().backward()
        step = 3e-3 * torch.randn(size, generator=generator)
        ends = [mask.detach() + sign * step for sign in (1, -1)]
        up, down = (
            pairs.behaviour(logits(graph, pairs, replacement=replaced, **{name: end})).sum()
            for end in ends
        )
        off = abs((up - down) / 2 - mask.grad @ step)
        assert (
            off < 0.01 * mask.grad.norm() * step.norm()
        )  # curvature, and rounding of float32 logits up to 800


def test_the_model_of_tinyworld() -> None:
    model = zoo.load("tinyworld-attn")
    graph = Graph(model)
    pairs = tinyworld_twins("ioi", 16, 0)
    assert (
        len(set(graph.edges)) == len(graph.edges) == 353
    )  # 16 heads with 3 inputs, and the output
    assert torch.allclose(logits(graph, pairs), final_logits(model, pairs.clean), atol=TOLERANCE)
    none = logits(graph, pairs, keep=0 * graph.ones(), replacement=twin_replacements(graph, pairs))
    assert torch.allclose(none, final_logits(model, pairs.corrupted), atol=TOLERANCE)


def test_a_head_has_the_sum_of_its_outgoing_edges(pairs) -> None:
    graph = Graph(native(attn_only=True))
    keep = torch.arange(len(graph.edges), dtype=torch.float32)
    by_hand = sum(index for index, edge in enumerate(graph.edges) if edge.source == "L1H0")
    assert outgoing(graph.edges, keep, graph.heads)[2] == by_hand


def test_means_of_other_prompts_replace_as_well(model, pairs) -> None:
    """Given as they are; on the twins they are the ablation "mean"."""
    graph, others = Graph(model), random_twins(seed=7)
    given = means(graph, others.clean)
    assert twin_replacements(graph, pairs, given) is given
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            means(graph, pairs.corrupted), twin_replacements(graph, pairs, "mean"), strict=True
        )
    )
    stored, _ = collect(model, others.clean.tokens)
    here = torch.arange(others.clean.tokens.shape[1]) <= others.clean.last[:, None]
    z = stored.z[1][here].mean(0)  # of layer 1, by hand
    write = torch.einsum("hk,hkd->hd", z, model.blocks[1].attn.W_O.detach())
    place = [index for index, block in enumerate(graph.weights.blocks) if block.out.ndim == 3][
        1
    ] + 1
    assert torch.allclose(given[place][:, 0, 0], write, atol=TOLERANCE)


def test_models_that_the_graph_does_not_know_are_refused() -> None:
    for options in (
        {"positional_embedding_type": "rotary"},
        {"gated_mlp": True},
        {"n_key_value_heads": 1},
    ):
        with pytest.raises(LabError, match="expected a model like GPT-2"):
            Graph(native(**options))
    with pytest.raises(LabError, match="expected the ablation"):
        twin_replacements(Graph(native()), random_twins(), "noise")


def test_a_model_of_nan_is_refused() -> None:
    model = native()
    with torch.no_grad():
        model.blocks[1].attn.q.original_component.weight[0, 0] = torch.nan
    with pytest.raises(LabError, match="expected finite logits of the model"):
        Graph(model)


@pytest.mark.parametrize(
    "score",
    [*RIVALS.values(), lambda model, pairs: effects(Graph(model), pairs)],
    ids=[*RIVALS, "path patching"],
)
def test_prompts_that_the_model_cannot_read_are_refused_by_every_method(score) -> None:
    pairs = random_twins()
    with pytest.raises(LabError, match="expected at least one prompt; got none"):
        score(native(), pairs.rows(slice(0, 0)))
    with pytest.raises(LabError, match="expected tokens of the model, 0 to 9"):
        score(native(d_vocab=10), pairs)
    with pytest.raises(
        LabError,
        match="expected prompts of at most 8 tokens, as the model takes; they are padded to 9",
    ):
        score(native(n_ctx=8), pairs)
