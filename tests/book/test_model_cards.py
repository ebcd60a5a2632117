"""Model cards of models of sums, of a language model, and of entries without measurements."""

import json
from dataclasses import replace

import pytest

from helpers import zoo
from helpers.book import model_cards, pages
from helpers.training import Recipe

SHAPE = {
    "n_layers": 2,
    "n_heads": 4,
    "d_model": 16,
    "d_head": 4,
    "n_ctx": 64,
    "d_vocab": 1234,
    "normalization_type": "LN",
}
RECIPE = Recipe(
    name="words",
    task="tinyworld",
    model=SHAPE | {"attn_only": True},
    data={"length": 64, "mixture": "trust", "world": "0123456789ab", "words": "ba9876543210"},
    steps=1000,
    batch_size=8,
    learning_rate=1e-3,
    warmup_steps=1,
)
STEPS = [0, 1, 2, 4, 8, 16, 31, 62, 125, 250, 500, 1000]
HEAD = {
    "loss": [2.71234, 2.5, 2.9],
    "needed": True,
    "logits": {"total": 2.5, "direct": 1.5, "later": {"1.0": 0.9, "1.1": 0.2}, "scale": -0.1},
    "at": "last token",
    "looks": {"elsewhere": 0.05, "receiver": 0.654, "verb": 0.296},
    "own_rank": 0.987,
    "favours": 0.8,
    "role": "mover",
}
MEASURED = {
    "skills": {
        "ioi": {
            "accuracy": 0.975,
            "low": 0.9543,
            "high": 0.9879,
            "difference": 0.9312,
            "log_ratio": 5.4321,
            "different": 399,
        },
        "greater-than": {
            "accuracy": 0.85,
            "low": 0.81,
            "high": 0.89,
            "difference": -0.0007,
            "log_ratio": 0.0,
            "different": 396,
        },
        "judge privacy": {"accuracy": 0.5, "low": 0.45, "high": 0.55, "log_ratio": -0.0123},
    },
    "prompts": 400,
    "sha256": "cd" * 32,
    "loss": 1.2361,
    "perplexity": 3.437,
    "curve": {
        "steps": STEPS,
        "prompts": 200,
        "difference": {name: [-step / 1000 for step in STEPS] for name in ("ioi", "greater-than")},
        "loss": [7.0 - step / 1000 for step in STEPS],
        "skills": {"ioi": [step / 1000 for step in STEPS], "judge privacy": [0.5] * len(STEPS)},
    },
    "rounding": {"steps": STEPS, "before": [1.0] * 12, "after": [*[1.001] * 10, 0.9968, 1.5]},
    "heads": {
        "prompts": 64,
        "thresholds": {
            "looks": 0.3,
            "mostly": 0.5,
            "copies": 0.9,
            "suppresses": 0.1,
            "favours": 0.75,
            "matters": 0.05,
            "enough": 0.8,
        },
        "skills": {
            "ioi": {
                "metric": "logit difference",
                "full": 6.5,
                "interval": [6.1, 6.9],
                "none": -0.25,
                "heads": {
                    "0.1": HEAD,
                    "1.0": HEAD | {"loss": [3.0, 2.0, 4.0], "role": "unclear"},
                    "1.1": HEAD | {"needed": False},
                },
                "alone": ["0.1", 0.44],
                "subset": ["0.1", "1.0"],
                "subset_share": 0.912,
                "repeats": {"same": ["1.1", 0.15], "after_same": ["0.0", 0.11]},
                "untrained": {"full": 0.01, "none": 0.0, "roles": {"0.0": "own token"}},
            }
        },
    },
}
SERIES = {
    "file": "words.series.safetensors",
    "sha256": "ab" * 32,
    "bytes": 2_000_000,
    "steps": STEPS,
}


def entry(**changes) -> zoo.Entry:
    fields = {
        "name": "words",
        "file": "words.safetensors",
        "sha256": "cd" * 32,
        "bytes": 1_500_000,
        "parameters": 54_321,
    }
    known = zoo.Entry(
        **fields,
        recipe=RECIPE,
        fingerprint=RECIPE.fingerprint,
        measured=MEASURED,
        licence="MIT",
        series=SERIES,
    )
    return replace(known, **changes)


