"""Samples: how often each text comes, where it ends, and that a seed says it all."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from helpers import zoo
from helpers.detox.networks import PAD, PlainShape, Policy, plain, sample, sampling
from helpers.errors import LabError
from tests.detox.networks.small import SHAPE, Opaque, Product, Without, network, tokens

FEW = PlainShape(n_words=5, d_model=8, n_heads=2, n_layers=2, d_mlp=8, n_positions=8)
STOP = 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chances_of_texts(policy: Policy, prompt: list[int], new: int) -> dict[tuple[int, ...], float]:
    """The chance of every text of `new` words, padded after its stop; by reading each whole."""
    found: dict[tuple[int, ...], float] = {}
    texts = torch.tensor(list(product(range(5), repeat=new)))
    rows = torch.cat([torch.tensor(prompt).expand(len(texts), -1), texts], dim=1)
    said = policy.log_probs(rows)[:, len(prompt) - 1 : -1].double().exp()
    steps = said.gather(-1, texts[..., None])[..., 0]
    for text, step in zip(texts.tolist(), steps.tolist(), strict=True):
        end = text.index(STOP) + 1 if STOP in text else new
        if any(text[end:]):  # each ended text is counted once, by the one row padded with 0
            continue
        found[tuple(text)] = float(np.prod(step[:end]))
    return found


def policies() -> dict[str, Policy]:
    one, two, three = (network(FEW, seed, 0.5) for seed in range(3))
    shifted = network(FEW, 3, 0.5)
    shifted.shifts = {0: torch.linspace(-1, 1, 8)}
    return {
        "alone": Policy(one),
        "shifted": Policy(shifted),
        "guided": Policy(one, Product(two)),
        "guided by two": Policy(one, Product(two, three)),
        "guided by what keeps its rows": Policy(one, Opaque(two)),
        "without a word": Policy(one, Without(2)),
    }


@pytest.mark.parametrize("name", policies())
def test_every_text_comes_as_often_as_its_chance_says(name):
    policy, prompt, new, rows = policies()[name], [1, 3], 3, 4000
    chances = chances_of_texts(policy, prompt, new)
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    prompts = torch.tensor([prompt]).expand(rows, -1)
    written = sample(policy, prompts, generator(), new, STOP)
    assert bool((written[:, :2] == prompts).all())
    texts, counts = np.unique(written[:, 2:].numpy(), axis=0, return_counts=True)
    seen = {tuple(text): int(count) for text, count in zip(texts.tolist(), counts, strict=True)}
    assert all(chances.get(text, 0) > 0 for text in seen)
    often = [text for text, chance in chances.items() if chance * rows >= 5]
    rest = 1 - sum(chances[text] for text in often)
    wanted = [*(chances[text] for text in often), rest]
    found = [*(seen.get(text, 0) for text in often), 0]
    found[-1] = rows - sum(found)
    keep = len(wanted) if rest * rows >= 5 else -1
    scaled = np.array(wanted[:keep]) / sum(wanted[:keep]) * sum(found[:keep])
    assert chisquare(found[:keep], scaled).pvalue > 1e-3
    # the test can fail: with the chances of the words in another order
    turned = np.array([chances.get(text[1:] + text[:1], 0.0) + 1e-3 for text in often])
    turned *= sum(found[:-1]) / turned.sum()
    assert chisquare(found[:-1], turned).pvalue < 1e-6


def test_each_row_goes_on_from_its_own_prompt():
    """A network that says after the first word what the word before it was."""
    policy = Policy(network(SHAPE, 4, 0.6))
    prompts = tokens(60, 4, seed=3)
    prompts[::2] = prompts[0]  # many rows of one prompt, which is read once
    chances = policy.log_probs(prompts)[:, -1].exp()
    written = sample(policy, prompts.repeat(300, 1), generator(), 1).view(300, 60, 5)
    assert bool((written[..., :4] == prompts).all())
    shares = torch.nn.functional.one_hot(written[..., 4], 20).double().mean(0)
    error = ((chances * (1 - chances)) / 300).sqrt() + 1e-3
    assert bool(((shares - chances).abs() < 5 * error).all())


def test_a_text_ends_with_its_stop_and_padding_stands_after_it():
    written = sample(Policy(network()), tokens(500, 3), generator(), 9, stop=7)
    lengths = set()
    for row in written[:, 3:].tolist():
        end = row.index(7) + 1 if 7 in row else 9
        assert not any(row[end:])
        lengths.add(end)
    assert len(lengths) > 5
    endless = sample(Policy(network()), tokens(500, 3), generator(), 9)
    assert torch.equal(written[:, 3], endless[:, 3])
    assert bool((endless[:, 3:-1] == 7).any())


def test_nothing_is_written_after_every_row_has_ended():
    calls = []

    class Ends(Without):
        def __call__(self, logits, tokens, state):
            calls.append(tokens.shape)
            return super().__call__(logits, tokens, state)

    only = Policy(network(), Ends(*(word for word in range(20) if word != 7)))
    written = sample(only, tokens(6, 3), generator(), 9, stop=7)
    assert written[:, 3:].tolist() == [[7] + 8 * [PAD]] * 6
    assert len(calls) == 1


@pytest.mark.parametrize("name", policies())
def test_a_seed_gives_the_same_words_however_many_rows_are_written_at_a_time(name, monkeypatch):
    policy, prompts = policies()[name], tokens(40, 2, 5)
    wanted = sample(policy, prompts, generator(1), 6, STOP)
    assert torch.equal(sample(policy, prompts, generator(1), 6, STOP), wanted)
    assert not torch.equal(sample(policy, prompts, generator(2), 6, STOP), wanted)
    for batch, crowd in ((40, 0.0), (7, 0.75), (40, 1.0)):
        monkeypatch.setattr(sampling, "BATCH", batch)
        monkeypatch.setattr(sampling, "CROWD", crowd)
        assert torch.equal(sample(policy, prompts, generator(1), 6, STOP), wanted), (batch, crowd)


@pytest.mark.parametrize("kind", [Product, Opaque])
def test_a_guide_that_says_nothing_new_changes_no_word(kind):
    quiet = network(FEW, 1)
    with torch.no_grad():
        quiet.unembed.weight.zero_()
    prompts = tokens(200, 2, 5)
    alone = sample(Policy(network(FEW)), prompts, generator(), 5, STOP)
    guided = sample(Policy(network(FEW), kind(quiet)), prompts, generator(), 5, STOP)
    quiet.unembed.bias.data.zero_()
    same = sample(Policy(network(FEW), kind(quiet)), prompts, generator(), 5, STOP)
    assert torch.equal(same, alone)
    assert not torch.equal(guided, alone)


def test_torchs_own_numbers_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    sample(Policy(network()), tokens(5, 2), generator(), 4)
    assert torch.equal(torch.rand(3), expected)


def test_words_without_a_chance_are_not_drawn_and_the_line_has_no_gap():
    chances = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    luck = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-24])
    drawn = sampling._drawn(chances.expand(6, -1), luck)
    assert drawn.tolist() == [1, 1, 3, 3, 4, 4]
    third = torch.full((1000, 3), 1 / 3)  # whose sum is not 1 in single precision
    assert int(sampling._drawn(third, torch.full((1000,), 1 - 2**-24)).max()) == 2


def test_nothing_new_is_the_prompt():
    prompts = tokens(3, 4)
    assert torch.equal(sample(Policy(network()), prompts, generator(), 0), prompts)


def test_posts_of_tinyworld_are_what_its_own_chances_say():
    """The first word after one name, against the model itself."""
    model = zoo.load("tinyworld", device="cpu")
    prompts = torch.tensor([[1, 40, 5]]).expand(2000, -1)
    with torch.no_grad():
        chances = model(prompts[:1])[0, -1].softmax(-1).double()
    words = sample(Policy(plain(model)), prompts, generator(), 1)[:, -1]
    counts = torch.bincount(words, minlength=993).double()
    often = chances * 2000 >= 5
    found = [*counts[often].tolist(), float(counts[~often].sum())]
    wanted = [*(2000 * chances[often]).tolist(), float(2000 * chances[~often].sum())]
    scale = sum(found) / sum(wanted)
    assert chisquare(found, [scale * each for each in wanted]).pvalue > 1e-3


# bad input


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[1, 2], [1, 2, 3]], "expected token ids as a tensor"),
        ([torch.tensor([1, 2]), torch.tensor([1])], "expected token ids as a tensor"),
        (torch.tensor([1, 2]), "expected token ids as a tensor"),
        (torch.ones(0, 3).long(), "not empty"),
        (torch.ones(3, 0).long(), "not empty"),
        (torch.full((2, 2), 20), "expected token ids from 0 to 19"),
        (torch.full((2, 2), -1), "expected token ids from 0 to 19"),
        (torch.ones(2, 2), "as whole numbers"),
        (torch.ones(2, 2, dtype=torch.complex64), "as whole numbers"),
        (tokens(2, 13), "expected texts of at most 12 tokens"),
        (tokens(2, 9), "expected at most 12 tokens a row"),
        (None, "expected token ids as a tensor"),
    ],
)
def test_prompts_that_are_none_are_refused(prompts, message):
    with pytest.raises(LabError, match=message):
        sample(Policy(network()), prompts, generator(), 4)


@pytest.mark.parametrize("new", [-1, 1.5, None, True, float("nan"), 10**9])
def test_numbers_of_words_that_cannot_be_written_are_refused(new):
    with pytest.raises(LabError, match=r"expected a number of new|expected at most 12"):
        sample(Policy(network()), tokens(2, 2), generator(), new)


@pytest.mark.parametrize("stop", [-1, 20, 1.5, True, float("nan"), "."])
def test_a_stop_that_is_no_word_is_refused(stop):
    with pytest.raises(LabError, match="expected a token to stop at"):
        sample(Policy(network()), tokens(2, 2), generator(), 4, stop)


def test_a_network_whose_training_has_diverged_writes_nothing():
    broken = network()
    with torch.no_grad():
        broken.unembed.bias[3] = torch.nan
    with pytest.raises(LabError, match="expected logits with a word to say at every place"):
        sample(Policy(broken), tokens(2, 2), generator(), 4)


def test_a_guide_that_forbids_every_word_is_refused():
    with pytest.raises(LabError, match="expected logits with a word to say at every place"):
        sample(Policy(network(), Without(*range(20))), tokens(2, 2), generator(), 4)


def test_what_generates_no_numbers_is_refused():
    for other in (0, None, np.random.default_rng(0)):
        with pytest.raises(LabError, match=r"expected a torch\.Generator"):
            sample(Policy(network()), tokens(2, 2), other, 4)
