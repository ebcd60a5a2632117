"""Pairs from a table of one's own: what is read is what was meant, or the row is named."""

import csv
import math
import re
from pathlib import Path

import pytest
import torch

from helpers import zoo
from helpers.circuits.graph import Graph
from helpers.circuits.oracle import oracle
from helpers.circuits.rivals import acdc, eap
from helpers.circuits.tasks import tinyworld, twins_from_text
from helpers.errors import LabError
from helpers.texts import final_logits
from helpers.tinyworld.language import vocabulary
from tests.circuits.standin_tokenizer import END, standin

CLEAN = [
    "at the library jonas saw tara . then tara threw the map to",
    "everyone asked about vera . when vera and frida went to the school , frida gave the map to",
]
TWINS = [
    "at the library jonas saw tara . then greta threw the map to",
    "everyone asked about vera . when vera and frida went to the school , finn gave the map to",
]
GOOD, BAD = ["jonas", "vera"], ["tara", "frida"]


@pytest.fixture(scope="module")
def model():
    return zoo.load("tinyworld-attn")


def given(**changed) -> dict:
    return {"clean": CLEAN, "corrupted": TWINS, "good": GOOD, "bad": BAD} | changed


def said(source, **changed) -> str:
    with pytest.raises(LabError) as fault:
        twins_from_text(source, **given(**changed))
    return str(fault.value)


def english(**changed) -> dict:
    """For a tokenizer that keeps spaces, such as GPT-2's."""
    texts = {
        "clean": ["When Mary and John went to the store, John gave a drink to"],
        "corrupted": ["When Mary and John went to the store, Anna gave a drink to"],
        "good": " Mary",
        "bad": " John",
    }
    return texts | changed


def test_the_task_of_tinyworld_from_its_own_texts(model) -> None:
    """Text by text the pairs that the package makes by itself."""
    ours = tinyworld.twins("ioi", 30)
    words = vocabulary().words
    named = [
        [words[int(mask.nonzero()[0])] for mask in side]
        for side in (ours.clean.good, ours.clean.bad)
    ]
    for source in (model, model.tokenizer, vocabulary(), vocabulary().tokenizer()):
        pairs = twins_from_text(source, ours.clean.texts, ours.corrupted.texts, *named)
        for side in ("clean", "corrupted"):
            for part in ("tokens", "last", "good", "bad"):
                assert torch.equal(
                    getattr(getattr(pairs, side), part), getattr(getattr(ours, side), part)
                )


@pytest.mark.parametrize(
    "columns",
    [
        {"good": "vera", "bad": "frida"},
        {"good": [["jonas", "vera"], ["vera"]], "bad": [("tara", "greta"), "frida"]},
        {"good": iter(GOOD), "bad": tuple(BAD), "clean": tuple(CLEAN), "corrupted": iter(TWINS)},
    ],
)
def test_answers_are_one_word_for_all_or_one_or_several_for_each(columns: dict) -> None:
    pairs = twins_from_text(vocabulary(), **given(**columns))
    wanted = list(columns["good"]) if isinstance(columns["good"], list) else None
    if wanted:
        assert pairs.clean.good.sum(1).tolist() == [2, 1]
        assert pairs.clean.bad.sum(1).tolist() == [2, 1]
    else:
        assert pairs.clean.good.sum(1).tolist() == [1, 1]
    assert pairs.differs.sum(1).tolist() == [1, 1]
    assert pairs.clean.last.tolist() == [13, 19]


NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"corrupted": TWINS[:1]}, "got 2 clean texts and 1 corrupted ones"),
        ({"clean": [], "corrupted": []}, "expected at least one prompt"),
        ({"clean": [CLEAN[0], NAN]}, "every row of clean; row 1 is nan"),
        ({"corrupted": [TWINS[0], None]}, "every row of corrupted; row 1 is None"),
        ({"corrupted": [TWINS[0], "  "]}, "every row of corrupted; row 1 is '  '"),
        ({"good": ["jonas", NAN]}, "every row of good; row 1 is nan"),
        ({"bad": ["", "frida"]}, "every row of bad; row 0 is ''"),
        ({"bad": [[], "frida"]}, "every row of bad; row 0 is []"),
        ({"bad": [["tara", 3], "frida"]}, "every row of bad; row 0 is ['tara', 3]"),
        ({"good": ["jonas"]}, "one word for all prompts in good, or one for each of 2; got 1"),
        ({"clean": [CLEAN[0], CLEAN[1][9:]]}, "row 1 has 18 and 19: ["),
        ({"corrupted": [CLEAN[0], TWINS[1]]}, "row 0 has the same tokens twice"),
        ({"good": ["jonas", "frida"]}, "those of row 1 do not: ['frida'] and ['frida']"),
        ({"bad": [["tara", "jonas"], "frida"]}, "those of row 0 do not"),
        ({"good": ["jonas", "london"]}, "words that the model knows in row 1"),
        ({"clean": [CLEAN[0].replace("map", "MAP"), CLEAN[1]]}, "model knows in row 0"),
        ({"clean": ["<begin> " + CLEAN[0], CLEAN[1]]}, "row 0 has '<begin>' in it"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["model", "tokenizer", "vocabulary"])
