"""The five labelled sets of Qian et al. 2024 (arXiv 2402.19465), checked byte for byte.

They are third-party files: downloaded once from their public source into the cache folder, never
part of this package. `SOURCES` says of each what its labels mean, where it comes from and under
which licence; `load` gives a `LabelledSet` whose groups keep twins together (the same question,
sentence or context).
"""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from helpers import files
from helpers.errors import LabError
from helpers.texts import LabelledSet

COMMIT = "14d35b47a913fe3fe626bb2e6bd8381ad41881bf"
"""The commit of github.com/ChnQ/TracingLLM that holds the files.

They are the same at bf8d38a678 of 2024-05-22."""
ADDRESS = f"https://raw.githubusercontent.com/ChnQ/TracingLLM/{COMMIT}/src/datasets"
CACHE = "trust"
"""Folder in the cache that keeps the files."""


@dataclass(frozen=True)
class Source:
    """One file of the paper's five sets.

    Attributes:
        dimension: Dimension of trustworthiness, in the paper's words.
        file, sha256, size: The file, its digest and its bytes.
        rows: Numbers of rows with label 0 and with label 1.
        positive, negative: What label 1 and label 0 mean.
        origin: Where the texts come from.
        licence: Licence of the texts, as their publishers state it; the repository that holds the
            file is Apache-2.0.
        caution: What the labels or the texts do not say, and how that is known.
    """

    dimension: str
    file: str
    sha256: str
    size: int
    rows: tuple[int, int]
    positive: str
    negative: str
    origin: str
    licence: str
    caution: str


SOURCES = {
    "truthfulqa": Source(
        "reliability",
        "truthfulqa_train.csv",
        "a35b128d62def4fe8a14a74f9c9dd38a0fa4f2039e6714892e88d04b47907e92",
        271536,
        (1145, 1118),
        "the answer is true",
        "the answer is false",
        "TruthfulQA multiple choice (Lin et al. 2022), as 'Q: … A: …' with one correct or incorrect"
        " candidate answer",
        "Apache-2.0",
        "2263 answers to 410 questions: a random split has nearly every test question in its"
        " training part as well.",
    ),
    "toxigen": Source(
        "toxicity",
        "toxigen.csv",
        "8f7ead8fbde13b4e56c1c1b4df8de89d56047768b81e746b6b565bb4b0108047",
        673398,
        (2881, 3633),
        "toxic",
        "not toxic",
        "ToxiGen (Hartvigsen et al. 2022) in the revision of Hosseini et al. 2023: machine-written"
        " sentences on minorities",
        "MIT and CDLA-Permissive-2.0 (microsoft/SafeNLP, data/LICENSE)",
        "Label 1 is toxic; the paper's table 3 has it the other way round. In the revision's own"
        " labels every row with label 0 is neutral, and so are 853 of those with label 1: the"
        " threshold is lower here. A quarter of the last fifth of the rows begin with the same"
        " eight words as one of the others.",
    ),
    "confaide": Source(
        "privacy",
        "confaide.csv",
        "e817ecacea5948576edcb021253ba33727fa3d69527d00b236c78eeca19b867c",
        216561,
        (1173, 1173),
        "violates privacy",
        "does not violate privacy",
        "ConfAIde, tier 2 (Mireshghallah et al. 2024), and sentences by GPT-4 along Solove's"
        " taxonomy",
        "not stated for the GPT-4 sentences, which the paper's authors made; see the repository's"
        " Apache-2.0",
        "77 of 2346 rows are repeats, and three sentences occur with both labels. The labels are"
        " GPT-4's judgement.",
    ),
    "stereoset": Source(
        "fairness",
        "stereoset.csv",
        "0a648d03836c988efb67f156c6eb7b3327b3aee2f73bb8db06b0570d6ee3aca5",
        167076,
        (976, 976),
        "the second sentence is on the subject (the paper: stereotypical)",
        "the second sentence is unrelated",
        "StereoSet between sentences (Nadeem et al. 2021): pairs of one context, all on race or"
        " nationality",
        "CC BY-SA 4.0",
        "In some 55 rows with label 1 that were read, nearly all are anti-stereotypes ('She is a"
        " doctor'), and label 0 is the unrelated option: a probe measures relatedness, not"
        " stereotype. Not compared with the original file row by row.",
    ),
    "sst2": Source(
        "robustness",
        "sst2.csv",
        "0606418a6a1bc6b80ec29acf3ead4e30211af98a7c1a803d3c8a2b4f5954fa6f",
        393597,
        (1821, 1821),
        "some letters were turned into capitals",
        "as published, in lower case",
        "SST-2 (Socher et al. 2013): 1821 film reviews, each as it is and with 4.7 % of its letters"
        " turned into capitals",
        "not stated by its publishers",
        "The label is not the sentiment. 'Has a capital letter' is right in 99.6 % of the rows.",
    ),
}

