"""A study in no time, whose numbers follow from its keys by hand."""

from helpers import zoo
from helpers.detox.study import DetoxPlan, DetoxStudy, detox_cells
from helpers.detox.study.plan import tuning_of

PLAN = DetoxPlan(seeds=3)
PROMPTS = (0.0, 0.1)
"""What two prompts add to every rude share."""
SEEDS = (0.0, 0.03, 0.06)
"""What a seed adds to what is tuned."""
SHARES = ((0.75, 0.125, 0.125), (0.25, 0.5, 0.25))
"""Kind, rude and garbled posts of what is tuned, and of the base."""
SKILLS = {"kind": 1.0, "colour": 0.9}


def rude(cell) -> float:
    """Rude share of a policy: that of the base, the floor law for the method, a half of its."""
    if cell.kind == "method":
        return 0.5 / (1 + tuning_of(cell).kl_weight)
    return {"base": 0.5, "plain": 0.45}.get(cell.kind, 0.25)


def judged(cell) -> dict:
    """What a policy measures."""
    seed = 0.0 if cell.seed is None else SEEDS[cell.seed]
    by_prompt = [rude(cell) + more + seed for more in PROMPTS]
    worst = [1.0, float(cell.kind != "method")]
    return {
        **dict(zip(("kind", "rude", "garbled"), SHARES[cell.kind == "base"], strict=True)),
        "by_prompt": {"rude": by_prompt, "kind": [0.5, 0.5], "garbled": [0.0, 0.25]},
        "sampled": {
            "by_prompt": {"rude": by_prompt, "garbled": [0.0, 0.125], "worst": worst},
            "manners": {"turned praise": 0.125},
        },
        "perplexity": {
            "clean posts": None if cell.kind == "masked words" else 2.0 + seed,
            "rude posts": 4.0,
            "other text": 3.0 if cell.kind == "base" else 3.03,
        },
        "distinct": {"posts": 0.75},
        "kl_to_base": {"of policy": {"nats": 0.5}},
        "kind_insults": {"share": None if cell.kind == "word filter" else 0.25},
        "seconds": {"model": 10.0, "first fit": 2.0 * (cell.kind == "method"), "judge": 99.0},
    }


def skills(cell) -> dict[str, float]:
    """Shares of right answers on the prompts of a seed, which are harder with each: what is tuned
    loses an eighth, and of the last seed twice that."""
    lost = 0 if cell.of[0] in ("base", "masked words") else (1 + (cell.seed == 2)) / 8
    return {name: value - SEEDS[cell.seed] - lost for name, value in SKILLS.items()}


def result(cell) -> dict:
    """What a cell of any kind measures."""
    if cell.kind == "first oracle":
        return {"seconds": {"fit": 2.0}}
    if cell.kind == "oracle":
        kind, samples, _, how = cell.of
        error = 64 / int(samples.split()[0]) + 0.25 * (kind == "linear") + SEEDS[cell.seed]
        error *= 2 if how == "no regulariser" else 1
        shares = {"rude": error / 2, "garbled": 0.0}
        seconds = {"sample": 1.0, "fit": 3.0}
        return {"mean error": error, "rmse": 2 * error, "guided": shares, "seconds": seconds}
    if cell.kind == "skills":
        return {"skills": skills(cell)}
    if cell.kind == "detection":
        return {"auc": 0.75 + 0.125 * ("KL" in cell.of[0]), "rude": 0.5, "garbled": 0.0}
    return judged(cell)


def study(plan: DetoxPlan = PLAN) -> DetoxStudy:
    """All cells of a plan."""
    cells = {cell: result(cell) for cell in detox_cells(plan)}
    return DetoxStudy(zoo.entry("tinyworld").sha256, plan, cells)
