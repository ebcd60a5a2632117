# %% [markdown]
# # Lab 4 · Circuits in seconds, and the truth about them
#
# Which attention heads of a language model do a given task? The usual answers patch or prune one
# piece after the other, which takes hours for a model of any size. The paper of this lab proposes a
# way that takes seconds: a tiny autoencoder turns what each head writes into one integer, and heads
# that show integers of their own on the task's prompts are the circuit. It was judged by lists of
# heads that people found by hand. Here the truth is known: the model has 16 heads, and its
# behaviour with *every* one of their 65 536 subsets has been computed.
#
# The method is that of O'Neill and Bui,
# [*Sparse Autoencoders Enable Scalable and Reliable Circuit Identification in Language Models*](https://arxiv.org/abs/2405.12522).
# The chapter [Circuit discovery](../book/ch4_circuit_discovery.md) explains it and its rivals.
#
# **You will be able to**
#
# - say what makes a set of heads a circuit, and read the smallest circuits off an exhaustive table;
# - run the discrete SAE, and find the slip in its released code;
# - judge a ranking of heads: AUROC, true F1, faithfulness curves, and their nulls;
# - tell evidence for a task from evidence that heads are busy, by shuffling labels;
# - build twins that give a method nothing to find.
#
# **You need** Lab 0: residual stream, ablation, controls. Lab 3 is not needed.
#
# **Cost** Six exercises of 5 to 12 minutes, about an hour with the reading. The set-up cell prints
# the measured run time. A cell that needs an answer of yours stops with its name until you have
# written it; go on with the next, nothing later depends on it.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab4")

# %%
import numpy as np
import torch

from helpers import stats, zoo
from helpers.circuits import codes, explorer, judging
from helpers.circuits.codes import controls, discrete_sae, lens_sae
from helpers.circuits.graph import Graph, handwired, head_name
from helpers.circuits.judging import published_results as published
from helpers.circuits.oracle import ABLATIONS, minimal, oracle, shapley, stored, truths
from helpers.circuits.rivals import path_patching
from helpers.circuits.study import growth, jobs, methods, trials
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.course.check import check, scores
from helpers.show import claims, grids, pictures, plots, say, table
from helpers.texts import final_logits
from helpers.tinyworld.language import world

model = zoo.load("tinyworld-attn")
TASKS = tuple(CORRUPTIONS)
HEADS = [(layer, head) for layer in range(4) for head in range(4)]


def named(heads):
    """Heads as layer.head."""
    return " ".join(f"{layer}.{head}" for layer, head in heads) or "none"


# %% [markdown]
# ## 1 · Three tasks and their twins
#
# `tinyworld-attn` has four layers of four heads, no MLPs, and was trained on plain text about a
# small invented world. It does three things that were studied in GPT-2: it names the *receiver* of
# a gift, it says a *later year*, it documents the *next argument*.
#
# Each prompt has a *twin*: the same tokens but for those that the answer depends on. A method of
# circuit discovery compares the two.

# %%
pairs = {task: twins(task, 250, seed=0) for task in TASKS}
shown = []
for task, pair in pairs.items():
    clean, corrupted = (
        pair.behaviour(final_logits(model, side)).numpy() for side in (pair.clean, pair.corrupted)
    )
    shown += [
        [task, pair.clean.texts[0], f"{clean.mean():.2f}"],
        ["its twin", pair.corrupted.texts[0], f"{corrupted.mean():.2f}"],
    ]
table(["task", "an example", "metric, mean of 250"], shown)
say(
    "Metrics: "
    + "; ".join(
        f"{task}: {pair.metric} of the right words against the wrong ones"
        for task, pair in pairs.items()
    )
    + "."
)

# %% [markdown]
# **Found** The model does all three, and its twins take the answer away. On greater-than something
# is left: after 02 any later year is right, and some of these are right for the prompt as well.
# Twins in docstring define other arguments, and the model then names those: the metric falls far
# below a guess.

# %% [markdown]
# ## 2 · One integer a head
#
# What a head adds to the residual stream at a token is a vector of 128 numbers. The method takes
# its mean over the tokens of a prompt, $x$, and trains one sparse autoencoder on the $x$ of all
# heads on ten prompts:
#
# $$z = \mathrm{ReLU}(W_e(x-b)+b_e), \qquad \hat x = W_d z + b, \qquad L = \overline{(\hat x-x)^2} + \lambda\,\overline{\lVert z\rVert_1}.$$
#
# The first mean is over vectors and dimensions, the second over vectors. The vectors of the
# dictionary are the *columns* of $W_d$, one a latent. They are held at length 1, or the penalty
# could be escaped: halve $z$, double $W_d$. The rows of $W_e$ have length 1 as well.
#
# ### Exercise 4.1 · Find the slip
#
# *2 points · 5 minutes · ●○○*
#
# This is how the released code keeps $W_d$, of shape `[d_model, latents]`, in shape. Which vectors
# have length 1 afterwards? Write `unit_dictionary` so that it does what was meant.
#
# <details><summary>Hint</summary>
#
# Which axis of the decoder counts the latents? A norm is taken *along* the axis that it makes
# disappear.
#
# </details>


# %%
def released_norm(decoder):
    """What the released code does."""
    return decoder / decoder.norm(dim=-1, keepdim=True)


# %%
def unit_dictionary(decoder):
    """The decoder [d_model, latents] with dictionary vectors of length 1 in their directions."""
    # BEGIN SOLUTION
    return decoder / decoder.norm(dim=0, keepdim=True)
    # END SOLUTION


# %%
check("lab4.1", unit_dictionary)

# %% [markdown]
# Now train. The *code* of a head on a prompt is the largest latent of $z$.

# %%
trial = {
    task: methods.Trial(model, pairs[task], twins(task, 250, seed=1)) for task in TASKS
}  # to score by, to train on
sae = {
    task: discrete_sae.train(one.vectors(), methods.published(one)) for task, one in trial.items()
}
positive = {task: sae[task].codes(trial[task].positive) for task in TASKS}  # [prompt, head]
negative = {task: sae[task].codes(trial[task].negative) for task in TASKS}
print("codes of the first five heads on three prompts:", positive["ioi"][:3, :5].tolist())


# %% tags=["hide-input"]
def explained(trained, writes):
    """Share of the writes' variance that the autoencoder reconstructs."""
    return 1 - float(
        (trained.reconstruct(writes) - writes).square().sum()
        / (writes - writes.mean((0, 1))).square().sum()
    )


fits = []
for sparsity in (0.02, 0.005, 0.001):
    fitted = discrete_sae.train(trial["ioi"].vectors(), discrete_sae.Settings(sparsity=sparsity))
    given = fitted.codes(trial["ioi"].positive)
    fits.append(
        (
            sparsity,
            explained(fitted, trial["ioi"].positive),
            len(given.unique()),
            float((given == discrete_sae.DEAD).float().mean()),
        )
    )
