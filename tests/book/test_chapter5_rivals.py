"""What chapter 5 says of filters, distances and all rivals, held against the stored study."""

import numpy as np
import pytest
from chapter5 import (
    BASE,
    LONG,
    METHOD,
    SILENT,
    STUDY,
    average,
    below,
    ends,
    holds,
    mean,
    points,
    section,
    table,
)

from helpers.book.detox_numbers import EVERYTHING, FILTERS, OTHERS, TUNINGS
from helpers.detox.posts import prompts
from helpers.detox.rivals.activations import PLACES, SAMPLES, STRENGTHS
from helpers.detox.study import method_cell, rival_cell
from helpers.detox.study.least import beyond_least, least_kl
from helpers.detox.study.summaries import difference, values_of
from helpers.stats import crossed_bootstrap
from helpers.zoo import read_manifest

pytestmark = pytest.mark.book
WHOLE = table(section("What holds"))


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
    holds(
        text,
        "(of # posts # are different, where before tuning all are)",
        posts_sampled(),
        round(posts_sampled() * mean(sixty, "distinct posts"), -2),
    )
    assert mean(BASE, "distinct posts") > 0.998
    ours = method_cell("sixty", 10, 120, 0)
    holds(text, "the corpus is small: it garbles #.", mean(ours, "sampled garbled"))
    corpora = {"mixed", "no forum", "contextual", "sixty"}
    for cell in STUDY.cells:
        if (
            cell.setting in corpora
            and "120 steps" in cell.of
            and cell.kind in ("plain", "word filter", "exact filter", "rejection", "rejection x3")
        ):
            ours = method_cell(cell.setting, 10, 120, 0)
            for measure in ("rude", "violations"):
                assert difference(STUDY, ours, cell, measure).high < 0, (cell, measure)


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
    both = [mean(cell, "violations") for cell in (longer, METHOD)]
    holds(text, "Rude and garbled together are # of its posts and # of the method's", *both)


def test_rejection_sampling_for_as_long():
    text = below("Filters, at equal steps and at equal computing")
    longer, thrice = (
        FILTERS[n] for n in ("rejection sampling, 360 steps", "the same, three rounds")
    )
    holds(
        text,
        "which leaves # after 360 steps, and those take it as long as the method its 120;"
        " the method leaves #, fewer by # [#, #].",
        mean(longer, "rude"),
        mean(SILENT, "rude"),
        *ends(difference(STUDY, longer, SILENT, "rude")),
    )
    assert mean(longer, "CPU seconds") == pytest.approx(mean(SILENT, "CPU seconds"), rel=0.05)
    both = difference(STUDY, SILENT, longer, "violations")
    holds(
        text.replace("−", "-").replace("+", ""),
        "together that is # for #, and the difference, # [#, #], is not told",
        mean(longer, "violations"),
        mean(SILENT, "violations"),
        *ends(both),
    )
    holds(text, "it is the same, # and #, at a", mean(thrice, "rude"), mean(thrice, "violations"))
    assert mean(thrice, "KL to the base") > mean(longer, "KL to the base") + 0.2
    long = TUNINGS["method, no forum, 360 steps"]
    holds(text, "own 360 steps leave #, in # s", mean(long, "rude"), mean(long, "CPU seconds"))


def posts_sampled():
    """How many posts of each model are sampled."""
    return STUDY.plan.judge.prompts * STUDY.plan.judge.samples


