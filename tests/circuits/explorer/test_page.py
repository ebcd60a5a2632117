"""The circuit explorer: what the page says of a circuit is what numpy counts; in a real browser."""

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.circuits.explorer import (
    Code,
    TaskPage,
    circuit_explorer,
    count_codes,
    read_texts,
)
from helpers.circuits.explorer.data import STEP
from helpers.circuits.explorer.encoding import HIGH, LOW, MOST_CODES, encode, restored
from helpers.circuits.explorer.page import MAX_BYTES
from helpers.errors import LabError
from tests.support import views

RNG = np.random.default_rng(3)
N_LAYERS = N_HEADS = 3
N = 9
HEADS = [(layer, head) for layer in range(3) for head in range(3)]
NAMES = [f"L{layer}H{head}" for layer, head in HEADS]
MASKS = np.arange(1 << N)
KEPT = (MASKS[:, None] >> np.arange(N) & 1).astype(bool)
SIZES = KEPT.sum(1)
CODES = RNG.integers(-1, 4, (2, 20, N)) * 7
WORDS = ["<begin>", "anna", "gave", "it", "to"]


def game(seed: int) -> np.ndarray:
    """A faithfulness with pairs of heads that need each other, and pairs that hinder each other."""
    rng = np.random.default_rng(seed)
    alone, pairs = rng.normal(0, 0.15, N), np.triu(rng.normal(0, 0.12, (N, N)), 1)
    values = KEPT @ alone + np.einsum("si,sj,ij->s", KEPT, KEPT, pairs)
    return (values - values[0]) / (values[-1] - values[0]) if values[-1] > 0.3 else game(seed + 100)


def task_page(name: str = "ioi", seed: int = 0, **changes) -> TaskPage:
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet([0.3] * 5, (N, 6))
    attention[:, [2, 5], 4] = 0  # the last prompt, and its twin, have four words
    attention /= attention.sum(-1, keepdims=True)
    prompts = [WORDS, [*WORDS[:4], "<b>&"], WORDS[:4]]
    parts = {
        "task": name,
        "metric": "logit difference",
        "heads": HEADS,
        "n_layers": N_LAYERS,
        "n_heads": N_HEADS,
        "true": np.isin(np.arange(N), [1, 4, 5, 8]),
        "truth": "we say so",
        "shapley": rng.normal(0.1, 0.1, N),
        "faithfulness": game(seed),
        "scores": {
            "discrete SAE": rng.integers(0, 4, N).astype(float),
            "mean difference": rng.random(N),
        },
        "codes": count_codes(*CODES, shown=range(3)),
        "prompts": prompts,
        "twins": [[word.replace("anna", "boris") for word in prompt] for prompt in prompts],
        "attention": attention,
    }
    return TaskPage(**parts | changes)


PAGES = [task_page(), task_page("greater-than", 1)]


@pytest.fixture(scope="module")
def view():
    return circuit_explorer(PAGES)


def stored(page: TaskPage) -> np.ndarray:
    """The faithfulness to the nearest hundredth, halves to the even one of the two."""
    return np.rint((page.faithfulness - LOW) / STEP) * STEP + LOW


def mask_of(chosen) -> int:
    return sum(1 << int(head) for head in np.flatnonzero(chosen))


def written(value: float) -> str:
    return f"{0.0 if abs(value) < 0.005 else value:.2f}".replace("-", "−")


def expected(page: TaskPage, mask: int) -> dict[str, tuple]:
    """For each measure its value, and mean, 5th and 95th percentile over circuits of the size.

    They are computed by counting heads.
    """
    hits, size, true = (KEPT & page.true).sum(1), SIZES, int(page.true.sum())
    precision = np.array([h / s if s else 1.0 for h, s in zip(hits, size, strict=True)])
    recall = hits / true
    harmonic = np.array(
        [2 * p * r / (p + r) if p + r else 0.0 for p, r in zip(precision, recall, strict=True)]
    )
    measures = {
        "faithfulness": page.faithfulness,
        "precision": precision,
        "recall": recall,
        "F1": np.where(size == 0, 0, harmonic),
    }
    own = {**measures, "faithfulness": stored(page)}
    same = size == size[mask]
    return {
        name: (own[name][mask], values[same].mean(), *np.quantile(values[same], [0.05, 0.95]))
        for name, values in measures.items()
    }


