# %% [markdown]
# # Lab 1 · Verified addition
#
# A small transformer adds two numbers and is never wrong. Do you *know* that, or do you only hope
# it? This lab takes one such model all the way: you count its errors where errors hide, find out
# which parts do which piece of the arithmetic, and test every piece by exchanging it for another
# one whose effect you predict to the last digit.
#
# The programme is that of Quirke, Neo and Barez,
# [*Understanding Addition and Subtraction in Transformers*](https://arxiv.org/abs/2402.02619). The
# chapter [Verified arithmetic](../book/ch1_verified_arithmetic.md) explains it and says where this
# lab departs from it.
#
# **You will be able to**
#
# - say which questions a random test set never asks, and draw them on purpose;
# - put an interval on "no failures seen";
# - write addition as sub-tasks and predict what exchanging one of them does to the answer;
# - tell a binary carry from a tri-state one and from a cascaded one, by experiment;
# - judge whether a map of a circuit is enough, and against which chance.
#
# **You need** Lab 0, or to know what ablation and activation patching are.
#
# **Cost** Nine exercises of 4 to 8 minutes, about an hour in all. The set-up cell prints the
# measured run time.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab1")

# %%
import numpy as np
import torch

from helpers import stats, training, zoo
from helpers.arithmetic.circuit import addition, lookback, nodemap, patching, sufficiency, tristate
from helpers.arithmetic.explorer import live_explorer
from helpers.arithmetic.questions import Format, algorithm, all_additions, cascades, parse, uniform
from helpers.arithmetic.verification import greedy, predict, verify
from helpers.course.check import check, scores
from helpers.interventions import Node, all_nodes
from helpers.show import claims, grids, percent, pictures, plots, rate, say, table

# %% [markdown]
# ## 1 · Which questions are hard?
#
# A question of $n$ digits is a row of $3n + 4$ tokens: the digits $D_{n-1} \ldots D_0$, the
# operator, $D'_{n-1} \ldots D'_0$, an equals sign, then the answer: a sign token and the digits
# $A_n \ldots A_0$. Index 0 is always the units.

# %%
question = parse("445455+554546")
fmt = Format(question.n_digits)
print(question.text(), "class", question.classes()[0])
table(
    ["position", *range(fmt.n_ctx)],
    [["name", *fmt.position_labels], ["token id", *question.tokens(fmt)[0].tolist()]],
)

# %% [markdown]
# Column $k$ makes a *carry* if $D_k + D'_k \ge 10$. A column that sums to *nine* makes none of its
# own but passes one on. So a carry can run through any number of nines, and the first answer digit
# that the model writes may depend on the last columns that it reads. The **class** $S_m$ of an
# addition is the length of its longest such run: $S_0$ has no carry, $S_1$ has carries that stop at
# once, $S_m$ has a carry that passes through $m - 1$ nines.

# %% [markdown]
# ### Exercise 1.1 · The cascade class
#
# *2 points · 6 minutes · ●●○*
#
# Write a function that takes the digits of two numbers, **units first**, and returns $m$.
#
# <details><summary>Hint</summary>
#
# Walk from the units up and keep two numbers: the length of the run you are in (0 if you are in
# none), and the longest so far. A carry starts a new run, whatever came before. A nine prolongs a
# run if there is one.
#
# </details>


# %%
def cascade_class(first, second):
    """Length m of the longest carry cascade of two lists of digits, units first."""
    # BEGIN SOLUTION
    run = longest = 0
    for d, e in zip(first, second, strict=True):
        if d + e >= 10:
            run = 1
        elif d + e == 9 and run:
            run += 1
        else:
            run = 0
        longest = max(longest, run)
    return longest
    # END SOLUTION


# %%
check("lab1.1", cascade_class)

# %% [markdown]
# How rare are the long ones? The share of every class among uniform questions follows exactly from
# the 45 % of columns that carry and the 10 % that sum to nine, by dynamic programming over the
# columns.

# %%
share = cascades.frequencies(cascades.addition(6), 6)
table(
    ["class", "exact share of uniform 6-digit questions", "expected among 1 000 000"],
    [[name, f"{value:.3g}", f"{1e6 * value:,.1f}"] for name, value in share.items()],
)

# %% [markdown]
# **Found.** A million random questions contain a handful of full-length cascades. A model that gets
# *all* of those wrong would still score 99.999 %. So the test has to draw every class on purpose.

# %% [markdown]
# ## 2 · Is the model right?
#
# Three models of the same shape (2 layers, 3 heads, width 96) were trained on 3, 5 and 6 digits.
# Two more have only one layer; section 3 is about them. For 3 digits *every* question can be asked:
# there are $10^6$. That is a proof by enumeration, on this machine's arithmetic.

# %%
NAMES = ("add-d3", "add-d5", "add-d6", "add-d5-1l", "add-d5-1l-enriched")
models = {
    name: zoo.load(name, device="cpu").requires_grad_(False) for name in NAMES
}  # so small that a GPU would not help
proof = verify(models["add-d3"], Format(3), name="add-d3", exhaustive=True)
print(proof.table())

# %% [markdown]
# For 6 digits there are $10^{12}$ questions. We ask a sample: uniform ones, and further ones from
# each class. Here the sample is small, to keep the lab short; the table after it shows the full
# verification that was run when the weights were shipped
# (`python -m helpers verify add-d6 --questions 1000000`).

# %%
quick = verify(models["add-d6"], Format(6), name="add-d6", questions=40_000, per_class=4_000)
print(quick.table())

# %%
shipped = {name: zoo.entry(name).measured for name in NAMES}
table(
    ["model", "method", "questions", "failures", "highest upper bound of any class (95 %)"],
    [
        [
            name,
            report["method"],
            f"{report['questions']:,}",
            f"{report['failures']:,}",
            f"{max(c['ci95'][1] for c in report['classes'].values()):.1e}",
        ]
        for name, report in shipped.items()
    ],
)

