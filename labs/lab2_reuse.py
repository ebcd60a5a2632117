# %% [markdown]
# # Lab 2 · Reuse of a verified circuit
#
# Lab 1 ended with a circuit that adds. Can it be *reused*: built into a larger model that must
# learn subtraction too? The paper answers yes, and supports it by counting: most of the nodes that
# were inserted are used again, by addition and by subtraction alike. This lab repeats the insertion
# and adds what the paper leaves out: whether the copy still adds before any training, what a model
# trained from scratch looks like under the same counts, and what chance would give.
#
# The programme is that of Quirke, Neo and Barez,
# [*Understanding Addition and Subtraction in Transformers*](https://arxiv.org/abs/2402.02619). The
# chapter [Verified arithmetic](../book/ch1_verified_arithmetic.md) explains it.
#
# **You will be able to**
#
# - build a trained model into a larger one without changing a single answer, and say which weights
#   decide that;
# - tell the reuse of a circuit from the reuse of an initialisation;
# - read learning curves with a band, and say what a head start is worth;
# - measure reuse in three ways, each against a model that reused nothing;
# - find the heads that borrow, and the question that breaks when one is lost.
#
# **You need** Lab 1: cascades, patch tests, sufficiency.
#
# **Cost** Six exercises of 6 to 10 minutes, about an hour in all. The set-up cell prints the
# measured run time.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab2")

# %%
import numpy as np
import torch

from helpers import stats, training, zoo
from helpers.arithmetic import reuse
from helpers.arithmetic.circuit import addition, maps, patching, subtraction, sufficiency, usage
from helpers.arithmetic.questions import (
    Format,
    Questions,
    algorithm,
    answer_tokens,
    cascades,
    mixed,
    parse,
    uniform,
)
from helpers.arithmetic.training import EXPERIMENTS, RECIPES, insertion, task_of
from helpers.arithmetic.verification import answer_text, score, verify
from helpers.course.check import check, scores
from helpers.interventions import Node, ablate
from helpers.show import claims, percent, pictures, plots, rate, say, table

# %% [markdown]
# ## 1 · What does it take to insert a model?
#
# The source is `add-d6`, the 6-digit adder of Lab 1: 2 layers, 3 heads. The target has 3 layers and
# 4 heads of the same width. The source's heads become heads 0 to 2 of the target's first two
# layers; head 3 of every layer and the whole third layer are new.
#
# A layer adds to the residual stream $x$ first what its heads write, then what its MLP writes:
#
# $$x' = x + \sum_h z_h W_O^{(h)} + b_O, \qquad x'' = x' + \mathrm{ReLU}\bigl(\mathrm{LN}_2(x') W_{in} + b_{in}\bigr) W_{out} + b_{out}.$$
#
# The copied parts do in the target what they did in the source if, and as far as, they see the same
# $x$. So the question is what the *new* parts write.

# %% [markdown]
# ### Exercise 2.1 · A new layer that changes nothing, and can still learn
#
# *3 points · 8 minutes · ●●○*
#
# You get the weights of one freshly initialised layer as a dictionary of tensors: `W_Q`, `W_K`,
# `W_V` [d_model, d_head], `W_O` [d_head, d_model], `b_Q`, `b_K`, `b_V`, `b_O`, `W_in`, `b_in`,
# `W_out`, `b_out` and the two layer norms `ln1_w`, `ln1_b`, `ln2_w`, `ln2_b`. Return a dictionary
# with the same names in which the layer passes every $x$ on unchanged. But training must be able to
# wake it up: after one step of gradient descent, its attention and its MLP must each write
# something that depends on $x$.
#
# <details><summary>Hint</summary>
#
# Only what is *written* into the stream has to vanish. If you set more to zero than that, look at
# the product rule: a product of two zero factors has no gradient in either.
#
# </details>


# %%
def neutral_layer(weights):
    """Weights of a layer that passes the residual stream on unchanged, and gets a gradient."""
    # BEGIN SOLUTION
    written = {"W_O", "b_O", "W_out", "b_out"}
    return {
        name: torch.zeros_like(value) if name in written else value.clone()
        for name, value in weights.items()
    }
    # END SOLUTION


# %%
check("lab2.1", neutral_layer)

# %% [markdown]
# A new *head* in an old layer needs the same: its own part of $W_O$ is zero.
#
# ## 2 · Does the copy still add?
#
# Four ways to start, called *arms*. Everything that is not copied keeps the random start of the
# target.
#
# | arm | copied from the source |
# |---|---|
# | `paper` | $W_Q, W_K, W_V$ with their biases, the MLPs, $\mathrm{LN}_1$, the weight of the last layer norm, embeddings, positions, unembedding: what the released code copies |
# | `whole` | every tensor that the source has |
# | `preserving` | every tensor that the source has, and what the new heads and the new layer write is zero |
# | `scratch` | nothing |

# %% [markdown]
# ### Exercise 2.2 · Spot the two bugs
#
# *4 points · 10 minutes · ●●○*
#
# Below is what the released code does, retold in a few lines: `start` runs once before training,
# `write_back` runs every hundred steps to "freeze" the heads that were inserted. Weights of heads
# are lists with one entry a head. Each function has one bug. Repair both, and return the two
# repaired functions from `repaired()`. A layer has these tensors: `W_K`, `W_O`, `W_Q`, `W_V`,
# `b_K`, `b_Q`, `b_V`, each a list with one entry a head; `W_in`, `W_out`, `b_O`, `b_in`, `b_out`,
# `ln1_b`, `ln1_w`, `ln2_b`, `ln2_w`, each one entry.
#
# <details><summary>Hint</summary>
#
# For the first: go through the list of tensors. For the second: insert three heads into four, and
# write down which head `start` fills and which one `write_back` overwrites.
#
# </details>


# %%
PER_HEAD = ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V")
PER_LAYER = ("W_in", "b_in", "W_out", "b_out", "ln1_w", "ln1_b")


def start(source, target, from_heads, to_heads):
    """Fill one layer of the target from one layer of the source, both dictionaries."""
    for name in PER_HEAD:
        for h in range(from_heads):
            target[name][h] = source[name][h]
    for name in PER_LAYER:
        target[name] = source[name]


def write_back(source, target, from_heads, to_heads):
    """Write the inserted heads' Q, K and V again."""
    for name in PER_HEAD:
        for h in range(from_heads):
            target[name][to_heads - from_heads + h] = source[name][h]


# %%
def repaired():
    """The two functions without their bugs: (start, write_back)."""

    # BEGIN SOLUTION
    def whole_start(source, target, from_heads, to_heads):
        for name in (*PER_HEAD, "W_O"):
            for h in range(from_heads):
                target[name][h] = source[name][h]
        for name in (*PER_LAYER, "b_O", "ln2_w", "ln2_b"):
            target[name] = source[name]

    def same_heads(source, target, from_heads, to_heads):
        for name in PER_HEAD:
            for h in range(from_heads):
                target[name][h] = source[name][h]

    return whole_start, same_heads
    # END SOLUTION


# %%
check("lab2.2", repaired)

# %% [markdown]
# What do the arms answer before any training? Additions only: the source knows nothing else.

# %%
fmt = Format(6)
source = zoo.load("add-d6", device="cpu").requires_grad_(False)
recipe = RECIPES["mix-d6"]
inserted, at_start = {}, {}
for arm in insertion.ARMS:
    inserted[arm] = (
        insertion.insert(source, training.build_model(recipe), arm).eval().requires_grad_(False)
    )
    count = 100_000 if arm == "preserving" else 5_000
    at_start[arm] = insertion.agreement(
        source, inserted[arm], uniform(6, count, np.random.default_rng(0)), fmt
    )
table(
    ["arm", "questions", "source right", "right at step 0", "largest change of an answer logit"],
    [
        [
            arm,
            f"{len(a.target_right):,}",
            rate(a.source_right),
            rate(a.target_right),
            f"{a.largest:.3g}",
        ]
        for arm, a in at_start.items()
    ],
)

