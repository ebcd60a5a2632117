"""Plausible wrong answers to the exercises of lab 2."""

from itertools import combinations

import torch

from helpers.arithmetic.circuit import patching
from helpers.interventions import Node


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab2.1": _layers(lab["neutral_layer"]),
        "lab2.2": _repairs(lab),
        "lab2.3": _shares(),
        "lab2.4": _predictions(lab["predicted_transfer"]()),
        "lab2.5": _searches(lab["borrow_heads"]),
        "lab2.6": _pairs(*lab["breaking_pair"]()),
    }


def _layers(right) -> list:
    def zeroing(*names):
        return lambda w: {
            name: torch.zeros_like(v) if name in names else v.clone() for name, v in w.items()
        }

    return [
        zeroing("W_O", "W_out"),  # the biases still write
        zeroing("W_O", "b_O"),  # the MLP still writes
        lambda w: {name: torch.zeros_like(v) for name, v in w.items()},  # nothing can learn
        zeroing("W_V", "b_V", "W_O", "b_O", "W_out", "b_out"),  # the attention is dead
        zeroing("W_O", "b_O", "W_in", "b_in", "W_out", "b_out"),  # the MLP is dead
        lambda w: w,
        lambda w: {name: v for name, v in right(w).items() if name != "W_Q"},
    ]


def _repairs(lab) -> list:
    whole, same = lab["repaired"]()

    def without(*forgotten):
        def start(source, target, from_heads, to_heads):
            kept = {name: list(v) if isinstance(v, list) else v for name, v in target.items()}
            whole(source, target, from_heads, to_heads)
            target.update({name: kept[name] for name in forgotten})

        return start

    def everything_back(source, target, from_heads, to_heads):
        whole(source, target, from_heads, to_heads)

    def first_head_only(source, target, from_heads, to_heads):
        for name in lab["PER_HEAD"]:
            target[name][0] = source[name][0]

    return [
        lambda: (lab["start"], lab["write_back"]),
        lambda: (whole, lab["write_back"]),
        lambda: (lab["start"], same),
        lambda: (without("b_O"), same),
        lambda: (without("ln2_w", "ln2_b"), same),
        lambda: (without("W_O"), same),
        lambda: (whole, everything_back),
        lambda: (whole, first_head_only),
        lambda: (lambda *layers: None, lambda *layers: None),
        lambda: whole,
    ]


def _shares() -> list:
    return [
        lambda a, b, n: sum(b) / sum(n),  # positions pooled
        lambda a, b, n: sum(
            x * y / z for x, y, z in zip(a, b, n, strict=True)
        ),  # a number, not a share
        lambda a, b, n: sum(x * y / z for x, y, z in zip(a, b, n, strict=True)) / sum(b),
        lambda a, b, n: (
            sum(y / z for y, z in zip(b, n, strict=True)) / len(n)
        ),  # positions not weighed
        lambda a, b, n: sum(b) / sum(a),
    ]


def _predictions(right) -> list:
    return [
        lambda: dict.fromkeys(right, "most"),
        lambda: dict.fromkeys(right, "few"),
        lambda: {arm: "few" if word == "most" else "most" for arm, word in right.items()},
        lambda: dict.fromkeys(right, "many"),
        lambda: list(right.values()),
    ]


def _searches(right) -> list:
    def heads_of(model, fmt, task, digit, layers):
        position = task.positions(fmt, digit)[0]
        return [
            Node(position, layer, head) for layer in layers for head in range(model.cfg.n_heads)
        ]

    def all_heads(model, fmt, task, digit, count=40):
        return tuple(heads_of(model, fmt, task, digit, range(3)))

    def best_single(model, fmt, task, digit, count=40):
        single = [(node,) for node in heads_of(model, fmt, task, digit, range(3))]
        return max(
            patching.rates(model, fmt, task, digit, single, count), key=lambda result: result.rate
        ).nodes

    def layer_0_only(model, fmt, task, digit, count=40):
        pairs = list(combinations(heads_of(model, fmt, task, digit, [0]), 2))
        return max(
            patching.rates(model, fmt, task, digit, pairs, count), key=lambda result: result.rate
        ).nodes

    def one_position_early(model, fmt, task, digit, count=40):
        return tuple(
            Node(node.position - 1, node.layer, node.head)
            for node in right(model, fmt, task, digit, count)
        )

    return [all_heads, best_single, layer_0_only, one_position_early, lambda *_: ()]


def _pairs(wrong: str, survives: str) -> list:
    return [
        lambda: (survives, wrong),
        lambda: (wrong, wrong),
        lambda: (wrong, "999999-000000"),
        lambda: (wrong, "twelve"),
        lambda: ("111111-999999", "111211-999999"),  # negative answers
        lambda: (wrong.replace("-", "+"), survives.replace("-", "+")),
    ]