table(
    ["λ", "variance explained", "different codes of 200", "without a code"],
    [
        [
            f"{sparsity}" + (" (published)" if sparsity == 0.02 else ""),
            f"{round(share, 2) + 0.0:.0%}",
            count,
            f"{dead:.0%}",
        ]
        for sparsity, share, count, dead in fits
    ],
)

# %% [markdown]
# **Found** With the published λ the autoencoder reconstructs no better than a constant would. A
# vector of length $r$ pays for an active latent only where $r > d\lambda/2$, here 1.28, and the
# typical length is about 1.2: nearly all activations are pressed to almost 0. And yet it hands out
# nearly all of its codes. An arg max over latents that mean little still tells vectors apart, as a
# hash does. With a twentieth of λ three quarters of the variance are explained, with less than half
# as many codes. Keep this in mind when codes are counted.

# %% [markdown]
# ## 3 · Codes that only the task has
#
# A head belongs to the circuit, says the method, if it shows many codes on clean prompts that it
# never shows on twins.
#
# ### Exercise 4.2 · Count them
#
# *2 points · 6 minutes · ●○○*
#
# Write the score of one head: how many different codes occur among `positive` and not among
# `negative`. A code of `-1` means that no latent was active, which is no code.
#
# <details><summary>Hint</summary>
#
# Python's sets have a difference.
#
# </details>


# %%
def own_codes(positive, negative):
    """Number of codes of one head that clean prompts have and twins do not, from two lists."""
    # BEGIN SOLUTION
    return len(set(positive) - set(negative) - {-1})
    # END SOLUTION


# %%
check("lab4.2", own_codes)

# %%
found = {task: codes.node_scores(positive[task], negative[task]) for task in TASKS}
figure = grids.heatmap(
    np.stack([found[task].numpy() for task in TASKS]),
    list(TASKS),
    [named([head]) for head in HEADS],
    title="Codes that only the clean prompts have",
)
highest = {
    task: [HEADS[i] for i in values.argsort(descending=True)[:5].tolist()]
    for task, values in found.items()
}
pictures.show(
    figure,
    "Heat map of three tasks by sixteen heads: how many codes each head has for clean prompts "
    "alone. The five highest: "
    + "; ".join(f"{task}: {named(heads)}" for task, heads in highest.items())
    + ".",
)

# %% [markdown]
# **Found** Many heads have codes of their own, in every layer and every task. Nothing so far says
# whether these are the right ones.

# %% [markdown]
# ## 4 · The truth
#
# With 16 heads there are 65 536 subsets. For each: keep its heads, replace what the others write by
# what they write on the twin, and measure. A subset's *faithfulness*
#
# $$F(C) = \frac{m(C)-m(\emptyset)}{m(\text{all})-m(\emptyset)}$$
#
# is 0 with no head and 1 with all. Here is the whole table for one task, computed now: subsets that
# share their first layers share the work.

# %%
live = oracle(model, twins("ioi", 32, seed=5), "resample")
known = {
    (task, ablation): stored.stored(task, ablation) for task in TASKS for ablation in ABLATIONS
}
F = {key: np.asarray(summary.faithfulness) for key, summary in known.items()}
apart = float(np.abs(np.asarray(live.faithfulness) - F["ioi", "resample"]).max())
size = np.array([subset.bit_count() for subset in range(1 << 16)])
say(
    f"{len(live.faithfulness):,} subsets on 32 prompts. The stored table, on other prompts, "
    f"differs from it by {apart:.2f} at most. With all heads the logit difference is "
    f"{live.full:.2f}, with none {live.none:.2f}."
)

# %% tags=["hide-input"]
figure, axes = pictures.make_panels(3, 10, 3)
best_of_size = {task: judging.best_circuits(F[task, "resample"])[0] for task in TASKS}
with pictures.style():
    for task, ax in zip(TASKS, axes, strict=True):
        by_size = [F[task, "resample"][size == k] for k in range(17)]
        ax.fill_between(
            range(17),
            *(np.array([np.quantile(one, q) for one in by_size]) for q in (0.05, 0.95)),
            alpha=0.3,
        )
        ax.plot([one.mean() for one in by_size], "--", label="mean, and 5 to 95 %")
        ax.plot(best_of_size[task], label="best of its size")
        ax.set(title=task, xlabel="heads kept")
    axes[0].set_ylabel("faithfulness")
    axes[0].legend(loc="upper left")
pictures.show(
    figure,
    "Faithfulness of all 65 536 subsets by the number of heads kept, one panel a task: mean, 5 to "
    "95 % range, and the best subset of each size. "
    + " ".join(
        f"{task}: with 8 heads the mean is {F[task, 'resample'][size == 8].mean():.2f}, the best "
        f"{best_of_size[task][8]:.2f}."
        for task in TASKS
    ),
)

# %% [markdown]
# ### Exercise 4.3 · Read off the smallest circuit
#
# *3 points · 8 minutes · ●●○*
#
# Subset number $s$ keeps head $i$ if bit $i$ of $s$ is set; head $i$ is `(i // 4, i % 4)` in a
# model of four heads a layer. Given the faithfulness of all subsets, return the circuits of the
# smallest size with $F \ge$ `enough`: a list, each a set of head numbers. It must work for a table
# of any $2^n$ entries.
#
# <details><summary>Hint</summary>
#
# `int.bit_count()` is the size of a subset, `s >> i & 1` its bit `i`. First the smallest size, then
# all subsets that have it.
#
# </details>


# %%
def smallest_circuits(faithfulness, enough):
    """All circuits of the smallest size, each a set of head numbers."""
    # BEGIN SOLUTION
    sets = [s for s, value in enumerate(faithfulness) if value >= enough]
    smallest = min(s.bit_count() for s in sets)
    return [
        {i for i in range(s.bit_length()) if s >> i & 1} for s in sets if s.bit_count() == smallest
    ]
    # END SOLUTION


# %%
check("lab4.3", smallest_circuits)

# %% [markdown]
# A subset with $F \ge 0.8$ is a circuit here, and a *minimal* one if none of its proper subsets is.

# %%
circuits = {key: minimal(summary, truths.ENOUGH) for key, summary in known.items()}
table(
    [
        "task",
        "others replaced by",
        "faithful subsets",
        "minimal circuits",
        "size of the smallest",
        "how many",
        "heads of any smallest",
        "in every circuit",
    ],
    [
        [
            task,
            {"resample": "the twin's", "mean": "their mean"}[ablation],
            f"{one.n_faithful:,}",
            len(one.circuits),
            int(one.smallest[0]).bit_count(),
            len(one.smallest),
            named(known[task, ablation].kept(int(np.bitwise_or.reduce(one.smallest)))),
            named(one.core),
        ]
        for (task, ablation), one in circuits.items()
    ],
)

