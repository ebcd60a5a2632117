"""DPO and GRPO on a model of the hub, by `trl`, on an adapter of low rank by `peft`.

The networks of TinyWorld have implementations of their own here (`dpo`, `group_relative`);
a real model is best trained by the libraries that everybody uses. Only an adapter is trained, so
the reference is the same model with the adapter switched off.

Both need the extra [detox]. What these functions add: refusals before a long run, a pad token where
the tokenizer has none, and a guard against a reward that never differs, with which `trl` runs to
the end and learns nothing.
"""

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.detox.rivals.group_relative import RewardGuard
from helpers.errors import LabError, optional
from helpers.inputs import check_count, positive_row
from helpers.runtime import device, gradients

TextReward = Callable[[list[str], list[str]], Sequence[float]]
"""Rewards of completions, from the prompts and the completions; higher is better."""


@dataclass(frozen=True)
class TextPair:
    """A prompt with a completion that is preferred, and one that is not."""

    prompt: str
    chosen: str
    refused: str


@dataclass(frozen=True)
class LibraryPlan:
    """How an adapter is trained.

    Attributes:
        steps: Steps of the optimiser.
        rate: Its learning rate.
        batch: Pairs a step, or samples a step.
        beta: How strongly the model without its adapter holds.
        group: Samples after one prompt (GRPO).
        new_tokens: Longest sample (GRPO).
        rank: Of the adapter.
        seed: Of everything random.
    """

    steps: int = 60
    rate: float = 1e-4
    batch: int = 8
    beta: float = 0.1
    group: int = 8
    new_tokens: int = 20
    rank: int = 8
    seed: int = 0

    def check(self) -> None:
        """Refuse a plan that no run can follow.

        Raises:
            LabError: No step, sample or rank, a rate or beta that is not above 0, or groups that do
                not fill a batch.
        """
        for name in ("steps", "batch", "new_tokens", "rank"):
            check_count(f"adapter's {name}", getattr(self, name), least=1)
        check_count("size of a group", self.group, least=2)
        check_count("seed", self.seed)
        positive_row([self.rate], "learning rates")
        positive_row([self.beta], "weights of the reference")


@dataclass(frozen=True)
class LibraryRun:
    """A model with the adapter that a library has trained.

    Attributes:
        model: A `peft` model; inside ``with model.disable_adapter():`` it is the one before.
        log: What the library has logged, an entry a step.
        constant: Number of batches whose rewards were all equal (GRPO).
    """

    model: Any
    log: tuple[dict[str, float], ...]
    constant: int = 0


def dpo_by_library(
    model: Any, tokenizer: Any, pairs: Sequence[TextPair], plan: LibraryPlan | None = None
) -> LibraryRun:
    """DPO (sigmoid loss) of an adapter on pairs of completions.

    Args:
        model, tokenizer: A causal model of `transformers` and its tokenizer.

    Raises:
        LabError: No pair, or one whose completions are equal; no extra [detox].
    """
    plan = plan or LibraryPlan()
    plan.check()
    same = sum(pair.chosen == pair.refused for pair in pairs)
    if not pairs or same:
        raise LabError(
            "expected pairs of two different completions", f"got {len(pairs)}, {same} of them equal"
        )
    with optional("detox"):
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportMissingImports]
    rows = [
        {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.refused} for pair in pairs
    ]
    with tempfile.TemporaryDirectory() as folder, gradients():
        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(**_settings(plan, folder), beta=plan.beta),
            train_dataset=Dataset.from_list(rows),
            processing_class=_with_padding(tokenizer),
            peft_config=_adapter(plan),
        )
        trainer.train()
    return LibraryRun(trainer.model, _logged(trainer, plan))


def grpo_by_library(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    reward: TextReward,
    plan: LibraryPlan | None = None,
) -> LibraryRun:
    """GRPO of an adapter on a reward of completions.

    Args:
        model, tokenizer: A causal model of `transformers` and its tokenizer.
        reward: A number for each completion. A scorer that cannot judge one must raise, or give
            NaN: neither is counted as anything.

    Raises:
        LabError: No prompt; groups that do not fill a batch; rewards that are not finite, or that
            never differ (`RewardGuard`); no extra [detox].
    """
    plan = plan or LibraryPlan()
    plan.check()
    if not prompts or plan.batch % plan.group:
        raise LabError(
            "expected prompts, and a batch of whole groups",
            f"got {len(prompts)} prompts, batches of {plan.batch} and groups of {plan.group}",
        )
    with optional("detox"):
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportMissingImports]
    guard = RewardGuard()

    def guarded(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return guard.ask(reward, len(completions), prompts, completions).tolist()

    with tempfile.TemporaryDirectory() as folder, gradients():
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=guarded,
            args=GRPOConfig(
                **_settings(plan, folder),
                beta=plan.beta,
                num_generations=plan.group,
                max_completion_length=plan.new_tokens,
            ),
            train_dataset=Dataset.from_list(_asked(prompts, plan)),
            processing_class=_with_padding(tokenizer),
            peft_config=_adapter(plan),
        )
        trainer.train()
    return LibraryRun(trainer.model, _logged(trainer, plan), guard.constant)


def _settings(plan: LibraryPlan, folder: str) -> dict[str, Any]:
    """What both trainers are told: full precision, nothing written, nothing sent."""
    return {
        "output_dir": folder,
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.batch,
        "learning_rate": plan.rate,
        "seed": plan.seed,
        "disable_dropout": True,  # else a model differs from itself, and so from its reference
        "use_cpu": device() == "cpu",
        "bf16": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def _adapter(plan: LibraryPlan) -> Any:
    with optional("detox"):
        from peft import LoraConfig  # pyright: ignore[reportMissingImports]
    return LoraConfig(
        r=plan.rank,
        lora_alpha=2 * plan.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _with_padding(tokenizer: Any) -> Any:
    """The tokenizer, or a copy that pads with the end of a text where it has no pad token."""
    if getattr(tokenizer, "eos_token", None) is None:
        raise LabError(
            "expected a tokenizer with a token for the end of a text",
            f"got {type(tokenizer).__name__} without one",
            hint="set tokenizer.eos_token; completions end with it",
        )
    if tokenizer.pad_token is not None:
        return tokenizer
    padded = copy.deepcopy(tokenizer)
    padded.pad_token = padded.eos_token
    return padded


def _asked(prompts: Sequence[str], plan: LibraryPlan) -> list[dict[str, str]]:
    """The prompts in turn, as many as a run asks: of fewer than a batch, `trl` makes no step."""
    count = plan.steps * (plan.batch // plan.group)
    return [{"prompt": prompts[number % len(prompts)]} for number in range(count)]


def _logged(trainer: Any, plan: LibraryPlan) -> tuple[dict[str, float], ...]:
    """The entries of steps; the last one, of the whole run, is left out.

    Raises:
        LabError: Other numbers of steps than were asked for, which the library does not call a
            fault.
    """
    made = trainer.state.global_step
    if made != plan.steps:
        raise LabError(
            f"expected {plan.steps} steps of the library",
            f"it made {made}",
            hint="give more prompts or pairs, or smaller batches",
        )
    return tuple(entry for entry in trainer.state.log_history if "loss" in entry)
