"""The sentences after "Found" in Lab 5, as conditions on the variables of the executed lab."""

from types import SimpleNamespace

import numpy as np


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    stands, need = lab.stands, {name: one.needed.numpy() for name, one in lab.edits.items()}
    rest, largest = stands["the rest"], stands["largest weights"]
    siblings = {name: np.nanmean(one.siblings.numpy()) for name, one in lab.effects.items()}
    random = ("random, as many in every tensor", "random", "largest weights")
    return {
        "1 all facts with all weights": lab.full.accuracy == 1,
        "1 none without": round(lab.nothing.accuracy, 2) == 0.02
        and abs(float(lab.nothing.above_uniform.median())) < 0.6,
        "2 a twentieth says nearly every fact": stands["circuit"].accuracy > 0.97,
        "3 no rival": all(stands[name].accuracy < 0.01 for name in random),
        "3 the rest": round(rest.accuracy, 2) == 0.02
        and float(rest.above_uniform.median()) > 0
        and abs(float(lab.nothing.entropy.median() - rest.entropy.median()) - 1.7) < 0.06,
        "3 the largest are surer": float(largest.nll.median()) > float(rest.nll.median()) + 2,
        "4 hard concrete": lab.areas["hard concrete"] > 0.99 and lab.right["hard concrete"] == 1,
        "4 straight through": 0.4 < lab.right["straight through"] < 0.6
        and lab.areas["straight through"] < lab.areas["size of the weight"],
        "5 lies": lab.told[0.05].accuracy > 0.9,
        "8 a nat in the rest, a tenth in the circuit": abs(lab.fell["the rest"].mean() - 1) < 0.1
        and abs(lab.fell["circuit"].mean() - 0.1) < 0.05,
        "8 random weights resist as well": all(lab.fell[name].mean() < 0.15 for name in random),
        "9 the gradient explains 98 %": round(lab.line.within.r2, 2) in (0.98, 0.99),
        "9 nothing far, the circuit below": max(map(abs, lab.line.residuals.values())) < 0.11
        and lab.line.residuals95["circuit"][1] < 0,
        "10 the rest resists as the circuit": abs(lab.ratio.mean() - 1) < 0.06
        and need["the rest, as long"].mean() > 3 * need["the rest"].mean(),
        "11 siblings": 0.72 < siblings["circuit"] < 0.88
        and all(siblings[name] < 0.5 for name in random)
        and 0.5 < siblings["the rest, as long"] < siblings["circuit"],
        "11 the realm never follows": all(
            np.nanmax(one.chain.numpy()) == 0 for one in lab.effects.values()
        ),
    }
