"""Speed of the exact oracle, against one forward pass with hooks for each subset of heads."""

import torch

from helpers import zoo
from helpers.circuits.oracle.exhaustive import oracle
from helpers.circuits.oracle.shapley import by_hooks
from helpers.circuits.tasks.tinyworld import twins
from helpers.timing import Ratio, take_turns
from helpers.tinyworld.sets import tasks


def measure(prompts: int = 64, sample: int = 24, rounds: int = 1, task: str = "ioi") -> list[Ratio]:
    """The ratio of ``bench oracle``.

    Args:
        sample: Number of subsets that the hooks are timed on, drawn from all.
    """
    model = zoo.load("tinyworld-attn", device="cpu")
    pairs, reference = twins(task, prompts), tasks.prompts(task, prompts, seed=1)
    subsets = torch.randint(1 << 16, (sample,), generator=torch.Generator().manual_seed(0)).tolist()
    run, behaviour = by_hooks(model, pairs, "mean", reference), {}

    def ours() -> None:
        behaviour["tree"] = oracle(model, pairs, "mean", reference, workers=1).behaviour

    def other() -> None:
        behaviour["hooks"] = torch.stack([run(subset) for subset in subsets])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds, hooks = take_turns(ours, other, rounds)
    finally:
        torch.set_num_threads(threads)
    n_subsets = len(behaviour["tree"])
    hooks *= n_subsets / sample
    apart = float((behaviour["tree"][subsets] - behaviour["hooks"]).abs().max())
    return [
        Ratio(
            name="oracle: the behaviour with every subset of 16 heads",
            ratio=hooks / seconds,
            ours_seconds=seconds,
            other_seconds=hooks,
            other="a forward pass with hooks for each subset",
            note=f"{n_subsets} subsets x {prompts} prompts of {task}, one core each; the hooks "
            f"were timed on {sample} subsets drawn from all, with all prompts in one batch, and "
            f"scaled up. The metrics of the two differ by {apart:.1g} at most",
        )
    ]
