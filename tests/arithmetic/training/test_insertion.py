"""What each arm copies, freezes and does, against lists written anew from the released code."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import training, zoo
from helpers.arithmetic.questions import Format, mixed, uniform
from helpers.arithmetic.training import EXPERIMENTS, MixedTask, answer_loss
from helpers.arithmetic.training.insertion import (
    ARMS,
    FREEZES,
    agreement,
    check_fits,
    frozen,
    insert,
    places,
)
from helpers.arithmetic.verification import score
from helpers.errors import LabError
from helpers.training import Recipe

pytestmark = pytest.mark.core

LEFT_OUT_BY_THE_PAPER = r"attn\.o\.(weight|bias)|ln2\.(weight|bias)|ln_final\.bias|unembed\.bias"
QKV = r"attn\.[qkv]\.(weight|bias)$"
MLP = r"mlp\.(in|out)\.(weight|bias)$"
D_HEAD = 4
SMALL = {
    "d_model": 12,
    "d_head": D_HEAD,
    "d_mlp": 20,
    "n_ctx": 10,
    "d_vocab": 15,
    "act_fn": "relu",
    "normalization_type": "LN",
}


def model_of(n_layers: int, n_heads: int, seed: int = 0, **shape):
    """A small model without special numbers: fresh biases would be zero and fresh norms one."""
    recipe = Recipe(
        "small",
        "mixed",
        SMALL | {"n_layers": n_layers, "n_heads": n_heads} | shape,
        {},
        1,
        1,
        1e-3,
        1,
        seed=seed,
    )
    model, generator = training.build_model(recipe), torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        value += 0.3 * torch.randn(value.shape, generator=generator)
    return model.eval()


def snapshot(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def heads_apart(name: str, value: torch.Tensor) -> torch.Tensor:
    """The tensor as [..., head, ...], the heads in the first axis, where it has heads; a view."""
    if re.search(QKV, name):
        return value.view(-1, D_HEAD, *value.shape[1:])
    return (
        value.view(value.shape[0], -1, D_HEAD).transpose(0, 1)
        if name.endswith("attn.o.weight")
        else value
    )


def copied_names(source, arm: str) -> set[str]:
    every = set(source.state_dict())
    if arm == "scratch":
        return set()
    return (
        {name for name in every if not re.search(LEFT_OUT_BY_THE_PAPER, name)}
        if arm == "paper"
        else every
    )


def expected_state(source, target_before: dict, arm: str) -> dict:
    """The target after the insertion, worked out head by head."""
    state = {name: value.clone() for name, value in target_before.items()}
    n_layers, n_heads = source.cfg.n_layers, source.cfg.n_heads
    if arm == "preserving":
        for name, value in state.items():
            is_new = name.startswith("blocks.") and int(name.split(".")[1]) >= n_layers
            if is_new and re.search(r"(attn\.o|mlp\.out)\.(weight|bias)$", name):
                value.zero_()
            elif name.endswith("attn.o.weight"):
                heads_apart(name, value)[n_heads:] = 0
    for name in copied_names(source, arm):
        ours, theirs = (
            heads_apart(name, value) for value in (source.state_dict()[name], state[name])
        )
        theirs[: len(ours)] = ours
    return state


SHAPES = [((1, 1), (1, 1)), ((2, 3), (3, 3)), ((2, 3), (2, 4)), ((2, 3), (3, 4)), ((1, 2), (3, 4))]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(("of_source", "of_target"), SHAPES)
def test_an_arm_writes_exactly_its_entries_and_no_other(arm, of_source, of_target):
    source, target = model_of(*of_source, seed=1), model_of(*of_target, seed=2)
    kept, before = snapshot(source), snapshot(target)
    assert insert(source, target, arm) is target
    expected, state = expected_state(source, before, arm), target.state_dict()
    assert [name for name in expected if not torch.equal(state[name], expected[name])] == []
    assert all(torch.equal(kept[name], value) for name, value in source.state_dict().items())
    if arm == "scratch":
        assert all(torch.equal(before[name], state[name]) for name in before)


def test_the_paper_copies_these_tensors_and_the_other_arms_all_of_them():
    source = zoo.load("add-d6", device="cpu")
    layer = {f"attn.{part}.{kind}" for part in "qkv" for kind in ("weight", "bias")}
    layer |= {
        "mlp.in.weight",
        "mlp.in.bias",
        "mlp.out.weight",
        "mlp.out.bias",
        "ln1.weight",
        "ln1.bias",
    }
    ends = {"ln_final.weight", "embed.weight", "pos_embed.weight", "unembed.weight"}
    names = {arm: [place.name for place in places(source, arm)] for arm in ARMS}
    assert set(names["paper"]) == {f"blocks.{i}.{part}" for i in (0, 1) for part in layer} | ends
    assert set(names["whole"]) == set(names["preserving"]) == set(source.state_dict())
    assert names["scratch"] == []
    assert all(len(set(copied)) == len(copied) for copied in names.values())


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 10**6),
)
def test_the_preserving_arm_keeps_the_function_for_every_shape(
    n_layers, n_heads, more_layers, more_heads, seed
):
    source = model_of(n_layers, n_heads, seed=seed)
    target = model_of(n_layers + more_layers, n_heads + more_heads, seed=seed + 1)
    tokens = mixed(2, 64, np.random.default_rng(seed)).tokens(Format(2))
    with torch.no_grad():
        before, wanted = target(tokens), source(tokens)
        logits = insert(source, target, "preserving")(tokens)
    assert (logits - wanted).abs().max() < 1e-4
    assert (before - wanted).abs().max() > 0.1


@pytest.mark.parametrize("more", [(1, 0), (0, 1)])
@pytest.mark.parametrize("arm", ["paper", "whole"])
def test_the_other_arms_change_the_function_as_soon_as_something_is_new(arm, more):
    source, target = model_of(2, 2, seed=1), model_of(2 + more[0], 2 + more[1], seed=2)
    tokens = uniform(2, 64, np.random.default_rng(0)).tokens(Format(2))
    with torch.no_grad():
        assert (insert(source, target, arm)(tokens) - source(tokens)).abs().max() > 0.1
    assert torch.equal(insert(source, model_of(2, 2, seed=3), "whole")(tokens), source(tokens))


def adder_in(arm: str):
    """The embedded three-digit adder inside the recipes' larger model."""
    source, recipe = zoo.load("add-d3", device="cpu"), EXPERIMENTS["mix-d3-paper"]
    return source, insert(source, training.build_model(recipe), arm)


