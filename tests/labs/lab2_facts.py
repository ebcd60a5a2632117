"""The sentences after "Found" in Lab 2, as conditions on the variables of the executed lab."""

from types import SimpleNamespace

import numpy as np
import torch

from helpers.arithmetic.reuse import curves
from helpers.arithmetic.training import RECIPES, insertion

COPIED = insertion.ARMS[:3]


BORROWS, LOCAL_BORROWS, ABOVE = ("MV", "NV"), ("MB", "NB"), (2, 3, 4)


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    return {
        **section_2(lab),
        **section_3(lab),
        **section_4(lab),
        **section_5(lab),
        **section_6(lab),
        **section_7(lab),
        **section_8(lab),
        **section_9(lab),
        **section_10(lab),
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "2 only the silent insertion keeps the function": bool(
            lab.at_start["preserving"].target_right.all()
        )
        and lab.at_start["preserving"].largest <= 1e-4
        and torch.equal(
            lab.at_start["preserving"].source_right, lab.at_start["preserving"].target_right
        )
        and not lab.at_start["paper"].target_right.any()
        and float(lab.at_start["whole"].target_right.float().mean()) > 0.99
        and lab.at_start["whole"].largest > 1,
        "2 W_O is what lacks": not lab.without["W_O"].any()
        and min(float(r.float().mean()) for k, r in lab.without.items() if "W_O" not in k) > 0.99
        and 0.975 < float(lab.without["all but W_O"].float().mean()) < 0.99,
    }


def section_3(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "3 hardly ever wrong": lab.failed["mix-d3"] == 0
        and max(lab.failed.values()) <= 10
        and min(lab.total["mix-d6"], lab.total["mix-d6-scratch"]) > 2e6,
        "3 one uniform addition in a million, else none": {
            n: [found[op]["failures"] for op in "+-"] for n, found in lab.uniformly.items()
        }
        == {"mix-d6": [1, 0], "mix-d6-scratch": [0, 0]}
        and all(
            found[op]["questions"] == 10**6 and 2e-6 < found[op]["ci95"][1] < 6e-6
            for found in lab.uniformly.values()
            for op in "+-"
        ),
        "3 nothing wrong in the quick sample": lab.quick.failures == 0,
    }


