"""The whole path on a GPT-2 that was taught facts: kill and go on, tables, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from helpers import runtime, zoo
from helpers.errors import LabError
from helpers.knowledge import real
from helpers.knowledge.masks import blocks, packed, rivals
from helpers.knowledge.real import RealPlan, RelationData, measuring, searching
from helpers.knowledge.real.asking import asked_of
from helpers.knowledge.real.plan import MASKS
from tests.knowledge.real.stand_ins import OBJECTS, SUBJECTS, gpt2, lands

PLAN = RealPlan((0.4, 0.2), steps=2, batch=4, facts=2, edits=3, size=0.3, places=("circuit",))
COLOURS = RelationData("colours", ("the land of {} lies in",), dict.fromkeys(SUBJECTS, "rice"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return gpt2(tmp_path_factory.getbasetemp() / "taught")


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A run from its beginning to its end, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return real.run(model, lands(), folder, others=(COLOURS,), plan=PLAN), folder


def run(model, folder, relation=None, **changes):
    plan = changes.pop("plan", PLAN)
    return real.run(model, relation or lands(), folder, others=(), plan=plan, **changes)


def contents(folder: Path) -> dict[str, object]:
    """Header and bytes of the tensors of every file: safetensors does not order its header."""
    found: dict[str, object] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="np") as handle:
            tensors = {name: handle.get_tensor(name).tobytes() for name in handle.keys()}  # noqa: SIM118
            found[path.name] = handle.metadata(), tensors
    return found | {"others": [path.name for path in folder.glob("*[!s]")]}


def test_the_tables_have_a_row_for_everything_that_was_asked_for(whole):
    found, folder = whole
    assert "Of 15 facts of 'lands', 15 have" in found.said
    assert "says 15 of these" in found.said
    names = [row[0] for row in found.mask_table[1]]
    assert names[0] == "all"
    assert names[1:4] == ["circuit, 40%", "complement, 40%", "per tensor, 40%"]
    assert found.mask_table[1][0][1] == "1.00"  # what it was taught, it says
    for head, rows in (found.edit_table, found.effect_table):
        assert [(row[0], row[1]) for row in rows] == [("circuit", "20%"), ("circuit", "40%")]
        assert all(len(row) == len(head) for row in rows)
    assert not (folder / "masks.begun").exists()


class Killed(Exception):
    pass


def test_a_run_that_is_killed_in_every_piece_goes_on_with_the_same_bits(
    model, whole, tmp_path, monkeypatch
):
    """It dies before the third step of the search, and before the second fact of each place."""
    monkeypatch.setattr(searching, "EVERY", 0.0)
    for module, name, at in (
        (searching.MaskSearch, "step", 3),
        (measuring.RealWork, "_one", 2),
        (measuring.RealWork, "_one", 4),
    ):
        original, calls = getattr(module, name), []

        def dying(*given, original=original, calls=calls, at=at):
            calls.append(1)
            if len(calls) == at:
                raise Killed
            return original(*given)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, dying)
            with pytest.raises(Killed):
                real.run(model, lands(), tmp_path, others=(COLOURS,), plan=PLAN)
    (tmp_path / "masks.99.tmp").write_bytes(b"half of a file")
    real.run(model, lands(), tmp_path, others=(COLOURS,), plan=PLAN)
    assert contents(tmp_path) == contents(whole[1])


def test_masks_are_as_dense_as_asked_and_the_model_is_as_it_was(model, whole):
    its = blocks.of(model)
    with safe_open(whole[1] / MASKS.file, framework="pt") as handle:
        stored = {float(name): handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    assert set(stored) == set(PLAN.densities)
    for density, bits in stored.items():
        assert int(packed.unpack(bits, len(its)).sum()) == round(density * len(its))
    assert real.known_facts(model, lands()).subjects == SUBJECTS  # every fact as before


def test_what_was_asked_for_is_changed_and_nothing_that_a_mask_was_learned_on(model, tmp_path):
    few = replace(PLAN, densities=(0.2,))
    found = run(model, tmp_path, changes={"boran": "reed", "keman": "salt"}, plan=few)
    (edits,) = found.edits.values()
    assert edits["subjects"] == ["boran", "keman"]
    assert len(edits["first"]) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"atlantis": "reed"}, "expected subjects of 'lands'; got 'atlantis'"),
        ({"boran": "a salt lake"}, r"one token of the model; got 'a salt lake' .* which is \d"),
        ({"boran": "sand"}, "differs from the old one"),
        ({"boran": "rice"}, "among the values of the relation"),
        ({"boran": None}, "one token of the model; got None"),
        ({}, "a new answer for each of some subjects"),
        (dict.fromkeys(SUBJECTS[:14], "silk") | {"boran": "reed"}, "among the values|to learn a"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(model, tmp_path, changes, said):
    with pytest.raises(LabError, match=said):
        run(model, tmp_path, changes=changes)


UNKNOWN = dict.fromkeys(SUBJECTS, "rice")
THREE = {name: OBJECTS[name] for name in SUBJECTS[:3]}
SEVERAL = dict.fromkeys(SUBJECTS, "a salt lake far away")


@pytest.mark.parametrize(
    ("relation", "said"),
    [
        ("kings_of", "expected a relation: a RelationData, a file, or one of adj_antonym"),
        (RelationData("x", lands().templates, UNKNOWN), "that the model knows; it says 0 of 15"),
        (RelationData("x", lands().templates, SEVERAL), "answers of 'x' that are one token"),
        (RelationData("x", lands().templates, THREE), "4 facts of 'x' or more.*says 3 of 3"),
        (RelationData("x", ("land " * 40 + "{} is",), OBJECTS), "at most 32 tokens"),
    ],
)
def test_relations_that_cannot_be_measured_are_refused(model, tmp_path, relation, said):
    with pytest.raises(LabError, match=said):
        run(model, tmp_path, relation)


@pytest.mark.parametrize("density", [0.0, 1.0, float("nan"), -0.5])
def test_a_density_of_0_or_1_is_refused(density):
    with pytest.raises(LabError, match="densities between 0 and 1"):
        RealPlan((density,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "number of steps"),
        ({"facts": 1}, "number of facts of at least 2"),
        ({"size": float("nan")}, "positive sizes of steps"),
        ({"places": ("attic",)}, "expected places to edit: circuit.*'attic'"),
        ({"places": ()}, "got none"),
        ({"places": 5}, "expected places to edit: circuit.*got 5"),
        ({"densities": 0.5}, "densities between 0 and 1, .*got 0.5"),
        ({"densities": ("a",)}, "expected densities as real numbers"),
        ({"seed": -1}, "seed"),
    ],
)
def test_plans_that_measure_nothing_are_refused(changes, said):
    with pytest.raises(LabError, match=said):
        RealPlan(**changes)


def test_the_folder_of_another_run_is_refused(model, whole):
    with pytest.raises(LabError, match=r"folder of this run.*has seed 0 instead of 1"):
        run(model, whole[1], plan=replace(PLAN, seed=1, densities=(0.4, 0.2)))
    row = next(model.parameters())[5]  # of a byte in no prompt: all prompts are as they were
    kept = row.detach().clone()
    with torch.no_grad():
        row += 1e-3
    with pytest.raises(LabError, match=r"folder of this run.*has model"):
        real.run(model, lands(), whole[1], others=(COLOURS,), plan=PLAN)
    with torch.no_grad():
        row.copy_(kept)


def test_a_mask_of_another_model_and_a_damaged_piece_are_refused(model, whole, tmp_path):
    for path in whole[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / MASKS.file).write_bytes((tmp_path / MASKS.file).read_bytes()[:-7])
    with pytest.raises(LabError, match=r"(?s)expected the cell masks.*remove the file"):
        real.run(model, lands(), tmp_path, others=(COLOURS,), plan=PLAN)
    its = blocks.of(model)
    with pytest.raises(LabError, match="of this model's blocks"):
        its.run(torch.ones(7), torch.tensor([[1, 2]]))


def test_a_search_of_another_run_and_a_damaged_one_are_refused(model, tmp_path):
    its, file = blocks.of(model), tmp_path / "masks.begun"
    ids = torch.randint(5, 200, (4, 6), generator=torch.Generator().manual_seed(0))
    objective = measuring.predictions(its, ids, torch.full((4,), 5))
    settings = PLAN.search
    searching.learn_kept(its, objective, settings, file, "mine", every=0.0)
    assert file.exists()  # of the step before the last
    with pytest.raises(LabError, match="a search of this run"):
        searching.learn_kept(its, objective, settings, file, "yours")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(LabError, match=r"a search under way.*checksum is another"):
        searching.learn_kept(its, objective, settings, file, "mine")
    with pytest.raises(LabError, match="top-k search"):
        searching.learn_kept(its, objective, replace(settings, estimator="hard concrete"), file, "")


def test_too_little_memory_is_said_before_the_work(model, tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 99 kB\nMemAvailable: 12 kB\n")
    monkeypatch.setattr(runtime, "MEMORY", meminfo)
    with pytest.raises(LabError, match=r"GiB of free memory on cpu for [\d,]+ block weights"):
        run(model, tmp_path / "run")
    monkeypatch.setattr(runtime, "MEMORY", tmp_path / "absent")
    assert runtime.free_memory("cpu") is None


def test_a_list_of_relations_is_asked_for(model, tmp_path):
    with pytest.raises(LabError, match="a list of other relations; got 'adj_antonym'"):
        real.run(model, lands(), tmp_path, others="adj_antonym", plan=PLAN)


def test_places_are_the_arms_of_the_lab(model, tmp_path):
    """Per tensor: as many of each tensor; complement: all others."""
    its = blocks.of(model)
    circuit = rivals.uniform(its, 0.2)
    work = measuring.RealWork(its, None, (), PLAN, tmp_path, "")  # type: ignore[arg-type]
    assert torch.equal(work.place("complement", circuit), 1 - circuit)
    drawn = its.tensors(work.place("per tensor", circuit))
    for name, part in its.tensors(circuit).items():
        assert part.sum() == drawn[name].sum()
    assert not torch.equal(work.place("per tensor", circuit), circuit)


def test_no_sibling_was_learned_on_and_others_are_of_other_relations(model):
    known = real.known_facts(model, lands())
    far = real.known_facts(model, COLOURS, least=0)
    asked = asked_of(known, None, 4, seed=0, first_token=False)
    learned = set(asked.learn_on.subjects)
    assert not learned & set(asked.requests.asked.subjects)
    assert learned | set(asked.judged_on.subjects) == set(SUBJECTS)
    for subject, new in zip(asked.requests.asked.subjects, asked.requests.new, strict=True):
        assert model.tokenizer.decode(new) != " " + OBJECTS[subject]
        given = asked.questions((far,), subject)
        assert not learned & set(given.siblings.subjects)
        assert subject not in given.siblings.subjects
        assert given.paraphrases.subjects == (subject,)
        assert given.others is None  # the model says of no land that it is rice


def test_the_path_on_a_pre_trained_llama(shared_dir, tmp_path):
    """What stories260K says after a prompt is a fact that it knows, whatever it is worth."""
    folder = shared_dir / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip("no stories260K in shared/models")
    stories, objects = zoo.load(str(folder), device="cpu"), {}
    names = ("Tom", "Lily", "Max", "Ben", "Sue", "Anna", "Tim", "the cat", "a dog", "Mom")
    template = "One day {}"
    for name in (*names, "the sun", "a girl", "a boy", "the tree"):
        ids = stories.tokenizer.encode(template.format(name))  # with its beginning of a text
        said = stories.tokenizer.decode([int(stories(torch.tensor([ids]))[0, -1].argmax())])
        objects[name] = said.strip()
    plan = replace(PLAN, densities=(0.3,), places=("circuit", "as long", "as large"), size=0.5)
    found = run(stories, tmp_path, RelationData("found", (template,), objects), plan=plan)
    assert found.mask_table[1][0][:2] == ["all", "1.00"]
    assert len(found.edits) + len(found.skipped) == 3
    first = found.edits[0.3, "circuit"]["first"]
    assert all(length > 0 for length in first)
