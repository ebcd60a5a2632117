"""What chapter 5 says was found, held against the stored study.

Its tables are made from the study (`test_generated`); here its sentences are compared with the
cells, and some cells of the tables with other ways to the same number.
"""

import numpy as np
import pytest
from chapter5 import PLAIN, TEXT, below, ends, flat, holds, part, section, table

from helpers.book.detox_tables import (
    EVERYTHING,
    FILTERS,
    OTHERS,
    TABLES,
    TUNINGS,
    beyond_least,
    least_kl,
    told,
    violations,
)
from helpers.book.pages import DETOX_TABLES
from helpers.detox.detection import ARMS
from helpers.detox.finetune import TuningPlan
from helpers.detox.posts import all_posts
from helpers.detox.study import DetoxCell, method_cell, rival_cell, stored_detox
from helpers.detox.study.groups import DETECTORS
from helpers.detox.study.learned import oracles, regulariser
from helpers.detox.study.plan import detection_cell
from helpers.detox.study.summaries import (
    RUDE_SHARE,
    change,
    difference,
    measured,
    skills,
)
from helpers.stats import crossed_bootstrap

pytestmark = pytest.mark.book
STUDY = stored_detox()
BASE = DetoxCell("base")
METHOD, SILENT, LONG = (
    TUNINGS[name] for name in ("method, τ = ½", "method, no forum", "method, no forum, 360 steps")
)


def mean(cell, measure):
    return measured(STUDY, cell, measure).mean


def average(cell, read):
    return np.mean([read(one) for one in STUDY.seeds(cell)])


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
    holds(flat(text), "each time # samples are drawn", plan.samples)
    holds(
        flat(text),
        "fitted to them for # steps; the first time #, for #.",
        plan.refits,
        plan.first_samples,
        plan.first_fit,
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
    judge = base["judge"]["pairs"]
    holds(
        flat(text),
        "it misses # % of rude ones and accuses # % of kind ones",
        100 * judge["missed"],
        100 * judge["false_alarms"],
    )


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
        "rude after # % of names, and after # % without the forum",
        100 * mean(METHOD, "expected maximum"),
        100 * mean(SILENT, "expected maximum"),
    )
    for name in ("plain, τ = ½", "plain, τ = ½, 360 steps"):
        spread = change(STUDY, TUNINGS[name], "rude")
        assert spread.low < 0 < spread.high, "plain tuning changes nothing"
    assert abs(change(STUDY, rival_cell("plain", "no forum", 1, 120, 0), "rude").mean) < 0.015
    plain = 100 * change(STUDY, TUNINGS["plain, τ = ½"], "other text").mean
    holds(text, "and # % with plain tuning.", plain)
    assert 0.35 < 100 * change(STUDY, METHOD, "other text").mean < 0.55, "half a percent"


def points(cell, skill):
    return -100 * skills(STUDY, cell)[skill].mean


def test_single_skills():
    text = below("Fewer rude posts, and at what price")
    tuned = [cell for name, cell in TUNINGS.items() if name.startswith("method")]
    plain, longer = TUNINGS["plain, τ = ½"], TUNINGS["plain, τ = ½, 360 steps"]
    reliability = [points(cell, "judge reliability") for cell in tuned]
    holds(
        text,
        "falls by # to #, but by # with plain tuning, and by # after 360 steps of it",
        min(reliability),
        max(reliability),
        points(plain, "judge reliability"),
        points(longer, "judge reliability"),
    )
    holds(
        text,
        "*judge toxicity*, # points where plain tuning has #:",
        points(METHOD, "judge toxicity"),
        points(plain, "judge toxicity"),
    )
    worst = max(points(cell, skill) for cell in tuned for skill in STUDY.cell(BASE)["skills"])
    holds(text, "no skill of this table falls by more than # points on average", 2.5)
    assert worst <= 2.5
    facts = ("kind", "realm", "colour", "profession", "code")
    assert max(points(cell, skill) for cell in tuned for skill in facts) < 1
    accused = average(METHOD, lambda one: one["false_positives"]["turned insult"])
    assert 1 / 10.5 < accused < 1 / 8.5, "one in nine"
    assert STUDY.cell(BASE)["false_positives"]["turned insult"] == 0


