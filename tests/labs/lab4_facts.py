"""The sentences after "Found" in Lab 4, as conditions on the variables of the executed lab."""

from types import SimpleNamespace

import numpy as np

from helpers.circuits.judging import metrics
from helpers.circuits.study import jobs, methods


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    return {
        **section_2(lab),
        **section_4(lab),
        **section_5(lab),
        **section_6(lab),
        **section_7(lab),
        **section_8(lab),
        **section_9(lab),
        **section_10(lab),
        **section_11(lab),
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    codes_by_lambda = {sparsity: (share, count) for sparsity, share, count, _ in lab.fits}
    return {
        "2 no better than a constant, nearly all codes": abs(codes_by_lambda[0.02][0]) < 0.1
        and codes_by_lambda[0.02][1] > 180,
        "2 length": abs(float(lab.trial["ioi"].positive.norm(dim=-1).square().mean().sqrt()) - 1.2)
        < 0.06,
        "2 a twentieth of λ": 0.7 < codes_by_lambda[0.001][0] < 0.82
        and codes_by_lambda[0.001][1] < codes_by_lambda[0.02][1] / 2,
    }


def section_4(lab: SimpleNamespace) -> dict[str, bool]:
    one_removed = {
        name: 1 - lab.F["greater-than", "resample"][(1 << 16) - 1 - (1 << lab.HEADS.index(name))]
        for name in lab.stand_ins()[0]
    }
    return {
        "4 one circuit of five heads": len(lab.circuits["ioi", "resample"].circuits) == 1
        and lab.circuits["ioi", "resample"].n_faithful == 2048
        and lab.named(lab.circuits["ioi", "resample"].core) == "0.1 0.3 1.3 2.2 2.3",
        "4 the same in docstring": list(lab.circuits["docstring", "resample"].smallest)
        == list(lab.circuits["ioi", "resample"].smallest),
        "4 greater-than": len(lab.circuits["greater-than", "resample"].smallest) == 4
        and len(lab.circuits["greater-than", "resample"].circuits) == 27
        and len(lab.stand_ins()[0]) == 4
        and max(one_removed.values()) < 0.06
        and lab.stand_ins()[1] >= 0.8,
        "4 mean ablation": not lab.circuits["greater-than", "mean"].core
        and all(
            int(lab.circuits[task, "mean"].smallest[0]).bit_count()
            > int(lab.circuits[task, "resample"].smallest[0]).bit_count()
            for task in ("ioi", "docstring")
        ),
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    sae_area, norm_area, one_area = (
        np.array([lab.areas[name, task].mean for task in lab.TASKS])
        for name in ("discrete SAE", "mean difference", "ablate one head")
    )
    return {
        "5 the published level": np.allclose(sae_area, (0.77, 0.83, 0.91), atol=0.006),
        "5 controls": norm_area[0] > sae_area[0] + 0.1
        and norm_area[2] > sae_area[2] + 0.04
        and one_area.min() > 0.999
        and min(lab.areas[name, task].mean for name in methods.RIVALS for task in lab.TASKS) > 0.9
        and lab.areas["mean difference", "greater-than"].mean > sae_area[1],
        "5 shuffled": np.allclose(
            [one.mean for one in lab.gain.values()], (-0.06, 0.24, 0.05), atol=0.011
        )
        and lab.above_null == ["greater-than", "docstring"],
        "5 number of codes": np.allclose(
            (lab.counted["ioi"], lab.counted["docstring"]), (0.93, 0.94), atol=0.02
        ),
        "5 training adds": abs(sae_area[1] - lab.areas["untrained SAE", "greater-than"].mean - 0.15)
        < 0.011
        and all(
            abs(sae_area[i] - lab.areas["untrained SAE", lab.TASKS[i]].mean) < 0.08 for i in (0, 2)
        ),
        "5 three of eight": sum(
            lab.by_truth[kind, "mean", task, "discrete SAE"]
            > lab.by_truth[kind, "mean", task, "mean difference"]
            for kind, ablation, task, name in lab.by_truth
            if ablation == "mean" and name == "discrete SAE"
        )
        == 3,
        "5 the slip": all(
            lab.areas["discrete SAE", task].low
            < lab.areas["discrete SAE, released code", task].mean
            < lab.areas["discrete SAE", task].high
            for task in lab.TASKS
        ),
        "5 pairs": all(
            lab.areas["discrete SAE, pairs", task].mean < lab.areas["discrete SAE", task].mean
            for task in lab.TASKS
        ),
        "5 another number": any(
            lab.over(v, "best_released") > lab.over(v, "best_f1") + 0.02
            for v in lab.judged.values()
        )
        and any(
            lab.over(v, "best_released") < lab.over(v, "best_f1") - 0.02
            for v in lab.judged.values()
        ),
        "5 by definition": sum(
            lab.by_truth[kind, ablation, task, "ablate one head"]
            < lab.by_truth[kind, ablation, task, "discrete SAE"]
            for kind, ablation, task, name in lab.by_truth
            if name == "discrete SAE"
        )
        == 1
        and all(
            lab.by_truth[kind, "mean", task, "ablate one head"] < 0.99
            for kind, a, task, _ in lab.by_truth
            if a == "mean"
        ),
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "6 L1": lab.areas["sae-lens, L1", "docstring"].high
        < lab.areas["discrete SAE", "docstring"].low
        and all(
            lab.areas["sae-lens, L1", task].mean > lab.areas["discrete SAE", task].mean
            for task in ("ioi", "greater-than")
        ),
        "6 TopK": all(lab.areas["sae-lens, TopK", task].mean < 0.56 for task in lab.TASKS)
        and lab.library_says[1][1] > 0.6
        and lab.library_says[1][2] < 0.4 * lab.library_says[0][2],
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    lost_by = {task: lab.few_scored[task][-1, 0] - lab.few_scored[task][0, 0] for task in lab.TASKS}
    ranges = [value for those in lab.spread.values() for value in those.values()]
    falls = {task: lab.good[task] - lab.poor[task] for task in lab.TASKS}
    return {
        "7 training": all(
            abs(rows[0, 0] - rows[-1, 0]) < 0.05 for rows in lab.few_trained.values()
        ),
        "7 scoring": min(lost_by.values()) > 0.06 and max(lost_by.values()) < 0.18,
        "7 settings": np.allclose([min(ranges), max(ranges)], [0.13, 0.42], atol=0.011),
        "7 latents": int(lab.swept("latents", "greater-than")[0][:, 0].argmax())
        == jobs.SWEEPS["latents"].index(200)
        and all(
            lab.swept("latents", task)[part][-1, 0] > lab.swept("latents", task)[part][0, 0] + 0.2
            for task in ("ioi", "docstring")
            for part in (0, 1)
        ),
        "7 last token": all(
            lab.swept("pooling", task)[0][1, 0] < lab.swept("pooling", task)[0][0, 0]
            for task in lab.TASKS
        ),
        "7 the paper's twins": abs(lab.negatives["greater-than"]["01"][0].mean - 0.69) < 0.006
        and lab.matter_most == ["greater-than"],
        "7 twins": np.allclose([min(falls.values()), max(falls.values())], [0.14, 0.33], atol=0.011)
        and abs(lab.poor["greater-than"] - 0.5) < 0.02,
    }


def section_8(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "8 edges": all(5 <= labels.sum() <= 8 for labels, _ in lab.wiring.values())
        and lab.pair_area["ioi"] > 0.95
        and lab.pair_null["ioi"] > 0.95
        and lab.pair_area["greater-than"] < 0.5
        and all(
            lab.area_of(each_score["product of mean differences"], labels)
            >= lab.pair_area[task] - 0.005
            for task, (labels, each_score) in lab.wiring.items()
        ),
    }


def section_9(lab: SimpleNamespace) -> dict[str, bool]:
    wired_area = {
        name: np.mean([metrics.auroc(row, lab.wired_true) for row in rows])
        for name, rows in lab.wired_scores.items()
    }
    return {
        "9 two circuits": sorted(map(len, lab.wired_minimal.named())) == [3, 4]
        and all(
            abs(float(lab.every_subset.faithfulness[number]) - 1) < 0.01
            for number in lab.wired_minimal.circuits
        )
        and lab.between[lab.order.index((1, 1)), lab.order.index((1, 0))] < -0.1
        and lab.between[lab.order.index((0, 3)), lab.order.index((1, 0))] > 0.1,
        "9 decoys": wired_area["mean difference"] < 0.4
        and wired_area["write norm"] < 0.4
        and 0.05 < wired_area["discrete SAE"] - wired_area["shuffled labels"] < 0.2
        and wired_area["EAP"] == wired_area["EAP-IG"] == 1
        and wired_area["ablate one head"] < 0.65
        and 0.7 < wired_area["ACDC"] < 0.95,
    }


def section_10(lab: SimpleNamespace) -> dict[str, bool]:
    six = {
        name: [np.mean([one.mean[6] for one in lab.kept[name, task]]) for task in lab.TASKS]
        for name in lab.curve_names
    }
    return {
        "10 six heads": all(0.45 < six["discrete SAE"][i] < 0.62 for i in (0, 2))
        and six["discrete SAE"][1] < 0.25
        and all(a < b for a, b in zip(six["discrete SAE"], six["mean difference"], strict=True)),
        "10 CPR": lab.ahead == ["ioi", "docstring"]
        and all(lab.areas_under["shuffled labels", task][0] > lab.high[task] for task in lab.ahead),
    }


def section_11(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "11 a day, and EAP": lab.grown[-1].acdc > 86_400
        and all(1.4 < one.eap / one.sae < 2.1 for one in lab.grown)
        and lab.grown[-1].ratio >= 50,
        "11 the ratio grows": list(np.argsort([one.ratio for one in lab.grown]))
        == list(range(len(lab.grown))),
    }