# %% tags=["hide-input"]
table(
    [
        "task",
        "others replaced by",
        *(f"minimal circuits at {enough}: size of the smallest" for enough in (0.7, 0.8, 0.9)),
    ],
    [
        [
            task,
            {"resample": "the twin's", "mean": "their mean"}[ablation],
            *(f"{len(one.circuits)}: {int(one.smallest[0]).bit_count()}" for one in each_enough),
        ]
        for (task, ablation), summary in known.items()
        for each_enough in [[minimal(summary, enough) for enough in (0.7, 0.8, 0.9)]]
    ],
)

# %% tags=["hide-input"]
values = {task: shapley.exact(F[task, "resample"]) for task in TASKS}
figure = grids.heatmap(
    np.stack([values[task] for task in TASKS]),
    list(TASKS),
    [named([head]) for head in HEADS],
    title="Shapley value of faithfulness",
)
leading = {task: [HEADS[i] for i in np.argsort(-values[task])[:4]] for task in TASKS}
pictures.show(
    figure,
    "Heat map of the Shapley values of sixteen heads in three tasks; each row adds up to 1. The "
    "four highest: "
    + "; ".join(
        f"{task}: "
        f"{', '.join(f'{named([head])} {values[task][HEADS.index(head)]:.2f}' for head in heads)}"
        for task, heads in leading.items()
    )
    + ".",
)

# %% [markdown]
# ### Exercise 4.4 · Two circuits, one behaviour
#
# *3 points · 8 minutes · ●●○*
#
# The smallest circuits of greater-than differ in one head only. Use the stored table
# `F["greater-than", "resample"]`, and return three things:
#
# 1. the set of heads `(layer, head)` of which each smallest circuit (with $F \ge 0.8$) has exactly
#    one;
# 2. the faithfulness of the whole model less *all* of these heads;
# 3. the largest loss of faithfulness when just *one* of them is taken from the whole model.
#
# <details><summary>Hint</summary>
#
# Heads that are in some smallest circuit and not in all. If you skipped 4.3:
# `circuits["greater-than", "resample"].smallest` has the numbers of the circuits, and
# `known[...].kept(number)` their heads. The whole model less some heads is the subset $2^{16}-1$
# without their bits.
#
# </details>


# %%
def stand_ins():
    """(the set of heads, faithfulness without all of them, largest loss without one of them)."""
    # BEGIN SOLUTION
    table_of_f = F["greater-than", "resample"]
    sets = smallest_circuits(table_of_f, 0.8)
    some = set.union(*sets) - set.intersection(*sets)
    everything = (1 << 16) - 1
    without = table_of_f[everything - sum(1 << i for i in some)]
    return (
        {HEADS[i] for i in some},
        without,
        max(1 - table_of_f[everything - (1 << i)] for i in some),
    )
    # END SOLUTION


# %%
check("lab4.4", stand_ins)

# %% [markdown]
# **Found** When the other heads write what they write on the twin, IOI has, at 0.8, *one* minimal
# circuit: five heads in three layers. Its 2 048 supersets are circuits and no other subset is: none
# of the five can be spared, no other head is needed. The smallest circuit of docstring is the same
# five heads: the model uses the same heads to copy a word in stories and in code. Greater-than has
# four smallest circuits of seven heads: six are common to all, the seventh is any one of four.
# Taken away singly each of the four costs 0.06 at most; without all four $F$ is 0.80, just enough.
#
# With the *mean* in place of the twin's write other circuits come out, larger for IOI and
# docstring, and for greater-than without a single head that is in all of them. The threshold
# matters as well: at 0.7 IOI has 15 minimal circuits. There is no circuit of a task as such. There
# is one for a task, a replacement, a threshold and a set of prompts.

# %% [markdown]
# ## 5 · Does the method find the truth?
#
# *AUROC*: the chance that a head of the circuit scores higher than one that is not. 0.5 is a guess,
# 1 a perfect ranking. The circuit is, to begin with, all heads of the smallest faithful circuits of
# the table above, others replaced by their writes on the twin.
#
# ### Exercise 4.5 · Beat it in one line
#
# *3 points · 6 minutes · ●●○*
#
# Write a score that needs no autoencoder and nothing to train: from what heads write on clean
# prompts and on their twins to one number a head. It passes if its mean AUROC over the three tasks
# is above the discrete SAE's; a point for coming within 0.1 of it.
#
# <details><summary>Hint</summary>
#
# A head that has to do with the answer writes otherwise when the answer is gone. Before or after
# taking the mean over prompts?
#
# </details>


# %%
def one_line(positive, negative):
    """One score per head, from writes [prompt, head, d_model] on clean prompts and their twins."""
    # BEGIN SOLUTION
    return (positive.mean(0) - negative.mean(0)).norm(dim=-1)
    # END SOLUTION


# %%
check("lab4.5", one_line)

# %% [markdown]
# Now everything on one footing: the same model, 250 fresh prompts and twins a trial, ten trials.
# Gradients and ablations have the first 100 of them, ACDC the first 20. The measurements are stored
# (`python -m helpers circuits` repeats them, in about an hour on one core).

# %% tags=["hide-input"]
measured = trials.stored()
true = {task: truths.labels(known[task, "resample"]) for task in TASKS}
FAMILIES = {"codes": methods.CODES, "controls": methods.CONTROLS, "sees the metric": methods.RIVALS}
areas = {
    (name, task): judging.over_seeds(measured.item("method", task, name).scores, true[task])
    for family in FAMILIES.values()
    for name in family
    for task in TASKS
}
shown = (
    "discrete SAE",
    "sae-lens, L1",
    "shuffled labels",
    "untrained SAE",
    "mean difference",
    "ablate one head",
    "ACDC",
)
figure = plots.bars_with_intervals(
    shown,
    {
        task: np.array(
            [
                [areas[name, task].mean, areas[name, task].low, areas[name, task].high]
                for name in shown
            ]
        )
        for task in TASKS
    },
    ylabel="AUROC",
    title="Heads of the smallest circuits, found by",
)
pictures.show(
    figure,
    f"Bars of AUROC for {len(shown)} ways of scoring heads on three tasks, with 95 % intervals "
    "over ten trials. "
    + " ".join(
        f"{name}: {', '.join(f'{areas[name, task].mean:.2f}' for task in TASKS)}." for name in shown
    ),
)


# %% tags=["hide-input"]
def interval(one):
    """A mean over trials with its interval."""
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"


seconds = {
    name: [value for task in TASKS for value in measured.item("method", task, name).seconds]
    for members in FAMILIES.values()
    for name in members
}
table(
    ["family", "method", *TASKS, "seconds a trial, beyond the writes"],
    [
        [
            family,
            name,
            *(interval(areas[name, task]) for task in TASKS),
            f"{np.median(seconds[name]):.1f}",
        ]
        for family, members in FAMILIES.items()
        for name in members
    ],
)

