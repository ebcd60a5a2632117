"""A causal model of named values instead of weights: its circuit is known for any number of digits.

Each head writes one value, read off the tokens; the MLP composes answers from what the heads wrote,
after any patch. At the position that predicts A_k:

- BASE writes the base sum and both base differences of column k (head 0);
- CARRY writes the carry or borrow of column k - 1, as much of it as the chosen kind knows (head 1);
- PASS writes whether column k - 1 sums to nine or is equal (head 2);
- SELECT writes the operator (head 3), SIGN the sign token (head 4); at ``=`` SIGN writes the sign
  to come.

At D'_k the head STORE (5) writes the tri-state of column k: carries and borrows from further below
come from there, unless CARRY has the whole cascade. A head writes three numbers, for D + D', D - D'
and D' - D: one for each way the answer can go.
"""

from types import SimpleNamespace

import torch

from helpers.arithmetic.questions import Format

BASE, CARRY, PASS, SELECT, SIGN, STORE = range(6)
KINDS = ("binary", "tri-state", "cascaded")
UNDECIDED = 2  # of the tri-state: 0 no, 1 yes, 2 as below


class Oracle(torch.nn.Module):
    """Answers every question exactly; `kind` says what the head CARRY knows."""

    def __init__(self, fmt: Format, kind: str = "binary") -> None:
        super().__init__()
        self.fmt, self.kind = fmt, kind
        self.cfg = SimpleNamespace(n_layers=1, n_heads=6, attn_only=False, n_ctx=fmt.n_ctx)
        # where a model computes is asked of its parameters
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def run_with_hooks(self, tokens, fwd_hooks=()):
        z = self.apply(self.heads(tokens), "blocks.0.attn.hook_z", fwd_hooks)
        return self.apply(self.mlp(z), "blocks.0.hook_mlp_out", fwd_hooks)

    @staticmethod
    def apply(value, name, hooks):
        for hooked, function in hooks:
            if hooked == name:
                changed = function(value, SimpleNamespace(name=name))
                value = value if changed is None else changed
        return value

    def columns(self, tokens, k):
        """The three ways to combine D_k and D'_k, each as (left, right, whether it is a sum)."""
        d, e = (tokens[:, p] for p in self.fmt.operand_positions(k))
        return [(d, e, True), (d, e, False), (e, d, False)]

    def tri_state(self, tokens, k):
        def case(left, right, is_sum):
            total = left + right - 9 if is_sum else right - left  # above zero: carries or borrows
            undecided = UNDECIDED if k else 0
            return torch.where(total > 0, 1, torch.where(total == 0, undecided, 0))

        return torch.stack([case(*column) for column in self.columns(tokens, k)], dim=1)

    def cascade(self, cases):
        """Fold of tri-states from the units up."""
        carry = torch.zeros_like(cases[0])
        for case in cases:
            carry = torch.where(case == UNDECIDED, carry, case)
        return carry

    def heads(self, tokens):
        fmt, n = self.fmt, self.fmt.n_digits
        z = torch.zeros(len(tokens), fmt.n_ctx, 6, 3)
        cases = [self.tri_state(tokens, k) for k in range(n)]
        for k in range(n):
            z[:, fmt.operand_positions(k)[1], STORE] = cases[k].float()
            base = [(a + b if plus else a - b) % 10 for a, b, plus in self.columns(tokens, k)]
            z[:, fmt.answer_position(k) - 1, BASE] = torch.stack(base, dim=1).float()
            carried = {
                "binary": (cases[k] == 1).long(),
                "tri-state": cases[k],
                "cascaded": self.cascade(cases[: k + 1]),
            }
            above = fmt.answer_position(k + 1) - 1
            z[:, above, CARRY] = carried[self.kind].float()
            z[:, above, PASS] = (cases[k] == UNDECIDED).float()
        minus = (tokens[:, fmt.operator_position] == fmt.minus).float()[:, None, None]
        z[:, fmt.equals_position :, SELECT] = minus
        z[:, fmt.equals_position, SIGN] = minus[:, 0] * self.cascade(cases)[:, 1:2].float()
        z[:, fmt.equals_position + 1 :, SIGN] = (
            tokens[:, fmt.equals_position + 1] == fmt.minus
        ).float()[:, None, None]
        return z

    def digit(self, z, k):
        here = z[:, self.fmt.answer_position(k) - 1].long()
        way = torch.where(here[:, SELECT, 0] == 1, 1 + here[:, SIGN, 0], 0)[:, None]

        def value(written):
            return written.gather(1, way)[:, 0]

        below = torch.zeros(len(z), dtype=torch.long)
        for j in range(k - 1):
            case = value(z[:, self.fmt.operand_positions(j)[1], STORE].long())
            below = torch.where(case == UNDECIDED, below, case)
        carry = value(here[:, CARRY])
        carry = torch.where(carry == UNDECIDED, below, carry)
        if self.kind == "binary":
            carry = torch.where(value(here[:, PASS]) == 1, below, carry)
        base = value(here[:, BASE])
        return torch.where(way[:, 0] == 0, base + carry, base - carry) % 10

    def mlp(self, z):
        fmt = self.fmt
        logits = torch.zeros(len(z), fmt.n_ctx, fmt.d_vocab_needed)
        rows = torch.arange(len(z))
        signs = torch.where(z[:, fmt.equals_position, SIGN, 0] == 1, fmt.minus, fmt.plus)
        logits[rows, fmt.equals_position, signs] = 1.0
        for k in range(fmt.n_digits + 1):
            logits[rows, fmt.answer_position(k) - 1, self.digit(z, k)] = 1.0
        return logits
