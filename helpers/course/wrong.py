"""The verdict of a check on an answer that is not right."""


class Wrong(Exception):
    """An answer is not right: the likely mistake in words, and the points it earns nevertheless."""

    def __init__(self, message: str, points: float = 0) -> None:
        super().__init__(message)
        self.points = points