# %% tags=["hide-input"]
gain = {
    task: judging.OverSeeds(found.mean(), *stats.bootstrap(found), found)
    for task in TASKS
    for found in [areas["discrete SAE", task].values - areas["shuffled labels", task].values]
}
counted = {
    task: judging.auroc(
        [len(set(one.tolist()) - {-1}) for one in torch.cat([positive[task], negative[task]]).T],
        true[task],
    )
    for task in TASKS
}
say(
    "What the labels add, trial by trial (AUROC of the codes less that of the same codes with "
    "shuffled labels): "
    + "; ".join(
        f"{task} {one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]" for task, one in gain.items()
    )
    + ". The number of different codes a head has, labels unused (one trial): AUROC "
    + ", ".join(f"{task} {value:.2f}" for task, value in counted.items())
    + "."
)

# %% [markdown]
# AUROC looks at the whole ranking. A circuit needs a threshold, and there the released code prints
# a number under the name F1 that is the harmonic mean of sensitivity and *specificity*; F1 is that
# of precision and recall. Both are taken at the threshold that the truth likes best, which
# flatters: look at the random scores. *p* is the share of all placements of the circuit that reach
# the AUROC.

# %% tags=["hide-input"]
judged = {
    (name, task): [
        judging.judge(row, true[task]) for row in measured.item("method", task, name).scores
    ]
    for name in ("discrete SAE", "mean difference", "random", "ACDC")
    for task in TASKS
}


def over(found, field):
    """Mean of a verdict's field over trials."""
    return float(np.mean([getattr(one, field) for one in found]))


table(
    [
        "method",
        "task",
        "AUPRC (share of true heads)",
        "best F1",
        "precision",
        "recall",
        "what is called F1",
        "p of the AUROC, median",
    ],
    [
        [
            name,
            task,
            f"{over(found, 'auprc'):.2f} ({found[0].base_rate:.2f})",
            *(
                f"{over(found, field):.2f}"
                for field in ("best_f1", "precision", "recall", "best_released")
            ),
            f"{np.median([one.p_value for one in found]):.2g}",
        ]
        for (name, task), found in judged.items()
    ],
)

# %% [markdown]
# The published numbers, for comparison: other models, and hand-made lists of heads as the truth.

# %% tags=["hide-input"]
bars = {
    method: [published.AUC["node", method][task] for task in TASKS]
    for level, method in published.AUC
    if level == "node"
}
table(
    ["AUROC over heads", *TASKS],
    [
        [f"paper: {method}", *(f"{one.value:.2f} ± {one.spread:.2f}" for one in row)]
        for method, row in bars.items()
    ]
    + [
        [
            "paper: ACDC at its best setting, over edges",
            *(f"{published.ACDC_BEST['ACDC'][published.TASKS.index(task)]:.2f}" for task in TASKS),
        ]
    ]
    + [
        [f"here: {name}", *(interval(areas[name, task]) for task in TASKS)]
        for name in ("discrete SAE", "ACDC", "HISP", "subnetwork probing")
    ],
)

# %% [markdown]
# Does the verdict hang on what is called the circuit? *Smallest*: heads of any smallest circuit;
# *core*: heads of every circuit (greater-than under mean ablation has none); *Shapley*: heads with
# a value of 5 % or more.

# %% tags=["hide-input"]
by_truth = {}
for kind in truths.KINDS:
    for ablation in ABLATIONS:
        for task in TASKS:
            labels = truths.labels(known[task, ablation], kind)
            if 0 < labels.sum() < len(labels):
                for name in (
                    "discrete SAE",
                    "shuffled labels",
                    "mean difference",
                    "ablate one head",
                ):
                    by_truth[kind, ablation, task, name] = judging.over_seeds(
                        measured.item("method", task, name).scores, labels
                    ).mean
table(
    [
        "the circuit is",
        "others replaced by",
        "task",
        "heads",
        "discrete SAE",
        "shuffled labels",
        "mean difference",
        "ablate one head",
    ],
    [
        [
            kind,
            ablation,
            task,
            int(truths.labels(known[task, ablation], kind).sum()),
            *(
                f"{by_truth[kind, ablation, task, name]:.2f}"
                for name in (
                    "discrete SAE",
                    "shuffled labels",
                    "mean difference",
                    "ablate one head",
                )
            ),
        ]
        for kind in truths.KINDS
        for ablation in ABLATIONS
        for task in TASKS
        if (kind, ablation, task, "discrete SAE") in by_truth
    ],
)

# %% [markdown]
# **Found** With the published settings the codes rank heads about as well as the paper says: 0.77,
# 0.83 and 0.91. The length of the mean difference needs no autoencoder and is ahead on IOI and
# docstring. Taking away one head after the other puts every head of the circuit above every other
# in all three tasks, and ACDC and most gradient methods come close.
#
# The *labels* add nothing on IOI, 0.05 on docstring and 0.24 on greater-than. A likely reason: the
# score counts codes, and a head that writes many different things has many, some of which occur in
# one class only, whatever the classes are. The plain number of codes, labels unused, has 0.93 and
# 0.94 on IOI and docstring (one trial). Training the autoencoder adds 0.15 on greater-than, and
# little elsewhere. The released variant, with its slip, cannot be told from ours; pairs are worse
# than single heads.
#
# What is called F1 in the released code is another number, larger or smaller than F1. And the
# verdict does hang on what is called the circuit: under mean ablation most AUROCs fall, and the
# codes are ahead of the mean difference in three of eight rows. Ablating single heads loses its
# perfect score there, and is still ahead of the codes in every row but one.

# %% [markdown]
# ## 6 · With sae-lens
#
# The same idea with a maintained library: its standard autoencoder with an L1 penalty, and TopK
# with $k=1$, which keeps one latent a vector while it trains, so that nothing is lost by the arg
# max. sae-lens sums the squared error over dimensions where the paper takes the mean, so λ becomes
# $128 \cdot 0.02$.

# %% tags=["hide-input"]
library_says = []
for kind in lens_sae.KINDS:
    trained = lens_sae.train(trial["ioi"].vectors(), kind)
    given = trained.codes(trial["ioi"].positive)
    library_says.append(
        (
            kind,
            explained(trained, trial["ioi"].positive),
            len(given.unique()),
            float((given == discrete_sae.DEAD).float().mean()),
        )
    )
table(
    [
        "sae-lens",
        "variance explained",
        "different codes of 200",
        "without a code",
        *(f"AUROC, {task}" for task in TASKS),
    ],
    [
        [
            kind,
            f"{round(share, 2) + 0.0:.0%}",
            count,
            f"{dead:.0%}",
            *(
                interval(areas[f"sae-lens, {'L1' if kind == 'standard' else 'TopK'}", task])
                for task in TASKS
            ),
        ]
        for kind, share, count, dead in library_says
    ],
)

# %% [markdown]
# **Found** With sae-lens' standard autoencoder the codes rank heads as well as with the paper's on
# IOI and greater-than, and worse on docstring. With TopK they rank at chance or just above, though
# it is by far the better autoencoder: it explains most of the variance with a third of the codes. A
# likely reason is that such codes occur in both classes.

