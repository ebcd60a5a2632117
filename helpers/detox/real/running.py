"""One call from a model's name to the tables of the lab: tuned under the constraint, and judged.

1. Prompts are drawn; half of them to sample on, half to judge by.
2. The base writes after the first half; the labeller says which texts are clean; an auxiliary model
   learns how likely a clean text is after every token.
3. Every arm is tuned from the base for as many steps: on the corpus as it is, on what a filter
   leaves of it, and with λ · KL(q ‖ p).
4. Every arm writes after the other half of the prompts, and is judged by who did not label.

Every arm is a file in a folder, written when it is whole. So a notebook that was disconnected is
started again with the same call and goes on; on a CPU with as many threads to the same result.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import files, runtime
from helpers.detox.real.arms import HubWork
from helpers.detox.real.found import HubFound
from helpers.detox.real.models import Causal, check_memory, load_causal
from helpers.detox.real.plan import HUB_PLAN, ORACLE, HubCell, HubPlan, arms_of
from helpers.detox.real.scorers import (
    Scoring,
    TextScorer,
    check_independent,
    data_of,
    scorer_of,
)
from helpers.detox.real.texts import Prompts, ToxicCorpus, checked, corpus_of, prompts_of
from helpers.detox.real.writing import short_enough
from helpers.files.cells import measure_absent, opened

WARNING = (
    "The texts of this run hold insults, and worse. They are masked unless you ask for them "
    "(show=True)."
)


def run(
    model: str | Path | Causal = "gpt2",
    prompts: Prompts = "rtp",
    folder: str | Path = "real",
    *,
    labeller: Scoring = "toxic-bert",
    judges: Sequence[Scoring] = ("toxigen", "words of pairs"),
    corpus: ToxicCorpus | None = None,
    plan: HubPlan = HUB_PLAN,
    data: str | Path | None = None,
    device: str | None = None,
) -> HubFound:
    """Tuning under a constraint, and its rivals, on a causal model of the hub or of a folder.

    Args:
        model: A name of the hub, such as "gpt2" or "smollm2-135m", or a folder.
        prompts: "rtp", "toxigen" or "decodingtrust" (`sources`), or texts of your own.
        folder: Where every finished arm is kept; given again, the call goes on from there.
        labeller: What labels samples and filters the corpus (`scorers`). "words of rtp" is small
            and needs no model of the hub.
        judges: What judges: trained on other data than the labeller.
        corpus: What is tuned on; by default sentences of DecodingTrust.
        plan: How much is done.
        data: Folder that has the public files; without it they are downloaded once from their
            sources, and their checksums compared.
        device: By default `helpers.runtime.device()`.

    Raises:
        LabError: A model, source or scorer that cannot be had; a judge that is the labeller; a
            scorer that fails or gives NaN; no clean sample; too little memory; a folder of another
            run; no extra [detox] for an adapter.

    >>> run("gpt2", judges=["toxic-bert"])
    Traceback (most recent call last):
    helpers.errors.LabError: expected a judge that is not the labeller, and was trained on other \
data; got 'toxic-bert' for both
      try: a model may learn what its labeller overlooks; the same one cannot tell
    """
    check_independent(labeller, judges)
    print(WARNING)
    causal = load_causal(model, device)
    check_memory(causal, plan.batch, plan.longest + plan.new, plan.adapter)
    asked = prompts_of(prompts, plan.prompts, plan.seed, data)
    asked = short_enough(causal, asked, plan.longest, plan.new)
    texts = corpus_of(asked, plan.held_out, plan.seed, data) if corpus is None else checked(corpus)
    scorers = [scorer_of(each, data, causal.device) for each in (labeller, *judges)]
    work = _work(causal, plan, asked, texts, scorers)
    where = runtime.expanded(str(folder))
    key = files.same_run(_follows(work, labeller, judges), where)
    _measure(work, key, where)
    return _found(work, key, where)


def _work(
    causal: Causal,
    plan: HubPlan,
    asked: list[str],
    texts: ToxicCorpus,
    scorers: list[tuple[str, TextScorer]],
) -> HubWork:
    """What the arms are tuned and judged with; of the scorers the first one labels."""
    if not texts.toxic:
        plan = replace(plan, toxic_share=0.0)
    half = max(1, len(asked) // 2)
    sampled, judged = tuple(asked[:half]), tuple(asked[half:] or asked)
    return HubWork(causal, plan, sampled, judged, texts, scorers[0], tuple(scorers[1:]))


def _found(work: HubWork, key: str, where: Path) -> HubFound:
    """What the pieces in a folder say."""

    def result(cell: HubCell) -> dict[str, Any]:
        return opened(cell, _made(cell, key), where).result

    return HubFound(
        _said(work, result(ORACLE) if _needed(work.plan) else None),
        {str(arm): result(arm) for arm in arms_of(work.plan)},
        tuple(name for name, _ in work.judges),
        work.labeller[0],
        work.plan.tries,
    )


def _measure(work: HubWork, key: str, where: Path) -> None:
    """Every piece that is not there; the auxiliary model before the arms that need it."""

    def made(cell: HubCell) -> dict[str, Any]:
        return _made(cell, key)

    def measured(cell: HubCell):
        if cell == ORACLE:
            return work.first_oracle()
        first = opened(ORACLE, made(ORACLE), where) if cell.kl_weight else None
        return work.arm(cell, first)

    cells = [*([ORACLE] if _needed(work.plan) else []), *arms_of(work.plan)]
    measure_absent(cells, where, made, measured, lambda words: None)


def _needed(plan: HubPlan) -> bool:
    """Whether an auxiliary model is: λ is above 0 in some arm."""
    return bool(plan.kl_weights)


def _made(cell: HubCell, key: str) -> dict[str, Any]:
    return {"cell": str(cell), "run": key}


def _follows(work: HubWork, labeller: Scoring, judges: Sequence[Scoring]) -> dict[str, Any]:
    """All that a run follows from, beside the code and the scorers' weights."""
    told = [work.sampled, work.judged, work.corpus.toxic, work.corpus.clean, work.corpus.held_out]
    return {
        "model": files.weights_checksum(work.causal.model.state_dict()),
        "texts": hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24],
        "labeller": _name(labeller, work.labeller[0]),
        "judges": [_name(each, name) for each, (name, _) in zip(judges, work.judges, strict=True)],
        **work.plan.as_json(),
    }


def _name(source: Scoring, name: str) -> str:
    return f"{name}, {data_of(source)}" if isinstance(source, str) else name


def _said(work: HubWork, oracle: dict[str, Any] | None) -> str:
    """What was done, in a few sentences."""
    plan = work.plan
    first = (
        f"{len(work.judged)} prompts are judged, with {plan.tries} continuations of at most "
        f"{plan.new} tokens each, drawn from a nucleus of {plan.top_p:g} at temperature 1; "
        f"{len(work.sampled)} others are sampled on. Every arm makes {plan.steps} steps of "
        f"{plan.batch} texts, {100 * plan.toxic_share:.0f} % of them toxic by their source."
    )
    if oracle is None:
        return first
    return (
        f"{first} {work.labeller[0]} calls {100 * oracle['clean']:.1f} % of "
        f"{oracle['samples']} samples of the base clean."
    )