# ---- without a browser ----


def test_every_subset_comes_back_to_half_a_step(view):
    for page, data in zip(PAGES, view.data["tasks"], strict=True):
        codes = np.frombuffer(base64.b64decode(data["table"]), dtype=np.uint8)
        assert codes.shape == (1 << N,)
        inside = (page.faithfulness > LOW) & (page.faithfulness < HIGH)
        apart = np.abs(restored(codes) - page.faithfulness)
        assert apart[inside].max() <= STEP / 2 + 1e-9
        assert apart[inside].max() > STEP / 4  # the bound is no looser than it has to be
        assert codes[0] == round(-LOW / STEP)
        assert codes[-1] == round((1 - LOW) / STEP)
        assert (
            data["outside"]
            == (np.abs(page.faithfulness - (HIGH + LOW) / 2) > (HIGH - LOW + STEP) / 2).sum()
        )


def test_values_outside_the_range_are_stored_as_its_ends():
    values = game(0).copy()
    values[3:6] = -2.0, 5.0, HIGH
    data = circuit_explorer([task_page(faithfulness=values)]).data["tasks"][0]
    assert list(base64.b64decode(data["table"])[3:6]) == [0, 255, 255]
    others = np.delete(values, [3, 4, 5])
    assert data["outside"] == 2 + ((others < LOW - STEP / 2) | (others > HIGH + STEP / 2)).sum()


def test_attention_comes_back_to_half_a_hundredth(view):
    page, data = PAGES[0], view.data["tasks"][0]
    rows = iter(base64.b64decode(data["attention"]))
    for head in range(N):
        for text, words in enumerate(data["texts"]):
            values = [next(rows) / 100 for _ in words]
            assert values == pytest.approx(
                page.attention[head, text, : len(words)].tolist(), abs=0.00501
            )
    assert next(rows, None) is None


def test_codes_are_counted():
    found = count_codes(*CODES, shown=[2, 5])
    for head, codes in enumerate(found):
        assert [code.code for code in codes] == sorted({*CODES[0, :, head], *CODES[1, :, head]})
        for code, clean, twins, texts in codes:
            assert (clean, twins) == tuple((CODES[:, :, head] == code).sum(1))
            assert list(texts) == [
                i for i, c in enumerate(CODES[:, [2, 5], head].ravel()) if c == code
            ]


def test_own_codes_are_listed_first_and_the_rest_is_summed():
    codes = [Code(-1, 5, 0)] + [Code(k, 3, 3) for k in range(15)] + [Code(40, 1, 0), Code(41, 2, 0)]
    shown = encode(task_page(codes=[codes] * N))["codes"][0]
    assert [code for code, *_ in shown["shown"]][:4] == [41, 40, 0, 1]
    assert len(shown["shown"]) == MOST_CODES
    assert shown["own"] == 2
    assert shown["all"] == 17
    total = np.array([code[1:3] for code in shown["shown"]]).sum(0) + shown["rest"][1:]
    assert total.tolist() == shown["prompts"] == [53, 45]
    assert shown["rest"][0] == 18 - MOST_CODES


def sixteen(name: str) -> TaskPage:
    rng = np.random.default_rng(len(name))
    words = 30
    return TaskPage(
        name,
        "logit difference",
        [(layer, head) for layer in range(4) for head in range(4)],
        4,
        4,
        np.arange(16) < 5,
        "it is among the first",
        rng.random(16),
        np.concatenate([[0], rng.normal(0.5, 0.4, (1 << 16) - 2), [1]]),
        {f"method {i}": rng.random(16) for i in range(8)},
        count_codes(rng.integers(0, 200, (250, 16)), rng.integers(0, 200, (250, 16))),
        [["sentence"] * words] * 8,
        [["sentence"] * words] * 8,
        rng.dirichlet([1.0] * words, (16, 16)),
    )


