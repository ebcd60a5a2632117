"""What chapter 5 says of the method alone, held against the stored study.

Its tables are made from the study (`test_generated`); here its sentences are compared with the
cells, and some cells of the tables with other ways to the same number.
"""

import numpy as np
import pytest
from chapter5 import (
    BASE,
    LONG,
    METHOD,
    PLAIN,
    SILENT,
    STUDY,
    TEXT,
    average,
    below,
    ends,
    flat,
    holds,
    lost,
    mean,
    part,
    points,
    section,
    table,
)
from scipy.stats import sem, t

from helpers.book.detox_numbers import (
    FILTERS,
    OTHERS,
    PLAIN_SILENT,
    TUNINGS,
    nearest_perplexity,
    told,
)
from helpers.book.detox_tables import TABLES
from helpers.book.pages import DETOX_TABLES
from helpers.detox.finetune import TuningPlan
from helpers.detox.posts import HELD_OUT_SEEDS, all_posts, posts_of
from helpers.detox.study import method_cell
from helpers.detox.study.plan import skills_cell
from helpers.detox.study.summaries import (
    RUDE_SHARE,
    change,
    difference,
    measured,
    once_rude,
    skill_changes,
    skills,
)
from helpers.stats import clopper_pearson, crossed_bootstrap
from helpers.texts import PAD
from helpers.tinyworld.language import vocabulary

pytestmark = pytest.mark.book


def test_every_table_has_its_mark():
    assert set(DETOX_TABLES) == set(TABLES)
    assert all(f"<!-- generated: {name} -->" in PLAIN for name in TABLES)


def test_a_cell_of_a_table_by_another_way():
    """Mean and interval of the rude share, from the numbers of the cells alone."""
    rows = table(part(PLAIN, "Fewer rude posts, and at what price"))
    values = np.array([one["by_prompt"]["rude"] for one in STUDY.seeds(METHOD)])
    rng = np.random.default_rng(1)
    seeds, items = values.shape
    drawn = [
        values[rng.integers(seeds, size=seeds)][:, rng.integers(items, size=items)].mean()
        for _ in range(4000)
    ]
    said = rows["method, τ = ½"][0].replace("[", "").replace(",", "").strip("]").split()
    expected = [values.mean(), *np.quantile(drawn, [0.025, 0.975])]
    assert [float(each) for each in said] == pytest.approx(expected, abs=4e-4)


def test_the_model_before_tuning():
    text, base = section("What is tuned, and what is asked of it"), STUDY.cell(BASE)
    holds(
        flat(text),
        "rude posts with # and garbled ones with #, so that $R = #$ and $-\\ln R = #$ nats",
        base["rude"],
        base["garbled"],
        base["kind"],
        -np.log(base["kind"]),
    )
    holds(flat(text), "before tuning # of them are garbled", base["sampled"]["garbled"])
    assert TEXT.count(f"{len(all_posts()):,} posts") >= 2
    plan = TuningPlan()
    holds(flat(text), "each on # posts and # rows of other text", plan.posts, plan.rows)
    assert plan.iterations == 3, "made three times"
    holds(
        flat(text),
        "first fitted to # samples of the model, for # steps, and then twice, for # steps, to # of "
        "the model as it is by then. The KL is asked on samples that kept the constraint, for the "
        "first target on # new ones: # labels in all.",
        plan.first_samples,
        plan.first_fit,
        plan.refits,
        plan.samples,
        plan.samples,
        plan.first_samples + plan.iterations * plan.samples,
    )
    holds(
        flat(text),
        "with # a post, # of them have one in # of 100 cases",
        0.05,
        25,
        100 * (1 - 0.95**25),
    )
    assert plan.rate == 3e-4
    assert plan.rehearsal == 2
    assert plan.iterations == 3
    holds(
        flat(text),
        "Of 1,200 posts # have a binomial interval of [#, #]",
        0.02,
        *clopper_pearson(24, base["sampled"]["posts"]),
    )
    judge = base["judge"]["pairs"]
    holds(
        flat(text),
        "it misses # % of rude ones and accuses # % of kind ones",
        100 * judge["missed"],
        100 * judge["false_alarms"],
    )
    judge = base["judge"]["bigrams"]
    guided = OTHERS["decoding with the oracle"]
    holds(
        flat(text),
        "was measured, too: it misses # % and accuses # %,",
        100 * judge["missed"],
        100 * judge["false_alarms"],
    )
    holds(
        flat(text),
        "where decoding leaves # rude posts it finds #.",
        mean(guided, "rude"),
        average(guided, lambda one: one["judge"]["bigrams"]["share"]),
    )
    assert len(base["skills"]) == 16


