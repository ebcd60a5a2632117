"""Read-out, sampling and counting, on callables whose failures are known exactly and on a real model."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import cli
from helpers.arithmetic.circuit.lookback import failure_rate, lookback_answer
from helpers.arithmetic.questions import cascades
from helpers.arithmetic.questions.batch import Questions, all_additions, uniform
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.verification import verify as v
from helpers.arithmetic.verification.plan import CHUNK, draw, plan
from helpers.errors import LabError
from helpers.training import Recipe, build_model
from tests.arithmetic import reference

pytestmark = pytest.mark.core


class Calculator:
    """Maps tokens to logits causally: reads the operands out of the tokens and answers by `rule`."""

    def __init__(self, fmt: Format, rule) -> None:
        self.fmt, self.rule = fmt, rule

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        fmt = self.fmt
        digit_of = torch.zeros(fmt.d_vocab_needed, dtype=torch.long)
        digit_of[torch.tensor(fmt.digit_ids)] = torch.arange(10)
        columns = [fmt.operand_positions(k) for k in range(fmt.n_digits)]
        first, second = (digit_of[tokens[:, [c[i] for c in columns]]] for i in (0, 1))
        questions = Questions(first, second, tokens[:, fmt.operator_position] == fmt.minus)
        wanted = torch.tensor(fmt.digit_ids)[self.rule(questions).flip(1)]
        if fmt.has_sign:
            sign = torch.where(questions.negative, fmt.minus, fmt.plus)
            wanted = torch.cat([sign[:, None], wanted], dim=1)
        logits = torch.zeros(*tokens.shape, fmt.d_vocab_needed)
        steps = tokens.shape[1] - fmt.equals_position
        if steps > 0:
            logits[:, fmt.equals_position :].scatter_(2, wanted[:, :steps, None], 1.0)
        return logits


FORMATS = [
    Format(3),
    Format(3, has_sign=False),
    Format(3, digit_ids=tuple(range(40, 50)), plus=3, minus=2, equals=1, prefix=(0, 7)),
]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("subtract", [False, True])
def test_a_perfect_model_is_right_in_every_format(fmt, subtract):
    questions = uniform(3, 300, np.random.default_rng(0), subtract)
    model = Calculator(fmt, Questions.answer_digits)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    assert torch.equal(v.predict(model, questions, fmt), truth)
    assert torch.equal(v.greedy(model, questions, fmt, batch_size=7), truth)
    assert v.score(model, questions, fmt).all()
    assert v.score(model, questions, fmt).shape == (300, fmt.n_answer)


class Forgetful:
    """Right most of the time, but what it says depends on the whole prefix, right or wrong, by a hash."""

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


def test_teacher_forced_and_greedy_verdicts_are_equal_although_the_answers_are_not():
    fmt = Format(4)
    questions = uniform(4, 400, np.random.default_rng(0))
    model, truth = Forgetful(fmt), questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = v.predict(model, questions, fmt), v.greedy(model, questions, fmt)
    verdicts = (forced == truth).all(1)
    assert torch.equal(verdicts, (written == truth).all(1))
    assert 50 < int(verdicts.sum()) < 350
    assert not torch.equal(forced, written)  # after a first mistake the two read different prefixes
    first_mistake = (forced != truth).long().argmax(1)
    for row in torch.nonzero(~verdicts).flatten().tolist():
        upto = slice(0, int(first_mistake[row]) + 1)
        assert torch.equal(forced[row, upto], written[row, upto])


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


def test_an_untrained_bridge_gets_equal_verdicts_both_ways():
    model, fmt = small_model(1), Format(1)
    questions = all_additions(1)
    truth = questions.tokens(fmt)[:, fmt.equals_position + 1 :]
    forced, written = (read(model, questions, fmt) for read in (v.predict, v.greedy))
    assert torch.equal((forced == truth).all(1), (written == truth).all(1))
    assert forced.shape == written.shape == (100, 3)


def test_exhaustive_counts_are_exact_for_the_look_back_rule():
    report = v.verify(
        Calculator(Format(3), lookback_answer),
        Format(3),
        exhaustive=True,
        batch_size=4096,
        workers=2,
    )
    shares = reference.share_of_classes("+", 3)
    assert {name: count.questions for name, count in report.classes.items()} == {
        n: 10**6 * s for n, s in shares.items()
    }
    assert report.questions == 1_000_000
    assert (
        report.failures == report.classes["S3"].failures == report.classes["S3"].questions == 4500
    )
    assert report.classes["S3"].ci95 == (1.0, 1.0)  # nothing was left unasked
    assert report.classes["S2"].ci95 == (0.0, 0.0)
    assert report.rate == {"+": pytest.approx(0.0045)}
    assert report.uniform == {}
    assert len(report.examples) == 10


def test_exhaustive_subtraction_asks_every_subtraction():
    fmt = Format(2)
    report = v.verify(
        Calculator(fmt, Questions.answer_digits), fmt, exhaustive=True, operations="+-"
    )
    shares = reference.share_of_classes("-", 2)
    counted = {name: count.questions for name, count in report.classes.items() if name[0] in "MN"}
    assert counted == {name: 10**4 * share for name, share in shares.items()}
    assert (report.questions, report.failures) == (20_000, 0)


def test_sampled_counts_pool_uniform_and_class_questions():
    fmt = Format(5)
    report = v.verify(
        Calculator(fmt, lookback_answer),
        fmt,
        "rule",
        questions=30_000,
        per_class=2000,
        batch_size=4096,
    )
    assert report.questions == 30_000 + 6 * 2000
    for name, count in report.classes.items():
        share = float(reference.share_of_classes("+", 5)[name])
        spread = 5 * (30_000 * share * (1 - share)) ** 0.5
        assert count.questions - 2000 == pytest.approx(30_000 * share, abs=spread + 1)
        assert count.failures == (count.questions if int(name[1:]) >= 3 else 0)
    assert report.rate["+"] == pytest.approx(
        failure_rate(5), rel=1e-9
    )  # weighted by exact shares: no sampling noise
    assert report.uniform["+"].questions == 30_000
    assert report.uniform["+"].failures == pytest.approx(30_000 * failure_rate(5), abs=5 * 405**0.5)
    low, high = report.uniform["+"].ci95
    assert low < failure_rate(5) < high
    assert report.classes["S0"].ci95 == (
        0.0,
        pytest.approx(1 - 0.025 ** (1 / report.classes["S0"].questions)),
    )


def test_examples_show_question_truth_and_answer():
    fmt = Format(5)
    report = v.verify(Calculator(fmt, lookback_answer), fmt, questions=0, per_class=20)
    for text in report.examples:
        question, said = text.split(", the model says ")
        first, second = (int(part) for part in question.split("=")[0].split("+"))
        assert question == reference.text_of(first, "+", second, 5)
        assert said != question.split("=")[1]
        assert len(said) == fmt.n_answer


def test_the_questions_depend_on_the_seed_alone():
    fmt = Format(4)
    model = Forgetful(fmt)
    settings = {"questions": 100, "per_class": 20, "operations": "+-"}
    one = v.verify(model, fmt, **settings, seed=1, workers=1, batch_size=50)
    same = v.verify(model, fmt, **settings, seed=1, workers=3, batch_size=17)
    other = v.verify(model, fmt, **settings, seed=2)
    assert (one.classes, one.uniform, one.examples) == (same.classes, same.uniform, same.examples)
    assert one.examples != other.examples
    assert list(one.classes) == [
        "S0",
        "S1",
        "S2",
        "S3",
        "S4",
        "M0",
        "M1",
        "M2",
        "M3",
        "N1",
        "N2",
        "N3",
        "N4",
    ]


def test_no_chunk_repeats_another():
    chunks = plan(4, 3 * CHUNK, 50, False, "+-", seed=0)
    first_rows = [
        tuple(draw(chunk, 4).first[0].tolist() + draw(chunk, 4).second[0].tolist())
        for chunk in chunks
    ]
    assert len(set(first_rows)) == len(chunks)
    assert sum(chunk.count for chunk in chunks) == 2 * 3 * CHUNK + 50 * (5 + 8)
    assert {chunk.seed for chunk in chunks}.isdisjoint(
        {chunk.seed for chunk in plan(4, 3 * CHUNK, 50, False, "+-", 1)}
    )


def test_class_chunks_hold_their_class_alone():
    for chunk in plan(4, 0, 30, False, "+-", seed=0):
        assert set(draw(chunk, 4).classes()) == {chunk.source}
        assert chunk.source in cascades.addition(4).classes + cascades.subtraction(4).classes


@pytest.mark.parametrize(
    "settings",
    [
        {"questions": -1},
        {"per_class": -1},
        {"seed": -1},
        {"questions": 0, "per_class": 0},
        {"operations": "*"},
    ],
)
def test_impossible_plans_are_refused(settings):
    with pytest.raises(LabError, match="expected"):
        v.verify(Calculator(Format(2), Questions.answer_digits), Format(2), **settings)


def test_exhaustive_is_refused_beyond_three_digits():
    with pytest.raises(LabError, match="at most 3 digits"):
        v.verify(Calculator(Format(4), Questions.answer_digits), Format(4), exhaustive=True)


def test_a_model_with_a_smaller_vocabulary_is_refused():
    with pytest.raises(
        LabError, match="vocabulary of at least 13 tokens for this format; the model has 12"
    ):
        v.predict(small_model(d_vocab=12), uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_a_model_with_a_shorter_context_is_refused():
    with pytest.raises(
        LabError, match="context of at least 15 tokens for 4 digits; the model has 13"
    ):
        v.greedy(small_model(3), uniform(4, 5, np.random.default_rng(0)), Format(4))


def test_an_unknown_id_in_a_bare_callable_is_refused():
    embedding = torch.nn.Embedding(5, 20)
    with pytest.raises(LabError, match="token ids up to 12"):
        v.predict(embedding, uniform(3, 5, np.random.default_rng(0)), Format(3))


@pytest.mark.parametrize(
    "model",
    [
        lambda tokens: tokens,
        lambda tokens: None,
        lambda tokens: torch.zeros(len(tokens), 4, 15),
        lambda t: torch.zeros(*t.shape, 5),
    ],
)
def test_a_callable_that_gives_no_logits_is_refused(model):
    with pytest.raises(LabError, match="expected logits of shape"):
        v.predict(model, uniform(3, 5, np.random.default_rng(0)), Format(3))


def test_logits_may_come_wrapped():
    fmt = Format(3)
    bare = Calculator(fmt, Questions.answer_digits)
    assert v.score(
        lambda tokens: SimpleNamespace(logits=bare(tokens)),
        uniform(3, 20, np.random.default_rng(0)),
        fmt,
    ).all()


def test_a_model_that_reads_ahead_is_refused():
    def cheat(tokens):  # each position gives the token after it, which teacher forcing shows
        return torch.nn.functional.one_hot(tokens.roll(-1, dims=1), 15).float()

    with pytest.raises(LabError, match="expected a causal model"):
        v.verify(cheat, Format(3), questions=10)


def test_a_model_with_dropout_on_is_refused():
    model = torch.nn.Sequential(torch.nn.Embedding(15, 15), torch.nn.Dropout(0.5))
    with pytest.raises(LabError, match=r"model\.eval\(\)"):
        v.verify(model, Format(3), questions=10)
    assert v.verify(model.eval(), Format(3), questions=10).questions == 10 + 4 * 20_000


@pytest.fixture
def stored(tmp_path):
    """A folder with an untrained 2-digit model, as training leaves it."""
    from helpers import files
    from helpers.training import folder

    model = small_model(2)
    shape = {
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 16,
        "d_head": 8,
        "d_mlp": 32,
        "n_ctx": 10,
        "d_vocab": 15,
    }
    shape |= {"act_fn": "relu", "normalization_type": "LN"}
    recipe = Recipe("small", "addition", shape, {"n_digits": 2}, 1, 8, 1e-3, 1)
    (tmp_path / folder.RECIPE).write_text(recipe.to_json())
    files.save_atomically(
        model.state_dict(), tmp_path / folder.WEIGHTS, {"recipe": recipe.to_json()}
    )
    return tmp_path


def test_the_command_prints_one_stable_json_object(stored, capsys):
    assert (
        cli.main(["verify", str(stored), "--questions", "500", "--per-class", "20", "--json"]) == 0
    )
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert list(found)[:5] == ["model", "questions", "failures", "classes", "seconds"]
    assert (found["model"], found["questions"]) == (str(stored), 560)
    assert list(found["classes"]) == ["S0", "S1", "S2"]
    for count in found["classes"].values():
        assert list(count) == ["questions", "failures", "ci95"]
        assert count["ci95"][0] <= count["failures"] / count["questions"] <= count["ci95"][1]
    assert sum(count["failures"] for count in found["classes"].values()) == found["failures"] > 0
    assert "no question was right" in printed.err


def test_the_command_prints_a_table(stored, capsys):
    assert cli.main(["verify", str(stored), "--exhaustive"]) == 0
    table = capsys.readouterr().out
    assert "of 10,000 questions wrong (exhaustive" in table
    assert "every question asked" in table
    assert "the model says" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--digits", "5"], "expected 2 digits, as"),
        (["--digits", "0"], "expected 2 digits, as"),
        (["--symbols", "10,11"], "expected three ids"),
        (["--digit-ids", "1,2,3"], "expected ten digit ids"),
        (["--questions", "-5"], "numbers of questions of 0 or more"),
        (["--prefix", "1,2,3"], "context of at least"),
    ],
)
def test_the_command_explains_wrong_options(stored, capsys, arguments, message):
    assert cli.main(["verify", str(stored), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_command_asks_for_the_digits_of_a_foreign_model(tmp_path, capsys):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(
        GPT2Config(vocab_size=20, n_positions=20, n_embd=8, n_layer=1, n_head=2)
    ).save_pretrained(tmp_path)
    assert cli.main(["verify", str(tmp_path)]) == 1
    assert "--digits N" in capsys.readouterr().err


def test_the_command_refuses_an_unknown_name(capsys):
    for options in ([], ["--digits", "3"]):
        assert cli.main(["verify", "add-d99", *options]) == 1
        assert "got 'add-d99'" in capsys.readouterr().err


def test_a_damaged_recipe_is_reported(stored, capsys):
    (stored / "recipe.json").write_text("{")
    assert cli.main(["verify", str(stored)]) == 1
    assert "recipe" in capsys.readouterr().err