def section_4(lab: SimpleNamespace) -> dict[str, bool]:
    right_at = {
        key: float(hits["additions"].float().mean()) for key, hits in lab.early.items()
    }  # [arm, step]: share of additions right in the first hundred steps
    taken = {
        arm: float(lab.early[arm, 100]["subtractions"].float().mean()) for arm in lab.STARTS
    }  # subtractions right at step 100
    return {
        "4 forgotten, then back": all(
            right_at[arm, 10] < 0.5 and right_at[arm, 100] > 0.85 for arm in ("whole", "preserving")
        ),
        "4 scratch knows nothing at step 100, the paper's copy something": right_at["scratch", 100]
        < 0.02
        < 0.04
        < right_at["paper", 100]
        < 0.5,
        "4 freezing does not prevent the loss": lab.unmoved
        and min(right_at["frozen", step] for step in lab.seen_at) < 0.5
        and right_at["frozen", 0] == 1,
        "4 at step 100 the frozen model adds, and subtracts less": right_at["frozen", 100] > 0.97
        and taken["frozen"] < 0.04 < min(taken["whole"], taken["preserving"]),
        "4 no frozen run was trained to the end": all(
            r.freeze == "nothing" for seeds in lab.stored.runs.values() for r in seeds.values()
        ),
        "4 additions take as long": all(low < 0.95 for lows in lab.dips.values() for low in lows)
        and all(
            max(lab.alone[3, arm, "ADD"]) >= min(lab.alone[3, "scratch", "ADD"])
            for arm in insertion.ARMS[:3]
        )
        and all(
            lab.alone[6, arm, "ADD"][0] >= 0.9 * lab.alone[6, "scratch", "ADD"][0]
            for arm in insertion.ARMS[:3]
        ),
        "4 half is reached sooner": all(
            max(lab.needed[n, arm, 0.5]) < min(lab.needed[n, "scratch", 0.5])
            for n in (3, 6)
            for arm in ("whole", "preserving")
        ),
        "4 but no arm is surely sooner at 99 or 99.99": all(
            lab.faster(arm) == 0 for arm in insertion.ARMS[:3]
        ),
        "4 scratch is ahead for negative answers": all(
            np.median(
                [curves.steps_to(r.curve, 0.5, operation="NEG").by for r in lab.runs_of(arm, 3)]
            )
            > np.median(
                [
                    curves.steps_to(r.curve, 0.5, operation="NEG").by
                    for r in lab.runs_of("scratch", 3)
                ]
            )
            for arm in insertion.ARMS[:3]
        ),
        "4 nor much at 6 digits": all(
            lab.needed[6, arm, 0.99][0] >= 0.85 * lab.needed[6, "scratch", 0.99][0]
            and lab.needed[6, arm, 0.9999][0] >= lab.needed[6, "scratch", 0.9999][0]
            for arm in insertion.ARMS[:3]
        ),
        "4 all end right": all(
            r.curve.points[-1].accuracy() == 1
            for n in (3, 6)
            for arm in insertion.ARMS
            for r in lab.runs_of(arm, n)
        ),
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    part_of = {  # [group, arm]: share of the useful nodes that serve each operation
        (g, arm): {op: found[op] / found["nodes"] for op in lab.OPERATIONS}
        for g in lab.GROUPS
        for arm in insertion.ARMS
        for found in [lab.counted(arm, g, 0.0)]
    }

    def among(label, many, group):
        """Share of polysemantic nodes from scratch; least and most of the arms that copied."""
        return lab.polysemantic[group, "scratch", label, many], *(
            f(lab.polysemantic[group, a, label, many] for a in COPIED) for f in (min, max)
        )

    return {
        "5 shares of the paper, but for NEG": all(
            abs(part_of[g, arm]["ADD"] - 0.64) < 0.16
            and abs(part_of[g, arm]["SUB"] - 0.73) < 0.16
            and part_of[g, arm]["NEG"] > 0.7
            for g in lab.GROUPS
            for arm in COPIED
        ),
        "5 all three: from scratch as many or more": all(
            here >= (low if label.endswith("resampled") and g == lab.CLEAN else high - 0.02)
            for g in lab.GROUPS
            for label in lab.COUNTS
            for here, low, high in [among(label, "all three", g)]
        ),
        "5 two or three: fewer from scratch by the paper's count only": all(
            here < low if label == "one question" else here > low
            for g in lab.GROUPS
            for label in lab.COUNTS
            for here, low, high in [among(label, "two or three", g)]
        ),
        "5 most inserted nodes serve all three": all(
            2 * lab.at_source[g, arm]["three"] > lab.at_source[g, arm]["nodes"]
            for g in lab.GROUPS
            for arm in COPIED
        ),
        "5 why renaming changes nothing": abs(
            lab.adder_use[..., -1].sum() / lab.adder_use.sum() - 0.5
        )
        < 0.02
        and lab.adder_heads[1] == 1
        and all(
            lab.busy(arm, "6 digits, seed 0", 0)[0] >= 0.75 * 32
            and lab.busy(arm, "6 digits, seed 0", 1)[0] < 32 / 3
            for arm in insertion.ARMS
        )
        and lab.busy("scratch", "6 digits, seed 0", 0)[1] == 32,
        "5 place: 6 digits do not separate": min(
            lab.by_place["6 digits, seed 0", "scratch"].values()
        )
        > 0.6
        and min(lab.by_place["6 digits, seed 0", "preserving"].values()) > 0.8
        and lab.overlaps["6 digits, seed 0", "preserving", "ADD"][0].heads_p > 0.1,
        "5 place: 3 digits do": lab.by_place[lab.CLEAN, "preserving"]["ADD"]
        > lab.by_place[lab.CLEAN, "scratch"]["ADD"] + 0.15
        and lab.renamed_p[-1] < 0.1,
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "6 copied weights are still there": all(
            lab.cosines[g, arm][0] > 0.35 for g in lab.GROUPS for arm in insertion.ARMS[:3]
        )
        and all(lab.cosines[g, "paper"][1] < lab.cosines[g, "preserving"][1] for g in lab.GROUPS),
        "6 scratch has nothing": all(
            abs(value) < 0.15 for g in lab.GROUPS for value in lab.cosines[g, "scratch"][:4]
        ),
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "7 the old tests pass in every arm that copied": all(
            lab.strong[g, arm] >= 2 / 3 for g in lab.GROUPS for arm in insertion.ARMS[:3]
        ),
        "7 and not from scratch": all(lab.strong[g, "scratch"] <= 0.1 for g in lab.GROUPS),
        "7 so do those of MLPs": all(
            lab.strong_mlps[g, arm] > 0.8 for g in lab.GROUPS for arm in COPIED
        )
        and all(lab.strong_mlps[g, "scratch"] < 0.3 for g in lab.GROUPS)
        and all(
            lab.average(lab.moved_mlps["6 digits, seed 0", arm], "other") > 0.6
            for arm in insertion.ARMS
        )
        and all(lab.average(lab.moved_mlps[lab.CLEAN, arm], "other") < 0.4 for arm in COPIED),
    }


def section_8(lab: SimpleNamespace) -> dict[str, bool]:
    def between(low, high, name, tasks, digits, place):
        """Whether all rates of a place lie between two bounds, both included."""
        return all(
            low <= lab.by_layer[name, task, k][place].rate <= high for task in tasks for k in digits
        )

    lost_share = {
        label: (float(r[lab.borrowed].float().mean()), float(r[~lab.borrowed].float().mean()))
        for label, r in lab.without_heads.items()
    }
    singles = {(name, label): (str(node), again.rate) for name, label, node, again in lab.chosen_by}
    return {
        "8 carries stay": between(0.95, 1, "mix-d6", ["SV"], lab.DIGITS, 1)
        and between(0, 0.05, "mix-d6", ["SV"], lab.DIGITS, 2),
        "8 borrows go through the new layer, and through the old one too": between(
            0.8, 1, "mix-d6", BORROWS, lab.DIGITS, 2
        )
        and between(0.6, 0.8, "mix-d6", BORROWS, [1], 1)
        and between(0.2, 0.5, "mix-d6", BORROWS, ABOVE, 1),
        "8 from scratch they go there too": between(0.75, 1, "mix-d6-scratch", BORROWS, ABOVE, 2)
        and all(between(0.5, 0.8, "mix-d6-scratch", BORROWS, [1], layer) for layer in (1, 2))
        and all(
            abs(
                lab.by_layer["mix-d6", task, 1][1].rate
                - lab.by_layer["mix-d6-scratch", task, 1][1].rate
            )
            < 0.15
            for task in BORROWS
        ),
        "8 from scratch carries change the layer": between(
            0.95, 1, "mix-d6-scratch", ["SV"], [1], 1
        )
        and between(0, 0.25, "mix-d6-scratch", ["SV"], [4], 1)
        and between(0, 0.05, "mix-d6-scratch", ["SV"], [1], 2)
        and between(0.75, 1, "mix-d6-scratch", ["SV"], [4], 2),
        "8 one head for what is local": between(0.9, 1, "mix-d6", ["SC"], [1, 2, 3], 3)
        and between(0.75, 1, "mix-d6", LOCAL_BORROWS, [1, 2, 3], 3)
        and between(0.6, 0.8, "mix-d6", ["SC"], [4], 3)
        and between(0, 0.15, "mix-d6", LOCAL_BORROWS, [4], 3)
        and between(0.85, 1, "mix-d6", LOCAL_BORROWS, [4], 1)
        and between(0.95, 1, "mix-d6", ["NB"], lab.DIGITS, 2)
        and between(0.3, 0.8, "mix-d6", ["MB"], lab.DIGITS, 2)
        and between(0.65, 0.85, "mix-d6-scratch", ["SC"], [1, 2, 3], 3)
        and between(0.3, 0.65, "mix-d6-scratch", LOCAL_BORROWS, [1, 2, 3], 3),
        "8 the sign and the operator": all(
            singles["mix-d6", f"GT{k}"] == ("P13L2H2", 1.0) for k in (0, 2)
        )
        and all(
            singles["mix-d6", f"OP{k}"][0].endswith("L0H3") and singles["mix-d6", f"OP{k}"][1] > 0.5
            for k in (1, 3)
        )
        and all(singles["mix-d6-scratch", f"OP{k}"][1] < 0.4 for k in (1, 3)),
        "8 the two heads and borrows": lost_share["L0H2 and L2H1"][0] < 0.5
        and lost_share["L0H2 and L2H1"][1] > 0.99
        and lost_share["L0H2 alone"][0] > 0.85
        and 0.6 < lost_share["L2H1 alone"][0] < 0.85
        and all(
            borrows > 0.6
            for label, (borrows, _) in lost_share.items()
            if label.startswith("control")
        ),
    }


def section_9(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "9 useful alone is not enough": all(
            min(kept.values()) < 0.95 for kept in lab.useful_kept.values()
        ),
        "9 the chosen maps are": min(lab.own.values()) >= 0.95
        and len(lab.chosen_maps["mean"]) < 0.45 * len(lab.fresh.nodes)
        and min(
            float(lab.kept_by["resample", ablation].float().mean())
            for ablation in ("mean", "resample")
        )
        > 0.95,
    }


def section_10(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "10 a mixed run sees fewer questions than the adder did": RECIPES["mix-d3"].steps
        * lab.batch_size
        < lab.full,
    }
