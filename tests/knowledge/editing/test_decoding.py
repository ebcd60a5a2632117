"""What an edited model says freely, beside what it says when it is led."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, drawn, edit
from helpers.knowledge.editing.decoding import Counted, continued, decode, forced
from helpers.knowledge.facts import divided, facts
from helpers.knowledge.masks import blocks
from helpers.stats import clopper_pearson
from helpers.tinyworld.language import vocabulary

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS, WORDS = blocks.of(MODEL), vocabulary()
ASKED = drawn(divided()[1], 4, FRAME)
STOP = WORDS.token(".")
EDITED = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=12))
UNEDITED = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
BEFORE = [WORDS.encode("the trout is usually brown .", begin=False)]


def test_free_text_is_the_model_s_own_word_by_word():
    prompt = WORDS.encode("the owl is a kind of")
    with torch.no_grad():
        row = list(prompt)
        for _ in range(5):
            row.append(int(MODEL(torch.tensor([row]))[0, -1].argmax()))
    assert continued(ITS, ITS.values, prompt, 5) == row[len(prompt) :]
    assert WORDS.decode(row[len(prompt) : len(prompt) + 2]) == "bird ."


def test_edited_models_say_the_new_answer_and_others_do_not():
    for edited, said in ((EDITED, True), (UNEDITED, False)):
        found = decode(ITS, ASKED, edited, texts=BEFORE)
        assert (found.answers == said).all()
        assert (found.free == said).all()
    assert found.said[:, 0].tolist() == ASKED.asked.answers.tolist()
    assert not found.after_text.any()


def test_what_is_led_at_every_token_is_what_is_said_freely():
    """Greedy text cannot leave a target that is likeliest at each token, nor follow another one:
    the two exact matches are one number, whatever the target."""
    frames = ("the {entity} is a kind of",)
    of = facts("kind", divided()[1][:12], frames)
    words = [WORDS.token(w) for w in ([".", ",", "tree", "and", "the", "is"])]
    for number in range(12):
        prompt = of.tokens[number, : int(of.last[number]) + 1].tolist()
        own = continued(ITS, ITS.values, prompt, 3)
        for target in (own, [own[0], words[number % 6], own[2]], [words[2], *own[1:]]):
            led = forced(ITS, ITS.values, prompt, target)
            assert all(led) == (continued(ITS, ITS.values, prompt, 3) == target)


def test_led_tokens_count_what_is_never_said():
    """The answer is wrong, but led behind it the full stop is right: half the tokens, no text."""
    found = decode(ITS, ASKED, UNEDITED, ending=[STOP], more=1)
    assert found.led.tolist() == [[False, True]] * 4
    shares = found.shares()
    assert (shares["led, tokens"].right, shares["led, tokens"].trials) == (4, 8)
    assert shares["led, exact"].right == shares["free, exact"].right == 0
    # two tokens of one fact are one trial at worst: 2 of 4, not 4 of 8
    assert shares["led, tokens"].ci95 == clopper_pearson(2, 4)
    assert shares["led, exact"].ci95 == clopper_pearson(0, 4)
    assert found.said.shape == (4, 3)
    assert "free, after other text" not in shares


def test_an_interval_over_facts_takes_the_ends_of_the_whole_counts_around_a_share():
    assert Counted(5, 8, 4).ci95 == (clopper_pearson(2, 4)[0], clopper_pearson(3, 4)[1])
    assert Counted(5, 8, 8).ci95 == clopper_pearson(5, 8)
    assert Counted(0, 80, 4).ci95[1] == pytest.approx(1 - 0.025 ** (1 / 4))


def test_a_text_before_the_prompt_is_really_there():
    """A model that is asked behind a text is fed both, with one beginning mark."""
    prompt = [1, *BEFORE[0], *WORDS.encode("the owl is a kind of", begin=False)]
    of = ASKED.only([0])
    behind = [1, *BEFORE[0], *of.asked.tokens[0, 1 : int(of.asked.last[0]) + 1].tolist()]
    edited = edit(ITS, of, torch.ones(len(ITS)), EditSettings(steps=12))
    found = decode(ITS, of, edited, texts=BEFORE)
    said = continued(ITS, edited.values[0], behind, 1)[0]
    assert found.after_text.tolist() == [[said == int(of.new[0])]]
    assert continued(ITS, ITS.values, prompt, 1) == [WORDS.token("bird")]
    old = continued(ITS, ITS.values, behind, 1)[0]
    assert found.undisturbed.tolist() == [[old == int(of.asked.answers[0])]]


@pytest.mark.parametrize(
    ("prompt", "count", "words"),
    [
        ([], 1, "expected token ids"),
        ([1, 10**6], 1, "expected token ids from 0 to 992"),
        ([1, -1], 1, "expected token ids from 0 to 992"),
        ([1, 1.5], 1, "expected token ids as whole numbers"),
        ([1] * 64, 1, "expected texts of at most 64 tokens"),
        ([1], 0, "expected a number of tokens to say of at least 1"),
        ([1], 2.5, "expected a number of tokens to say of at least 1"),
    ],
)
def test_prompts_that_are_none_are_refused(prompt, count, words):
    with pytest.raises(LabError, match=words):
        continued(ITS, ITS.values, prompt, count)


def test_weights_that_say_nan_and_edits_of_others_are_refused():
    with pytest.raises(LabError, match="expected finite weights"):
        continued(ITS, ITS.values * torch.nan, [1], 1)
    with pytest.raises(LabError, match="expected the edits of 1 requests; got 4"):
        decode(ITS, ASKED.only([0]), EDITED)
    with pytest.raises(LabError, match="expected a number of tokens to say of at least 1"):
        forced(ITS, ITS.values, [1], [])
    for target in ([5], [5, 6]):  # the first would have been compared with nothing
        with pytest.raises(LabError, match="expected a number of tokens of a prompt of at least 1"):
            forced(ITS, ITS.values, [], target)
    with pytest.raises(LabError, match="expected texts of at most 64 tokens"):
        decode(
            ITS,
            ASKED.only([0]),
            edit(ITS, ASKED.only([0]), torch.ones(len(ITS)), EditSettings(steps=1)),
            texts=[[5] * 60],
        )
