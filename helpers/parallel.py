"""Independent pieces of work on several cores."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Results in the order of the items, computed by `workers` threads of one core each.

    Matrices of a small model are so small that two cores on one of them mostly wait for each other,
    far more so when the machine has other work; two independent batches do not. torch releases
    Python's lock inside its operations. When the iteration ends, for whatever reason, queued work
    is dropped and torch's number of threads is as before.

    >>> list(in_parallel(lambda x: x * x, range(4), workers=2))
    [0, 1, 4, 9]
    """
    threads = torch.get_num_threads()
    if workers == 1:
        torch.set_num_threads(1)
        try:
            yield from map(work, items)
        finally:
            torch.set_num_threads(threads)
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)  # also on Ctrl-C
        torch.set_num_threads(threads)