def test_three_tasks_of_sixteen_heads_fit_and_many_are_refused():
    view = circuit_explorer([sixteen("a"), sixteen("ab"), sixteen("abc")])
    assert view.nbytes < MAX_BYTES
    with pytest.raises(LabError, match="at most 450 kB"):
        circuit_explorer([sixteen("a" * k) for k in range(1, 6)])


def test_the_fallback_says_what_the_page_shows(view):
    page = PAGES[1]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', view.fallback)
    rows = [(name, re.findall("<td>(.*?)</td>", cells)) for name, cells in rows]
    assert len(rows) == 2 * (N + N + 1)
    for head, (name, cells) in enumerate(rows[N + N + 1 :][:N]):
        assert name == NAMES[head]
        assert cells[0] == ("yes" if page.true[head] else "no")
        assert float(cells[1]) == pytest.approx(page.shapley[head], rel=0.01)
        assert float(cells[2]) == page.scores["discrete SAE"][head]
    for size, (name, cells) in enumerate(rows[-N - 1 :]):
        same = page.faithfulness[size == SIZES]
        assert name == str(size)
        assert [float(cell) for cell in cells[:4]] == pytest.approx(
            [same.mean(), *np.quantile(same, [0.05, 0.95]), same.max()], abs=0.0052
        )
    assert "4 of 9 heads count as true (L0H1, L1H1, L1H2, L2H2)" in view.summary


