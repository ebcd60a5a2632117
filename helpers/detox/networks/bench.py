"""Speed of sampling: with a key-value cache, against ``generate`` of the model itself."""

import torch
from jaxtyping import Int
from torch import Tensor

from helpers import zoo
from helpers.detox.networks.making import frozen, plain
from helpers.detox.networks.policies import Policy
from helpers.detox.networks.sampling import sample
from helpers.model import Model
from helpers.timing import Ratio, take_turns
from helpers.tinyworld.language import vocabulary, world

NEW = 16
"""Most words of a post."""


def measure(rows: int = 512, rounds: int = 3) -> list[Ratio]:
    """The ratio of ``bench sampling``: posts of the forum, after the names of all people in turn.

    Args:
        rows: How many posts are written at a time.
        rounds: Turns that the two sides take.
    """
    model = zoo.load("tinyworld", device="cpu")
    policy = Policy(frozen(plain(model)))
    begun, stop = prompts(rows), vocabulary().index["."]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds, slow = take_turns(
            lambda: by_cache(policy, begun, stop), lambda: by_generate(model, begun, stop), rounds
        )
    finally:
        torch.set_num_threads(threads)
    lengths = [
        words_of(written, begun, stop)
        for written in (by_cache(policy, begun, stop), by_generate(model, begun, stop))
    ]
    return [
        Ratio(
            name="sampling: posts of the forum with a key-value cache",
            ratio=slow / seconds,
            ours_seconds=seconds,
            other_seconds=slow,
            other="generate of the model, with its cache",
            note=f"{rows} posts of at most {NEW} words, on average {lengths[0]:.2f} and "
            f"{lengths[1]:.2f}, one core each",
        )
    ]


def prompts(rows: int) -> Int[Tensor, "row pos"]:
    """The beginnings of some posts, the 48 people in turn."""
    index = vocabulary().index
    people = [person.name for person in world.load().people]
    return torch.tensor(
        [[index["<begin>"], index[people[row % len(people)]], index[":"]] for row in range(rows)]
    )


def by_cache(policy: Policy, begun: Int[Tensor, "row pos"], stop: int) -> Tensor:
    """Posts by `sample`."""
    return sample(policy, begun, torch.Generator().manual_seed(0), NEW, stop)


def by_generate(model: Model, begun: Int[Tensor, "row pos"], stop: int) -> Tensor:
    """The same by the model's own method; torch's random numbers are put back."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return model.generate(
            begun, max_new_tokens=NEW, eos_token_id=stop, return_type="tokens", verbose=False
        )


def words_of(written: Int[Tensor, "row longer"], begun: Int[Tensor, "row pos"], stop: int) -> float:
    """Mean number of words of a post up to its stop, which is one of them."""
    stops = (written[:, begun.shape[1] :] == stop).int()
    until = stops.cumsum(-1) - stops == 0
    return float(until.sum(-1).double().mean())
