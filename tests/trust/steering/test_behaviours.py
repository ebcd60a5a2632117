"""Scores and perplexity against single runs and Hugging Face's loss; what many pushes cost."""

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.steering import behaviours
from helpers.trust.steering.behaviours import Behaviour, Documents, from_text, perplexity, scores
from helpers.trust.steering.vectors import steered
from tests.trust.families import (
    CONCEPT,
    HIGH,
    LOUD,
    LOW,
    MUSIC,
    NO,
    SOFT,
    YES,
    direction,
    native,
    planted,
)

IDS = torch.tensor(
    [
        [3, 9, 1, 7, 22, 0, 0],
        [5, 30, 0, 0, 0, 0, 0],
        [12, 2, 38, 4, 15, 6, 31],
        [8, 8, 8, 0, 0, 0, 0],
    ]
)
LENGTHS = torch.tensor([5, 2, 7, 3])
GOOD, BAD = ((1, 2), (3,), (4, 5, 6), (7,)), ((9,), (10, 11), (12,), (13, 14))
PROMPTS = Behaviour("which token", IDS, LENGTHS, GOOD, BAD)
DOCUMENTS = Documents(IDS, LENGTHS)
ALPHAS = (0.0, 1.0, -2.0, 4.0)


def pushes(model, alphas=ALPHAS):
    return torch.stack([direction(model.cfg.d_model).push(alpha) for alpha in alphas])


def one_by_one(model, layer: int, alpha: float, positions: str) -> list[float]:
    """Each prompt alone, without padding: log of summed probabilities, good − bad."""
    found = []
    for row, length in enumerate(LENGTHS.tolist()):
        with steered(model, layer, direction(model.cfg.d_model), alpha, positions=positions):
            p = model(IDS[row : row + 1, :length])[0, -1].double().softmax(-1)
        found.append(float(p[list(GOOD[row])].sum().log() - p[list(BAD[row])].sum().log()))
    return found


@torch.no_grad()
@pytest.mark.parametrize("positions", ["all", "last"])
@pytest.mark.parametrize("rows", [512, 5, 1])
def test_scores_are_those_of_each_prompt_alone(family, positions, rows, monkeypatch):
    monkeypatch.setattr(behaviours, "ROWS", rows)
    model, _ = family
    for layer in range(model.cfg.n_layers):
        found = scores(model, PROMPTS, layer, pushes(model), positions)
        expected = [one_by_one(model, layer, alpha, positions) for alpha in ALPHAS]
        np.testing.assert_allclose(found, expected, atol=2e-4)
        assert np.abs(found[0] - found[3]).max() > 0.05


@torch.no_grad()
@pytest.mark.parametrize("cells", [2**25, 600])
def test_perplexity_is_hugging_faces_loss(both, cells, monkeypatch):
    monkeypatch.setattr(behaviours, "CELLS", cells)
    model, other = both
    labels = IDS.masked_fill(torch.arange(7) >= LENGTHS[:, None], -100)
    expected = float(other(IDS, labels=labels).loss.double().exp())
    found = perplexity(model, DOCUMENTS, 1, pushes(model))
    assert found[0] == pytest.approx(expected, rel=1e-4)
    blocks = next(
        part for name, part in other.named_modules() if name.rsplit(".")[-1] in ("h", "layers")
    )
    push = direction(model.cfg.d_model).push(4.0).float()
    handle = blocks[1].register_forward_hook(
        lambda module, args, out: (
            (out[0] + push, *out[1:]) if isinstance(out, tuple) else out + push
        )
    )
    expected = float(other(IDS, labels=labels).loss.double().exp())
    handle.remove()
    assert found[3] == pytest.approx(expected, rel=1e-4)
    assert found[3] != pytest.approx(found[0], rel=1e-3)