# %% [markdown]
# ## 7 · What does it depend on?
#
# The paper says: five to ten prompts are enough, and the settings hardly matter. Each is varied
# alone, ten trials each. Dashed: the same with *shuffled labels*. Dotted: what the paper or its
# code reports, on GPT-2 and a four-layer model and against hand-made lists.


# %% tags=["hide-input"]
PAPER = {
    "training prompts": "training prompts",
    "scoring prompts": "scoring prompts",
    "latents": "width",
    "sparsity": "sparsity",
}


def swept(sweep, task, values=None):
    """AUROC over the values of a sweep, and with shuffled labels: rows (mean, low, high)."""
    values = jobs.SWEEPS[sweep] if values is None else values
    items = [measured.item(sweep, task, value) for value in values]
    both = [
        [judging.over_seeds(part, true[task]) for part in (item.scores, item.null)]
        for item in items
    ]
    return [
        np.array([[one.mean, one.low, one.high] for one in column])
        for column in zip(*both, strict=True)
    ]


for sweep, label in (
    ("training prompts", "prompts the SAE is trained on"),
    ("scoring prompts", "prompts of each class that are scored"),
    ("latents", "latents"),
    ("sparsity", "λ"),
):
    lines = {task: swept(sweep, task) for task in TASKS}
    figure, axes = pictures.make_panels(3, 10, 3)
    with pictures.style():
        for task, ax in zip(TASKS, axes, strict=True):
            for rows, style, name in zip(
                lines[task], ("-", "--"), ("labels as they are", "shuffled"), strict=True
            ):
                ax.fill_between(jobs.SWEEPS[sweep], rows[:, 1], rows[:, 2], alpha=0.2)
                ax.plot(jobs.SWEEPS[sweep], rows[:, 0], style, label=name)
            ax.plot(
                published.SWEEPS[PAPER[sweep]].at,
                published.SWEEPS[PAPER[sweep]].auc[task],
                ":",
                label="published",
            )
            ax.set(title=task, xlabel=label, xscale="log", ylim=(0.3, 1.02))
        axes[0].set_ylabel("AUROC")
        axes[0].legend(loc="lower right")
    ends = jobs.SWEEPS[sweep][0], jobs.SWEEPS[sweep][-1]
    pictures.show(
        figure,
        f"AUROC over {label}, from {ends[0]} to {ends[1]}, one panel a task, with 95 % intervals "
        "over ten trials, with true and with shuffled labels, and as published. "
        + " ".join(
            f"{task}: from {found_rows[0][0, 0]:.2f} to {found_rows[0][-1, 0]:.2f}; shuffled from "
            f"{found_rows[1][0, 0]:.2f} to {found_rows[1][-1, 0]:.2f}."
            for task, found_rows in lines.items()
        ),
    )

# %% [markdown]
# The published sweeps, from GPT-2 and a four-layer model:


# %% tags=["hide-input"]
def ends(at, rows):
    """First and last value of a sweep, and what was found there."""
    return f"{at[0]:g}: {rows[0]:.2f}, {at[-1]:g}: {rows[-1]:.2f}"


table(
    ["varied", "task", "published", "here", "here, shuffled labels"],
    [
        [
            sweep,
            task,
            ends(published.SWEEPS[theirs].at, published.SWEEPS[theirs].auc[task]),
            *(ends(jobs.SWEEPS[sweep], rows[:, 0]) for rows in swept(sweep, task)),
        ]
        for sweep, theirs in PAPER.items()
        for task in TASKS
    ]
    + [
        [
            "write at the last token, not the mean",
            task,
            "–",
            *(f"{rows[1, 0]:.2f}" for rows in swept("pooling", task)),
        ]
        for task in TASKS
    ],
)

# %% [markdown]
# ### Exercise 4.6 · Twins that teach nothing
#
# *3 points · 12 minutes · ●●●*
#
# The method needs twins on which the task cannot be done. Break it: write twins of the prompts
# about gifts on which the task *can* be done as before. At least one word of each prompt is
# replaced, there are as many words as before, the model's logit difference stays at 80 % or more,
# and the discrete SAE's AUROC falls to 0.75 or less (mean of five trials).
#
# <details><summary>Hint</summary>
#
# What in *"after martin and lydia went to the shop , martin offered the cake to"* has nothing to do
# with who gets the cake? `PLACES` has all places of the world.
#
# </details>

# %%
PLACES = world.load().lists["stories.places"]
print(PLACES)


# %%
def useless_twin(words):
    """A twin of a prompt about gifts: a list of as many words."""
    # BEGIN SOLUTION
    i = next((i for i, word in enumerate(words) if word in PLACES), len(words))
    if i == len(words):
        return ["then" if word != "then" else "later" for word in words[:1]] + words[1:]
    return [*words[:i], PLACES[0] if words[i] != PLACES[0] else PLACES[1], *words[i + 1 :]]
    # END SOLUTION


# %%
check("lab4.6", useless_twin)

# %% tags=["hide-input"]
negatives = {
    task: {
        name: [judging.over_seeds(part, true[task]) for part in (item.scores, item.null)]
        for name in CORRUPTIONS[task]
        for item in [measured.item("negatives", task, name)]
    }
    for task in TASKS
}
table(
    ["task", "twins", "AUROC", "with shuffled labels", "codes of its own a head"],
    [
        [
            task,
            name,
            interval(both[0]),
            interval(both[1]),
            f"{measured.item('negatives', task, name).scores.mean():.1f}",
        ]
        for task, those in negatives.items()
        for name, both in those.items()
    ],
)

# %% [markdown]
# **Found** Few prompts to *train* on are enough, here as in the paper: five do as well as 250. To
# *score* by, five of each class lose 0.07 to 0.17. Width and λ change the AUROC by 0.13 to 0.42.
# More latents raise it on IOI and docstring, with shuffled labels as well; on greater-than it is
# highest at 200. Writes at the last token alone give less than their mean. Twins that still tell
# the answer cost 0.14 to 0.33, down to chance on greater-than; latents and λ cost as much or more
# on the other two. With the paper's own twins, which ask for a year above 01, greater-than has
# 0.69.

# %% [markdown]
# ## 8 · From heads to edges
#
# The paper scores *pairs* of heads by pairs of codes and calls that the edge level, but evaluates
# heads. Here are true edges: replace what one head passes to one other head (its queries, keys or
# values) by what it passes on the twin, and nothing else. If the behaviour changes by more than 2 %
# of what all heads together change, the edge is true.


# %%
def area_of(score, labels):
    """AUROC of a score, or the mean over several."""
    return np.mean([stats.auroc(row, labels) for row in np.atleast_2d(score)])


