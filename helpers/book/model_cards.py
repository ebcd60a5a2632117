"""Model cards in Markdown: what a model is, how it was trained, and what was measured on exactly
these weights.

Everything follows from the manifest. What a card says beside the facts common to all depends on the
recipe's task: sums have classes of questions, a language model has a vocabulary, skills and a
history of checkpoints.
"""

from typing import Any

from helpers.book import head_cards
from helpers.book.prose import sentences
from helpers.show import markdown, percent, short
from helpers.training import Recipe
from helpers.zoo import Entry

LEARNED_AT = 8
"""Checkpoints in the table of a card: step 0, the last, and between them each at twice the step."""

TEXTS = {"tinyworld": "TinyWorld text", "bestiary": "text about the bestiary"}
"""Tasks of language models, and what they read."""
_SAID = {"tinyworld": "held_out", "bestiary": "bestiary"}
"""What is said of the skills of each."""
UNTELLING = ("greater-than",)
"""Skills whose percentage of right answers says nothing."""


def overview(entries: list[Entry]) -> str:
    """One row per model."""
    rows = []
    for entry in entries:
        shape = entry.recipe.model
        size = f"{_layers(shape)} × {shape['n_heads']} heads, width {shape['d_model']}"
        stored = f"{(entry.bytes + entry.series.get('bytes', 0)) / 1e6:.1f} MB"
        rows.append(
            [
                f"[`{entry.name}`](#model-{entry.name})",
                size,
                f"{entry.parameters:,}",
                str(len(entry.steps)),
                stored,
            ]
        )
    return markdown(["name", "shape", "parameters", "checkpoints", "files"], rows, numbers=3)


def card(entry: Entry) -> str:
    """A section: a table of facts, then the measurements."""
    recipe, of_text = entry.recipe, entry.recipe.task in TEXTS
    facts = (_text_facts if of_text else _sum_facts)(recipe)
    facts |= {
        "architecture": _architecture(recipe.model),
        "parameters": f"{entry.parameters:,}",
        "training": _training(recipe, "rows" if of_text else "questions"),
        "recipe fingerprint": f"`{entry.fingerprint}`",
        **_file(entry.file, entry.bytes, entry.sha256),
        **_checkpoints(entry),
        "licence": entry.licence,
    }
    rows = markdown(["property", "value"], [[name, value] for name, value in facts.items()])
    return f"(model-{entry.name})=\n### `{entry.name}`\n\n{rows}\n\n{_measured(entry)}"


def _training(recipe: Recipe, units: str) -> str:
    return "; ".join(
        [
            f"{recipe.steps:,} steps of {recipe.batch_size} fresh {units}",
            f"AdamW, learning rate {recipe.learning_rate:g} after {recipe.warmup_steps} warm-up "
            "steps, then cosine to 0",
            f"weight decay {recipe.weight_decay:g}",
            f"gradient norm at most {recipe.gradient_clip:g}",
            f"seed {recipe.seed}",
        ]
    )


def _layers(shape: dict) -> str:
    return "1 layer" if shape["n_layers"] == 1 else f"{shape['n_layers']} layers"


def _architecture(shape: dict) -> str:
    mlp = "no MLPs" if shape.get("attn_only") else f"MLP {shape['d_mlp']} ({shape['act_fn']})"
    return (
        f"{_layers(shape)}, {shape['n_heads']} heads of {shape['d_head']}, residual stream "
        f"{shape['d_model']}, {mlp}, "
        f"{shape['normalization_type']}, learned positions"
    )


def _file(name: str, size: int, sha256: str, what: str = "") -> dict[str, str]:
    return {
        f"{what}file": f"`{name}`, {size:,} bytes",
        f"sha256{what and ' of that'}": f"`{sha256[:32]}` `{sha256[32:]}`",
    }


def _checkpoints(entry: Entry) -> dict[str, str]:
    """The series that is shipped with a model."""
    if not entry.series:
        return {}
    facts = {
        "checkpoints": (
            f"{len(entry.steps)}, at steps {', '.join(f'{step:,}' for step in entry.steps)}"
        )
    }
    rounding = "; eight bits a weight, vectors 16 bits, the last step in full"
    facts |= _file(
        entry.series["file"], entry.series["bytes"], entry.series["sha256"], "checkpoints "
    )
    return facts | {"checkpoints file": facts["checkpoints file"] + rounding}


