"""Models of addition whose failures are known exactly: callables, and a small untrained bridge."""

import hashlib

import torch

from helpers.arithmetic.questions import Format, Questions
from helpers.training import Recipe, build_model


class Calculator:
    """Maps tokens to logits causally: reads the operands in the tokens and answers by `rule`."""

    def __init__(self, fmt: Format, rule) -> None:
        self.fmt, self.rule = fmt, rule

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        fmt = self.fmt
        digit_of = torch.zeros(fmt.d_vocab_needed, dtype=torch.long)
        digit_of[torch.tensor(fmt.digit_ids)] = torch.arange(10)
        columns = [fmt.operand_positions(k) for k in range(fmt.n_digits)]
        first, second = (digit_of[tokens[:, [c[i] for c in columns]]] for i in (0, 1))
        minus = -1 if fmt.minus is None else fmt.minus
        questions = Questions(first, second, tokens[:, fmt.operator_position] == minus)
        wanted = torch.tensor(fmt.digit_ids)[self.rule(questions).flip(1)]
        if fmt.has_sign:
            sign = torch.where(questions.negative, minus, fmt.plus)
            wanted = torch.cat([sign[:, None], wanted], dim=1)
        logits = torch.zeros(*tokens.shape, fmt.d_vocab_out_needed)
        steps = tokens.shape[1] - fmt.equals_position
        if steps > 0:
            logits[:, fmt.equals_position :].scatter_(2, wanted[:, :steps, None], 1.0)
        return logits


class Forgetful:
    """Right most of the time, but what it says depends on the whole prefix by a hash."""

    def __init__(self, fmt: Format) -> None:
        self.fmt, self.calculator = fmt, Calculator(fmt, Questions.answer_digits)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        logits = self.calculator(tokens)
        for row, ids in enumerate(tokens.tolist()):
            for position in range(self.fmt.equals_position, len(ids)):
                lot = hashlib.sha256(bytes(ids[: position + 1])).digest()
                if lot[0] < 40:
                    logits[row, position, lot[1] % 10] = 2.0
        return logits


def small_model(n_digits: int = 3, **changes):
    shape = {
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 16,
        "d_head": 8,
        "d_mlp": 32,
        "n_ctx": 3 * n_digits + 4,
        "d_vocab": 15,
    }
    shape |= {"act_fn": "relu", "normalization_type": "LN"} | changes
    return build_model(
        Recipe("small", "addition", shape, {"n_digits": n_digits}, 1, 8, 1e-3, 1)
    ).eval()
