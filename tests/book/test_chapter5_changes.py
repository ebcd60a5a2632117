"""What chapter 5 says of changes inside, held against the stored study of them.

Tables are made from the study (`test_generated`); here sentences are compared with its rows.
"""

import numpy as np
import pytest
from chapter3 import flat
from chapter5 import below, ends, holds, section, table

from helpers.book.change_tables import TABLES
from helpers.changes import stored_changes
from helpers.changes.plan import BASE, BEFORE_POSTS, CHECKPOINT
from helpers.changes.summaries import emergence, neuron_row, probe_rows, rude_rows
from helpers.changes.verdicts import attack_row, shared_row, verdicts_on, writer_rows
from helpers.detox.study import DetoxCell, stored_detox

pytestmark = pytest.mark.book
STUDY = stored_changes()
MODELS = ("method", "method without posts", "exact filter", "dpo")
METHODS = MODELS[:2]


def cells(name):
    """First numbers of the cells of a table, by the name of the row."""
    rows = table(TABLES[name](STUDY))

    def number(cell):
        first = cell.replace("−", "-").split("\u00a0")[0]
        return np.nan if first == "–" else float(first)

    return {row: [number(cell) for cell in found] for row, found in rows.items()}


def by_model(rows):
    return {row["model"]: row for row in rows}


def test_what_is_asked():
    text = flat(section("What did detoxification change?").partition("\n### ")[0])
    rude = {row["model"]: row["rude"].mean for row in rude_rows(STUDY)}
    assert 0.48 < rude[BASE] < 0.52, "half"
    said = [rude[model] for model in MODELS]
    assert [round(1 / share) for share in (min(said), max(said))] == pytest.approx([60, 8], rel=0.1)
    assert "between a sixtieth and an eighth" in text
    assert (STUDY.plan.seeds, STUDY.plan.few) == (3, 3)
    assert "over three tunings of each model" in text
    whole = [cell["rude"] for cell in _dpo()]
    holds(
        text,
        "(so DPO has # here; followed to their end, # of its posts are rude and",
        rude["dpo"],
        np.mean(whole),
    )


def _dpo():
    """What the study of tunings says of the three by DPO."""
    return [stored_detox().cell(DetoxCell("dpo", seed=seed)) for seed in STUDY.plan.asked("probes")]


def test_gone_or_kept():
    text, noun = below("Gone, or kept?"), by_model(probe_rows(STUDY))
    own = [noun[model]["own"].mean for model in MODELS]
    holds(text, "after tuning, # to # for #,", min(own), max(own), noun[BASE]["own"].mean)
    kept = [noun[model]["base's"].mean for model in (*METHODS, BASE)]
    holds(text, "as well as before: # with the forum and # without, for #.", *kept)
    further = [noun[model]["kept"].mean for model in METHODS]
    holds(text, "further apart than before (# and # times)", *further)
    assert all(row["own"].mean > 0.999 for row in probe_rows(STUDY, "end")[:-1])
    turned = [cell["noun"]["base's"][-1] for cell in STUDY.seeds("probes", "dpo")]
    sentence = "base's probe falls to # [#, #] (#, # and # in the three tunings), while"
    holds(text, sentence, *ends(noun["dpo"]["base's"]), *turned)
    rows = [row for row in probe_rows(STUDY)[:-1] if row["model"] != BASE]
    assert min(row["shuffled"].low for row in rows) > 0.48
    holds(text, "is near chance (# at most)", max(row["shuffled"].high for row in rows))
    young = probe_rows(STUDY, "end")[-1]
    holds(text, "before training, at the end, it is at #,", young["own"].mean)
    early = {row["step"]: row["own"] for row in emergence(STUDY)}
    holds(text, "the noun alone tells (#).", early[0])
    late = {row["step"]: row["own"] for row in emergence(STUDY, "end")}
    step, first = (
        min(s for s in late if late[s] > early[0] + 0.05),
        min(s for s in late if late[s] > 0.99),
    )
    holds(
        text, "in part from step # on (#), and without an error at step #,", step, late[step], first
    )