@pytest.mark.parametrize(
    ("arm", "least", "most"),
    [("preserving", 1.0, 1.0), ("paper", 0.0, 0.02), ("scratch", 0.0, 0.02)],
)
def test_how_well_the_larger_model_adds_before_any_training(arm, least, most):
    source, target = adder_in(arm)
    questions = uniform(3, 2000, np.random.default_rng(5))
    assert score(source, questions, Format(3)).all()
    assert least <= score(target, questions, Format(3)).all(1).double().mean() <= most
    with torch.no_grad():
        difference = (
            (source(questions.tokens(Format(3))) - target(questions.tokens(Format(3)))).abs().max()
        )
    assert difference < 1e-4 if arm == "preserving" else difference > 1


def test_heads_copied_by_the_paper_read_as_before_in_the_first_layer_alone():
    """Layer 0 has all that its attention reads, so it attends as the source; layer 1 does not."""
    source, target = adder_in("paper")
    tokens = uniform(3, 50, np.random.default_rng(0)).tokens(Format(3))
    names = [f"blocks.{layer}.attn.hook_{part}" for layer in (0, 1) for part in ("pattern", "z")]
    caches = [model.run_with_cache(tokens, names_filter=names)[1] for model in (source, target)]

    def difference(name: str) -> float:
        ours, theirs = (cache[name] for cache in caches)
        theirs = theirs[:, :3] if name.endswith("pattern") else theirs[:, :, :3]
        return float((ours - theirs).abs().max())

    assert max(map(difference, names[:2])) < 1e-5
    assert min(map(difference, names[2:])) > 0.1


def gradient(model, name: str) -> torch.Tensor:
    where = model.state_dict()[name].data_ptr()
    return next(parameter.grad for parameter in model.parameters() if parameter.data_ptr() == where)


def backward(model) -> None:
    model.zero_grad(set_to_none=True)
    answer_loss(
        model, Format(2), mixed(2, 64, np.random.default_rng(0)).tokens(Format(2))
    ).backward()


def test_silent_new_parts_can_learn():
    """What they write has a gradient at once; what they read, from the first step on."""
    target = insert(model_of(1, 2, seed=1), model_of(2, 3, seed=2), "preserving")
    writes = [
        f"blocks.1.{part}.{kind}" for part in ("attn.o", "mlp.out") for kind in ("weight", "bias")
    ]
    reads = [f"blocks.1.{part}.weight" for part in ("attn.q", "attn.k", "attn.v", "mlp.in")]
    backward(target)
    assert all((gradient(target, name) != 0).any() for name in writes)
    assert (heads_apart("attn.o.weight", gradient(target, "blocks.0.attn.o.weight"))[2] != 0).any()
    assert all(
        (gradient(target, name) == 0).all() for name in reads
    )  # nothing they feed is heard yet
    torch.optim.SGD(target.parameters(), lr=0.1).step()
    backward(target)
    assert all((gradient(target, name) != 0).any() for name in reads)
    for part in "qkv":
        name = f"blocks.0.attn.{part}.weight"
        assert (heads_apart(name, gradient(target, name))[2] != 0).any()


