"""Relations as text, which of their facts a model knows, and block weights of foreign models."""

import copy
import hashlib
import json
from pathlib import Path

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.masks import blocks
from helpers.knowledge.real import RelationData, known_facts
from helpers.knowledge.real.known import answer_tokens
from helpers.knowledge.real.relations import COMMIT, SOURCES, RelationFile, relation
from helpers.texts.reading import reader
from tests.knowledge.real.stand_ins import OBJECTS, SUBJECTS, TEMPLATES, gpt2, lands
from tests.trust import families

ROOT = Path(__file__).resolve().parents[3]
FILE = {
    "name": "colours",
    "prompt_templates": ["The colour of {} is"],
    "prompt_templates_zs": ["{} has the colour", "The colour of {} is"],
    "samples": [
        {"subject": "grass", "object": "green"},
        {"subject": "sky", "object": "blue"},
        {"subject": "rose", "object": "red"},
        {"subject": "rose", "object": "white"},
    ],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return gpt2(tmp_path_factory.getbasetemp() / "taught")


def test_a_file_of_one_s_own(tmp_path):
    path = tmp_path / "colours.json"
    path.write_text(json.dumps(FILE), encoding="utf-8")
    read = relation(path)
    assert read.templates == ("The colour of {} is", "{} has the colour")
    assert read.objects == {"grass": "green", "sky": "blue"}  # a rose has no one colour
    assert relation(str(path)) == read
    assert relation(read) is read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "a relation as JSON"),
        ("[]", "a relation as JSON"),
        (json.dumps(FILE | {"samples": [{"subject": "a"}]}), "a relation as JSON.*object"),
        (
            json.dumps(FILE | {"samples": []}),
            "of 'colours' as texts; got none",
        ),
        (json.dumps(FILE | {"samples": [{"subject": "a", "object": 3}]}), "as texts; got 3"),
        (json.dumps(FILE | {"prompt_templates": ["no hole"]}), "templates of 'colours'"),
        (json.dumps(FILE | {"prompt_templates": ["ends with {} "]}), "no space at the end"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, said):
    path = tmp_path / "colours.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=said):
        relation(path)


def test_a_public_file_is_compared_with_its_checksum(tmp_path):
    """A mirror that sends another file, and one that sends none."""
    folder = tmp_path / "factual"
    folder.mkdir()
    (folder / "country_capital_city.json").write_text(json.dumps(FILE))
    with pytest.raises(LabError, match="sha256"):
        relation("country_capital_city", folder)
    with pytest.raises(LabError, match="expected the file"):
        relation("country_language", folder)
    assert len(COMMIT) == 40


