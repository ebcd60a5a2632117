"""The edit explorer: a fact, two places to edit it side by side, and a slider along the way.

The page needs no kernel: it holds what the model said at every point (`data`), rounded to
thousandths.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.errors import LabError
from helpers.knowledge.explorer.data import FactPage, Way
from helpers.show import viewer
from helpers.show.viewer import View

HERE = Path(__file__).parent

MAX_BYTES = 200_000

COLUMNS = (
    *("Fact", "Changed", "Distance", "P(new)", "In paraphrases"),
    *("Siblings kept", "Others kept", "Realm follows", "Loss on text"),
)
"""Of the table for readers without JavaScript."""


def edit_explorer(data: Sequence[FactPage], title: str = "Edit explorer") -> View:
    """The explorer as a self-contained view: put it last in a cell.

    Args:
        data: The facts, as `collect` gives them, all with the same points and places.
        title: Title of the view.

    Returns:
        A view of at most `MAX_BYTES`: twelve facts in six places, at six points.

    Raises:
        LabError: No fact, two of one subject, facts of different points or places, or so many that
            the view would grow too large.
    """
    facts = list(data)
    names = [page.subject for page in facts]
    kinds = {(page.points, tuple(page.places)) for page in facts}
    if len(kinds) != 1 or len(set(names)) < len(names):
        raise LabError(
            "expected one or more facts, each once, with the same points and places",
            f"got {names[:5]} with {len(kinds)} choices of them",
        )
    ((points, places),) = kinds
    return viewer.embed(
        viewer.asset("edits.html", HERE),
        {"title": title, "points": points, "places": places, **_encoded(facts)},
        viewer.script(HERE, "edits.js"),
        title=title,
        summary=_summary(facts),
        style=viewer.asset("slider.css") + viewer.asset("edits.css", HERE),
        fallback=fallback_table(facts),
        max_bytes=MAX_BYTES,
    )


def _encoded(facts: Sequence[FactPage]) -> dict[str, Any]:
    """The facts with every word once, and probabilities and distances in thousandths."""
    number: dict[str, int] = {}

    def word(text: str) -> int:
        return number.setdefault(text, len(number))

    pages = [
        {
            "subject": page.subject,
            "old": page.old,
            "new": page.new,
            "questions": [
                [each.group, each.text, word(each.old), word(each.new)] for each in page.questions
            ],
            "ways": [
                {
                    "distance": _thousandths(way.distance),
                    "loss": _thousandths(way.loss),
                    "old": _thousandths(way.old),
                    "new": _thousandths(way.new),
                    "said": [[word(text) for text in said] for said in way.said],
                    "reached": way.reached,
                }
                for way in page.places.values()
            ],
        }
        for page in facts
    ]
    return {"facts": pages, "words": list(number)}


def _thousandths(values: Float[ndarray, "..."]) -> list[Any]:
    return np.rint(1000 * np.asarray(values, dtype=float)).astype(int).tolist()


def _summary(facts: Sequence[FactPage]) -> str:
    places, points = list(facts[0].places), facts[0].points
    return (
        f"{len(facts)} facts, each edited in {len(places)} places ({', '.join(places)}), at "
        f"{len(points)} points of the straight way from the model as it is to the weights where "
        f"the new answer has probability 1/2, and on to {points[-1]:g} times that way: "
        "probabilities of the old and the new answer on the prompt, in paraphrases, for siblings "
        "and for other kinds, whether the realm follows, and the loss on ordinary text."
    )


def fallback_table(facts: Sequence[FactPage]) -> str:
    """What each edit did where the new answer has probability ½, as plain HTML.

    Args:
        facts: The facts of the view.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = ""
    for page in facts:
        named = f"{page.subject}: {page.old} to {page.new}"
        for place, way in page.places.items():
            cells = (place, *_cells(page, way))
            others = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            body += f'<tr><th scope="row">{html.escape(named)}</th>{others}</tr>'
    note = (
        "<p>Where P(new) is 1/2, or at the end of the edit's path where it never is. Kept: the "
        "model says what it said before. The realm follows in a frame where that of the new kind "
        "is likelier than the old one.</p>"
    )
    return f"{note}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(page: FactPage, way: Way) -> list[str]:
    at = page.points.index(1)
    rows = {
        group: [row for row, each in enumerate(page.questions) if each.group == group]
        for group in ("paraphrase", "sibling", "other", "realm")
    }

    def share(group: str, good: list[bool]) -> str:
        return f"{sum(good[row] for row in rows[group])} of {len(rows[group])}"

    kept = [now == before for now, before in zip(way.said[at], way.said[0], strict=True)]
    follows = [bool(new > old) for new, old in zip(way.new[at], way.old[at], strict=True)]
    paraphrased = way.new[at][rows["paraphrase"]]
    return [
        f"{way.distance[at]:.2f}" + ("" if way.reached else ", never 1/2"),
        f"{way.new[at][0]:.2f}",
        f"{paraphrased.mean():.2f}" if len(paraphrased) else "none",
        share("sibling", kept) if rows["sibling"] else "none",
        share("other", kept) if rows["other"] else "none",
        share("realm", follows) if rows["realm"] else "stays",
        f"{way.loss[at]:.2f} ({way.loss[at] - way.loss[0]:+.2f})",
    ]