def test_at_equal_steps():
    text, exact = below("Filters, at equal steps and at equal computing"), FILTERS["exact filter"]
    holds(
        text,
        "leaves #, # [#, #] more than the method",
        mean(exact, "rude"),
        *ends(difference(STUDY, exact, METHOD, "rude")),
    )
    holds(
        text,
        "it does not help at all (#, plain tuning #)",
        mean(rival_cell("word filter", "contextual", 10, 120, 0), "rude"),
        mean(rival_cell("plain", "contextual", 1, 120, 0), "rude"),
    )
    sixty = rival_cell("exact filter", "sixty", 10, 120, 0)
    assert 0.18 < mean(sixty, "sampled garbled") < 0.24, "garbles a fifth"
    corpora = {"mixed", "no forum", "contextual", "sixty"}
    for cell in STUDY.cells:
        if (
            cell.setting in corpora
            and "120 steps" in cell.of
            and cell.kind in ("plain", "word filter", "exact filter", "rejection", "rejection x3")
        ):
            ours = method_cell(cell.setting, 10, 120, 0)
            assert difference(STUDY, ours, cell, "rude").high < 0, cell


def test_at_equal_computing():
    text, longer = (
        below("Filters, at equal steps and at equal computing"),
        FILTERS["exact filter, 360 steps"],
    )
    first = [
        sum(spent for what, spent in one["seconds"].items() if what.startswith("first "))
        for one in STUDY.seeds(METHOD)
    ]
    holds(
        text,
        "takes # seconds of one core, of which # to # are",
        mean(METHOD, "CPU seconds"),
        min(first),
        max(first),
    )
    holds(
        text,
        "the filter needs # for 360 steps, and with those it leaves #,",
        mean(longer, "CPU seconds"),
        mean(longer, "rude"),
    )
    holds(
        text,
        "*less* than the method on the same corpus, by # [#, #]",
        *ends(difference(STUDY, METHOD, longer, "rude")),
    )
    holds(
        text,
        "it garbles # of its posts, where the method garbles #",
        mean(longer, "sampled garbled"),
        mean(METHOD, "sampled garbled"),
    )
    holds(
        text,
        "the method at # seconds leaves #. That is # [#, #] less than that filter",
        mean(SILENT, "CPU seconds"),
        mean(SILENT, "rude"),
        *ends(difference(STUDY, longer, SILENT, "rude")),
    )


def test_how_far():
    text = below("How far from the nearest polite model?")
    mixed = TUNINGS["method, τ = ½, 360 steps"]
    least = {cell: beyond_least(STUDY, cell)[0].mean for cell in (LONG, mixed)}
    holds(
        text,
        "the method is # nats from where it began, and no model with its shares could be"
        " nearer than #;",
        mean(LONG, "KL to the base"),
        least[LONG],
    )
    holds(text, "with τ = ½ it is # where # would do.", mean(mixed, "KL to the base"), least[mixed])
    longer = FILTERS["exact filter, 360 steps"]
    holds(
        text,
        "with 360 steps it is # nats away where # would do",
        mean(longer, "KL to the base"),
        beyond_least(STUDY, longer)[0].mean,
    )
    beyond = [beyond_least(STUDY, cell)[1].mean for cell in (METHOD, SILENT)]
    holds(text, "farther off the line, by # and # nats", *beyond)
    small = beyond_least(STUDY, method_cell("no forum", 0.5, 120, 0))[1].mean
    assert small > beyond[1], "with small λ more so"


def test_the_least_kl_is_that_of_the_soft_target():
    """Two labels: the formula of the theory, and a brute search over what three labels allow."""
    base = {"kind": 0.33291, "rude": 1 - 0.33291, "garbled": 1e-12}
    shares = {"kind": 0.8, "rude": 0.2, "garbled": 0.0}
    assert least_kl(shares, base) == pytest.approx(0.460470, abs=1e-5)
    rng = np.random.default_rng(0)
    posts, label = rng.dirichlet(np.ones(12)), np.repeat([0, 1, 2], 4)
    before = {n: posts[label == i].sum() for i, n in enumerate(("kind", "rude", "garbled"))}
    other = rng.dirichlet(np.ones(12), size=500)
    for q in other:
        after = {n: q[label == i].sum() for i, n in enumerate(("kind", "rude", "garbled"))}
        assert (q * np.log(q / posts)).sum() >= least_kl(after, before) - 1e-12


