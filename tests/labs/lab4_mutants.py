"""Plausible wrong answers to the exercises of lab 4."""

import torch


def mutants(lab: dict) -> dict[str, list]:
    """Wrong answers by exercise, given the variables of the executed lab."""
    return {
        "lab4.1": _decoders(lab["released_norm"]),
        "lab4.2": _counts(),
        "lab4.3": _readings(lab["smallest_circuits"]),
        "lab4.4": _stand_ins(lab["stand_ins"]()),
        "lab4.5": _scores(),
        "lab4.6": _twins(),
    }


def _decoders(released) -> list:
    return [
        released,
        lambda w: w / w.norm(),
        lambda w: w / w.square().sum(0, keepdim=True),
        lambda w: w / w.abs().amax(0, keepdim=True),
        lambda w: (w / w.norm(dim=0, keepdim=True)).abs(),
        lambda w: (w / w.norm(dim=0, keepdim=True)).T,
        lambda w: w,
    ]


def _counts() -> list:
    return [
        lambda p, n: len(set(p) - set(n)),
        lambda p, n: sum(code not in n and code != -1 for code in p),
        lambda p, n: len(set(n) - set(p) - {-1}),
        lambda p, n: len((set(p) ^ set(n)) - {-1}),
        lambda p, n: len(set(p) - {-1}),
        lambda p, n: len(set(p) - {-1}) - len(set(n) - {-1}),
        lambda p, n: set(p) - set(n) - {-1},
    ]


def _readings(right) -> list:
    def one_only(f, enough):
        return right(f, enough)[:1]

    def above(f, enough):
        return right(f, enough + 1e-9) if enough == 0.9 else right(f, enough)

    def left_out(f, enough):
        n = len(f).bit_length() - 1
        return [set(range(n)) - circuit for circuit in right(f, enough)]

    def backwards(f, enough):
        n = len(f).bit_length() - 1
        return [{n - 1 - i for i in circuit} for circuit in right(f, enough)]

    def all_faithful(f, enough):
        return [
            {i for i in range(16) if s >> i & 1} for s, value in enumerate(f) if value >= enough
        ]

    def most_faithful(f, enough):
        s = int(max(range(len(f)), key=lambda s: f[s]))
        return [{i for i in range(16) if s >> i & 1}]

    return [
        one_only,
        above,
        left_out,
        backwards,
        all_faithful,
        most_faithful,
        lambda f, enough: [17, 3],
    ]


def _stand_ins(right) -> list:
    heads, without, loss = right
    return [
        lambda: (set(list(heads)[1:]), without, loss),
        lambda: (heads, 1 - without, loss),
        lambda: (heads, without, 1 - loss),
        lambda: ({head for _, head in heads}, without, loss),
        lambda: (heads, loss, without),
        lambda: heads,
    ]


def _scores() -> list:
    return [
        lambda p, n: p.norm(dim=-1).mean(0),
        lambda p, n: -(p.mean(0) - n.mean(0)).norm(dim=-1),
        lambda p, n: torch.ones(p.shape[1]),
        lambda p, n: (p.mean(0) - n.mean(0)).norm(dim=-1).mean(),
        lambda p, n: torch.arange(16.0),
        lambda p, n: p.mean((0, 2)) / 0 * 0,
    ]


def _twins() -> list:
    def third_name(words):
        """The proper corruption: the giver's second mention."""
        names = [
            "anna",
            "oscar",
            "vera",
            "frida",
            "louis",
            "edith",
            "peter",
            "otto",
            "felix",
            "finn",
            "martin",
            "lydia",
        ]
        last = [
            i
            for i, word in enumerate(words[:-3])
            if words.count(word) > 1 and word.isalpha() and len(word) > 2
        ][-1]
        return [
            *words[:last],
            next(name for name in names if name not in words),
            *words[last + 1 :],
        ]

    return [
        lambda words: list(words),
        lambda words: [*words, "to"],
        lambda words: ["xyzzy", *words[1:]],
        lambda words: ["<pad>", *words[1:]],
        lambda words: [3, *words[1:]],
        lambda words: words[::-1],
        lambda words: ["owl"] * len(words),
        third_name,
    ]
