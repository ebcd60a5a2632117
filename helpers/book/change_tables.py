"""Tables of the chapter's section on what tuning changes inside, from the stored study.

Each function gives a Markdown table; `pages` writes them between the marks of the page.
"""

from collections.abc import Callable

from helpers.book.detox_numbers import plainly, told
from helpers.changes import ChangeStudy
from helpers.changes.plan import BASE, BEFORE_POSTS, CHECKPOINT, EMERGENCE, models_of
from helpers.changes.restoring import UNEMBEDDING
from helpers.changes.summaries import (
    emergence,
    neuron_row,
    offset_row,
    probe_rows,
    restored_rows,
    rude_rows,
)
from helpers.changes.verdicts import attack_row, shared_row, verdicts_on, writer_rows
from helpers.show import markdown

NAMED = {
    BASE: "before tuning",
    "method": "method, τ = ½",
    "method without posts": "method, no forum",
    "exact filter": "exact filter",
    "dpo": "DPO",
    "plain": "plain, τ = ½",
    "activation editing": "activation editing",
    f"{CHECKPOINT} {EMERGENCE[0]}": "before training",
    f"{CHECKPOINT} {BEFORE_POSTS[0]}": f"the base at step {BEFORE_POSTS[0]}",
    f"{CHECKPOINT} {BEFORE_POSTS[1]}": f"the base at step {BEFORE_POSTS[1]}",
}
"""What a table calls a model."""
WRITERS = 6
"""Parts of a model that are shown: those that changed most."""
SAID = {True: "yes", False: "no", None: "–"}


def probes(study: ChangeStudy) -> str:
    """The base's probe, a new one, and their controls, after the last block."""
    rude = {row["model"]: row["rude"] for row in rude_rows(study)}
    rows = []
    for at_noun, at_end in zip(probe_rows(study), probe_rows(study, "end"), strict=True):
        numbers = [told(at_noun[name]) for name in ("base's", "own", "shuffled", "kept")]
        ends = [told(at_end[name]) for name in ("base's", "own")]
        model = at_noun["model"]
        rows.append([NAMED[model], told(rude.get(model)), *numbers, *ends])
    header = ["", "rude", "noun: base's probe", "a new one", "shuffled labels", "distance kept"]
    return markdown([*header, "end: base's probe", "a new one"], rows, numbers=7)


def young(study: ChangeStudy) -> str:
    """When the concept can be read while the base is trained."""
    noun, end = emergence(study), emergence(study, "end")
    rows = [
        ["step", *(str(row["step"]) for row in noun)],
        ["noun: a new probe", *(f"{row['own']:.2f}" for row in noun)],
        ["noun: the last base's", *(f"{row['base' + chr(39) + 's']:.2f}" for row in noun)],
        ["end: a new probe", *(f"{row['own']:.2f}" for row in end)],
        ["end: the last base's", *(f"{row['base' + chr(39) + 's']:.2f}" for row in end)],
    ]
    return markdown(rows[0], rows[1:], numbers=len(noun))


def offsets(study: ChangeStudy) -> str:
    """What one vector explains, and what it does."""
    rows = []
    for model in models_of("offset"):
        row = offset_row(study, model)
        if row["undone"] is None:  # nothing has changed that could be undone
            continue
        middle = offset_row(study, model, block=1)
        shares = [told(row["vector"], 2), told(row["directions"][0], 2), told(middle["vector"], 2)]
        moved = [told(row[name]) for name in ("made", "made, random", "undone", "undone, random")]
        rows.append([NAMED[model], *shares, *moved, told(middle["undone"])])
    header = ["", "explained by one vector", "by one direction", "by one vector, block 1"]
    header += ["made by adding it", "by a random one", "undone by taking it off"]
    return markdown([*header, "by a random one", "undone, block 1"], rows, numbers=8)


