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
    found = {
        tuple(row[key] for key in ("kind", "samples", "steps", "regulariser")): row
        for row in lab.of_learned.oracles(lab.study)
    }
    pairs = [
        (row["mean error"].mean, found["separate", *rest]["mean error"].mean)
        for (kind, *rest), row in found.items()
        if kind == "linear" and rest[0] >= 4096
    ]
    ways = [
        (row, found[*key[:3], "no regulariser"])
        for key, row in found.items()
        if key[0] == "separate" and key[3] == "expected first"
    ]
    short, long = (
        [found["separate", 1024, steps, how] for how in ("expected first", "no regulariser")]
        for steps in (75, 300)
    )
    return {
        "3 mean errors .012 and .088": round(lab.held["the oracle"].mean_error, 3) == 0.012
        and round(lab.held["untrained"].mean_error, 3) == 0.088,
        "3 the exact one obeys, and so does 1/2": max(abs(of["exact"]), abs(of["untrained"]))
        < 1e-6
        < of["learned"],
        "3 a linear one errs twice as much": len(pairs) == 2
        and all(linear > 2 * other for linear, other in pairs),
        "3 the regulariser helps with many posts": all(
            (one.high < 0) == (count >= 4096)
            for (count, steps), one in lab.helps.items()
            if count / steps > 12  # each post is read as often
        ),
        "3 it does not help to decode": len(ways) == 5
        and all(with_it["rude"].high > without["rude"].low for with_it, without in ways),
        "3 longer on 1 024: worse, and better to decode with": all(
            after["mean error"].low > before["mean error"].high
            and after["rude"].high < before["rude"].low
            for before, after in zip(short, long, strict=True)
        ),
        "3 the worst ones turn round": all(
            any(turn in text for turn in turns) for text, *_ in lab.worst
        ),
        "3 off by a tenth, at a few": len(errors) == 3
        and 0.08 < min(errors) < max(errors) < 0.125
        and 0 < np.mean(lab.off >= 0.05) < 0.02,
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
    sweep, floor = lab.sweep, np.array(lab.sweep.floors)
    short, long = (sweep.lines[name][:, 0] / floor for name in ("mixed", "mixed, 360 steps"))
    live = lab.live[:, 1].mean() * (1 + lab.LIVE) / 0.5
    small = np.array(sweep.weights) <= 1
    return {
        "5 the floor from the first update on": all(
            np.allclose(models[1:, lab.rude].sum(1), 0.5 / (1 + weight))
            for weight, models in lab.ends.items()
        ),
        "5 above it by an eighth to a third": 1.115 < short.min() < short.max() < 1.335,
        "5 most where λ is small": short[small].min() > short[~small].max(),
        "5 with 360 steps within 6 %": np.abs(long - 1).max() < 0.06,
        "5 the live run a tenth above": 1.03 < live < 1.17,
        "5 without rude posts 1.5 %": round(sweep.lines["no forum"][-1, 0], 3) == 0.015,
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    return {**_rivals(lab), **_others(lab)}


def _rivals(lab: SimpleNamespace) -> dict[str, bool]:
    rows, beyond = lab.rows, lab.beyond
    later = {row["setting"]: row for row in lab.duels if row["steps"] == lab.longer}
    filtered, ours = rows["exact filter × 10, 360 steps"], rows["method, mixed"]
    rejected, silent = rows["rejection × 10, no forum, 360 steps"], rows["method, no forum"]
    longest = [beyond[f"method, {setting}, 360 steps"] for setting in ("mixed", "no forum")]

    def both(row: dict) -> float:
        return round(100 * row["violations"].mean, 1)

    return {
        "6 less rude at equal steps": all(
            row["rude"].high < 0 for row in lab.duels if row["steps"] == lab.n
        ),
        "6 and nearer on the mixed corpus": round(beyond["method, mixed"], 2) == 0.10
        and round(beyond["exact filter × 10"], 2) == 0.24,
        "6 with as much compute the filter leaves fewer rude posts": all(
            later[setting]["rude"].low > 0 for setting in ("mixed", "contextual")
        ),
        "6 with sixty posts the method has fewer of both": later["sixty"]["violations"].high < 0,
        "6 it garbles more": filtered["sampled garbled"].low > ours["sampled garbled"].high,
        "6 7.0 and 7.1 %": (both(filtered), both(ours)) == (7.0, 7.1),
        "6 4.0 and 3.6 %": (both(rejected), both(silent)) == (4.0, 3.6),
        "6 no difference to be told": all(
            later[setting]["violations"].low < 0 < later[setting]["violations"].high
            for setting in ("mixed", "contextual", "no forum")
        ),
        "6 rejection takes as long, and keeps kind insults": abs(
            rejected["CPU seconds"].mean / silent["CPU seconds"].mean - 1
        )
        < 0.1
        and rejected["kind insults"].low > silent["kind insults"].high,
        "6 longer runs within .1 nats": max(longest) < 0.1,
        "6 the filter .6 beyond, rejection between": max(longest)
        < beyond["rejection × 10, no forum, 360 steps"]
        < beyond["exact filter × 10, 360 steps"]
        < 0.64,
    }


def _others(lab: SimpleNamespace) -> dict[str, bool]:
    rows, beyond, lost = lab.rows, lab.beyond, lab.lost
    guided = rows["oracle decoding 1"]
    better = [name for name in lab.TUNED if rows[name]["rude"].high < guided["rude"].low]
    worst = {name: one["judge toxicity"].mean for name, one in lost.items()}
    return {
        "6 guided alone is nearer": beyond["oracle decoding 1"]
        < min(beyond[name] for name in lab.TUNED if name != "base"),
        "6 one tuning alone leaves fewer": better == ["method, no forum, 360 steps"],
        "6 and spoilt elsewhere": guided["other text"].mean > 1.1 * rows["base"]["other text"].mean
        and guided["worst skill"].mean < 0.92,
        "6 DPO garbles 29 %": round(rows["dpo"]["sampled garbled"].mean, 2) == 0.29
        and rows["dpo"]["rude"].mean < 0.08,
        "6 GRPO goes farther": rows["grpo"]["sampled garbled"].mean < 0.02
        and rows["grpo"]["rude"].mean < 0.03
        and round(beyond["grpo"], 1) == 1.9
        and rows["grpo"]["kind insults"].mean < 0.02,
        "6 reliability under plain tuning": lost["plain"]["judge reliability"].high < 0
        and abs(
            lost["plain"]["judge reliability"].mean
            - lost["method, mixed"]["judge reliability"].mean
        )
        < 0.01,
        "6 toxicity only where rude posts are tuned away": abs(worst.pop("plain")) < 0.003
        and max(worst.values()) < -0.008
        and lab.as_rude["plain"] < 0.02 < 0.05 < min(list(lab.as_rude.values())[1:]),
        "6 the word filter leaves more rude ones": lab.rude_in["after"]
        > 0.55
        > lab.rude_in["before"],
        "6 and helps nothing": lab.hidden["word filter"].high > lab.hidden["plain"].low > 0.5,
        "6 the method does": lab.hidden["method"].high < lab.hidden["exact filter"].low,
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
