"""What a model card says of single heads: what is lost without them, what they read and write."""

from typing import Any

from helpers.book.prose import sentences
from helpers.show import markdown

COLUMNS = [
    "head (layer.head)",
    "lost without it (95 %)",
    "by which way (logits)",
    "works at: looks at",
    "writes",
    "role",
]


def section(measured: dict[str, Any]) -> str:
    """How the heads were measured, and a table for each skill.

    Args:
        measured: What `helpers.tinyworld.models.head_roles.measure` returns.
    """
    thresholds = measured["thresholds"]
    limits = {name: percent_of(value) for name, value in thresholds.items()}
    ranks = {name: thresholds[name] for name in ("copies", "suppresses")}
    how = sentences("heads")["how"].format(prompts=measured["prompts"], **limits | ranks)
    skills = measured["skills"].items()
    return "\n\n".join([how, *(_skill(name, skill, limits["enough"]) for name, skill in skills)])


def _skill(name: str, skill: dict[str, Any], enough: str) -> str:
    """The table of one skill, and what few heads do alone."""
    heads, control, metric = skill["heads"], skill["untrained"], skill["metric"]
    needed = sorted(
        (head for head in heads if heads[head]["needed"]), key=lambda head: -heads[head]["loss"][0]
    )
    low, high = skill["interval"]
    roles = ", ".join(f"{head} {role}" for head, role in control["roles"].items())
    few = sentences("heads")["few"].format(
        best=skill["alone"][0],
        share=percent_of(skill["alone"][1]),
        enough=enough,
        size=len(skill["subset"]),
        subset=", ".join(skill["subset"]),
        subset_share=percent_of(skill["subset_share"]),
        clear=sum(head["role"] != "unclear" for head in heads.values()),
        heads=len(heads),
        untrained=len(control["roles"]),
        roles=f" ({roles})" if roles else "",
        metric=metric,
        full=control["full"],
    )
    with_all = f"{metric} {skill['full']:.2f} [{low:.2f}, {high:.2f}]"
    return (
        f"Skill `{name}`: {with_all}; {skill['none']:.2f} with no head left.\n\n"
        f"{markdown(COLUMNS, [[head, *_head(heads[head])] for head in needed])}\n\n"
        f"{few}{_repeats(skill)}"
    )


def _repeats(skill: dict[str, Any]) -> str:
    """Whether a head looks for earlier tokens of the same word, as induction heads do."""
    repeats = skill.get("repeats", {})
    if set(repeats) != {"same", "after_same"}:
        return ""
    (same_head, same), (after_head, after) = repeats["same"], repeats["after_same"]
    shares = {"same": percent_of(same), "after": percent_of(after)}
    told = sentences("heads")["repeats"]
    return " " + told.format(same_head=same_head, after_head=after_head, **shares)


def _head(head: dict[str, Any]) -> list[str]:
    """The cells of one head."""
    ways, looked = head["logits"], sorted(head["looks"].items(), key=lambda place: -place[1])
    fed = sorted(ways["later"].items(), key=lambda other: -abs(other[1]))[:2]
    fed = [f"{other} {value:.2f}" for other, value in fed if abs(value) >= abs(ways["total"]) / 10]
    later = f"later heads {sum(ways['later'].values()):.2f}" + (
        f" ({', '.join(fed)})" if fed else ""
    )
    seen = ", ".join(f"{place} {percent_of(share)}" for place, share in looked[:3] if share >= 0.1)
    loss, low, high = head["loss"]
    return [
        f"{loss:.2f} [{low:.2f}, {high:.2f}]",
        f"direct {ways['direct']:z.2f}, {later}, scale {ways['scale']:z.2f}",
        f"{head['at']}: {seen}",
        f"own word {head['own_rank']:.2f}; right over wrong {percent_of(head['favours'])}",
        head["role"],
    ]


def percent_of(share: float) -> str:
    """A share in whole per cent.

    >>> percent_of(0.9127)
    '91 %'
    """
    return f"{100 * share:.0f} %"
