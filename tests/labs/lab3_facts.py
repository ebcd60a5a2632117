"""The sentences after "Found" in Lab 3, as conditions on the variables of the executed lab."""

from types import SimpleNamespace

import numpy as np

from helpers.trust.data.published import PUBLISHED

QUOTED = {
    "reliability": (9.4, 3.9, 99, 51, -0.02, 0.03),
    "privacy": (8.2, 1.5, 100, 50, 0.10, 0.43),
    "toxicity": (7.1, 2.0, 100, 50, 0.01, 0.03),
    "fairness": (9.3, 4.2, 100, 50, 0.10, 0.19),
    "robustness": (5.8, 1.9, 100, 75, 0.43, 0.80),
}
"""What the chapter says: change of the verdict, that of its best control, right verdicts before and
after in percent, change of the continuation, that of its best control."""


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    return {
        **section_1(lab),
        **section_2(lab),
        **section_3(lab),
        **section_4(lab),
        **section_5(lab),
        **section_6(lab),
        **section_7(lab),
        **section_8(lab),
        **chapter(lab),
    }


def section_1(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "1 sudden, and in the order of the exercise": sorted(
            lab.NAMES, key=lambda name: lab.judged_from[name].by
        )
        == lab.predicted_order(),
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "2 the bait": lab.on_bait["untrained"].accuracy.mean(1).min() > 0.75
        and lab.counted["obvious toxicity"].accuracy.mean() > 0.99,
    }


def section_3(lab: SimpleNamespace) -> dict[str, bool]:
    order = sorted(lab.NAMES, key=lambda name: lab.readable_from[name].by)
    return {
        "3 controls at chance": max(lab.to_beat.values()) < 0.6,
        "3 all can be read at the end": all(lab.best[name][-1, 0] > 0.98 for name in lab.NAMES),
        "3 the order, readable when said or one checkpoint before": order == lab.predicted_order()
        and all(
            0
            <= list(lab.steps).index(min(s for s in lab.steps if s >= lab.judged_from[name].by))
            - list(lab.steps).index(lab.readable_from[name].by)
            <= 1
            for name in lab.NAMES
        ),
        "3 the first block": lab.accuracy["reliability"][-1, 0] > 0.9
        and all(lab.accuracy[n][-1, 0] < 0.65 for n in lab.NAMES if n != "reliability"),
        "3 shuffled": lab.highest["reliability"]["shuffled words"] > 0.85
        and lab.highest["robustness"]["shuffled words"] < 0.6,
        "3 depth": all(3 in lab.best_block[name] for name in lab.NAMES),
    }