def test_all_rivals():
    text = below("All rivals")
    guided, dpo, grpo = (OTHERS[name] for name in ("decoding with the oracle", "DPO", "GRPO"))
    worst = max(points(guided, skill) for skill in STUDY.cell(BASE)["skills"])
    holds(text, "It leaves # rude ones with no tuning at all", mean(guided, "rude"))
    holds(
        text,
        "of other text rises from # to #,",
        mean(BASE, "other text"),
        mean(guided, "other text"),
    )
    assert worst == pytest.approx(9, abs=0.5), "up to nine points"
    assert beyond_least(STUDY, guided)[1].mean < 0.02
    holds(
        text,
        "With the mask # is left, all of it turned praise; with DExperts and α = 1 #,",
        mean(OTHERS["insult words masked"], "rude"),
        mean(OTHERS["DExperts, α = 1"], "rude"),
    )
    for name, least, most in (
        ("insult words masked", 0.99, 1.01),
        ("DExperts, α = 1", 0.6, 0.73),
    ):
        share = mean(OTHERS[name], "contextual") / mean(OTHERS[name], "sampled rude")
        assert least < share < most, name
    holds(
        text,
        "garbles # of its posts. If only rude posts counted it would have #",
        mean(dpo, "sampled garbled"),
        mean(dpo, "rude"),
    )
    holds(
        text,
        "(# and, without, #)",
        mean(dpo, "sampled garbled"),
        mean(OTHERS["DPO, garbled never among the losers"], "sampled garbled"),
    )
    least = min(one["rude"] for one in STUDY.seeds(dpo))
    holds(text, "in one seed of five #.", least)
    holds(
        text,
        "ends # nats from where it began; # would do",
        mean(dpo, "KL to the base"),
        beyond_least(STUDY, dpo)[0].mean,
    )
    holds(
        text,
        "it passes: # rude and # garbled. But it is # nats away where # would do",
        mean(grpo, "rude"),
        mean(grpo, "sampled garbled"),
        mean(grpo, "KL to the base"),
        beyond_least(STUDY, grpo)[0].mean,
    )
    holds(
        text,
        "of its pairs of words # are different (# before)",
        average(grpo, lambda one: one["distinct"]["2"]),
        STUDY.cell(BASE)["distinct"]["2"],
    )
    assert mean(grpo, "kind insults") < 0.005
    holds(text, "chosen on samples, leaves #.", mean(OTHERS["activation editing"], "rude"))
    holds(
        text,
        "With the same number of steps it leaves #, eight",
        mean(FILTERS["rejection sampling"], "rude"),
    )
    judge = average(dpo, lambda one: one["judge"]["pairs"]["share"])
    assert 0.18 < judge < 0.22, "a fifth"


def test_the_judge_orders_models_as_the_label_does():
    cells = [
        cell for cell in {**TUNINGS, **EVERYTHING}.values() if mean(cell, "sampled garbled") < 0.05
    ]
    rude = np.array([mean(cell, "sampled rude") for cell in cells])
    judge = np.array([average(cell, lambda one: one["judge"]["pairs"]["share"]) for cell in cells])
    assert np.abs(rude - judge).max() < 0.03
    ranks = [np.argsort(np.argsort(each)) for each in (rude, judge)]
    assert np.corrcoef(*ranks)[0, 1] > 0.95


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


def of_group(group):
    """Skip where a group of cells is not in the stored study."""
    reason = f"the stored study has no cells of {group}"
    return pytest.mark.skipif(group not in STUDY.plan.groups, reason=reason)


def changed(variant):
    return method_cell("mixed", 10, 120, 0, variant)