@torch.no_grad()
def test_planted_scores_are_known_in_closed_form():
    """Between embedding and logits is a layer norm alone: (x − mean) / sd, then one dimension."""
    model = planted()
    behaviour = Behaviour(
        "yes",
        torch.tensor([[5, 0], [0, 9]]),
        torch.tensor([1, 2]),
        ((YES,), (HIGH,)),
        ((NO,), (LOW,)),
    )
    concept = torch.eye(8, dtype=torch.float64)[CONCEPT]
    found = scores(model, behaviour, 1, torch.stack([0 * concept, 3 * concept]))
    false_token = np.array([-1, -1.5, 0, 0, 2, 0, 0, 0])
    soft_token = np.eye(8)[MUSIC] * -2

    def gap(x, dimension):
        return 2 * (x[dimension] - x.mean()) / np.sqrt(x.var() + model.cfg.eps)

    for run, push in enumerate((0, 3)):
        moved = [x + push * np.eye(8)[CONCEPT] for x in (false_token, soft_token)]
        np.testing.assert_allclose(
            found[run], [gap(moved[0], CONCEPT), gap(moved[1], MUSIC)], atol=1e-5
        )
    assert found[0, 0] < 0 < found[1, 0]
    assert (LOUD, SOFT) == (8, 9)


@torch.no_grad()
def test_the_blocks_before_the_push_run_once(family):
    model, _ = family
    n_layers, counts = model.cfg.n_layers, []
    handles = [
        block.original_component.register_forward_hook(
            lambda module, args, out, i=i: counts.append((i, len(args[0])))
        )
        for i, block in enumerate(model.blocks)
    ]
    scores(model, PROMPTS, 0, pushes(model))
    for handle in handles:
        handle.remove()
    assert counts == [(0, 4)] + [(i, 16) for i in range(1, n_layers)]


@torch.no_grad()
def test_models_that_take_no_mask_are_run_push_by_push():
    model = native()
    expected = (
        scores(model, PROMPTS, 1, pushes(model)),
        perplexity(model, DOCUMENTS, 1, pushes(model)),
    )
    inner = model.original_model.forward
    model.original_model.forward = lambda input_ids: inner(input_ids)
    assert not behaviours._shares_blocks(model)
    np.testing.assert_allclose(scores(model, PROMPTS, 1, pushes(model)), expected[0], atol=1e-5)
    np.testing.assert_allclose(
        perplexity(model, DOCUMENTS, 1, pushes(model)), expected[1], rtol=1e-5
    )


@torch.no_grad()
def test_a_push_that_destroys_the_model_is_seen(family):
    model, _ = family
    huge = torch.stack([torch.zeros(model.cfg.d_model), torch.full((model.cfg.d_model,), 3e38)])
    found = scores(model, PROMPTS, 0, huge)
    assert np.isfinite(found[0]).all()
    levels = perplexity(model, DOCUMENTS, 0, huge)
    assert np.isfinite(levels[0])
    if hasattr(model.ln_final.original_component, "bias"):
        assert np.isnan(found[1]).all()
        assert levels[1] == np.inf
    else:  # an RMS norm divides by an infinite length: all logits are 0, all tokens alike
        assert levels[1] == pytest.approx(model.cfg.d_vocab)


@torch.no_grad()
def test_padding_beyond_the_context_is_never_read(both):
    """A set that is cut from a larger one keeps its width."""
    model, _ = both
    wide = torch.cat([IDS, torch.zeros(4, 2 * model.cfg.n_ctx, dtype=torch.long)], 1)
    for call, narrow, padded in (
        (scores, PROMPTS, Behaviour("x", wide, LENGTHS, GOOD, BAD)),
        (perplexity, DOCUMENTS, Documents(wide, LENGTHS)),
    ):
        np.testing.assert_array_equal(
            call(model, padded, 0, pushes(model)), call(model, narrow, 0, pushes(model))
        )


