# %% [markdown]
# # Lab 2 · Reuse of a verified circuit
#
# Lab 1 ended with a circuit that adds. Can it be *reused*: built into a larger model that must learn subtraction too? The
# paper answers yes, and supports it by counting: most of the nodes that were inserted are used again, by addition and by
# subtraction alike. This lab repeats the insertion and adds what the paper leaves out: whether the copy still adds before
# any training, what a model trained from scratch looks like under the same counts, and what chance would give.
#
# The programme is that of Quirke, Neo and Barez, [*Understanding Addition and Subtraction in
# Transformers*](https://arxiv.org/abs/2402.02619). The chapter [Verified arithmetic](../book/ch1_verified_arithmetic.md)
# explains it.
#
# **You will be able to**
#
# - build a trained model into a larger one without changing a single answer, and say which weights decide that;
# - tell the reuse of a circuit from the reuse of an initialisation;
# - read learning curves with a band, and say what a head start is worth;
# - measure reuse in three ways, each against a model that reused nothing;
# - find the heads that borrow, and the question that breaks when one is lost.
#
# **You need** Lab 1: cascades, patch tests, sufficiency.
#
# **Cost** Six exercises of 5 to 10 minutes, about an hour in all. The set-up cell prints the measured run time.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab2")

# %%
import numpy as np
import torch

from helpers import plots, stats, training, zoo
from helpers.arithmetic import cascades, insertion, nodemap, patching, reuse, subtasks, subtractions, sufficiency
from helpers.arithmetic.questions import Format, Questions, mixed, parse, uniform
from helpers.arithmetic.recipes import EXPERIMENTS, RECIPES, task_of
from helpers.arithmetic.verify import score, verify
from helpers.course.check import check, scores
from helpers.interventions import Node
from helpers.tables import claims, percent, rate, say, table
from helpers.widgets import live_explorer

# %% [markdown]
# ## 1 · What does it take to insert a model?
#
# The source is `add-d6`, the 6-digit adder of Lab 1: 2 layers, 3 heads. The target has 3 layers and 4 heads of the same
# width. The source's heads become heads 0 to 2 of the target's first two layers; head 3 of every layer and the whole third
# layer are new.
#
# A layer adds to the residual stream $x$ first what its heads write, then what its MLP writes:
#
# $$x' = x + \sum_h z_h W_O^{(h)} + b_O, \qquad x'' = x' + \mathrm{ReLU}\bigl(\mathrm{LN}_2(x') W_{in} + b_{in}\bigr) W_{out} + b_{out}.$$
#
# The copied parts do in the target what they did in the source if, and as far as, they see the same $x$. So the question
# is what the *new* parts write.

# %% [markdown]
# ### Exercise 2.1 · A new layer that changes nothing, and can still learn
#
# *3 points · 8 minutes · ●●○*
#
# You get the weights of one freshly initialised layer as a dictionary of tensors: `W_Q`, `W_K`, `W_V` [d_model, d_head],
# `W_O` [d_head, d_model], `b_Q`, `b_K`, `b_V`, `b_O`, `W_in`, `b_in`, `W_out`, `b_out` and the two layer norms `ln1_w`,
# `ln1_b`, `ln2_w`, `ln2_b`. Return a dictionary with the same names in which the layer passes every $x$ on unchanged. But
# training must be able to wake it up: after one step of gradient descent it must no longer be neutral.
#
# <details><summary>Hint</summary>
#
# Only what is *written* into the stream has to vanish. If you set more to zero than that, look at the product rule: a
# product of two zero factors has no gradient in either.
#
# </details>


# %%
def neutral_layer(weights):
    """The weights of a layer that passes the residual stream on unchanged and still gets a gradient."""
    # BEGIN SOLUTION
    written = {"W_O", "b_O", "W_out", "b_out"}
    return {name: torch.zeros_like(value) if name in written else value.clone() for name, value in weights.items()}
    # END SOLUTION


# %%
check("lab2.1", neutral_layer)

# %% [markdown]
# A new *head* in an old layer needs the same: its own part of $W_O$ is zero.
#
# ## 2 · Does the copy still add?
#
# Four ways to start, called *arms*. Everything that is not copied keeps the random start of the target.
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
# Below is what the released code does, retold in a few lines: `start` runs once before training, `write_back` runs every
# hundred steps to "freeze" the heads that were inserted. Weights of heads are lists with one entry a head. Each function has
# one bug. Repair both, and return the two repaired functions from `repaired()`. In the retelling a layer has no other
# tensors than those named here: `W_Q`, `W_K`, `W_V`, `W_O`, `b_Q`, `b_K`, `b_V`, `W_in`, `b_in`, `W_out`, `b_out`, `ln1_w`,
# `ln1_b` (each of the last six is one entry, not a list), and besides them `b_O`, `ln2_w` and `ln2_b`, one entry each.
#
# <details><summary>Hint</summary>
#
# For the first: which tensors are never mentioned? For the second: insert three heads into four, and write down which head
# `start` fills and which one `write_back` overwrites.
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
    inserted[arm] = insertion.insert(source, training.build_model(recipe), arm).eval().requires_grad_(False)
    count = 100_000 if arm == "preserving" else 5_000
    at_start[arm] = insertion.agreement(source, inserted[arm], uniform(6, count, np.random.default_rng(0)), fmt)