def test_a_download_is_kept_and_one_that_does_not_come_says_what_to_do(tmp_path, monkeypatch):
    """A public file from a mirror, which is a folder here, is not asked for again."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    content = json.dumps(FILE).encode()
    digest = hashlib.sha256(content).hexdigest()
    small = RelationFile("factual", "colours.json", digest, len(content))
    monkeypatch.setitem(SOURCES, "colours", small)
    mirror = tmp_path / "mirror" / "factual"
    mirror.mkdir(parents=True)
    (mirror / "colours.json").write_bytes(content)
    address = (tmp_path / "mirror").as_uri()
    assert relation("colours", address=address).objects == {"grass": "green", "sky": "blue"}
    (mirror / "colours.json").unlink()
    assert relation("colours", address=address).name == "colours"
    (tmp_path / "cache" / "relations" / "colours.json").unlink()
    with pytest.raises(LabError, match=r"expected to download (.|\n)*data= of `run`"):
        relation("colours", address=address)


def test_the_public_files_are_those_that_were_read(shared_dir):
    folder = shared_dir / "data" / "relations"
    if not folder.is_dir():
        pytest.skip("no public facts in shared/data/relations")
    for name, source in SOURCES.items():
        assert (folder / source.file).stat().st_size == source.size
        assert relation(name, folder).templates
    capitals = relation("country_capital_city", folder)
    assert capitals.objects["Peru"] == "Lima"
    assert len(capitals.templates) == 4


def test_answers_of_gpt2_s_tokenizer(shared_dir):
    """Lima is one token after a space, Buenos Aires is not: by the tokenizer itself."""
    from transformers import GPT2TokenizerFast

    folder = shared_dir / "models" / "gpt2-tokenizer"
    if not folder.is_dir():
        pytest.skip("no tokenizer of GPT-2 in shared/models")
    words = GPT2TokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    read, text = reader(words), "The capital of Peru is"
    assert answer_tokens(read, text, "Lima") == words.encode(" Lima")
    assert len(answer_tokens(read, text, "Lima")) == 1
    assert len(answer_tokens(read, text, "Buenos Aires")) > 1


def test_what_was_taught_is_known_and_nothing_else(model):
    found = known_facts(model, lands())
    assert found.subjects == SUBJECTS
    assert found.template == TEMPLATES[0]
    wrong = {name: OBJECTS[name] for name in SUBJECTS} | {"boran": "reed", "dalik": "sand"}
    rest = known_facts(model, RelationData("lands", TEMPLATES, wrong))
    assert rest.subjects == tuple(n for n in SUBJECTS if n not in ("boran", "dalik"))
    assert "Of 15 facts of 'lands', 15 have an answer that is taken, and the model says 13" in (
        rest.said
    )


def test_prompts_are_the_model_s_own_tokens(model):
    asked = known_facts(model, lands()).facts(("boran", "keman"), TEMPLATES)
    for row, template in enumerate(TEMPLATES):
        text = template.format("boran")
        ids = [0, *model.tokenizer.encode(text, add_special_tokens=False)]
        assert asked.tokens[row, : len(ids)].tolist() == ids
        assert int(asked.last[row]) == len(ids) - 1
    said = model(asked.tokens)[torch.arange(4), asked.last].argmax(-1)
    assert said.tolist() == asked.answers.tolist()
    assert model.tokenizer.decode(asked.answers[0]) == " sand"


def test_first_tokens_that_two_answers_share_are_left_out(model):
    """All beginnings of "sand" and of "sand stone" are one token: nobody can tell which is said."""
    said = OBJECTS | {"boran": "sand stone"}
    few = known_facts(model, RelationData("lands", TEMPLATES, said), first_token=True)
    assert set(few.answers) == {name for name in SUBJECTS if OBJECTS[name] != "sand"}
    alone = {name: f"{said} stone" for name, said in OBJECTS.items()}
    assert known_facts(model, RelationData("lands", TEMPLATES, alone), True).subjects == SUBJECTS
    with pytest.raises(LabError, match="are one token of the model"):
        known_facts(model, RelationData("lands", TEMPLATES, alone))


def test_a_subject_whose_answer_is_several_tokens_cannot_be_asked(model):
    found = known_facts(model, RelationData("lands", TEMPLATES, OBJECTS | {"boran": "sand stone"}))
    with pytest.raises(LabError, match="'boran' is 'sand stone', which is several"):
        found.facts(("boran",), TEMPLATES)
    with pytest.raises(LabError, match="subjects of 'lands'; got 'atlantis'"):
        found.facts(("atlantis",), TEMPLATES)


def test_a_model_without_a_tokenizer_is_refused():
    with pytest.raises(LabError, match="a model with its tokenizer"):
        known_facts(families.native(), lands())


def test_stories260k_knows_what_it_says(shared_dir):
    """A pre-trained Llama: its own next words are facts that it knows, and only they."""
    folder = shared_dir / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip("no stories260K in shared/models")
    stories, names = zoo.load(str(folder), device="cpu"), ("Tom", "Lily", "Max", "Ben", "Sue")
    template, objects = "Once there was a girl and a {}. It was", {}
    for name in names:
        ids = stories.tokenizer.encode(template.format(name))  # with its beginning of a text
        said = stories.tokenizer.decode([int(stories(torch.tensor([ids]))[0, -1].argmax())])
        objects[name] = said.strip()
    kept = known_facts(stories, RelationData("said", (template,), objects), least=1)
    assert set(kept.subjects) == set(names)
    objects["Tom"] = "the"
    fewer = known_facts(stories, RelationData("said", (template,), objects), least=1)
    assert set(fewer.subjects) == set(names) - {"Tom"}


@pytest.mark.parametrize("family", ["gpt2", "neox"])
def test_every_weight_of_a_foreign_block_is_the_one_that_it_runs_with(family, tmp_path_factory):
    """Queries as well, which the bridge of GPT-2 has twice: one tensor changed at a time."""
    bridge, _ = families.pair(family, tmp_path_factory.getbasetemp() / family)
    its, tokens = blocks.of(bridge), torch.arange(2, 14).view(2, 6)
    noise = torch.randn(len(its), generator=torch.Generator().manual_seed(0))
    start = its.values + 0.3 * noise  # the biases of a new model are 0

    def said(values):
        with torch.no_grad():
            return its.run(values, tokens).log_softmax(-1)

    plain = said(start)
    for name, rows in its.tensors(torch.arange(len(its))).items():
        changed = start.clone()
        changed[rows.flatten()] += noise[rows.flatten()]
        if not name.endswith("attn.k.bias"):  # the same for every key: attention is as before
            assert (said(changed) - plain).abs().max() > 1e-4, name


def test_weights_changed_in_the_vector_are_those_that_hugging_face_has(tmp_path_factory):
    """Queries, keys and values are one tensor there."""
    bridge, other = families.pair("gpt2", tmp_path_factory.getbasetemp() / "gpt2")
    its, tokens, width = blocks.of(bridge), torch.arange(2, 14).view(2, 6), 16
    values, other = its.values.clone(), copy.deepcopy(other).eval()
    noise = torch.randn(width, 3 * width, generator=torch.Generator().manual_seed(0))
    for part, columns in zip("qkv", noise.split(width, 1), strict=True):
        its.tensors(values)[f"blocks.1.attn.{part}.weight"].add_(columns.T)
    with torch.no_grad():
        other.transformer.h[1].attn.c_attn.weight.add_(noise)
        assert torch.allclose(its.run(values, tokens), other(tokens).logits, atol=1e-5)
        assert not torch.allclose(bridge(tokens), other(tokens).logits, atol=1e-3)


def test_the_page_on_data_has_the_public_relations(shared_dir):
    page = (ROOT / "book" / "data.md").read_text("utf-8")
    folder = shared_dir / "data" / "relations"
    if not folder.is_dir():
        pytest.skip("no public facts in shared/data/relations")
    for name, source in SOURCES.items():
        samples = json.loads((folder / source.file).read_text("utf-8"))["samples"]
        objects: dict[str, set[str]] = {}
        for sample in samples:
            objects.setdefault(sample["subject"], set()).add(sample["object"])
        facts = sum(len(each) == 1 for each in objects.values())
        row = f"| `{name}` | {facts} | {len(relation(name, folder).templates)} | {source.size:,} |"
        assert row in page
        assert source.sha256[:32] in page


def test_a_file_with_several_objects_in_a_list_is_refused(tmp_path):
    file = tmp_path / "lists.json"
    file.write_text(
        '{"prompt_templates": ["{} is a"], "samples": [{"subject": "owl", "object": ["bird"]}]}'
    )
    with pytest.raises(LabError, match="expected a relation as JSON"):
        relation(str(file))
    with pytest.raises(LabError, match="expected a relation: a RelationData, a file"):
        relation("x" * 300)