def frozen_names(source, arm: str, freeze: str) -> set[str]:
    pattern = {"nothing": "$^", "qkv": QKV, "qkv+mlp": f"{QKV}|{MLP}", "all": ""}[freeze]
    return {
        name
        for name in copied_names(source, arm)
        if name.startswith("blocks.") and re.search(pattern, name)
    }


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("arm", ["paper", "whole", "preserving"])
def test_frozen_are_exactly_the_inserted_entries_of_the_chosen_parts(arm, freeze):
    source, target = model_of(2, 3, seed=1), model_of(3, 4, seed=2)
    masks = frozen(source, insert(source, target, arm), arm, freeze)
    assert masks.keys() == frozen_names(source, arm, freeze)
    for name, mask in masks.items():
        ours, theirs = source.state_dict()[name], target.state_dict()[name]
        assert mask.shape == theirs.shape
        assert mask.sum() == ours.numel()
        assert torch.equal(
            theirs[mask], ours.flatten()
        )  # the source's numbers in the source's order
        assert re.search(f"{QKV}|attn.o.weight", name) or mask.all()


def test_from_scratch_nothing_is_frozen():
    assert frozen(model_of(1, 1), model_of(1, 1), "scratch", "nothing") == {}


@pytest.mark.parametrize("freeze", FREEZES[1:])
def test_from_scratch_there_is_nothing_to_freeze(freeze):
    with pytest.raises(LabError, match=r'freeze="nothing".*nothing inserted'):
        frozen(model_of(1, 1), model_of(1, 1), "scratch", freeze)


OTHER = {
    "d_model": 16,
    "d_head": 5,
    "d_mlp": 21,
    "n_ctx": 13,
    "d_vocab": 16,
    "act_fn": "gelu",
    "normalization_type": None,
}


@pytest.mark.parametrize("field", OTHER)
def test_a_target_of_another_kind_is_refused_and_left_alone(field):
    source, target = model_of(1, 2), model_of(2, 2, seed=1, **{field: OTHER[field]})
    before = snapshot(target)
    with pytest.raises(
        LabError, match=rf"source's {field} of {SMALL[field]}; it has {OTHER[field]}"
    ):
        insert(source, target, "whole")
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 3), "at least 2 layers; it has 1"), ((2, 2), "at least 3 heads; it has 2")],
)
def test_a_target_that_is_too_small_is_refused(shape, message):
    with pytest.raises(LabError, match=message):
        check_fits(model_of(2, 3), model_of(*shape))


def test_unknown_words_are_refused():
    source, target = model_of(1, 1), model_of(1, 1)
    for call in (
        places,
        lambda source, arm: insert(source, target, arm),
        lambda s, arm: frozen(s, target, arm, "qkv"),
    ):
        with pytest.raises(LabError, match="paper, whole, preserving, scratch; got 'papre'"):
            call(source, "papre")
    with pytest.raises(LabError, match=r"nothing, qkv, qkv\+mlp, all; got 'mlp'"):
        frozen(source, target, "whole", "mlp")


def test_the_recipes_name_known_arms_and_freezes():
    for recipe in EXPERIMENTS.values():
        assert recipe.data["arm"] in ARMS
        assert recipe.data["freeze"] in FREEZES
    with pytest.raises(LabError, match="expected an arm among"):
        MixedTask(Format(3), 0.6, 0.02, 0.25, 0.25, "papre", "add-d3", "", "nothing").initialise(
            model_of(3, 4)
        )


def test_agreement_counts_whole_answers_and_finds_the_largest_change():
    fmt, tokens = Format(2), []

    class Table(torch.nn.Module):
        """Puts the right token first, except at one place."""

        def __init__(self, wrong: int, lead: float) -> None:
            super().__init__()
            self.wrong, self.lead = wrong, lead

        def forward(self, x):
            whole = next(t for t in tokens if torch.equal(t[:, :-1], x))
            logits = self.lead * torch.nn.functional.one_hot(whole[:, 1:], 15).float()
            for row in range(self.wrong):
                logits[row, fmt.equals_position, :] = 0.0
                logits[row, fmt.equals_position, 14] = 5.0
            logits[:, 0, 0] += 1000.0 * self.lead  # before the answer: of no account
            return logits

    questions = uniform(2, 7, np.random.default_rng(0))
    tokens += list(questions.tokens(fmt).split(4))
    found = agreement(Table(0, 2.0), Table(1, 2.5), questions, fmt, batch_size=4)
    assert found.source_right.tolist() == [True] * 7
    assert found.target_right.tolist() == [False, True, True, True, False, True, True]
    assert found.largest == pytest.approx(5.0)


def test_agreement_with_itself_is_complete():
    model = model_of(2, 2)
    fmt = Format((model.cfg.n_ctx - 4) // 3)
    found = agreement(model, model, uniform(fmt.n_digits, 50, np.random.default_rng(1)), fmt)
    assert found.largest == 0.0
    assert torch.equal(found.source_right, found.target_right)
