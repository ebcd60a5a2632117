"""The sentences after "Found" in Lab 0, as conditions on the variables of the executed lab."""

from types import SimpleNamespace

import numpy as np


def mean(hits):
    return hits.float().mean().item()


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    return {
        **section_1(lab),
        **section_2(lab),
        **section_3(lab),
        **section_5(lab),
        **section_6(lab),
        **section_7(lab),
        **section_8(lab),
        **section_9(lab),
        **section_10(lab),
    }


def section_1(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "1 trained right, untrained near guessing": min(map(mean, lab.accuracy["trained"])) > 0.99
        and max(map(mean, lab.accuracy["untrained (control)"])) < 0.2,
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "2 the pieces sum to the stream": (lab.whole - lab.stream).abs().max()
        < 1e-4
        < (lab.without - lab.stream).abs().max(),
    }


def section_3(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "3 two readers, and another head below": len(lab.readers) == 2
        and lab.carrier not in lab.readers,
        "3 the head below looks there": lab.share(lab.DIGIT, lab.DIGIT - 1)[lab.carrier] > 0.5,
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "5 the MLPs write the answer": set(lab.ranked[:2]) == {"L0M", "L1M"}
        and lab.direct["L1M"][0] + lab.direct["L0M"][0] > 15,
        "5 the readers write next to nothing": all(
            abs(lab.direct[f"L0H{head}"][0]) < 0.2 for head in lab.readers
        ),
        "5 the control is near zero": np.abs(lab.series[lab.CONTROL][:, 0]).max() < 1,
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "6 the reader is needed, the controls are not": mean(lab.zeroed[0]) < 0.7
        and min(map(mean, lab.zeroed[1:])) > 0.98,
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "7 the wrong layer's mean does other damage": abs(
            lab.trap["own mean"][0] - lab.trap["mean of layer 0"][0]
        )
        > 0.05,
    }


def section_8(lab: SimpleNamespace) -> dict[str, bool]:
    means = {key: mean(hits) for key, hits in lab.after.items()}
    bias_scales, needed_scales = lab.profile["bias-like"][2:], lab.profile["needed"][2:]
    return {
        "8 bias-like: only zero hurts": means["bias-like", "zero"]
        < 0.8
        < 0.98
        < min(means["bias-like", m] for m in lab.MODES[1:]),
        "8 bias-like: constant, zero far away": lab.profile["bias-like"][0] > 0.9
        and lab.profile["bias-like"][1] > 3,
        "8 bias-like: it looks at constant tokens": set() < set(lab.looked_at) <= {"op", "=", "±"},
        "8 bias-like: only zero changes the scale": abs(bias_scales[0] - 1)
        > 0.1
        > 0.03
        > max(abs(x - 1) for x in bias_scales[1:]),
        "8 overheard: only resampling hurts": means["overheard", "resample"]
        < 0.9
        < 0.98
        < min(means["overheard", m] for m in lab.MODES[:2]),
        "8 needed: all three hurt": max(means["needed", mode] for mode in lab.MODES) < 0.3,
        "8 needed: only resampling keeps the scale": max(needed_scales[:2])
        < 0.85
        < 0.9
        < needed_scales[2]
        < 1.1,
    }


def section_9(lab: SimpleNamespace) -> dict[str, bool]:
    moved = {
        label: {name: mean(hits) for name, hits in rates.items()}
        for label, rates in lab.patched.items()
    }
    return {
        "9 the readers carry the sum": moved["all readers"]["stored", "clean"] > 0.95,
        "9 one reader is not always enough": 0.5
        < moved["the strongest reader"]["stored", "clean"]
        < 0.95,
        "9 one position before: nothing": moved["all readers, one position before (control)"][
            "clean", "clean"
        ]
        > 0.98,
        "9 the carry needs both": moved["that head and the heads of layer 1"]["clean", "stored"]
        > 0.95
        and moved["the head that reads the column below"]["clean", "stored"] < 0.95,
    }


def section_10(lab: SimpleNamespace) -> dict[str, bool]:
    both_ways = {
        label: (mean(lost), mean(restored)) for label, (lost, restored) in lab.directions.items()
    }
    losses = {name: 1 - mean(hits) for name, hits in lab.backup[lab.shown].items()}
    return {
        "10 necessary and sufficient": min(*both_ways["all readers"], *both_ways["L1 MLP"]) > 0.97,
        "10 the controls do nothing": max(
            x for label, two in both_ways.items() if "control" in label for x in two
        )
        < 0.02,
        "10 one reader: less in denoising": all(
            both_ways[f"reader L0H{h}"][1] < both_ways[f"reader L0H{h}"][0] - 0.05
            for h in lab.readers
        ),
        "10 the readers are not alike": abs(
            both_ways[f"reader L0H{lab.reader}"][1]
            - both_ways[f"reader L0H{(lab.weaker or [lab.reader])[0]}"][1]
        )
        > 0.3,
        "10 each way covers for the other": losses["both"] > 2 * (losses["early"] + losses["late"]),
        "10 random heads do less": losses["control"] < losses["both"] / 2,
    }