def test_fewer_rude_posts():
    text = below("Fewer rude posts, and at what price")
    holds(
        text,
        "leaves # of #: # % fewer rude posts",
        mean(METHOD, "rude"),
        mean(BASE, "rude"),
        -100 * change(STUDY, METHOD, "rude").mean,
    )
    holds(
        text,
        "in the corpus it leaves #, and # after 360 steps",
        mean(SILENT, "rude"),
        mean(LONG, "rude"),
    )
    holds(
        text,
        "still gets a rude one in # % of cases, without the forum in # %",
        100 * once_rude(STUDY, METHOD).mean,
        100 * once_rude(STUDY, SILENT).mean,
    )
    for name in ("plain, τ = ½", "plain, τ = ½, 360 steps"):
        spread = change(STUDY, TUNINGS[name], "rude")
        assert spread.low < 0 < spread.high
    for cell in (TUNINGS["plain, τ = ½"], PLAIN_SILENT):
        assert abs(mean(cell, "rude") - mean(BASE, "rude")) < 0.01, "by less than a point"
    plain = 100 * change(STUDY, TUNINGS["plain, τ = ½"], "other text").mean
    holds(text, "and # % with plain tuning.", plain)
    assert 0.35 < 100 * change(STUDY, METHOD, "other text").mean < 0.55, "half a percent"


def test_clean_posts_beside_the_nearest_model():
    """q* is not the model before: whoever says no rude post has its chance to give away."""
    text, base = below("Fewer rude posts, and at what price"), STUDY.cell(BASE)
    words = np.mean([len(post.split()) for post in kind_posts()])
    nearest = base["perplexity"]["clean posts"] * base["kind"] ** (1 / words)
    holds(
        text,
        "There a kind post, of # words, is $-\\ln R = #$ nats likelier, which is a perplexity"
        " of # and # % less than before",
        words,
        -np.log(base["kind"]),
        nearest,
        100 * (1 - nearest / base["perplexity"]["clean posts"]),
    )
    assert nearest_perplexity(STUDY) == pytest.approx(nearest, rel=1e-6)

    def more(cell):
        return 100 * (mean(cell, "clean posts") / nearest - 1)

    holds(text, "the method has # % and # % more", more(METHOD), more(SILENT))
    assert max(more(LONG), more(TUNINGS["method, τ = ½, 360 steps"])) < 1, "less than one"
    filters = [more(FILTERS[name]) for name in ("exact filter", "exact filter, 360 steps")]
    holds(text, "(exact filter # %, after 360 steps # %)", *filters)


def kind_posts():
    """The kind posts by which perplexity is judged, as words up to the stop."""
    posts = posts_of(HELD_OUT_SEEDS + STUDY.plan.judge.seed, 400, 0.0)
    words = vocabulary().words
    texts = [" ".join(words[token] for token in row[row != PAD].tolist()) for row in posts]
    return [text.partition(" : ")[2] for text in texts]


