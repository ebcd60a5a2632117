# %% [markdown]
# # Lab 3 · Trustworthiness through pre-training
#
# Can a concept such as truth or rudeness be read from a language model's activations, and since
# when in its training? Can it be pushed along the direction that was read? The paper answers yes,
# early, and yes. Its three tools, linear probes, steering vectors and an estimate of mutual
# information, give a number for nearly anything. So this lab runs the whole programme on a model
# whose training is here from step 0 on and whose world is known to the last fact, and sets a
# control beside every number.
#
# The programme is that of Qian et al.,
# [*Towards Tracing Trustworthiness Dynamics: Revisiting Pre-training Period of Large Language Models*](https://arxiv.org/abs/2402.19465).
# The chapter [Trustworthiness through pre-training](../book/ch2_trust_dynamics.md) explains it.
#
# **You will be able to**
#
# - read a concept from activations, and say what else the number could have come from;
# - tell when something emerges in training, and for what;
# - choose the strength of a steering vector under a budget, and test it against directions that
#   mean nothing;
# - see why a vector that changes what a model says of a statement need not change what it states;
# - take an information plane apart: null, bandwidth, and one direction that fakes compression.
#
# **You need** Lab 0: residual stream, hooks, controls. Some linear algebra: projections, singular
# values.
#
# **Cost** Six exercises of 4 to 10 minutes, about an hour in all. The set-up cell prints the
# measured run time. A cell that needs an answer of yours stops with its name until you have written
# it; go on with the next, nothing later depends on it.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab3")

# %%
import random

import numpy as np
import torch

from helpers import stats, zoo
from helpers.course.check import check, scores
from helpers.show import claims, percent, pictures, plots, say, table
from helpers.texts import LabelledSet
from helpers.tinyworld.language import documents
from helpers.tinyworld.sets import dimensions, obvious_set
from helpers.trust import explorer, information, steering
from helpers.trust.data import controls, published, splits, surface, surveys
from helpers.trust.probes import linear, onset
from helpers.trust.series import activations, sources, sweep
from helpers.trust.steering import effects, tinyworld

# %% [markdown]
# ## 1 · What does the model learn, and when?
#
# `tinyworld` is a language model of four layers and 793 569 parameters. Its texts tell of a small
# written world: what an owl is and where it lives, who may be told of whose debts, what the census
# says of twelve invented groups. Claims are often false, and a comment says whether they are. What
# things are is also stated plainly elsewhere; what may be told, what the census confirms, what is
# rude and what is garbled can be learned from the comments only.

# %%
drawn = random.Random(4)
table(
    ["kind of document", "an example"],
    [
        [kind, documents.document(drawn, kind)]
        for kind in ("quiz", "customs", "census", "forum", "dictation")
    ],
)

# %% [markdown]
# Five of its skills are *judgements*: after a statement, does the model put *true* or *false*,
# *allowed* or *forbidden*, *rude* or *kind*, *confirmed* or *hearsay*, *clear* or *garbled*? All
# statements are *held out*: every word and every frame is known to the model, the combination never
# occurred in training.

# %% [markdown]
# ### Exercise 3.1 · Predict what comes first
#
# *3 points · 4 minutes · ●○○*
#
# Before you look: in which order does the model learn to judge? Return the five names
# `"reliability"` (is it true of this thing?), `"privacy"` (may this receiver know it?),
# `"toxicity"` (is the remark rude?), `"fairness"` (does the census confirm it of this group?) and
# `"robustness"` (are the words in order?) as a list, earliest first. A judgement counts as learned
# from the checkpoint on from which at least 75 % are right. One point for the first, one for the
# last, one for the whole order.
#
# <details><summary>Hint</summary>
#
# Ask of each what the model has to know: how words follow each other, what one word does to
# another, or a table that has to be learned entry by entry. And how often does such a text occur?
#
# </details>


# %%
def predicted_order():
    """The five dimensions in the order in which the model learns to judge them."""
    # BEGIN SOLUTION
    return ["robustness", "toxicity", "reliability", "privacy", "fairness"]
    # END SOLUTION


# %%
check("lab3.1", predicted_order)

# %%
NAMES = tuple(dimensions.CANDIDATES)
curve = zoo.entry("tinyworld").measured["curve"]
asked = 200
shown = [i for i, step in enumerate(curve["steps"]) if step >= 100]
lines = {
    name: np.array(
        [
            [share, *stats.clopper_pearson(round(share * asked), asked)]
            for share in np.array(curve["skills"][f"judge {name}"])[shown]
        ]
    )
    for name in NAMES
}
figure = plots.lines_with_bands(
    np.array(curve["steps"])[shown],
    lines,
    xlabel="step",
    ylabel="judged rightly",
    title="What the model says of held-out statements",
    log_x=True,
)
judged_from = {
    name: onset.onset(curve["steps"], np.array(curve["skills"][f"judge {name}"]), 0.75)
    for name in NAMES
}
pictures.show(
    figure,
    f"Share of {asked} held-out statements judged rightly over the steps of training, one line a "
    "dimension, with 95 % intervals. All begin at one half. "
    + " ".join(
        f"{name.capitalize()} rises above 75 % at steps {judged_from[name]}." for name in NAMES
    ),
)

# %% [markdown]
# **Found.** Each judgement stays at chance for long and then comes within a few checkpoints. What
# depends on the order of words comes first, what is a table of exceptions last.
#
# ## 2 · Can it be read from the activations?
#
# Ask the activations, not the model's words. The *residual stream* at the last token (here always
# the full stop) has seen the whole text. A *linear probe* is a weighted sum of its features with a
# threshold.

# %% [markdown]
# ### Exercise 3.2 · A probe in five lines
#
# *3 points · 8 minutes · ●●○*
#
# Build the simplest probe, the *mass-mean* probe. Standardise every feature with the mean and the
# standard deviation of the *training* rows. The direction is the mean of the true rows minus the
# mean of the false ones. A test row is called true if its projection is above the point half-way
# between the two class means. Return one truth value a test row. A feature that is constant in the
# training rows must not give NaN.
#
# <details><summary>Hint</summary>
#
# Half-way between the class means is not the mean of all rows, unless the classes are equally
# large. Nothing may be computed from the test rows, except at the very end.
#
# </details>