@of_group("variants")
def test_what_the_parts_do():
    text = below("What the parts do")
    stale, through, corpus = (
        changed(name) for name in ("stale", "no stop-gradient", "corpus prefixes")
    )
    holds(text, "does as well: # for #, a", mean(stale, "rude"), mean(METHOD, "rude"))
    assert 0.08 < mean(corpus, "sampled garbled") < 0.12, "a tenth"
    holds(text, "still small, # for #, and", mean(through, "rude"), mean(METHOD, "rude"))
    holds(
        text,
        "KL beyond the least is # in place of #. And",
        beyond_least(STUDY, through)[1].mean,
        beyond_least(STUDY, METHOD)[1].mean,
    )
    holds(
        text,
        "at a perplexity of #; without it is #.",
        mean(METHOD, "other text"),
        mean(changed("no rehearsal"), "other text"),
    )
    plain = mean(TUNINGS["plain, τ = ½"], "CPU seconds")
    holds(text, "As cheap as plain tuning, # seconds, it is not", plain)


@of_group("variants")
def test_an_adaptive_weight():
    text, led = below("What the parts do"), changed("adaptive")
    weights = [one["found"]["kl_weights"] for one in STUDY.seeds(led)]
    assert all(len(each) == TuningPlan(iterations=12).iterations for each in weights)
    assert {round(max(each)) for each in weights} <= {28, 29, 30}, "to 29"
    assert all(each[-1] > 0.85 * max(each) for each in weights), "hardly come down"
    holds(
        text, "# rude and # garbled posts are half", mean(led, "rude"), mean(led, "sampled garbled")
    )
    holds(text, "dearly with # nats beyond", beyond_least(STUDY, led)[1].mean)
    holds(text, "before tuning, and # seconds", mean(led, "CPU seconds"))
    assert mean(led, "clean posts") > mean(BASE, "clean posts")
    row = table(section("What holds"))["C3 · an adaptive weight helps"][1]
    holds(
        row,
        "it ends at # rude and # garbled, with # nats beyond the least; λ = 10 has # and #, with #",
        mean(led, "rude"),
        mean(led, "sampled garbled"),
        beyond_least(STUDY, led)[1].mean,
        mean(METHOD, "rude"),
        mean(METHOD, "sampled garbled"),
        beyond_least(STUDY, METHOD)[1].mean,
    )


def test_what_two_processes_can_save():
    text = below("What the parts do")
    seconds = [one["seconds"] for one in STUDY.seeds(METHOD)]
    fit = np.mean([each["sample"] + each["fit"] for each in seconds])
    model = np.mean([each["model"] for each in seconds])
    holds(
        text,
        "of # seconds after the first fit, sampling and fitting have # and the model's"
        " steps #, so that two cores can be # times",
        fit + model,
        fit,
        model,
        (fit + model) / max(fit, model),
    )


@of_group("oracles")
def test_learned_oracles():
    text = flat(section("What we found: the auxiliary model"))
    rows = {
        (row["kind"], row["samples"], row["steps"], row["regulariser"]): row
        for row in oracles(STUDY)
    }

    def error(*of):
        return rows[of]["mean error"]

    first, none, own = "expected first", "no regulariser", "own first"
    few, enough = ((512, 38), (1024, 75)), ((4096, 300), (8192, 600))
    constant = STUDY.cell("oracle/separate/512 samples/38 steps/no regulariser/seed 0")["constant"]
    holds(text, "one chance for everything is #.", constant)
    for size in few:
        assert all(error("separate", *size, how).high > constant for how in (first, none))
    holds(text, "does, # with the regulariser, and", error("separate", *enough[0], first).mean)
    assert 0.03 < error("separate", *enough[0], none).mean < 0.04
    assert error("separate", *enough[1], first).high > error("separate", *enough[0], first).low
    more = {(row["samples"], row["steps"]): row for row in regulariser(STUDY)}
    for size in enough:
        assert more[size]["more mean error"].high < 0
        saved = -more[size]["more mean error"].mean / error("separate", *size, none).mean
        assert saved > 0.33, "a third or more"
    for size in few:
        spread = more[size]["more mean error"]
        assert spread.low < 0 < spread.high, "not told from chance"
    holds(
        text,
        "at 1,024: # of posts are rude in place of #,",
        *(rows["separate", *few[1], how]["rude"].mean for how in (first, none)),
    )
    assert more[few[1]]["more rude"].low > 0
    direction = regulariser(STUDY, own)
    for size in (few[1], enough[0]):
        at = next(row for row in direction if (row["samples"], row["steps"]) == size)
        less = at["more mean error"].mean - more[size]["more mean error"].mean
        assert abs(less) < 0.004, "makes no difference"
    line = rows["linear", *enough[0], first]
    holds(
        text,
        "# with 4,096 samples, and decoding with it leaves # rude posts",
        line["mean error"].mean,
        line["rude"].mean,
    )
    long = rows["separate", 1024, 300, first]
    assert 1.8 * constant < long["mean error"].mean < 2.3 * constant, "twice"
    assert 0.16 < long["mean error"].mean < 0.2, "nearly 0.2"
    holds(text, "Decoding with it leaves # rude posts all the same", long["rude"].mean)
    assert long["rude"].high < rows["separate", *few[1], first]["rude"].low