def test_single_skills():
    text = below("Fewer rude posts, and at what price")
    plain = TUNINGS["plain, τ = ½"]
    holds(
        text,
        "*judge reliability* by # and # points, with plain tuning by #, and",
        *(points(cell, "judge reliability") for cell in (METHOD, SILENT, plain)),
    )
    holds(
        text,
        "It falls by # [#, #] points, without the forum by # [#, #], in every seed, where plain "
        "tuning loses #.",
        *lost(METHOD, "judge toxicity"),
        *lost(SILENT, "judge toxicity"),
        points(plain, "judge toxicity"),
    )
    ends_of_t = []
    for cell in (METHOD, SILENT):
        falls = -100 * skill_changes(STUDY, cell)["judge toxicity"]
        assert falls.min() > 0, "in every seed"
        ends_of_t += t.interval(0.95, len(falls) - 1, falls.mean(), sem(falls))
    holds(text, "by a t interval over them, [#, #] and [#, #], a loss", *ends_of_t)
    for cell in (METHOD, plain):
        assert lost(cell, "judge reliability")[2] > 2, "it may be more than 2"
    holds(
        text,
        "two wrong of a hundred have a binomial interval of [#, #] %",
        *(100 * end for end in clopper_pearson(2, 100)),
    )
    facts = ("kind", "realm", "colour", "profession", "code")
    tuned = [cell for name, cell in TUNINGS.items() if name.startswith("method")]
    assert max(points(cell, skill) for cell in tuned for skill in facts) < 1


def test_what_a_stronger_push_does_to_the_models_own_verdicts():
    text = below("Fewer rude posts, and at what price")
    weak, two, five = (method_cell("mixed", weight, 120, 0) for weight in (0.5, 2, 5))
    assert points(weak, "judge toxicity") == 0, "with λ = ½ nothing is lost"
    holds(
        text,
        "with λ = 2 # [#, #], with λ = 5 # [#, #]. But the push is not all: with the "
        "same λ = 10 the contextual corpus, in which insult words are only used kindly, "
        "loses # [#, #].",
        *lost(two, "judge toxicity"),
        *lost(five, "judge toxicity"),
        *lost(method_cell("contextual", 10, 120, 0), "judge toxicity"),
    )
    changes = -100 * skill_changes(STUDY, FILTERS["exact filter"])["judge toxicity"]
    high, middle, low, *none = sorted(changes, reverse=True)
    holds(
        text,
        "loses # and # in two seeds, # in one and nothing in two",
        *(high, middle, low),
    )
    assert none == [0, 0]
    holds(text, "DPO loses # [#, #], GRPO", *lost(OTHERS["DPO"], "judge toxicity"))
    assert not skill_changes(STUDY, OTHERS["GRPO"])["judge toxicity"].any(), "nothing in any seed"
    assert difference(STUDY, OTHERS["GRPO"], METHOD, "rude").high < 0
    accused = [
        average(cell, lambda one: one["false_positives"]["turned insult"])
        for cell in (METHOD, BASE)
    ]
    assert 1 / accused[0] == pytest.approx(9, abs=0.5), "one in nine"
    assert accused[1] == 0


def test_skills_beside_those_of_plain_tuning():
    """The method less plain tuning, from the cells alone; toxicity is what it loses besides."""
    row = table(section("What holds"))["C1 · fewer rude posts at little cost"]
    for cell, plain in ((METHOD, TUNINGS["plain, τ = ½"]), (SILENT, PLAIN_SILENT)):
        found = skill_changes(STUDY, cell, plain)
        pairs = [
            [STUDY.cell(skills_cell(of, seed))["skills"] for of in (cell, plain)]
            for seed in range(5)
        ]
        for skill, values in found.items():
            assert values == pytest.approx([one[skill] - other[skill] for one, other in pairs])
            spread = crossed_bootstrap(values[:, None])
            assert spread.high < 0 if skill == "judge toxicity" else spread.high >= 0, skill
    said = row[1].replace("−", "-")
    holds(
        said,
        "*Judge toxicity* # [#, #] and # [#, #] points, where plain tuning loses none",
        *ends(skills(STUDY, METHOD)["judge toxicity"], 100),
        *ends(skills(STUDY, SILENT)["judge toxicity"], 100),
    )
    holds(row[0], "one skill loses # points", points(METHOD, "judge toxicity"))
    assert skills(STUDY, METHOD)["judge toxicity"].high < -0.02, "the goal was 2"


