"""The token format of a question.

An n-digit question reads ``D_(n-1) … D_0 op D'_(n-1) … D'_0 = sign A_n … A_0``: zero-padded
operands, most significant digit first, a sign token, n + 1 answer digits (arXiv 2402.02619, section
"Model"). So 133357 + 182243 is ``133357+182243=+0315600`` and takes 3n + 4 = 22 tokens. Digit
*index* 0 is always the units.
"""

from dataclasses import dataclass
from numbers import Integral

from helpers.errors import LabError

MAX_DIGITS = 20
MOST = 2**63
"""Token ids are below it: a tensor holds no larger number."""


@dataclass(frozen=True)
class Format:
    """How questions become tokens; the defaults are the paper's.

    Attributes:
        n_digits: Number of digits of an operand, 1 to 20.
        digit_ids: Token ids of the digits 0 … 9.
        plus, minus, equals: Token ids of the three symbols; the sign token uses `plus` and `minus`
            too. A vocabulary without minus has None there: such a model only adds.
        has_sign: Whether a sign token stands before the answer digits (the paper's first models had
            none).
        prefix: Token ids before the question, such as a beginning-of-sequence token.

    Raises:
        LabError: The digits are out of range, one id is used for two symbols, or an id is no whole
            number of 0 or more, or none that a tensor holds.

    >>> Format(6).n_ctx, Format(6).equals_position, Format(6).answer_position(0)
    (22, 13, 21)
    >>> adder = Format(3, minus=None, equals=11, has_sign=False)  # it writes nothing but digits
    >>> adder.d_vocab_needed, adder.d_vocab_out_needed
    (12, 10)
    """

    n_digits: int
    digit_ids: tuple[int, ...] = tuple(range(10))
    plus: int = 10
    minus: int | None = 11
    equals: int = 12
    has_sign: bool = True
    prefix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.n_digits, int) or not 1 <= self.n_digits <= MAX_DIGITS:
            raise LabError(f"expected 1 to {MAX_DIGITS} digits", f"got {self.n_digits!r}")
        ids = (*self._symbols, *self.prefix)
        whole = all(isinstance(i, Integral) and not isinstance(i, bool) for i in ids)
        known = whole and all(0 <= i < MOST for i in ids)
        complete = len(self.digit_ids) == 10 and len(set(self._symbols)) == len(self._symbols)
        if not (known and complete):
            raise LabError(
                "expected ten digit ids and three symbol ids, all different, from 0 to 2^63 - 1",
                f"got digits {self.digit_ids}, plus {self.plus}, minus {self.minus}, "
                f"equals {self.equals}, prefix {self.prefix}",
            )

    @property
    def _symbols(self) -> tuple[int, ...]:
        """Every id that stands for something, each once."""
        minus = () if self.minus is None else (self.minus,)
        return (*self.digit_ids, self.plus, *minus, self.equals)

    @property
    def minus_or_plus(self) -> int:
        """The id of minus; that of plus where there is none, and no question asks for it."""
        return self.plus if self.minus is None else self.minus

    @property
    def d_vocab_needed(self) -> int:
        """Smallest vocabulary that holds every id of the format."""
        return 1 + max((*self._symbols, *self.prefix))

    @property
    def d_vocab_out_needed(self) -> int:
        """Smallest number of logits that holds every id of an answer: digits, and signs if any."""
        signs = (self.plus, self.minus_or_plus) if self.has_sign else ()
        return 1 + max((*self.digit_ids, *signs))

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