def section_4(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "4 surface": lab.surface_of["sst2"].capital.value > PUBLISHED["sst2"].best
        and all(
            0 < lab.surface_of[n].gain < 0.035 and PUBLISHED[n].interval[0] < lab.surface_of[n].best
            for n in ("toxigen", "confaide")
        )
        and [round(100 * lab.surface_of[n].gain) for n in ("truthfulqa", "stereoset")] == [11, 15],
        "4 the first checkpoint": all(
            PUBLISHED[n].first
            < (
                found.capital.value
                if n == "sst2"
                else max(share.value for share in found.ordered.values())
            )
            for n, found in lab.surface_of.items()
        ),
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    verdict_of = {name: lab.steered[name, "verdict"][1] for name in lab.NAMES}
    colour_lost = {
        name: verdict_of[name]["steered"].behaviours["colour"].accuracy.mean for name in lab.NAMES
    }
    return {
        "5 verdicts move": all(
            5.5 < lab.moved["verdict"][n].mean < 9.6
            and lab.moved["verdict"][n].low > lab.any_control[n, "verdict"] + 2
            for n in lab.NAMES
        ),
        "5 some shuffled ones come near": max(
            lab.strongest(verdict_of[n], "shuffled") / lab.moved["verdict"][n].mean
            for n in lab.NAMES
        )
        > 0.9,
        "5 right and wrong alike": all(
            before >= 0.985 and after < 0.55
            for n, (before, after) in lab.right_verdicts.items()
            if n != "robustness"
        )
        and 0.65 < lab.right_verdicts["robustness"][1] < 0.85,
        "5 continuations do not": all(
            lab.moved["continuation"][n].low <= lab.any_control[n, "continuation"]
            for n in lab.NAMES
        ),
        "5 colours": sum(-0.42 < lost_share < -0.25 for lost_share in colour_lost.values()) == 3,
        "5 controls cost colours too": all(
            lab.colour_of_controls(n)[0] <= lost for n, lost in colour_lost.items() if lost < -0.25
        ),
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    place = {step: i for i, step in enumerate(lab.steps)}
    verdict_of = {name: lab.steered[name, "verdict"][1] for name in lab.NAMES}
    return {
        "6 own length": np.allclose(
            [min(lab.own_length.values()), max(lab.own_length.values())], [0.37, 1.31], atol=0.03
        ),
        "6 half-way": lab.middle == 3935
        and all(0.9 < lab.as_good[n] < 1.15 for n in lab.NAMES if n != "fairness")
        and 0.35 < lab.as_good["fairness"] < 0.6,
        "6 fairness is no better than a control": lab.transferred["fairness", False][
            lab.middle
        ].target.mean
        < lab.strongest(verdict_of["fairness"], "off-axis") + 0.5,
        "6 privacy before its probe": lab.best["privacy"][place[3935], 0] < 0.65,
        "6 correlations": min(found.low for found in lab.together.values()) > 0.4
        and all(
            (found.p_steps < 0.05) == (name == "robustness") for name, found in lab.together.items()
        ),
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    place = {step: i for i, step in enumerate(lab.steps)}
    return {
        "7 no common picture": [name for name in lab.NAMES if lab.rose[name] > 0.1] == ["privacy"]
        and lab.planes["robustness"][place[752]].tx[-1] < 0.6 * lab.planes["robustness"][0].tx[-1]
        and lab.planes["robustness"][place[4985]].tx[-1]
        > 1.5 * lab.planes["robustness"][place[752]].tx[-1],
        "7 what is given up when": lab.fall["toxicity"][0] > place[1936]
        and lab.steps[lab.fall["privacy"][1]] == 4985
        and lab.steps[lab.fall["fairness"][1]] == 6315,
        "7 the null": all(
            one.tx[-1] > 2 * one.tx_high[-1] for those in lab.planes.values() for one in those
        ),
        "7 bandwidth": all(
            b.value < 0.85 * a.value for a, b in zip(*lab.swept_sigma.values(), strict=True)
        ),
        "7 nothing forgotten": all(
            lab.gone[n] > 0.8 and lab.lost[n] < 0.03 for n in ("reliability", "robustness")
        ),
        "7 given up": all(
            lab.gone[n] < 0.3 and 0.03 < lab.lost[n] < 0.25
            for n in ("privacy", "toxicity", "fairness")
        ),
    }


def section_8(lab: SimpleNamespace) -> dict[str, bool]:
    place = {step: i for i, step in enumerate(lab.steps)}
    return {
        "8 bits": all(values[-1] >= 0.95 and values[0] == 0 for values in lab.known_bits.values()),
        "8 right, and no bound": lab.known_bits["toxicity"][3] < 0.1
        and lab.best["toxicity"][place[3106], 0] > 0.9,
    }


def chapter(lab: SimpleNamespace) -> dict[str, bool]:
    measured = {
        name: (
            lab.moved["verdict"][name].mean,
            lab.any_control[name, "verdict"],
            *(100 * share for share in lab.right_verdicts[name]),
            lab.moved["continuation"][name].mean,
            lab.any_control[name, "continuation"],
        )
        for name in QUOTED
    }
    atol = (0.1, 0.1, 1.5, 1.5, 0.03, 0.03)
    return {
        f"chapter: {name}": np.allclose(measured[name], said, rtol=0.03, atol=atol)
        for name, said in QUOTED.items()
    }