# %% [markdown]
# Which of the forgotten tensors matters? Take the `whole` copy and put the fresh start of one of
# them back: random for $W_O$, zero for the biases, one and zero for $\mathrm{LN}_2$. The last row
# puts back all of them but $W_O$ at once.

# %%
FORGOTTEN = {
    "W_O": ["attn.o.weight"],
    "b_O": ["attn.o.bias"],
    "LN2": ["ln2."],
    "bias of the last LN": ["ln_final.bias"],
    "b_U": ["unembed.bias"],
}
FORGOTTEN["all but W_O"] = [
    part for label, parts in FORGOTTEN.items() if label != "W_O" for part in parts
]
fresh_start = training.build_model(recipe).state_dict()
sample = uniform(6, 2_000, np.random.default_rng(1))
without = {}
for label, parts in FORGOTTEN.items():
    copied = (
        insertion.insert(source, training.build_model(recipe), "whole").eval().requires_grad_(False)
    )
    for name, tensor in copied.state_dict().items():
        if any(part in name for part in parts):
            tensor.copy_(fresh_start[name])
    without[label] = insertion.agreement(source, copied, sample, fmt).target_right
table(
    ["the whole copy without", "right at step 0"],
    [[label, rate(right)] for label, right in without.items()],
)

# %% [markdown]
# **Found.** The released copy does not add: at step 0 it answers nothing. What it lacks is $W_O$.
# Each of the other four omissions costs next to nothing alone, and all four together about two
# answers in a hundred. With $W_O$, even the random new parts hardly disturb the answers, though
# they move the logits. Only with the new parts silent is the function exactly kept.
#
# ## 3 · What is hard about subtraction?
#
# A borrow cascades like a carry: a column with $D_k < D'_k$ *borrows*, a column with *equal* digits
# passes a borrow on. And something new: if $D < D'$ the answer is negative. The sign is the first
# token of the answer, and the highest column that differs decides it. The model then has to write
# the digits of $D' - D$.
#
# | operation | class | the paper's name | digit | borrow | cascaded borrow |
# |---|---|---|---|---|---|
# | ADD | $S_0 \ldots S_n$ | S | $SA_k = (D_k + D'_k) \bmod 10$ | $SC_k$ | $SV_k$ |
# | SUB, $D \ge D'$ | $M_0 \ldots M_{n-1}$ | M | $MD_k = (D_k - D'_k) \bmod 10$ | $MB_k = [D_k < D'_k]$ | $MV_k$ |
# | NEG, $D < D'$ | $N_1 \ldots N_n$ | N | $ND_k = (D'_k - D_k) \bmod 10$ | $NB_k = [D'_k < D_k]$ | $NV_k$ |
#
# The index of $M_m$ and $N_m$ is the length of the longest run of equal columns above a column with
# $D_k < D'_k$, that column included. For a negative answer, columns of two zeros at the front do
# not count.

# %%
borrow_share = cascades.frequencies(cascades.subtraction(6), 6)
batch = mixed(6, 20_000, np.random.default_rng(0))
names = np.array(batch.classes())
table(
    [
        "class",
        "share of uniform 6-digit subtractions",
        "share of the subtractions trained on",
        "an example",
    ],
    [
        [
            name,
            f"{value:.2g}",
            f"{(names == name).sum() / int(batch.subtract.sum()):.2g}",
            "`" + batch.text(int((names == name).argmax())) + "`",
        ]
        for name, value in borrow_share.items()
    ],
)
say(
    "Of 20 000 questions the generator drew: "
    + ", ".join(f"{kind} {count}" for kind, count in batch.log.items())
    + "."
)

# %% [markdown]
# The released generator lost its equal columns at some point: it enriches carries, but borrow
# cascades come only by chance. The paper's subtraction models are often wrong, and how often
# depends on the seed. With both enriched, 60 % of the questions subtractions, three models are
# embedded: `mix-d3` and `mix-d6` grew from the function-preserving insertion, `mix-d6-scratch` from
# nothing. These are the full verifications of their weights
# (`python -m helpers verify mix-d6 --operations +- --questions 1000000`).

# %%
NAMES = ("mix-d3", "mix-d6", "mix-d6-scratch")
models = {name: zoo.load(name, device="cpu").requires_grad_(False) for name in NAMES}
shipped = {name: zoo.entry(name).measured for name in NAMES}


def failures_of(report, letter):
    """Failures and questions of all classes of one letter."""
    counts = [c for name, c in report["classes"].items() if name.startswith(letter)]
    return sum(c["failures"] for c in counts), sum(c["questions"] for c in counts)


table(
    [
        "model",
        "method",
        "ADD wrong",
        "SUB wrong",
        "NEG wrong",
        "highest upper bound of any class (95 %)",
    ],
    [
        [
            name,
            report["method"],
            *("{:,} of {:,}".format(*failures_of(report, letter)) for letter in "SMN"),
            f"{max(c['ci95'][1] for c in report['classes'].values()):.1e}",
        ]
        for name, report in shipped.items()
    ],
)

# %% [markdown]
# These counts pool uniform questions with further ones of every class, so they are no failure rate.
# The uniform questions alone give one: a million additions and a million subtractions of each
# 6-digit model. (Of `mix-d3` every question was asked.)


# %%
def per_million(found):
    """Failures among uniform questions, and the 95 % interval of their rate per million."""
    low, high = (1e6 * end for end in found["ci95"])
    return f"{found['failures']} of {found['questions']:,} [{low:.2g} to {high:.2g} in a million]"


uniformly = {
    name: report["uniform"] for name, report in shipped.items() if report["method"] == "sampled"
}
table(
    ["model", "uniform additions wrong", "uniform subtractions wrong"],
    [
        [name, *(per_million(found[operator]) for operator in "+-")]
        for name, found in uniformly.items()
    ],
)

# %% tags=["hide-input"]
say(
    "The questions that the verification found wrong: "
    + (
        ", ".join(f"`{text}` ({name})" for name in NAMES for text in shipped[name]["examples"])
        or "none"
    )
    + "."
)

# %%
quick = verify(
    models["mix-d6"], fmt, name="mix-d6", questions=5_000, per_class=500, operations="+-"
)
print(quick.table())

# %% [markdown]
# **Found.** Long borrow cascades are as rare as long carries, and the training mixture makes them
# common. Both ways to begin end in models of 6 digits that are wrong on at most a few questions of
# more than two million, and the 3-digit model is wrong on none at all. `mix-d6` is not perfect: of
# a million uniform additions it gets one wrong, of a million subtractions none. The model from
# scratch gets none of either wrong. One and none are too few to call them different, and the
# intervals allow a few in a million for both.
#
# ## 4 · Is a copied circuit worth anything to training?
#
# First the beginning, live: a hundred steps of every arm at 3 digits, on the same questions. The
# source is `add-d3`, which answers every addition.
#
# The paper also tries to *keep* the inserted circuit, by writing parts of it back every hundred
# steps. Here such parts are frozen: they have no gradient and never move. The fifth line, `frozen`,
# is the function-preserving insertion with everything frozen that was inserted into the two layers:
# the verified weights stay, bit for bit, and only the new heads, the new layer, the embeddings and
# the read-out may learn. (`python -m helpers train mix-d3-paper-qkv` and `mix-d3-paper-qkv-mlp`
# train the paper's own two modes, on its own copy and for all inserted heads.)