def test_who_writes_it():
    text = below("Who writes it?")
    sums = cells("changes-writers")["sum"]
    holds(text, "the base writes # logits for insults and against praises in both", sums[0])
    holds(text, "of which the last MLP has #", cells("changes-writers")["L3M"][0])
    holds(
        text,
        "it writes # against insults in plain frames and # for them in turned",
        -sums[2],
        sums[3],
    )
    rows = writer_rows(STUDY, "method without posts")
    change = {row["part"]: row["split"] - row["split, base"] for row in rows}
    share = sum(change[part] for part in ("L3M", "L2M", "L1M")) / change["sum"]
    assert 0.6 < share < 0.73, "two thirds"
    dpo = writer_rows(STUDY, "dpo")
    whole = next(row for row in dpo if row["part"] == "sum")
    written = [whole[frame].mean for frame in ("plain", "turned")]
    sentence = "in both frames, # and #; in turned ones between # and #,"
    lows = [-end for end in (whole["turned"].high, whole["turned"].low)]
    holds(text, sentence, *(-each for each in written), *lows)
    for name, model in (("with the forum", "method"), ("after filtering", "exact filter")):
        sums = next(row for row in writer_rows(STUDY, model) if row["part"] == "sum")
        sentence = f"{name} (# against insults in plain frames and # for them in turned ones)"
        sentence = sentence if model == "method" else f"{name} (# and #)"
        holds(text, sentence, -sums["plain"].mean, sums["turned"].mean)
    circuits = [shared_row(STUDY, model) for model in MODELS]
    shared = [row["circuit shared"].mean for row in circuits]
    assert min(shared) > 0.32, "a third"
    assert max(shared) < 0.43, "to two fifths"
    again = [row[f"circuit {side} again"].mean for row in circuits for side in ("base", "after")]
    assert min(again) > 0.9, "nine tenths and more"
    assert 0.7 < shared_row(STUDY, "plain")["circuit shared"].mean < 0.8, "three quarters"
    masks = shared_row(STUDY, "method without posts")
    same, other = (masks[f"mask shared{name}, share"].mean for name in ("", ", other seed"))
    chance = masks["mask shared, chance"].mean
    holds(text, "Masks have # in common if base and model after are searched with the same", same)
    holds(text, "with two seeds it is #, so the larger part of what is above the #", other, chance)
    assert same - other > 0.5 * (same - chance), "the larger part"
    alone = masks["mask base again, share"].mean, *ends(masks["mask after again, share"])
    holds(text, "these have # in the base and # [#, #] after", *alone)


def test_one_offset():
    text, rows = below("One offset, or many?"), cells("changes-offsets")
    named = ("method, τ = ½", "method, no forum", "exact filter")
    off = [100 * rows[name][5] for name in named]
    holds(text, "taken off, it undoes # to # % for the method and the filter", min(off), max(off))
    holds(text, "# % made and # % undone", 100 * rows["DPO"][3], 100 * rows["DPO"][5])
    assert all(rows[name][3] < rows[name][4] for name in named), "a random vector does more"
    assert all(rows[name][5] > rows[name][6] for name in named), "more than a random one"
    early = [rows[name][2] for name in named]
    sentence = "explains more, # to # and for DPO #,"
    holds(text, sentence, min(early), max(early), rows["DPO"][2])
    one = [row[1] for row in rows.values()]
    holds(text, "explains about half (# to #)", min(one), max(one))
    assert all(0.1 < rows[name][0] < 0.15 for name in named), "an eighth"
    assert 0.18 < rows["DPO"][0] < 0.23, "a fifth"


def test_which_weights():
    text, rows = below("Which weights undo it?"), cells("changes-weights")
    unembedding, as_long = rows["unembedding"], rows["as long a change elsewhere"]
    pairs = [each for two in zip(as_long[:3], unembedding[:3], strict=True) for each in two]
    holds(text, "# for #, # for #, # for #.", *pairs)
    made = rows["the base with that unembedding alone: made"]
    sentence = "its unembedding put back undoes # %, and put into the base makes half or more on "
    sentence += "average (#)"
    holds(text, sentence, 100 * unembedding[3], made[3])
    holds(text, "the unembedding alone makes only # to #", min(made[:3]), max(made[:3]))
    counts = [c["weights"] for model in MODELS[:3] for c in STUDY.seeds("groups", model)]
    times = [count["same norm"] / count["unembedding"] for count in counts]
    holds(text, "It takes # to # times as many weights", min(times), max(times))
    ahead = {model: _ahead(model) for model in MODELS}
    sentence = "keeps ahead of its control, by # and #; after filtering"
    holds(text, sentence, *(np.mean(ahead[model]) for model in METHODS))
    assert all(min(ahead[model]) > 0 for model in METHODS)
    assert max(ahead["exact filter"]) < 0
    assert sum(each < 0 for each in ahead["dpo"]) == 2, "in two tunings of three"
    others = [max(v[:3]) for k, v in rows.items() if k.startswith(("attention", "MLP", "emb"))]
    assert max(others) < 0.25, "no other group comes near"


def _ahead(model):
    """For every tuning, what the unembedding undoes more than as long a change elsewhere."""
    found = []
    for cell in STUDY.seeds("groups", model):
        base, after, ours, theirs = (
            np.array(each)
            for each in (
                *(cell["base"], cell["after"]),
                *(cell["restored"]["unembedding"], cell["same norm"]),
            )
        )
        found.append(((ours - theirs) / (base - after)).mean())
    return found


