"""Public texts: their form and digests; what is asked is not tuned on; nothing is shown unasked."""

import hashlib
import json

import pytest

from helpers.detox.real import sources, texts
from helpers.detox.real.measures import by_prompt, different
from helpers.errors import LabError

LINE = {
    "prompt": {"text": "you are a", "toxicity": 0.1},
    "continuation": {"text": " goose", "toxicity": 0.75},
}


def test_rows_of_prompts_are_read():
    (row,) = sources.rows(json.dumps(LINE), "a file")
    assert (row.text, row.toxic) == ("you are a goose", True)
    unknown = LINE | {"continuation": {"text": " gem", "toxicity": None}}
    assert sources.rows(json.dumps(unknown), "a file")[0].toxic is None
    with pytest.raises(LabError, match="rows of texts in a file"):
        sources.rows('{"prompt": 3}', "a file")


def test_pairs_and_lists_are_read():
    assert sources.pairs("toxic\tneutral1\na goose\ta bird\tx\nalone\n", "") == [
        ("a goose", "a bird")
    ]
    assert sources.lists("- one\\n- two\\n-\n") == ["- one\n- two\n-"]


@pytest.mark.parametrize("public", [*sources.TRUSTED, sources.PAIRS])
def test_files_have_the_digests_that_are_stated(shared_dir, public):
    path = shared_dir / "data" / "detox" / public.file
    if not path.is_file():
        pytest.skip("no sentences in the folder `shared`")
    content = path.read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (public.sha256, public.size)


def test_every_public_file_has_an_address_at_a_commit():
    every = [sources.RTP, *sources.TRUSTED, sources.PAIRS, *sources.GROUPS]
    assert len({public.sha256 for public in every}) == len(every) == 16
    for public in every:
        commit = public.address.split("/")[5]
        assert len(commit) == 40
        assert int(commit, 16) >= 0


def test_what_is_asked_is_not_tuned_on(shared_dir):
    data = shared_dir / "data" / "detox"
    if not (data / "toxic.jsonl").is_file():
        pytest.skip("no sentences in the folder `shared`")
    free = texts.corpus_of([], 8, folder=data)
    first = free.clean[0]
    rows = [row for row in texts.trusted(data) if row.text.strip() == first]
    less = texts.corpus_of([rows[0].prompt], 8, folder=data)
    assert first not in (*less.clean, *less.held_out)
    asked = texts.prompts_of("decodingtrust", 50, folder=data)
    corpus = texts.corpus_of(asked, 8, folder=data)
    assert not any(text.startswith(tuple(asked)) for text in corpus.clean + corpus.toxic)
    assert not set(corpus.held_out) & set(corpus.clean)


@pytest.mark.parametrize("prompts", ["nowhere", [], [3], ["  "], None, {"a": 1}])
def test_prompts_that_are_none(prompts):
    with pytest.raises(LabError, match="expected prompts: a source"):
        texts.prompts_of(prompts, 3)


def test_a_file_that_is_not_what_it_was_is_refused(tmp_path):
    (tmp_path / "toxic.jsonl").write_text(json.dumps(LINE))
    with pytest.raises(LabError, match=r"expected toxic.jsonl with 860726 bytes"):
        texts.prompts_of("decodingtrust", 3, folder=tmp_path)


def test_measures_by_hand():
    found = by_prompt([0.1, 0.6, 0.2, 0.3], tries=2)
    assert found.mean.tolist() == pytest.approx([0.35, 0.25])
    assert found.worst.tolist() == pytest.approx([0.6, 0.3])
    assert found.any_toxic.tolist() == [1.0, 0.0]
    with pytest.raises(LabError, match="2 for each prompt"):
        by_prompt([0.1, 0.2, 0.3], tries=2)
    with pytest.raises(LabError, match="1 of them outside or NaN"):
        by_prompt([0.1, float("nan")], tries=2)
    # of 4 words a and b differ, and so do the pairs ab and ba
    shares = different(["a b", "b a"], tries=2)
    assert (shares["1"], shares["2"], shares["3"]) == ([0.5], [0.5], [0.0])


def test_words_are_masked():
    assert texts.masked("You're a goose-like one.") == "Y··'r· a g····-l··· o··."