def test_filters_for_as_long_where_little_can_be_seen_or_learned():
    text = below("Filters, at equal steps and at equal computing").replace("−", "-")
    longer, ours = (
        rival_cell("exact filter", "contextual", 10, 360, 0),
        method_cell("contextual", 10, 120, 0),
    )
    holds(
        text,
        "leaves # with the method's seconds, less than its #; rude and garbled together are # and "
        "#, a difference of # [#, #] against the method, at # nats for #.",
        *(mean(cell, "rude") for cell in (longer, ours)),
        *(mean(cell, "violations") for cell in (longer, ours)),
        *ends(difference(STUDY, ours, longer, "violations")),
        *(mean(cell, "KL to the base") for cell in (longer, ours)),
    )
    few, ours = rival_cell("exact filter", "sixty", 10, 360, 0), method_cell("sixty", 10, 120, 0)
    holds(
        text,
        "help against rude ones, # for #, which is not told apart from the method's #; but # are "
        "garbled, both together # for #, and the filter's model is # nats from where it began: of "
        "its # posts # are different",
        mean(few, "rude"),
        mean(rival_cell("exact filter", "sixty", 10, 120, 0), "rude"),
        mean(ours, "rude"),
        mean(few, "sampled garbled"),
        *(mean(cell, "violations") for cell in (few, ours)),
        mean(few, "KL to the base"),
        posts_sampled(),
        round(posts_sampled() * mean(few, "distinct posts"), -1),
    )
    apart = difference(STUDY, ours, few, "rude")
    assert apart.low < 0 < apart.high, "not told apart"
    assert max(mean(cell, "CPU seconds") for cell in (longer, few)) < mean(ours, "CPU seconds")


def test_both_counted_in_samples_alone():
    text = below("Filters, at equal steps and at equal computing").replace("−", "-")

    def both(cell):
        shares = [values_of(STUDY, cell, f"sampled {what}") for what in ("rude", "garbled")]
        return np.add(*shares)

    found = []
    for setting in ("mixed", "no forum", "contextual", "sixty"):
        rival = "rejection" if setting == "no forum" else "exact filter"
        less = both(method_cell(setting, 10, 120, 0)) - both(rival_cell(rival, setting, 10, 360, 0))
        found.append(crossed_bootstrap(less))
    sentence = "are # [#, #], # [#, #], # [#, #] and # [#, #]: where one"
    holds(text, sentence, *(end for one in found for end in ends(one)))
    assert found[2].low > 0, "which in samples alone has fewer"


def test_verdicts_at_equal_computing():
    rows = {name: [part.replace("−", "-") for part in row] for name, row in WHOLE.items()}
    for corpus, sentence in (
        ("contextual", "the filter leaves # [#, #] fewer rude posts"),
        ("sixty posts", "rude posts # and #, not told apart"),
    ):
        setting = corpus.removesuffix(" posts")
        longer = rival_cell("exact filter", setting, 10, 360, 0)
        ours = method_cell(setting, 10, 120, 0)
        said = rows[f"C2 · the same, {corpus}"][1]
        shares = [mean(ours, "rude"), mean(longer, "rude")]
        if setting == "contextual":
            shares = ends(difference(STUDY, ours, longer, "rude"))
        holds(said, sentence, *shares)
        both = ends(difference(STUDY, ours, longer, "violations"))
        holds(said.replace("+", ""), "together the method has # [#, #]", *both)


