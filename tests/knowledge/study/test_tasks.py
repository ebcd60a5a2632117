"""Tasks of masks: parts that share nothing, labels that are the world's, heads that read."""

from collections import Counter

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import divided
from helpers.knowledge.masks import judge, plain
from helpers.knowledge.study import PARTS, READ_OUTS, TASKS, task, tasks
from helpers.knowledge.study.tasks import WORDS
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

BLOCKS = plain.of(zoo.load("tinyworld", device="cpu"))
BUILT = {name: task(name, BLOCKS) for name in TASKS}


def texts(facts):
    """Without the token that begins every text."""
    rows = zip(facts.tokens.tolist(), facts.last.tolist(), strict=True)
    return [vocabulary().decode(ids[1 : last + 1]) for ids, last in rows]


@pytest.mark.parametrize("name", TASKS)
def test_no_subject_and_no_prompt_is_in_two_parts(name):
    parts = BUILT[name].parts
    assert tuple(parts) == PARTS
    for first, second in (PARTS[:2], PARTS[1:], PARTS[::2]):
        assert not set(parts[first].subjects) & set(parts[second].subjects)
        assert not set(texts(parts[first])) & set(texts(parts[second]))
    for part in parts.values():
        assert len(set(part.subjects)) >= 5
        assert len(part) >= 100


def test_entities_held_out_are_those_that_are_held_out_everywhere():
    searched, held_out = divided()
    assert tasks.entities("held out") == held_out
    assert tasks.entities("search") + tasks.entities("validation") == searched
    for name in ("kind", "realm", "truth"):
        assert set(BUILT[name].parts["held out"].subjects) == set(held_out)


@pytest.mark.parametrize("name", TASKS)
def test_the_whole_model_can_do_what_is_held_out(name):
    its = BUILT[name]
    accuracy = judge(its.blocks, its.blocks.values, its.parts["held out"]).accuracy
    assert accuracy >= (0.85 if name == "noun number" else 0.99)


def test_verbs_agree_with_the_noun_by_the_worlds_list():
    nouns = worlds.load().lists["agreement.nouns"]
    plural = set(nouns[1::2])
    for part in BUILT["verb number"].parts.values():
        for text, answer, subject in zip(texts(part), part.answers, part.subjects, strict=True):
            noun = text.split()[-4]
            assert vocabulary().words[answer] == ("are" if noun in plural else "is")
            assert nouns.index(noun) // 2 == nouns.index(subject) // 2


def test_statements_are_true_as_the_world_says_and_every_kind_is_false_as_often():
    kind_of = {entity.name: entity.kind for entity in worlds.load().entities}
    for part in BUILT["truth"].parts.values():
        said: dict[int, Counter] = {0: Counter(), 1: Counter()}
        for text, label in zip(texts(part), part.answers.tolist(), strict=True):
            entity, kind = text.split()[1], text.split()[-2]
            assert (kind_of[entity] == kind) == bool(label)
            said[label][kind] += 1
        assert said[0] == said[1], "the kind alone says nothing"


def test_nouns_are_right_where_they_agree_with_their_determiner():
    plural = set(worlds.load().lists["agreement.nouns"][1::2])
    for part in BUILT["noun number"].parts.values():
        for text, label in zip(texts(part), part.answers.tolist(), strict=True):
            determiner, noun = text.split()[0], text.split()[-1]
            agree = (determiner in ("these", "those")) == (noun in plural)
            assert agree == bool(label)


@pytest.mark.parametrize("name", READ_OUTS)
def test_classes_are_equally_frequent(name):
    for part in BUILT[name].parts.values():
        assert part.answers.float().mean() == 0.5


def test_a_head_is_asked_for_what_the_whole_model_says_and_words_for_its_distribution():
    its = BUILT["noun number"]
    part = its.parts["held out"]
    with torch.no_grad():
        said = its.blocks.logits(its.blocks.values, part.tokens, part.last)
        got = its.objective(part).loss(its.blocks.values, torch.arange(len(part)))
    assert (said.argmax(-1) != part.answers).any(), "it differs from the labels somewhere"
    expected = torch.nn.functional.cross_entropy(said, said.argmax(-1))
    assert float(got) == pytest.approx(float(expected), rel=1e-5)
    for name in WORDS:
        part = BUILT[name].parts["validation"]
        with torch.no_grad():
            loss = BUILT[name].objective(part).loss(BLOCKS.values, torch.arange(20))
        assert abs(float(loss)) < 1e-5, "KL to oneself is 0"


def test_a_head_has_no_bias_and_its_two_rows_are_opposite():
    its = BUILT["truth"].blocks
    assert torch.equal(its.around["unembed.weight"][0], -its.around["unembed.weight"][1])
    assert not its.around["unembed.bias"].any()
    assert BLOCKS.around["unembed.weight"].shape == (993, 128), "the model's own is still there"


def test_joined_parts_have_all_prompts_of_both():
    first, second = (BUILT["toxicity"].parts[part] for part in PARTS[:2])
    both = tasks.joined(first, second)
    assert texts(both) == texts(first) + texts(second)
    assert both.answers.tolist() == first.answers.tolist() + second.answers.tolist()
    assert both.subjects == first.subjects + second.subjects
    some = tasks.of_subjects(both, second.subjects[:1])
    assert set(some.subjects) == set(second.subjects[:1])
    assert len(some) == second.subjects.count(second.subjects[0])


def test_values_dealt_out_are_the_same_ones_and_never_the_old():
    values = ["a", "a", "b", "c", "b", "a"]
    dealt = tasks._dealt(values)
    assert sorted(dealt) == sorted(values)
    assert all(new != old for new, old in zip(dealt, values, strict=True))


def test_an_unknown_task_is_refused():
    with pytest.raises(LabError, match="expected a task of masks: kind, realm"):
        task("colour", BLOCKS)