# %% [markdown]
# ### Exercise 1.2 · What zero failures tell you
#
# *2 points · 4 minutes · ●●○*
#
# You asked $N$ questions and saw no failure. How large may the failure rate still be? The one-sided
# answer at level $1 - \alpha$ is the rate $p$ at which seeing none has probability $\alpha$. Write
# it.
#
# <details><summary>Hint</summary>
#
# $N$ independent questions all succeed with probability $(1 - p)^N$. Solve for $p$.
#
# </details>


# %%
def upper_bound(trials, alpha=0.05):
    """Largest failure rate that `trials` questions without a failure admit at level 1 - alpha."""
    # BEGIN SOLUTION
    return 1 - alpha ** (1 / trials)
    # END SOLUTION


# %%
check("lab1.2", upper_bound)

# %% [markdown]
# The tables use the two-sided Clopper–Pearson interval, which is a little wider:
# `stats.clopper_pearson(0, N)`.
#
# **Teacher forcing.** All answers above were read in one pass, with the *true* answer digits before
# each guess. Is that fair? For an intact causal model it is: if every guess is right, then greedy
# decoding, which feeds its own guesses, sees exactly the same tokens, so both succeed or both fail.
# Under an intervention this breaks, because a wrong first digit is then followed by true ones.
# Control: decode a sample token by token.

# %%
rows = []
for name in (
    "add-d6",
    "add-d5-1l-enriched",
):  # the second one errs, so that there is something to differ in
    form = Format(zoo.entry(name).recipe.data["n_digits"])
    sample = sufficiency.mixture(form.n_digits, 300, seed=1)
    truth = sample.tokens(form)[:, form.equals_position + 1 :]
    verdicts = [(read(models[name], sample, form) == truth).all(1) for read in (predict, greedy)]
    rows.append(
        [
            name,
            len(sample),
            *(int((~v).sum()) for v in verdicts),
            int((verdicts[0] != verdicts[1]).sum()),
        ]
    )
table(
    ["model", "questions", "wrong in one pass", "wrong token by token", "different verdicts"], rows
)

# %% [markdown]
# ## 3 · What does one layer miss?
#
# A layer can look at every column, but it cannot wait for another column's result. The earlier
# paper of the authors ([arXiv 2310.13121](https://arxiv.org/abs/2310.13121)) found that its
# one-layer model settles for looking **one column back**:
#
# $$\text{carry into } n \;=\; SC_{n-1} \;\lor\; (SS_{n-1} \land SC_{n-2}),$$
#
# where $SC_k = [D_k + D'_k \ge 10]$ and $SS_k = [D_k + D'_k = 9]$. This rule is wrong exactly on
# the classes $S_3$ and above.

# %% [markdown]
# ### Exercise 1.3 · The one-column look-back rule
#
# *3 points · 8 minutes · ●●○*
#
# Return the answer digits that the rule gives, units first, $n + 1$ of them.
#
# <details><summary>Hint</summary>
#
# Work out the list of carries into columns $1 \ldots n$ first. Column 1 has no column two back.
# Then $A_k = (D_k + D'_k + \text{carry}_k) \bmod 10$, and the top digit is the last carry.
#
# </details>


# %%
def lookback_rule(first, second):
    """Answer digits of two lists of digits (units first) when carries look one column back."""
    # BEGIN SOLUTION
    sums = [d + e for d, e in zip(first, second, strict=True)]
    carries = [0]
    for k, total in enumerate(sums):
        passed_on = k > 0 and total == 9 and sums[k - 1] >= 10
        carries.append(int(total >= 10 or passed_on))
    return [(total + carry) % 10 for total, carry in zip([*sums, 0], carries, strict=True)]
    # END SOLUTION


# %%
check("lab1.3", lookback_rule)

# %% [markdown]
# Two models have one layer and the same shape. `add-d5-1l` was trained, for 4 000 steps, on
# questions in which no carry passes through more than one nine. `add-d5-1l-enriched` was trained
# for 6 000 steps on the same mixture as the two-layer models, long cascades included. Both are
# decoded token by token, for the rule too knows nothing but the question.

# %%
five = Format(5)
asked = uniform(5, 10_000, np.random.default_rng(2))
ONE_LAYER = ("add-d5-1l", "add-d5-1l-enriched")
compared = {
    name: lookback.compare(asked, greedy(models[name], asked, five), five) for name in ONE_LAYER
}
rows = []
for name, result in compared.items():
    (neither, only_model), (only_rule, both) = result.contingency()
    same, _ = result.same_mistake()
    rows.append([name, rate(result.model_fails), neither, only_model, only_rule, both, same])
say(
    f"The rule fails on {100 * lookback.failure_rate(5):.2f} % of uniform 5-digit questions, "
    f"exactly; here on {rate(result.rule_fails)}."
)
table(
    [
        "model",
        "model fails",
        "neither fails",
        "only the model",
        "only the rule",
        "both",
        "both, same wrong answer",
    ],
    rows,
)

# %% [markdown]
# A uniform sample holds few long cascades. Drawn on purpose, 300 of every class, the picture is
# sharper. The two-layer model stands beside them.

# %%
hard = sufficiency.mixture(5, 300, seed=3)
stratified = {
    name: lookback.compare(hard, greedy(models[name], hard, five), five)
    for name in (*ONE_LAYER, "add-d5")
}
by_class = {name: result.by_class() for name, result in stratified.items()}
table(
    ["class", "rule fails", *(f"{name} fails" for name in by_class)],
    [
        [
            cls,
            f"{100 * row['rule_fails'] / row['questions']:.0f} %",
            *(
                percent(r["model_fails"] / 300, *stats.clopper_pearson(r["model_fails"], 300))
                for r in (b[cls] for b in by_class.values())
            ),
        ]
        for cls, row in by_class["add-d5"].items()
    ],
)

# %% [markdown]
# **Found.** Trained without long cascades, one layer follows the rule, down to the same wrong
# answers. That does not show that one layer *must*: trained on long cascades (and for 6 000 steps
# instead of 4 000), the same shape gets most of them right. The authors' one-layer model saw sums
# of nine in training too and still follows the rule. It was trained differently in other ways, and
# we do not know which of them matters. Two layers trained on short carries only were not tried.

