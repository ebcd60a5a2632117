"""Prompts for models with GPT-2's kind of tokenizer: aligned twins, and what is refused."""

import re

import pytest
import torch

from helpers.circuits.tasks import gpt2_docstring, gpt2_greater_than, gpt2_ioi, gpt2_prompts
from helpers.circuits.tasks.gpt2_prompts import Draft
from helpers.errors import LabError
from tests.circuits.standin_tokenizer import standin

TASKS = {
    task.name: task for task in (gpt2_ioi.task(), gpt2_greater_than.task(), gpt2_docstring.task())
}
DIFFER = {
    "ioi": {
        "abc": 1,
        "abc of the released code": 2,
        "swapped": 3,
        "three new names": 3,
        "other place": 1,
        "copy": 0,
    },
    "greater-than": {"01": 1, "range": 1, "century": 2, "other event": 1, "copy": 0},
    "docstring": {"random-random": 5, "random definition": 3, "random documentation": 2, "copy": 0},
}
"""Tokens in which a prompt and its twin differ."""
ALL = [(task, corruption) for task, corruptions in DIFFER.items() for corruption in corruptions]


@pytest.fixture(params=["stand-in", "gpt2"])
def tokenizer(request):
    if request.param == "stand-in":
        return standin()
    from transformers import GPT2TokenizerFast

    folder = request.getfixturevalue("shared_dir") / "models" / "gpt2-tokenizer"
    return GPT2TokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


def words_of(tokenizer, mask) -> list[str]:
    return [tokenizer.decode([token]) for token in mask.nonzero()[:, 0].tolist()]


def test_every_corruption_is_counted():
    assert {task: list(corruptions) for task, corruptions in DIFFER.items()} == {
        name: list(task.corruptions) for name, task in TASKS.items()
    }