table(
    ["arm", "questions", "source right", "right at step 0", "largest change of an answer logit"],
    [
        [arm, f"{len(a.target_right):,}", rate(a.source_right), rate(a.target_right), f"{a.largest:.3g}"]
        for arm, a in at_start.items()
    ],
)

# %% [markdown]
# Which of the forgotten tensors matters? Take the `whole` copy and put the random start of one of them back.

# %%
FORGOTTEN = {
    "W_O": "attn.o.weight",
    "b_O": "attn.o.bias",
    "LN2": "ln2.",
    "bias of the last LN": "ln_final.bias",
    "b_U": "unembed.bias",
}
fresh_start = training.build_model(recipe).state_dict()
sample = uniform(6, 2_000, np.random.default_rng(1))
without = {}
for label, part in FORGOTTEN.items():
    copied = insertion.insert(source, training.build_model(recipe), "whole").eval().requires_grad_(False)
    for name, tensor in copied.state_dict().items():
        if part in name:
            tensor.copy_(fresh_start[name])
    without[label] = insertion.agreement(source, copied, sample, fmt).target_right
table(["the whole copy without", "right at step 0"], [[label, rate(right)] for label, right in without.items()])

# %% [markdown]
# ## 3 · What is hard about subtraction?
#
# A borrow cascades like a carry: a column with $D_k < D'_k$ *borrows*, a column with *equal* digits passes a borrow on.
# And something new: if $D < D'$ the answer is negative. The sign is the first token of the answer, and the highest column
# that differs decides it. The model then has to write the digits of $D' - D$.
#
# | operation | class | the paper's name | digit | borrow | cascaded borrow |
# |---|---|---|---|---|---|
# | ADD | $S_0 \ldots S_n$ | S | $SA_k = (D_k + D'_k) \bmod 10$ | $SC_k$ | $SV_k$ |
# | SUB, $D \ge D'$ | $M_0 \ldots M_{n-1}$ | M | $MD_k = (D_k - D'_k) \bmod 10$ | $MB_k = [D_k < D'_k]$ | $MV_k$ |
# | NEG, $D < D'$ | $N_1 \ldots N_n$ | N | $ND_k = (D'_k - D_k) \bmod 10$ | $NB_k = [D'_k < D_k]$ | $NV_k$ |
#
# The index of $M_m$ and $N_m$ is the length of the longest run of equal columns above a column with $D_k < D'_k$, that
# column included. For N this is the cascade that decides the *sign*.

# %%
borrow_share = cascades.frequencies(cascades.subtraction(6), 6)
batch = mixed(6, 20_000, np.random.default_rng(0))
names = np.array(batch.classes())
table(
    ["class", "share of uniform 6-digit subtractions", "share of the subtractions trained on", "an example"],
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
say("Of 20 000 questions the generator drew: " + ", ".join(f"{kind} {count}" for kind, count in batch.log.items()) + ".")

# %% [markdown]
# The released generator lost its equal columns at some point: it enriches carries, but borrow cascades come only by chance.
# The paper's subtraction models are often wrong, and how often depends on the seed. With both enriched, 60 % of the
# questions subtractions, three models are embedded: `mix-d3` and `mix-d6` grew from the function-preserving insertion,
# `mix-d6-scratch` from nothing. These are the full verifications of their weights (`python -m helpers verify mix-d6
# --operations +- --questions 1000000`).

# %%
NAMES = ("mix-d3", "mix-d6", "mix-d6-scratch")
models = {name: zoo.load(name, device="cpu").requires_grad_(False) for name in NAMES}
shipped = {name: zoo.entry(name).measured for name in NAMES}


def failures_of(report, letter):
    """Failures and questions of all classes of one letter."""
    counts = [c for name, c in report["classes"].items() if name.startswith(letter)]
    return sum(c["failures"] for c in counts), sum(c["questions"] for c in counts)


table(
    ["model", "method", "ADD wrong", "SUB wrong", "NEG wrong", "highest upper bound of any class (95 %)"],
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

# %%
quick = verify(models["mix-d6"], fmt, name="mix-d6", questions=5_000, per_class=500, operations="+-")
print(quick.table())