# %%
STARTS = (*insertion.ARMS, "frozen")
START = {
    arm: (RECIPES | EXPERIMENTS)["mix-d3" if arm == "preserving" else f"mix-d3-{arm}"]
    for arm in STARTS
}
three, rng = Format(3), np.random.default_rng(0)
asked = {"additions": uniform(3, 500, rng), "subtractions": uniform(3, 500, rng, subtract=True)}
seen_at = [0, 5, *range(10, 101, 10)]
early = {}
for arm, start_recipe in START.items():
    task = task_of(start_recipe)
    run = training.start(start_recipe, task=task)
    for step in runtime.progress(range(101), f"{arm}: first hundred steps"):
        if step in seen_at:
            early[arm, step] = {
                kind: score(run.model, some, three).all(1) for kind, some in asked.items()
            }
        if step < 100:
            training.take_step(run, task)
    if arm == "frozen":
        unmoved = all(bool((part.parameter == part.value)[part.mask].all()) for part in run.frozen)
figure = plots.lines_with_bands(
    np.array(seen_at),
    {
        arm: np.array(
            [[float(h.float().mean()), *stats.clopper_pearson(int(h.sum()), len(h))] for h in hits]
        )
        for arm in STARTS
        for hits in [[early[arm, step]["additions"] for step in seen_at]]
    },
    xlabel="step",
    ylabel="additions right",
    title="The first hundred steps",
)
least = {
    arm: min(seen_at, key=lambda step: float(early[arm, step]["additions"].float().mean()))
    for arm in STARTS
}
pictures.show(
    figure,
    "Share of additions right over the first hundred steps, with 95 % intervals. "
    + " ".join(
        f"{arm}: {rate(early[arm, 0]['additions'])} at step 0, least "
        f"{rate(early[arm, least[arm]]['additions'])} at step {least[arm]}, "
        f"{rate(early[arm, 100]['additions'])} at step 100."
        for arm in STARTS
    ),
)
table(
    [
        "arm",
        "additions, step 0",
        "additions, least",
        "at step",
        "additions, step 100",
        "subtractions, step 100",
    ],
    [
        [
            arm,
            rate(early[arm, 0]["additions"]),
            rate(early[arm, least[arm]]["additions"]),
            least[arm],
            rate(early[arm, 100]["additions"]),
            rate(early[arm, 100]["subtractions"]),
        ]
        for arm in STARTS
    ],
)

# %% [markdown]
# **Found.** Keeping the function at step 0 does not keep it at step 10. The first steps, pulled by
# the loss on subtractions, wreck addition in both arms that had it: that is *catastrophic
# forgetting*. After a hundred steps both answer most additions again, while the model from scratch
# can do nothing yet. (Most is not all: the whole training, below, shows when additions are right
# for good.) The released copy began with nothing, and has learned something by then: what it was
# given is a good place to start from, though it is not a circuit.
#
# Freezing does not prevent the loss. Not one frozen weight has moved, and addition is lost all the
# same for a while: the frozen heads read a stream into which embeddings and new heads now write
# other things, and the read-out has changed. To keep a circuit's weights is not to keep what it
# does. This is one run of a hundred steps, and says no more than that: at its end the frozen model
# answers nearly all additions again, and fewer subtractions than either copy that may move.
#
# Now the whole training. All arms were trained on the same mixture, with the same number of steps
# and the same schedule; at 3 digits with three seeds each. A run takes minutes on two cores, so it
# was done before, and every run can be repeated: `python -m helpers train mix-d3-paper --seed 1`,
# then `python -m helpers reuse DIR` measures it. What is shown comes from these stored
# measurements: up to 20 000 uniform questions a checkpoint (1 000 as long as fewer than 98 % are
# right, 5 000 up to 99.8 %).

# %%
stored = reuse.stored()


def runs_of(arm, n_digits, freeze="nothing"):
    """The stored runs of an arm, by seed."""
    found = [record for seeds in stored.runs.values() for record in seeds.values()]
    found = [r for r in found if (r.arm, r.n_digits, r.freeze) == (arm, n_digits, freeze)]
    return sorted(found, key=lambda record: record.seed)


def spread(values):
    """Median with least and most, or the one value; "never" for what was not reached."""
    low, middle, high = (
        "never" if np.isinf(v) else f"{v:,.4g}"
        for v in (min(values), np.median(values), max(values))
    )
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


# %%
for operation, name in (("ADD", "additions"), ("NEG", "negative answers")):
    bands = {
        arm: reuse.band([r.curve for r in runs_of(arm, 3)], operation=operation)
        for arm in insertion.ARMS
    }
    steps = [step for step in bands["scratch"].steps if step >= 10]
    rows = {
        arm: np.array([[b.middle[i], b.low[i], b.high[i]] for i in map(b.steps.index, steps)])
        for arm, b in bands.items()
    }
    figure = plots.lines_with_bands(
        np.array(steps),
        rows,
        xlabel="step",
        ylabel=f"{name} right",
        title=f"{name.capitalize()}, 3 digits",
        log_x=True,
    )
    kept_from = {}
    for arm, b in bands.items():
        enough = [min(b.middle[i:]) >= 0.5 for i in range(len(b.steps))]
        kept_from[arm] = (
            f"from step {b.steps[enough.index(True)]} on" if True in enough else "not by the end"
        )
    pictures.show(
        figure,
        f"Share of {name} right over the steps of training, one line an arm with a band from the "
        f"lowest to the highest of {len(runs_of('scratch', 3))} seeds. The median stays above one "
        "half "
        + ", ".join(f"{when} ({arm})" for arm, when in kept_from.items())
        + "; at the last step it is at "
        + ", ".join(f"{r[-1][0]:.4f} ({arm})" for arm, r in rows.items())
        + ".",
    )


# %%
def steps_needed(record, level, operation=None):
    """The checkpoint from which on a level is kept, infinite if it never is."""
    reached = reuse.steps_to(record.curve, level, operation=operation)
    return reached.by if reached else float("inf")


needed = {
    (n, arm, level): [steps_needed(record, level) for record in runs_of(arm, n)]
    for n in (3, 6)
    for arm in insertion.ARMS
    for level in (0.5, 0.99, 0.9999)
}
alone = {
    (n, arm, operation): [steps_needed(record, 0.99, operation) for record in runs_of(arm, n)]
    for n in (3, 6)
    for arm in insertion.ARMS
    for operation in ("ADD", "NEG")
}
table(
    [
        "digits",
        "arm",
        "seeds",
        "steps to 50 %",
        "to 99 %",
        "to 99.99 %",
        "ADD to 99 %",
        "NEG to 99 %",
        "wrong at the end, of 20 000",
    ],
    [
        [
            n,
            arm,
            len(runs_of(arm, n)),
            *(spread(needed[n, arm, level]) for level in (0.5, 0.99, 0.9999)),
            *(spread(alone[n, arm, operation]) for operation in ("ADD", "NEG")),
            spread([round(20_000 * (1 - r.curve.points[-1].accuracy())) for r in runs_of(arm, n)]),
        ]
        for n in (3, 6)
        for arm in insertion.ARMS
    ],
)
say(
    "Median, with the least and the most of the seeds; at 6 digits there is one seed. A level "
    "counts from the first checkpoint on that never falls below it again; checkpoints lie about a "
    "tenth apart."
)
dips = {
    (n, arm): [
        min(p.accuracy("uniform", "ADD") for p in r.curve.points if p.step > 100)
        for r in runs_of(arm, n)
    ]
    for n in (3, 6)
    for arm in ("whole", "preserving")
}
say(
    "The lowest share of additions right at any checkpoint after step 100: "
    + "; ".join(
        f"{arm}, {n} digits, " + ", ".join(f"{100 * low:.1f} %" for low in lows)
        for (n, arm), lows in dips.items()
    )
    + "."
)