@pytest.mark.parametrize(("task", "corruption"), ALL)
def test_twins_are_aligned_and_differ_in_so_many_tokens(tokenizer, task, corruption):
    pairs = TASKS[task].twins(tokenizer, 60, 1, corruption)
    differ = (pairs.clean.tokens != pairs.corrupted.tokens).sum(1)
    assert (differ == DIFFER[task][corruption]).all()
    for row, text in enumerate(pairs.clean.texts):
        encoded = [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
        assert pairs.clean.tokens[row, : len(encoded)].tolist() == encoded
        assert int(pairs.clean.last[row]) == len(encoded) - 1
        real = pairs.corrupted.tokens[row, 1 : int(pairs.corrupted.last[row]) + 1]
        assert tokenizer.decode(real) == pairs.corrupted.texts[row]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_prompts_whatever_the_corruption(task):
    first, other = (
        TASKS[task].twins(standin(), 30, 5, corruption) for corruption in list(DIFFER[task])[:2]
    )
    assert first.clean.texts == other.clean.texts
    assert torch.equal(first.clean.bad, other.clean.bad)
    assert first.clean.texts != TASKS[task].twins(standin(), 30, 6).clean.texts
    assert len(set(first.clean.texts)) > 25


@pytest.mark.parametrize("task", TASKS)
def test_the_beginning_and_the_vocabulary_are_the_models_business(task):
    plain = TASKS[task].twins(standin(), 8, 0)
    bare = TASKS[task].twins(standin(), 8, 0, prepend_bos=False, d_vocab=5000)
    assert torch.equal(bare.clean.tokens, plain.clean.tokens[:, 1:])
    assert bare.clean.good.shape == (8, 5000)
    assert torch.equal(bare.clean.good.nonzero(), plain.clean.good.nonzero())


# Who is named how often, read off the text by eye: names are the words with a capital that the list
# has.


def names(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if word in gpt2_ioi.NAMES]


def test_ioi_names_the_giver_twice_and_asks_for_the_other(tokenizer):
    pairs = gpt2_ioi.task().twins(tokenizer, 200, 0)
    giver_first = 0
    for row, text in enumerate(pairs.clean.texts):
        first, second, giver = names(text)
        receiver = {first, second} - {giver}
        assert words_of(tokenizer, pairs.clean.bad[row]) == [f" {giver}"]
        assert words_of(tokenizer, pairs.clean.good[row]) == [f" {name}" for name in receiver]
        giver_first += first == giver
    assert 70 < giver_first < 130  # both orders


def test_ioi_has_fifteen_templates_of_each_order():
    assert len(set(gpt2_ioi.BABA)) == len(set(gpt2_ioi.ABBA)) == 15
    for baba, abba in zip(gpt2_ioi.BABA, gpt2_ioi.ABBA, strict=True):
        assert [re.findall(r"\{(S|IO|S2)\}", text) for text in (baba, abba)] == [
            ["S", "IO", "S2"],
            ["IO", "S", "S2"],
        ]
        assert re.sub(r"\{(S|IO)\}", "", baba) == re.sub(r"\{(S|IO)\}", "", abba)
        assert baba.endswith(" to")
        assert "{PLACE}" in baba


@pytest.mark.parametrize("corruption", ["abc", "abc of the released code", "three new names"])
def test_ioi_twins_name_three_people_once(corruption):
    pairs = gpt2_ioi.task().twins(standin(), 100, 2, corruption)
    for clean, twin in zip(pairs.clean.texts, pairs.corrupted.texts, strict=True):
        assert len(set(names(twin))) == 3
        kept = set(names(clean)) & set(names(twin))
        assert corruption != "abc" or names(twin)[:2] == names(clean)[:2]
        assert len(kept) == (0 if corruption == "three new names" else 2)
        if corruption == "abc of the released code":
            assert names(twin)[2] == names(clean)[2]
            assert (set(names(clean)) - {names(clean)[2]}) <= set(
                names(twin)[:2]
            )  # the receiver is still there


def test_ioi_swapped_asks_for_the_giver():
    pairs = gpt2_ioi.task().twins(standin(), 50, 2, "swapped")
    for clean, twin in zip(pairs.clean.texts, pairs.corrupted.texts, strict=True):
        first, second, giver = names(clean)
        other = {first: second, second: first}
        assert names(twin) == [other[first], other[second], other[giver]]


@pytest.mark.parametrize("form", gpt2_greater_than.FORMS)
def test_years_later_than_the_start_are_right(tokenizer, form):
    pairs = gpt2_greater_than.task(form).twins(tokenizer, 100, 0)
    assert pairs.metric == "difference of probabilities"
    for row, text in enumerate(pairs.clean.texts):
        century, begin, end = re.fullmatch(
            r"The \w+ lasted from the year (\d\d)(\d\d) to (?:the year )?(\d\d)", text
        ).groups()
        assert century == end
        assert ("to the year" in text) == (form == "hanna")
        good, bad = (
            sorted(words_of(tokenizer, mask[row])) for mask in (pairs.clean.good, pairs.clean.bad)
        )
        assert good == [f"{year:02d}" for year in range(int(begin) + 1, 100)]
        assert bad == [f"{year:02d}" for year in range(int(begin) + 1)]


def test_gpt2_reads_years_as_published(shared_dir):
    """In the code of arXiv 2304.14997 token 486, "01", is at position 7 without a beginning."""
    from transformers import GPT2TokenizerFast

    folder = shared_dir / "models" / "gpt2-tokenizer"
    tokenizer = GPT2TokenizerFast(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
    )
    pairs = gpt2_greater_than.task("acdc").twins(tokenizer, 40, 0, prepend_bos=False)
    assert (pairs.corrupted.tokens[:, 7] == 486).all()
    other = (
        gpt2_greater_than.task().twins(tokenizer, 200, 0, "range").corrupted
    )  # years that the tokenizer itself writes so
    assert all(
        tokenizer.encode(text) == row[1:].tolist()
        for text, row in zip(other.texts, other.tokens, strict=True)
    )
    years = gpt2_greater_than.years(tokenizer)
    assert ("17", "32") in years
    assert ("18", "30") not in years  # one token
    assert {within for century, within in years if century == "17"} == {
        f"{year:02d}" for year in range(2, 99)
    }  # 00 is one token


def test_docstring_asks_for_the_argument_after_the_documented_ones(tokenizer):
    pairs = gpt2_docstring.task().twins(tokenizer, 60, 0)
    assert pairs.metric == "margin"
    for row, (clean, twin) in enumerate(zip(pairs.clean.texts, pairs.corrupted.texts, strict=True)):
        listed, said = (
            re.search(r"self, (.*)\):", clean).group(1).split(", "),
            re.findall(r":param (\w+):", clean),
        )
        assert len(listed) == 6
        assert said == listed[2:4]
        assert words_of(tokenizer, pairs.clean.good[row]) == [f" {listed[4]}"]
        other, documented = (
            re.search(r"self, (.*)\):", twin).group(1).split(", "),
            re.findall(r":param (\w+):", twin),
        )
        assert [old == new for old, new in zip(listed, other, strict=True)] == [
            True,
            True,
            False,
            False,
            False,
            True,
        ]
        assert not {*other[2:5], *documented} & {*listed}
        assert not {*documented} & {*other}
        wrong = {f" {word}" for word in (*listed, *other, *documented)} - {f" {listed[4]}"}
        assert set(words_of(tokenizer, pairs.clean.bad[row])) == wrong
        assert len(wrong) == 10


def test_twins_are_drawn_anew_for_each_seed():
    drafts = [Draft("", {"S": "Mary", "IO": "John", "S2": "Mary"}, ("a",), ("b",))] * 20
    pools = {"names": gpt2_ioi.NAMES}
    first, same, other = (gpt2_ioi.task().changed(drafts, None, pools, seed) for seed in (0, 0, 1))
    assert first == same != other


def test_a_name_of_several_tokens_is_refused():
    with pytest.raises(LabError, match="expected ' Bartholomew' to be one token"):
        gpt2_ioi.task(("Mary", "John", "Tom", "Ben", "Bartholomew")).twins(standin(), 4)
    with pytest.raises(LabError, match="expected at least 5 words that are one token each"):
        gpt2_ioi.task(("Mary", "John", "Tom", "Ben", "Ben")).twins(standin(), 4)


def test_prompts_of_one_class_are_refused():
    draft = Draft("The {A}", {"A": "war"}, (" war",), ())
    with pytest.raises(LabError, match="expected prompts with right and wrong answers for test"):
        gpt2_prompts.pairs(standin(), "test", "margin", [draft], [draft.values])
    with pytest.raises(LabError, match="got 0 prompts"):
        gpt2_ioi.task().twins(standin(), 0)
    both = Draft("The {A}", {"A": "war"}, (" war",), (" war", " siege"))
    with pytest.raises(LabError, match="expected no answer to be right and wrong"):
        gpt2_prompts.pairs(standin(), "test", "margin", [both], [both.values])


def test_words_that_run_together_are_refused():
    draft = Draft("a {A}{B}", {"A": "17", "B": "18"}, (" war",), (" siege",))
    gpt2_prompts.pairs(standin(), "test", "margin", [draft], [draft.values])
    joined = Draft("a {A}{B}", {"A": "1", "B": "7"}, (" war",), (" siege",))
    with pytest.raises(
        LabError, match="expected the words of a prompt to be tokens in the whole text"
    ):
        gpt2_prompts.pairs(standin(), "test", "margin", [joined], [joined.values])


def test_a_twin_of_another_length_is_refused():
    draft = Draft("The {A} of", {"A": "war"}, (" war",), (" siege",))
    with pytest.raises(LabError, match="to be one token"):
        gpt2_prompts.pairs(standin(), "test", "margin", [draft], [{"A": "Bartholomew"}])


def test_other_tokenizers_are_refused():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(
        models.WordLevel({f"{digit}": digit for digit in range(10)} | {"?": 10}, unk_token="?")
    )
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    digits = PreTrainedTokenizerFast(tokenizer_object=core)
    with pytest.raises(LabError, match="to be one token"):
        gpt2_greater_than.task().twins(digits, 2)
    with pytest.raises(
        LabError, match="expected a tokenizer that splits years into century and year"
    ):
        gpt2_greater_than.years(digits)
    with pytest.raises(LabError, match="expected a tokenizer with a token that begins a text"):
        gpt2_prompts.start(digits, True)


@pytest.mark.parametrize("task", TASKS)
def test_unknown_names_are_refused(task):
    with pytest.raises(LabError, match=f"expected a corruption of {task}: "):
        TASKS[task].twins(standin(), 2, corruption="worse")
    with pytest.raises(LabError, match="expected a form of the sentence: hanna, acdc"):
        gpt2_greater_than.task("other")