def test_how_soon():
    text = below("How soon is it undone?")
    four = {model: attack_row(STUDY, model, 4) for model in MODELS}
    assert all(four[model]["steps"].mean < 4 for model in MODELS[:3])
    young = attack_row(STUDY, f"{CHECKPOINT} {BEFORE_POSTS[0]}", 4)
    holds(text, "needs # steps and two to three times", young["steps"].mean)
    lengths = [young["norm"].mean / four[model]["norm"].mean for model in MODELS[:3]]
    assert min(lengths) > 2
    assert max(lengths) < 3
    dpo = attack_row(STUDY, "dpo", 64)
    holds(
        text,
        "the model that never wrote posts, # steps for #; with sixty-four it takes #, and",
        four["dpo"]["steps"].mean,
        young["steps"].mean,
        dpo["steps"].mean,
    )
    never = attack_row(STUDY, f"{CHECKPOINT} {BEFORE_POSTS[0]}", 64)
    assert never["steps"] is None or not never["steps"].mean <= 16, "not there after 16"
    assert back(MODELS[0]) > 0.44
    assert back(MODELS[1]) > 0.44, "nearly half of the way"
    assert 0.31 < back("exact filter") < 0.35, "a third of the way"
    many = [attack_row(STUDY, model, 64)["steps"].mean for model in MODELS[:3]]
    holds(text, "different posts it takes them # to #.", min(many), max(many))
    garbled = [cell["garbled"] for cell in _dpo()]
    holds(text, "garbled (#, # and # in these three tunings)", *sorted(garbled))
    sooner = [quarter(cell) for cell in STUDY.seeds("attack", "dpo")]
    assert int(np.argmin(sooner)) == int(np.argmax(garbled)), "that garbles most was back first"


def quarter(cell):
    """Steps with four posts to a quarter of rude posts: on a line from the last share below it."""
    steps = [0, *STUDY.plan.attack_steps]
    shares = np.mean([cell["after"], *cell["4 posts"]["rude"]], axis=1)
    i = int(np.argmax(shares >= 0.25))
    part = (0.25 - shares[i - 1]) / (shares[i] - shares[i - 1])
    return steps[i - 1] + part * (steps[i] - steps[i - 1])


def back(model):
    """How far on the way from its rude share to the base's a quarter is."""
    before, after = (
        next(row for row in rude_rows(STUDY) if row["model"] == name)["rude"].mean
        for name in ("base", model)
    )
    return (0.25 - after) / (before - after)


def test_neurons():
    text, rows = below("Do neurons explain it?"), cells("changes-neurons")
    fifty = {name: rows[name][1] for name in rows}
    dpo = rows["DPO"]
    others = [row for name, row in rows.items() if name != "DPO"]
    random = [100 * row[4] for row in others]
    holds(text, "as many random ones undo # to # %", min(random), max(random))
    assert all(0.25 < row[1] < 0.42 for row in others), "a quarter to two fifths"
    all_of_them = [row[3] for row in others]
    holds(text, "undo only about half (# to #)", min(all_of_them), max(all_of_them))
    sentence = "In DPO fifty undo # and as many random ones #, and all together #: from # to #,"
    whole = neuron_row(STUDY, "dpo")["ranked 1024"]
    holds(text, sentence, fifty["DPO"], dpo[4], dpo[3], whole.low, whole.high)
    each = [
        np.mean(
            (np.array(cell["ranked"]["200"]) - cell["after"])
            / (np.array(cell["base"]) - cell["after"])
        )
        for cell in STUDY.seeds("neurons", "dpo")
    ]
    holds(text, "with 200 the three tunings do not agree (#, # and #), that", *each)
    ten, *more = (neuron_row(STUDY, "dpo")[f"ranked {count}"].mean for count in (10, 50, 200))
    assert ten < 0.025 < min(more) < max(more) < 0.24, "the paper's range"


def test_verdicts():
    text, found = below("What holds of these"), {m: verdicts_on(STUDY, m) for m in MODELS}
    assert "these hold for all four" in text
    for name, value in (("gone", False), ("one offset", False), ("neurons", False)):
        assert {found[model][name] for model in MODELS} == {value}
    assert [found[model]["kept"] for model in MODELS] == [True, True, True, False]
    assert [verdicts_on(STUDY, name)["kept"] for name in ("plain", "activation editing")] == [
        None
    ] * 2
    assert [found[model]["re-toxified"] for model in MODELS] == [True, True, True, False]
    assert (STUDY.plan.seeds, STUDY.plan.few) == (3, 3)
    assert "There are three tunings a model" in text
    without = cells("changes-weights")["unembedding"][1]
    holds(text, "without the forum as it undoes # there", without)
    rude = by_model(rude_rows(STUDY))
    holds(text, "leaves the rude share at #, so", rude["activation editing"]["rude"].mean)