# %% [markdown]
# **Found.** The head start is real and short. With a copy that adds, half of the answers are right
# much sooner. But that is the easy half, the additions; for negative answers the model from scratch
# is even ahead at 3 digits, in the median. There no arm comes to 99 % or to 99.99 % before the
# model from scratch in all three seeds. At 6 digits, with one seed, the best arm is one checkpoint
# ahead at 99 %, and none at 99.99 %. All arms end without a mistake among 20 000.
#
# Is it the new skill that takes the time? Not it alone. Additions by themselves, which two arms
# could do at step 0, fall back below 95 % after step 100 in every run of these arms. They stay
# above 99 % about when additions learned from scratch do: no arm is ahead in all three seeds at 3
# digits, and the best one is a checkpoint ahead at 6. What was given is learned to the end together
# with what was not.

# %% [markdown]
# ## 5 · Reuse by place: are the inserted nodes used?
#
# The paper's count. A node is *useful* for an operation if mean-ablating it alone breaks at least
# one question of that operation. A node is *inserted* if the source has a useful node at the same
# position, layer and head. The paper finds that of 96 useful nodes 64 % serve ADD, 73 % SUB and 55
# % NEG; of the 48 inserted ones 88, 83 and 60 %. It also counts how many nodes serve two or three
# operations: *polysemantic* nodes.
#
# Two things to mind. "At least one question" depends on how many are asked (here 20 of every
# class), so a second count asks for 5 % of the questions of an operation. And the model from
# scratch is the control, if it is independent of the source. At 6 digits both have seed 0, so
# embeddings, positions and the layer-0 queries of heads 0 to 2 *began* as the same random numbers.
# The 3-digit models from scratch with seeds 1 and 2 share nothing with their source.

# %%
GROUPS = {"6 digits, seed 0": (6, [0]), "3 digits, seeds 1, 2": (3, [1, 2])}
OPERATIONS = ("ADD", "SUB", "NEG")


def chosen(arm, group):
    """The stored runs of an arm in a group."""
    n_digits, seeds = GROUPS[group]
    return [record for record in runs_of(arm, n_digits) if record.seed in seeds]


def counted(arm, group, share, at_source=False, ablation="mean"):
    """Used nodes, summed over the runs of a group; `at_source`: at the source's useful places."""
    tables = []
    for record in chosen(arm, group):
        places = stored.sources[record.source].use[ablation].used("ADD", share)
        among = usage.located(places, 3, 4) if at_source else None
        tables.append(usage.node_counts(record.use[ablation], share, among))
    return {key: sum(one[key] for one in tables) for key in tables[0]}


def parts(counts, names):
    """Shares of the nodes counted."""
    return [f"{counts[name] / counts['nodes']:.0%}" for name in names]


rows = []
for group in GROUPS:
    for arm in insertion.ARMS:
        all_useful = counted(arm, group, 0.0)
        rows.append(
            [
                group,
                arm,
                all_useful["nodes"],
                *parts(all_useful, (*OPERATIONS, "three", "two", "one")),
            ]
        )
table(["runs", "arm", "useful nodes", *OPERATIONS, "used by three", "by two", "by one"], rows)

# %% [markdown]
# How many nodes are polysemantic depends on the count: by two operations or by all three, and when
# a node is useful. So here are both, for nodes that break one question, for those that break 5 % of
# the questions of an operation, and for resampling in place of the mean.

# %%
COUNTS = {
    "one question": ("mean", 0.0),
    "5 %": ("mean", 0.05),
    "one question, resampled": ("resample", 0.0),
}
polysemantic = {}
for group in GROUPS:
    for arm in insertion.ARMS:
        for label, (ablation, share) in COUNTS.items():
            found = counted(arm, group, share, ablation=ablation)
            polysemantic[group, arm, label, "all three"] = found["three"] / found["nodes"]
            polysemantic[group, arm, label, "two or three"] = (
                found["two"] + found["three"]
            ) / found["nodes"]
table(
    [
        "runs",
        "arm",
        *(f"{label}: {many}" for label in COUNTS for many in ("all three", "two or three")),
    ],
    [
        [
            group,
            arm,
            *(
                f"{polysemantic[group, arm, label, many]:.0%}"
                for label in COUNTS
                for many in ("all three", "two or three")
            ),
        ]
        for group in GROUPS
        for arm in insertion.ARMS
    ],
)

# %% [markdown]
# **Found.** ADD and SUB have about the paper's shares, within some 15 points; NEG has more, seven
# nodes in ten and above where the paper has 55 %. Nodes that serve all three operations are not a
# trace of insertion: the model from scratch has as many as the arms that copied or more (with
# resampling at 3 digits it lies among them). Nodes that serve two or three are, by the paper's own
# count, fewer in the model from scratch, at 3 and at 6 digits: there more nodes serve one operation
# only. With 5 % of the questions, or with resampling, that difference does not hold up: the model
# from scratch lies among the arms that copied, or above them.
#
# And the inserted nodes? How much of their use is chance? If the source uses $a_p$ of the $N_p$
# nodes at position $p$ and the target uses $b_p$ of them, two models that know nothing of each
# other share some all the same.

# %% [markdown]
# ### Exercise 2.3 · What chance would share
#
# *2 points · 6 minutes · ●●○*
#
# Given the counts per position as three lists, return the share of the source's nodes that the
# target is expected to use if the source's nodes were drawn at random, at every position as many as
# there are.
#
# <details><summary>Hint</summary>
#
# One node drawn at random at position $p$ is among the target's with probability $b_p / N_p$. Then
# weigh the positions by how many nodes the source has there.
#
# </details>


# %%
def chance_share(source_counts, target_counts, nodes_per_position):
    """Expected share of the source's nodes that random nodes at the same positions would hit."""
    # BEGIN SOLUTION
    expected = sum(
        a * b / n for a, b, n in zip(source_counts, target_counts, nodes_per_position, strict=True)
    )
    return expected / sum(source_counts)
    # END SOLUTION


# %%
check("lab2.3", chance_share)

# %% [markdown]
# The table has the share of the source's useful nodes that each operation of the target uses. For
# ADD three controls stand beside it: random nodes at the same positions; the source's nodes with
# their heads renamed within each layer, averaged over all renamings (p is the share of renamings
# that do at least as well as the true names); and the best renaming, which is the fair number for a
# model whose heads have no given names.

# %%
overlaps = {
    (group, arm, operation): [
        usage.overlap(
            stored.sources[r.source].use["mean"].used("ADD"), r.use["mean"].used(operation)
        )
        for r in chosen(arm, group)
    ]
    for group in GROUPS
    for arm in insertion.ARMS
    for operation in OPERATIONS
}


def average(found, field):
    """Mean of one field over some results."""
    return float(np.mean([getattr(one, field) for one in found]))


table(
    [
        "runs",
        "arm",
        *OPERATIONS,
        "ADD: random nodes",
        "ADD: heads renamed",
        "p",
        "ADD: best renaming",
    ],
    [
        [
            group,
            arm,
            *(
                f"{average(overlaps[group, arm, operation], 'observed'):.0%}"
                for operation in OPERATIONS
            ),
            *(
                f"{average(overlaps[group, arm, 'ADD'], field):.0%}"
                for field in ("random", "heads")
            ),
            ", ".join(f"{one.heads_p:.2f}" for one in overlaps[group, arm, "ADD"]),
            f"{average(overlaps[group, arm, 'ADD'], 'best'):.0%}",
        ]
        for group in GROUPS
        for arm in insertion.ARMS
    ],
)

# %% [markdown]
# And how many operations does one inserted node serve? (The paper: 39 of 48 serve two or three.)
# Below it: why renaming the heads may change little. Where the answer is predicted, from the equals
# sign on, how many heads of each layer are useful, whatever their name?

# %%
at_source = {
    (group, arm): counted(arm, group, 0.0, at_source=True)
    for group in GROUPS
    for arm in insertion.ARMS
}
HOW_MANY = ("three", "two", "one", "none")
table(
    [
        "runs",
        "arm",
        "inserted nodes",
        "serve ADD",
        "SUB",
        "NEG",
        "serve three",
        "two",
        "one",
        "none",
    ],
    [
        [*key, found["nodes"], *(found[name] for name in (*OPERATIONS, *HOW_MANY))]
        for key, found in at_source.items()
    ],
)


