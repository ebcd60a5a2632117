"""Roles of heads: on planted heads and patterns, against other code, and as they are stored."""

import json
from dataclasses import replace
from itertools import chain

import pytest
import torch

from helpers import cli, training, zoo
from helpers.attribution import direct_logit_attribution
from helpers.book import model_cards
from helpers.errors import LabError
from helpers.interventions import Activations, Head, Node, collect, run_with_replaced
from helpers.texts import answers
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.models import head_roles, measure
from helpers.tinyworld.models.head_effects import HeadEffects
from helpers.tinyworld.models.head_roles import Seen, role
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.tinyworld.sets import places, tasks
from helpers.tinyworld.sets.places import LAST, Places
from helpers.zoo import publish
from tests.tinyworld import tiny

WIDTH = 64
RIGHT, WRONG = ("receiver",), ("giver, first", "giver, second")


def attention_recipe(**shape):
    known = RECIPES["tinyworld-attn"]
    small = {"n_layers": 1, "n_heads": 2, "d_model": 16, "d_head": 8}
    return replace(
        known,
        model=known.model | small | shape,
        steps=4,
        batch_size=4,
        warmup_steps=1,
        n_checkpoints=4,
    )


@pytest.fixture(scope="module")
def planted():
    """One layer that attends evenly: head 0 writes against every word it sees, head 1 for it, head
    2 nothing.

    The words are nearly orthogonal directions, and the unembedding reads the embedding.
    """
    model = training.build_model(attention_recipe(n_heads=3, d_model=WIDTH, d_head=WIDTH)).eval()
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    words = torch.nn.functional.normalize(
        torch.randn(state["embed.weight"].shape, generator=torch.Generator().manual_seed(0))
    )
    state["embed.weight"], state["unembed.weight"] = words, words.clone()
    for name in [name for name in state if "ln" in name and name.endswith("weight")]:
        state[name] = torch.ones_like(state[name])
    state["blocks.0.attn.v.weight"] = torch.eye(WIDTH).repeat(3, 1)
    state["blocks.0.attn.o.weight"] = torch.cat(
        [sign * torch.eye(WIDTH) for sign in (-3.0, 0.2, 0.0)], 1
    )
    model.load_state_dict(state)
    return model


