"""What addition and subtraction share: five parts, and answers made of base digits and cases."""

from collections import Counter
from typing import get_args

import numpy as np
import pytest
import torch

from helpers.arithmetic.circuit import addition, subtraction
from helpers.arithmetic.circuit.columns import ColumnTest, Part
from helpers.arithmetic.questions import uniform

pytestmark = pytest.mark.core

REGISTRIES = addition.SUBTASKS | subtraction.SUBTASKS
TASKS = [task for task in REGISTRIES.values() if isinstance(task, ColumnTest)]


def test_every_part_has_a_test_for_sums_and_for_both_signs_of_differences():
    assert Counter(task.part for task in addition.SUBTASKS.values()) == dict.fromkeys(
        get_args(Part), 1
    )
    assert Counter(task.part for task in TASKS) == dict.fromkeys(get_args(Part), 3)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_part_exchanged_for_itself_leaves_the_answer_of_whole_numbers(task, n):
    questions = uniform(n, 2000, np.random.default_rng(0), task.subtract)
    if task.subtract:
        questions = questions[questions.negative == task.mirrored]
    for k in task.digits(n):
        pairs = task.predicted(questions, questions, k)
        assert torch.equal(pairs.expected, questions.answer_digits())
        assert torch.equal(pairs.tolerated, questions.answer_digits())
        assert not pairs.rises.any()