def _sum_facts(recipe: Recipe) -> dict[str, str]:
    shape = recipe.model
    task = f"{recipe.data['n_digits']}-digit {_operation(recipe)}, zero-padded"
    return {
        "task": f"{task}; {shape['n_ctx']} tokens of a vocabulary of {shape['d_vocab']}",
        "start": _start(recipe.data),
    }


def _operation(recipe: Recipe) -> str:
    if recipe.task == "mixed":
        return (
            f"addition and subtraction ({100 * recipe.data['p_subtract']:.0f} % of the training "
            "questions)"
        )
    return recipe.task


def _start(data: dict) -> str:
    """What training began with."""
    arm = data.get("arm", "scratch")
    if arm == "scratch":
        return "random weights"
    return f"[`{data['source']}`](#model-{data['source']}) inserted, arm `{arm}`"


def _text_facts(recipe: Recipe) -> dict[str, str]:
    from helpers.tinyworld.models.recipes import TASKS

    data, task = recipe.data, TASKS[recipe.task]
    shares = sorted(task.MIXTURES[data["mixture"]].items(), key=lambda share: -share[1])
    files = " and ".join(f"`{name}`" for name in task.FILES.split(" and "))
    return {
        "task": f"next word of {TEXTS[recipe.task]}, everywhere in rows of {data['length']} tokens",
        "vocabulary": (
            f"{recipe.model['d_vocab']:,} words, one token each; checksum `{data['words']}`, "
            "stored with the weights"
        ),
        "world": f"{files} with checksum `{data['world']}`",
        "documents": f"mixture `{data['mixture']}`: "
        + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares),
        "start": "random weights",
    }


def _measured(entry: Entry) -> str:
    report = entry.measured
    if "skills" in report:
        parts = (
            _skills(entry),
            _two_steps(report.get("two_steps", {})),
            _curve(report.get("curve", {})),
            _rounding(entry),
            _heads(report.get("heads", {})),
        )
        return "\n\n".join(part for part in parts if part)
    if not report:
        command = "skills" if entry.recipe.task in TEXTS else "verify"
        return f"Not measured yet: `python -m helpers {command}` has not been run on these weights."
    return _failures(entry)


def _when(entry: Entry) -> str:
    """Of which weights a report is: it names their checksum, unless it is older than that."""
    return (
        "exactly these weights"
        if entry.measured.get("sha256") == entry.sha256
        else "the weights published under this name"
    )


def _failures(entry: Entry) -> str:
    """Wrong answers to sums, in each class."""
    report = entry.measured
    asked, failed = report["questions"], report["failures"]
    exhaustive = report.get("method") == "exhaustive"
    how = (
        "every question there is" if exhaustive else "uniform ones, and further ones in every class"
    )
    head = (
        f"Measured on {_when(entry)}, teacher forced, all answer tokens right: **{failed:,} of "
        f"{asked:,} wrong** ({how})."
    )
    if uniform := report.get("uniform"):  # of no use where every question was asked
        head += f" Of the uniform ones alone: {_uniform(uniform)}."
    rows = []
    for name, count in report["classes"].items():
        low, high = count["ci95"]
        interval = "known exactly" if exhaustive else f"{short(low)} to {short(high)}"
        rows.append([name, f"{count['questions']:,}", f"{count['failures']:,}", interval])
    return f"{head}\n\n" + markdown(
        ["class", "questions", "wrong", "failure rate (95 %)"], rows, numbers=3
    )


def _uniform(counts: dict[str, dict[str, Any]]) -> str:
    """Wrong answers to uniform questions of each operation; rare classes would spoil the rate."""
    names = {"+": "additions", "-": "subtractions"}
    parts = []
    for operator, count in counts.items():
        low, high = count["ci95"]
        interval = f"failure rate {short(low)} to {short(high)}, 95 %"
        parts.append(
            f"{count['failures']:,} of {count['questions']:,} {names[operator]} wrong ({interval})"
        )
    return ", ".join(parts)


