"""The one exception that the package raises for a fault a person can mend."""


class LabError(Exception):
    """A fault with a remedy: what was expected, what came, the likely cause, where to read on.

    The command line prints its message without a traceback and exits with 1.

    >>> print(LabError("expected 3 digits", "got 0", hint="pass --digits 3"))
    expected 3 digits; got 0
      try: pass --digits 3
    """

    def __init__(self, expected: str, got: str = "", hint: str = "", see: str = "") -> None:
        message = expected + (f"; {got}" if got else "")
        message += f"\n  try: {hint}" if hint else ""
        message += f"\n  see: {see}" if see else ""
        super().__init__(message)