wiring = {}
for task in TASKS:
    graph, few = Graph(model), pairs[task].rows(slice(64))
    effect = path_patching.effects(graph, few).mean(1)
    strongest = {}
    for edge, value in zip(graph.edges, effect.tolist(), strict=True):
        key = (edge.source, edge.receiver)
        strongest[key] = max(strongest.get(key, 0.0), abs(value))
    span = known[task, "resample"].full - known[task, "resample"].none
    scored = codes.pair_scores(positive[task], negative[task])
    both = positive[task][..., None], negative[task][..., None]
    nulls = [
        codes.pair_scores(*(part[..., 0] for part in controls.shuffled(*both, seed)))
        for seed in range(10)
    ]
    norm = controls.mean_difference(trial[task].positive, trial[task].negative)
    couples = [(i, j) for i in range(16) for j in range(16) if HEADS[i][0] < HEADS[j][0]]
    labels = np.array(
        [strongest[head_name(HEADS[i]), head_name(HEADS[j])] > 0.02 * abs(span) for i, j in couples]
    )
    wiring[task] = (
        labels,
        {
            "pairs of codes": np.array([float(scored[i, j]) for i, j in couples]),
            "shuffled labels": np.array(
                [[float(null[i, j]) for i, j in couples] for null in nulls]
            ),
            "product of mean differences": np.array([float(norm[i] * norm[j]) for i, j in couples]),
        },
    )
table(
    ["task", "true edges of 96", *next(iter(wiring.values()))[1]],
    [
        [task, int(labels.sum()), *(f"{area_of(score, labels):.2f}" for score in each.values())]
        for task, (labels, each) in wiring.items()
    ],
)

# %% [markdown]
# **Found** Few pairs of heads are true edges, five to eight of 96. On IOI pairs of codes find them
# nearly perfectly, and with shuffled labels as well; on greater-than they do no better than chance.
# The product of two mean differences does at least as well on all three.

# %% [markdown]
# ## 9 · A circuit known by construction
#
# The second ground truth is wired by hand: three layers of four heads that answer *"ant red cat
# blue ? cat = "* with *blue*. Two paths do it, either of which alone gives the same logits; four
# *decoys* find the same things and write them five times as loud where nobody reads; two heads are
# silent.

# %%
built = handwired.build()
wired = {"scoring": handwired.twins(250, seed=0), "training": handwired.twins(250, seed=1)}
wired_true = judging.membership(built.all_heads, built.heads)
tried = [methods.Trial(built.model, wired["scoring"], wired["training"], seed) for seed in range(5)]
wired_scores = {
    name: np.stack([method(one).numpy() for one in tried])
    for name, method in {
        "discrete SAE": methods.code_scores,
        "shuffled labels": methods.CONTROLS["shuffled labels"],
        "mean difference": methods.CONTROLS["mean difference"],
        "write norm": methods.CONTROLS["write norm"],
    }.items()
}
few = wired["scoring"].rows(slice(32))
wired_scores |= {
    name: methods.RIVALS[name](built.model, few).numpy()[None]
    for name in ("ablate one head", "EAP", "EAP-IG", "ACDC")
}
decoys = judging.membership(built.all_heads, built.decoys)


def among_first(row, count=6):
    """How many decoys are among the first heads by a score; ties count by their chance."""
    limit = np.sort(row)[-count]
    certain, tied = row > limit, row == limit
    return decoys[certain].sum() + decoys[tied].sum() * (count - certain.sum()) / tied.sum()


table(
    ["method", "AUROC, true heads", "decoys among its first six"],
    [
        [
            name,
            f"{np.mean([judging.auroc(row, wired_true) for row in rows]):.2f}",
            f"{np.mean([among_first(row) for row in rows]):.1f} of {decoys.sum()}",
        ]
        for name, rows in wired_scores.items()
    ],
)
wired_codes = discrete_sae.train(tried[0].vectors())
wired_pairs = codes.pair_scores(
    wired_codes.codes(tried[0].positive), wired_codes.codes(tried[0].negative)
)
order = built.all_heads
couples = [(i, j) for i in range(12) for j in range(12) if order[i][0] < order[j][0]]
linked = {(edge.source, edge.receiver) for edge in built.carrying}
wired_edges = np.array([(head_name(order[i]), head_name(order[j])) in linked for i, j in couples])
area_of_pairs = stats.auroc(np.array([float(wired_pairs[i, j]) for i, j in couples]), wired_edges)
wired_null = [
    stats.auroc(np.array([float(null[i, j]) for i, j in couples]), wired_edges)
    for seed in range(10)
    for null in [
        codes.pair_scores(
            *(
                wired_codes.codes(part)
                for part in controls.shuffled(tried[0].positive, tried[0].negative, seed)
            )
        )
    ]
]
say(
    f"Pairs of codes over the {len(couples)} pairs of heads, {wired_edges.sum()} of them true "
    f"edges: AUROC {area_of_pairs:.2f}; with shuffled labels {np.mean(wired_null):.2f}."
)
every_subset = oracle(built.model, wired["scoring"].rows(slice(8)), "resample")
wired_minimal = minimal(every_subset)
between = shapley.interactions(every_subset.faithfulness)
say(
    f"All {len(every_subset.behaviour):,} subsets of its heads: minimal circuits "
    + "; ".join(
        f"{named(one)} (F = {float(every_subset.faithfulness[every_subset.subset(one)]):.2f})"
        for one in wired_minimal.named()
    )
    + ". Shapley interaction of 1.1 and 1.0, of two paths: "
    + f"{between[order.index((1, 1)), order.index((1, 0))]:+.2f}; of 0.3 and 1.0, of one path: "
    f"{between[order.index((0, 3)), order.index((1, 0))]:+.2f}."
)

# %% [markdown]
# **Found** Two different minimal circuits do the whole task, each by itself. They differ in every
# head but one, and what one brings the other brings already: heads of different paths interact
# negatively, heads of one path positively. Whoever asks for *the* circuit gets either.
#
# The methods change places. Norms put the four decoys first; the codes do better, even with
# shuffled labels. EAP and EAP-IG are perfect here and nearly so on TinyWorld. Ablating one head at
# a time, perfect on TinyWorld, sees only the one head that both paths share, and ACDC keeps one
# path and drops the other.

# %% [markdown]
# ## 10 · Keep the best k heads
#
# A ranking can also be judged by what its best heads do alone. *CPR* is the area under the curve of
# faithfulness over the share of heads kept (large is good), *CMD* the area between the curve and 1
# (0 is best; where no curve exceeds 1 it is just 1 less CPR).


# %% tags=["hide-input"]
def curve_of(name, task):
    """Curves of a method's trials."""
    return [
        judging.curve(row, F[task, "resample"])
        for row in measured.item("method", task, name).scores
    ]