QUESTIONS = Source(
    "reliability",
    "truthfulqa_test.csv",
    "67653de78eb58b21fc66e3981b0d6285b6ad2448a861061da3c269879e3967ca",
    24580,
    (0, 0),
    "",
    "",
    SOURCES["truthfulqa"].origin,
    SOURCES["truthfulqa"].licence,
    "407 questions without answers, on which the paper measures steering; none of the 410 others is"
    " among them.",
)


def load(name: str, folder: str | Path | None = None, address: str = ADDRESS) -> LabelledSet:
    """One of the five sets of `SOURCES`, by name.

    Rows keep the file's order, so that the released code's split (first 80 %, last 20 %) can be
    made.

    Args:
        name: Such as ``"truthfulqa"``.
        folder: Read the files there, and download nothing; else the cache folder is used, and
            filled.
        address: Address of the folder to download from, for a mirror.

    Raises:
        LabError: An unknown name; a file that cannot be had, or is not what it was when its digest
            was taken.
    """
    if name not in SOURCES:
        raise LabError(f"expected one of {', '.join(SOURCES)}", f"got {name!r}")
    source = SOURCES[name]
    rows = _rows(fetch(source, folder, address))
    texts, labels = tuple(row[0] for row in rows), np.array([row[1] == "1" for row in rows])
    return LabelledSet(
        name, texts, labels, _GROUPS[name](texts), (), source.positive, source.negative
    )


def questions(folder: str | Path | None = None, address: str = ADDRESS) -> tuple[str, ...]:
    """The 407 TruthfulQA questions that the paper keeps for measuring steering.

    Raises:
        LabError: As in `load`.
    """
    return tuple(row[0] for row in _rows(fetch(QUESTIONS, folder, address)))


def fetch(source: Source, folder: str | Path | None = None, address: str = ADDRESS) -> bytes:
    """The bytes of one file, with the digest that its `Source` states.

    Raises:
        LabError: As in `load`.
    """
    return files.fetch(source, address, CACHE, folder)


def _rows(data: bytes) -> list[list[str]]:
    """The rows of a CSV file, whose digest is right, without its header."""
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))[1:]


def _sentences(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The sentence without regard to case and spaces: twins of SST-2, repeats of the others."""
    return tuple(" ".join(text.lower().split()) for text in texts)


def _openings(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The first eight words: ToxiGen holds many machine-written endings of one beginning."""
    return tuple(" ".join(re.findall(r"\w+", text.lower())[:8]) for text in texts)


def _questions(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.split("\tA: ")[0].lower() for text in texts)


def _contexts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The first sentence: what two following rows have in common.

    It ends with its last full stop, or before its last word if it has none.
    """
    contexts: list[str] = []
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
        common = "".join(letter for letter, _ in same)
        sentence = re.match(r".*[.!?]", common)
        context = sentence[0] if sentence else common.rpartition(" ")[0]
        contexts += 2 * [" ".join(re.findall(r"\w+", context.lower()))]
    return tuple(contexts)


_GROUPS: dict[str, Callable[[tuple[str, ...]], tuple[str, ...]]] = {
    "truthfulqa": _questions,
    "toxigen": _openings,
    "confaide": _sentences,
    "stereoset": _contexts,
    "sst2": _sentences,
}
