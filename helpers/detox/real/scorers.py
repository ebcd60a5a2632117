"""How toxic texts are: classifiers of the hub, and small ones that are trained in a second.

Whoever labels the samples that a model is tuned on must not judge the result as well: a model may
learn what its labeller overlooks. So a labeller and a judge are trained on other data.

=================  =============================  ==============================  ============
name               what                           trained on                      licence
=================  =============================  ==============================  ============
toxic-bert         unitary/toxic-bert, 438 MB     Jigsaw 2018: Wikipedia          Apache-2.0
                                                  comments
toxigen            tomh/toxigen_roberta, 1.4 GB   ToxiGen: machine-written        MIT (of its
                                                  sentences about groups          repository)
words of rtp       TF-IDF, logistic regression    DecodingTrust: rows of          –
                                                  RealToxicityPrompts
words of pairs     TF-IDF, logistic regression    ParaDetox: pairs of sentences   –
=================  =============================  ==============================  ============

The small ones tell toxic from neutral sentences of each other's data with an AUC of .94 (words of
rtp on ParaDetox) and .82 (words of pairs on halves of RealToxicityPrompts). Words carry that: what
is toxic in context alone they do not see. Weights are read from safetensors, never unpickled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.real import sources
from helpers.detox.real.sources import TOXIC
from helpers.detox.real.texts import trusted
from helpers.errors import LabError, asked_of
from helpers.inputs import array_of, real
from helpers.zoo import hub

TextScorer: TypeAlias = Callable[[list[str]], Any]
"""Says of each text how toxic it is, from 0 to 1."""
Scoring = str | Path | TextScorer
BATCH = 64
LONGEST = 128
"""Tokens of a text that a classifier reads."""
PAIRS = 3000
"""Pairs that the small classifier is trained on."""


@dataclass(frozen=True)
class HubScorer:
    """A classifier of the hub.

    Attributes:
        repository, revision: Where it is, at a fixed commit.
        label: The output that says toxic.
        data: What it was trained on.
        licence: Of its weights.
    """

    repository: str
    revision: str
    label: int
    data: str
    licence: str


SCORERS = {
    "toxic-bert": HubScorer(
        "unitary/toxic-bert", "4d6c22e74ba2fdd26bc4f7238f50766b045a0d94", 0, "Jigsaw", "Apache-2.0"
    ),
    "toxigen": HubScorer(
        "tomh/toxigen_roberta", "bd3c36d7dc6424a02a599879b02b4faadfc246f5", 1, "ToxiGen", "MIT"
    ),
}
WORDS = {"words of rtp": "DecodingTrust", "words of pairs": "ParaDetox"}
"""The small classifiers, and what each is trained on."""


def scorer_of(
    source: Scoring, data: str | Path | None = None, device: str = "cpu"
) -> tuple[str, TextScorer]:
    """A scorer and its name.

    Args:
        source: A name of `SCORERS` or `WORDS`; a folder that holds a classifier in the form of the
            hub, one of whose labels begins with "tox", "hate" or "offensive"; or a function.
        data: Folder of public files, for the small ones.

    Raises:
        LabError: An unknown source; a classifier that cannot be had or read, or without a label
            that says toxic.
    """
    if callable(source):
        return getattr(source, "__name__", type(source).__name__), source
    if isinstance(source, str) and source in SCORERS:
        about = SCORERS[source]
        folder = hub.download(about.repository, about.revision)
        return source, classifier(folder, device, about.label)
    if isinstance(source, str) and source in WORDS:
        return source, word_scorer(source, data)
    if isinstance(source, str | Path) and (Path(source) / "config.json").is_file():
        return Path(source).name, classifier(Path(source), device)
    raise LabError(
        f"expected a scorer: {', '.join([*SCORERS, *WORDS])}, a folder with a classifier, or a "
        "function of texts",
        f"got {source!r:.80}",
    )


def data_of(source: Scoring) -> Any:
    """What a scorer was trained on; itself, where that is not known."""
    if isinstance(source, str):
        return SCORERS[source].data if source in SCORERS else WORDS.get(source, source)
    return str(source) if isinstance(source, Path) else source


def check_independent(labeller: Scoring, judges: Sequence[Scoring]) -> None:
    """Refuse a judge that was trained on the labeller's data.

    Raises:
        LabError: There is one, or no judge at all.

    >>> check_independent("words of rtp", ["words of pairs"])
    """
    if isinstance(judges, str | Path) or not isinstance(judges, Sequence) or not judges:
        raise LabError("expected a list of judges", f"got {judges!r:.60}")
    for judge in judges:
        if data_of(judge) == data_of(labeller):
            raise LabError(
                "expected a judge that is not the labeller, and was trained on other data",
                f"got {judge!r:.40} for both",
                hint="a model may learn what its labeller overlooks; the same one cannot tell",
            )


def toxicity(scorer: TextScorer, texts: Sequence[str], name: str = "") -> Float[ndarray, " text"]:
    """What a scorer says of each text; what is no answer is never taken for clean.

    Raises:
        LabError: A scorer that raises, answers for another number of texts, or gives NaN or numbers
            outside of 0 to 1.

    >>> toxicity(lambda texts: ["goose" in text for text in texts], ["a goose", "a swan"]).tolist()
    [1.0, 0.0]
    """
    name = name or getattr(scorer, "__name__", "the scorer")
    hint = "mend the scorer; a text without an answer counts neither as clean nor as toxic"
    with asked_of("scorer", "text", hint, name):
        answers = scorer(list(texts))
    scores = array_of(real(answers, f"scores of {name}"))
    if scores.shape != (len(texts),) or not ((scores >= 0) & (scores <= 1)).all():
        bad = int((~((scores >= 0) & (scores <= 1))).sum())
        raise LabError(
            f"expected scores from 0 to 1 for {len(texts)} texts",
            f"{name} gave {list(scores.shape)}, {bad} of them outside or NaN",
            hint="a text without an answer counts neither as clean nor as toxic",
        )
    return scores


def classifier(folder: Path, device: str = "cpu", label: int | None = None) -> TextScorer:
    """A classifier from a folder in the form of the hub.

    Args:
        label: The output that says toxic; by default the one whose name does.

    Raises:
        LabError: Files that are missing or of another kind, or no label that says toxic.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model, found = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        # transformers fills a missing head with random numbers, and only logs it
        if missing := found["missing_keys"]:
            raise ValueError(f"the weights lack {sorted(missing)[0]}")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as fault:
        raise LabError(
            f"expected a classifier of texts in {folder}",
            f"cannot read it: {type(fault).__name__}: {str(fault).strip()[:200]}",
            hint="give the folder of one with safetensors weights, or 'words of rtp'",
        ) from None
    place = _toxic_label(model.config, folder) if label is None else label
    return _Classifier(model.eval().to(device), tokenizer, device, place)


