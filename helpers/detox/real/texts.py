"""Which texts a run uses: prompts, a corpus with its toxic share, clean text that is held out.

What is asked is never tuned on: a row of the corpus whose first half is one of the prompts is left
out. Labels of the corpus are those of its source; the filter that is a rival asks the labeller.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.detox.real import sources
from helpers.detox.real.sources import PromptRow
from helpers.errors import LabError
from helpers.inputs import check_count

PROMPTS = ("rtp", "toxigen", "decodingtrust")
"""Sources of prompts."""
Prompts = str | Sequence[str]
HALF = 0.5
"""Share of the rows of "decodingtrust" that may be asked; the others are the corpus."""


@dataclass(frozen=True)
class ToxicCorpus:
    """Texts to tune on.

    Attributes:
        toxic, clean: Whole sentences.
        held_out: Clean sentences that perplexity is measured on, never tuned on.
    """

    toxic: tuple[str, ...]
    clean: tuple[str, ...]
    held_out: tuple[str, ...]


def prompts_of(
    source: Prompts, count: int, seed: int = 0, folder: str | Path | None = None
) -> list[str]:
    """Prompts that a model goes on from.

    Args:
        source: A name of `PROMPTS`, or texts of one's own.
        count: How many are drawn; all of one's own where these are fewer.
        folder: Read public files there, and download nothing.

    Raises:
        LabError: An unknown source; no prompts, or something that is no text.
    """
    check_count("number of prompts", count, least=1)
    if isinstance(source, str):
        texts = _public(source, folder)
    else:
        texts = list(source) if isinstance(source, Sequence) else []
        if not texts or not all(isinstance(each, str) and each.strip() for each in texts):
            raise LabError(
                f"expected prompts: a source ({', '.join(PROMPTS)}), or a list of texts",
                f"got {source!r:.60}",
            )
    texts = list(dict.fromkeys(text.rstrip() for text in texts))
    return random.Random(seed).sample(texts, min(int(count), len(texts)))


def _public(source: str, folder: str | Path | None) -> list[str]:
    if source == "rtp":
        return [row.prompt for row in sources.rows(sources.read(sources.RTP, folder), source)]
    if source == "toxigen":
        each = [sources.lists(sources.read(public, folder)) for public in sources.GROUPS]
        return [prompt for part in each for prompt in part]
    if source == "decodingtrust":
        return [row.prompt for row in _halves(folder)[0]]
    raise LabError(
        f"expected prompts: a source ({', '.join(PROMPTS)}), or a list of texts", f"got {source!r}"
    )


def trusted(folder: str | Path | None = None) -> list[PromptRow]:
    """All rows of DecodingTrust.

    Raises:
        LabError: A file that cannot be had.
    """
    parts = [sources.rows(sources.read(each, folder), each.file) for each in sources.TRUSTED]
    return [row for part in parts for row in part]


def _halves(folder: str | Path | None) -> tuple[list[PromptRow], list[PromptRow]]:
    """Rows that may be asked, and rows of the corpus, the same ones in every run."""
    found = trusted(folder)
    drawn = random.Random(0).sample(found, len(found))
    cut = int(HALF * len(drawn))
    return drawn[:cut], drawn[cut:]


def corpus_of(
    asked: Sequence[str], held_out: int, seed: int = 0, folder: str | Path | None = None
) -> ToxicCorpus:
    """The corpus: sentences of DecodingTrust, toxic ones and clean ones.

    Args:
        asked: Prompts, none of which is tuned on.
        held_out: Number of clean sentences that are kept for perplexity.

    Raises:
        LabError: A file that cannot be had.
    """
    check_count("number of held-out texts", held_out, least=1)
    known = {prompt.strip() for prompt in asked}
    free = [row for row in _halves(folder)[1] if row.prompt.strip() not in known]
    clean = [row.text.strip() for row in free if row.toxic is False]
    random.Random(seed).shuffle(clean)
    return checked(
        ToxicCorpus(
            tuple(row.text.strip() for row in free if row.toxic),
            tuple(clean[held_out:]),
            tuple(clean[:held_out]),
        )
    )


def checked(corpus: ToxicCorpus) -> ToxicCorpus:
    """The corpus, if there is text of every kind in it.

    Raises:
        LabError: No clean text to tune on or to measure perplexity on, or something that is none.
    """
    for name in ("clean", "held_out"):
        if not getattr(corpus, name):
            raise LabError(
                f"expected {name.replace('_', '-')} texts in the corpus",
                f"got none, beside {len(corpus.toxic)} toxic ones",
                hint="a corpus of toxic texts alone has nothing that filtering leaves",
            )
    texts = (*corpus.toxic, *corpus.clean, *corpus.held_out)
    if bad := [each for each in texts if not isinstance(each, str) or not each.strip()]:
        raise LabError("expected texts in the corpus", f"got {bad[0]!r:.60}")
    return corpus


def masked(text: str, show: bool = False) -> str:
    """A text as it may be printed: by default the first letter of each word, and dots.

    >>> masked("you old goose!"), masked("you old goose!", show=True)
    ('y·· o·· g····!', 'you old goose!')
    """
    if show:
        return text
    inside = [False, *(left.isalnum() for left in text)]
    return "".join(
        "·" if each.isalnum() and inside[place] else each for place, each in enumerate(text)
    )
