"""Places of a fact in its prompt, counted by hand."""

import pytest
import torch

from helpers.errors import LabError
from helpers.knowledge.facts import Facts, facts
from helpers.knowledge.facts.places import positions, spans


def two_tokens() -> Facts:
    """Prompts of tokens 5 6, the name of "ann lee": once, twice, and at the end."""
    tokens = torch.tensor([[1, 5, 6, 7, 0, 0], [1, 5, 6, 9, 5, 6], [1, 9, 5, 6, 0, 0]])
    last = torch.tensor([3, 5, 3])
    return Facts(tokens, last, torch.tensor([8, 8, 8]), torch.tensor([8, 9]), ("ann lee",) * 3)


def of_ann(name: str) -> list[int]:
    return {"ann lee": [5, 6], "bob": [5], "": []}[name]


def test_places_in_sentences_of_tinyworld():
    asked = facts("realm", ["owl"], ["seen broadly , the {entity} is one more"])
    # <begin> seen broadly , the owl is one more
    assert spans(asked).tolist() == [[5, 5]]
    assert [positions(asked, place).item() for place in ("subject", "after", "last")] == [5, 6, 8]


def test_the_last_mention_of_a_name_of_two_tokens_counts():
    assert spans(two_tokens(), of_ann).tolist() == [[1, 2], [4, 5], [2, 3]]
    assert positions(two_tokens(), "subject", of_ann).tolist() == [2, 5, 3]


def test_padding_is_no_part_of_a_prompt():
    asked = Facts(
        torch.tensor([[1, 7, 8, 5, 6]]),
        torch.tensor([2]),
        torch.tensor([8]),
        torch.tensor([8]),
        ("ann lee",),
    )
    with pytest.raises(LabError, match="expected prompts that name their subject"):
        spans(asked, of_ann)


@pytest.mark.parametrize(
    ("place", "tokens_of", "words"),
    [
        ("middle", of_ann, "expected a place in a prompt: subject, after, last; got 'middle'"),
        ("after", of_ann, "expected prompts with a token after their subject"),
        ("subject", lambda name: [77], "expected prompts that name their subject"),
        ("subject", lambda name: [], "expected prompts that name their subject"),
    ],
)
def test_places_that_are_not_there_are_refused(place, tokens_of, words):
    with pytest.raises(LabError, match=words):
        positions(two_tokens(), place, tokens_of)
