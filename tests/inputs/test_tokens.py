"""Padding on the right is told from padding on the left, for tokenizers of every family."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.inputs import check_lengths, check_right_padding, pads
from helpers.texts import Prompts, final_logits
from helpers.trust.data import controls
from helpers.trust.series import activations
from helpers.trust.steering import behaviours
from tests.trust.families import planted

pytestmark = pytest.mark.core


def model_of(pad: int | None, begin: int | None, end: int | None) -> SimpleNamespace:
    names = {"pad_token_id": pad, "bos_token_id": begin, "eos_token_id": end}
    return SimpleNamespace(tokenizer=SimpleNamespace(**names))


GPT2 = model_of(50256, 50256, 50256)
PYTHIA = model_of(None, 0, 0)
PYTHIA_PADDED = model_of(1, 0, 0)
LLAMA = model_of(None, 1, 2)
WORDS = model_of(0, 1, 2)

RIGHT = {
    "nothing is padded": (WORDS, [[1, 5, 6], [1, 8, 9]], [3, 3]),
    "an earlier position is read": (WORDS, [[1, 5, 6, 7], [1, 8, 9, 3]], [3, 3]),
    "an earlier position, begin is 0": (PYTHIA, [[0, 5, 6, 7], [0, 8, 9, 3]], [3, 3]),
    "an earlier position of one text": (PYTHIA, [[0, 5, 6, 7], [0, 8, 9, 3]], [4, 3]),
    "an earlier position, any model": (None, [[1, 5, 6, 7], [1, 8, 9, 3]], [3, 3]),
    "begin is 0, pad is 1": (PYTHIA_PADDED, [[0, 5, 6, 7], [0, 8, 9, 1]], [4, 3]),
    "begin is 0, pad is 1, any model": (None, [[0, 5, 6, 7], [0, 8, 9, 1]], [4, 3]),
    "begin is 0, pads are 1": (PYTHIA_PADDED, [[0, 5, 6, 7], [0, 1, 1, 1]], [4, 1]),
    "pad is begin": (GPT2, [[50256, 5, 6, 7], [50256, 8, 9, 50256]], [4, 3]),
    "texts begin with one word": (GPT2, [[5, 6, 7, 8], [5, 9, 4, 2], [5, 3, 4, 1]], [4, 3, 3]),
    "what stands in the padding differs": (LLAMA, [[1, 5, 6], [1, 8, 4], [1, 8, 3]], [3, 2, 2]),
    "padded with an end": (LLAMA, [[1, 5, 6, 7], [1, 8, 2, 2]], [4, 2]),
    "padded with a token that nothing names": (WORDS, [[5, 5, 6, 7], [5, 5, 9, 9]], [4, 2]),
    "one text": (WORDS, [[1, 5, 6, 7]], [3]),
}
LEFT = {
    "full stops at the end": (
        GPT2,
        [[50256, 5, 6, 13], [50256, 9, 4, 13], [1, 2, 3, 7]],
        [3, 3, 4],
        50256,
    ),
    "pad is begin, and both stand there": (PYTHIA, [[0, 0, 5, 6], [0, 7, 8, 9]], [3, 4], 0),
    "the end as pad": (LLAMA, [[2, 1, 5, 6], [1, 7, 8, 9]], [3, 4], 2),
    "pad before begin": (WORDS, [[0, 1, 5, 6], [0, 1, 7, 8]], [3, 3], 0),
    "different lengths": (WORDS, [[0, 0, 1, 6], [0, 1, 7, 8], [1, 5, 6, 7]], [2, 3, 4], 0),
    "one text": (WORDS, [[0, 1, 5, 6]], [3], 0),
    "a pad that nothing names": (WORDS, [[9, 9, 1, 6], [9, 1, 7, 8], [1, 5, 6, 7]], [2, 3, 4], 9),
    "any model": (None, [[0, 5, 6, 13], [0, 9, 4, 13], [1, 2, 3, 7]], [3, 3, 4], 0),
}


@pytest.mark.parametrize("case", RIGHT)
def test_padding_on_the_right_is_taken(case):
    model, ids, lengths = RIGHT[case]
    check_right_padding(torch.tensor(ids), torch.tensor(lengths), model=model)


@pytest.mark.parametrize("case", LEFT)
def test_padding_on_the_left_is_refused(case):
    model, ids, lengths, pad = LEFT[case]
    with pytest.raises(LabError, match=rf"texts padded on the right; got {pad} in front of all"):
        check_right_padding(torch.tensor(ids), torch.tensor(lengths), model=model)


def test_the_pads_of_a_model():
    assert pads(GPT2) == {0, 50256}
    assert pads(PYTHIA) == {0}
    assert pads(PYTHIA_PADDED) == {0, 1}
    assert pads(LLAMA) == {0, 2}
    assert pads(None) == pads(SimpleNamespace()) == {0}


# every function that reads a last token, on a model of 16 tokens


def last_token(model, ids, lengths):
    activations.last_token(model, ids, lengths)


def logits(model, ids, lengths):
    words = torch.zeros(len(ids), 16, dtype=torch.bool)
    good, bad = words.clone(), words.clone()
    good[:, 3], bad[:, 4] = True, True
    prompts = Prompts("texts", ("",) * len(ids), ids, lengths - 1, good, bad)
    final_logits(model, prompts)


def scores(model, ids, lengths):
    asked = behaviours.Behaviour("b", ids, lengths, ((3,),) * len(ids), ((4,),) * len(ids))
    behaviours.scores(model, asked, 0, torch.zeros(1, model.cfg.d_model))


def perplexity(model, ids, lengths):
    pages = behaviours.Documents(ids, lengths)
    behaviours.perplexity(model, pages, 0, torch.zeros(1, model.cfg.d_model))


def shuffled(model, ids, lengths):
    controls.shuffled_tokens(ids, lengths)


READERS = (last_token, logits, scores, perplexity, shuffled)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("case", [case for case, (model, *_) in RIGHT.items() if model != GPT2])
def test_every_reader_takes_padding_on_the_right(read, case):
    like, ids, lengths = RIGHT[case]
    model = planted()
    if like:
        model.tokenizer = like.tokenizer
    if model.cfg.n_ctx < len(ids[0]):
        pytest.skip("longer than the model's context")
    read(model, torch.tensor(ids), torch.tensor(lengths))


@pytest.mark.parametrize("read", READERS[:4])
def test_every_reader_knows_the_pads_of_the_model(read):
    """The end of a text as padding, and texts with one last word: 0 alone would not show it."""
    model = planted()
    model.tokenizer = model_of(7, 7, 7).tokenizer
    ids = torch.tensor([[7, 5, 6, 3], [7, 2, 4, 3], [1, 2, 3, 6]])
    with pytest.raises(LabError, match="padded on the right; got 7 in front"):
        read(model, ids, torch.tensor([3, 3, 4]))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_whole_numbers_of_any_size_are_tokens(dtype):
    """As `token_ids` takes them: NumPy and other libraries give 32 bits."""
    ids, lengths = torch.tensor([[1, 5, 6], [1, 8, 0]]), torch.tensor([3, 2])
    words = torch.eye(14, dtype=torch.bool)[:2]
    made = Prompts("x", ("", ""), ids.to(dtype), (lengths - 1).to(dtype), words, words.flip(0))
    assert made.tokens.dtype == made.last.dtype == torch.int64
    assert torch.equal(final_logits(planted(), made), planted()(ids)[[0, 1], lengths - 1])
    pages = behaviours.Documents(ids.to(dtype), lengths.to(dtype))
    assert pages.ids.dtype == pages.lengths.dtype == torch.int64


@pytest.mark.parametrize(
    "lengths",
    [None, "33", [3, None], [3.0, 2.0], [True, True], [3, 2, 1], [[3], [2]], 3, [3, 4], []],
)
def test_lengths_in_any_other_form_are_a_sentence(lengths):
    with pytest.raises(LabError, match="expected a length of 1 to 3 for each of 2 texts"):
        check_lengths(lengths, 2, 3)


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda x: np.array(x, ">i4"), torch.tensor]
)
def test_whole_lengths_in_any_form_are_taken(kind):
    assert check_lengths(kind([3, 2]), 2, 3).tolist() == [3, 2]
