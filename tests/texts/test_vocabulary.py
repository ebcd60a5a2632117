"""Vocabularies: text to tokens and back, and the same through the transformers library."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import training
from helpers.errors import LabError
from helpers.texts import BEGIN, PAD, SPECIAL, UNKNOWN, Vocabulary
from helpers.tinyworld.language import documents
from helpers.tinyworld.language import vocabulary as tinyworld
from helpers.training import Recipe

FEW = Vocabulary((*SPECIAL, "an", "owl", ".", ",", "("))


def test_one_word_is_one_token_after_the_mark_of_the_beginning():
    assert FEW.encode("an owl .") == [BEGIN, 3, 4, 5]
    assert FEW.encode("an owl .", begin=False) == [3, 4, 5]
    assert FEW.encode("") == [BEGIN]
    assert FEW.token("owl") == 4
    assert len(FEW) == 8


@settings(deadline=None)
@given(st.lists(st.sampled_from(tinyworld().words[3:]), max_size=30))
def test_decoding_undoes_encoding(words):
    text = " ".join(words)
    tokens = tinyworld().encode(text)
    assert tinyworld().decode(tokens).split() == ["<begin>", *words]
    assert tinyworld().decode([*tokens, PAD, PAD]) == tinyworld().decode(tokens)
    assert tinyworld().encode(text, begin=False) == tokens[1:]


@pytest.mark.parametrize("text", ["a owl", "an owl.", "An owl", "an  owl !"])
def test_a_word_that_is_not_there_is_refused_and_named(text):
    missing = next(word for word in text.split() if word not in FEW.words)
    with pytest.raises(LabError, match=r"vocabulary of 8.*got") as refused:
        FEW.encode(text)
    assert repr(missing) in str(refused.value)


def test_the_checksum_changes_with_a_word_and_with_its_place():
    words = list(FEW.words)
    swapped, other = [*words], [*words]
    swapped[3], swapped[4] = words[4], words[3]
    other[3] = "the"
    found = [Vocabulary(tuple(each)).checksum for each in (words, swapped, other, words)]
    assert len(set(found)) == 3
    assert found[0] == found[3]
    assert len(found[0]) == 12


def test_the_tokenizer_of_the_transformers_library_agrees_on_every_kind_of_document():
    rng, known = random.Random(0), tinyworld()
    tokenizer = known.tokenizer()
    for kind in documents.WRITERS:
        texts = [documents.document(rng, kind) for _ in range(20)]
        assert tokenizer(texts)["input_ids"] == [known.encode(text) for text in texts]
    assert (
        tokenizer.decode(known.encode("an owl is a bird ."), skip_special_tokens=True)
        == "an owl is a bird ."
    )


def test_the_tokenizer_pads_on_the_right_and_marks_what_it_does_not_know():
    tokenizer = FEW.tokenizer()
    both = tokenizer(["an owl", "owl"], padding=True)
    assert both["input_ids"] == [[BEGIN, 3, 4], [BEGIN, 4, PAD]]
    assert both["attention_mask"] == [[1, 1, 1], [1, 1, 0]]
    assert tokenizer("an eagle")["input_ids"] == [BEGIN, 3, UNKNOWN]


def test_a_model_takes_text_once_it_has_its_vocabulary():
    shape = {
        "n_layers": 1,
        "n_heads": 1,
        "d_model": 4,
        "d_head": 4,
        "n_ctx": 8,
        "d_vocab": 8,
        "attn_only": True,
    }
    recipe = Recipe("toy", "text", shape | {"normalization_type": "LN"}, {}, 1, 1, 1e-3, 1)
    model = training.build_model(recipe)
    FEW.attach(model)
    assert model.to_tokens("an owl .").tolist() == [FEW.encode("an owl .")]
    assert model.to_tokens(["an owl .", "an"]).tolist() == [[BEGIN, 3, 4, 5], [BEGIN, 3, PAD, PAD]]
    assert torch.equal(model("an owl ."), model(torch.tensor([FEW.encode("an owl .")])))


def test_a_model_does_not_take_a_vocabulary_of_another_size():
    shape = {
        "n_layers": 1,
        "n_heads": 1,
        "d_model": 8,
        "d_head": 8,
        "d_mlp": 8,
        "act_fn": "relu",
        "n_ctx": 8,
        "d_vocab": 9,
    }
    recipe = Recipe("small", "tinyworld", shape | {"normalization_type": "LN"}, {}, 1, 1, 1e-3, 1)
    with pytest.raises(LabError, match="expected a vocabulary of 9 words for the model; got 8"):
        FEW.attach(training.build_model(recipe))
