"""What a model card says of single attention heads: what is lost without them, what they look at, write and are called."""

from typing import Any

from helpers.show.tables import markdown as table


def section(found: dict[str, Any]) -> str:
    """How the heads were measured, and a table for each skill.

    Args:
        found: what `helpers.tinyworld.models.head_roles.measure` returns.
    """
    limits = {name: percent_of(value) for name, value in found["thresholds"].items()}
    copies, suppresses, favours = (
        found["thresholds"]["copies"],
        found["thresholds"]["suppresses"],
        limits["favours"],
    )
    how = (
        f"**What the heads do**, on {found['prompts']} held-out prompts a skill. A head is taken away by putting the mean of "
        f"its output, over all tokens of {found['prompts']} other prompts, in its place. Listed are the heads without which "
        f"at least {limits['matters']} of the behaviour goes, with the 95 % interval over prompts. *By which way*: what the "
        "logits of right less wrong words lose because the head itself no longer writes (direct), because later heads write "
        "less, and because the scale of the last LayerNorm changes; the three add up. *Works at*: the tokens where alone "
        "taking it away costs most; *looks at*: its attention from there. *Writes*: the rank of a word's own logit among all "
        "words of its kind when the head attends to the word (1 highest, 0 lowest, 0.5 by chance), and how often it raises a "
        "right word above a wrong one at the last token (50 % by chance). The *role* follows by fixed thresholds "
        f"(`helpers.tinyworld.models.head_roles.role`): to look at something takes {limits['looks']} of the attention, for the token "
        f"itself or the one before {limits['mostly']}; a mover has rank {copies:g} or more and favours the right words in "
        f"{favours}, a suppressor has rank {suppresses:g} or less. Where no rule holds, the role is unclear. The rules were "
        "settled after both models had been looked at: the few roles of the untrained one check the rules and do not test them."
    )
    return "\n\n".join(
        [how, *(_skill_heads(name, skill, limits) for name, skill in found["skills"].items())]
    )


def _skill_heads(name: str, skill: dict[str, Any], limits: dict[str, str]) -> str:
    """The table of one skill, and what few heads do alone."""
    heads, control = skill["heads"], skill["untrained"]
    needed = sorted(
        (head for head in heads if heads[head]["needed"]), key=lambda head: -heads[head]["loss"][0]
    )
    rows = [[head, *_head(heads[head])] for head in needed]
    columns = [
        "head (layer.head)",
        "lost without it (95 %)",
        "by which way (logits)",
        "works at: looks at",
        "writes",
        "role",
    ]
    low, high = skill["interval"]
    clear = sum(head["role"] != "unclear" for head in heads.values())
    told = ", ".join(f"{head} {role}" for head, role in control["roles"].items())
    return (
        f"Skill `{name}`: {skill['metric']} {skill['full']:.2f} [{low:.2f}, {high:.2f}]; {skill['none']:.2f} with no head left."
        f"\n\n{table(columns, rows)}\n\n"
        f"The best head alone, {skill['alone'][0]}, brings back {percent_of(skill['alone'][1])} of the behaviour. The smallest "
        f"set found that brings back {limits['enough']}, by adding and by removing heads greedily, has {len(skill['subset'])}: "
        f"{', '.join(skill['subset'])} ({percent_of(skill['subset_share'])}); a smaller one may exist. Control: a role other "
        f"than unclear fits {clear} of the {len(heads)} heads, needed or not, and {len(control['roles'])} of those of the "
        f"untrained model{f' ({told})' if told else ''}, whose {skill['metric']} is {control['full']:z.2f}.{_repeats(skill)}"
    )


def _repeats(skill: dict[str, Any]) -> str:
    """Whether any head looks for earlier tokens of the same word, as duplicate-token and induction heads do."""
    found = skill.get("repeats", {})
    if set(found) != {"same", "after_same"}:
        return ""
    (one, same), (other, after) = found["same"], found["after_same"]
    return (
        f" From a word of the answers' kind that stood there before, the most that any head attends to where it stood is "
        f"{percent_of(same)} (head {one}), and to the token after that {percent_of(after)} (head {other})."
    )


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