def _skills(entry: Entry) -> str:
    """Accuracy of every skill at the end of training."""
    report = entry.measured
    head = f"Measured on {_when(entry)}, on fresh text: **{report['loss']:.3f} nats a word**"
    head += f", perplexity {report['perplexity']:.2f}" if "perplexity" in report else ""
    count = f", {report['prompts']} a skill" if "prompts" in report else ""
    head += ". " + sentences("skills")[_SAID[entry.recipe.task]].format(count=count)
    rows = []
    for name, skill in report["skills"].items():
        right = percent(skill["accuracy"], skill["low"], skill["high"])
        difference = _plain(skill["difference"]) if "difference" in skill else "–"
        rows.append(
            [name, right, difference, _plain(skill["log_ratio"]), str(skill.get("different", "–"))]
        )
    columns = [
        "skill",
        "right answers (95 %)",
        "difference",
        "log ratio, right to wrong (nats)",
        "different prompts",
    ]
    notes = sentences("notes").items()
    notes = [f"*{name}*: {note}" for name, note in notes if name in report["skills"]]
    return "\n\n".join([head, markdown(columns, rows, numbers=4), *notes])


def _two_steps(found: dict[str, Any]) -> str:
    """Whether realms that training never stated are inferred, with what a guess reaches."""
    if not found:
        return ""
    creatures, shuffled = found["creatures"], found["shuffled kinds"]
    rows = [
        [f"`{frame}`", f"{count['right']} of {count['of']}", _interval(count["ci95"])]
        for frame, count in found["frames"].items()
    ]
    said = sentences("skills")["two_steps"].format(
        right=creatures["right"],
        of=creatures["of"],
        interval=_interval(creatures["ci95"]),
        kinds=_interval(creatures["over_kinds"]),
        mean=percent(found["mean"], *found["ci95"]),
        one=f"{100 * found['one realm for all']:.0f} %",
        luck=f"{100 * shuffled['mean']:.0f} %",
        most=f"{100 * shuffled['most of 95 %']:.0f} %",
        p=short(shuffled["p_value"]),
    )
    return f"{said}\n\n" + markdown(["frame", "right", "95 %"], rows, numbers=2)


def _interval(bounds: list[float]) -> str:
    return f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f} %"


def _plain(value: float) -> str:
    """Two decimals, and no minus before nothing.

    >>> _plain(-0.0007), _plain(-1.234)
    ('0.00', '-1.23')
    """
    return f"{value:z.2f}"


def _curve(curve: dict[str, Any]) -> str:
    """Loss and accuracies at a few checkpoints."""
    if not curve:
        return ""
    steps = curve["steps"]
    places = [steps.index(step) for step in spread(steps)]
    rows = [["loss (nats)", *(f"{curve['loss'][place]:.2f}" for place in places)]]
    rows += [
        [name, *(f"{100 * values[place]:.0f}" for place in places)]
        for name, values in curve["skills"].items()
    ]
    apart = {
        name: values for name, values in curve.get("difference", {}).items() if name in UNTELLING
    }
    rows += [
        [f"{name}, difference", *(_plain(values[place]) for place in places)]
        for name, values in apart.items()
    ]
    head = ["right answers in %, at step", *(f"{steps[place]:,}" for place in places)]
    fewer = (
        f", each on {curve['prompts']} prompts a skill, so that the last step may differ from above"
        if "prompts" in curve
        else ""
    )
    said = f"Over training, at {len(places)} of the {len(steps)} checkpoints measured{fewer}:"
    return f"{said}\n\n{markdown(head, rows, numbers=len(places))}"


def spread(steps: list[int]) -> list[int]:
    """Some of the steps for a table: the first, the last, and those nearest to half, a quarter, …
    of the last.

    >>> spread([0, 1, 2, 4, 9, 15, 33, 60, 130, 250, 500, 1000])
    [0, 15, 33, 60, 130, 250, 500, 1000]
    """
    wanted = [0.0, *(steps[-1] / 2**halvings for halvings in range(LEARNED_AT - 2, -1, -1))]
    return sorted({min(steps, key=lambda step: abs(step - place)) for place in wanted})


def _rounding(entry: Entry) -> str:
    """What eight bits a weight cost, at the checkpoints that are shipped."""
    stored, steps = entry.measured.get("rounding", {}), entry.steps if entry.series else None
    if not stored:
        return ""
    rows = zip(stored["steps"], stored["before"], stored["after"], strict=True)
    costs = {
        step: after - before for step, before, after in rows if steps is None or step in steps[:-1]
    }
    if not costs:
        return ""
    worst = max(costs, key=lambda step: abs(costs[step]))
    return (
        "Rounding the checkpoints to eight bits changes the loss by at most "
        f"{abs(costs[worst]):.4f} nats (at step {worst:,})."
    )


def _heads(heads: dict[str, Any]) -> str:
    """What single heads do."""
    return head_cards.section(heads) if heads else ""