def busy(arm, group, layer):
    """Useful heads of a layer where the answer is predicted, and how many heads there are."""
    masks = [
        r.use["mean"].useful()[Format(r.n_digits).equals_position :, layer, :-1]
        for r in chosen(arm, group)
    ]
    return int(sum(mask.sum() for mask in masks)), sum(mask.size for mask in masks)


table(
    ["runs", "arm", "heads useful in layer 0", "in layer 1", "in layer 2"],
    [
        [group, arm, *("{} of {}".format(*busy(arm, group, layer)) for layer in range(3))]
        for group in GROUPS
        for arm in insertion.ARMS
    ],
)
adder_use = stored.sources["add-d6"].use["mean"].used("ADD")
adder_heads = [int(adder_use[:, layer, :-1].sum()) for layer in range(2)]
say(
    f"Of the {int(adder_use.sum())} useful nodes of `add-d6`, {int(adder_use[..., -1].sum())} are "
    f"MLPs, {adder_heads[0]} heads of layer 0 and {adder_heads[1]} of layer 1."
)

# %% [markdown]
# **Found.** At 6 digits the paper's shares for ADD and SUB come out again, and NEG is higher: most
# inserted nodes are used, far more than random nodes would be, and most of them by all three
# operations. But most of the same places are used in the model from scratch, and renaming the heads
# at random changes next to nothing. The reason is where they lie. Half of the source's useful nodes
# are MLPs, which no renaming moves, and all but one of its useful heads are in layer 0. There,
# where the answer is predicted, at least three quarters of the heads are useful in any arm,
# whatever their name. (In layer 1 it is less than a third.) So the count cannot tell which head it
# is, and by itself it is no evidence of reuse. At 3 digits it does separate the arms.
#
# ## 6 · Reuse by weight: is it still the same circuit?
#
# A node at the same place may do something else. So compare the weights: the cosine of what was
# inserted with what training made of it. A head's function depends on $W_Q W_K^T$ (where it looks)
# and $W_V W_O$ (what it writes), so these products are compared. Controls: other heads of the same
# layer; the fresh model before anything was inserted; and the model from scratch. At 6 digits the
# fresh model is not independent, as said above; its row shows by how much.

# %%
PARTS = ("QK", "OV", "MLP in", "MLP out", "W_E", "W_pos", "W_U")


def mean_cosine(records, which, part, field="same"):
    """Mean cosine over runs, layers and heads of one part."""
    values = [getattr(one, field) for r in records for one in getattr(r, which) if one.part == part]
    return float("nan") if None in values else float(np.mean(values))


cosines = {}
for group in GROUPS:
    for arm in insertion.ARMS:
        cosines[group, arm] = [mean_cosine(chosen(arm, group), "weights", part) for part in PARTS]
    kept = chosen("preserving", group)
    cosines[group, "preserving, other heads"] = [
        mean_cosine(kept, "weights", part, "other") for part in PARTS
    ]
    cosines[group, "fresh model"] = [
        mean_cosine(chosen("scratch", group), "fresh", part) for part in PARTS
    ]
    cosines[group, "fresh model, seed 1000"] = [
        mean_cosine(chosen("scratch", group), "independent", part) for part in PARTS
    ]
table(
    ["runs", "cosine with the source", *PARTS],
    [
        [*key, *("–" if np.isnan(value) else f"{value:.2f}" for value in values)]
        for key, values in cosines.items()
    ],
)

# %% [markdown]
# **Found.** What was copied is still there, turned by training but far from forgotten, in every arm
# that copied it. The paper's copy kept its look (QK). Its OV is lower: $W_V$ was copied, but $W_O$
# began at random. The model from scratch has nothing of the source, but for the start that they
# share at 6 digits.
#
# ## 7 · Reuse by function: do the source's tests still pass?
#
# The strictest measure. Take every patch test that the source passes, the exact nodes included, and
# run it in the new model. The tests ask about additions, so they could all pass.

# %% [markdown]
# ### Exercise 2.4 · Predict which tests transfer
#
# *4 points · 6 minutes · ●●○*
#
# Before you look: for each arm, what share of the head tests of `add-d6` is still *strong* (at
# least 90 % of the pairs as predicted) at the source's nodes in the 6-digit model? Return a
# dictionary from the arm to one of the words `"most"` (at least two thirds), `"some"`, `"few"` (at
# most one third). You have seen the learning curves and the cosines. Each arm is worth one point.
#
# <details><summary>Hint</summary>
#
# What is needed for an *old test at an old place* to pass: that the head still looks there, still
# reads the same, and that what it writes is understood. Which of these did each arm begin with, and
# which can training supply?
#
# </details>


# %%
def predicted_transfer():
    """For each arm: "most", "some" or "few" of the source's tests pass."""
    # BEGIN SOLUTION
    return {"paper": "most", "whole": "most", "preserving": "most", "scratch": "few"}
    # END SOLUTION


# %%
check("lab2.4", predicted_transfer)

# %% [markdown]
# The control is all other sets of as many heads of the layer; some of them share a head with the
# tested set. The last columns count roles as a whole: of the source's strong roles, how many does
# the new model have at exactly the same heads, and how many would it share under a random renaming
# of the heads?

# %%
moved = {
    (group, arm): [reuse.transferred(r.retests) for r in chosen(arm, group)]
    for group in GROUPS
    for arm in insertion.ARMS
}
roles = {
    (group, arm): [
        reuse.shared_roles(stored.sources[r.source].passed, r.passed, n_heads=4)
        for r in chosen(arm, group)
    ]
    for group in GROUPS
    for arm in insertion.ARMS
}
rows = []
for (group, arm), found in moved.items():
    hits, trials = sum(one.hits for one in found), sum(one.trials for one in found)
    same = roles[group, arm]
    rows.append(
        [
            group,
            arm,
            f"{sum(one.strong for one in found)} of {sum(one.tests for one in found)}",
            percent(hits / trials, *stats.clopper_pearson(hits, trials)),
            f"{average(found, 'other'):.0%}",
            f"{average(found, 'best'):.0%}",
            f"{sum(one.same for one in same)} of {sum(one.roles for one in same)}",
            f"{sum(one.heads for one in same):.1f}",
        ]
    )
table(
    [
        "runs",
        "arm",
        "head tests strong",
        "pairs",
        "other heads",
        "best renaming",
        "roles at the same heads",
        "by chance",
    ],
    rows,
)

# %% [markdown]
# The tests of MLPs. An MLP has no other name in its layer, so the control is the MLPs of the other
# layers at the same position.

# %%
moved_mlps = {
    (group, arm): [reuse.transferred(r.retests, mlps=True) for r in chosen(arm, group)]
    for group in GROUPS
    for arm in insertion.ARMS
}
rows = []
for key, found in moved_mlps.items():
    hits, trials = sum(one.hits for one in found), sum(one.trials for one in found)
    rows.append([*key, f"{sum(one.strong for one in found)} of {sum(one.tests for one in found)}"])
    rows[-1] += [
        percent(hits / trials, *stats.clopper_pearson(hits, trials)),
        f"{average(found, 'other'):.0%}",
    ]
table(["runs", "arm", "MLP tests strong", "pairs", "MLPs of other layers"], rows)