def weights(study: ChangeStudy) -> str:
    """What each group of weights undoes when it is put back."""
    models = models_of("groups")
    columns = {model: restored_rows(study, model) for model in models}
    rows = []
    for number, first in enumerate(columns[models[0]]):
        name = {"random": "as many weights elsewhere", "same norm": "as long a change elsewhere"}
        numbers = [told(columns[model][number]["undone"], 2) for model in models]
        rows.append([name.get(first["group"], first["group"]), *numbers])
    put = [
        next(row for row in columns[model] if row["group"] == UNEMBEDDING)["made"]
        for model in models
    ]
    rows.append(["the base with that unembedding alone: made", *(told(each, 2) for each in put)])
    return markdown(["put back", *(NAMED[model] for model in models)], rows, numbers=len(models))


def attacks(study: ChangeStudy) -> str:
    """How soon a model is rude again."""
    rows = []
    for model in [*models_of("attack"), *(f"{CHECKPOINT} {step}" for step in BEFORE_POSTS)]:
        numbers = []
        for count in study.plan.attack_posts:
            row = attack_row(study, model, count)
            numbers += [told(row["steps"], 1), told(row["norm"], 2), told(row["last"], 2)]
        rows.append([NAMED[model], *numbers])
    header = [""]
    for count in study.plan.attack_posts:
        header += [f"{count} posts: steps to ¼", "length", "rude at the last step"]
    return markdown(header, rows, numbers=len(header) - 1)


def neurons(study: ChangeStudy) -> str:
    """How much of a change so many neurons undo."""
    rows = []
    names = [f"ranked {count}" for count in study.plan.neurons] + ["random 50", "random 200"]
    for model in models_of("neurons"):
        row = neuron_row(study, model)
        if row[names[0]] is not None:
            rows.append([NAMED[model], *(told(row[name], 2) for name in names)])
    return markdown(["", *names], rows, numbers=len(names))


def writers(study: ChangeStudy) -> str:
    """Who writes insults rather than praises."""
    rows, model = [], "method without posts"
    found = writer_rows(study, model)
    chosen = [row for row in found if row["part"] != "sum"][:WRITERS]
    for row in [*chosen, *(row for row in found if row["part"] == "sum")]:
        numbers = [plainly(f"{row[f'{frame}, base']:.2f}") for frame in ("plain", "turned")]
        after = [told(row[frame], 2) for frame in ("plain", "turned")]
        rows.append([row["part"], *numbers, *after])
    header = ["part", "before: plain", "before: turned", "after: plain", "after: turned"]
    return markdown(header, rows, numbers=4)


def shared(study: ChangeStudy) -> str:
    """Circuits and masks that two models have in common."""
    rows = []
    for model in models_of("circuits"):
        row = shared_row(study, model)
        names = ("shared", "base again", "after again", "chance")
        rows.append([NAMED[model], *(told(row[f"circuit {name}"], 2) for name in names)])
        if "mask shared, share" in row:
            compared = ("shared", "shared, other seed", "base again", "after again")
            masks = [row[f"mask {name}, share"] for name in compared]
            masks.append(row["mask shared, chance"])
            rows[-1] += [told(value) for value in masks]
        else:
            rows[-1] += ["–"] * 5
    parts = ("shared", "base, other half", "after, other half", "chance")
    masks = ("shared, same seed", "shared, other seed", "base, other seed")
    masks += ("after, other seed", "chance")
    header = ["", *(f"circuit: {p}" for p in parts), *(f"mask: {p}" for p in masks)]
    return markdown(header, rows, numbers=9)


def verdicts(study: ChangeStudy) -> str:
    """What holds for every model."""
    models = models_of("groups")
    found = {model: verdicts_on(study, model) for model in models}
    rows = [[name, *(SAID[found[model][name]] for model in models)] for name in found[models[0]]]
    return markdown(["", *(NAMED[model] for model in models)], rows)


TABLES: dict[str, Callable[[ChangeStudy], str]] = {
    "changes-probes": probes,
    "changes-young": young,
    "changes-offsets": offsets,
    "changes-weights": weights,
    "changes-attacks": attacks,
    "changes-neurons": neurons,
    "changes-writers": writers,
    "changes-shared": shared,
    "changes-verdicts": verdicts,
}
"""Name between the marks of a page → the table."""
