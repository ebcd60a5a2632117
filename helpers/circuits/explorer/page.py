"""The circuit explorer: a threshold to slide, heads to keep by hand, and exact faithfulness.

The page needs no kernel: it holds the faithfulness of all subsets of heads (`encoding`).
"""

import html
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from numpy import ndarray

from helpers.circuits.explorer.data import STEP, TaskPage
from helpers.circuits.explorer.encoding import LOW, encode
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import device_of
from helpers.model import Model
from helpers.tinyworld.language import vocabulary

HERE = Path(__file__).parent

MAX_BYTES = 450_000


def circuit_explorer(pages: Sequence[TaskPage], title: str = "Circuit explorer"):
    """The explorer as a self-contained view: put it last in a cell.

    Args:
        pages: One page per task. A task of 16 heads takes about 100 kB.
        title: Title of the view.

    Returns:
        A `helpers.show.viewer.View` of at most `MAX_BYTES`.

    Raises:
        LabError: No page, two of one task, two methods of one name, or so many pages that the view
            would grow too large.
    """
    from helpers.show import viewer

    tasks = [encode(page) for page in pages]
    names = [task["task"] for task in tasks]
    if not names or len(set(names)) < len(names):
        raise LabError(
            "expected pages of one or more tasks, each with its own name", f"got {names}"
        )
    data = {"title": title, "tasks": tasks, "low": LOW, "step": STEP}
    return viewer.embed(
        viewer.asset("circuits.html", HERE),
        data,
        viewer.script(HERE, "circuits_data.js", "circuits_head.js", "circuits.js"),
        title=title,
        summary=_summary(tasks),
        style=viewer.asset("circuits.css", HERE),
        fallback="".join(fallback_tables(task) for task in tasks),
        max_bytes=MAX_BYTES,
    )


def _summary(tasks: list[dict]) -> str:
    parts = []
    for task in tasks:
        true, count = _names(task, task["true"]), len(task["heads"])
        parts.append(
            f"{task['task']}: {len(true)} of {count} heads count as true ({', '.join(true)})."
        )
    return (
        "Grid of attention heads, layers by heads. Keep the best heads by a method's score, or "
        "heads of your choice, and read the faithfulness of the circuit beside that of all "
        "circuits of its size. " + " ".join(parts)
    )


def _names(task: dict, mask: int) -> list[str]:
    return [
        f"L{layer}H{head}" for index, (layer, head) in enumerate(task["heads"]) if mask >> index & 1
    ]


def fallback_tables(task: dict) -> str:
    """The scores of all heads, and what circuits of each size are like, as plain HTML."""
    name, metric, truth = (html.escape(task[key]) for key in ("task", "metric", "truth"))
    columns = ["Head", "True", "Shapley value", *(method["name"] for method in task["methods"])]
    every, values = _names(task, -1), [task["shapley"], *task["methods"]]
    heads = [
        [
            head,
            "yes" if task["true"] >> i & 1 else "no",
            *(f"{method['scores'][i]:.3g}" for method in values),
        ]
        for i, head in enumerate(every)
    ]
    sizes = [
        [
            str(k),
            *(f"{value:.2f}" for value in size["faithfulness"]),
            f"{size['highest']:.2f}",
            ", ".join(_names(task, size["best"])),
        ]
        for k, size in enumerate(task["sizes"])
    ]
    spread = ["Heads kept", "Mean", "5 % below", "5 % above", "Best", "Best circuit"]
    return (
        f"<p>{name}. True: {truth}.</p>{_table(columns, heads)}"
        f"<p>{name}: faithfulness ({metric}) of all circuits of a size.</p>{_table(spread, sizes)}"
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in columns)
    body = ""
    for first, *cells in rows:
        others = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{html.escape(first)}</th>{others}</tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@torch.no_grad()
def read_texts(
    model: Model, twins: Twins
) -> tuple[list[list[str]], list[list[str]], Float[ndarray, "head text key"]]:
    """Words of TinyWorld prompts and of their twins, and every head's attention from the last.

    Args:
        model: The model.
        twins: The few pairs that the page shows (`Twins.rows`).

    Returns:
        `prompts`, `twins` and `attention` of a `TaskPage`.
    """
    words = vocabulary().words
    texts, rows = [], []
    longest = int(twins.clean.last.max()) + 1
    for prompts in (twins.clean, twins.corrupted):
        _, cache = model.run_with_cache(
            prompts.tokens.to(device_of(model)),
            names_filter=lambda name: name.endswith("hook_pattern"),
        )
        patterns = torch.cat(
            [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers)],
            dim=1,
        )
        last = prompts.last.to(patterns.device)
        rows.append(patterns[torch.arange(len(prompts)), :, last, :longest].cpu())
        lengths = (prompts.last + 1).tolist()
        texts.append(
            [
                [words[token] for token in row[:n]]
                for row, n in zip(prompts.tokens.tolist(), lengths, strict=True)
            ]
        )
    return texts[0], texts[1], torch.cat(rows).transpose(0, 1).numpy()