# %% [markdown]
# **Found.** By function the inserted circuit is reused, clearly: most of the source's tests pass at
# the same heads, and none or almost none in the model from scratch. Those of the MLPs pass as well.
# They say less at 6 digits, where most pairs come out as predicted at an MLP of another layer too.
#
# The surprise is the first arm. The released copy could not add at all at step 0, and ends with as
# many of the old roles as the copies that could. Training taught the old heads their old jobs
# again, in new directions. So no function was carried over there: reuse is real, and it is the
# reuse of an initialisation. What the released copy did have is where the heads look and what the
# MLPs compute, so these should be what was reused. That is an inference: no arm was given the one
# without the other.
#
# ## 8 · Where is the new skill?
#
# The exchange tests of subtraction are built like those of addition: two questions that differ in
# one value only, and a prediction by exact arithmetic. Carries beside borrows: the local ones (does
# column $k$ alone carry, or borrow?) and the cascaded ones (column $k$ passes on what comes from
# below), asked of all heads of one layer at the position that predicts $A_{k+1}$, for
# $k = 1 \ldots 4$.


# %%
def shown(result):
    """A rate with its interval, as text."""
    return percent(result.rate, *result.interval)


COUNT = 60
LOCAL, CASCADED = (
    (addition.SC, subtraction.MB, subtraction.NB),
    (addition.SV, subtraction.MV, subtraction.NV),
)
DIGITS = range(1, 5)
by_layer = {}
for name in ("mix-d6", "mix-d6-scratch"):
    for task in (*LOCAL, *CASCADED):
        for k in DIGITS:
            position = task.positions(fmt, k)[0]
            sets = [tuple(Node(position, layer, head) for head in range(4)) for layer in range(3)]
            if task in LOCAL:
                sets.append((Node(position, 0, 2),))  # one head that stands out
            by_layer[name, task.name, k] = patching.rates(models[name], fmt, task, k, sets, COUNT)


def by_digit(name, task, place):
    """Pairs as predicted at every digit, as text; the place is a layer, or 3 for L0H2 alone."""
    return " · ".join(f"{100 * by_layer[name, task, k][place].rate:.0f}" for k in DIGITS) + " %"


def least_null(name, task):
    """The lowest share of null pairs unchanged, over digits and layers."""
    return min(r.null_rate for k in DIGITS for r in by_layer[name, task, k])


table(
    [
        "model",
        "test",
        "all heads of layer 0",
        "of layer 1",
        "of layer 2 (new in mix-d6)",
        "L0H2 alone",
        "nulls unchanged, least",
    ],
    [
        [
            name,
            task.name,
            *(by_digit(name, task.name, layer) for layer in range(3)),
            by_digit(name, task.name, 3) if task in LOCAL else "–",
            f"{least_null(name, task.name):.0%}",
        ]
        for name in ("mix-d6", "mix-d6-scratch")
        for task in (*LOCAL, *CASCADED)
    ],
)
widest = max(
    high - low for low, high in (stats.clopper_pearson(hits, COUNT) for hits in range(COUNT + 1))
)
say(
    f"Pairs as predicted at $k = 1$ · 2 · 3 · 4. Each number stands for {COUNT} pairs; its 95 % "
    f"interval is at most {100 * widest:.0f} points wide. The layers need not add up to 100 %: for "
    "many pairs the exchange in either of two layers is enough."
)

# %% [markdown]
# Two more things that an adder need not know: the sign, asked at the equals sign (which column
# decides it: here 0, 2 and 4), and the operator. For the operator the stored question has other
# operands *and* the other operator; a hit means that $A_k$ becomes that of the clean operands under
# the stored operator.

# %%
chosen_by = []
for name in ("mix-d6", "mix-d6-scratch"):
    for task, digits in (
        (subtraction.SUBTASKS["GT"], (0, 2, 4)),
        (subtraction.SUBTASKS["OP"], (1, 3)),
    ):
        for k in digits:
            position = task.positions(fmt, k)[0]
            single = [(Node(position, layer, head),) for layer in range(3) for head in range(4)]
            best = max(
                patching.rates(models[name], fmt, task, k, single, COUNT),
                key=lambda result: result.rate,
            ).nodes
            again = patching.rates(models[name], fmt, task, k, [best], 100, seed=1)[
                0
            ]  # new pairs: it was chosen on the old
            chosen_by.append([name, f"{task.name}{k}", best[0], again])
table(
    ["model", "test", "best single head", "alone, on new pairs", "null unchanged"],
    [
        [name, label, node, shown(again), f"{again.null_rate:.0%}"]
        for name, label, node, again in chosen_by
    ],
)

# %% [markdown]
# **Found.** Carries stay; borrows go through the new layer, and not through it alone. In `mix-d6`
# the cascaded carry goes through the inserted layer 1 in every pair at every digit, as it did in
# `add-d6`, and not at all through the new layer. The cascaded borrow, positive or negative, goes
# through the new layer in most pairs at every digit. Through layer 1 it goes in most pairs at
# $k = 1$, and in a fifth to a half of them above. So the old cascade is shared at the lowest of
# these digits, and only in part above it.
#
# The control says how much of this is due to insertion. From scratch borrows go mostly through
# layer 2 as well, and at $k = 1$ through both layers alike. What differs is the carries: there they
# pass from layer 1 to layer 2 as the digits rise. So from scratch no layer is for one operation: at
# $k = 1$ layer 1 serves all three, as much as in `mix-d6`, and at $k = 4$ layer 2 does. In `mix-d6`
# the new layer has none of the carries. (One model each.)
#
# The *local* carry of columns 1 to 3 is brought by one inserted head, L0H2, and so are most local
# borrows. Not in column 4, next to the top one: there the head brings most carries but hardly a
# borrow, which goes through layer 1. From scratch one head brings most carries of columns 1 to 3
# too, but about half of the borrows or fewer. What a column borrows in a negative answer is also
# passed on by the new layer, nearly always; in a positive one less often.
#
# The sign is decided by one head of the new layer where the lower columns decide it, and the new
# head of layer 0 reads the operator: written alone, it turns sums into differences, and back, in
# more than half of the pairs. In the model from scratch no single head does as much.

# %% [markdown]
# ### Exercise 2.5 · Find the borrow heads
#
# *4 points · 10 minutes · ●●●*
#
# Write a search. Given a model, its format, a sub-task and a digit, return the *smallest* set of
# heads, of any layers, at the sub-task's position that carries it: at least 90 % of the pairs as
# predicted, and at least 90 % of the null pairs unchanged. Look at single heads and at pairs. If
# several sets of the smallest size pass, return the one with the highest rate; if none does, an
# empty tuple. `patching.rates(model, fmt, task, digit, node_sets, count)` gives one result a set,
# with `rate`, `null_rate` and `nodes`; `task.positions(fmt, digit)` gives the positions.
#
# <details><summary>Hint</summary>
#
# `itertools.combinations(heads, size)` for size 1, then 2; stop at the first size at which one
# passes.
#
# </details>


# %%
def borrow_heads(model, fmt, task, digit, count=40):
    """The smallest set of one or two heads at the sub-task's position that carries it."""
    # BEGIN SOLUTION
    from itertools import combinations

    position = task.positions(fmt, digit)[0]
    heads = [
        Node(position, layer, head)
        for layer in range(model.cfg.n_layers)
        for head in range(model.cfg.n_heads)
    ]
    for size in (1, 2):
        found = patching.rates(model, fmt, task, digit, list(combinations(heads, size)), count)
        passing = [result for result in found if result.rate >= 0.9 and result.null_rate >= 0.9]
        if passing:
            return max(passing, key=lambda result: result.rate).nodes
    return ()
    # END SOLUTION


# %%
check("lab2.5", borrow_heads)

# %% [markdown]
# ### Exercise 2.6 · Break the model with one question
#
# *3 points · 8 minutes · ●●●*
#
# `mix-d6` was asked millions of questions. Now take two heads away where $A_3$ is predicted: an
# inserted one, L0H2, which brings the local carry or borrow of column 2, and one of the new layer,
# L2H1. Both are replaced by their mean; either alone is hardly missed. Give two 6-digit
# subtractions with a positive answer, as texts such as `"777777-123456"`, that differ in **column 2
# only**: one that the damaged model gets wrong, and one that it gets right. (The intact model
# answers both.)
#
# <details><summary>Hint</summary>
#
# What does the damaged model no longer know, and what does it assume instead?
# `damaged("777777-123456")` shows its answer. Not every question of the right kind breaks: try a
# few.
#
# </details>