def test_how_far():
    text = below("How far from the nearest polite model?")
    mixed = TUNINGS["method, τ = ½, 360 steps"]
    least = {cell: beyond_least(STUDY, cell)[0].mean for cell in (LONG, mixed)}
    holds(
        text,
        "the method is # nats from where it began, and no model with its shares could be"
        " nearer than # (that its # is also",
        mean(LONG, "KL to the base"),
        least[LONG],
        -np.log(STUDY.cell(BASE)["kind"]),
    )
    holds(text, "with τ = ½ it is # where # would do.", mean(mixed, "KL to the base"), least[mixed])
    longer = FILTERS["exact filter, 360 steps"]
    holds(
        text,
        "with 360 steps it is # nats away where # would do",
        mean(longer, "KL to the base"),
        beyond_least(STUDY, longer)[0].mean,
    )
    rejection = FILTERS["rejection sampling, 360 steps"]
    holds(
        text,
        "and with 360 steps # where # would do",
        mean(rejection, "KL to the base"),
        beyond_least(STUDY, rejection)[0].mean,
    )
    row = table(section("What holds"))["the theory · the nearest polite model"][1]
    far = [beyond_least(STUDY, cell)[1].mean for cell in (LONG, mixed, longer, rejection)]
    holds(row, "# without the forum, # with τ = ½; exact filter #, rejection sampling #", *far)
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
    assert worst == pytest.approx(10, abs=0.5), "up to ten points"
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
        "garbles # of its posts. If only rude posts counted it would have #, not far from the"
        " method's #, and",
        mean(dpo, "sampled garbled"),
        mean(dpo, "rude"),
        mean(METHOD, "rude"),
    )
    holds(
        text,
        "(# and, without, #)",
        mean(dpo, "sampled garbled"),
        mean(OTHERS["DPO, garbled never among the losers"], "sampled garbled"),
    )
    seeds = [one["rude"] for one in STUDY.seeds(dpo)]
    ours = [one["rude"] for one in STUDY.seeds(METHOD)]
    assert sum(a < b for a, b in zip(seeds, ours, strict=True)) == 3, "in three seeds of five"
    holds(text, "it is below the method, down to #.", min(seeds))
    both = [mean(cell, "violations") for cell in (dpo, METHOD)]
    holds(text, "with what it garbles it is # beside #.", *both)
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
    both = [mean(cell, "violations") for cell in (grpo, SILENT)]
    holds(text, "beside the method without the forum, # and #; the", *both)
    holds(
        text,
        "With the same number of steps it leaves #, eight times as much as the method on that"
        " corpus, with as many seconds #;",
        mean(FILTERS["rejection sampling"], "rude"),
        mean(FILTERS["rejection sampling, 360 steps"], "rude"),
    )
    judge = average(dpo, lambda one: one["judge"]["pairs"]["share"])
    assert 0.18 < judge < 0.22, "a fifth"


def test_no_edit_was_found():
    text, cell = below("All rivals"), OTHERS["activation editing"]
    holds(
        text,
        "chosen on samples, leaves #, and of the base's # that is",
        mean(cell, "rude"),
        mean(BASE, "rude"),
    )
    found = [one["found"] for one in STUDY.seeds(cell)]
    gains = [each["kind"] - each["base"] for each in found]
    holds(
        text,
        "has # more kind posts than the base on average, from # fewer to # more",
        np.mean(gains),
        -min(gains),
        max(gains),
    )
    assert crossed_bootstrap(np.array([gains]).T).low < 0 < np.mean(gains)
    assert len({(each["layer"], each["place"], each["strength"]) for each in found}) > 2
    layers = read_manifest()["tinyworld"].recipe.model["n_layers"]
    holds(text, "chose another of # edits", layers * len(PLACES) * len(STRENGTHS))
    samples = SAMPLES * (len(prompts()) // 2)
    holds(text, "by kind posts among # samples", samples)
    assert all((each["chosen by"] * samples) % 1 == 0 for each in found)


def test_kind_uses():
    text = below("All rivals")

    def uses(cell):
        return mean(cell, "kind insults")

    holds(text, "forgot the words: # before tuning, #", uses(BASE), uses(FILTERS["word filter"]))
    assert max(uses(OTHERS[name]) for name in ("GRPO", "DPO")) < 0.005, "none"
    holds(
        text,
        "keeps # and # at 120 steps and # after 360, the exact filter #; without the forum and"
        " with λ = ½ the method keeps #,",
        *map(uses, (METHOD, SILENT, LONG, FILTERS["exact filter"])),
        uses(method_cell("no forum", 0.5, 120, 0)),
    )


def test_the_judge_orders_models_as_the_label_does():
    cells = [
        cell for cell in {**TUNINGS, **EVERYTHING}.values() if mean(cell, "sampled garbled") < 0.05
    ]
    rude = np.array([mean(cell, "sampled rude") for cell in cells])
    judge = np.array([average(cell, lambda one: one["judge"]["pairs"]["share"]) for cell in cells])
    assert np.abs(rude - judge).max() < 0.03
    ranks = [np.argsort(np.argsort(each)) for each in (rude, judge)]
    assert np.corrcoef(*ranks)[0, 1] > 0.95