def _toxic_label(config: Any, folder: Path) -> int:
    names = {int(place): str(name) for place, name in config.id2label.items()}
    starts = ("tox", "hate", "offensive")
    toxic = [place for place, name in names.items() if name.lower().startswith(starts)]
    if not toxic:
        raise LabError(
            f"expected a label that says toxic in {folder}",
            f"its labels are {', '.join(names.values())}",
        )
    return toxic[0]


@dataclass(frozen=True)
class _Classifier:
    model: Any
    tokenizer: Any
    device: str
    label: int

    @property
    def __name__(self) -> str:
        return "the classifier"

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Float[ndarray, " text"]:
        found = []
        for first in range(0, len(texts), BATCH):
            some = self.tokenizer(
                texts[first : first + BATCH],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=LONGEST,
            ).to(self.device)
            logits = self.model(**some).logits.float()
            many = getattr(self.model.config, "problem_type", "") == "multi_label_classification"
            chances = logits.sigmoid() if many or logits.shape[1] == 1 else logits.softmax(-1)
            found.append(chances[:, self.label].cpu())
        return torch.cat(found).numpy() if found else np.zeros(0)


def word_scorer(name: str, data: str | Path | None = None) -> TextScorer:
    """A small classifier, trained here: words and pairs of words, and three to five letters.

    Args:
        data: Folder of its public files; without it they are downloaded.

    Raises:
        LabError: A name that is none of `WORDS`, or a file that cannot be had.
    """
    if name not in WORDS:
        raise LabError(f"expected a small scorer: {', '.join(WORDS)}", f"got {name!r:.60}")
    if name == "words of rtp":
        halves = [
            half
            for row in trusted(data)
            for half in ((row.prompt, row.prompt_toxicity), (row.rest, row.rest_toxicity))
        ]
        labelled = [(text, int(score >= TOXIC)) for text, score in halves if score is not None]
    else:
        found = sources.pairs(sources.read(sources.PAIRS, data), sources.PAIRS.file)
        step = max(1, len(found) // PAIRS)
        labelled = [
            (text, int(not place)) for pair in found[::step] for place, text in enumerate(pair)
        ]
    return trained([text for text, _ in labelled], [label for _, label in labelled])


def trained(texts: Sequence[str], toxic: Sequence[int]) -> TextScorer:
    """A small classifier, trained on texts and whether each is toxic.

    Raises:
        LabError: Not one label for each text, or labels of one kind.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    if len(texts) != len(toxic) or set(toxic) != {0, 1}:
        raise LabError(
            "expected a label 0 or 1 for each text, and texts of both kinds",
            f"got {len(texts)} texts and labels {sorted(set(toxic))} of {len(toxic)}",
        )
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    model = make_pipeline(make_union(words, letters), LogisticRegression(C=4, max_iter=300))
    model.fit(list(texts), list(toxic))

    def words_and_letters(some: list[str]) -> Float[ndarray, " text"]:
        return model.predict_proba(some)[:, 1] if some else np.zeros(0)

    return words_and_letters
