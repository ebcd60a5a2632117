"""The token format of a question.

An n-digit question reads ``D_(n-1) … D_0 op D'_(n-1) … D'_0 = sign A_n … A_0``: zero-padded
operands, most significant digit first, a sign token, n + 1 answer digits (arXiv 2402.02619, section
"Model"). So 133357 + 182243 is ``133357+182243=+0315600`` and takes 3n + 4 = 22 tokens. Digit
*index* 0 is always the units.
"""

from dataclasses import dataclass

from helpers.errors import LabError

MAX_DIGITS = 20


@dataclass(frozen=True)
class Format:
    """How questions become tokens; the defaults are the paper's.

    Attributes:
        n_digits: Number of digits of an operand, 1 to 20.
        digit_ids: Token ids of the digits 0 … 9.
        plus, minus, equals: Token ids of the three symbols; the sign token uses `plus` and `minus`
            too.
        has_sign: Whether a sign token stands before the answer digits (the paper's first models had
            none).
        prefix: Token ids before the question, such as a beginning-of-sequence token.

    Raises:
        LabError: The digits are out of range, one id is used for two symbols, or an id is below 0.

    >>> Format(6).n_ctx, Format(6).equals_position, Format(6).answer_position(0)
    (22, 13, 21)
    """

    n_digits: int
    digit_ids: tuple[int, ...] = tuple(range(10))
    plus: int = 10
    minus: int = 11
    equals: int = 12
    has_sign: bool = True
    prefix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.n_digits, int) or not 1 <= self.n_digits <= MAX_DIGITS:
            raise LabError(f"expected 1 to {MAX_DIGITS} digits", f"got {self.n_digits!r}")
        symbols = (*self.digit_ids, self.plus, self.minus, self.equals)
        complete = len(self.digit_ids) == 10 and len(set(symbols)) == 13
        if not complete or min((*symbols, *self.prefix)) < 0:
            raise LabError(
                "expected ten digit ids and three symbol ids, all different, and no id below 0",
                f"got digits {self.digit_ids}, plus {self.plus}, minus {self.minus}, "
                f"equals {self.equals}, prefix {self.prefix}",
            )

    @property
    def d_vocab_needed(self) -> int:
        """Smallest vocabulary that holds every id of the format."""
        return 1 + max((*self.digit_ids, self.plus, self.minus, self.equals, *self.prefix))

    @property
    def n_answer(self) -> int:
        """Answer tokens: the sign, if there is one, and n + 1 digits."""
        return self.n_digits + 1 + self.has_sign

    @property
    def n_ctx(self) -> int:
        """Tokens of a whole question: 3n + 4 in the paper's format."""
        return len(self.prefix) + 2 * self.n_digits + 2 + self.n_answer

    @property
    def equals_position(self) -> int:
        return self.n_ctx - self.n_answer - 1

    @property
    def operator_position(self) -> int:
        return len(self.prefix) + self.n_digits

    def operand_positions(self, digit: int) -> tuple[int, int]:
        """Positions of D_k and D'_k."""
        return self.operator_position - 1 - digit, self.equals_position - 1 - digit

    def answer_position(self, digit: int) -> int:
        """Position of A_k; it is predicted from the residual stream one position before."""
        return self.n_ctx - 1 - digit

    @property
    def position_labels(self) -> list[str]:
        """A short name of each position: D5 … D0, op, D'5 … D'0, =, ±, A6 … A0."""
        n = self.n_digits
        return [
            *("^" for _ in self.prefix),
            *(f"D{k}" for k in reversed(range(n))),
            "op",
            *(f"D'{k}" for k in reversed(range(n))),
            "=",
            *(["±"] if self.has_sign else []),
            *(f"A{k}" for k in reversed(range(n + 1))),
        ]

    @property
    def answer_labels(self) -> list[str]:
        """Names of the answer tokens in reading order: ±, A_n … A0."""
        return self.position_labels[-self.n_answer :]