# %% [markdown]
# ## 4 · Addition in pieces
#
# A model that is always right needs the whole cascade. The paper writes it with three sub-tasks of
# one column and one fold over columns:
#
# | name | value | meaning |
# |---|---|---|
# | $SA_k$ | $(D_k + D'_k) \bmod 10$ | base add |
# | $SC_k$ | 1 if the sum is 10 or more | make carry |
# | $ST_k$ | 0, U or 1: sum at most 8, exactly 9, at least 10 | tri-state: U is *undecided* |
# | $SV_k$ | $\mathrm{TriAdd}(ST_k, SV_{k-1})$, with $SV_0 = ST_0$ | carry out of column $k$, cascade included |
#
# Then $A_0 = SA_0$, $A_k = (SA_k + SV_{k-1}) \bmod 10$ and $A_n = SV_{n-1}$. The units are never
# undecided: nothing comes from below, so a sum of nine there is a 0.

# %% [markdown]
# ### Exercise 1.4 · TriAdd and the fold
#
# *3 points · 6 minutes · ●●○*
#
# Write the fold: from the tri-states of all columns, units first, to the carries out of all
# columns. Use the strings `"0"`, `"U"` and `"1"`.
#
# <details><summary>Hint</summary>
#
# TriAdd keeps the higher column's value unless that is U; then the lower one decides.
#
# </details>


# %%
def carries_out(tri_states):
    """Carries out of every column from its tri-states, units first; no "U" remains."""
    # BEGIN SOLUTION
    carries = []
    for state in tri_states:
        carries.append(carries[-1] if state == "U" else state)
    return carries
    # END SOLUTION


# %%
check("lab1.4", carries_out)

# %% [markdown]
# Is the decomposition right? Here it is composed and compared with integer arithmetic on all $10^6$
# questions of three digits.

# %%
every = all_additions(3)
_, composed = algorithm.answer(every)
index = torch.arange(10**6)
say(
    "Composed sub-tasks equal integer addition on "
    f"{int(((composed * 10 ** torch.arange(4)).sum(1) == index // 1000 + index % 1000).sum()):,} "
    "of 1,000,000 questions."
)

# %% [markdown]
# ## 5 · Which nodes matter?
#
# From here on we look inside one model. A *node* is one attention head or one MLP at one position.
# First question: which nodes does it hurt to lose, one at a time? Each node is replaced by its own
# mean over other questions.
#
# We use the 6-digit model, the size that the paper studies most; `NAME = "add-d5"` works as well.

# %%
NAME = "add-d6"
model = models[NAME]
n_digits = zoo.entry(NAME).recipe.data["n_digits"]
fmt = Format(n_digits)
untrained = training.build_model(zoo.entry(NAME).recipe).eval().requires_grad_(False)
bench = sufficiency.bench(model, fmt, per_class=200, seed=0)
quarter = bench.every(4)
right = torch.stack(
    [quarter.right([node]) for node in bench.nodes]
)  # [node, question, answer token]
loss = 1 - right.double().mean(1)
hurt = dict(zip(bench.nodes, (1 - right.all(2).double().mean(1)).tolist(), strict=True))

# %%
shape = {
    "positions": fmt.position_labels,
    "n_layers": model.cfg.n_layers,
    "n_heads": model.cfg.n_heads,
}
alone = [node for node, value in hurt.items() if value > 0.01]
strongest = sorted(hurt, key=lambda node: -hurt[node])[:12]
where = ", ".join(fmt.position_labels[p] for p in sorted({node.position for node in alone}))
figure = grids.node_heatmap(
    hurt, **shape, title="Answers broken by mean-ablating one node", unit="share of answers"
)
pictures.show(
    figure,
    f"Grid of positions by heads and MLPs of both layers of {NAME}. {len(alone)} of {len(hurt)} "
    f"nodes break more than one answer in a hundred; they stand at {where}. The darkest cell is "
    f"{strongest[0]}, which breaks {hurt[strongest[0]]:.0%}.",
)
say(
    f"{len(alone)} of {len(hurt)} nodes break more than 1 % of the answers when ablated alone "
    f"({len(quarter.questions)} questions, every class equally often)."
)

# %% [markdown]
# The positions of the first number do nothing: nothing can be added there yet. And before the
# equals sign a node can break several answer digits, after it exactly one. The table shows which
# answer token each node breaks most.

# %%
rows_of = dict(zip(bench.nodes, loss, strict=True))
table(
    ["node", "at", *fmt.answer_labels],
    [
        [node, fmt.position_labels[node.position], *(f"{100 * v:.0f} %" for v in rows_of[node])]
        for node in strongest
    ],
)

# %% [markdown]
# Where do these nodes look? A layer-0 head can know the sum of column $k$ only if it looks at both
# $D_k$ and $D'_k$. The paper uses this as a *prerequisite*. It is cheap, and it is not evidence: it
# says where to test.

# %% tags=["hide-input"]
pattern = nodemap.mean_pattern(model, uniform(n_digits, 500, np.random.default_rng(4)).tokens(fmt))
columns_seen = []
for digit in reversed(range(n_digits)):
    position = fmt.answer_position(digit) - 1
    columns_seen.append([f"{fmt.position_labels[position]}, predicts A{digit}"])
    for head in range(model.cfg.n_heads):
        seen = [
            k for k in range(n_digits) if nodemap.attends(pattern, fmt, Node(position, 0, head), k)
        ]
        columns_seen[-1].append(", ".join(map(str, seen)) or "none")
table(
    ["position", *(f"columns L0H{head} looks at" for head in range(model.cfg.n_heads))],
    columns_seen,
)