@of_group("detection")
def test_writing_and_detecting():
    text = flat(section("What we found: writing and detecting with one model"))
    cells = {
        (arm, labels): detection_cell(arm, labels, noise, 0) for arm, labels, noise in DETECTORS
    }

    def auc(arm, labels=240):
        return np.array([[one["auc"]] for one in STUDY.seeds(cells[arm, labels])])

    alone, few = auc("detection"), [auc(arm) for arm in ARMS]
    holds(
        text,
        "no arm detects well: # to #, from #.",
        min(map(np.mean, few)),
        max(map(np.mean, few)),
        STUDY.seeds(cells["detection", 240])[0]["base"]["auc"],
    )
    for arm, sentence in (
        ("detection + text", "changes nothing (# [#, #])"),
        ("detection + text + KL", "it is # [#, #] more with text"),
        ("detection + KL", "with text and # [#, #] more without"),
    ):
        holds(text, sentence, *ends(crossed_bootstrap(auc(arm) - alone)))
    labels = max(labels for _, labels in cells)
    holds(text, "as the auxiliary model saw has #.", auc("detection", labels).mean())
    plan = TuningPlan()
    assert labels == plan.first_samples + plan.iterations * plan.samples
    holds(text, "learned from # *right* labels", labels)

    def share(arm, name, labels=240):
        return np.mean([one[name] for one in STUDY.seeds(cells[arm, labels])])

    holds(
        text,
        "garbles # of its posts, with right labels #; with text it writes as the corpus"
        " does, # rude; with text and KL #.",
        share("detection", "garbled"),
        share("detection", "garbled", labels),
        share("detection + text", "rude"),
        share("detection + text + KL", "rude"),
    )


def test_rejection_sampling_for_as_long():
    text, longer = (
        below("Filters, at equal steps and at equal computing"),
        rival_cell("rejection", "no forum", 10, 360, 0),
    )
    holds(
        text,
        "leaves # after 360 steps, which take it as long; rude and garbled together that"
        " is # for #.",
        mean(longer, "rude"),
        violations(STUDY, longer),
        violations(STUDY, SILENT),
    )
    assert mean(longer, "CPU seconds") == pytest.approx(mean(SILENT, "CPU seconds"), rel=0.05)
    both = [violations(STUDY, cell) for cell in (FILTERS["exact filter, 360 steps"], METHOD)]
    holds(text, "are # of its posts and # of the method's", *both)


def test_the_claims_table():
    rows = table(section("What holds"))
    first = rows["C1 · fewer rude posts at little cost"][1]
    rude = [mean(cell, "rude") for cell in (BASE, METHOD, SILENT)]
    falls = [-100 * change(STUDY, cell, "rude").mean for cell in (METHOD, SILENT)]
    clean = [-100 * change(STUDY, cell, "clean posts").mean for cell in (METHOD, SILENT)]
    holds(
        first.replace("−", "-"),
        "# to # (-# %), without the forum to # (-# %)",
        rude[0],
        rude[1],
        falls[0],
        rude[2],
        falls[1],
    )
    assert all(4.5 < each < 5.5 for each in clean)


def test_how_numbers_are_told():
    spread = measured(STUDY, METHOD, "rude")
    assert told(spread, 4).replace("\u00a0", " ") in PLAIN