curve_names = ("discrete SAE", "shuffled labels", "mean difference", "EAP-IG", "ACDC")
DRAWN = ("discrete SAE", "mean difference", "EAP-IG")
kept = {(name, task): curve_of(name, task) for name in curve_names for task in TASKS}
for task in TASKS:
    by_chance = judging.random_circuits(F[task, "resample"])
    best_line = judging.best_circuits(F[task, "resample"])[0]
    lines = {
        name: np.array(
            [
                [found.mean(), *stats.bootstrap(found)] if np.ptp(found) else [found[0]] * 3
                for found in np.stack([one.mean for one in kept[name, task]]).T
            ]
        )
        for name in DRAWN
    }
    lines |= {
        "random circuits (5 to 95 %)": np.stack(
            [by_chance.mean, by_chance.quantile(0.05), by_chance.quantile(0.95)], 1
        ),
        "best of each size": np.repeat(best_line[:, None], 3, axis=1),
    }
    pictures.show(
        plots.lines_with_bands(
            np.arange(17), lines, xlabel="heads kept", ylabel="faithfulness", title=task
        ),
        f"Faithfulness of the best k heads by {len(DRAWN)} rankings on {task}, with 95 % intervals "
        "over trials, beside all random circuits and the best circuit of each size. With six "
        "heads: " + ", ".join(f"{name} {rows[6, 0]:.2f}" for name, rows in lines.items()) + ".",
    )

# %% tags=["hide-input"]
areas_under = {
    key: (np.mean([one.cpr for one in found]), np.mean([one.cmd for one in found]))
    for key, found in kept.items()
}
chance = {task: judging.random_rankings(F[task, "resample"]) for task in TASKS}
table(
    ["ranking", *(f"{task}: CPR, CMD" for task in TASKS)],
    [
        [
            name,
            *(
                f"{areas_under[name, task][0]:.2f}, {areas_under[name, task][1]:.2f}"
                for task in TASKS
            ),
        ]
        for name in curve_names
    ]
    + [
        [
            "random rankings, mean",
            *(f"{chance[task][0].mean():.2f}, {chance[task][1].mean():.2f}" for task in TASKS),
        ]
    ]
    + [
        [
            "random rankings, best 5 %",
            *(
                f"{np.quantile(chance[task][0], 0.95):.2f}, "
                f"{np.quantile(chance[task][1], 0.05):.2f}"
                for task in TASKS
            ),
        ]
    ],
)

# %% [markdown]
# **Found** Six heads by the codes bring back about half of IOI and docstring and little of
# greater-than: more than six random heads, less than six heads by the length of the mean
# difference. By CPR the codes are better than 95 % of random rankings on two tasks, and so are the
# same codes with shuffled labels.

# %% [markdown]
# ## 11 · Seconds instead of hours
#
# Run time does not depend on what weights are, so it was measured on random models of GPT-2's
# width, of 2 to 12 layers (`python -m helpers bench circuits` repeats it). ACDC tests edge after
# edge, 32 491 of them in GPT-2 small; a sample of its tests on 50 prompts was timed and scaled to
# all edges. The codes had 200 prompts and as many twins.

# %% tags=["hide-input"]
grown = growth.stored()
figure = plots.lines_with_bands(
    np.array([one.heads for one in grown], dtype=float),
    {
        "discrete SAE": np.array([[one.sae] * 3 for one in grown]),
        "ACDC, one search (scaled)": np.array([[one.acdc] * 3 for one in grown]),
        "EAP (scaled)": np.array([[one.eap] * 3 for one in grown]),
    },
    xlabel="heads",
    ylabel="seconds",
    log_y=True,
    title="Run time on GPT-2-shaped models",
)
pictures.show(
    figure,
    "Seconds over the number of heads, on a logarithmic scale. "
    + " ".join(
        f"{one.heads} heads: discrete SAE {one.sae:.0f} s, EAP {one.eap:.0f} s, ACDC "
        f"{one.acdc:.0f} s, {one.ratio:.0f} times the SAE."
        for one in grown
    ),
)

# %% [markdown]
# **Found** The claim holds, by a wide margin: at the size of GPT-2 small the codes need seconds
# where one search of ACDC would need a day on the machine where it was measured, and the ratio
# grows with the number of heads. EAP, which ranks heads better, needs one and a half times to twice
# the time of the codes, and on TinyWorld less than they do.

# %% [markdown]
# ## 12 · Explore
#
# Everything at once: choose a task and a score, move the threshold and see precision, recall and
# faithfulness, or choose heads by hand and look up any of the 65 536 circuits. Click a head for its
# codes, the prompts that light them, and what it looks at.

# %% tags=["hide-input"]
pages = []
for task in TASKS:
    both = trial[task].positive, trial[task].negative
    prompts, others, looks = explorer.read_texts(model, pairs[task].rows(slice(8)))
    pages.append(
        explorer.TaskPage(
            task,
            known[task, "resample"].metric,
            HEADS,
            4,
            4,
            true[task],
            "it is in a smallest circuit of faithfulness 0.8 or more",
            values[task],
            F[task, "resample"],
            {
                "discrete SAE": found[task].numpy(),
                "mean difference": controls.mean_difference(*both).numpy(),
                "write norm": controls.write_norm(*both).numpy(),
                "Shapley value (exact)": values[task],
            },
            explorer.count_codes(positive[task], negative[task]),
            prompts,
            others,
            looks,
        )
    )
explorer.circuit_explorer(pages)

# %% [markdown]
# ## 13 · What holds?
#
# The verdicts below are computed from the numbers of this page. The circuit is that of the smallest
# faithful subsets.


# %% tags=["hide-input"]
def each(name, form="{:.2f}"):
    """AUROC of a method on the three tasks, as text."""
    return ", ".join(f"{task} {form.format(areas[name, task].mean)}" for task in TASKS)


def wins(name, other):
    """On how many tasks the interval of one method begins above that of another."""
    return sum(areas[name, task].low > areas[other, task].high for task in TASKS)