BAD = np.where(MASKS == 77, np.nan, game(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faithfulness": game(0)[:-1]}, r"faithfulness of all 512 subsets; got shape \(511,\)"),
        ({"faithfulness": BAD}, "finite faithfulness, .* 1 values not finite"),
        ({"faithfulness": game(0)[::-1]}, "0 without heads and 1 with all; got 1 and 0"),
        ({"faithfulness": 3 * game(0)}, "0 without heads and 1 with all"),
        ({"heads": HEADS[::-1]}, "different heads, layer by layer"),
        ({"heads": [*HEADS[:8], (3, 0)]}, "layer by layer, of 3 layers of 3; got 9"),
        (
            {"heads": [(0, h) for h in range(17)], "n_heads": 17},
            "expected 1 to 16 different heads, (.|\n)*; got 17: (.|\n)*does not fit on a page",
        ),
        ({"shapley": np.full(N, np.nan)}, "scores as one row of finite numbers"),
        ({"scores": {"a": np.ones(N - 1)}}, "one label per score"),
        ({"scores": {}}, "at least one method"),
        ({"true": np.zeros(N, dtype=bool)}, "inside and outside the true circuit"),
        ({"prompts": [WORDS]}, "a twin of as many words; got texts of"),
        ({"prompts": [], "twins": []}, "expected some prompts"),
        ({"attention": np.full((N, 6, 4), 0.2)}, r"of shape \(9, 6, 5\)"),
        (
            {"attention": np.full((N, 6, 5), 0.2)},
            "sums to 1 over a text's words; got sums from 0.8",
        ),
        ({"attention": np.full((N, 6, 5), np.nan)}, "sums to 1"),
        ({"codes": [[]] * 8}, "a list of codes for each of 9 heads"),
        ({"codes": [[Code(1, 1, 1, (6,))]] * 9}, "a text that is not shown"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(LabError, match=message):
        task_page(**changes)


def test_codes_and_pages_that_do_not_fit_are_refused():
    with pytest.raises(LabError, match=r"got shapes \(20, 9\) and \(20, 8\)"):
        count_codes(CODES[0], CODES[1, :, :8])
    with pytest.raises(LabError, match="all prompts that are shown"):
        count_codes(*CODES, shown=[20])
    for pages in ([], [PAGES[0], PAGES[0]]):
        with pytest.raises(LabError, match="each with its own name"):
            circuit_explorer(pages)


def test_texts_and_attention_are_the_models():
    import torch

    from helpers import zoo
    from helpers.circuits.tasks.tinyworld import twins

    model = zoo.load("tinyworld-attn", device="cpu")
    pairs = twins("ioi", 3)
    prompts, others, attention = read_texts(model, pairs)
    assert [" ".join(words[1:]) for words in (*prompts, *others)] == [
        *pairs.clean.texts,
        *pairs.corrupted.texts,
    ]
    for text, words in enumerate([*prompts, *others]):
        one = (pairs.clean if text < 3 else pairs.corrupted).tokens[
            text % 3, : len(words)
        ]  # alone, without padding
        with torch.no_grad():
            _, cache = model.run_with_cache(one[None])
        for head in range(16):
            pattern = cache[f"blocks.{head // 4}.attn.hook_pattern"][0, head % 4, -1]
            assert attention[head, text, : len(words)] == pytest.approx(pattern.numpy(), abs=1e-5)


# ---- the page ----


def table(page) -> dict[str, list[str]]:
    return dict(
        page.locator(".measures tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
            ".map(([first, ...others]) => [first, others])"
        )
    )


def check_circuit(page, task: TaskPage, mask: int) -> None:
    """Table, sentence and curve say of a circuit what counting says."""
    wanted, shown = expected(task, mask), table(page)
    size, said = int(SIZES[mask]), page.locator(".now").text_content()
    for name, (own, mean, low, high) in wanted.items():
        if name == "precision" and not size:
            assert shown[name] == ["–", "–", "–"]
            continue
        assert shown[name][0] == written(own)
        numbers = [
            float(text.replace("−", "-"))
            for text in (shown[name][1], *shown[name][2].split(" to "))
        ]
        assert numbers == pytest.approx([mean, low, high], abs=0.0052)
        assert f"{name} {written(own)}" in said.replace("Faithfulness", "faithfulness")
    same = stored(task)[size == SIZES]
    lower = int((same < stored(task)[mask] - 1e-9).sum())
    if len(same) > 1:
        assert f"is higher than {lower} of the other {len(same) - 1}." in said
        assert f"All {len(same)} circuits of {size} head" in said
    for head, name in enumerate(NAMES):
        label = page.locator(f'.grid button[aria-label^="{name}"]').get_attribute("aria-label")
        assert (", kept" in label) == bool(mask >> head & 1) != (", left out" in label)
        assert (", true head" in label) == bool(task.true[head])
    assert (
        page.locator(".curve")
        .get_attribute("aria-label")
        .endswith(f"This circuit: {size}: {written(stored(task)[mask])}.")
    )


@pytest.mark.parametrize(
    ("number", "method"), [(0, "discrete SAE"), (0, "mean difference"), (1, "discrete SAE")]
)
def test_the_slider_goes_through_all_thresholds(open_view, view, number, method):
    page, task = open_view(view), PAGES[number]
    page.locator("select.task").select_option(str(number))
    page.locator("select.method").select_option(label=method)
    scores = task.scores[method]
    circuits = [
        0,
        *(mask_of(scores >= threshold) for threshold in sorted(set(scores), reverse=True)),
    ]
    slider = page.locator("input[type=range]")
    assert slider.get_attribute("max") == str(len(circuits) - 1)
    for step, mask in enumerate(circuits):
        slider.fill(str(step))
        check_circuit(page, task, mask)
        assert slider.get_attribute("aria-valuetext").endswith(f"by {method}")


def test_by_hand_every_circuit_can_be_had(open_view, view):
    page, task = open_view(view), PAGES[0]
    values = stored(task)
    page.locator('input[value="hand"]').check()
    assert not page.locator("input[type=range]").is_visible()
    page.get_by_role("button", name="no head", exact=True).click()
    mask = 0
    check_circuit(page, task, mask)
    for head in [4, 0, 8, 3, 4, 1, 7]:
        before, mask = mask, mask ^ (1 << head)
        button = page.locator(f'.grid button[aria-label^="{NAMES[head]}"]')
        button.click()
        assert button.get_attribute("aria-pressed") == str(bool(mask >> head & 1)).lower()
        said = page.locator(".now").text_content()
        verb = "added" if mask >> head & 1 else "left out"
        assert said.startswith(
            f"{NAMES[head]} {verb}: faithfulness from {written(values[before])} "
            f"to {written(values[mask])}."
        )
        check_circuit(page, task, mask)
        changes = [values[mask ^ (1 << i)] - values[mask] for i in range(N)]
        shown = page.locator(".grid .change").all_text_contents()  # the last layer is on top
        order = [i for layer in (2, 1, 0) for i in range(3 * layer, 3 * layer + 3)]
        for i, text in zip(order, shown, strict=True):
            assert float(text.replace("−", "-").replace("±", "")) == pytest.approx(
                changes[i], abs=1e-6
            )
        check_advice(page, task, mask, changes)


def check_advice(page, task: TaskPage, mask: int, changes: list[float]) -> None:
    said, size = page.locator(".advice").text_content(), SIZES[mask]
    best = int(np.where(size == SIZES, task.faithfulness, -np.inf).argmax())
    assert f"Best circuit of {size} head" in said
    if best == mask:
        assert "this one" in said
    else:
        chosen = [NAMES[i] for i in range(N) if best >> i & 1]
        assert (
            f": {' and '.join([', '.join(chosen[:-1])] * (len(chosen) > 1) + [chosen[-1]])}, "
            in said
        )
        assert f", {written(task.faithfulness[best])}." in said
    for text, inside in (("Best head to add: ", False), ("Best head to leave out: ", True)):
        name = re.search(f"{text}(L.H.)", said).group(1)
        head = NAMES.index(name)
        assert bool(mask >> head & 1) == inside
        assert changes[head] == pytest.approx(
            max(c for i, c in enumerate(changes) if bool(mask >> i & 1) == inside)
        )


def test_starting_points_by_hand(open_view, view):
    page, task = open_view(view), PAGES[0]
    slider = page.locator("input[type=range]")
    slider.fill("2")
    chosen = mask_of(task.scores["discrete SAE"] >= sorted(set(task.scores["discrete SAE"]))[-2])
    page.locator('input[value="hand"]').check()
    check_circuit(page, task, chosen)  # by hand goes on from where the slider stands
    for name, mask in {
        "all heads": (1 << N) - 1,
        "the true heads": mask_of(task.true),
        "the best circuit of this size": int(
            np.where(SIZES == 4, task.faithfulness, -np.inf).argmax()
        ),
        "no head": 0,
    }.items():
        page.get_by_role("button", name=name, exact=True).click()
        check_circuit(page, task, mask)
    page.locator('input[value="best"]').check()
    check_circuit(page, task, chosen)


def test_values_beyond_the_range_are_marked(open_view):
    values = game(0).copy()
    values[1], values[2] = 4.0, -3.0
    page = open_view(circuit_explorer([task_page(faithfulness=values)]))
    page.locator('input[value="hand"]').check()
    page.get_by_role("button", name="no head", exact=True).click()
    first = page.locator('.grid button[aria-label^="L0H0"]')
    assert "beyond the stored range" in first.get_attribute("aria-label")
    first.click()
    assert table(page)["faithfulness"][0] == "≥ 1.80"
    first.click()
    page.locator('.grid button[aria-label^="L0H1"]').click()
    assert table(page)["faithfulness"][0] == "≤ −0.75"
    outside = ((values < LOW - STEP / 2) | (values > HIGH + STEP / 2)).sum()
    assert f"{outside} of the 512 circuits lie outside" in page.locator(".stored").text_content()


def test_a_head_tells_scores_ranks_and_codes(open_view, view):
    page, task = open_view(view), PAGES[0]
    for head, name in enumerate(NAMES):
        page.locator(f'.grid button[aria-label^="{name}"]').click()
        assert page.locator("#head-title").text_content() == f"Head {name}"
        rows = page.locator(".ranks tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(c => c.textContent))"
        )
        for (_, value, rank), scores in zip(
            rows, [task.shapley, *task.scores.values()], strict=True
        ):
            assert float(value.replace("−", "-")) == pytest.approx(scores[head], rel=0.006)
            first, last = (scores > scores[head]).sum() + 1, (scores >= scores[head]).sum()
            assert rank == (str(first) if first == last else f"{first}–{last}")
        said = page.locator(".told").text_content()
        assert said.startswith(f"{name} is {'a' if task.true[head] else 'not a'} true head.")
        own = set(CODES[0, :, head]) - set(CODES[1, :, head]) - {-7}
        shows = len({*CODES[:, :, head].ravel()} - {-7})
        assert page.locator(".own").text_content().startswith(f"{len(own)} of the {shows} codes")


@pytest.fixture
def odd():
    """Codes with a head of none, one own code, one on twins only, and no code (-1)."""
    codes = [[] for _ in range(N)]
    codes[0] = [
        Code(5, 12, 8, (0, 3)),
        Code(9, 6, 0, (2,)),
        Code(-1, 2, 10, ()),
        Code(3, 0, 2, (4,)),
    ]
    return task_page(codes=codes)


def test_codes_light_prompts_and_prompts_show_attention(open_view, odd):
    page = open_view(circuit_explorer([odd]))
    page.locator('.grid button[aria-label^="L0H0"]').click()
    rows = page.locator(".codes tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(c => c.textContent))"
    )
    assert rows == [
        ["9", "6", "0", "only on prompts"],
        ["5", "12", "8", ""],
        ["none", "2", "10", "no latent active"],
        ["3", "0", "2", "only on twins"],
    ]
    assert page.locator(".codes thead").text_content() == "Codeon 20 promptson 20 twins"
    assert (
        "L0H0 shows code 9 on 1 of the 3 prompts and 0 of the 3 twins"
        in page.locator(".lit").text_content()
    )
    page.get_by_role("button", name="code 5").click()
    assert (
        "shows code 5 on 1 of the 3 prompts and 1 of the 3 twins on this page:"
        in page.locator(".lit").text_content()
    )
    assert page.locator(".prompts button").all_text_contents() == [
        "prompt 1: <begin> anna gave it to",
        "twin 1: <begin> boris gave it to",
    ]
    page.locator(".prompts button").nth(1).click()
    check_attention(page, odd, 0, 3)
    page.locator("select.text").select_option("2")
    check_attention(page, odd, 0, 2)
    page.get_by_role("button", name="no code").click()
    assert (
        page.locator(".lit").text_content()
        == "L0H0 has no code on 0 of the 3 prompts and 0 of the 3 twins on this page."
    )
    page.locator('.grid button[aria-label^="L2H1"]').click()
    check_attention(page, odd, 7, 2)
    assert page.locator(".own").text_content() == "It shows no code."
    page.locator("select.text").select_option("1")
    assert page.locator(".words li span").last.text_content() == "<b>&"


def check_attention(page, task: TaskPage, head: int, text: int) -> None:
    words = [*task.prompts, *task.twins][text]
    row = task.attention[head, text, : len(words)]
    assert page.locator(".words li span").all_text_contents() == words
    shown = [float(number) for number in page.locator(".words small").all_text_contents()]
    assert shown == pytest.approx(row.tolist(), abs=0.00501)
    top = int(row.argmax())
    assert (
        f"{NAMES[head]} attends to “{words[top]}” (word {top + 1}) {shown[top]:.2f}"
        in page.locator(".attends").text_content()
    )
    assert page.locator(".words .differs").all_text_contents() == [
        word for word in words if word in ("anna", "boris")
    ]


def test_everything_works_from_the_keyboard(open_view, view):
    page, task = open_view(view), PAGES[0]
    page.keyboard.press("Tab")
    assert page.locator("select.task:focus").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.locator('input[value="best"]:focus').count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    check_circuit(page, task, 0)
    page.keyboard.press("ArrowRight")
    check_circuit(
        page, task, mask_of(task.scores["discrete SAE"] == task.scores["discrete SAE"].max())
    )
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    assert page.locator('input[value="hand"]').is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # "no head"
    for _ in range(4):
        page.keyboard.press("Tab")
    focused = page.locator(".grid button:focus")
    assert focused.count() == 1
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    for key, name in {
        "ArrowRight": "L0H1",
        "ArrowUp": "L1H1",
        "End": "L1H2",
        "ArrowLeft": "L1H1",
        "ArrowDown": "L0H1",
    }.items():
        page.keyboard.press(key)
        assert focused.get_attribute("aria-label").startswith(name)
        assert page.locator("#head-title").text_content() == f"Head {name}"
        assert page.locator('.grid button[tabindex="0"]').count() == 1
    page.keyboard.press("Space")
    check_circuit(page, task, 1 << 1)
    assert focused.get_attribute("aria-label").startswith("L0H1")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    check_circuit(page, task, 1 << 1 | 1 << 4)
    outline = focused.evaluate(
        "element => getComputedStyle(element).outlineStyle + getComputedStyle(element).outlineWidth"
    )
    assert outline == "solid3px"


def test_kept_heads_and_true_heads_do_not_differ_by_colour_alone(open_view, view):
    page, task = open_view(view), PAGES[0]
    kept = task.scores["discrete SAE"] >= 3
    page.locator("input[type=range]").fill("1")
    for head, name in enumerate(NAMES):
        button = page.locator(f'.grid button[aria-label^="{name}"]')
        assert button.evaluate("element => getComputedStyle(element).borderTopStyle") == (
            "solid" if kept[head] else "dashed"
        )
        assert (
            ("✓ kept" in button.text_content()) == kept[head] != ("– out" in button.text_content())
        )
        assert ("◆" in button.text_content()) == task.true[head]


def test_layers_go_up_and_heads_to_the_right(open_view, view):
    page = open_view(view)
    middle = {}
    for (layer, head), name in zip(HEADS, NAMES, strict=True):
        middle[layer, head] = page.locator(f'.grid button[aria-label^="{name}"]').bounding_box()
    for layer, head in HEADS:
        if layer:
            assert middle[layer, head]["y"] < middle[layer - 1, head]["y"]
        if head:
            assert middle[layer, head]["x"] > middle[layer, head - 1]["x"]


def test_heads_that_are_not_there_leave_their_cell_empty(open_view):
    codes, wide = (
        count_codes(*CODES, shown=range(3)),
        [(0, 1), *HEADS[2:6], *((2, head) for head in range(4))],
    )
    page = open_view(circuit_explorer([task_page(heads=wide, n_heads=4, codes=codes)]))
    assert page.locator(".grid button").count() == 9
    assert page.locator(".grid td[role=gridcell]").count() == 12
    page.locator('.grid button[aria-label^="L0H1"]').click()
    page.keyboard.press("ArrowLeft")  # no head is there: nothing moves
    assert page.locator("#head-title").text_content() == "Head L0H1"


def test_a_page_with_another_number_of_heads_follows(open_view):
    small = 1 << 4
    values = np.arange(small) / (small - 1)
    page_of_four = replace(
        PAGES[0],
        task="four",
        heads=HEADS[:4],
        true=np.array([1, 0, 0, 1], dtype=bool),
        shapley=np.array([1, 2, 4, 8]) / 15,
        faithfulness=values,
        scores={"other": np.arange(4.0)},
        codes=PAGES[0].codes[:4],
        attention=PAGES[0].attention[:4],
    )
    page = open_view(circuit_explorer([PAGES[0], page_of_four]))
    page.locator('input[value="hand"]').check()
    page.locator('.grid button[aria-label^="L2H2"]').click()
    page.locator("select.task").select_option("1")
    page.get_by_role("button", name="all heads", exact=True).click()
    assert page.locator(".grid button").count() == 4
    assert page.locator("#head-title").text_content() == "Head L1H0"
    page.locator('.grid button[aria-label^="L1H0"]').click()
    assert table(page)["faithfulness"][0] == "0.47"  # 7 of 15


def test_without_scripts_the_tables_are_there(open_view, view):
    page = open_view(view, java_script_enabled=False)
    assert page.get_by_text("greater-than. True: we say so.").is_visible()
    assert page.get_by_role("row").count() == 2 * (1 + N + 1 + N + 1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("mode", ["best", "hand"])
def test_accessible_in_both_themes_and_no_wider_than_a_phone(open_view, view, theme, width, mode):
    page = open_view(view, color_scheme=theme, viewport={"width": width, "height": 844})
    page.locator(f'input[value="{mode}"]').check()
    page.locator("summary").click()
    page.locator('.grid button[aria-label^="L1H1"]').click()
    spill = (
        "buttons => buttons.filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.textContent)"
    )
    assert page.locator(".grid button").evaluate_all(spill) == []
    views.check_accessible(page, width)