@pytest.fixture(scope="module")
def drawn():
    """A model of random weights, large enough that its heads matter."""
    model = training.build_model(attention_recipe(n_layers=2)).eval()
    generator = torch.Generator().manual_seed(1)
    state = {
        name: value + 0.3 * torch.randn(value.shape, generator=generator)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model


def effects_of(model, skill: str = "ioi", count: int = 24) -> HeadEffects:
    return HeadEffects(model, tasks.prompts(skill, count, 0), tasks.prompts(skill, count, 1))


def head_of(name: str) -> Head:
    layer, head = name.split(".")
    return int(layer), int(head)


def test_copying_and_suppressing_show_in_the_rank_of_the_own_word(planted):
    words = tuple(f"{year:02d}" for year in range(100))
    copied, against, nothing = (
        head_roles.own_ranks(planted, (0, head), words) for head in (1, 0, 2)
    )
    assert copied.min() == 1
    assert against.max() == 0
    assert torch.all(nothing == 0.5)


def test_a_planted_suppressor_is_all_that_the_behaviour_needs(planted):
    """The giver is named more often, so even attention and a minus sign tell them apart."""
    found = head_roles.of_skill(planted, "ioi", 32)
    heads = found["heads"]
    assert found["full"] > 0.3
    assert heads["0.0"]["needed"]
    assert heads["0.0"]["loss"][1] > 0
    assert heads["0.0"]["favours"] > 0.6  # earlier sentences may name the receiver as often
    assert heads["0.0"]["logits"]["direct"] == pytest.approx(
        heads["0.0"]["logits"]["total"], rel=0.5
    )
    assert heads["0.2"]["loss"] == [0, 0, 0]
    assert not heads["0.2"]["needed"]
    assert found["alone"][0] == "0.0"
    assert found["subset"] == ["0.0"]
    assert found["subset_share"] >= 0.8
    assert heads["0.0"]["role"] == "unclear"  # even attention looks at no word in particular


def test_a_loss_is_that_of_the_general_tool_for_ablation(drawn):
    """`interventions.run_with_replaced` with one mean for all tokens is the same by other code."""
    effects = effects_of(drawn)
    asked, reference = effects.prompts, tasks.prompts("ioi", 24, 1)
    z = collect(drawn, reference.tokens)[0].z
    mean = torch.stack([z[:, row, : int(end) + 1] for row, end in [(0, reference.last[0])]])[0].sum(
        1
    )
    for row in range(1, 24):
        mean = mean + z[:, row, : int(reference.last[row]) + 1].sum(1)
    mean = mean / float((reference.last + 1).sum())  # [layer, head, d_head]
    width = asked.tokens.shape[1]
    source = Activations(
        mean[:, None, None].expand(-1, 1, width, -1, -1), torch.zeros(0, 1, width, 1)
    )
    for layer, head in effects.heads:
        nodes = [Node(position, layer, head) for position in range(width)]
        logits = run_with_replaced(drawn, asked.tokens, nodes, source)[torch.arange(24), asked.last]
        lost = effects.full.behaviour - answers(logits, asked).log_ratio
        assert torch.allclose(effects.loss((layer, head)), lost, atol=1e-4)
        assert effects.loss_at((layer, head), effects.real) == pytest.approx(
            float(effects.loss((layer, head)).mean()), abs=1e-5
        )


def test_what_heads_write_is_their_direct_logit_attribution(drawn):
    effects = effects_of(drawn, count=6)
    written = effects.written(effects.full)
    for row, end in enumerate(effects.prompts.last.tolist()):
        tokens, weights = effects.prompts.tokens[row : row + 1], effects.weights[row : row + 1]
        labels, parts = direct_logit_attribution(drawn, tokens, end, weights)
        for layer, head in effects.heads:
            assert float(written[layer, head, row]) == pytest.approx(
                float(parts[labels.index(f"L{layer}H{head}"), 0]), abs=1e-4
            )


def test_the_ways_of_a_loss(drawn):
    """A last layer's head has no later heads; one of the first layer works through those."""
    effects = effects_of(drawn)
    bias = (drawn.b_U + drawn.ln_final.bias @ drawn.W_U).detach()
    ways = effects.ways((1, 0))
    assert ways.later == {}
    assert ways.direct != 0
    for head in effects.heads:
        ways = effects.ways(head)
        assert ways.total == pytest.approx(
            float(effects.loss(head).mean()), abs=1e-4
        )  # one right word, one wrong one
        without = effects.run([head])
        ratio = (without.scale / effects.full.scale)[:, 0]
        # all that was written, read with the old scale, is `ratio` times what the new scale makes
        # of it; biases do not change
        unscaled = without.difference - effects.weights @ bias
        assert ways.scale == pytest.approx(float((unscaled * (ratio - 1)).mean()), abs=1e-4)


def test_attention_is_shared_out_among_places():
    at = torch.tensor([[2, 3, 0, 0, 1], [2, 0, 3, 0, 1]])
    named = Places(("elsewhere", LAST, "beginning", "receiver"), at, ("receiver",), (), ())
    pattern = torch.zeros(2, 5, 5)
    pattern[0, 4] = torch.tensor([0.1, 0.2, 0.3, 0.25, 0.15])
    pattern[1, 4] = torch.tensor([0.0, 0.5, 0.1, 0.4, 0.0])
    found = head_roles.looks(pattern, named.where(LAST), named)
    assert found == pytest.approx(
        {
            "beginning": 0.05,
            "receiver": 0.15,
            "token before": 0.325,
            "itself": 0.075,
            "elsewhere": 0.4,
            LAST: 0,
        }
    )


def test_attention_to_the_same_word_and_to_what_came_after_it():
    tokens = torch.tensor([[1, 5, 6, 5, 7]])
    queries = torch.tensor([[False, False, False, True, False]])
    pattern = torch.zeros(1, 5, 5)
    pattern[0, 3] = torch.tensor([0.1, 0.6, 0.2, 0.1, 0.0])
    assert head_roles.repeats(pattern, tokens, queries) == pytest.approx(0.6)
    assert head_roles.repeats(pattern, tokens, queries, after=True) == pytest.approx(0.2)
    assert (
        head_roles.repeats(pattern, tokens, torch.tensor([[False, False, True, False, False]]))
        is None
    )
    many = torch.tensor([[False, True, True, True, False]])  # one of three has an earlier one
    assert head_roles.repeats(pattern, tokens, many) is None
    assert head_roles.repeats(pattern, tokens, many, least=0.3) == pytest.approx(0.6)


SEEN = Seen(LAST, {"receiver": 0.6, "giver, second": 0.2, "elsewhere": 0.2}, None, None, 0.95, 0.9)
CASES = [
    ({}, "mover"),
    ({"favours": 0.7}, "unclear"),
    ({"own_rank": 0.89}, "unclear"),
    ({"at": "receiver"}, "unclear"),
    ({"looks": {"receiver": 0.29}}, "unclear"),
    ({"own_rank": 0.05, "favours": 0.1}, "negative mover"),
    ({"looks": {"giver, first": 0.2, "giver, second": 0.2}, "own_rank": 0.1}, "suppressor"),
    ({"looks": {"receiver": 0.4, "giver, second": 0.5}, "own_rank": 0.1}, "suppressor"),
    ({"looks": {"giver, second": 0.5}, "own_rank": 0.1, "at": "verb"}, "unclear"),
    ({"looks": {"giver, second": 0.5}, "own_rank": 0.4}, "threshold"),
    ({"looks": {"giver, second": 0.5}, "own_rank": 0.4, "favours": 0.7}, "unclear"),
    ({"looks": {}, "same": 0.3}, "duplicate token"),
    ({"looks": {}, "same": 0.29, "after_same": 0.31}, "induction"),
    ({"looks": {"token before": 0.5}}, "previous token"),
    ({"looks": {"itself": 0.5}}, "own token"),
    ({"looks": {"token before": 0.49, "itself": 0.49}}, "unclear"),
]


@pytest.mark.parametrize(("changes", "said"), CASES)
def test_each_role_begins_at_its_threshold(changes, said):
    assert role(replace(SEEN, **changes), RIGHT, WRONG) == said


def test_favours_counts_pairs_of_right_and_wrong_words():
    written = torch.tensor([[3.0, 1.0, 2.0, 2.0], [0.0, 1.0, 5.0, 0.0]])
    good = torch.tensor([[True, False, True, False], [False, True, False, False]])
    # first prompt: 3 above 1 and 2, 2 above 1 and level with 2: 3.5 of 4; second: 1 above 0, below
    # 5: 1 of 2
    bad = torch.tensor([[False, True, False, True], [True, False, True, False]])
    assert head_roles.favours(written, good, bad) == pytest.approx((3.5 / 4 + 1 / 2) / 2)


def words_at(skill: str, name: str, count: int = 40) -> list[list[str]]:
    """The words at a place, a list a prompt."""
    asked = tasks.prompts(skill, count)
    named = places.places_of(asked)
    texts = [["<begin>", *text.split()] for text in asked.texts]
    return [
        [texts[row][p] for p in where.nonzero()[:, 0].tolist()]
        for row, where in enumerate(named.where(name))
    ]


def test_places_of_gifts_hold_the_words_they_are_named_for():
    asked = tasks.prompts("ioi", 40)
    index = list(vocabulary().words)
    for mask, one, earlier in (
        (asked.good, "receiver", "receiver, earlier sentences"),
        (asked.bad, "giver, second", ""),
    ):
        wanted = [index[i] for i in mask.float().argmax(1).tolist()]
        assert words_at("ioi", one) == [[word] for word in wanted]
        if earlier:
            assert all(
                set(words) <= {word}
                for words, word in zip(words_at("ioi", earlier), wanted, strict=True)
            )
    assert words_at("ioi", "giver, first") == words_at("ioi", "giver, second")
    verbs = {word for row in words_at("ioi", "verb") for word in row}
    assert verbs <= {
        "gave",
        "handed",
        "offered",
        "brought",
        "sold",
        "wanted",
        "decided",
        "passed",
        "threw",
        "lent",
        "showed",
    }
    assert len(verbs) > 5
    ends = {words[-1] for words in words_at("ioi", LAST)}
    assert ends == {"to"}


def test_places_of_years_and_arguments_hold_the_words_they_are_named_for():
    asked = tasks.prompts("greater-than", 40)
    year = [int(words[0]) for words in words_at("greater-than", "start year")]
    first_good = asked.good.float().argmax(1)
    index = vocabulary()
    assert year == [int(index.words[i]) - 1 for i in first_good.tolist()]
    assert words_at("greater-than", "century") == words_at("greater-than", LAST)
    asked = tasks.prompts("docstring", 40)
    wanted = [[index.words[i]] for i in asked.good.float().argmax(1).tolist()]
    assert words_at("docstring", "asked argument") == wanted
    assert set(chain.from_iterable(words_at("docstring", "comma before it"))) == {","}
    assert set(chain.from_iterable(words_at("docstring", "earlier param"))) == {"param"}
    for before, last in zip(
        words_at("docstring", "argument before it"),
        words_at("docstring", "documented last"),
        strict=True,
    ):
        assert before == last  # the documentation takes the arguments in their order


def test_the_stored_numbers_come_out_again():
    """The same prompts and weights: only rounding and the machine's arithmetic differ."""
    stored = zoo.entry("tinyworld-attn").measured["heads"]
    skill = stored["skills"]["greater-than"]
    model = zoo.load("tinyworld-attn", device="cpu")
    effects = effects_of(model, "greater-than", stored["prompts"])
    assert float(effects.full.behaviour.mean()) == pytest.approx(skill["full"], abs=1e-3)
    for name in ("0.3", "3.1"):
        head, entry = head_of(name), skill["heads"][name]
        assert float(effects.loss(head).mean()) == pytest.approx(entry["loss"][0], abs=1e-3)
        assert effects.ways(head).direct == pytest.approx(entry["logits"]["direct"], abs=1e-3)
        seen, there = head_roles.see(effects, places.places_of(effects.prompts), head)
        assert seen.looks == pytest.approx(entry["looks"], abs=1e-3)
        assert there == pytest.approx(entry["loss_there"], abs=1e-3)
    share = effects.share([head_of(name) for name in skill["subset"]])
    assert share == pytest.approx(skill["subset_share"], abs=1e-3)


def test_stored_roles_follow_from_the_stored_numbers_and_untrained_heads_have_fewer():
    stored = zoo.entry("tinyworld-attn").measured["heads"]
    assert set(stored["skills"]) == set(places.SKILLS)
    assert stored["thresholds"] == head_roles.THRESHOLDS
    for name, skill in stored["skills"].items():
        named = places.places_of(tasks.prompts(name, 2))
        for head in skill["heads"].values():
            seen = Seen(**{field: head[field] for field in Seen.__dataclass_fields__})
            assert role(seen, named.right, named.wrong) == head["role"]
            low, high = head["loss"][1:]
            assert low <= head["loss"][0] <= high
        clear = [head for head in skill["heads"].values() if head["role"] != "unclear"]
        assert len(skill["untrained"]["roles"]) < len(clear)


def test_a_run_is_measured_published_and_shown_with_its_heads(tmp_path, monkeypatch, capsys):
    recipe, folder = attention_recipe(), tmp_path / "run"
    training.train(recipe, task_of(recipe), folder)
    capsys.readouterr()
    assert (
        cli.main(
            [
                "skills",
                str(folder),
                "--steps",
                "4",
                "--prompts",
                "2",
                "--curve-prompts",
                "2",
                "--heads",
                "4",
            ]
        )
        == 0
    )
    (tmp_path / "skills.json").write_text(capsys.readouterr().out)
    shelf = tmp_path / "weights"
    shelf.mkdir()
    (shelf / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(shelf))
    publish.publish(recipe.name, folder, tmp_path / "skills.json")
    kept = zoo.entry(recipe.name).measured["heads"]
    assert kept == json.loads((tmp_path / "skills.json").read_text())["heads"]
    assert set(kept["skills"]["docstring"]["heads"]) == {"0.0", "0.1"}
    assert "Skill `docstring`" in model_cards.card(zoo.entry(recipe.name))


def test_the_head_that_looks_most_for_repeats_is_found(planted):
    """With even attention, earlier mentions together get their share of the tokens so far."""
    effects = effects_of(planted, count=2)
    named, shares = places.places_of(effects.prompts), []
    for row, tokens in enumerate(effects.prompts.tokens.tolist()):
        for query, token in enumerate(tokens[: int(effects.prompts.last[row]) + 1]):
            if vocabulary().words[token] in named.words and token in tokens[:query]:
                shares.append(tokens[:query].count(token) / (query + 1))
    found = head_roles.strongest_repeats(effects, named)
    assert found["same"][1] == pytest.approx(sum(shares) / len(shares), abs=1e-5)
    assert found["after_same"][1] > 0


def test_what_has_no_roles_is_refused(drawn, capsys):
    with pytest.raises(LabError, match="prompts per skill of at least 2; got 1"):
        head_roles.of_skill(drawn, "ioi", 1)
    with pytest.raises(
        LabError, match="a skill with places: ioi, greater-than, docstring; got 'kind'"
    ):
        head_roles.of_skill(drawn, "kind", 4)
    with pytest.raises(LabError, match="expected a skill: "):
        head_roles.of_skill(drawn, "no such", 4)
    with pytest.raises(LabError, match="model of attention only"):
        head_roles.of_skill(training.build_model(tiny.recipe()), "ioi", 4)
    with pytest.raises(LabError, match=r"step 0 beside the trained model; got steps \[2, 4\]"):
        measure.heads(
            measure.History(attention_recipe(), (2, 4), lambda step: drawn, True, "ab" * 32), 4
        )
    assert cli.main(["skills", "tinyworld", "--heads", "4"]) == 1
    assert "attention only" in capsys.readouterr().err