above_null = [task for task in TASKS if gain[task].low > 0]
few_trained = {task: swept("training prompts", task)[0] for task in TASKS}
few_scored = {task: swept("scoring prompts", task)[0] for task in TASKS}
spread = {
    sweep: {task: np.ptp(swept(sweep, task)[0][:, 0]) for task in TASKS}
    for sweep in ("latents", "sparsity")
}
high = {task: np.quantile(chance[task][0], 0.95) for task in TASKS}
ahead = [task for task in TASKS if areas_under["discrete SAE", task][0] > high[task]]
pair_area = {
    task: area_of(each_score["pairs of codes"], labels)
    for task, (labels, each_score) in wiring.items()
}
pair_null = {
    task: area_of(each_score["shuffled labels"], labels)
    for task, (labels, each_score) in wiring.items()
}
good, poor = (
    {task: negatives[task][name][0].mean for task, name in chosen.items()}
    for chosen in (
        {task: next(iter(CORRUPTIONS[task])) for task in TASKS},
        {"ioi": "other place", "greater-than": "other event", "docstring": "random documentation"},
    )
)
by_pairs = [task for task in TASKS if pair_area[task] > max(0.5, pair_null[task] + 0.05)]
matter_most = [
    task for task in TASKS if good[task] - poor[task] > max(spread[sweep][task] for sweep in spread)
]
claims(
    [
        (
            "codes find the heads of a circuit (AUROC 0.85, 0.83, 0.92)",
            each("discrete SAE"),
            "with shuffled labels "
            + each("shuffled labels")
            + "; more than these, trial by trial: "
            + (", ".join(above_null) or "none"),
            True if len(above_null) == 3 else None if above_null else False,
        ),
        (
            "as well as ACDC, or better",
            f"discrete SAE {each('discrete SAE')}",
            f"ACDC {each('ACDC')}; ablating one head at a time {each('ablate one head')}",
            wins("ACDC", "discrete SAE") == 0,
        ),
        (
            "(implied) the autoencoder is what finds them",
            f"discrete SAE {each('discrete SAE')}",
            f"mean difference {each('mean difference')}; untrained SAE {each('untrained SAE')}",
            True
            if wins("discrete SAE", "mean difference") == 3
            else None
            if wins("discrete SAE", "mean difference")
            else False,
        ),
        (
            "five to ten prompts suffice to train",
            "trained on 5: "
            + ", ".join(f"{task} {rows[0, 0]:.2f}" for task, rows in few_trained.items()),
            "on 250: "
            + ", ".join(f"{task} {rows[-1, 0]:.2f}" for task, rows in few_trained.items()),
            all(rows[0, 0] > rows[-1, 0] - 0.05 for rows in few_trained.values()),
        ),
        (
            "and to score",
            "scored on 5 of each class: "
            + ", ".join(f"{task} {rows[0, 0]:.2f}" for task, rows in few_scored.items()),
            "on 250: "
            + ", ".join(f"{task} {rows[-1, 0]:.2f}" for task, rows in few_scored.items()),
            all(rows[0, 0] > rows[-1, 0] - 0.05 for rows in few_scored.values()),
        ),
        (
            "settings hardly matter",
            "range of the AUROC over latents: "
            + ", ".join(f"{task} {value:.2f}" for task, value in spread["latents"].items()),
            "over λ: "
            + ", ".join(f"{task} {value:.2f}" for task, value in spread["sparsity"].items()),
            max(max(those.values()) for those in spread.values()) < 0.1,
        ),
        (
            "the quality of the negatives matters most",
            "AUROC with proper twins: "
            + ", ".join(f"{task} {value:.2f}" for task, value in good.items()),
            "with twins that still tell the answer: "
            + ", ".join(f"{task} {value:.2f}" for task, value in poor.items())
            + "; more than latents and λ change it: "
            + (", ".join(matter_most) or "none"),
            True if len(matter_most) == 3 else None if matter_most else False,
        ),
        (
            "few heads in order of score bring the behaviour back",
            "CPR "
            + ", ".join(f"{task} {areas_under['discrete SAE', task][0]:.2f}" for task in TASKS),
            "random rankings, best 5 %: "
            + ", ".join(f"{task} {high[task]:.2f}" for task in TASKS)
            + "; shuffled labels "
            + ", ".join(f"{task} {areas_under['shuffled labels', task][0]:.2f}" for task in TASKS),
            True if len(ahead) == 3 else None if ahead else False,
        ),
        (
            "pairs of codes score edges",
            "AUROC over true edges: "
            + ", ".join(f"{task} {value:.2f}" for task, value in pair_area.items()),
            "with shuffled labels: "
            + ", ".join(f"{task} {value:.2f}" for task, value in pair_null.items()),
            True if len(by_pairs) == 3 else None if by_pairs else False,
        ),
        (
            "seconds instead of hours",
            f"{grown[-1].heads} heads: {grown[-1].sae:.0f} s against {grown[-1].acdc / 3600:.1f} h "
            f"for one search of ACDC, {grown[-1].ratio:.0f} times",
            f"EAP: {grown[-1].eap:.0f} s",
            grown[-1].ratio >= 50,
        ),
    ]
)

# %% [markdown]
# ## Limits
#
# - One small model of attention only. That a method misses the circuit here does not say how it
#   does on GPT-2, where nobody knows the circuit; nor does a hand-made list of heads.
# - The truth depends on the ablation, the threshold and the definition of the circuit. Ablation and
#   definition are varied in section 5, and the order of the methods changes with them; the
#   threshold is varied in section 4 only.
# - Truth and rivals replace heads by their writes on the same kind of twins. That is the question
#   which the rivals were made for. The codes see no metric and no ablation.
# - 16 heads make an AUROC coarse: with five true heads it moves in steps of 0.018, and a random
#   ranking reaches 0.75 in about 6 %.
# - Positions are not told apart: a head is kept or replaced at all tokens.
# - Settings are the published ones, for GPT-2, whose heads may write longer vectors; section 2 says
#   what λ does here, section 7 what other values give. Training prompts are pooled, not stratified
#   by class, and encoder and decoder are not tied; neither was varied.
# - Intervals are over ten draws of prompts and starts, with the same model.
#
# ## With a real model
#
# The same functions run on GPT-2 through its bridge, in one pass over the prompts. This downloads
# GPT-2 small (548 MB) and was not run for this page:
#
# ```python
# from helpers.circuits.codes import load_model
# from helpers.circuits.judging import metrics, published_circuits
# from helpers.circuits.study import methods
# from helpers.circuits.tasks import gpt2_ioi
# from transformers import AutoTokenizer
#
# gpt2, task = load_model("gpt2", "processed"), gpt2_ioi.task()
# tokenizer = AutoTokenizer.from_pretrained("openai-community/gpt2")
# trial = methods.Trial(gpt2, task.twins(tokenizer, 250, seed=0), task.twins(tokenizer, 25, seed=1))
# for name in ("discrete SAE", "shuffled labels", "mean difference"):
#     score = (methods.CODES | methods.CONTROLS)[name](trial)
#     for variant in published_circuits.variants("ioi"):
#         labels = published_circuits.labels("ioi", variant, 12, 12)
#         print(name, variant, metrics.auroc(score, labels))
# ```
#
# `gpt2_greater_than` has the other task, in both published forms. Both lists of heads are printed,
# as sources disagree. Docstring needs `attn-only-4l`, which the hub has as a pickle only; the
# chapter says what to do.
#
# ## Further reading
#
# - O'Neill and Bui,
#   [Sparse Autoencoders Enable Scalable and Reliable Circuit Identification in Language Models](https://arxiv.org/abs/2405.12522)
# - Conmy et al.,
#   [Towards Automated Circuit Discovery for Mechanistic Interpretability](https://arxiv.org/abs/2304.14997)
# - Wang et al.,
#   [Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small](https://arxiv.org/abs/2211.00593)
# - Hanna, Pezzelle and Belinkov,
#   [Have Faith in Faithfulness: Going Beyond Circuit Overlap When Finding Model Mechanisms](https://arxiv.org/abs/2403.17806)
# - Miller, Chughtai and Saunders,
#   [Transformer Circuit Faithfulness Metrics are not Robust](https://arxiv.org/abs/2407.08734)
# - Mueller et al.,
#   [MIB: A Mechanistic Interpretability Benchmark](https://arxiv.org/abs/2504.13151)

# %%
scores("lab4")
