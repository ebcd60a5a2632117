"""Scorers: what is no answer is never taken for clean; classifiers from a folder; small ones."""

import numpy as np
import pytest
import torch

from helpers.detox.real import scorers
from helpers.detox.real.scorers import check_independent, scorer_of, toxicity, trained, word_scorer
from helpers.errors import LabError
from helpers.stats import auroc
from tests.detox.real.stand_ins import WORDS, tokenizer

TEXTS = ["you are a gem .", "you are a goose ."]


@pytest.mark.parametrize(
    "answers",
    [
        [0.5],
        [0.5, np.nan],
        [0.5, 1.5],
        [0.5, -0.1],
        [[0.5, 0.5]],
        ["yes", "no"],
        None,
        [0.5, np.inf],
    ],
)
def test_answers_that_are_none(answers):
    with pytest.raises(LabError):
        toxicity(lambda texts: answers, TEXTS)


def test_a_scorer_that_stops_is_named():
    def mine(texts):
        raise RuntimeError("out of memory")

    with pytest.raises(LabError, match="mine stopped: RuntimeError: out of memory"):
        toxicity(mine, TEXTS)


def classifier(folder, labels, head=True):
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(WORDS), intermediate_size=8, id2label=dict(enumerate(labels)), **shape
    )
    model = BertForSequenceClassification(config) if head else BertModel(config)
    if head:  # what it reads is as nothing to its bias
        torch.nn.init.zeros_(model.classifier.weight)
        model.classifier.bias.data = torch.tensor([0.0, float(np.log(3))])
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def test_a_classifier_is_read_from_a_folder_by_the_name_of_its_label(tmp_path):
    name, scorer = scorer_of(classifier(tmp_path / "mine", ["neutral", "toxic"]))
    assert name == "mine"
    assert toxicity(scorer, TEXTS) == pytest.approx([0.75, 0.75])
    _, other = scorer_of(str(classifier(tmp_path / "other", ["hate", "nothate"])))
    assert toxicity(other, TEXTS) == pytest.approx([0.25, 0.25])


def test_a_classifier_without_a_head_or_a_label_is_refused(tmp_path):
    with pytest.raises(LabError, match=r"a classifier of texts.*the weights lack classifier"):
        scorer_of(classifier(tmp_path / "headless", ["neutral", "toxic"], head=False))
    with pytest.raises(LabError, match="a label that says toxic"):
        scorer_of(classifier(tmp_path / "stars", ["one star", "two stars"]))
    with pytest.raises(LabError, match="expected a scorer: toxic-bert"):
        scorer_of(tmp_path)


def test_a_small_classifier_tells_what_it_was_taught():
    texts = [
        f"{who} is a {what}" for who in ("ada", "bob", "eve", "dan") for what in ("gem", "goose")
    ]
    scorer = trained(texts, [0, 1] * 4)
    found = toxicity(scorer, ["kim is a gem", "kim is a goose"])
    assert found[0] < 0.5 < found[1]
    with pytest.raises(LabError, match="texts of both kinds"):
        trained(texts, [1] * 8)


@pytest.mark.parametrize("name", scorers.WORDS)
def test_the_small_classifiers_tell_sentences_of_each_others_data(shared_dir, name):
    """The figures of the module's docstring, from halves of one set and pairs of the other."""
    data = shared_dir / "data" / "detox"
    if not (data / "paradetox.tsv").is_file():
        pytest.skip("no sentences in the folder `shared`")
    scorer = word_scorer(name, data)
    if name == "words of rtp":
        found = scorers.sources.pairs((data / "paradetox.tsv").read_text("utf-8"), "")[1::8]
        texts, toxic = [text for pair in found for text in pair], [1, 0] * len(found)
    else:
        rows = scorers.trusted(data)[::3]
        both = [(row.rest, row.rest_toxicity) for row in rows]
        both += [(row.prompt, row.prompt_toxicity) for row in rows]
        known = [(text, score >= 0.5) for text, score in both if score is not None]
        texts, toxic = [text for text, _ in known], [int(label) for _, label in known]
    area = auroc(toxicity(scorer, texts), np.array(toxic))
    assert area == pytest.approx({"words of rtp": 0.94, "words of pairs": 0.82}[name], abs=0.03)


def test_the_labeller_does_not_judge():
    check_independent("toxic-bert", ["toxigen", "words of pairs"])
    with pytest.raises(LabError, match="trained on other data"):
        check_independent("words of rtp", ["toxigen", "words of rtp"])
    with pytest.raises(LabError, match="a list of judges"):
        check_independent("words of rtp", [])