def test_a_row_that_would_mean_something_else_is_named(model, changed, words, kind) -> None:
    source = {"model": model, "tokenizer": model.tokenizer, "vocabulary": vocabulary()}[kind]
    message = said(source, **changed)
    assert message.startswith("expected")
    assert words in message


def test_what_became_of_what_is_said_of_a_pair_of_unequal_length() -> None:
    message = said(
        standin(),
        **english(corrupted="When Mary and John went to the store, old Anna gave a drink to"),
    )
    assert re.search(r"row 0 has \d+ and \d+: \[' John'\] became \[", message)
    assert "padded" in message


def test_a_prompt_that_the_model_would_cut_off_is_refused(model) -> None:
    long = [" ".join([text] * 6) for text in (CLEAN[0], TWINS[0])]
    message = said(model, clean=long[:1], corrupted=long[1:], good="jonas", bad="tara")
    assert "at most 64 tokens, as the model takes; row 0 has 79" in message


def test_pairs_of_different_length_are_padded_on_the_right(model) -> None:
    pairs = twins_from_text(model, **given())
    assert pairs.clean.tokens[0, 14:].tolist() == [0] * 6
    alone = [
        twins_from_text(model, **{name: part[row : row + 1] for name, part in given().items()})
        for row in range(2)
    ]
    together = final_logits(model, pairs.clean)
    for row, one in enumerate(alone):
        assert torch.allclose(final_logits(model, one.clean)[0], together[row], atol=1e-4)


def test_the_space_before_a_word_is_asked_for_where_it_matters() -> None:
    pairs = twins_from_text(standin(), **english())
    assert standin().decode(pairs.clean.good[0].nonzero()[:, 0]) == " Mary"
    message = said(standin(), **english(good="Mary"))
    assert "expected a space before a word" in message
    assert "row 0 has one before some of ['Mary', ' John'], not all" in message
    with pytest.warns(UserWarning, match=r"row 0 reads 'toMary' as one word.* write ' Mary'"):
        twins_from_text(standin(), **english(good="Mary", bad="John"))
    assert "row 0 does" in said(standin(), **english(clean=english()["clean"][0] + " "))