def test_a_part_keeps_what_belongs_to_each_prompt():
    part = PROMPTS[np.array([False, True, False, True])]
    assert (part.good, part.bad, part.lengths.tolist()) == (
        (GOOD[1], GOOD[3]),
        (BAD[1], BAD[3]),
        [2, 3],
    )
    assert part.groups == ("5 30", "8 8 8")  # without groups, equal prompts belong together
    assert PROMPTS[np.array([3, 0])].groups == ("8 8 8", "3 9 1 7 22")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"good": GOOD[:3]}, "for each prompt of x; got .*'good': 3"),
        ({"groups": ("a",)}, "'groups': 1"),
        ({"good": ((), *GOOD[1:])}, "disjoint sets.*prompt 0"),
        ({"bad": (*BAD[:3], (7, 8))}, "disjoint sets.*prompt 3"),
        ({"lengths": torch.tensor([5, 2, 8, 3])}, "text 2 has 8\n.*give the lengths of x"),
        ({"lengths": torch.tensor([5, 2, 0, 3])}, "text 2 has 0\n.*give the lengths of x"),
        ({"lengths": LENGTHS[:3]}, r"for each of 4 texts; got torch.int64 \[3\]"),
        ({"ids": IDS[:0], "lengths": LENGTHS[:0]}, "not empty; got .0, "),
    ],
)
def test_bad_behaviours_are_refused(changes, message):
    fields = {"name": "x", "ids": IDS, "lengths": LENGTHS, "good": GOOD, "bad": BAD}
    with pytest.raises(LabError, match=message):
        Behaviour(**fields | changes)


def test_bad_documents_tokens_and_places_are_refused():
    with pytest.raises(LabError, match="at least two tokens"):
        Documents(IDS, torch.ones(4, dtype=torch.long))
    with pytest.raises(LabError, match="as a tensor"):
        Documents(IDS[0], LENGTHS)
    model = native()
    high = Behaviour("x", IDS, LENGTHS, GOOD, (*BAD[:3], (40,)))
    with pytest.raises(
        LabError,
        match=r"tokens of x: expected token ids from 0 to 39.*got ids from 1 to 40"
        r"\n.*another model",
    ):
        scores(model, high, 0, pushes(model))
    low = Behaviour("x", IDS, LENGTHS, ((-1,), *GOOD[1:]), BAD)
    with pytest.raises(
        LabError, match=r"tokens of x: expected token ids from 0 to 39.*got ids from -1 to 14"
    ):
        scores(model, low, 0, pushes(model))
    with pytest.raises(
        LabError, match=r"tokens of x: expected token ids from 0 to 39.*got ids from -5 to 33"
    ):
        scores(model, Behaviour("x", IDS - 5, LENGTHS, GOOD, BAD), 0, pushes(model))
    with pytest.raises(
        LabError,
        match=r"tokens of documents: expected token ids from 0 to 39.*got ids from 3 to 41",
    ):
        perplexity(model, Documents(IDS + 3, LENGTHS), 0, pushes(model))
    with pytest.raises(
        LabError,
        match=r"tokens of documents: expected texts of at most 16 tokens, the model's context; "
        r"text 1 has 17",
    ):
        perplexity(
            model,
            Documents(torch.ones(2, 20, dtype=torch.long), torch.tensor([16, 17])),
            0,
            pushes(model),
        )
    for call, texts in ((scores, PROMPTS), (perplexity, DOCUMENTS)):
        for wrong in (pushes(model)[0], pushes(model)[:0]):
            with pytest.raises(LabError, match=r"pushes \[run, d\], one at least; got"):
                call(model, texts, 0, wrong)
    for call in (scores, perplexity):
        with pytest.raises(LabError, match="block from 0 to 2"):
            call(model, PROMPTS if call is scores else DOCUMENTS, 3, pushes(model))


def test_from_text_takes_words_of_one_token(shared_dir):
    from helpers import zoo

    model = zoo.load(str(shared_dir / "models" / "stories260K"), device="cpu")
    made = from_text(
        model,
        "who",
        ["Once upon a time", "One day"],
        [["She", "Lily"], ["She"]],
        [["He"], ["He", "Tim"]],
    )
    assert made.good == ((317, 338), (338,))
    assert made.bad == ((346,), (326, 346))
    assert made.ids[0, : made.lengths[0]].tolist()[-4:] == [403, 407, 261, 378]
    with pytest.raises(LabError, match="'girl' to be one known token"):
        from_text(model, "who", ["One day"], [["girl"]], [["He"]])
