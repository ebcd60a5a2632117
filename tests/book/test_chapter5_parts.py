"""What chapter 5 says of the method's parts, its oracle and detection, held against the study."""

import numpy as np
import pytest
from chapter5 import BASE, METHOD, STUDY, below, ends, flat, holds, mean, section, table

from helpers.book.detox_numbers import TUNINGS
from helpers.detox.detection import ARMS
from helpers.detox.finetune import TuningPlan
from helpers.detox.study import method_cell
from helpers.detox.study.groups import DETECTORS
from helpers.detox.study.learned import oracles, regulariser
from helpers.detox.study.least import beyond_least
from helpers.detox.study.plan import VARIANTS, detection_cell
from helpers.detox.study.summaries import difference, skill_changes
from helpers.stats import crossed_bootstrap

pytestmark = pytest.mark.book


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
        "KL beyond the least is # in place of #. Alone it does not, as twelve targets have # with",
        beyond_least(STUDY, through)[1].mean,
        beyond_least(STUDY, METHOD)[1].mean,
        beyond_least(STUDY, changed("twelve targets"))[1].mean,
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
        text,
        "# rude and # garbled posts are little more than half",
        mean(led, "rude"),
        mean(led, "sampled garbled"),
    )
    holds(text, "dearly with # nats beyond", beyond_least(STUDY, led)[1].mean)
    holds(text, "before tuning, and # seconds", mean(led, "CPU seconds"))
    assert mean(led, "clean posts") > mean(BASE, "clean posts")
    twelve = changed("twelve targets")
    holds(
        text,
        "twelve in place of three, each after # steps of the auxiliary model in place of #. That "
        "has # rude, # nats beyond the least, clean posts at #, and # of its kind posts use an "
        "insult word, where the method has #.",
        VARIANTS["twelve targets"]["refits"],
        TuningPlan().refits,
        mean(twelve, "rude"),
        beyond_least(STUDY, twelve)[1].mean,
        mean(twelve, "clean posts"),
        mean(twelve, "kind insults"),
        mean(METHOD, "kind insults"),
    )
    holds(
        text,
        "the led λ has # [#, #] fewer violations for # nats",
        *ends(difference(STUDY, twelve, led, "violations")),
        beyond_least(STUDY, led)[1].mean - beyond_least(STUDY, twelve)[1].mean,
    )
    row = table(section("What holds"))["C3 · an adaptive weight helps"][1]
    holds(
        row,
        "it ends at # rude and # garbled, with # nats beyond the least; λ = 10 has # and #, with #"
        ", and with as many targets # and #, with #",
        mean(led, "rude"),
        mean(led, "sampled garbled"),
        beyond_least(STUDY, led)[1].mean,
        mean(METHOD, "rude"),
        mean(METHOD, "sampled garbled"),
        beyond_least(STUDY, METHOD)[1].mean,
        mean(twelve, "rude"),
        mean(twelve, "sampled garbled"),
        beyond_least(STUDY, twelve)[1].mean,
    )


@of_group("variants")
def test_rehearsal_keeps_no_skill():
    text = below("What the parts do")
    assert "no skill differs by half a point" in text
    differences = skill_changes(STUDY, changed("no rehearsal"), METHOD).values()
    assert max(abs(each.mean()) for each in differences) < 0.005


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
    line = rows["linear", *enough[0], first]
    assert line["mean error"].high < constant, "so is a line"
    holds(
        text,
        "is, with # with the regulariser, and between 0.03 and 0.04 without; so is a line on the "
        "model's states, with #.",
        error("separate", *enough[0], first).mean,
        line["mean error"].mean,
    )
    holds(
        text,
        "decoding leaves half as many rude posts, # for #.",
        *(rows["separate", *size, first]["rude"].mean for size in reversed(enough)),
    )
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
        "at 1,024: # of posts are rude in place of #.",
        *(rows["separate", *few[1], how]["rude"].mean for how in (first, none)),
    )
    assert more[few[1]]["more rude"].low > 0
    long = more[1024, 300]["more mean error"]
    holds(text, "lowers a large error by # [#, #].", -long.mean, -long.high, -long.low)
    assert all(row["more rude"].high > 0 for row in more.values()), "fewer rude posts nowhere"
    direction = regulariser(STUDY, own)
    for size in (few[1], enough[0]):
        at = next(row for row in direction if (row["samples"], row["steps"]) == size)
        less = at["more mean error"].mean - more[size]["more mean error"].mean
        assert abs(less) < 0.004, "makes no difference"
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
    learned = plan.first_samples + (plan.iterations - 1) * plan.samples
    holds(text, "brings # *right* labels", labels)
    holds(text, "auxiliary model learned from # of them", learned)

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
