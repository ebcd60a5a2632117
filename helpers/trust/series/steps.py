"""Steps of a training: the wanted ones of those that are there, and their names in a message."""

from collections.abc import Iterable

from helpers.errors import LabError


def few(steps: Iterable[int], most: int = 12) -> str:
    """Steps in words, the middle of a long list left out.

    >>> few(range(20), most=4)
    '0, 1, 2, …, 19'
    """
    steps = list(steps)
    if len(steps) <= most:
        return ", ".join(map(str, steps))
    return f"{', '.join(map(str, steps[: most - 1]))}, …, {steps[-1]}"


def choose(
    available: Iterable[int], wanted: Iterable[int] | None, where: object
) -> tuple[int, ...]:
    """The wanted steps in order, or all of them.

    Raises:
        LabError: None, or one that is not available.

    >>> choose([8, 0, 4], None, "here"), choose([8, 0, 4], [8, 0], "here")
    ((0, 4, 8), (0, 8))
    """
    available = sorted(set(available))
    chosen = available if wanted is None else sorted(set(wanted))
    missing = [step for step in chosen if step not in available]
    if missing:
        raise LabError(
            f"expected checkpoints of steps {few(chosen)} in {where}",
            f"missing: {few(missing)}; there: {few(available) or 'none'}",
            hint="finish the run or get the files; or name the steps to take: steps=(…)",
        )
    if not chosen:
        raise LabError(f"expected at least one checkpoint in {where}", "there is none")
    return tuple(chosen)