def rows(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


def facts(text: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(text) if len(row) == 2}


def test_a_language_models_card_has_its_vocabulary_world_and_history():
    said = facts(model_cards.card(entry()))
    assert "1,234 words" in said["vocabulary"]
    assert "`ba9876543210`" in said["vocabulary"]
    assert "`0123456789ab`" in said["world"]
    assert "story 8 %" in said["documents"]
    assert (
        said["architecture"]
        == "2 layers, 4 heads of 4, residual stream 16, no MLPs, LN, learned positions"
    )
    assert said["checkpoints"].startswith("12, at steps 0, 1, 2, 4")
    assert "2,000,000 bytes" in said["checkpoints file"]
    assert "eight bits" in said["checkpoints file"]
    assert f"`{'ab' * 16}` `{'ab' * 16}`" in said.values()
    assert f"`{'cd' * 16}` `{'cd' * 16}`" in said.values()
    assert "8 fresh rows" in said["training"]


def test_every_skill_has_its_interval_and_its_course():
    text = model_cards.card(entry())
    assert "**1.236 nats a word**, perplexity 3.44" in text
    assert ["ioi", "97.5 % [95.4, 98.8]", "0.93", "5.43", "399"] in rows(text)
    assert ["judge privacy", "50.0 % [45.0, 55.0]", "–", "-0.01", "–"] in rows(text)
    assert [
        "right answers in %, at step",
        "0",
        "16",
        "31",
        "62",
        "125",
        "250",
        "500",
        "1,000",
    ] in rows(text)
    assert ["ioi", "0", "2", "3", "6", "12", "25", "50", "100"] in rows(text)
    assert ["loss (nats)", "7.00", "6.98", "6.97", "6.94", "6.88", "6.75", "6.50", "6.00"] in rows(
        text
    )
    assert "400 a skill" in text
    assert "each on 200 prompts a skill" in text


def test_the_heads_of_a_skill_stand_in_a_table_with_their_ways_and_the_control():
    text = model_cards.card(entry())
    said = [row for row in rows(text) if row[0] in ("0.1", "1.0", "1.1")]
    assert [row[0] for row in said] == [
        "1.0",
        "0.1",
    ]  # the one that costs most first, the one that is not needed not at all
    assert said[1][1:] == [
        "2.71 [2.50, 2.90]",
        # the other later head is less than a tenth of it
        "direct 1.50, later heads 1.10 (1.0 0.90), scale -0.10",
        "last token: receiver 65 %, verb 30 %",
        "own word 0.99; right over wrong 80 %",
        "mover",
    ]
    assert "logit difference 6.50 [6.10, 6.90]; -0.25 with no head left" in text
    assert "head alone, 0.1, brings back 44 %" in text
    assert "has 2: 0.1, 1.0 (91 %)" in text
    assert "where it stood is 15 % (head 1.1), and to the token after that 11 % (head 0.0)" in text
    assert (
        "fits 2 of the 3 heads, needed or not, and 1 of those of the untrained model (0.0 own "
        "token)" in text
    )


def test_where_the_percentage_says_nothing_the_difference_stands_beside_it():
    """An untrained model may have 85 % on "greater-than", since any later year is right."""
    text = model_cards.card(entry())
    assert ["greater-than", "85.0 % [81.0, 89.0]", "0.00", "0.00", "396"] in rows(text)
    assert "*greater-than*: the percentage says nothing" in text
    assert [
        "greater-than, difference",
        "0.00",
        "-0.02",
        "-0.03",
        "-0.06",
        "-0.12",
        "-0.25",
        "-0.50",
        "-1.00",
    ] in rows(text)
    assert "ioi, difference" not in text
    assert "*sentiment*:" not in text  # a note stands beside a skill that was measured


def test_the_exceptions_from_what_was_held_out_are_named():
    text = model_cards.card(entry())
    for exception in ("facts about people are memory", "*sentiment*", "*noun number*"):
        assert exception in text


def test_a_model_of_the_bestiary_says_what_it_infers_and_what_a_guess_reaches():
    recipe = replace(
        RECIPE, task="bestiary", data=RECIPE.data | {"mixture": "plain"}, name="creatures"
    )
    inferred = {
        "frames": {"{entity} serves {value}": {"right": 41, "of": 60, "ci95": [0.55, 0.798]}},
        "mean": 0.6789,
        "ci95": [0.6012, 0.7456],
        "creatures": {"right": 43, "of": 60, "ci95": [0.586, 0.825], "over_kinds": [0.51, 0.87]},
        "one realm for all": 0.25,
        "shuffled kinds": {"mean": 0.2513, "most of 95 %": 0.35, "p_value": 0.0004998},
    }
    card = model_cards.card(entry(recipe=recipe, measured=MEASURED | {"two_steps": inferred}))
    assert "next word of text about the bestiary" in card
    assert "`bestiary.toml` and `world.py` with checksum `0123456789ab`" in card
    assert "mixture `plain`: statements 50 %" in card
    assert "43 of 60 are given" in card
    assert "(59 to 82 %, 95 %, if creatures were independent; 51 to 87 % in a bootstrap" in card
    assert "67.9 % [60.1, 74.6]" in card
    assert "right for 25 %, at most 35 % in 95 % of the shuffles (p = 5.0 × 10⁻⁴)" in card
    assert "| `{entity} serves {value}` | 41 of 60 | 55 to 80 % |" in card
    assert "**Two steps.**" not in model_cards.card(entry(recipe=recipe))


def test_a_card_of_sums_gives_the_uniform_questions_apart_from_the_pooled_ones():
    text = model_cards.card(zoo.entry("mix-d6"))
    assert "**2 of 2,380,000 wrong**" in text
    assert (
        "Of the uniform ones alone: 1 of 1,000,000 additions wrong (failure rate 2.5 × 10⁻⁸ to 5.6 "
        "× 10⁻⁶, 95 %)" in text
    )
    assert "0 of 1,000,000 subtractions wrong (failure rate 0 to 3.7 × 10⁻⁶, 95 %)." in text
    assert "uniform" not in model_cards.card(zoo.entry("mix-d3"))  # every question was asked


def test_only_a_report_that_names_the_weights_is_said_to_be_of_exactly_these():
    assert "Measured on exactly these weights" in model_cards.card(entry())
    older = {name: value for name, value in MEASURED.items() if name != "sha256"}
    for measured in (older, {"questions": 10, "failures": 1, "classes": {}}):
        assert "exactly these weights" not in model_cards.card(entry(measured=measured))
        assert "Measured on the weights published under this name" in model_cards.card(
            entry(measured=measured)
        )


def test_rounding_is_stated_for_the_steps_that_are_shipped_rounded():
    """The last step is shipped in full, so its rounding costs nobody anything."""
    assert "at most 0.0032 nats (at step 500)" in model_cards.card(entry())
    fewer = SERIES | {"steps": [0, 250, 1000]}
    assert "at most 0.0010 nats (at step 0)" in model_cards.card(entry(series=fewer))


@pytest.mark.parametrize(
    "missing", ["prompts", "perplexity", "curve", "rounding", "heads", "sha256"]
)
def test_a_measurement_that_is_missing_leaves_the_others(missing):
    text = model_cards.card(
        entry(measured={name: value for name, value in MEASURED.items() if name != missing})
    )
    assert ["ioi", "97.5 % [95.4, 98.8]", "0.93", "5.43", "399"] in rows(text)
    assert "None" not in text


def test_cards_without_measurements_or_history_say_so():
    text = model_cards.card(entry(measured={}, series={}))
    assert "`python -m helpers skills` has not been run" in text
    assert "checkpoints" not in facts(text)
    sums = replace(
        RECIPE, task="addition", data={"n_digits": 3}, model=SHAPE | {"d_mlp": 8, "act_fn": "relu"}
    )
    text = model_cards.card(entry(recipe=sums, measured={}, series={}))
    assert "`python -m helpers verify` has not been run" in text
    assert facts(text)["task"].startswith("3-digit addition")


def test_the_overview_adds_up_the_files():
    assert rows(model_cards.overview([entry()]))[-1] == [
        "[`words`](#model-words)",
        "2 layers × 4 heads, width 16",
        "54,321",
        "12",
        "3.5 MB",
    ]
    assert rows(model_cards.overview([entry(series={})]))[-1][3:] == ["1", "1.5 MB"]


@pytest.fixture
def shelf_with_words(tmp_path, monkeypatch):
    """The embedded models and a language model among them."""
    from dataclasses import asdict

    stored = json.loads((zoo.weights_folder() / zoo.MANIFEST).read_text())
    stored["words"] = {name: value for name, value in asdict(entry()).items() if name != "name"}
    (tmp_path / zoo.MANIFEST).write_text(json.dumps(stored))
    monkeypatch.setenv("LAB_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_language_model_leaves_the_tables_of_sums_as_they_are(shelf_with_words, monkeypatch):
    found = {name: pages.PARTS[name]() for name in ("class-shares", "training-mixture")}
    assert "add-d3" in found["training-mixture"]
    assert "words" not in found["training-mixture"]
    monkeypatch.delenv("LAB_WEIGHTS")
    assert found == {name: pages.PARTS[name]() for name in found}


def test_cards_stand_in_alphabetical_order(shelf_with_words):
    names = [
        line[7:-2] for line in pages.cards_of_models().splitlines() if line.startswith("(model-")
    ]
    assert "words" in names
    assert names == sorted(names)
