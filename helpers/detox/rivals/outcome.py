"""What every rival gives: how it writes now, what that cost, and what it found on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

from helpers.detox.finetune.running import one_thread
from helpers.detox.networks import Policy


@dataclass(frozen=True)
class RivalPolicy:
    """A rival that is ready to write.

    Attributes:
        policy: How it writes.
        seconds: CPU seconds of one thread, by what they went into: "sample" (drawing and
            labelling samples), "fit" (an oracle), "model" (steps of a network).
        found: Numbers and names that tell what it did, such as how many posts a filter removed.
    """

    policy: Policy
    seconds: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


class CPUClock:
    """CPU seconds of one thread, added up by part.

    >>> clock = CPUClock()
    >>> with clock.of("model"):
    ...     with clock.of("sample"):
    ...         _ = sum(range(1000))
    >>> list(clock.seconds), min(clock.seconds.values()) >= 0
    (['sample', 'model'], True)
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """What is done inside counts under `part`, less what counts under a part inside it.

        torch computes with one thread there, as in the method: only then is its time all of it.
        """
        started, counted = thread_time(), sum(self.seconds.values())
        try:
            with one_thread():
                yield
        finally:
            inside = sum(self.seconds.values()) - counted
            self.add({part: thread_time() - started - inside})

    def add(self, seconds: dict[str, float]) -> None:
        """Seconds that something else has counted."""
        for part, spent in seconds.items():
            self.seconds[part] = self.seconds.get(part, 0.0) + spent