LEGITIMATE = {
    "a line that ends": ("Q: cat\nA:\n", "Q: hat\nA:\n", "me", "ba"),
    "two lines that end": ("Q: cat\n\n", "Q: hat\n\n", "me", "ba"),
    "a tab": ("q:\t", "x:\t", "q", "x"),
    "Chinese": ("昨日猫が", "昨日犬が", "鳴", "吠"),
    "Thai": ("แมว", "หมา", "ร", "น"),
    "an open bracket": ("f(q) = g(", "f(x) = g(", "q", "x"),
    "the rest of a year": ("from 1732 to 17", "from 1702 to 17", "40", "10"),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_a_text_that_ends_where_a_token_ends_needs_no_space(name: str, recwarn) -> None:
    clean, corrupted, good, bad = LEGITIMATE[name]
    read = standin()
    pairs = twins_from_text(read, clean, corrupted, good, bad)
    assert not [one for one in recwarn if "as one word" in str(one.message)]
    wanted = [read.encode(clean + word, add_special_tokens=False) for word in (good, bad)]
    shared = next(n for n, (a, b) in enumerate(zip(*wanted, strict=False)) if a != b)
    assert pairs.clean.tokens[0].tolist() == wanted[0][:shared]
    assert pairs.clean.good[0].nonzero()[:, 0].tolist() == [wanted[0][shared]]
    assert pairs.clean.bad[0].nonzero()[:, 0].tolist() == [wanted[1][shared]]


def test_an_ending_is_taken_with_a_warning_and_refused_where_it_is_joined() -> None:
    read = standin()
    with pytest.warns(UserWarning, match="row 0 reads 'walks' as one word, with 's' as its end"):
        pairs = twins_from_text(read, "the cat walk", "the hat walk", "s", "z")
    assert read.decode(pairs.clean.good[0].nonzero()[:, 0]) == "s"
    together = read.encode("the cat walked", add_special_tokens=False)
    assert together[:-1] != read.encode("the cat walk", add_special_tokens=False)
    message = said(read, clean="the cat walk", corrupted="the hat walk", good="s", bad="ed")
    assert "row 0 has 'ed' right after 'walk', and joins them in a token" in message


def test_an_answer_has_the_same_tokens_after_the_twin() -> None:
    class Joins:
        """Two bangs are one token after a question mark, elsewhere two; spaces are tokens."""

        def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
            return [ord(one) for one in text.replace("?!!", "?@")]

        def decode(self, tokens: list[int]) -> str:
            return "".join(map(chr, tokens))

        def __len__(self) -> int:
            return 128

    message = said(Joins(), clean="say: a.", corrupted="say: b?", good="!!", bad="no")
    assert "expected words with the same tokens after a prompt and its twin" in message
    assert "in row 0 '!!' is ['!', '!'] and ['@']" in message
    assert len(twins_from_text(Joins(), "say: a.", "say: b.", "!!", "no")) == 1


class Minimal:
    """Encodes and decodes, and no more."""

    def __init__(self, **more) -> None:
        self.__dict__.update(more)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return standin().encode(text, add_special_tokens=add_special_tokens)

    def decode(self, tokens: list[int]) -> str:
        return standin().decode(tokens)


def test_a_tokenizer_with_next_to_nothing_is_read_or_refused(model) -> None:
    assert "says how many words it has" in said(Minimal(), **english())
    pairs = twins_from_text(Minimal(vocab_size=len(standin())), **english())
    assert torch.equal(pairs.clean.tokens, twins_from_text(standin(), **english()).clean.tokens)
    assert "token that begins a text" in said(Minimal(vocab_size=9), **english(), prepend_bos=True)
    other = "list of token ids"
    assert other in said(standin().backend_tokenizer, **english())
    assert other in said(type("Old", (), {"encode": lambda self, text: [], "decode": str})())


def test_the_end_of_a_number_needs_no_space() -> None:
    pairs = twins_from_text(
        standin(),
        ["The war lasted from the year 1732 to the year 17"],
        ["The war lasted from the year 1701 to the year 17"],
        [[f"{year:02d}" for year in range(33, 100)]],
        [[f"{year:02d}" for year in range(2, 33)]],
    )
    assert pairs.clean.good.sum() == 67
    assert pairs.differs.sum() == 1


def test_a_word_that_is_joined_with_the_text_counts_by_itself_beside_others() -> None:
    """ " 1" and "0" are one token here; alone that is refused, among others it is kept."""
    texts = {"clean": "from 17 to 1", "corrupted": "from 12 to 1"}
    read = standin()
    joined = read.encode(" 10", add_special_tokens=False)
    assert len(joined) == 1
    assert "in row 0 the tokenizer joins '0' with what is" in said(read, **texts, good="0", bad="q")
    pairs = twins_from_text(read, **texts, good=[["0", "x"]], bad="q")
    alone = read.encode("0", add_special_tokens=False)
    assert pairs.clean.good[0].nonzero()[:, 0].tolist()[0] == alone[0]


def test_an_answer_of_several_tokens_counts_by_the_first_that_differs() -> None:
    read = standin()
    words = [" Marybel", " Maryork"]
    parts = [read.encode(word, add_special_tokens=False) for word in words]
    assert parts[0][0] == parts[1][0]
    assert min(map(len, parts)) > 1
    shared = next(n for n, (a, b) in enumerate(zip(*parts, strict=False)) if a != b)
    pairs = twins_from_text(read, **english(good=words[0], bad=words[1]))
    assert pairs.clean.good[0].nonzero()[:, 0].tolist() == [parts[0][shared]]
    assert pairs.clean.bad[0].nonzero()[:, 0].tolist() == [parts[1][shared]]
    for side in (pairs.clean, pairs.corrupted):
        assert side.tokens[0, -shared:].tolist() == parts[0][:shared]
    assert "those of row 0 do not" in said(read, **english(good=" Mary", bad=words[1]))


def test_what_stands_before_a_text_is_what_the_model_expects(model) -> None:
    begin = standin().bos_token_id
    assert (
        twins_from_text(standin(), **english()).clean.tokens[0, 0] != begin
    )  # its encode adds none
    with_begin = twins_from_text(standin(), **english(), prepend_bos=True)
    assert with_begin.clean.tokens[0, 0] == begin
    assert f"row 0 has {END!r} in it" in said(
        standin(), **english(clean=[END + english()["clean"][0]])
    )
    assert twins_from_text(model, **given()).clean.tokens[0, 0] == 1
    assert twins_from_text(model, **given(), prepend_bos=False).clean.tokens[0, 0] != 1


def test_something_that_reads_no_text_is_refused() -> None:
    assert "got a list" in said([1, 2])
    from tests.circuits.random_models import native

    assert "without a tokenizer" in said(native())


def test_a_model_of_an_older_library_reads_as_well() -> None:
    lens = pytest.importorskip("transformer_lens")
    if not hasattr(lens, "HookedTransformer"):
        pytest.skip("this transformer-lens has no HookedTransformer")
    words = vocabulary().tokenizer()
    shape = {"n_layers": 1, "d_model": 8, "d_head": 4, "n_heads": 2, "n_ctx": 32}
    config = lens.HookedTransformerConfig(**shape, attn_only=True, d_vocab=len(vocabulary()))
    hooked = lens.HookedTransformer(config)
    hooked.tokenizer = words
    pairs = twins_from_text(hooked, **given())
    assert torch.equal(pairs.clean.tokens, twins_from_text(vocabulary(), **given()).clean.tokens)


def test_from_a_csv_to_a_circuit(model, tmp_path: Path) -> None:
    ours = tinyworld.twins("ioi", 24, seed=5)
    words = vocabulary().words
    file = tmp_path / "pairs.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["clean", "corrupted", "good", "bad"])
        for row in range(len(ours)):
            answers = [
                words[int(mask[row].nonzero()[0])] for mask in (ours.clean.good, ours.clean.bad)
            ]
            table.writerow([ours.clean.texts[row], ours.corrupted.texts[row], *answers])
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pairs = twins_from_text(model, **columns)
    assert torch.equal(eap(model, pairs), eap(model, ours))
    graph = Graph(model)
    found, same = (acdc.Search(graph, part.rows(slice(8))).run(0.1) for part in (pairs, ours))
    assert torch.equal(found.kept, same.kept)
    assert (2, 2) in found.heads(graph)


def test_an_empty_cell_of_pandas_is_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    file = tmp_path / "pairs.csv"
    file.write_text(
        f"clean,corrupted,good,bad\n{CLEAN[0]},{TWINS[0]},jonas,tara\n{CLEAN[0]},,jonas,\n"
    )
    table = pandas.read_csv(file)
    assert math.isnan(table["corrupted"][1])
    message = said(vocabulary(), **{name: table[name] for name in table})
    assert "every row of corrupted; row 1 is nan" in message
    kept = table.dropna()
    assert len(twins_from_text(vocabulary(), **{name: kept[name] for name in kept})) == 1


@pytest.fixture(scope="module")
def capitals(shared_dir):
    import json

    file = shared_dir / "data" / "relations" / "country_capital_city.json"
    if not file.exists():
        pytest.skip("no public facts in shared/data/relations")
    return json.loads(file.read_text("utf-8"))["samples"]


def test_public_facts_with_a_tokenizer_of_gpt2(shared_dir, capitals) -> None:
    """Countries and capitals of a public data set: most pairs align, the others are named."""
    folder = shared_dir / "models" / "gpt2-tokenizer"
    if not folder.is_dir():
        pytest.skip("no tokenizer of GPT-2 in shared/models")
    from transformers import GPT2Tokenizer

    read = GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    kept, refused = 0, []
    for fact, other in zip(capitals, capitals[1:] + capitals[:1], strict=True):
        clean, twin = (f"The capital of {one['subject']} is the city of" for one in (fact, other))
        try:
            pairs = twins_from_text(
                read, clean, twin, " " + fact["object"], " " + other["object"], prepend_bos=True
            )
        except LabError as fault:
            refused.append(str(fault))
        else:
            kept += 1
            assert 1 <= int(pairs.differs.sum()) <= 4
    assert kept >= 5
    assert refused
    assert all("row 0" in words for words in refused)


def test_the_section_of_the_chapter_prints_what_it_says(tmp_path, monkeypatch, capsys) -> None:
    page = Path(__file__).resolve().parents[3] / "book" / "ch4_circuit_discovery.md"
    section = page.read_text("utf-8").partition("## With your own task")[2].partition("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(snippet, names)
    (printed,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    assert capsys.readouterr().out == printed
    heads = names["found"].heads(names["graph"])
    measured = oracle(names["model"], names["pairs"], "resample")
    share = float(measured.faithfulness[measured.subset(heads)])
    assert f"a faithfulness of {share:.2f}, below" in section


@pytest.mark.parametrize("column", [{"a b", "c d"}, {"a b": 1, "c d": 2}])
def test_columns_without_an_order_are_refused(model, column) -> None:
    with pytest.raises(LabError, match="expected the texts of clean as a list, in the order"):
        twins_from_text(model, column, ["a b", "c d"], "to", "of")