# %%
model = models["mix-d6"]
reference = sufficiency.bench(
    model, fmt, per_class=1, reference_per_class=50, operations="+-"
).reference
lost = [Node(fmt.answer_position(3) - 1, 0, 2), Node(fmt.answer_position(3) - 1, 2, 1)]


def damaged(text):
    """The answer of mix-d6 with the heads in `lost` at their mean (teacher forced)."""
    logits = ablate(model, parse(text, 6).tokens(fmt), lost, reference, "mean")
    return answer_text(answer_tokens(logits, fmt)[0], fmt)


print(parse("777777-123456", 6).text(), "damaged:", damaged("777777-123456"))


# %%
def breaking_pair():
    """Questions apart in column 2 only: the damaged model errs on the first alone."""
    # BEGIN SOLUTION
    for d in range(1, 10):  # column 2 is 0 - d: it borrows from column 3. With 9 - d it does not.
        pair = f"865042-12{d - 1}{d}11", f"865942-12{d - 1}{d}11"
        right = [damaged(text) == parse(text, 6).text().split("=")[1] for text in pair]
        if right == [False, True]:
            return pair
    # END SOLUTION


# %%
check("lab2.6", breaking_pair)

# %%
some = uniform(6, 1_000, np.random.default_rng(5), subtract=True)
top_first, top_second = some.first.clone(), some.second.clone()
top_first[:, 5], top_second[:, 5] = 8, 1  # a positive answer, whatever the other columns hold
some = Questions(top_first, top_second, some.subtract)
borrowed = algorithm.mv(some.first, some.second)[:, 2] == 1
tokens = some.tokens(fmt)
position = fmt.answer_position(3) - 1
losses = {
    "L0H2 and L2H1": lost,
    "L0H2 alone": lost[:1],
    "L2H1 alone": lost[1:],
    "control: L0H2 and L2H0": [lost[0], Node(position, 2, 0)],
    "control: L1H2 and L2H1": [Node(position, 1, 2), lost[1]],
}
without_heads = {
    label: (
        answer_tokens(ablate(model, tokens, nodes, reference, "mean"), fmt)
        == tokens[:, fmt.equals_position + 1 :]
    ).all(1)
    for label, nodes in losses.items()
}
table(
    ["lost", "right where column 2 borrows", "right where it does not"],
    [
        [label, rate(right[borrowed]), rate(right[~borrowed])]
        for label, right in without_heads.items()
    ],
)

# %% [markdown]
# **Found.** Without the two heads most questions in which column 2 borrows break, and no other: the
# damaged model takes it that column 2 never borrows. Alone, L0H2 is hardly missed, and L2H1 in
# about a quarter of the borrows. The controls, one head of the pair with another one, do not do
# this: they break a few questions of either kind, or no more than the one head alone.

# %% [markdown]
# ## 9 · Is the map enough, for each operation?
#
# The paper's re-analysis keeps the 98 useful nodes of its mixed model and ablates the rest: 89 % of
# the additions stay right, 48 % of the subtractions, 36 % of the negative answers. The same here,
# for every arm: keep the nodes that are useful alone.

# %%
rows = []
for arm in insertion.ARMS:
    for kept in runs_of(arm, 6)[0].kept:
        if kept.share == 0.0:
            rows.append([arm, kept.ablation, kept.nodes])
            rows[-1] += [
                f"{100 * kept.right[op]:.0f} % (random: {100 * kept.random[op]:.0f} %)"
                for op in ("ADD", "SUB", "NEG")
            ]
table(["arm", "the others are ablated by", "useful nodes", "ADD", "SUB", "NEG"], rows)

# %% [markdown]
# And as in Lab 1, a set chosen as a whole: from all nodes drop one after the other, as long as the
# answers of every operation stay right. The choice takes minutes, so the sets are stored; their
# test on new questions runs here.

# %%
fresh = sufficiency.bench(model, fmt, per_class=60, seed=200, operations="+-")
chosen_maps = maps.stored()["mix-d6"].nodes
kept_by = {
    (chosen, ablation): fresh.kept(chosen_maps[chosen], ablation).all(1)
    for chosen in chosen_maps
    for ablation in ("mean", "resample")
}
groups_of = {
    op: torch.tensor([other == op for other in fresh.operations]) for op in ("ADD", "SUB", "NEG")
}
controls = {
    "random, as many at every position": sufficiency.matched_sets(fresh, chosen_maps["mean"], 3),
    "the complement": [[node for node in fresh.nodes if node not in chosen_maps["mean"]]],
}
rows = [
    [
        f"chosen under {chosen} ablation",
        len(chosen_maps[chosen]),
        ablation,
        *(rate(right[group]) for group in groups_of.values()),
    ]
    for (chosen, ablation), right in kept_by.items()
]
chance = {}
for label, sets in controls.items():
    rights = [fresh.kept(nodes, "mean").all(1) for nodes in sets]
    chance[label] = {
        op: max(float(right[group].float().mean()) for right in rights)
        for op, group in groups_of.items()
    }
    rows.append(
        [
            label,
            len(sets[0]),
            "mean",
            *(f"at most {100 * value:.1f} %" for value in chance[label].values()),
        ]
    )
table(["nodes kept", "number", "the others are ablated by", "ADD", "SUB", "NEG"], rows)

# %% [markdown]
# **Found.** As in Lab 1, the nodes that are useful one at a time do not suffice, whatever the arm.
# A set chosen as a whole does, for all three operations, with well under half of the nodes; the one
# chosen under resampling holds under both ablations.
#
# ## 10 · Is reuse worth it, and is it reuse?
#
# The verdicts below are computed from the numbers of this page.

# %% tags=["hide-input"]
CLEAN = "3 digits, seeds 1, 2"  # the model from scratch is independent of the source there
by_place = {
    (group, arm): {op: average(overlaps[group, arm, op], "observed") for op in OPERATIONS}
    for group, arm, _ in overlaps
}
renamed_p = [one.heads_p for group in GROUPS for one in overlaps[group, "preserving", "ADD"]]
more = {
    (label, many): all(
        polysemantic[g, "preserving", label, many] > polysemantic[g, "scratch", label, many] + 0.1
        for g in GROUPS
    )
    for label in COUNTS
    for many in ("all three", "two or three")
}  # whether insertion has clearly more nodes that serve several operations, by every count
strong, strong_mlps = (
    {
        key: sum(one.strong for one in found) / sum(one.tests for one in found)
        for key, found in every.items()
    }
    for every in (moved, moved_mlps)
)
failed = {name: shipped[name]["failures"] for name in NAMES}
total = {name: shipped[name]["questions"] for name in NAMES}
own = {op: float(kept_by["mean", "mean"][group].float().mean()) for op, group in groups_of.items()}
shared = [min(by_layer["mix-d6", task.name, k][1].rate for task in CASCADED) > 0.5 for k in DIGITS]
rare = [end for found in uniformly["mix-d6"].values() for end in found["ci95"]]
useful_kept = {
    arm: next(k.right for k in runs_of(arm, 6)[0].kept if (k.ablation, k.share) == ("mean", 0.0))
    for arm in insertion.ARMS
}


def shares(values):
    """Shares of ADD, SUB and NEG as text."""
    return " / ".join(f"{100 * values[op]:.0f}" for op in OPERATIONS) + " %"


def faster(arm):
    """Number of the two levels at which every seed of an arm was faster than any from scratch."""
    return sum(
        max(needed[3, arm, level]) < min(needed[3, "scratch", level]) for level in (0.99, 0.9999)
    )