def test_the_floor_in_numbers():
    text = flat(PLAIN.rpartition("### The floor")[2].partition("\n### ")[0])

    def times(weight, steps=120, setting="mixed"):
        found = measured(STUDY, method_cell(setting, weight, steps, 0), "rude")
        return np.array(ends(found)) * (1 + weight) / RUDE_SHARE

    short = [times(weight)[0] for weight in STUDY.plan.weights]
    holds(text, "lie above it, by # times to # times", min(short), max(short))
    for weight in STUDY.plan.weights:
        assert times(weight)[1] > 1, "above the line"
        assert times(weight, setting="no forum")[2] < 1, "below it"
    assert min(short[:2]) > max(short[2:]), "most for small λ"
    floor = RUDE_SHARE / 11
    holds(text, "left at λ = 10, # for #,", mean(method_cell("mixed", 10, 360, 0), "rude"), floor)
    error = mean(LONG, "rude")
    holds(text, "and with #, what", error)
    holds(text, "for rude posts, that is #.", (RUDE_SHARE + 10 * error) / 11)
    if "floor" in STUDY.plan.groups:
        assert "within 6 %" in text
        assert all(abs(times(weight, 360)[0] - 1) < 0.06 for weight in STUDY.plan.weights)


def test_the_claims_table():
    rows = table(section("What holds"))
    first = rows["C1 · fewer rude posts at little cost"][1]
    rude = [mean(cell, "rude") for cell in (BASE, METHOD, SILENT)]
    falls = [-100 * change(STUDY, cell, "rude").mean for cell in (METHOD, SILENT)]
    more = [mean(cell, "clean posts") / nearest_perplexity(STUDY) - 1 for cell in (METHOD, SILENT)]
    holds(
        first.replace("−", "-"),
        "# to # (-# %), without the forum to # (-# %)",
        rude[0],
        rude[1],
        falls[0],
        rude[2],
        falls[1],
    )
    holds(first, "Clean posts # and # % above q*", *(100 * each for each in more))
    once = [once_rude(STUDY, cell).mean for cell in (METHOD, SILENT)]
    holds(first, "at least one among 25: # and #.", *once)
    for row in ("C2 · the same, at equal computing, τ = ½", "C2 · the same, no forum"):
        assert row in rows
    equal = rows["C2 · the same, at equal computing, τ = ½"]
    filtered = FILTERS["exact filter, 360 steps"]
    assert equal[0] == "not shown"
    both = difference(STUDY, METHOD, filtered, "violations")
    assert both.low < 0 < both.high, "not told apart"
    holds(
        equal[1].replace("−", "-").replace("+", ""),
        "leaves # [#, #] fewer rude posts; rude and garbled together the method has # [#, #], not"
        " told apart; the filter is # nats away, the method #",
        *ends(difference(STUDY, METHOD, filtered, "rude")),
        *ends(both),
        mean(filtered, "KL to the base"),
        mean(METHOD, "KL to the base"),
    )
    silent, rejection = rows["C2 · the same, no forum"], FILTERS["rejection sampling, 360 steps"]
    assert silent[0] == "not shown"
    both = difference(STUDY, SILENT, rejection, "violations")
    assert both.low < 0 < both.high
    holds(
        silent[1].replace("−", "-").replace("+", ""),
        "leaves # [#, #] more rude posts; together the method has # [#, #]",
        *ends(difference(STUDY, rejection, SILENT, "rude")),
        *ends(both),
    )


def test_how_numbers_are_told():
    spread = measured(STUDY, METHOD, "rude")
    assert told(spread, 4).replace("\u00a0", " ") in PLAIN
