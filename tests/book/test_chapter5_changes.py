"""What chapter 5 says of changes inside, held against the stored study of them.

Tables are made from the study (`test_generated`); here sentences are compared with its rows.
"""

import numpy as np
import pytest
from chapter5 import below, ends, holds, table

from helpers.book.change_tables import TABLES
from helpers.changes import stored_changes
from helpers.changes.plan import BASE, BEFORE_POSTS, CHECKPOINT
from helpers.changes.summaries import emergence, probe_rows, rude_rows
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


def test_gone_or_kept():
    text, noun = below("Gone, or kept?"), by_model(probe_rows(STUDY))
    own = [noun[model]["own"].mean for model in MODELS]
    holds(text, "after tuning, # to # for #,", min(own), max(own), noun[BASE]["own"].mean)
    assert all(noun[model]["base's"].mean > noun[BASE]["base's"].mean for model in METHODS)
    assert all(row["own"].mean > 0.999 for row in probe_rows(STUDY, "end")[:-1])
    holds(text, "base's probe falls to # [#, #], while", *ends(noun["dpo"]["base's"]))
    young = probe_rows(STUDY, "end")[-1]
    holds(text, "before training, at the end, it is at #,", young["own"].mean)
    early = {row["step"]: row["own"] for row in emergence(STUDY)}
    holds(text, "the noun alone tells (#).", early[0])
    late = {row["step"]: row["own"] for row in emergence(STUDY, "end")}
    holds(text, "the end of a post from step # on", min(s for s in late if late[s] > 0.99))


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
    holds(text, "in both frames, # and #.", *(-each for each in written))
    circuits = [shared_row(STUDY, model) for model in MODELS]
    shared = [row["circuit shared"].mean for row in circuits]
    assert min(shared) > 0.32, "a third"
    assert max(shared) < 0.43, "to two fifths"
    assert 0.7 < shared_row(STUDY, "plain")["circuit shared"].mean < 0.8, "three quarters"
    masks = shared_row(STUDY, "method without posts")
    holds(
        text,
        "Masks have # in common, where chance gives #.",
        masks["mask shared, share"].mean,
        masks["mask shared, chance"].mean,
    )
    holds(
        text,
        "from two seeds, have # and #:",
        masks["mask base again, share"].mean,
        masks["mask after again, share"].mean,
    )


def test_one_offset():
    text, rows = below("One offset, or many?"), cells("changes-offsets")
    named = ("method, τ = ½", "method, no forum", "exact filter")
    off = [100 * rows[name][5] for name in named]
    holds(text, "taken off, it undoes # to # % for the method and the filter", min(off), max(off))
    holds(text, "# % made and # % undone", 100 * rows["DPO"][3], 100 * rows["DPO"][5])
    assert all(rows[name][3] < rows[name][4] for name in named), "a random vector does more"
    assert all(0.1 < rows[name][0] < 0.15 for name in named), "an eighth"
    assert 0.18 < rows["DPO"][0] < 0.23, "a fifth"


def test_which_weights():
    text, rows = below("Which weights undo it?"), cells("changes-weights")
    unembedding, as_long = rows["unembedding"], rows["as long a change elsewhere"]
    pairs = [each for two in zip(as_long[:3], unembedding[:3], strict=True) for each in two]
    holds(text, "# for #, # for #, # for #.", *pairs)
    holds(text, "its unembedding put back undoes # %", 100 * unembedding[3])
    others = [max(v[:3]) for k, v in rows.items() if k.startswith(("attention", "MLP", "emb"))]
    assert max(others) < 0.25, "no other group comes near"


def test_how_soon():
    text = below("How soon is it undone?")
    four = {model: attack_row(STUDY, model, 4) for model in MODELS}
    assert all(four[model]["steps"].mean < 4 for model in MODELS[:3])
    young = attack_row(STUDY, f"{CHECKPOINT} {BEFORE_POSTS[0]}", 4)
    holds(text, "needs # steps and two to three times", young["steps"].mean)
    lengths = [young["norm"].mean / four[model]["norm"].mean for model in MODELS[:3]]
    assert min(lengths) > 2
    assert max(lengths) < 3
    holds(text, "the model that never wrote posts, # steps", four["dpo"]["steps"].mean)
    garbled = [stored_detox().cell(DetoxCell("dpo", seed=seed))["garbled"] for seed in (0, 1)]
    holds(text, "garbled (# and # in these two tunings)", *sorted(garbled))


def test_neurons():
    text, rows = below("Do neurons explain it?"), cells("changes-neurons")
    fifty = {name: rows[name][1] for name in rows}
    holds(
        text,
        "and # in DPO, where as many random ones undo # to # %",
        fifty["DPO"],
        100 * min(row[4] for row in rows.values()),
        100 * max(row[4] for row in rows.values()),
    )
    assert all(0.25 < fifty[name] < 0.42 for name in fifty if name != "DPO")
    assert all(0.43 < row[3] < 0.62 for row in rows.values()), "only half"


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
    rude = by_model(rude_rows(STUDY))
    holds(text, "leaves the rude share at #, so", rude["activation editing"]["rude"].mean)
