"""Keys and matrices of MLPs: what the model itself computes, and facts that are known."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import drawn
from helpers.knowledge.editing.memory import (
    contexts,
    keys,
    output_matrix,
    recorded,
    second_moment,
)
from helpers.knowledge.facts import divided, factnet, facts
from helpers.knowledge.masks import blocks
from helpers.tinyworld.language import vocabulary
from tests.circuits import random_models
from tests.knowledge.editing.rivals import become, of_random, random_requests, token

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 3, FRAME)


@pytest.mark.parametrize("make", [random_models.gpt2, random_models.gpt_neo])
@pytest.mark.parametrize("whole", [False, True])
def test_the_matrix_is_found_whichever_way_a_model_keeps_it(tmp_path, make, whole):
    model = make(tmp_path)
    weights = blocks.of(model, whole=whole)
    matrix = output_matrix(weights, 1)
    tokens = torch.tensor([[1, 5, 6, 7]])
    key, written = recorded(weights, weights.values, 1, tokens)
    bias = weights.tensors(weights.values)["blocks.1.mlp.out.bias"]
    w = matrix.of(weights.values)
    assert w.shape == (16, key.shape[-1])
    assert torch.allclose(key @ w.T + bias, written, atol=1e-5)
    change = torch.randn(w.shape, generator=torch.Generator().manual_seed(0))
    after = matrix.changed(weights.values, change)
    assert torch.allclose(matrix.of(after), w + change, atol=1e-6)
    assert torch.equal(after[matrix.mask == 0], weights.values[matrix.mask == 0])
    _, other = recorded(weights, after, 1, tokens)
    assert torch.allclose(other, key @ (w + change).T + bias, atol=1e-4)


def test_a_key_of_factnet_is_the_neuron_of_its_fact():
    net = factnet.build(loudness=0.0)
    asked = become(wren="tree", pike="bird")
    matrix = output_matrix(blocks.of(net.model), 0)
    found = keys(matrix, matrix.weights.values, contexts(asked))
    expected = torch.zeros(2, factnet.D_MLP)
    for row, name in enumerate(("wren", "pike")):
        expected[row, net.fact_rows[name][0]] = 1
    assert torch.allclose(found, expected, atol=1e-4)
    half = keys(matrix, matrix.weights.values, contexts(asked, "subject", tokens_of=token))
    assert torch.allclose(half, expected / 2, atol=1e-4), "there it looks at both places alike"


def test_contexts_are_the_prompt_alone_after_texts_and_in_other_frames():
    words = vocabulary()
    prefix = words.encode("an owl is a bird .")
    also = facts("kind", [*ASKED.asked.subjects, "owl"], ["every {entity} is a kind of"])
    given = contexts(ASKED, "subject", [prefix], also)
    subject = ASKED.asked.subjects[0]
    texts = [
        f"<begin> the {subject} is a kind of",
        f"<begin> an owl is a bird . the {subject} is a kind of",
        f"<begin> every {subject} is a kind of",
    ]
    unmarked = contexts(ASKED, "subject", [prefix[1:]], also)
    assert torch.equal(given.tokens, unmarked.tokens), "with its mark or without"
    assert torch.equal(given.at, unmarked.at)
    assert given.subjects == ASKED.asked.subjects
    mine = (given.fact == 0).nonzero().flatten().tolist()
    assert [words.decode(given.tokens[row].tolist()) for row in mine] == texts
    assert len(given.tokens) == 9, "another subject's prompts are left out"
    rows = torch.arange(9)
    names = [words.words[t] for t in given.tokens[rows, given.at]]
    assert names == [ASKED.asked.subjects[number] for number in given.fact.tolist()]
    assert {words.words[t] for t in given.tokens[rows, given.last]} == {"of"}


def test_means_are_over_the_contexts_of_each_fact():
    given = contexts(ASKED, "last", [[7, 5]])
    values = torch.arange(6.0)[:, None]
    assert given.mean(values).flatten().tolist() == [0.5, 2.5, 4.5]
    inner, _ = recorded(ITS, ITS.values, 2, given.tokens)
    expected = (inner[::2, 6] + inner[1::2, 8]) / 2
    assert torch.allclose(keys(output_matrix(ITS, 2), ITS.values, given), expected, atol=1e-5)


def test_the_second_moment_is_of_all_tokens_but_padding():
    rows = torch.tensor([[1, 5, 6, 0], [1, 7, 0, 0]])
    inner, _ = recorded(ITS, ITS.values, 1, rows)
    real = torch.cat([inner[0, :3], inner[1, :2]]).double()
    expected = sum(torch.outer(k, k) for k in real) / 5
    matrix = output_matrix(ITS, 1)
    assert torch.allclose(second_moment(matrix, rows, lengths=torch.tensor([3, 2])), expected)
    part = second_moment(matrix, torch.tensor([[1, 0, 6]]))  # 0 inside a text is a token
    inner, _ = recorded(ITS, ITS.values, 1, torch.tensor([[1, 0, 6]]))
    assert torch.allclose(part, sum(torch.outer(k, k) for k in inner[0].double()) / 3)


def test_a_recorded_model_keeps_no_hook_and_no_other_weights():
    said = MODEL(ASKED.asked.tokens).detach()
    recorded(ITS, 0 * ITS.values, 0, ASKED.asked.tokens)
    assert torch.equal(MODEL(ASKED.asked.tokens), said)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: output_matrix(ITS, 4), "expected a layer with an MLP, 0 to 3; got 4"),
        (lambda: output_matrix(ITS, -1), "expected a number of a layer of at least 0"),
        (lambda: output_matrix(ITS, 0.5), "expected a number of a layer of at least 0"),
        (
            lambda: output_matrix(blocks.of(random_models.native(attn_only=True, d_mlp=None)), 0),
            "expected a layer with an MLP",
        ),
        (
            lambda: second_moment(output_matrix(ITS, 0), torch.zeros(2, 3, dtype=torch.long)),
            "expected lengths of rows of ordinary text that may be padded; got none, and 2 rows",
        ),
        (
            lambda: second_moment(output_matrix(ITS, 0), torch.full((2, 3), 9999)),
            "expected token ids from 0 to 992",
        ),
        (lambda: contexts(random_requests(), "subject"), "expected prompts that name their"),
        (
            lambda: recorded(ITS, ITS.values * torch.nan, 0, ASKED.asked.tokens),
            "expected finite weights",
        ),
        (
            lambda: keys(output_matrix(ITS, 0), ITS.values, contexts(ASKED, prefixes=[[1] * 60])),
            "expected texts of at most 64 tokens",
        ),
    ],
)
def test_what_is_no_memory_is_refused(call, words):
    with pytest.raises(LabError, match=words):
        call()


def test_names_of_another_vocabulary_are_found():
    given = contexts(random_requests(), "subject", tokens_of=of_random)
    assert given.at.tolist() == [1, 2]