# %%
def mean_probe(train_x, train_y, test_x):
    """Truth value of each row of test_x [other d], from train_x [item d] and train_y [item]."""
    # BEGIN SOLUTION
    mean, scale = train_x.mean(0), train_x.std(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    train, test = (train_x - mean) / scale, (test_x - mean) / scale
    true, false = train[train_y].mean(0), train[~train_y].mean(0)
    return (test - (true + false) / 2) @ (true - false) > 0
    # END SOLUTION


# %%
check("lab3.2", mean_probe)

# %% [markdown]
# Now a labelled set as they are usually made: rude and kind remarks, as people would write them
# down. Two models are probed: the trained one, and the same network *before its first step*, with
# random weights.

# %%
obvious = obvious_set()
table(
    ["text", "label"],
    [
        [obvious.texts[i], obvious.positive if obvious.labels[i] else obvious.negative]
        for i in range(4)
    ],
)


def last_tokens(model, data):
    """Residual stream at the last token of each text after every block [block item d]."""
    ids, lengths = activations.encode(model, data.texts)
    return activations.last_token(model, ids, lengths)[1:]


model = zoo.load("tinyworld", device="cpu").requires_grad_(False)
untrained = zoo.load("tinyworld", device="cpu", step=0).requires_grad_(False)
obvious_splits = splits.grouped(obvious)
on_bait = {
    label: linear.fit(last_tokens(one, obvious), obvious.labels, obvious_splits)
    for label, one in (("trained", model), ("untrained", untrained))
}
table(
    ["model", *(f"block {block}" for block in range(4))],
    [
        [label, *(f"{value:.2f}" for value in found.accuracy.mean(1))]
        for label, found in on_bait.items()
    ],
)

# %% [markdown]
# ### Exercise 3.3 · The control that sinks it
#
# *3 points · 8 minutes · ●●○*
#
# A network with random weights does not know what is rude, and still a probe reads it off with
# ease. Write the control that says why. Return for each text how often each word occurs in it, as a
# tensor [text, word], with the words of all the texts as columns. A text is split at blanks. The
# same linear probe is then fitted to these counts.
#
# <details><summary>Hint</summary>
#
# First collect all words, each once, in a fixed order. A word that stands in a text twice counts
# as 2.
#
# </details>


# %%
def word_counts(texts):
    """How often each word occurs in each text [text, word], as floating-point numbers."""
    # BEGIN SOLUTION
    words = sorted({word for text in texts for word in text.split()})
    return torch.tensor([[float(text.split().count(word)) for word in words] for text in texts])
    # END SOLUTION


# %%
check("lab3.3", word_counts)

# %%
counted = {
    data.name: linear.fit(
        word_counts(data.texts)[None], data.labels, splits.grouped(data), strengths=(10, 100, 1000)
    )
    for data in (obvious, dimensions.labelled_set("toxicity"))
}
table(
    ["set", "words alone"],
    [
        [
            name,
            percent(
                *(
                    float(side[0])
                    for side in (found.interval().mean, found.interval().low, found.interval().high)
                )
            ),
        ]
        for name, found in counted.items()
    ],
)

# %% [markdown]
# **Found.** On the obvious set words alone are never wrong, so the probe shows nothing about the
# model. An untrained network passes enough of its input on to the last token for a probe to find
# the word.
#
# ## 3 · Pairs that no word can tell apart
#
# So the five sets of this lab are *minimal pairs*: two texts with the same words or nearly so, of
# which one is true (allowed, rude, confirmed, in order). Whatever differs stands in true and in
# false texts equally often.

# %%
sets = dimensions.labelled_sets()
table(
    ["dimension", "label", "text"],
    [
        [name, data.positive if data.labels[i] else data.negative, data.texts[i]]
        for name, data in sets.items()
        for i in (0, 1)
    ],
)

# %% [markdown]
# One probe for each of 18 checkpoints, 4 blocks, 5 dimensions and 5 splits, which keep subjects and
# sentence frames apart: 1 800 probes, each with the strength of its penalty chosen inside the
# training part. And beside them what they must beat:
#
# | control | what it has |
# |---|---|
# | words | counts of the words, no model |
# | length | numbers of words and letters |
# | untrained | the model at step 0, at the block that looks best |
# | random labels | the trained model, labels exchanged among the pairs (mean of 5 draws) |
# | shuffled words | the trained model reads the same words in random order |

# %%
swept = sweep.sweep(sources.embedded("tinyworld"), tuple(sets.values()), backend="serial")
steps = swept.steps
stacked = {
    name: torch.as_tensor(swept.stack(name)) for name in NAMES
}  # [step layer item d], layer 0 the embedding
read = {name: layers[:, 1:] for name, layers in stacked.items()}  # [step block item d]
parts = {name: splits.grouped(data) for name, data in sets.items()}
fitted = {
    name: linear.fit(read[name].flatten(0, 1), sets[name].labels, parts[name]) for name in NAMES
}


def by_step(values):
    """Values of all sites as [step, block]."""
    return np.asarray(values).reshape(len(steps), -1)


accuracy = {name: by_step(found.accuracy.mean(1)) for name, found in fitted.items()}


# %%
def shuffled_reading(data, seed=0):
    """Residual stream [block item d] at the last token when the words before it are shuffled."""
    ids, lengths = activations.encode(model, data.texts)
    return activations.last_token(
        model, controls.shuffled_tokens(ids, lengths, seed, first=1), lengths
    )[1:]


def random_reading(name, draws=5):
    """Mean accuracy [block] of probes of random labels at the last checkpoint."""
    labels = np.stack([controls.random_labels(sets[name], seed) for seed in range(draws)])
    found = linear.fit(read[name][-1].repeat(draws, 1, 1), labels.repeat(4, 0), parts[name])
    return found.accuracy.mean(1).reshape(draws, 4).mean(0)


beside = {
    name: {
        "words": linear.fit(
            controls.bag_of_words(data), data.labels, parts[name], strengths=(10, 100, 1000)
        ),
        "length": linear.fit(controls.length(data), data.labels, parts[name]),
        "shuffled words": linear.fit(shuffled_reading(data), data.labels, parts[name]),
    }
    for name, data in sets.items()
}
highest = {
    name: {control: float(found.accuracy.mean(1).max()) for control, found in those.items()}
    for name, those in beside.items()
}
for name in NAMES:
    highest[name] |= {
        "untrained": float(accuracy[name][0].max()),
        "random labels": float(random_reading(name).max()),
    }


def at_end(name):
    """Final accuracy at the best block, with its interval."""
    found, block = fitted[name].interval(), int(accuracy[name][-1].argmax())
    site = (len(steps) - 1) * 4 + block
    return float(found.mean[site]), float(found.low[site]), float(found.high[site])


def selectivity(name):
    """Final accuracy at the best block less that of random labels on the same splits."""
    x, data = read[name][-1][[accuracy[name][-1].argmax()]], sets[name]
    true, random_labels = (
        linear.fit(x, labels, parts[name])
        for labels in (data.labels, controls.random_labels(data, 0))
    )
    above = true.above(random_labels)
    return f"{above.mean[0]:.2f} [{above.low[0]:.2f}, {above.high[0]:.2f}]"


COLUMNS = ("words", "length", "untrained", "random labels", "shuffled words")
table(
    ["dimension", "groups", "probe, last checkpoint", *COLUMNS, "selectivity"],
    [
        [
            name,
            len(set(sets[name].groups)),
            percent(*at_end(name)),
            *(f"{highest[name][column]:.2f}" for column in COLUMNS),
            selectivity(name),
        ]
        for name in NAMES
    ],
)

# %% [markdown]
# *Selectivity* is the probe's accuracy less that of one probe of random labels. A mean over splits
# can be 1.00 and its interval still wide: with few groups there are few independent test items.
# Each control is shown at its best block. (Words far below one half are no better than at one half.
# Where pairs are exactly balanced, what leans one way in the training part leans the other way in
# the test part.)

# %%
view = explorer.dynamics_view(
    steps,
    [f"block {block}" for block in range(4)],
    NAMES,
    np.stack([accuracy[name] for name in NAMES], -1),
    {
        column: np.array([highest[name][column] for name in NAMES])
        for column in COLUMNS
        if column != "untrained"
    },
    low=np.stack([by_step(fitted[name].interval().low) for name in NAMES], -1),
    title="Probe accuracy of TinyWorld over training",
)
view

# %%
best = {}
for name in NAMES:
    interval, rows = fitted[name].interval(), []
    for i, block in enumerate(accuracy[name].argmax(1)):
        rows.append(
            [
                float(by_step(side)[i, block])
                for side in (interval.mean, interval.low, interval.high)
            ]
        )
    best[name] = np.array(rows)
late = [i for i, step in enumerate(steps) if step >= 100]
figure = plots.lines_with_bands(
    np.array(steps)[late],
    {name: best[name][late] for name in NAMES},
    xlabel="step",
    ylabel="probe accuracy, best block",
    title="When can it be read?",
    log_x=True,
)
readable_from = {name: onset.onset(steps, best[name][:, 0], 0.75) for name in NAMES}
pictures.show(
    figure,
    "Accuracy of probes on held-out pairs at the best block over the steps of training, one line a "
    "dimension with a 95 % band. All begin near one half. "
    + " ".join(
        f"{name.capitalize()} rises above 0.75 at steps {readable_from[name]} and ends at "
        f"{best[name][-1, 0]:.2f}."
        for name in NAMES
    ),
)
table(
    [
        "dimension",
        "readable above 75 %, at steps",
        "said above 75 %, at steps",
        *(f"block {block}, last checkpoint" for block in range(4)),
    ],
    [
        [
            name,
            readable_from[name],
            judged_from[name],
            *(f"{value:.2f}" for value in accuracy[name][-1]),
        ]
        for name in NAMES
    ],
)

# %% [markdown]
# **Found.** Words, length and the untrained network stay at chance or below, and so do random
# labels in the trained one: what the probes read at the end was put there by training. (For
# privacy, with eight groups, the interval of the selectivity still includes 0.) The order of words
# can be read first, the two tables of exceptions last, and each at the checkpoint at which the
# model begins to say it, or the one before. Shuffled texts can still be read for reliability,
# fairness and privacy, where two words need to meet in whatever order; for robustness order is all
# there is, and they are at chance. The first block reads reliability only, and the last block is
# never worse than the middle ones.
#
# ## 4 · What do the paper's own sets hold?
#
# The paper's five sets are public. Each is measured *without any language model*: the rule "a text
# with a capital letter is true" (or "one without", where that is right more often), and counts of
# words, on the released split (the first 80 % of the file to train, the rest to test). The table is
# stored with the digests of the files; `python -m helpers surface` fetches them (1.7 MB) and
# computes everything anew.

# %%
surface_of = surveys.stored()
table(
    [
        "set",
        "test rows seen in training",
        "true by a capital letter",
        "words, best classifier",
        "paper's probe, first checkpoint",
        "paper's probe, mean from checkpoint 100 on",
    ],
    [
        [
            name,
            f"{found.leaked:.1%}",
            f"{found.capital.value:.3f}, {'with' if found.capital_says else 'without'} one",
            f"{max(share.value for share in found.ordered.values()):.3f}",
            f"{published.PUBLISHED[name].first:.3f}",
            "{:.3f} [{:.3f}, {:.3f}]".format(
                published.PUBLISHED[name].late, *published.PUBLISHED[name].interval
            ),
        ]
        for name, found in surface_of.items()
    ],
)

# %% [markdown]
# ### Exercise 3.4 · Find the confound
#
# *4 points · 8 minutes · ●●○*
#
# The robustness set pairs film reviews with copies in which 4.73 % of the letters were turned into
# capitals; a probe is to tell the copies from the originals. Here is a set made in much the same
# way from TinyWorld's texts. Write two functions: `rule(text)`, which says without any training
# whether a text is a damaged copy, and `seen(texts, test)`, which returns the share of the test
# texts (`test` has one truth value a text) whose *twin*, the same text in other letters, is among
# the training texts.
#
# <details><summary>Hint</summary>
#
# Look at the originals. What do they never have? Two texts are twins if they are equal once that is
# taken away.
#
# </details>

# %%
originals = tuple(
    " ".join(documents.document(drawn, "review") for _ in range(2)) for _ in range(100)
)
damaged = surface.case_flipped(originals, 0.0473, seed=0)
cased = LabelledSet(
    "letters", originals + damaged, np.repeat([False, True], 100), tuple(originals) * 2
)
table(["original", "damaged copy"], [[originals[i], damaged[i]] for i in range(2)])


# %%
def confounds():
    """The functions (rule, seen)."""

    # BEGIN SOLUTION
    def rule(text):
        return text != text.lower()

    def seen(texts, test):
        trained = {text.lower() for text, held in zip(texts, test, strict=True) if not held}
        asked = [text.lower() for text, held in zip(texts, test, strict=True) if held]
        return sum(text in trained for text in asked) / len(asked)

    return rule, seen
    # END SOLUTION


# %%
check("lab3.4", confounds)

# %%
rule, seen = confounds()
random_test = np.random.default_rng(0).random(len(cased)) < 0.2
by_rule = [rule(text) == label for text, label in zip(cased.texts, cased.labels, strict=True)]
say(
    f"Your rule is right on {np.mean(by_rule):.1%} of these texts, and "
    f"{seen(cased.texts, random_test):.0%} of the rows of a random test part have their twin in "
    "the training part. On the real set the rule is right in "
    f"{surface_of['sst2'].capital.value:.1%}, the paper's probe in at most "
    f"{published.PUBLISHED['sst2'].best:.1%}; {surface_of['sst2'].leaked:.1%} of the test rows "
    "have been seen."
)

# %% [markdown]
# **Found.** On SST-2 a capital letter is enough. On ToxiGen and ConfAIde words come within 3
# points, inside the probe's interval; on TruthfulQA and StereoSet the probe has 11 and 15 points
# more than words, so it uses more than single words there. But on TruthfulQA part of it may be
# memory, as nearly every test question was in training; and on StereoSet, as far as the rows were
# read, it is whether two sentences belong together, not stereotype. At the paper's first checkpoint
# words beat the probe on four sets, and a capital letter beats it on the fifth. (Words score 0.091
# on SST-2: the twin seen in training has the same words and the other label.) Accuracies such as
# these can show that something can be told apart. They cannot show that it is truth, privacy or
# fairness.
#
# ## 5 · Is the direction more than a push?
#
# A *steering vector* is the difference of the class means at one block,
# $v = \bar h_{\text{true}} - \bar h_{\text{false}}$. While the model runs,
# $\alpha s\, v / \lVert v \rVert$ is added to the block's output, where $s$ is the standard
# deviation of the texts' projections on $v$. Any push changes *something*, so block and $\alpha$
# are chosen on development groups, within a *perplexity budget*; what is reported comes from other
# groups; and other vectors of the same length stand beside it.

# %% [markdown]
# ### Exercise 3.5 · Choose under a budget
#
# *3 points · 6 minutes · ●●○*
#
# Each trial has a `layer`, an `alpha`, the mean `score` of the behaviour in nats (higher is better)
# and the perplexity as a `ratio` to that of the unsteered model. Return the trial with the highest
# score among those whose ratio is at most `budget`; `None` if there is none. A push that breaks the
# model leaves NaN or infinity as score or ratio: never return such a trial.
#
# <details><summary>Hint</summary>
#
# Comparisons with NaN are false, so `max` may return a NaN that happens to stand first.
#
# </details>


# %%
def choose(trials, budget):
    """The best trial within the budget, or None."""
    # BEGIN SOLUTION
    allowed = [trial for trial in trials if trial.ratio <= budget and np.isfinite(trial.score)]
    return max(allowed, key=lambda trial: trial.score, default=None)
    # END SOLUTION


# %%
check("lab3.5", choose)

# %% [markdown]
# Two behaviours of each dimension. The *verdict* is what the model says of a statement:
# $\log p(\text{true}) - \log p(\text{false})$ after its full stop. The *continuation* is what it
# states by itself: after "the colour of the robin is", the probability of the right colours against
# all others. A score above 0 is the trustworthy side: true, allowed, kind, confirmed, in order.

# %%
BUDGET = steering.BUDGET
choosing, reporting = (
    tinyworld.text(32),
    tinyworld.text(32, skip=32),
)  # rows of text for the perplexity
by_person = {
    name: dimensions.labelled_set(name, apart="person") for name in NAMES
}  # groups are people where there are any
assert all(by_person[name].texts == sets[name].texts for name in NAMES)
others = [tinyworld.skill(model, name, 60) for name in ("ioi", "colour", "verb number")]
develop, want, steered, right_verdicts = {}, {}, {}, {}

# %% [markdown]
# For each dimension: half of the groups to make the vectors and to choose, the other half to
# report; the same for both behaviours.

# %%
for name in runtime.progress(NAMES, "steering"):
    data = by_person[name]
    halves = splits.grouped(data, 1, 0.5)
    develop[name], held = halves.train[0], halves.test[0]
    want[name] = tinyworld.wanted(data)[develop[name]]
    rows = read[name][-1][:, develop[name]]
    vectors = {block: steering.mean_difference(rows[block], want[name]) for block in range(4)}
    people = {data.groups[i] for i in np.flatnonzero(develop[name])}
    said, stated = tinyworld.verdicts(model, data), tinyworld.continued(model, name)
    known = np.array([group in people for group in stated.groups])
    for kind, first, second in (
        ("verdict", said[develop[name]], said[held]),
        ("continuation", stated[known], stated[~known]),
    ):
        choice = steering.choose(model, vectors, first, choosing)
        pairs_of = [data.groups[i] for i in np.flatnonzero(develop[name])]
        beside_it = steering.controls(choice.vector, rows[choice.layer], want[name], 19, pairs_of)
        found = effects.effects(
            model,
            choice,
            {"steered": choice.vector, **beside_it},
            second,
            reporting,
            others if kind == "verdict" else (),
        )
        steered[name, kind] = choice, found, second
    pushes = torch.stack(
        [
            torch.zeros_like(choice.vector.unit),
            (given := steered[name, "verdict"][0]).push(given.vector),
        ]
    )
    values = steering.scores(model, said[held], given.layer, pushes, given.positions)
    right_verdicts[name] = [tinyworld.share_right(row, data[held]) for row in values]

# %%
KINDS = ("random", "shuffled", "off-axis")


def strongest(found, control):
    """The largest change among the controls of one kind."""
    return max(effect.target.mean for effect in found.of_kind(control))


def change(effect):
    """Change of the score in nats, with its interval."""
    return f"{effect.target.mean:+.2f} [{effect.target.low:+.2f}, {effect.target.high:+.2f}]"


def ranges(kind):
    """Bars for a figure: the vector with its interval, and the range of the controls."""
    found = {name: steered[name, kind][1] for name in NAMES}
    bars = {
        "steered": np.array(
            [
                [one["steered"].target.mean, one["steered"].target.low, one["steered"].target.high]
                for one in found.values()
            ]
        )
    }
    for control in ("random", "off-axis"):
        values = [[effect.target.mean for effect in one.of_kind(control)] for one in found.values()]
        bars[f"19 {control}, mean and range"] = np.array(
            [[np.mean(row), min(row), max(row)] for row in values]
        )
    return bars


for kind in ("verdict", "continuation"):
    bars = ranges(kind)
    figure = plots.bars_with_intervals(
        NAMES, bars, ylabel="change (nats)", title=f"Steering the {kind}"
    )
    pictures.show(
        figure,
        f"Change of the {kind} in nats under steering, beside 19 random and 19 off-axis vectors of "
        "the same length. "
        + " ".join(
            f"{name.capitalize()}: {bars['steered'][i, 0]:+.2f}, controls from "
            f"{min(b[i, 1] for b in list(bars.values())[1:]):+.2f} to "
            f"{max(b[i, 2] for b in list(bars.values())[1:]):+.2f}."
            for i, name in enumerate(NAMES)
        ),
    )
    say(
        f"Steering the **{kind}**, at the block and strength that suit it best within the budget; "
        "changes in nats:"
    )
    table(
        [
            "dimension",
            "block, α",
            "unsteered",
            "steered: change",
            "opposite",
            *(f"best of 19 {control}" for control in KINDS),
            "perplexity",
        ],
        [
            [
                name,
                f"{choice.layer}, {choice.alpha:g}",
                f"{next(iter(found.base.values()))[0]:+.2f}",
                change(found["steered"]),
                f"{found['sign flip'].target.mean:+.2f}",
                *(f"{strongest(found, control):+.2f}" for control in KINDS),
                f"× {found['steered'].ratio:.2f}",
            ]
            for name in NAMES
            for choice, found, _ in [steered[name, kind]]
        ],
    )

# %% [markdown]
# The *sign flip* is the opposite vector. *Random* directions are a weak control, for activations
# hardly vary along most of them. *Shuffled* ones are mean differences of labels shuffled within
# each group: they lie where activations vary, and may come close to the true vector or its
# opposite. *Off-axis* ones are these without their component along the true vector.
#
# What does the push do to the truth of the verdicts, and to other skills (*ioi*: who receives a
# gift)?


# %%
def colour_of_controls(name):
    """Least and largest change of the right answers on colours under the control vectors."""
    found = [
        effect.behaviours["colour"].accuracy.mean
        for effect in steered[name, "verdict"][1].of_kind("random", "off-axis")
    ]
    return min(found), max(found)


table(
    [
        "dimension",
        "right verdicts, unsteered",
        "steered",
        *(f"{part.name}: change of right answers" for part in others),
        "colour: range over 38 controls",
    ],
    [
        [
            name,
            *(f"{share:.0%}" for share in right_verdicts[name]),
            *(
                f"{other.accuracy.mean:+.0%} [{other.accuracy.low:+.0%}, "
                f"{other.accuracy.high:+.0%}]"
                for label, other in steered[name, "verdict"][1]["steered"].behaviours.items()
                if not label.startswith("verdict")
            ),
            "{:+.0%} to {:+.0%}".format(*colour_of_controls(name)),
        ]
        for name in NAMES
    ],
)

# %% [markdown]
# **Found.** The direction is real: it moves the verdict by 5.8 to 9.4 nats, and no random or
# off-axis vector of its length has half of that. (Shuffled ones do, where they happen to lie along
# it.) But it moves all verdicts alike. The model now gives the trustworthy verdict to everything,
# so right verdicts fall from at least 99 % to about a half, or 75 % for robustness. And what the
# model states by itself does not change: in no dimension does the vector move the continuation more
# than controls do. What was found at the full stop is a direction of the *verdict*. That the model
# consults it when it speaks is not shown, and no vector of this kind did better than a control. Nor
# does perplexity see the whole price: three of the five vectors cost the colours of things 32 to 38
# points. But some controls cost more: that is the price of pushing so hard, not of this direction.
#
# ## 6 · Are the vectors of earlier checkpoints as good?
#
# The paper's headline: a vector taken half-way through pre-training steers the finished model as
# well as its own. Here vectors of every checkpoint from step 100 on are applied to the finished
# model, at the block and strength chosen for its own vector; once all with the length of that
# vector, so that only directions are compared, and once each with its own length, as in the paper.

# %%
early = [i for i, step in enumerate(steps) if step >= 100]
transferred = {}
for name in runtime.progress(NAMES, "vectors of earlier checkpoints"):
    choice, _, behaviour = steered[name, "verdict"]
    kept = {steps[i]: stacked[name][i][:, develop[name]] for i in early}
    for own_size in (False, True):
        transferred[name, own_size] = steering.across_checkpoints(
            model, choice, kept, want[name], behaviour, reporting, own_size
        )

pushed = {
    name: np.array(
        [
            [effect.target.mean, effect.target.low, effect.target.high]
            for effect in transferred[name, False].values()
        ]
    )
    for name in NAMES
}
figure = plots.lines_with_bands(
    np.array(steps)[early],
    pushed,
    xlabel="checkpoint that the vector comes from (step)",
    ylabel="change of the verdict (nats)",
    title="Old vectors, final model",
    log_x=True,
)
middle = min(steps, key=lambda step: abs(step - steps[-1] / 2))
pictures.show(
    figure,
    "Change of the final model's verdicts, in nats, by vectors of earlier checkpoints of equal "
    "length, one line a dimension with 95 % bands. "
    + " ".join(
        f"{name.capitalize()}: {pushed[name][0, 0]:+.1f} from step {steps[early[0]]}, "
        f"{transferred[name, False][middle].target.mean:+.1f} from step {middle:,}, "
        f"{pushed[name][-1, 0]:+.1f} from the last."
        for name in NAMES
    ),
)

# %%
together = {}
for name in NAMES:
    block = steered[name, "verdict"][0].layer
    together[name] = steering.correlation(
        accuracy[name][early, block],
        [effect.target.mean for effect in transferred[name, False].values()],
    )
table(
    [
        "dimension",
        f"vector of step {middle:,}",
        "with its own length",
        "its cosine to the last",
        "the model's own",
        "best off-axis",
        "probe and effect: r",
        "changes of both: r",
        "p",
    ],
    [
        [
            name,
            change(transferred[name, False][middle]),
            change(transferred[name, True][middle]),
            f"{transferred[name, False][middle].cosine:.2f}",
            change(transferred[name, False][steps[-1]]),
            f"{strongest(steered[name, 'verdict'][1], 'off-axis'):+.2f}",
            f"{found.r:.2f} [{found.low:.2f}, {found.high:.2f}]",
            f"{found.r_steps:.2f}",
            f"{found.p_steps:.3f}",
        ]
        for name, found in together.items()
    ],
)

# %% [markdown]
# *Probe and effect* is the correlation over checkpoints, at the block that is steered, of probe
# accuracy and steering effect, the paper's figure 5. Any two curves that rise are correlated. So
# the next column has the correlation of their *changes* from one checkpoint to the next, with its
# one-sided permutation p.
#
# **Found.** In four of five dimensions the vector from half-way has at least nine tenths of the
# effect of the final one. In the fifth, fairness, which is learned last, it has less than half, no
# more than the best off-axis direction. With its own length, as in the paper, it has 37 to 131 %.
# So the age of a vector alone does not decide. Nor does a probe: at step 3,935 that for privacy is
# right in 60 %, and the vector has 94 % of the effect. (The two are not asked the same: the probe
# is tested on kinds of information that it never saw, the vector on other people only.) Probe and
# effect are correlated, as any two rising curves are. That they rise together from checkpoint to
# checkpoint can be shown at most for robustness (p = 0.012, one of five tests).
#
# ## 7 · Does the network first take in and then compress?
#
# The paper estimates $I(T;X)$, how much a layer $T$ knows of the first block's output $X$, and
# $I(T;Y)$, how much of the label, by normalised HSIC (Hilbert–Schmidt independence criterion) with
# $\sigma = 50$. At that bandwidth the estimate has a closed form: with $p_i$ the share of the
# variance along the principal component $i$,
#
# $$I(T;X) = \sum_{ij} w_i\, w_j\, (u_i \cdot v_j)^2, \qquad w = \frac{p}{p + 0.025}.$$
#
# where $u_i$ and $v_j$ are the components of $X$ and of $T$ as unit vectors over the texts. It sees
# the directions with the largest *shares* of the variance.

# %%
planes = {}
for name, data in sets.items():
    drawn_labels = np.array([controls.random_labels(data, seed) for seed in range(200)])
    planes[name] = [
        information.plane(layers, data.labels, linear=True, shuffled=drawn_labels)
        for layers in read[name]
    ]

PLANE = "robustness"
for side, title in (
    ("tx", "I(T;X), first block's output and last block"),
    ("ty", "I(T;Y), label and last block"),
):
    lines = {
        name: np.array([[getattr(one, side)[-1]] * 3 for one in planes[name]])[late]
        for name in NAMES
    }
    lines["null, mean to 95 %"] = np.array(
        [
            [max(getattr(planes[name][i], f"{side}_null")[-1] for name in NAMES)] * 2
            + [max(getattr(planes[name][i], f"{side}_high")[-1] for name in NAMES)]
            for i in late
        ]
    )
    figure = plots.lines_with_bands(
        np.array(steps)[late],
        lines,
        xlabel="step",
        ylabel="normalised HSIC",
        title=title,
        log_x=True,
    )
    pictures.show(
        figure,
        f"{title}, over the steps of training, one line a dimension, and the highest of the "
        "permutation nulls. "
        + " ".join(
            f"{name.capitalize()}: {lines[name][0, 0]:.2f} at step {steps[late[0]]}, "
            f"{lines[name][-1, 0]:.2f} at the end."
            for name in NAMES
        )
        + f" The null is at most {lines['null, mean to 95 %'][:, 2].max():.2f}.",
    )

# %% [markdown]
# First the estimator itself. The paper prints plain HSIC; its code computes the normalised one.
# They are different quantities, and the closed form is the second one's:

# %%
x, t = read[PLANE][-1][0], read[PLANE][-1][-1]
table(
    ["last checkpoint, robustness, σ = 50", "I(T;X)", "I(T;Y)"],
    [
        [label, *(f"{estimate(rows, t):.3g}" for rows in (x, torch.as_tensor(sets[PLANE].labels)))]
        for label, estimate in (
            ("HSIC, as printed", information.hsic),
            ("normalised HSIC, as in the code", information.normalised_hsic),
            ("its closed form", information.closed_form),
        )
    ],
)

# %% [markdown]
# There the two phases seem to be: $I(T;X)$ of robustness falls by half within two checkpoints,
# while $I(T;Y)$ rises. Is it a loss of information? Ask in another way: how much of the variance of
# $X$ does a *linear regression* from $T$ recover, on groups that it was not fitted to? And: what is
# left of the fall when the one direction of $T$ that separates the labels is taken out, and the
# others get its share of the variance?

# %%
fall = {}
for name in NAMES:
    values = np.array([one.tx[-1] for one in planes[name]])
    drops = [
        (values[i] - values[j], i, j)
        for i in range(len(steps))
        for j in range(i + 1, min(i + 3, len(steps)))
    ]
    _, i, j = max(drops)  # the steepest fall within two checkpoints
    fall[name] = i, j


def stress(name, i):
    """Of the last block: I(T;X), without the label's direction, without the largest, recovered."""
    x, t, data = read[name][i][0], read[name][i][-1], sets[name]
    left = information.without_label(t, data.labels), information.without_largest(t)
    share = np.mean([information.recovered(x, t, data.groups, seed=seed) for seed in range(3)])
    return planes[name][i].tx[-1], *(information.closed_form(x, rows) for rows in left), share


stressed = {(name, i): stress(name, i) for name in NAMES for i in {*fall[name], 0, len(steps) - 1}}
table(
    [
        "dimension",
        "steepest fall, steps",
        "I(T;X)",
        "without the label's direction",
        "without its largest direction",
        "recovered by regression",
    ],
    [
        [
            name,
            f"{steps[i]:,} → {steps[j]:,}",
            *(
                f"{a:.2f} → {b:.2f}"
                for a, b in zip(stressed[name, i], stressed[name, j], strict=True)
            ),
        ]
        for name, (i, j) in fall.items()
    ],
)
say("The same from step 0 to the last checkpoint:")
table(
    [
        "dimension",
        "I(T;X)",
        "without the label's direction",
        "without its largest direction",
        "recovered by regression",
    ],
    [
        [
            name,
            *(
                f"{a:.2f} → {b:.2f}"
                for a, b in zip(stressed[name, 0], stressed[name, len(steps) - 1], strict=True)
            ),
        ]
        for name in NAMES
    ],
)

# %%
sigmas = (1, 5, 20, 50, 100, 200, 400)
i, j = fall[PLANE]
swept_sigma = {
    k: information.readings(read[PLANE][k][0], read[PLANE][k][-1], sigmas) for k in (i, j)
}
table(
    [
        "σ",
        *(f"I(T;X) at step {steps[k]:,}" for k in (i, j)),
        *(f"its null at step {steps[k]:,}" for k in (i, j)),
        "ratio",
    ],
    [
        [
            sigma,
            *(f"{one.value:.3g}" for one in both),
            *(f"{one.expected:.3g}" for one in both),
            f"{both[1].value / both[0].value:.2f}",
        ]
        for sigma, both in zip(
            sigmas, zip(swept_sigma[i], swept_sigma[j], strict=True), strict=True
        )
    ],
)

# %% [markdown]
# ### Exercise 3.6 · Compress without losing anything
#
# *4 points · 10 minutes · ●●●*
#
# Make the estimator report compression where there is none. You get activations $T$ [item, feature]
# and a random generator. Return $T$ plus *one* direction, a random number for each item times a
# fixed vector, such that $I(T;X)$ falls at least by half, although a linear regression still
# recovers as much of $X$ as before.
#
# <details><summary>Hint</summary>
#
# The estimator standardises every feature, and then weighs directions by their share of the
# variance. So let all features have the new direction to the same degree, and let it be a few times
# as large as what is there. What is far larger drowns the rest for the regression as well.
#
# </details>


# %%
def compress(t, generator):
    """t [item feature] plus one direction that has nothing to do with it."""
    # BEGIN SOLUTION
    amount = torch.randn(len(t), 1, generator=generator)
    return t + 2 * t.std() * amount * torch.ones(1, t.shape[1])
    # END SOLUTION


# %%
check("lab3.6", compress)

# %%
x, t, data = read["privacy"][-1][0], read["privacy"][-1][-1], sets["privacy"]
faked = compress(t, torch.Generator().manual_seed(0))
table(
    ["last block, privacy", "I(T;X)", "recovered by regression"],
    [
        [
            label,
            f"{information.closed_form(x, rows):.2f}",
            f"{information.recovered(x, rows, data.groups):.1%}",
        ]
        for label, rows in (("as it is", t), ("with your direction", faked))
    ],
)

# %% [markdown]
# **Found.** There is no common picture of two phases: only privacy rises by more than a tenth above
# step 0 before it falls, and robustness falls and then rises again. The null is far below, so the
# curves are not chance. The bandwidth decides the size of the fall, not that there is one. But the
# fall means different things. For reliability and robustness one direction of $T$ grows (for
# robustness it is the label's own), nine tenths of the fall are gone without it, and a linear
# regression loses nothing or next to nothing of $X$. For privacy, toxicity and fairness the
# regression loses 5 to 20 points, and most of the fall stays without the direction: part of the
# input is given up. For privacy and fairness that is while the label is learned; for toxicity it
# comes long after. The estimate cannot tell one from the other.
#
# ## 8 · A bound that is one
#
# A probe's cross-entropy on held-out texts bounds the mutual information from below:
# $I(T;Y) \ge H(Y) - \mathrm{CE}$, at most 1 bit here. A bad probe makes the bound weak, not wrong.

# %%
chosen_steps = [i for i, step in enumerate(steps) if step in (0, 952, 1936, 3106, 3935, 4985, 8000)]


def bits(name, i):
    """The variational bound at the best block of a checkpoint, in bits; below 0 it says nothing."""
    block = int(accuracy[name][i].argmax())
    loss = by_step(fitted[name].cross_entropy.mean(1))[i, block]
    return max(0.0, float(information.variational_bound(loss, sets[name].labels).bits))


known_bits = {name: [bits(name, i) for i in chosen_steps] for name in NAMES}
table(
    ["lower bound, estimated, in bits; at step", *(f"{steps[i]:,}" for i in chosen_steps)],
    [[name, *(f"{value:.2f}" for value in values)] for name, values in known_bits.items()],
)

# %% [markdown]
# **Found.** At the end the bound is estimated at 0.96 of 1 bit or more for every dimension; at step
# 0 it is 0, which says nothing. (It has no interval here, and few groups make it uncertain.) A
# probe may be right and the bound still say nothing: for toxicity at step 3,106 the accuracy is
# above 0.9, but where the probe errs it is sure of itself, and the cross-entropy counts that.
#
# ## 9 · What holds?
#
# The verdicts below are computed from the numbers of this page.

# %% tags=["hide-input"]
last = len(steps) - 1
half = steps[-1] / 2
by_half = [name for name in NAMES if (readable_from[name].by or np.inf) <= half]
to_beat = {
    name: max(highest[name][column] for column in ("words", "length", "untrained", "random labels"))
    for name in NAMES
}
best_block = {
    name: [
        block for block in range(4) if accuracy[name][-1, block] >= accuracy[name][-1].max() - 0.005
    ]
    for name in NAMES
}
moved = {
    kind: {name: steered[name, kind][1]["steered"].target for name in NAMES}
    for kind in ("verdict", "continuation")
}
any_control = {
    key: max(strongest(found, control) for control in ("random", "off-axis"))
    for key, (_, found, _) in steered.items()
}
as_good = {
    name: transferred[name, False][middle].target.mean
    / transferred[name, False][steps[-1]].target.mean
    for name in NAMES
}
own_length = {
    name: transferred[name, True][middle].target.mean
    / transferred[name, True][steps[-1]].target.mean
    for name in NAMES
}
rose = {
    name: max(one.tx[-1] for one in planes[name]) / planes[name][0].tx[-1] - 1 for name in NAMES
}  # above step 0
lost = {name: stressed[name, fall[name][0]][3] - stressed[name, fall[name][1]][3] for name in NAMES}
gone = {  # share of the steepest fall that is gone when the largest direction is left out
    name: 1
    - (stressed[name, i][2] - stressed[name, j][2]) / (stressed[name, i][0] - stressed[name, j][0])
    for name, (i, j) in fall.items()
}


def each(values, form="{:.2f}"):
    """One value a dimension, as text."""
    return ", ".join(f"{name} {form.format(values[name])}" for name in NAMES)


claims(
    [
        (
            "concepts become linearly separable early in pre-training and stay so",
            f"above 75 % by half of training: {', '.join(by_half)}; steps: "
            + ", ".join(f"{name} {readable_from[name]}" for name in NAMES),
            "best of words, length, untrained and random labels: " + each(to_beat),
            True if len(by_half) == len(NAMES) else None if by_half else False,
        ),
        (
            "middle layers separate best",
            "best blocks of 0 to 3: "
            + ", ".join(f"{name} {'/'.join(map(str, best_block[name]))}" for name in NAMES),
            "at the first block: " + each({name: accuracy[name][-1, 0] for name in NAMES}),
            all(3 not in best_block[name] for name in NAMES),
        ),
        (
            "the probes of the five sets show more than the surface of the texts",
            "probe, mean from checkpoint 100 on, less the best of words and capitals: "
            + ", ".join(f"{name} {found.gain:+.3f}" for name, found in surface_of.items()),
            "the 95 % interval of the probe begins above the surface for "
            + (
                ", ".join(
                    name
                    for name, found in surface_of.items()
                    if published.PUBLISHED[name].interval[0] > found.best
                )
                or "none"
            ),
            None
            if any(
                published.PUBLISHED[name].interval[0] > found.best
                for name, found in surface_of.items()
            )
            else False,
        ),
        (
            "a steering vector moves what the model says of a statement",
            "change in nats: "
            + each({name: one.mean for name, one in moved["verdict"].items()}, "{:+.1f}"),
            "best of 38 random and off-axis directions: "
            + each({name: any_control[name, "verdict"] for name in NAMES}, "{:+.1f}"),
            all(moved["verdict"][name].low > any_control[name, "verdict"] for name in NAMES),
        ),
        (
            "it makes the model more trustworthy",
            "change of the continuation in nats: "
            + each({name: one.mean for name, one in moved["continuation"].items()}, "{:+.2f}"),
            "best of 38 random and off-axis directions: "
            + each({name: any_control[name, "continuation"] for name in NAMES}, "{:+.2f}"),
            any(
                moved["continuation"][name].low > any_control[name, "continuation"]
                for name in NAMES
            )
            and None,
        ),
        (
            "a vector from half-way through pre-training steers as well as the model's own",
            f"effect on the verdict of the vector of step {middle:,}, as a share of the own "
            "vector's: " + each(as_good, "{:.0%}"),
            "with its own length: " + each(own_length, "{:.0%}"),
            True
            if min(as_good.values()) >= 0.9
            else None
            if sum(share >= 0.9 for share in as_good.values()) >= 3
            else False,
        ),
        (
            "probe accuracy and steering effect go together",
            "r over checkpoints: " + each({name: together[name].r for name in NAMES}),
            "r of their changes: " + each({name: together[name].r_steps for name in NAMES}),
            None if min(together[name].low for name in NAMES) > 0 else False,
        ),
        (
            "two phases: I(T;X) of the upper layers rises, then falls",
            "the highest value lies above that of step 0 by " + each(rose, "{:.0%}"),
            "95 % of the null below "
            f"{max(max(one.tx_high[-1] for one in planes[name]) for name in NAMES):.2f}; at step 0 "
            + each({name: planes[name][0].tx[-1] for name in NAMES}),
            None if any(share > 0.1 for share in rose.values()) else False,
        ),
        (
            "the fall is a compression: the layer forgets its input",
            "in the steepest fall the regression loses "
            + each({name: round(value, 2) + 0.0 for name, value in lost.items()}),
            "share of that fall that is gone without the largest direction: "
            + each(gone, "{:.0%}"),
            None
            if max(lost.values()) > 0.05 and max(gone.values()) > 0.5
            else max(gone.values()) <= 0.5,
        ),
    ]
)

# %% [markdown]
# ## Limits
#
# - A fact of TinyWorld is an entry in a table. Nothing here says how a model of billions of
#   parameters holds truth or privacy; the lab tests whether the *methods* find what is there, and
#   keep quiet where nothing is.
# - One model and one training run. Intervals are over splits and groups of the texts, not over
#   trainings.
# - Training rewards having the verdict ready at the full stop, where the probes read. In text
#   without verdicts there is no such reward.
# - Few subjects: eight kinds of information, twelve groups of people. Their intervals are wide for
#   that reason.
# - The strength of steering is chosen from nine values at four blocks, for one vector a dimension.
#   Vectors taken at other places, such as where a statement is still being made, were not tried.
# - Not every continuation is a fair question. Who will be insulted is not decided by the prompt,
#   and those of robustness ask for grammar more than for order.
# - HSIC is not a mutual information. The bound of section 8 is one, and says only "at least".
# - The paper's model was not run. Its numbers are quoted; its data sets are measured.
#
# ## With a real model
#
# The same sweep runs on any series of checkpoints that fits your machine. This one downloads Pythia
# 70m checkpoint by checkpoint (282 MB each, one at a time) and was not run for this page:
#
# ```python
# from helpers.trust.data import public
#
# stereoset = public.load("stereoset")
# swept = sweep.sweep(sources.pythia("pythia-70m"), sets=[stereoset], folder="results")
# ```
#
# The chapter says what else to know: equal weights at different steps, bf16, and how to send it to
# a cluster.
#
# ## Further reading
#
# - Qian et al., [Towards Tracing Trustworthiness Dynamics](https://arxiv.org/abs/2402.19465)
# - Hewitt and Liang,
#   [Designing and Interpreting Probes with Control Tasks](https://arxiv.org/abs/1909.03368)
# - Marks and Tegmark, [The Geometry of Truth](https://arxiv.org/abs/2310.06824)
# - Rimsky et al.,
#   [Steering Llama 2 via Contrastive Activation Addition](https://arxiv.org/abs/2312.06681)
# - Ma, Lewis and Kleijn,
#   [The HSIC Bottleneck: Deep Learning without Back-Propagation](https://arxiv.org/abs/1908.01580)
# - Saxe et al.,
#   [On the Information Bottleneck Theory of Deep Learning](https://openreview.net/forum?id=ry_WPG-A-)

# %%
scores("lab3")