# %% [markdown]
# ## 6 · What does a node do? Exchange it, and predict
#
# Ablation says *that* a node matters. To learn *what* it carries, exchange its output for the one
# it has on another question, and predict the new answer. For base add at digit $k$: take two
# questions that differ in column $k$ only; store the node's output on one, write it into the run on
# the other. If the node carries $SA_k$, then the answer digit $A_k$ becomes
# $(SA_k^{\text{stored}} + SV_{k-1}^{\text{clean}}) \bmod 10$, and nothing else changes.

# %% [markdown]
# ### Exercise 1.5 · Predict the patched answer
#
# *3 points · 8 minutes · ●●●*
#
# Given two questions as digit lists (units first) that differ in column $k$ only, return the digits
# of the answer (units first, $n + 1$ of them) that you expect when $SA_k$ comes from the stored
# question and everything else from the clean one.
#
# <details><summary>Hint</summary>
#
# Start from the true answer of the clean question. Only digit $k$ changes. By how much? The carry
# into column $k$ is that of the clean question, so it is already in the clean digit.
#
# </details>


# %%
def predict_base_add_patch(stored_first, stored_second, clean_first, clean_second, k):
    """Answer digits, units first, when SA_k is taken from the stored question."""
    # BEGIN SOLUTION
    total = sum(
        (d + e) * 10**i for i, (d, e) in enumerate(zip(clean_first, clean_second, strict=True))
    )
    digits = [total // 10**i % 10 for i in range(len(clean_first) + 1)]
    moved = (stored_first[k] + stored_second[k]) - (clean_first[k] + clean_second[k])
    digits[k] = (digits[k] + moved) % 10
    return digits
    # END SOLUTION


# %%
check("lab1.5", predict_base_add_patch)

# %% [markdown]
# Now on the model: 50 random pairs for every digit, each in both directions, 100 tests. A hit is an
# answer that equals the prediction in *every* token. Controls beside it: pairs whose digits differ
# but whose $SA_k$ is the same must leave the answer alone (null), and the same exchange one
# position *earlier* must not give the predicted answer. (One position later would be an empty
# control: nothing flows backwards in a causal model.)

# %%
COUNT = 100


def shown(result):
    """A rate with its interval, as text."""
    return percent(result.rate, *result.interval)


base_add = {}
for digit in range(n_digits):
    position = addition.SA.positions(fmt, digit)[0]
    heads = [Node(position, 0, head) for head in range(model.cfg.n_heads)]
    before = tuple(Node(position - 1, 0, head) for head in range(model.cfg.n_heads))
    sets = [*((head,) for head in heads), tuple(heads), (Node(position, 0),), before]
    *single, together, mlp, control = patching.rates(model, fmt, addition.SA, digit, sets, COUNT)
    base_add[digit] = {
        "single": max(single, key=lambda r: r.rate),
        "together": together,
        "mlp": mlp,
        "control": control,
    }
table(
    [
        "sub-task",
        "best single head",
        "all layer-0 heads",
        "layer-0 MLP",
        "null: unchanged",
        "one position earlier",
    ],
    [
        [
            f"SA{digit}",
            f"{row['single'].nodes[0]}: {shown(row['single'])}",
            shown(row["together"]),
            shown(row["mlp"]),
            f"{100 * row['together'].null_rate:.0f} %",
            shown(row["control"]),
        ]
        for digit, row in base_add.items()
    ],
)

# %% [markdown]
# **Found.** The heads of layer 0 at the position that predicts $A_k$ carry $SA_k$ together, and all
# but completely; no single one does it alone. The paper meets the same and calls such a pair a
# virtual head.

# %% [markdown]
# ## 7 · One carry bit, or a tri-state, or the whole cascade?
#
# A head that looks at column $k$ and changes $A_{k+1}$ may carry three different things. Exchange
# experiments separate them:
#
# | what differs between the two questions | $SC_k$ | $ST_k$ | $SV_k$ |
# |---|---|---|---|
# | **SC** column $k$ low, or carry | flip | flip | flip |
# | **U** column $k$ low, or nine; a carry comes from below | stay | flip | flip |
# | **SV** column $k$ sums to nine; the carry from below is toggled | stay | stay | flip |

# %% [markdown]
# ### Exercise 1.6 · Toggle the carry from below
#
# *2 points · 6 minutes · ●●○*
#
# Build the third kind of pair for digit $k \ge 1$: two questions whose column $k$ sums to nine in
# both, whose columns above $k$ are the same, and whose carry *into* column $k$ differs. Return two
# pairs of digit lists, units first: `((first, second), (first, second))`.
#
# <details><summary>Hint</summary>
#
# All you need is one column below $k$ that carries in one question and not in the other. Column
# $k - 1$ is the easiest.
#
# </details>


# %%
def toggled_pair(n_digits, k):
    """Two questions with D_k + D'_k = 9 in both and different carries into column k."""
    # BEGIN SOLUTION
    first, second = [1] * n_digits, [2] * n_digits
    first[k], second[k] = 4, 5
    low = (first, second)
    carry_first, carry_second = list(first), list(second)
    carry_first[k - 1], carry_second[k - 1] = 7, 8
    return low, (carry_first, carry_second)
    # END SOLUTION


# %%
check("lab1.6", toggled_pair)

# %%
kinds = []
for digit in range(1, n_digits):
    position = addition.SC.positions(fmt, digit)[0]
    heads = [
        [Node(position, layer, head) for head in range(model.cfg.n_heads)] for layer in range(2)
    ]
    sets = [*((head,) for head in heads[0]), tuple(heads[1]), (Node(position, 1),)]
    tests = {
        name: patching.rates(model, fmt, addition.SUBTASKS[name], digit, sets, COUNT)
        for name in ("SC", "U", "SV")
    }
    carry_head = max(range(model.cfg.n_heads), key=lambda head: tests["SC"][head].rate)
    for which, label in ((carry_head, f"L0H{carry_head}"), (-2, "all L1 heads"), (-1, "L1 MLP")):
        three = [tests[name][which] for name in ("SC", "U", "SV")]
        nulls = min(rate.null_rate for rate in three)
        kinds.append([digit, label, *three, nodemap.carry_kind(*(result.rate for result in three))])
table(
    ["digit", "nodes", "SC flips", "U flips", "SV flips", "kind", "nulls unchanged"],
    [
        [
            digit,
            label,
            *map(shown, three),
            kind,
            f"{100 * min(result.null_rate for result in three):.0f} %",
        ]
        for digit, label, *three, kind in kinds
    ],
)

# %% [markdown]
# **Found.** Division of labour. The layer-0 head that looks at column $k$ hardly ever passes on a
# carry from below: see its **SV** column. But it is not a clean bit either: told a sum of nine
# instead of a lower one, it moves the answer in many pairs, for some digits in nearly all (the
# **U** column). The heads of layer 1 do the opposite: they bring the cascade, and the local carry
# hardly moves through them. The MLP of layer 1 passes all three tests, as whatever writes the digit
# must.
#
# At the top digit the work is split differently. The table below tests the same pairs by how far
# below column $k$ the column lies that decides.

# %%
top_digit = n_digits - 1
position = addition.SV.positions(fmt, top_digit)[0]
nodes = {f"L0H{head}": (Node(position, 0, head),) for head in range(model.cfg.n_heads)}
nodes["all L1 heads"] = tuple(Node(position, 1, head) for head in range(model.cfg.n_heads))
pairs = patching.draw(addition.SV, top_digit, n_digits, 400, seed=0)
hits, _ = patching.as_predicted(model, fmt, pairs, list(nodes.values()))
decided_at = (
    ((pairs.stored.first != pairs.clean.first) | (pairs.stored.second != pairs.clean.second))
    .long()
    .argmax(1)
)
by_distance = {
    distance: hits[:, decided_at == top_digit - distance] for distance in range(1, n_digits)
}
table(
    ["deciding column", "pairs", *nodes],
    [
        [f"{distance} below", h.shape[1], *(rate(row) for row in h)]
        for distance, h in by_distance.items()
    ],
)

# %% [markdown]
# **Found.** Where the first digit is written, one layer-0 head brings the carry of the next column
# below, and layer 1 brings what lies deeper. Without the split by distance the layer-0 head would
# look as if it held a cascade.
#
# How do the layer-1 heads know? Three examples, which are no test: the attention of layer 1 at the
# position that predicts $A_{n-1}$, for questions with nines all the way down to a deciding column.

# %%
position = fmt.answer_position(n_digits - 1) - 1
cases = {
    "units decide: carry": ("4" * (n_digits - 1) + "5", "5" * n_digits),
    "units decide: no carry": ("4" * n_digits, "5" * n_digits),
    "the column above decides: carry": ("4" * (n_digits - 2) + "51", "5" * (n_digits - 1) + "1"),
}
labels, weights = [], []
for a, b in cases.values():
    pattern = nodemap.mean_pattern(model, parse(f"{a}+{b}", n_digits).tokens(fmt))
    for head in range(model.cfg.n_heads):
        labels.append(f"{a}+{b} · L1H{head}")
        weights.append(pattern[1, head, position].numpy())
figure = grids.heatmap(
    np.stack(weights),
    labels,
    fmt.position_labels,
    title=f"Where layer 1 looks from {fmt.position_labels[position]}",
    unit="attention",
    limits=(0, 1),
)
top = [
    f"{label} looks most at {fmt.position_labels[int(row.argmax())]} ({row.max():.2f})"
    for label, row in zip(labels, weights, strict=True)
]
pictures.show(
    figure,
    "Attention of the three layer-1 heads over all positions, for three questions. "
    + "; ".join(top)
    + ".",
)

# %% [markdown]
# ## 8 · Three clusters, and what they prove
#
# The tri-states must be stored somewhere before the first answer digit is written. Ask every node
# between $D'_k$ and the sign. A stored $ST_k$ acts on $A_{k+2}$ and above; the neighbour $A_{k+1}$
# has its own copy of column $k$.

# %%
stored = {}
after = tuple(
    node
    for node in bench.nodes
    if node.position >= fmt.answer_position(n_digits) and node.layer == 0 and not node.is_mlp
)
for digit in addition.ST.digits(n_digits):
    nodes = [
        node
        for p in addition.ST.positions(fmt, digit)
        for node in all_nodes(model, [p])
        if node.layer == 0
    ]
    sets = [
        *((node,) for node in nodes if node.is_mlp),
        tuple(node for node in nodes if not node.is_mlp),
        after,
    ]
    *mlps, before, control = patching.rates(model, fmt, addition.ST, digit, sets, COUNT)
    best = max(mlps, key=lambda result: result.rate).nodes
    again = patching.rates(model, fmt, addition.ST, digit, [best], COUNT, seed=1)[
        0
    ]  # new pairs: the best was chosen on the old
    stored[digit] = {"mlp": again, "before": before, "after": control}
table(
    [
        "sub-task",
        "best layer-0 MLP",
        "alone, on new pairs",
        "all layer-0 heads before the answer",
        "all after (control)",
    ],
    [
        [
            f"ST{digit}",
            f"{row['mlp'].nodes[0]} at {fmt.position_labels[row['mlp'].nodes[0].position]}",
            *(shown(row[kind]) for kind in ("mlp", "before", "after")),
        ]
        for digit, row in stored.items()
    ],
)

# %% [markdown]
# **Found.** What later digits know of column $k$ passes through layer 0 *before* the first answer
# digit, and not after it. For some digits one MLP is nearly enough; where none is, more than one
# node must hold it. That is why a single node, tested alone, can look idle.

# %% [markdown]
# The paper shows heads by principal components: three clusters for 0, U and 1. Here is the best MLP
# from the table. Clusters alone prove little, since the case is a function of the digit sum and
# anything that copies digits may show it. So the separation is measured (cross-validated accuracy
# of the nearest centre in the plane, chance 1/3), beside two controls: the same node of the
# *untrained* model, and *permuted labels*.

# %%
digit = max((k for k in stored if k), key=lambda k: stored[k]["mlp"].rate)
node = stored[digit]["mlp"].nodes[0]
seen_states = {
    "trained": tristate.tri_state(model, fmt, node, digit),
    "untrained": tristate.tri_state(untrained, fmt, node, digit),
}
panels = {
    f"{name}: accuracy {result.accuracy:.2f}": (
        result.plane,
        [tristate.CASES[c] for c in result.case],
    )
    for name, result in seen_states.items()
}
figure = plots.scatter_classes(panels, title=f"{node} by ST{digit}")
null = np.quantile(seen_states["trained"].null, 0.95)
pictures.show(
    figure,
    f"Two scatter plots of the first two principal components of {node}. In the trained model the "
    f"three cases of ST{digit} are told apart with accuracy {seen_states['trained'].accuracy:.2f}, "
    f"in the untrained model with accuracy {seen_states['untrained'].accuracy:.2f}.",
)
say(
    f"Accuracy {seen_states['trained'].accuracy:.2f}; untrained "
    f"{seen_states['untrained'].accuracy:.2f}; permuted labels at most {null:.2f} in 95 % of "
    f"{len(seen_states['trained'].null)} permutations."
)

# %% [markdown]
# ### Exercise 1.7 · Sink the picture with a control
#
# *3 points · 6 minutes · ●●○*
#
# Write the permutation control yourself: a function that takes points, labels, a
# `score(points, labels)` function, a number of permutations and a NumPy generator, and returns the
# p-value: the share of permutations that score at least as high, with one added above and below so
# that it is never zero.
#
# <details><summary>Hint</summary>
#
# $p = \dfrac{1 + \#\{\text{permuted score} \ge \text{real score}\}}{1 + \#\text{permutations}}$,
# and it is the *labels* that you permute.
#
# </details>


# %%
def permutation_p_value(points, labels, score, permutations, rng):
    """Share of label permutations that score as high as the labels do (with the +1 correction)."""
    # BEGIN SOLUTION
    real = score(points, labels)
    as_high = sum(score(points, rng.permutation(labels)) >= real for _ in range(permutations))
    return (1 + as_high) / (1 + permutations)
    # END SOLUTION


# %%
check("lab1.7", permutation_p_value)

# %% [markdown]
# ## 9 · The map
#
# All patch tests on all nodes give the map. A role is assigned only where the exchange gives
# exactly the predicted answer in at least 90 % of the pairs and leaves at least 90 % of the null
# pairs alone; from 30 % on it is noted as partial, in lower case.

# %%
roles = nodemap.find_roles(model, fmt, count=40, tasks=("SA", "SC", "SV", "ST"))
strong = [role for role in roles if role.strong]


def mark(labels):
    """One short text for a node: A_k if it combines base add and a carry, else its last role."""
    families = {label[:2] for label in labels}
    if {"SA", "SC"} <= families:
        return "A" + next(label[2:] for label in labels if label.startswith("SA"))
    return labels[-1]


labels_of = {}
for role in sorted(roles, key=lambda role: role.strong):
    for member in role.nodes:
        labels_of.setdefault(member, []).append(role.label if role.strong else role.label.lower())
marks = {member: mark(labels) for member, labels in labels_of.items()}
legend = {
    "SA": "base add",
    "SC": "make carry",
    "SV": "cascaded carry",
    "ST": "tri-state",
    "A": "combines SA and carry",
}
present = {
    family: text
    for family, text in legend.items()
    if any(m.rstrip("0123456789") == family for m in marks.values())
}
figure = grids.node_grid(marks, **shape, title=f"Roles in {NAME}", legend=present)
pictures.show(
    figure,
    f"Map of {NAME}: {len(marks)} nodes have a role, {len({n for r in strong for n in r.nodes})} "
    "of them a strong one. "
    + " ".join(
        f"{family}: "
        f"{', '.join(str(n) for n, m in marks.items() if m.rstrip('0123456789') == family)}."
        for family in present
    ),
)

# %% tags=["hide-input"]
rows = []
for digit in range(n_digits):
    found = {
        name: [r for r in strong if r.label == f"{name}{digit}" and not r.nodes[0].is_mlp]
        for name in legend
    }
    rows.append([digit])
    for name in ("SA", "SC", "SV", "ST"):
        cells = [
            f"{'+'.join(map(str, r.nodes))} {r.evidence.rate:.0%}, null {r.evidence.null_rate:.0%}"
            for r in found[name]
        ]
        rows[-1].append("; ".join(cells) or "–")
table(["digit", "SA: base add", "SC: make carry", "SV: cascade", "ST: stored tri-state"], rows)
say(
    "Head groups with a strong role, 20 pairs in both directions: 40 of 40 has the 95 % interval "
    f"{percent(1, *stats.clopper_pearson(40, 40))}. Of all strong roles, rising and falling pairs "
    f"differ by at most {max(abs(r.evidence.rising - r.evidence.falling) for r in strong):.0%}."
)

# %% [markdown]
# ## 10 · Is the map enough?
#
# A list of nodes that matter is not yet a circuit. The test is to ablate *everything else*. The
# authors' own later re-analysis keeps 94 % of the answers for addition with mean ablation and 62 %
# with resampling.
#
# First their way: keep the nodes that break at least one question when lost alone. Then ours: let
# the data choose. Start from all nodes and drop one after the other, in the order of what is lost
# without each alone, as long as 99.8 % of the answers stay right. Once with mean ablation outside,
# once with the harder resampling. All are measured on new questions.

# %%
useful = [node for node, lost in hurt.items() if lost > 0]
small = {
    "mean": sufficiency.smallest_map(bench, target=0.998),
    "resample": sufficiency.smallest_map(bench.every(2), target=0.998, ablation="resample"),
}
fresh = sufficiency.bench(
    model, fmt, per_class=200, seed=100
)  # other questions than those that chose the nodes
maps = {
    "useful alone": useful,
    "chosen under mean ablation": small["mean"],
    "chosen under resampling": small["resample"],
}
kept = {
    name: {ablation: fresh.kept(nodes, ablation).all(1) for ablation in ("mean", "resample")}
    for name, nodes in maps.items()
}
table(
    ["map", "nodes", "kept under mean ablation", "kept under resampling"],
    [
        [name, f"{len(nodes)} of {len(bench.nodes)}", *map(rate, kept[name].values())]
        for name, nodes in maps.items()
    ],
)

# %% [markdown]
# **Found.** The nodes that are useful one at a time do not suffice, here as in the authors'
# re-analysis: those that back each other up are missing. A set chosen as a whole does. The smallest
# that passes under mean ablation leans on the mean; a few nodes more hold under resampling as well.

# %% [markdown]
# ### Exercise 1.8 · Sufficiency by hand
#
# *3 points · 5 minutes · ●●○*
#
# `bench.right(nodes, ablation)` gives, for every question and answer token, whether it is right
# when `nodes` are ablated. Write the sufficiency of a map: the share of questions whose *whole*
# answer is right when every node outside it is ablated.
#
# <details><summary>Hint</summary>
#
# The nodes to ablate are those of `bench.nodes` that are not in the map. An answer is right if all
# its tokens are.
#
# </details>


# %%
def sufficiency_of(bench, nodes, ablation="mean"):
    """Share of whole answers right when all nodes outside `nodes` are ablated."""
    # BEGIN SOLUTION
    outside = [node for node in bench.nodes if node not in set(nodes)]
    return bench.right(outside, ablation).all(1).float().mean().item()
    # END SOLUTION


# %%
check("lab1.8", sufficiency_of)

# %%
chosen = small["resample"]


def kept_by(nodes, ablation):
    """Share of fresh questions still right with everything outside `nodes` ablated."""
    return fresh.share_right([node for node in fresh.nodes if node not in set(nodes)], ablation)


controls = {
    "random sets of the same size": sufficiency.random_sets(fresh, len(chosen), 5),
    "random sets, matched at every position": sufficiency.matched_sets(fresh, chosen, 5),
    "the complement of the map": [[node for node in fresh.nodes if node not in chosen]],
}
kept_by_chance = {
    (name, ablation): [kept_by(nodes, ablation) for nodes in sets]
    for name, sets in controls.items()
    for ablation in small
}
table(
    [
        f"control for the map of {len(chosen)} nodes",
        "sets",
        "kept under mean ablation, at most",
        "under resampling, at most",
    ],
    [
        [
            name,
            len(sets),
            *(f"{100 * max(kept_by_chance[name, ablation]):.1f} %" for ablation in small),
        ]
        for name, sets in controls.items()
    ],
)

# %%
per_class = {ablation: fresh.per_class(fresh.kept(chosen, ablation)) for ablation in small}


def with_interval(share, trials):
    """A share with its interval, for a bar."""
    return (share, *stats.clopper_pearson(round(share * trials), trials))


figure = plots.bars_with_intervals(
    list(per_class["mean"]),
    {
        f"{ablation} ablation outside": np.array([with_interval(v, 200) for v in values.values()])
        for ablation, values in per_class.items()
    },
    ylabel="answers right",
    title=f"What the map of {len(chosen)} nodes keeps, by cascade class",
    limits=(0, 1),
)
pictures.show(
    figure,
    "Bars for each cascade class, both ablations. The lowest is "
    f"{min(min(values.values()) for values in per_class.values()):.3f}, the highest "
    f"{max(max(values.values()) for values in per_class.values()):.3f}.",
)

# %%
figure = grids.node_grid(
    {node: marks.get(node, "·") for node in chosen},
    **shape,
    title=f"The map that suffices: {len(chosen)} nodes",
)
pictures.show(
    figure,
    f"Grid of the {len(chosen)} nodes of the map with their roles; a dot marks a node without one: "
    + (", ".join(str(node) for node in chosen if node not in marks) or "none")
    + ".",
)

# %% [markdown]
# Which of these nodes are *necessary*, each alone, in the intact model? Fewer: what two nodes both
# do, neither is needed for.

# %%
needed = dict(
    zip(
        chosen,
        (1 - fresh.every(3).right([node]).all(1).float().mean() for node in chosen),
        strict=True,
    )
)
unneeded = [node for node, lost in needed.items() if lost < 0.01]
with_role = [node for node in chosen if node in labels_of]
say(
    f"Of the {len(chosen)} nodes of the map, {len(chosen) - len(unneeded)} cost more than 1 % of "
    f"the answers when lost alone; the loss of any one of the other {len(unneeded)} costs at most "
    f"that. {len(with_role)} of the {len(chosen)} have a role by the patch tests, strong or "
    f"partial; unexplained: {', '.join(map(str, sorted(set(chosen) - set(with_role)))) or 'none'}."
)

# %% [markdown]
# ### Exercise 1.9 · Random maps are not the only control
#
# *2 points · 5 minutes · ●●○*
#
# A random set of nodes is an easy opponent. The second control in the table above is a fairer one.
# It keeps, at *every* position, the same number of nodes as the map does, chosen at random there.
# Write the function that draws such a set.
#
# <details><summary>Hint</summary>
#
# Group the map's nodes by `node.position`, and draw as many from those of `nodes` with that
# position, without replacement: `rng.choice(len(pool), size, replace=False)`.
#
# </details>


# %%
def matched_random_set(nodes, kept, rng):
    """As many random nodes at every position as `kept` has there, drawn from `nodes`."""
    # BEGIN SOLUTION
    drawn = []
    for position in sorted({node.position for node in kept}):
        pool = [node for node in nodes if node.position == position]
        size = sum(node.position == position for node in kept)
        drawn += [pool[i] for i in rng.choice(len(pool), size, replace=False)]
    return drawn
    # END SOLUTION


# %%
check("lab1.9", matched_random_set)

# %% [markdown]
# ## 11 · Look for yourself
#
# Type two numbers, look at each column's sub-tasks and at every head's attention, then ablate or
# patch any node. On the page of the book this works for the listed questions; in Colab or Jupyter
# the model runs on any question. Mind that a single lost node often changes nothing: that is the
# redundancy you just met.

# %%
live_explorer(model, fmt, name=NAME)

# %% [markdown]
# ## 12 · What is proven, what is tested, what is believed
#
# The verdicts below are computed from the numbers of this run.

# %% tags=["hide-input"]
layer1 = [row for row in kinds if row[1] == "all L1 heads"]
local = [row for row in kinds if row[1].startswith("L0H")]
st_rates, st_after = ([row[kind].rate for row in stored.values()] for kind in ("before", "after"))
sa_rates, sa_before = (
    [row[kind].rate for row in base_add.values()] for kind in ("together", "control")
)
sa_nulls = [row["together"].null_rate for row in base_add.values()]
bit_u, bit_v = (max(row[column].rate for row in local) for column in (3, 4))
shares = {
    name: {ablation: float(hits.float().mean()) for ablation, hits in by_ablation.items()}
    for name, by_ablation in kept.items()
}
by_chance = max(
    max(values) for (name, _), values in kept_by_chance.items() if name.startswith("random")
)
agree = {
    name: float((r.rule_fails == r.model_fails).float().mean()) for name, r in compared.items()
}
two_layers = [shipped[name] for name in ("add-d5", "add-d6")]
claims(
    [
        (
            "2 layers and 3 heads add 5 and 6 digits with 0 to 2 failures in a million",
            "; ".join(f"{r['failures']} in {r['questions']:,} ({r['model']})" for r in two_layers),
            f"one layer, same mixture: {shipped['add-d5-1l-enriched']['failures']:,} in "
            f"{shipped['add-d5-1l-enriched']['questions']:,}",
            all(r["failures"] <= 2 for r in two_layers)
            and shipped["add-d5-1l-enriched"]["failures"] > 100,
        ),
        (
            "one layer looks back one column, and so fails on 1.26 % of 5-digit questions",
            "same verdict as the rule: "
            + "; ".join(f"{100 * share:.1f} % ({name})" for name, share in agree.items()),
            f"the rule fails on {100 * lookback.failure_rate(5):.2f} %, the models on "
            + ", ".join(rate(r.model_fails) for r in compared.values()),
            {2: True, 1: None, 0: False}[sum(share > 0.999 for share in agree.values())],
        ),
        (
            "heads at the answer positions do base add",
            f"{min(sa_rates):.0%} to {max(sa_rates):.0%} of the answers exactly as predicted",
            f"nulls unchanged at least {min(sa_nulls):.0%}; one position earlier at most "
            f"{max(sa_before):.0%}",
            min(sa_rates) >= 0.9 and max(sa_before) <= 0.1 and min(sa_nulls) >= 0.9,
        ),
        (
            "tri-states are computed before the answer starts",
            f"layer-0 heads before it: {min(st_rates):.0%} to {max(st_rates):.0%} exactly as "
            "predicted",
            f"layer-0 heads after it: at most {max(st_after):.0%}",
            min(st_rates) >= 0.9 and max(st_after) <= 0.1,
        ),
        (
            "the carry heads at the answer positions are binary (SC)",
            f"nine told from less: up to {bit_u:.0%} of the pairs flip",
            f"carry from below: up to {bit_v:.0%} flip",
            True if max(bit_u, bit_v) <= 0.1 else None if bit_v <= 0.1 else False,
        ),
        (
            "the nodes that are useful alone suffice (re-analysis: 94 % mean, 62 % resampled)",
            " and ".join(
                f"{100 * value:.1f} % ({ablation})"
                for ablation, value in shares["useful alone"].items()
            )
            + f" with {len(useful)} nodes",
            f"intact: {100 * fresh.share_right([]):.1f} %",
            min(shares["useful alone"].values()) >= 0.99,
        ),
        (
            "a small part of the model suffices",
            " and ".join(
                f"{100 * value:.1f} % ({ablation})"
                for ablation, value in shares["chosen under resampling"].items()
            )
            + f" with {len(chosen)} of {len(bench.nodes)} nodes",
            f"random sets, matched by position or not: at most {100 * by_chance:.1f} %",
            min(shares["chosen under resampling"].values()) >= 0.97 and by_chance < 0.6,
        ),
    ]
)

# %% tags=["hide-input"]
tested = [
    f"`{r['model']}`, {r['questions']:,} questions, {r['failures']} wrong" for r in two_layers
]
highest = max(c["ci95"][1] for r in two_layers for c in r["classes"].values())
say(
    f"""
- **Proven**, by asking every question on this machine: `add-d3` adds all {proof.questions:,} pairs
  of 3-digit numbers, {proof.failures} wrong.
- **Tested to a bound**: {" and ".join(tested)}. For each cascade class taken by itself the failure
  rate is below {highest:.1e} with 95 % confidence. No failure seen does not mean that there is
  none.
- **Tested by experiment**: what the mapped nodes of `{NAME}` carry, at the rates above, on random
  pairs that fit each test.
- **Believed**: that nodes without a role do nothing of interest, that the roles compose to the
  algorithm of section 4 on every question, and that another seed would give the same division of
  labour.
"""
)

# %% [markdown]
# ## Limits
#
# - One seed a model. The paper reports that other seeds place the tri-states elsewhere; that was
#   not tried here.
# - The map is fitted greedily. No single node of it can go, but it need not be the smallest.
# - The two directions of a pair are not independent, so the intervals of exchange tests are a
#   little too narrow.
# - All interventions are read teacher forced: each patched digit sees the true digits before it.
# - A whole MLP is one node here. What its neurons do is not asked.
#
# ## Further reading
#
# - Quirke, Neo and Barez,
#   [Understanding Addition and Subtraction in Transformers](https://arxiv.org/abs/2402.02619)
# - Quirke and Barez, [Understanding Addition in Transformers](https://arxiv.org/abs/2310.13121)
# - Nanda and others,
#   [Progress measures for grokking via mechanistic interpretability](https://arxiv.org/abs/2301.05217)
# - Zhang and Nanda,
#   [Towards Best Practices of Activation Patching](https://arxiv.org/abs/2309.16042)

# %%
scores("lab1")
