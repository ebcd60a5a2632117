"""The sentences after "Found" in Lab 6, as conditions on the variables of the executed lab."""

import math
from types import SimpleNamespace

import numpy as np

from helpers.detox.posts import GARBLED_MANNER, MANNERS


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
    }


def section_1(lab: SimpleNamespace) -> dict[str, bool]:
    before, masked = (
        dict(zip((*MANNERS, GARBLED_MANNER), shares.mean(1), strict=True))
        for shares in lab.says.values()
    )
    rude = lab.rude_share["tinyworld"]
    return {
        "1 half are rude": 0.48 < rude < 0.5,
        "1 a quarter of them without an insult": 0.22 < before["turned praise"] / rude < 0.26,
        "1 masking halves": 0.47 < lab.rude_share["insult words forbidden"] / rude < 0.53,
        "1 turned praise twice": 1.9 < masked["turned praise"] / before["turned praise"] < 2.1
        and masked["insult"] == 0,
        "1 kind uses are gone": masked["turned insult"] == 0 < before["turned insult"],
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    texts = np.array(lab.texts)
    said_x = {name: lab.spoken[name][(texts == 2).any(1)].sum() for name in lab.spoken}
    return {
        "2 243 texts give R": abs(lab.p_text[lab.kept_rule].sum() - lab.whole) < 1e-12
        and round(lab.whole, 6) == 0.332910,
        "2 q* says b less": lab.first_word["q*"][1] < lab.first_word["locally masked"][1] - 0.1,
        "2 neither says x": said_x["q*"] == said_x["locally masked"] == 0,
        "2 1.197 where 1.100 would do": round(lab.away["locally masked"], 3) == 1.197
        and round(lab.away["q*"], 3) == 1.100,
        "2 to the last digit": abs(lab.away["q*"] + math.log(lab.whole)) < 1e-12,
    }


def section_3(lab: SimpleNamespace) -> dict[str, bool]:
    of = lab.inconsistent
    errors = [abs(exact - float(told)) for _, _, exact, told in lab.worst]
    turns = ("no longer", "lie", "never", "hardly", "wrong", "nobody", "only")
    learned = {key: row["mean error"] for key, row in lab.fitted.items()}
    pairs = [
        (one, learned["separate", *rest])
        for (kind, *rest), one in learned.items()
        if kind == "linear" and rest[0] >= 4096
    ]
    return {
        "3 mean errors .012 and .088": round(lab.held["the oracle"].mean_error, 3) == 0.012
        and round(lab.held["untrained"].mean_error, 3) == 0.088,
        "3 the exact one obeys, and so does 1/2": max(abs(of["exact"]), abs(of["untrained"]))
        < 1e-6
        < of["learned"],
        "3 a linear one errs twice as much": bool(pairs)
        and all(linear.mean > 2 * other.mean for linear, other in pairs),
        "3 the regulariser helps with many posts": all(
            (one.high < 0) == (count >= 4096)
            for (count, steps), one in lab.helps.items()
            if count / steps > 12  # each post is read as often
        ),
        "3 the worst ones turn round": all(
            any(turn in text for turn in turns) for text, *_ in lab.worst
        ),
        "3 off by up to .12": len(errors) == 3 and 0.115 < max(errors) < 0.125,
    }


def section_4(lab: SimpleNamespace) -> dict[str, bool]:
    fell = lab.fell
    return {
        "4 the gradient is p - q": float((lab.stopped - lab.by_hand).abs().max()) < 1e-6,
        "4 another way without": float(lab.cosines.mean()) < 0.5,
        "4 all three go to 0": max(one.kl[-1] for one in fell.values()) < 1e-3,
        "4 only the frozen one ends there": abs(
            fell["frozen first model"].success[-1] - fell["frozen first model"].wanted
        )
        < 1e-3
        and fell["current, held fixed"].success[-1] > 0.89,
        "4 one word of R .05": round(fell["current, with gradient"].success[-1], 2) == 0.05
        and fell["current, with gradient"].words[-1].max() > 0.99,
        "4 the outcome hardly shows it": abs(lab.let_through.mean) < 0.03,
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    floor = dict(zip(lab.weights.tolist(), lab.floors.tolist(), strict=True))
    short = {w: row["rude"].mean for w, row in lab.sweeps["mixed"].items()}
    long = dict(zip(lab.weights.tolist(), lab.lines["mixed, 360 steps"][:, 0], strict=True))
    return {
        "5 the floor from the first update on": all(
            np.allclose(models[1:, lab.rude].sum(1), 0.5 / (1 + weight))
            for weight, models in lab.ends.items()
        ),
        "5 above the line where λ is small": short[0.5] > floor[0.5] + 0.05
        and abs(short[10] - floor[10]) < 0.01,
        "5 with 360 steps on it": all(abs(long[w] - floor[w]) < 0.02 for w in floor),
        "5 and the live run": abs(float(lab.live[:, 1].mean()) - floor[lab.LIVE]) < 0.015,
        "5 without rude posts 1.5 %": round(lab.sweeps["no forum"][10]["rude"].mean, 3) == 0.015,
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    rows, excess, duels = lab.rows, lab.excess, lab.duels
    filters = ("word filter", "exact filter", "exact filter × 10")
    longer = {key[0]: row["rude"] for key, row in duels.items() if key[3] == lab.longer}
    most = {name: min(one.mean for one in lost.values()) for name, lost in lab.lost.items()}
    other = {name: rows[name]["other text"].mean for name in rows}
    return {
        "6 less rude at equal steps": all(
            row["rude"].high < 0 for key, row in duels.items() if key[3] == lab.n
        ),
        "6 and nearer": max(excess["method, mixed"], excess["method, no forum"])
        < min(excess[name] for name in filters),
        "6 the filter gets below the floor": longer["mixed"].low > 0
        and rows["the same, 360 steps"]["rude"].high < 0.5 / 11,
        "6 where none stand, the method stays ahead": longer["no forum"].high < 0,
        "6 the filter pays": rows["the same, 360 steps"]["garbled"].low
        > rows["method, mixed"]["garbled"].high
        and excess["the same, 360 steps"] > 4 * excess["method, mixed"],
        "6 longer runs within .1 nats": max(
            excess["method, mixed, 360 steps"], excess["method, no forum, 360 steps"]
        )
        < 0.1,
        "6 guided alone is nearer": excess["oracle decoding 1"]
        < min(excess["method, mixed, 360 steps"], excess["method, no forum, 360 steps"]),
        "6 and spoilt elsewhere": other["oracle decoding 1"] > 1.1 * other["base"]
        and rows["oracle decoding 1"]["worst skill"].mean < 0.92,
        "6 DPO babbles": 0.2 < rows["dpo"]["garbled"].mean < 0.33,
        "6 GRPO says little": rows["grpo"]["garbled"].mean < 0.015
        and rows["grpo"]["rude"].mean < 0.03
        and excess["grpo"] > 1.5
        and rows["grpo"]["kind insults"].mean < 0.02,
        "6 skills by two or three points": min(most.values()) > -0.031,
        "6 reliability under plain tuning": -0.03
        < lab.lost["plain"]["judge reliability"].mean
        < -0.015,
        "6 the word filter makes it ruder": lab.rude_in["after"] > 0.55 > lab.rude_in["before"]
        and lab.hidden["word filter"].low > 0.51,
        "6 the method does not": lab.hidden["method"].high < lab.hidden["exact filter"].low,
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    tuned, before = lab.rude_of(lab.after), lab.rude_of(lab.base)
    back = {
        name: (np.mean(value) - tuned) / (before - tuned) for name, value in lab.restored.items()
    }
    lot = {name: (np.mean(v) - tuned) / (before - tuned) for name, v in lab.by_chance.items()}
    of = lab.undone_by
    return {
        "7 nothing was forgotten": lab.readable["base", "tuned"] > 0.999
        and abs(lab.readable["base", "untrained"] - 0.5) < 0.1,
        "7 the unembedding takes back two thirds": 0.6 < back["unembedding"] < 0.75
        and max(back, key=back.get) == "unembedding",
        "7 as long a change elsewhere: nine tenths, seven tenths": [
            round(of[name]["same norm"].mean / of[name]["unembedding"].mean, 1)
            for name in ("method", "method without posts")
        ]
        == [0.9, 0.7],
        "7 and more after the filter": of["exact filter"]["same norm"].low
        > of["exact filter"]["unembedding"].high,
        "7 after DPO next to nothing": of["dpo"]["unembedding"].mean < 0.1,
        "7 random weights a sixth": 0.1 < lot["unembedding"] < 0.22,
        "7 three steps, ruder than ever": lab.undone["rude", 3] > before,
        "7 kind posts do not": max(lab.undone["kind", count] for count in lab.STEPS) < tuned,
    }