def pace(arm):
    """Steps to both levels at 3 digits."""
    return f"{spread(needed[3, arm, 0.99])} and {spread(needed[3, arm, 0.9999])} ({arm})"


def several(arm):
    """Shares of polysemantic nodes, one number a group of runs."""
    some = [("one question", "two or three"), *((label, "all three") for label in COUNTS)]
    return "; ".join(
        f"{many} ({label}) "
        + " / ".join(f"{polysemantic[g, arm, label, many]:.0%}" for g in GROUPS)
        for label, many in some
    )


def cascades_in(name, layer):
    """What a layer passes on of the cascades of the three operations."""
    return ", ".join(f"{task.name} {by_digit(name, task.name, layer)}" for task in CASCADED)


WORDS = {2: True, 1: None, 0: False}
claims(
    [
        (
            "a verified adder is inserted (the released copy)",
            f"right at step 0: {rate(at_start['paper'].target_right)}",
            f"whole copy {rate(at_start['whole'].target_right)}, function-preserving "
            f"{rate(at_start['preserving'].target_right)}",
            float(at_start["paper"].target_right.float().mean()) > 0.99,
        ),
        (
            "a mixed 3-layer, 4-head model of 6 digits fails on 0 to 1 questions in a million",
            "uniform additions {}, subtractions {}".format(
                *(per_million(uniformly["mix-d6"][operator]) for operator in "+-")
            ),
            "from scratch {} and {}".format(
                *(per_million(uniformly["mix-d6-scratch"][operator]) for operator in "+-")
            ),
            True if max(rare) <= 1e-6 else None if min(rare) <= 1e-6 else False,
        ),
        (
            "(not claimed with numbers) the released insertion helps training",
            "steps to 99 % and 99.99 %, 3 digits: " + pace("paper"),
            pace("scratch"),
            WORDS[faster("paper")],
        ),
        (
            "(not in the paper) the function-preserving insertion helps training",
            "steps to 99 % and 99.99 %, 3 digits: " + pace("preserving"),
            pace("scratch"),
            WORDS[faster("preserving")],
        ),
        (
            "88 / 83 / 60 % of the inserted nodes serve ADD / SUB / NEG, so they are reused",
            f"6 digits, preserving: {shares(by_place['6 digits, seed 0', 'preserving'])}",
            f"scratch {shares(by_place['6 digits, seed 0', 'scratch'])}; at 3 digits "
            f"{shares(by_place[CLEAN, 'preserving'])} and {shares(by_place[CLEAN, 'scratch'])}; "
            f"heads renamed: p = {min(renamed_p):.2f} or more",
            False
            if by_place["6 digits, seed 0", "preserving"]["ADD"] < 0.8
            else (
                max(renamed_p) <= 0.05
                and by_place[CLEAN, "preserving"]["ADD"] > by_place[CLEAN, "scratch"]["ADD"] + 0.2
            )
            or None,
        ),
        (
            "the inserted circuit does in the new model what it did before",
            "head tests of the source still strong: "
            + ", ".join(f"{strong[g, 'preserving']:.0%} ({g})" for g in GROUPS),
            "scratch: "
            + ", ".join(f"{strong[g, 'scratch']:.0%}" for g in GROUPS)
            + "; paper's copy: "
            + ", ".join(f"{strong[g, 'paper']:.0%}" for g in GROUPS),
            False
            if min(strong[g, "preserving"] for g in GROUPS) < strong[CLEAN, "scratch"] + 0.2
            else min(strong[g, "preserving"] for g in GROUPS) >= 0.9 or None,
        ),
        (
            "nodes that serve several operations come from insertion (its latest abstract concedes "
            "that they do not)",
            "preserving: " + several("preserving"),
            "scratch: " + several("scratch"),
            True if all(more.values()) else None if any(more.values()) else False,
        ),
        (
            "subtraction reuses the cascade of addition",
            "inserted layer 1, at k = 1 to 4: "
            + cascades_in("mix-d6", 1)
            + "; new layer: "
            + cascades_in("mix-d6", 2),
            "from scratch, layer 1: "
            + cascades_in("mix-d6-scratch", 1)
            + "; layer 2: "
            + cascades_in("mix-d6-scratch", 2),
            True if all(shared) else None if any(shared) else False,
        ),
        (
            "the useful nodes suffice (re-analysis: 89 / 48 / 36 %)",
            f"{shares(useful_kept['preserving'])} (preserving)",
            f"{shares(useful_kept['scratch'])} (scratch)",
            min(useful_kept["preserving"].values()) >= 0.95,
        ),
        (
            "a small part of the model suffices",
            f"{shares(own)} with {len(chosen_maps['mean'])} of {len(fresh.nodes)} nodes",
            "random nodes, as many at every position: at most "
            f"{shares(chance['random, as many at every position'])}",
            own["ADD"] >= 0.98
            and min(own["SUB"], own["NEG"]) >= 0.95
            and max(chance["random, as many at every position"].values()) < 0.5,
        ),
    ]
)

# %% tags=["hide-input"]
batch_size = RECIPES["mix-d3"].batch_size
full = RECIPES["add-d3"].steps * RECIPES["add-d3"].batch_size
saved = batch_size * (
    np.median(needed[3, "scratch", 0.99]) - np.median(needed[3, "preserving", 0.99])
)
say(
    f"""
- **Proven**, by asking every question when the weights were published (repeated by `python -m
  helpers verify mix-d3 --exhaustive`): `mix-d3` answers {total["mix-d3"]:,} additions and
  subtractions of 3-digit numbers, {failed["mix-d3"]} wrong.
- **Tested to a bound**: `mix-d6`, {total["mix-d6"]:,} questions, {failed["mix-d6"]} wrong;
  `mix-d6-scratch`, {total["mix-d6-scratch"]:,} questions, {failed["mix-d6-scratch"]} wrong.
- **Measured**: at 3 digits the function-preserving insertion comes to 99 % {abs(saved):,.0f}
  training questions {"earlier" if saved > 0 else "later"} than the start from scratch, in the
  median. The adder itself was trained on {full:,}, more than a whole mixed run. So a head start can
  pay only where the adder exists already.
- **Believed**: that seeds, sizes and schedules that were not tried behave alike.
"""
)

# %% [markdown]
# ## Limits
#
# - Three seeds an arm at 3 digits, one at 6. The runs share the source; a source of another seed
#   was not tried.
# - At seed 0 the model from scratch and the source start from *identical* embeddings, positions and
#   layer-0 queries of heads 0 to 2. That can only make the model from scratch look more like the
#   source. At 6 digits no other seed was trained.
# - One schedule for all arms: a learning rate that suits a fresh model may be too high for one that
#   can add already.
# - Frozen models were followed for a hundred steps, with one seed. `mix-d3-frozen`,
#   `mix-d3-paper-qkv` and `mix-d3-paper-qkv-mlp` can be trained by command, and were not trained to
#   the end: whether freezing keeps the circuit, or costs the new skill, is open.
# - Which layer passes on what was tested in one model of each kind, the 6-digit ones with seed 0.
# - Place is measured under mean ablation. Place, weight and function are measured one node or one
#   patch test at a time; what several nodes do together is seen only in the maps.
# - All interventions are read teacher forced. For subtraction the digits see the true sign.
#
# ## Further reading
#
# - Quirke, Neo and Barez,
#   [Understanding Addition and Subtraction in Transformers](https://arxiv.org/abs/2402.02619)
# - Chen, Goodfellow and Shlens,
#   [Net2Net: Accelerating Learning via Knowledge Transfer](https://arxiv.org/abs/1511.05641)
# - Merullo, Eickhoff and Pavlick,
#   [Circuit Component Reuse Across Tasks in Transformer Language Models](https://arxiv.org/abs/2310.08744)
# - Zhang and Nanda,
#   [Towards Best Practices of Activation Patching](https://arxiv.org/abs/2309.16042)

# %%
scores("lab2")
