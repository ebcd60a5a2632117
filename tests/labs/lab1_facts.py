"""The sentences after "Found" in Lab 1, as conditions on the variables of the executed lab."""

from types import SimpleNamespace


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """Every such sentence of the lab, and whether it is true."""
    return {
        **section_1(lab),
        **section_2(lab),
        **section_3(lab),
        **section_5(lab),
        **section_6(lab),
        **section_7(lab),
        **section_8(lab),
        **section_10(lab),
    }


def section_1(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "1 full cascades are a handful in a million": 1 < 1e6 * lab.share["S6"] < 10,
    }


def section_2(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "2 nothing wrong": lab.proof.failures == lab.quick.failures == 0
        and lab.proof.questions == 10**6,
    }


def section_3(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "3 one model follows the rule, the other does not": (
            lab.compared[lab.ONE_LAYER[0]].rule_fails == lab.compared[lab.ONE_LAYER[0]].model_fails
        )
        .float()
        .mean()
        > 0.999
        and lab.by_class[lab.ONE_LAYER[1]]["S5"]["model_fails"] < 100,
        "3 one layer fails, two do not": all(r.model_fails.any() for r in lab.compared.values())
        and not lab.stratified["add-d5"].model_fails.any(),
    }


def section_5(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "5 the first number's positions do nothing": not any(
            node.position < lab.n_digits for node in lab.alone
        ),
        "5 after the equals sign a node breaks one token": all(
            int((row > 0.01).sum()) <= 1
            for node, row in lab.rows_of.items()
            if node.position > lab.fmt.equals_position
        ),
    }


def section_6(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "6 all heads together carry base add, no single one": min(lab.sa_rates) >= 0.95
        and max(row["single"].rate for row in lab.base_add.values()) < 0.8,
    }


def section_7(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "7 the local head hardly ever passes on a carry": lab.bit_v < 0.1 and lab.bit_u > 0.5,
        "7 layer 1 brings the cascade": min(row[4].rate for row in lab.layer1[:-1]) > 0.85,
        "7 the local carry hardly moves through layer 1": max(row[2].rate for row in lab.layer1)
        < 0.2,
        "7 at the top a layer-0 head brings the next column, layer 1 the rest": lab.by_distance[1][
            :-1
        ]
        .float()
        .mean(1)
        .max()
        > 0.9
        and all(
            h[:-1].float().mean(1).max() < 0.1 and h[-1].float().mean() > 0.9
            for d, h in lab.by_distance.items()
            if d > 1
        ),
    }


def section_8(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "8 before the answer, not after": min(lab.st_rates) > 0.9 and max(lab.st_after) < 0.1,
        "8 one MLP is enough for some, not for all": min(
            row["mlp"].rate for row in lab.stored.values()
        )
        < 0.85
        < max(row["mlp"].rate for row in lab.stored.values()),
        "8 the clusters beat both controls": lab.seen_states["trained"].accuracy > 0.8
        and max(lab.null, lab.seen_states["untrained"].accuracy) < 0.5,
    }


def section_10(lab: SimpleNamespace) -> dict[str, bool]:
    return {
        "10 useful alone is not enough": max(lab.shares["useful alone"].values()) < 0.97,
        "10 the chosen maps are": lab.shares["chosen under mean ablation"]["mean"] >= 0.99
        and min(lab.shares["chosen under resampling"].values()) >= 0.97,
        "10 chance is not": lab.by_chance < 0.6,
    }
