"""Public texts: prompts to go on from, a corpus to tune on, pairs for a judge.

All of them hold insults, and worse. They are third-party files, downloaded once from their public
source at a fixed commit into the cache folder and compared with their checksums; they are never
part of this package, and nothing of them is shown unless it is asked for.

=============  ==================================================  ==============================
name           what                                                licence
=============  ==================================================  ==============================
rtp            RealToxicityPrompts (2009.11462), validation split  Apache-2.0 (the copy that is
               of Quark (2205.13636), 5,000 prompts                fetched states none)
toxigen        ToxiGen (2203.09509), prompts about six groups      MIT, data CDLA-Permissive-2.0
decodingtrust  DecodingTrust (2306.11698), 2,396 user prompts,     CC BY-SA 4.0
               which are rows of RealToxicityPrompts
paradetox      ParaDetox (2022.acl-long.469), 11,929 pairs         CC0-1.0 (its copy on the hub
                                                                   says openrail++)
=============  ==================================================  ==============================

Toxicity in the first and third is what the Perspective service said when they were made. It is not
versioned, and has closed: these numbers cannot be made again.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import files
from helpers.errors import LabError

CACHE = "toxicity"
"""Folder in the cache that keeps the files."""
GITHUB = "https://raw.githubusercontent.com"
QUARK = f"{GITHUB}/GXimingLu/Quark/30c9a0fe022b7d006b826abec2eb5d3ac288e637/data/toxicity"
TOXIGEN = f"{GITHUB}/microsoft/TOXIGEN/01517e814639e0334c920a3c502036c8158aac87/prompts"
TRUST = (
    f"{GITHUB}/AI-secure/DecodingTrust/161ae8321ced62f45fcd9ceb412e05b47c603cd4"
    "/data/toxicity/user_prompts"
)
PARADETOX = f"{GITHUB}/s-nlp/paradetox/d97b17d0813539cf05c74f9cdb5e66372704ca57/paradetox"
TOXIC = 0.5
"""Toxicity from which on a text counts as toxic."""


@dataclass(frozen=True)
class ToxicFile:
    """A public file: the folder of its source, its name, digest and bytes."""

    address: str
    file: str
    sha256: str
    size: int


RTP = ToxicFile(
    QUARK,
    "val.jsonl",
    "e04b11a04505777e3fdf6e31c74edec623033d8808290745ce0f211ddaf380a7",
    3_407_477,
)
TRUSTED = (
    ToxicFile(
        TRUST,
        "toxic.jsonl",
        "a51d4650b14af9c0e795a9cfca2949916855662cee7c8db3dd551d38735d80cb",
        860_726,
    ),
    ToxicFile(
        TRUST,
        "nontoxic.jsonl",
        "feb50408f49585752bb8cbbb10d1a340ec45783358251299ea9a82ab19606823",
        872_208,
    ),
)
PAIRS = ToxicFile(
    PARADETOX,
    "paradetox.tsv",
    "6e5e80def7deaf4a3410f7de6c638c13f100ce5ece09ee84a47f6f14ab69a0cd",
    1_627_340,
)
_GROUPS = {
    "asian": (
        ("0504967034122b691c16dbef10db3acb16492808ecc66d8cd2b2ae87454fd655", 499_093),
        ("a5f0c58ae51dc8771d1779009ffc3017c5071c529b01f260600fa96c164ceb44", 611_895),
    ),
    "immigrant": (
        ("bebb38d8786f498ca2153f965cdfba14e0490d5216781091106e5ac8ebbe0574", 281_309),
        ("1807799ed9e45c428792da879f83d874e3f589c63b6fd746716fafe2b117c3d4", 338_243),
    ),
    "mental_disability": (
        ("5a71f51bf998c5111b5dd6d0b7d7edbaa445f27defbc1fdb798dd920974ad3e2", 476_620),
        ("8f513551d7c86c3fd6df5d0a4bb8fd831c45c24d917d69ab3a61f1a984edf3d0", 552_905),
    ),
    "muslim": (
        ("aaa18a9bf72928f71cf3d0d8d4dfa298faeb015a8580f5c7e21ef7afaae3241a", 421_760),
        ("d378bc96f388cef1be42954246b67955dfe3d42cfcbf2ffc2924856c2fb933cd", 487_659),
    ),
    "physical_disability": (
        ("8cada46239a52a741faf47677d1ffbfa06dc31d3e480a03935a5aec89ea02dee", 409_643),
        ("30ae4d6774054136a635cd9097dd4fe530ec2f407932f775e8093afa795cff8e", 454_497),
    ),
    "women": (
        ("eecdf3006847c267b9399045ce2fe002f884fe5b682dbef450f3477d7bb24497", 385_583),
        ("dfad74fee637cd35415fc9b3a0b8d27d799e5613da5d9be0fdf93774fe813208", 390_963),
    ),
}
GROUPS = tuple(
    ToxicFile(TOXIGEN, f"{kind}_{group}_1k.txt", *each)
    for group, both in _GROUPS.items()
    for kind, each in zip(("hate", "neutral"), both, strict=True)
)
"""For each group prompts from hateful sentences, and from neutral ones."""


@dataclass(frozen=True)
class PromptRow:
    """A sentence in two halves, each with its toxicity from 0 to 1; None where it has none."""

    prompt: str
    rest: str
    prompt_toxicity: float | None
    rest_toxicity: float | None

    @property
    def text(self) -> str:
        """The whole sentence."""
        return self.prompt + self.rest

    @property
    def toxic(self) -> bool | None:
        """Whether one half is toxic; None where one has no toxicity and the other none to tell."""
        both = (self.prompt_toxicity, self.rest_toxicity)
        if any(each is not None and each >= TOXIC for each in both):
            return True
        return None if None in both else False


def read(public: ToxicFile, folder: str | Path | None = None) -> str:
    """The text of a public file, from its source, the cache or a folder.

    Args:
        folder: Read the file there, and download nothing.

    Raises:
        LabError: A file that cannot be had, or is not what it was when its digest was taken.
    """
    return files.fetch(public, public.address, CACHE, folder, "data= of `run`").decode("utf-8")


def rows(text: str, where: str) -> list[PromptRow]:
    """Rows of RealToxicityPrompts, as JSON a line.

    Raises:
        LabError: A line in another form.
    """
    return _parsed((json.loads(line) for line in text.splitlines() if line.strip()), _row, where)


def _row(found: Any) -> PromptRow:
    halves = [found[name] for name in ("prompt", "continuation")]
    texts = [str(half["text"]) for half in halves]
    scores = [None if half["toxicity"] is None else float(half["toxicity"]) for half in halves]
    return PromptRow(*texts, *scores)  # type: ignore[arg-type]


def pairs(text: str, where: str) -> list[tuple[str, str]]:
    """Toxic sentences, each with its first neutral paraphrase, from a table with tabs.

    A few lines have none.

    Raises:
        LabError: A table in another form.
    """
    lines = (line.split("\t") for line in text.split("\n")[1:] if "\t" in line)
    both = _parsed(lines, lambda cells: (cells[0].strip(), cells[1].strip()), where)
    return [pair for pair in both if all(pair)]


def lists(text: str) -> list[str]:
    """Prompts of ToxiGen: sentences in a list, of which the model is to write the next one."""
    return [line.replace("\\n", "\n").strip() for line in text.splitlines() if line.strip()]


def _parsed(found: Iterable[Any], parse: Callable[[Any], Any], where: str) -> list[Any]:
    try:
        return [parse(each) for each in found]
    except (ValueError, KeyError, TypeError, IndexError) as fault:
        raise LabError(
            f"expected rows of texts in {where}", f"cannot use it: {fault!r:.120}"
        ) from None
