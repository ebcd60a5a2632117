# %% [markdown]
# # Lab 5 · What circuits know, and what edits prove
#
# Ask a language model what a sparrow is, and it says: a bird. Where in its weights does that stand?
# The paper of this lab looks for a *mask*, a choice of 5 % of the weights with which alone the
# model still does its task. It edits facts inside of the mask and outside, finds that those inside
# change less, and concludes: circuits hold knowledge, and resist when it is to be replaced. Here
# you learn such masks, edit facts in them, and hold each conclusion against the control that could
# overturn it.
#
# The method is that of Ge, Rudzicz and Zhu,
# [*Understanding Language Model Circuits through Knowledge Editing*](https://arxiv.org/abs/2406.17241).
# The chapter [What circuits know](../book/ch3_knowledge_circuits.md) has the mathematics. These are
# the paper's claims, with the names that they have below. C4 and the number in C5 are from its
# first two versions; the abstracts of the later two leave them out.
#
# | | the paper says |
# |---|---|
# | C1 | a circuit of 5 % of the weights keeps the task |
# | C2 | circuits hold the knowledge |
# | C3 | circuits resist new knowledge |
# | C4 | an ideal circuit has more than 5 % and less than 50 % of the weights |
# | C5 | circuits are LayerNorms by up to 60 %, and those of different tasks share more than chance |
#
# **You will be able to**
#
# - learn a mask over half a million weights by gradient descent, with a straight-through estimator;
# - say which part of a circuit's success comes from *which* weights it keeps, and which from how
#   many it keeps of each tensor;
# - tell a mask that finds knowledge from one that writes it;
# - edit a fact inside of a mask, and compare places at equal distance instead of equal steps;
# - build a place outside of the circuit that resists as the circuit does.
#
# **You need** Lab 0: ablation, controls. Gradient descent in PyTorch.
#
# **Cost** Six exercises of 8 to 15 minutes, about two hours with the reading. The set-up cell
# prints the measured run time. An open exercise stops nothing: the library's version is used.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab5")

# %%
import math
from dataclasses import replace

import numpy as np
import torch

from helpers import stats, zoo
from helpers.course.check import check, scores
from helpers.course.fallback import answer_or
from helpers.knowledge import editing, explorer, masks
from helpers.knowledge.edit_study import stored_edits, typical_gradient
from helpers.knowledge.edit_study import summaries as of_edits
from helpers.knowledge.editing import measures, published, questions
from helpers.knowledge.facts import FRAMES, divided, factnet, facts, permuted

# %%
from helpers.knowledge.masks import compare, estimators, plain, rivals, search
from helpers.knowledge.study import stored, summaries
from helpers.show import claims, pictures, plots, say, table
from helpers.tinyworld.language import documents, vocabulary, world

model = zoo.load("tinyworld", device="cpu")
its = plain.of(model)
words = vocabulary().words

# %% [markdown]
# ## 1 · Facts without a place
#
# `tinyworld` is a transformer of four *blocks*, each with attention, an MLP and two LayerNorms. It
# was trained on plain text about a small world. It knows of 256 *entities* what *kind* they are: a
# sparrow is a bird. A kind belongs to a *realm*: birds are animals. A fact is asked by a *frame*, a
# sentence that ends before the answer:

# %%
prompt = facts("kind", ["sparrow"], ["the {entity} is a kind of"])
said = its.logits(its.values, prompt.tokens, prompt.last).softmax(-1)[0]
table(
    [f"*the sparrow is a kind of …*, of {len(words)} words", "probability"],
    [[words[token], f"{said[token]:.3f}"] for token in said.topk(4).indices.tolist()],
)

# %% [markdown]
# The answer is *right* if the true kind is the likeliest of all words, not just of the 20 kinds.
# All weights in the blocks are one vector $w$ of half a million numbers. Embeddings and the final
# LayerNorm are left as they are, as in the paper. Masks are learned with some entities in some
# frames, and judged by others, which are *held out*: other entities in other frames.

# %%
learn_on, held_out = divided()
asked = facts("kind", learn_on, FRAMES["kind"]["search"])
judged_on = facts("kind", held_out, FRAMES["kind"]["held out"])
full = masks.judge(its, its.values, judged_on)
nothing = masks.judge(its, its.values * 0, judged_on)
say(
    f"{len(its):,} weights in the blocks. {len(asked)} prompts to learn on, about {len(learn_on)} "
    f"entities; {len(judged_on)} to judge by, about {len(held_out)}."
)


# %%
def row(name, judged):
    """A line of the tables below."""
    numbers = judged.nll, judged.above_uniform, judged.entropy
    return [name, f"{judged.accuracy:.2f}", *(f"{float(each.median()):.2f}" for each in numbers)]


HEAD = ["weights in the blocks", "right", "NLL", "NLL − ln|V|", "entropy"]
table(HEAD, [row("all", full), row("all set to 0", nothing)])

# %% [markdown]
# *NLL* is $-\ln p$ of the true kind, in *nats*: 0 is certainty, and every nat more is a probability
# $e$ times smaller. *Entropy*, in nats too, says how undecided the model is between words: 0 if it
# says one word for certain, and $\ln|V| = 6.9$ if all 993 are alike to it. The table has medians.
#
# Two ways to not know must be kept apart. A model that knows nothing and says so has
# $\mathrm{NLL} = \ln|V|$. One whose probability is elsewhere has more. In the paper's figures the
# circuits' NLL of the truth is 10.6 to 12, where $\ln|V|$ of GPT-2 is 10.8, and the full model's is
# 9.7. So the full model hardly knows these facts, and the circuits do not. That the rest has 15 to
# 21 says that nearly all of its probability is on other words.
#
# Commit yourself: with 5 % of the weights, and all others set to 0, which share of the held-out
# facts is right (a) if the 5 % are chosen by a search, (b) if they are random, with as many of each
# tensor?

# %%
guessed = {"by a search": 0.5, "random": 0.5}  # your two shares, between 0 and 1

# %% tags=["hide-input"]
study = stored.stored()
ARMS = {
    "a search": "circuit",
    "random, as many in every tensor": "per tensor",
    "the largest weights": "magnitude",
    "the largest |weight · gradient|": "gradient",
}
rates = {
    (each["arm"], each["density"]): each["accuracy"] for each in summaries.circuits(study, "kind")
}
drawn = {
    name: np.array(
        [[one.mean, one.low, one.high] for d in study.plan.densities for one in [rates[arm, d]]]
    )
    for name, arm in ARMS.items()
}
figure = plots.lines_with_bands(
    100 * np.array(study.plan.densities),
    drawn,
    xlabel="weights that are kept, in %",
    ylabel="held-out facts right",
    title="Which weights are kept, by",
)
pictures.show(
    figure,
    "Share of held-out facts that are right, over the share of weights kept, 5 to 50 %, with 95 % "
    f"intervals over {study.plan.seeds} searches and over entities. "
    + " ".join(
        f"{name}: {', '.join(f'{value:.2f}' for value in rows[:, 0])} at 50, 35, 25, 15 and 5 %."
        for name, rows in drawn.items()
    ),
)


# %%
def brief(one):
    """A rate with its interval, in two digits."""
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"


say(
    f"With 5 %: chosen by a search {brief(rates['circuit', 0.05])} are right (you guessed "
    f"{guessed['by a search']}), as many random ones in every tensor "
    f"{brief(rates['per tensor', 0.05])} (you guessed {guessed['random']})."
)

# %% [markdown]
# **Found** With all weights every held-out fact is right, with none 2 % are. A search finds 5 % of
# the weights with which 99 % are right, in five searches of five. Of random weights, as many in
# every tensor, it is 1 %. The largest |weight · gradient| (that of the NLL of the truth) are a good
# choice at 35 %, and a bad one at 5 %. (These numbers are stored; `python -m helpers masks`
# measures them anew.)

# %% [markdown]
# ## 2 · Learn a mask
#
# How does the search work? A mask $m$ has a 0 or a 1 for each weight, and the masked model runs
# with $m \odot w$. Wanted is a mask that keeps 5 % and changes what the model says as little as
# possible:
#
# $$\min_{m}\; \mathrm{KL}\big(p_w \,\|\, p_{m \odot w}\big), \qquad \textstyle\sum_i m_i = 0.05\,n.$$
#
# KL is the mean number of nats that one loses, of what the full model $p_w$ says, by believing the
# masked one: 0 only if they say the same. A choice of yes or no has no gradient. The
# *straight-through* trick gives each weight a score $s_i$, keeps the weights of the highest scores
# on the way forward, and on the way back pretends that the mask *was* the score:
# $\partial m_i/\partial s_j := 1$ if $i = j$, else 0. So a score rises where more of its weight
# would help. That goes for weights that are left out as well, or none could ever come back.
#
# ### Exercise 5.1 · Straight through
#
# *3 points · 12 minutes · ●●○*
#
# Write `keep_top(scores, density)`: 1 for the `round(n · density)` highest of `n` scores, else 0.
# Of equal scores take as many as asked. The gradient to every score is that of its mask entry, also
# where the mask is 0.
#
# <details><summary>Hint 1</summary>
#
# Build the mask from `scores.detach()` first, without any gradient.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `scores - scores.detach()` is 0, and its gradient is 1.
#
# </details>


# %%
def keep_top(scores, density):
    """The mask of the highest scores, with a gradient of 1 to each score."""
    # BEGIN SOLUTION
    mask = torch.zeros_like(scores)
    kept = round(len(scores) * density)
    mask[scores.detach().argsort(descending=True, stable=True)[:kept]] = 1
    return mask.detach() + scores - scores.detach()
    # END SOLUTION


# %%
check("lab5.1", keep_top)

# %% [markdown]
# The search itself is gradient descent on the scores. The density falls from 1 to 50, 25 and 5 % in
# one run, with some steps at each, at whose end a mask is taken. Adam's ε is tiny, as most
# gradients are.

# %%
own_top = answer_or("lab5.1", keep_top, instead=estimators.top_k)
DENSITIES, STEPS = (0.5, 0.25, 0.05), 92


# %%
def learn_masks(objective, seed):
    """The masks that a search from random scores comes to, by density."""
    generator, found = torch.Generator().manual_seed(seed), {}
    score = (0.01 * torch.randn(len(its), generator=generator)).requires_grad_()
    adam = torch.optim.Adam([score], lr=0.01, eps=1e-12)
    for step, density in enumerate(search.schedule(DENSITIES, STEPS)):
        batch = torch.randperm(len(objective), generator=generator)[:32]
        loss = objective.loss(its.values * own_top(score, density), batch)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if (step + 1) % STEPS == 0:
            found[density] = own_top(score, density).detach().round()
    return found


# %%
alike = masks.predictions(its, asked.tokens, asked.last)  # KL to what the full model says
learned = learn_masks(alike, seed=2)
circuit = learned[0.05]
shown = {
    density: masks.judge(its, its.values * mask, judged_on) for density, mask in learned.items()
}

# %% tags=["hide-input"]
table(
    ["circuit of", "right", "NLL", "entropy", "KL"],
    [
        [
            f"{density:.0%}",
            f"{one.accuracy:.2f}",
            *(f"{float(each.median()):.2f}" for each in (one.nll, one.entropy, one.divergence)),
        ]
        for density, one in shown.items()
    ],
)

# %% [markdown]
# **Found** Your own search does what the stored ones do: with a twentieth of the weights every
# held-out fact is right, and little of what the full model says is lost. In the words of the paper,
# the circuit keeps the task. It was learned without a single label: only what the full model says
# was copied.

# %% [markdown]
# ## 3 · Which weights, or how many of them where?
#
# Before you believe it: what else gives a model with 5 % of its weights? A random 5 % keeps few of
# the LayerNorms, of which each weight matters much. A fair rival keeps *as many weights of each
# tensor* as the circuit does, but random ones.
#
# ### Exercise 5.2 · As many in every tensor
#
# *3 points · 10 minutes · ●●○*
#
# Write `matched(mask, sizes, seed)`: a random mask that keeps as many weights of each tensor as
# `mask` does. `mask` is one vector over all tensors, `sizes` how many weights each has, in order.
# Make one generator from `seed`, and draw tensor after tensor from it.
#
# <details><summary>Hint</summary>
#
# `mask.split(sizes)` gives the parts. `torch.randperm(size, generator=...)` gives the places of a
# part in a random order.
#
# </details>


# %%
def matched(mask, sizes, seed):
    """A random mask with the mask's number of weights in every tensor."""
    # BEGIN SOLUTION
    generator, parts = torch.Generator().manual_seed(seed), []
    for part in mask.split(sizes):
        drawn = torch.zeros(len(part))
        drawn[torch.randperm(len(part), generator=generator)[: int(part.sum())]] = 1
        parts.append(drawn)
    return torch.cat(parts)
    # END SOLUTION


# %%
check("lab5.2", matched)

# %% [markdown]
# A place can be looked at in two ways: what the model says with its weights *alone*, all others set
# to 0, and what it says *without* them. `slopes` is the mean |weight · gradient|, of the NLL of the
# truth.

# %%
own_matched = answer_or("lab5.2", matched, lambda mask, _, seed: rivals.per_tensor(its, mask, seed))
sizes, random_masks = its.sizes, range(100, 105)  # seeds of random masks
asked_true = masks.Targets(its, asked.tokens, asked.last, asked.answers)
batches = torch.arange(len(asked)).split(32)
slopes = rivals.slopes(its, [lambda w, b=b: asked_true.loss(w, b) for b in batches])
places = {
    "the circuit": circuit,
    "random, as many in every tensor": own_matched(circuit, sizes, random_masks[0]),
    "random, wherever": rivals.uniform(its, 0.05),
    "the largest weights": rivals.magnitude(its, 0.05),
    "the largest |w · gradient|": estimators.keep(slopes, 0.05),
}

# %%
alone = {name: masks.judge(its, its.values * mask, judged_on) for name, mask in places.items()}
without = {
    name: masks.judge(its, its.values * (1 - mask), judged_on) for name, mask in places.items()
}

# %% tags=["hide-input"]
table(
    ["weights", "right, alone", "NLL − ln|V|", "right, without", "NLL − ln|V|"],
    [
        [
            name,
            *(
                text
                for one in (alone[name], without[name])
                for text in (f"{one.accuracy:.2f}", f"{float(one.above_uniform.median()):+.2f}")
            ),
        ]
        for name in places
    ],
)

# %% [markdown]
# What the network says *without* the circuit is what the rest says alone. Its control is the
# network without as many random weights of every tensor, here with five draws of them.

# %%
others = [own_matched(circuit, sizes, seed) for seed in random_masks]
by_draw = {
    name: [masks.judge(its, its.values * part(mask), judged_on).accuracy for mask in others]
    for name, part in {"alone": lambda m: m, "without": lambda m: 1 - m}.items()
}
rest_alone = without["the circuit"]
say(
    f"Right without the circuit: {rest_alone.accuracy:.2f}, entropy "
    f"{float(rest_alone.entropy.median()):.2f} (with no block weights "
    f"{float(nothing.entropy.median()):.2f}). Right without as many random weights in every "
    "tensor: "
    f"{', '.join(f'{value:.2f}' for value in by_draw['without'])} in five draws."
)

# %% [markdown]
# **Found** No rival of 5 % says more than 6 % of the facts, and as many random weights in every
# tensor say none. So it matters *which* weights are kept. Without the circuit nothing is right
# either. But that shows little: without as many random weights in every tensor it is none to a
# fifth, while 5 % of random weights from wherever can be spared. What breaks a network is from
# which tensors weights are taken, first of all. What the rest would say undamaged, this does not
# tell.

# %% [markdown]
# ## 4 · Where the truth is known
#
# Does such a search find the weights that hold the facts? In `tinyworld` nobody knows which these
# are. *FactNet* is wired by hand: 106 of its 55,752 weights are *wires*, and do all the work. With
# noise, the parts around them also read and write a little of what they should not. The others are
# decoys: nobody reads what they write. So a mask can be judged weight by weight, by the AUROC of
# its scores: the chance that a wire's score is above that of another weight.

# %%
tokens, answers = factnet.prompts()
last = torch.full((len(tokens),), 2)


def wires_of(redundant):
    """FactNet's weights, and which of them are wires."""
    net = factnet.build(noise=0.01, redundant=redundant)
    its = plain.of(net.model)
    return its, torch.cat([net.wired[name].flatten() for name in its.names]).numpy()


wires, wired = wires_of(redundant=False)
loud = (wires.values.abs() > 0.5).numpy()
say(
    f"Of the {(~wired).sum():,} other weights {(wires.values[~wired] == 0).float().mean():.0%} are "
    f"0 and {loud[~wired].mean():.0%} are larger than 0.5; of the wires {loud[wired].mean():.0%}."
)

# %% [markdown]
# The rival of the straight-through search is the *hard concrete* estimator. It replaces the choice
# of yes or no by a random number between 0 and 1, often exactly one of them, which has a gradient
# of its own; the chapter has the formula. The learning rate of each is the best on another seed,
# of six for straight through and of three for hard concrete, tried with 400 steps; hard concrete
# needs no more than 200. Five searches each; the table has means and ranges.


# %%
def found_by(wires, wired, estimator, steps, rate, seed):
    """AUROC of a search's scores; share of facts right with 5 %; share of wires kept there."""
    settings = masks.SearchSettings(estimator, (0.05,), steps, rate, batch=36, seed=seed)
    search = masks.learn(wires, masks.predictions(wires, tokens, last), settings)
    said = wires.logits(wires.values * search.masks[0.05], tokens, last).argmax(-1)
    return (
        stats.auroc(search.scores[0.05].numpy(), wired),
        float((said == answers).float().mean()),
        float(search.masks[0.05].numpy()[wired].mean()),
    )


# %%
WAYS = {"straight through": ("top-k", 400, 0.01), "hard concrete": ("hard concrete", 200, 0.1)}
searched = {
    name: np.array([found_by(wires, wired, *way, seed) for seed in range(5)])
    for name, way in WAYS.items()
}
twice = found_by(*wires_of(redundant=True), *WAYS["hard concrete"], seed=0)
sized, every = wires.values.abs().numpy(), np.full(len(wired), True)
size_areas = [stats.auroc(sized[which], wired[which]) for which in (every, loud)]

# %% tags=["hide-input"]
table(
    ["scores of", "AUROC", "facts right, 5 %", "wires kept"],
    [
        *(
            [name, *(f"{x.mean():.2f} ({x.min():.2f} to {x.max():.2f})" for x in found.T)]
            for name, found in searched.items()
        ),
        ["hard concrete, every fact wired twice", *(f"{x:.2f}" for x in twice)],
        *(
            [f"size of the weight, among {which}", f"{area:.2f}", "", ""]
            for which, area in zip(("all", "those above 0.5"), size_areas, strict=True)
        ),
    ],
)
at_five = {
    each["estimator"]: each["accuracy"]
    for each in summaries.estimators(study)
    if each["density"] == 0.05 and each["accuracy"]
}
say(
    "And on tinyworld, each with the best of its settings: held-out facts right with 5 % "
    + ", ".join(
        f"{name.replace('top-k', 'straight through')} {brief(one)}" for name, one in at_five.items()
    )
)

# %% [markdown]
# **Found** In all five searches hard concrete puts nearly every wire before nearly every other
# weight. Where every fact is wired twice it keeps both copies, though one would do. Straight
# through does not learn this task: half of the facts are wrong, and half of the wires are missed;
# the size of a weight, which costs nothing, ranks better. So where a search works here, it also
# finds. On `tinyworld` it is straight through that works, and hard concrete loses four facts of
# ten. What a search is worth on one model does not carry over to another, and where the wires are
# not known, that a mask works is all that can be seen.

# %% [markdown]
# ## 5 · Finding or writing?
#
# A mask has half a million choices. That is room enough to write something into a network that it
# never knew. So learn a mask that tells *lies*: kinds are exchanged throughout, and no weight
# changes its value.

# %%
false, judged_false = (permuted(given, seed=0, by_value=True) for given in (asked, judged_on))
exchanged = dict(zip(judged_on.answers.tolist(), judged_false.answers.tolist(), strict=True))
say("; ".join(f"every {words[a]} is to be a {words[b]}" for a, b in list(exchanged.items())[:3]))

# %% [markdown]
# Commit yourself: with 5 % of the weights, of how many held-out entities will such a mask say the
# false kind? None of their prompts is learned from.

# %%
my_guess = 0.5  # your number, between 0 and 1

# %%
lies = masks.Targets(its, false.tokens, false.last, false.answers)  # mean NLL of the false kinds
written = learn_masks(lies, seed=2)
told = {d: masks.judge(its, its.values * mask, judged_false) for d, mask in written.items()}
say(
    f"You guessed {my_guess:.2f}. It is {told[0.05].accuracy:.2f}; with 50 % of the weights "
    f"{told[0.5].accuracy:.2f}."
)

# %% [markdown]
# Can *anything* be written? The stored study asks that with the same loss, the NLL of what shall be
# said, in networks in which there is less and less to be found. *Learned*: entities and frames that
# the mask was learned with. *Held out*: others. The last columns give 50 % all the steps of a whole
# search; with those of one density they are too few to write much (one search, where the others are
# three).

# %% tags=["hide-input"]
NETWORKS = {
    "facts": "true kinds",
    "exchanged kinds": "kinds exchanged throughout",
    "dealt out": "kinds dealt out at random",
    "shuffled weights": "true kinds, weights of each tensor shuffled",
    "untrained": "true kinds, untrained network",
    "before the facts": "true kinds, network before it learned them",
}
written_in = {
    (each["control"], each["asked"], each["density"]): each["accuracy"]
    for each in summaries.controls(study)
}
steadily = {(each["of"], each["asked"]): each["accuracy"] for each in summaries.steady(study)}


table(
    ["what is to be said", "learned, 5 %", "held out, 5 %", "learned, 50 %", "held out, 50 %"],
    [
        [
            text,
            *(brief(written_in[name, way, 0.05]) for way in ("learned", "other entities")),
            *(f"{steadily[name, way].mean:.2f}" for way in ("learned", "other entities")),
        ]
        for name, text in NETWORKS.items()
    ],
)

# %% [markdown]
# **Found** The mask says the false kind to nearly all held-out prompts. No text said that a
# reptile is a herb: the mask *writes* it, and needs no more than to lead what stands for reptiles
# to another word. With the same loss, true kinds do no better than false ones. Even kinds dealt out
# at random are written, 65 % of them with 5 % of the weights and all with 50 %, and an untrained
# network says what it never learned. One thing cannot be written: what is right about *held-out*
# entities, where the network has not learned it. (For kinds dealt out that is so by the way
# they are made.) In shuffled blocks it can: what entities have in common stands in the embeddings,
# which no mask covers. So that a mask of 5 % gives true answers
# does not show that they stand in these 5 %.

# %% [markdown]
# ## 6 · One circuit or many?
#
# If the 5 % were *the* place of the facts, a second search would find them again. What two masks
# share is read against chance. But whose chance? Both masks may prefer the same tensors.
#
# ### Exercise 5.3 · What two masks share by chance
#
# *3 points · 12 minutes · ●●○*
#
# Write `expected_overlap(first, second, sizes)`: the share of the first mask's weights that the
# second would keep too, on average, if it kept as many weights of every tensor as it does, but
# random ones.
#
# <details><summary>Hint 1</summary>
#
# Take one tensor. If the second mask keeps half of its weights at random, it keeps half of those
# that the first mask has there.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# With $a_t$, $b_t$, $n_t$ the numbers of weights of tensor $t$ that the first keeps, that the
# second keeps, and that there are: $\sum_t a_t\, b_t / n_t$ divided by $\sum_t a_t$.
#
# </details>


# %%
def expected_overlap(first, second, sizes):
    """The containment of the first mask in the second that numbers in each tensor explain."""
    # BEGIN SOLUTION
    a, b = ([part.sum() for part in mask.split(sizes)] for mask in (first, second))
    shared = sum(x * y / size for x, y, size in zip(a, b, sizes, strict=True))
    return float(shared / first.sum())
    # END SOLUTION


# %%
check("lab5.3", expected_overlap)

# %%
own_overlap = answer_or(
    "lab5.3", expected_overlap, lambda a, b, _: compare.overlap(its, a, b).per_tensor
)
again = {seed: stored.circuit(seed, 0.05) for seed in (0, 1)}  # other searches for the same
second_masks = {
    "the same facts, another search": again[0],
    "the same facts, a third search": again[1],
    "lies about the same entities": written[0.05],
    "random, as many in every tensor": places["random, as many in every tensor"],
}
shared = {
    name: (
        float((circuit * other).sum() / circuit.sum()),
        float(own_overlap(circuit, other, sizes)),
    )
    for name, other in second_masks.items()
}

# %% [markdown]
# The stored study has circuits of five other tasks: which *realm* an entity belongs to; the *number
# of a verb* (is or are); and three that are classified by a read-out, as in the paper: is a claim
# *true*, is a remark *rude*, is a *noun* in the right number. Means over pairs of searches with
# different seeds.

# %% tags=["hide-input"]
pairs_of = {
    each["second"]: (each["containment"][0], each["per_tensor"][0])
    for each in summaries.overlaps(study)
    if each["density"] == 0.05 and each["first"] == "kind"
}
above = [  # tasks of which every pair shares more than numbers explain in any
    each["second"]
    for each in summaries.overlaps(study)
    if each["density"] == 0.05 and each["first"] == "kind" and each["second"] != "kind"
    if each["containment"][1] > each["per_tensor"][2]
]
table(
    ["circuit of kinds, and", "second keeps of the first", "numbers in each tensor explain"],
    [
        *([f"{name}", f"{a:.3f}", f"{b:.3f}"] for name, (a, b) in shared.items()),
        *([f"stored: task *{name}*", f"{a:.3f}", f"{b:.3f}"] for name, (a, b) in pairs_of.items()),
    ],
)

# %% [markdown]
# And what does a circuit consist of? Of LayerNorms, the paper says, up to 60 %. That is a *keep
# rate*: of the LayerNorms' weights so many are kept. Their *share* of the circuit is another
# number. From the rates that the paper prints, and the sizes of GPT-2 small, it can be computed.

# %% tags=["hide-input"]
GPT2 = {"attention": 28_348_416, "MLP": 56_669_184, "normalisation": 36_864}
PUBLISHED = {"5 %": (0.04, 0.05, 0.37), "50 %": (0.47, 0.50, 0.62)}  # of hypernyms
here = {
    density: {part.kind: part for part in compare.composition(its, mask)}["normalisation"]
    for density, mask in learned.items()
}
norms = {
    density: rate[2] * GPT2["normalisation"] / np.dot(rate, list(GPT2.values()))
    for density, rate in PUBLISHED.items()
}
table(
    ["LayerNorms in", "weights", "of these kept", "share of the circuit"],
    [
        *(
            [
                f"the paper's circuit, {density}",
                f"{GPT2['normalisation']:,}",
                f"{rate[2]:.2f}",
                f"{norms[density]:.2%}",
            ]
            for density, rate in PUBLISHED.items()
        ),
        *(
            [f"ours, {density:.0%}", f"{one.weights:,}", f"{one.keep_rate:.2f}", f"{one.share:.2%}"]
            for density, one in here.items()
        ),
    ],
)

# %% [markdown]
# **Found** Another search for the same facts keeps 36 to 40 % of the circuit's weights, where
# numbers in each tensor explain 10 %. So circuits are not arbitrary; nor is there *the* circuit:
# six weights of ten are others in each search. A mask of lies about the same entities shares a
# fifth. Circuits of other tasks: 18 % for the realm, 14 % for truth, and for the other three no
# more than one point above chance. That chance is 6 to 10 % here, and not 5 %, which the paper's 13
# to 18 % stand beside: two masks that like the same tensors share more. LayerNorms are kept three
# times as often as other weights, and are 1 % of the circuit. In the paper's own circuits they are
# 0.3 and 0.05 %: the 60 % are a keep rate.

# %% [markdown]
# ## 7 · Edit a fact inside a mask
#
# Now change what the model knows. The *sparrow*, which no mask was learned with, shall be a kind of
# *tree*. The loss is $\ell(w) = -\ln p(\text{tree})$, and only weights in a mask may move. The
# paper takes plain gradient steps of a fixed learning rate; a step of a fixed *length* is easier to
# compare:
#
# $$w \leftarrow w - \eta\,\frac{m \odot g}{\lVert m \odot g\rVert}, \qquad g = \nabla_w \ell(w).$$
#
# ### Exercise 5.4 · Edit inside a mask
#
# *4 points · 12 minutes · ●●○*
#
# Write `restricted(values, gradient, mask, length, steps)`: the weights after that many steps of
# that length. `gradient(values)` gives $g$. The length is the $\eta$ of the formula. Weights
# outside of the mask stay as they are, bit by bit, and `values` itself is left alone. Where the
# mask lets no gradient through, nothing changes.
#
# <details><summary>Hint</summary>
#
# Mask the gradient first, then take its norm. What if that norm is 0?
#
# </details>


# %%
def restricted(values, gradient, mask, length, steps):
    """The weights after steps of one length on the masked gradient."""
    # BEGIN SOLUTION
    for _ in range(steps):
        inside = gradient(values) * mask
        norm = inside.norm()
        if norm > 0:
            values = values - length * inside / norm
    return values
    # END SOLUTION


# %%
check("lab5.4", restricted)


# %%
FRAME = "the {entity} is a kind of"
sparrow = editing.request("kind", {"sparrow": "tree"}, FRAME)


def by_library(values, gradient, mask, length, steps):
    """What the library's edit of this request gives."""
    settings = editing.EditSettings(steps=steps, size=length)
    return editing.edit(its, sparrow, mask, settings, start=values).values[0]


own_edit = answer_or("lab5.4", restricted, instead=by_library)


# %%
def slope(values):
    """Gradient of -ln p(tree) by all weights."""
    leaf = values.clone().requires_grad_()
    said = its.logits(leaf, sparrow.asked.tokens, sparrow.asked.last).log_softmax(-1)
    return torch.autograd.grad(-said[0, sparrow.new[0]], leaf)[0]


# %%
changed = own_edit(its.values, slope, circuit, 0.05, 30).detach()
moved_outside = int(((changed != its.values) & (circuit == 0)).sum())
names = ("sparrow", "raven", "herring")  # it, a sibling, an entity of another kind
now = facts("kind", names, [FRAME])
p_tree = torch.stack(
    [
        its.logits(values, now.tokens, now.last).softmax(-1)[:, sparrow.new[0]]
        for values in (its.values, changed)
    ]
)
table(
    ["P(tree)", "before", "after 30 steps of 0.05"],
    [[name, f"{a:.3f}", f"{b:.3f}"] for name, a, b in zip(names, *p_tree.tolist(), strict=True)],
)
say(f"{moved_outside} weights outside of the circuit have changed.")

# %% [markdown]
# **Found** The circuit can be taught: the sparrow is a tree, the raven and the herring are not,
# and every weight outside is what it was.

# %% [markdown]
# ## 8 · Does the circuit resist?
#
# Twelve held-out entities get a random kind of another realm, each alone, each from the model as it
# is. First the published way: ten plain gradient steps $w \leftarrow w - 0.0005\, m \odot g$, and
# no weight may move by more than 0.0005. The paper finds: hardly any change in the circuit, full
# success in the rest.
#
# The NLL of the new answers is 4.6 before, and $\ln 2 = 0.7$ is a probability of ½. Commit
# yourself: by how many nats will it fall, on average, in each place?

# %%
guessed_fall = {"the circuit": 1.0, "the rest": 1.0, "random, as many in every tensor": 1.0}

# %%
requests = editing.drawn(held_out, 12, FRAME)
places |= {"the rest": rivals.complement(circuit), "everything": torch.ones_like(circuit)}
lengths_at_first, losses = {}, {}
for name, mask in places.items():
    runtime.release_memory()  # each place takes some 0.3 GB on the way
    one = editing.edit(its, requests, mask, editing.RELEASED)
    lengths_at_first[name], losses[name] = one.gradient[0], one.nll


def mean(values):
    """A mean over facts with its 95 % interval."""
    values = np.asarray(values, dtype=float)
    low, high = stats.bootstrap(values, np.mean)
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


# %%
fell = {name: (nll[0] - nll[-1]).numpy() for name, nll in losses.items()}
start_nll = float(losses["the circuit"][0].mean())
say(f"NLL of the new answers before: {start_nll:.2f}, in nats, the mean of {len(requests)} facts.")
table(
    ["may change", "length of the gradient", "NLL falls by", "you guessed"],
    [
        [name, mean(lengths_at_first[name]), mean(fell[name]), guessed_fall.get(name, "")]
        for name in places
    ],
)

# %% [markdown]
# The paper goes one step further: before the edit, all weights outside of the place are set to 0.
# So it edits a network that *is* the circuit, or the rest, and leaves embeddings and the final
# LayerNorm free to move in each. Here is that experiment. The paper's own control is 50 % random
# weights, wherever they are.

# %%
cut = {
    "the circuit": circuit,
    "the rest": places["the rest"],
    "random, as many in every tensor": places["random, as many in every tensor"],
    "50 % random, wherever": rivals.uniform(its, 0.5),
}
pruned = {name: published.curve(model, requests, mask) for name, mask in cut.items()}
runtime.release_memory()
table(
    ["network", "NLL of the truth", "gradient", "NLL of the new: before", "after"],
    [
        [name, *(f"{float(x.mean()):.2f}" for x in (one.true_before, one.gradient))]
        + [f"{float(x.mean()):.2f}" for x in (one.nll[0], one.nll[-1])]
        for name, one in pruned.items()
    ],
)

# %% [markdown]
# **Found** With 5 % here is the paper's picture. Ten published steps take a nat off in the rest,
# and a tenth of one in the circuit. But they take as little off in random weights and in the
# largest: the order is nearly that of the gradients. In the paper's own experiment the contrast is
# larger still: a third of a nat in the circuit, which knows the truth, and eight to ten in the
# rest, which gives it next to nothing and has a gradient three to four times as long. But as many
# random weights in every tensor, which know nothing, change as little as the circuit does. So not
# changing does not come from knowing. (The paper's random control, half of the weights, accepts its
# edits in GPT-2; here it gives way by two nats. With 50 %, the chapter says, the rest's NLL falls
# by 0.7 of 13.5 nats and the circuit's by 0.25.)

# %% [markdown]
# ## 9 · At equal distance
#
# What does one step gain? To first order $\eta\,\lVert m \odot g\rVert^2$. With a fixed learning
# rate, a place with a short gradient changes little, whatever is stored there; and 95 % of the
# weights have a longer gradient than 5 %. So compare where the weights have moved equally far,
# $\lVert \Delta w \rVert$, as steps of one length make it easy.
#
# ### Exercise 5.5 · At equal distance
#
# *3 points · 12 minutes · ●●○*
#
# `moved` and `nll`, each `[time, fact]`, have the distance from the start and the NLL of the new
# answer before the first step (so `moved[0]` is 0) and after each. Write `at_norm(moved, nll,
# norm)`: for each fact the NLL where its path first reaches that distance, on a straight line
# between two steps. A fact that never gets so far has NaN.
#
# <details><summary>Hint</summary>
#
# `np.flatnonzero(moved[:, fact] >= norm)` has the times from which on it is that far.
#
# </details>


# %%
def at_norm(moved, nll, norm):
    """NLL of each fact where its weights have moved that far; NaN where they never do."""
    # BEGIN SOLUTION
    found = np.full(moved.shape[1], np.nan)
    for fact in range(moved.shape[1]):
        beyond = np.flatnonzero(moved[:, fact] >= norm)
        if len(beyond):
            at = beyond[0]
            (near, far), (before, after) = moved[at - 1 : at + 1, fact], nll[at - 1 : at + 1, fact]
            found[fact] = before + (norm - near) / (far - near) * (after - before)
    return found
    # END SOLUTION


# %%
check("lab5.5", at_norm)


# %%
def by_numpy(moved, nll, norm):
    """What NumPy's interpolation says, where the path gets so far."""
    ways = zip(np.maximum.accumulate(moved).T, nll.T, strict=True)
    along = [np.interp(norm, *path) for path in ways]
    return np.where(moved.max(0) >= norm, along, np.nan)


own_norm = answer_or("lab5.5", at_norm, instead=by_numpy)
STEPS_OF = editing.EditSettings(steps=40, size=0.05, enough=0.05)  # a fact stops at P = 0.95
SOME = ("the circuit", "outside, as long", "random, as many in every tensor", "the rest")


# %%
def edited(mask, settings):
    """The requests edited in one place: all of the paths."""
    runtime.release_memory()
    return editing.compare(its, requests, mask, (0.3,), settings)


def light(one):
    """An edit's numbers without its weights, which are 50 MB a place."""
    return replace(one, edited=None, halfway=None)


edits, paths = {}, {}
for name, mask in places.items():
    one = edited(mask, STEPS_OF)
    paths[name] = one.edited.moved.numpy(), one.edited.nll.numpy()
    edits[name] = one if name in SOME else light(one)
NORMS = np.array([0.1, 0.2, 0.3, 0.5, 0.8])
at_equal = {name: [own_norm(*paths[name], norm) for norm in NORMS] for name in places}

# %% [markdown]
# Before you look: draw for yourself how the distance that an edit needs, until its answer has
# probability ½, depends on the length of the gradient before its first step. Where does the circuit
# lie?


# %% tags=["hide-input"]
def with_interval(values):
    """Mean with its interval; nothing where some fact never gets so far."""
    if np.isnan(values).any():
        return [np.nan] * 3
    return [np.mean(values), *stats.bootstrap(values, np.mean)]


SHOWN = ("the circuit", "random, as many in every tensor", "the largest weights", "the rest")
lines = {name: np.array([with_interval(one) for one in at_equal[name]]) for name in SHOWN}
figure, (left, right) = pictures.make_panels(2, 10, 3.6)
with pictures.style():
    for name, rows in lines.items():
        left.plot(NORMS, rows[:, 0], marker=".", label=name)
        left.fill_between(NORMS, rows[:, 1], rows[:, 2], alpha=0.2)
    left.set(xlabel="distance ‖Δw‖", ylabel="NLL of the new answer", title="At equal distance")
    left.legend(fontsize=8)
    for mark, (name, one) in zip("o^sDvPX*", edits.items(), strict=False):
        right.scatter(one.first, one.needed, s=16, marker=mark, label=name)
    right.set(xlabel="length of the gradient", ylabel="distance to ½", xscale="log", yscale="log")
    right.set_title("Twelve facts in each place")
    right.legend(fontsize=7)
pictures.show(
    figure,
    "Left: NLL of the new answer at distances 0.1, 0.2, 0.3, 0.5 and 0.8, or as far as all facts "
    "get, for four places, with intervals over facts. "
    + " ".join(
        f"{name}: {', '.join(f'{x:.1f}' for x in rows[:, 0] if x > 0)}."
        for name, rows in lines.items()
    )
    + " Right: distance to probability one half over the length of the first gradient, both "
    "logarithmic, for each fact and place; all lie near one falling line.",
)

# %% [markdown]
# Facts differ, so each is compared with itself in other places: a regression of
# $\ln\lVert\Delta w\rVert$ on $\ln\lVert g_0\rVert$ with a constant for each fact. A place that
# resists for what is stored there would lie *above* the line. Mind that a good fit is no wonder: to
# first order the loss falls by $\lVert\Delta w\rVert\,\lVert g\rVert$ along the gradient, so the
# slope would be −1 if the gradient stayed as it is. Two controls are drawn many times: the
# gradients of each fact are dealt to other places; or whole places exchange theirs, the same for
# all facts. The second is the harder one, for a few places lie near some line easily.


# %%
def regression(names):
    """Distance on gradient within facts, over some places."""
    table = [[getattr(edits[name], part).numpy() for name in names] for part in ("first", "needed")]
    return editing.within_facts(*(np.stack(part)[None] for part in table), list(names))


line = regression(places)
long_ones = ("the rest", "everything", "the largest |w · gradient|")
fits = {
    "all places": line,
    "places of 5 %": regression([name for name in places if name not in long_ones[:2]]),
    "of these, the four of short gradients": regression(
        [name for name in places if name not in long_ones]
    ),
}

# %% tags=["hide-input"]
below = [np.quantile(null.draws, 0.95) for null in (line.null, line.arms_null)]
inside = line.within_arms
table(
    ["regression", "slope", "R²"],
    [
        *(
            [
                name,
                f"{one.within.slope:.2f} [{one.slope95[0]:.2f}, {one.slope95[1]:.2f}]",
                f"{one.within.r2:.2f}",
            ]
            for name, one in fits.items()
        ),
        ["a constant for each place as well", f"{inside.slope:.2f}", f"{inside.r2:.2f}"],
        ["null: gradients exchanged within facts", "", f"{below[0]:.2f} or less in 95 %"],
        ["null: those of whole places exchanged", "", f"{below[1]:.2f} or less in 95 %"],
    ],
)

# %%
table(
    ["may change", "distance to ½", "more than the line says"],
    [
        [name, mean(edits[name].needed), f"{line.residuals[name]:+.0%} [{low:+.0%}, {high:+.0%}]"]
        for name, (low, high) in line.residuals95.items()
    ],
)

# %% [markdown]
# And the ideal size, C4? If a size between 5 and 50 % were best, its circuits should be the most
# resistant, beside as many random weights.

# %%
UNTIL = editing.EditSettings(steps=60, enough=math.log(2))  # a fact stops at probability ½
by_size = {}
for density, mask in learned.items():
    both = mask, own_matched(mask, sizes, random_masks[0])
    by_size[density] = [edited(each, UNTIL).needed.numpy() for each in both]
table(
    ["weights", "the circuit: distance to ½", "random, as many", "ratio"],
    [
        [f"{density:.0%}", mean(ours), mean(theirs), mean(ours / theirs)]
        for density, (ours, theirs) in by_size.items()
    ],
)

# %% [markdown]
# **Found** At equal distance the order is the same, and the length of the first gradient explains
# 99 % of the distances, within facts; among places of 5 %, 97 %, and among the four of short
# gradients about 80 %. That is mostly a matter of a few places: with a constant for each of them as
# well, little is left to explain, and when whole places exchange their gradients R² reaches 0.6.
# The circuit needs a fifth more than as many random weights of every tensor, whose gradient is 1.3
# times as long. It lies some 8 % *below* the line: it changes a little more easily than its
# gradient says. So there is no resistance beyond what the first gradient says. Smaller circuits
# need more, and more beside random weights; no size in between is best.

# %% [markdown]
# ## 10 · Make the rest resist
#
# If the length of the gradient is what counts, other weights must resist as well, if they are
# chosen to have a gradient of the same length.
#
# ### Exercise 5.6 · Make the rest resist
#
# *4 points · 15 minutes · ●●●*
#
# Write `as_long(gradient, circuit)`: a mask of weights *outside* of the circuit, as many as the
# circuit has, whose gradient is as long as the circuit's, to within 1 % of its length.
#
# <details><summary>Hint</summary>
#
# Sort the weights outside by the size of their gradient. As many neighbours in that order as the
# circuit has weights: at the lower end their gradient is too short, at the upper end too long.
#
# </details>
#
# <details><summary>Still stuck?</summary>
#
# With $c$ the running sum of squares, the squares of neighbours $i$ to $i+k-1$ add up to
# $c_{i+k} - c_i$.
#
# </details>


# %%
def as_long(gradient, circuit):
    """As many weights outside of the circuit, with a gradient of the same length."""
    # BEGIN SOLUTION
    squares, kept = gradient.double().square(), int(circuit.sum())
    outside = torch.nonzero(circuit == 0).flatten()
    order = outside[squares[outside].argsort()]
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), squares[order].cumsum(0)])
    start = int((sums[kept:] - sums[:-kept] - squares[circuit == 1].sum()).abs().argmin())
    mask = torch.zeros_like(circuit)
    mask[order[start : start + kept]] = 1
    return mask
    # END SOLUTION


# %%
check("lab5.6", as_long)

# %% [markdown]
# The gradient differs from fact to fact; its root mean square over twelve *other* facts stands for
# all. So nothing is chosen on the facts that are edited.

# %%
own_long = answer_or("lab5.6", as_long, instead=rivals.as_long)
unedited = editing.drawn(learn_on, 12, FRAME, seed=1)
typical = typical_gradient(its, unedited)
places["outside, as long"] = own_long(typical, circuit)
edits["outside, as long"] = edited(places["outside, as long"], STEPS_OF)
PAIR = ("the circuit", "outside, as long")
ratio = (edits[PAIR[0]].needed / edits[PAIR[1]].needed).numpy()
lengths = (edits[PAIR[0]].first / edits[PAIR[1]].first).numpy()

# %%
table(
    ["may change", "length of the gradient", "distance to ½"],
    [
        [name, mean(edits[name].first), mean(edits[name].needed)]
        for name in ("the circuit", "outside, as long", "random, as many in every tensor")
    ],
)
say(
    f"The circuit needs {mean(ratio)} times the distance of the weights that were chosen; its "
    f"gradient on these facts is {mean(lengths)} times as long."
)

# %%
long_alone, long_without = (
    masks.judge(its, its.values * mask, judged_on).accuracy
    for mask in (places[PAIR[1]], 1 - places[PAIR[1]])
)
say(
    f"Held-out facts right with these weights alone: {long_alone:.2f}, without them: "
    f"{long_without:.2f}."
)

# %% [markdown]
# **Found** A twentieth of the weights, all from outside of the circuit, needs the same distance:
# the circuit has 0.97 of it. The model says nearly all facts without them, and nearly none with
# them alone. So what looks like resistance is to be had from weights that the facts do not need.
# (The match is not perfect: on the facts that are edited their gradient is a tenth longer.) It does
# not follow that the circuit holds nothing, and why its gradient is as short as it is stays open.

# %% [markdown]
# ## 11 · Explore
#
# Before the table of everything else that changes, look at some facts. Pick a fact and two places,
# and move along the straight way from the model as it is (0) to the edited weights (1), where the
# new answer has probability ½, and beyond. Which place would you choose if the *siblings*, other
# entities of the old kind, are to stay what they are? And does the *realm* follow the kind?

# %% tags=["hide-input"]
text = torch.from_numpy(documents.rows(np.random.default_rng(0), 8, 64))
few = {name: edits[name] for name in SOME}
explorer.edit_explorer(explorer.collect(its, requests, few, FRAME, text))

# %% [markdown]
# ## 12 · What else changes?
#
# A new answer is half of an edit. What about the fact in other words, its siblings, entities of
# other kinds, ordinary text? All places are compared where the new answer has just reached
# probability ½. *Siblings* are held-out ones only: a mask was learned to keep the others. So that
# one lucky circuit does not decide, the same is done with two stored circuits, each beside its own
# controls. (The weights as long are nearly the same beside all three, for one gradient chose them.)


# %%
kinds = {entity.name: entity.kind for entity in world.load().entities}


def siblings_of(name):
    """Held-out entities of the same kind."""
    return [other for other in held_out if kinds[other] == kinds[name] and other != name]


def kept_siblings(compared):
    """Of each fact the share of siblings that keep their kind, where p(new) is ½."""
    return np.array(
        [
            measures.kept(its, values, facts("kind", siblings_of(name), [FRAME]))
            for values, name in zip(compared.at_half.values, requests.asked.subjects, strict=True)
        ]
    )


# %%
effects = {name: editing.effects(its, requests, edits[name].at_half, FRAME, text) for name in SOME}
siblings = {name: [kept_siblings(edits[name])] for name in SOME[:3]}
siblings_rest = kept_siblings(edits["the rest"])
for seed, mask in again.items():
    each = own_long(typical, mask), own_matched(mask, sizes, random_masks[1 + seed])
    for name, place in zip(SOME[:3], (mask, *each), strict=True):
        siblings[name].append(kept_siblings(edited(place, UNTIL)))

# %% tags=["hide-input"]
siblings = {name: np.array(rows) for name, rows in siblings.items()}  # [circuit, fact]
table(
    ["changed", "paraphrases", "siblings", "others", "text"],
    [
        [
            name,
            mean(one.paraphrase),
            brief(summaries.mean(siblings[name])) if name in siblings else mean(siblings_rest),
            mean(one.others),
            mean(one.text),
        ]
        for name, one in effects.items()
    ],
)
more = {name: summaries.mean(siblings["the circuit"] - siblings[name]) for name in SOME[1:3]}
say(
    "Siblings kept in the circuit, more than "
    + "; than ".join(
        f"{name}: {one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]" for name, one in more.items()
    )
)

# %% [markdown]
# *Paraphrases*: P(new answer) in other frames. *Siblings*, *others*: share that says what it said
# before. *Text*: by how many nats a token ordinary text gets worse. Is the siblings' advantage a
# matter of size? The stored study of edits has twenty facts, three circuits of each size, and up to
# six siblings of each fact, some of which the masks were learned with. It has one more control:
# weights outside, each with a gradient *as large* as that of one weight of the circuit. Weights as
# long have gradients of one size; in a circuit a few weights have much of the length.

# %% tags=["hide-input"]
edit_study = stored_edits()
advantage = {
    (density, rival): of_edits.spread_or_none(
        of_edits.values_of(edit_study, "circuit", density, "siblings")
        - of_edits.values_of(edit_study, rival, density, "siblings")
    )
    for density, rivals_there in {0.05: 3, 0.25: 3, 0.5: 1}.items()
    for rival in ("per tensor", "as long", "as large")[:rivals_there]
}
table(
    ["weights", "siblings kept, more than random", "more than as long", "more than as large"],
    [
        [
            f"{d:.0%}",
            *(
                brief(advantage[d, name]) if (d, name) in advantage else "–"
                for name in ("per tensor", "as long", "as large")
            ),
        ]
        for d in (0.05, 0.25, 0.5)
    ],
)

# %% [markdown]
# If the model *inferred* the realm from the kind, an entity that has become a tree would become a
# plant, its siblings would not, and entities of other kinds would not. Commit yourself: in which
# share of frames does the edited entity's realm follow, where its new kind has probability ½, and
# where it has 0.9? A realm *follows* in a frame if the new one is likelier there than the old one.

# %%
my_guesses = {0.5: 0.5, 0.9: 0.5}  # your two shares

# %%
LEVELS = (0.5, 0.75, 0.9)
realm_of = {entity.name: entity.realm for entity in world.load().entities}
REALM_FRAMES = FRAMES["realm"]["search"] + FRAMES["realm"]["held out"]


def passing(mask):
    """Weights [level fact weight] where each path first is beyond a level, else NaN."""
    found = torch.full((len(LEVELS), len(requests), len(its)), torch.nan)

    def watch(values, nll):
        for row, level in enumerate(LEVELS):
            new = found[row, :, 0].isnan() & (nll <= -math.log(level))
            found[row, new] = values[new]

    runtime.release_memory()
    settings = editing.EditSettings(steps=80, enough=-math.log(LEVELS[-1]))
    editing.edit(its, requests, mask, settings, watch=watch)
    return found


# %%
def moves(values, names, realms):
    """Share of frames in which the new realm is likelier than the old one, over some entities."""
    if values.isnan().any() or not names:
        return math.nan
    said = measures.log_p(its, values, facts("realm", names, REALM_FRAMES))
    return measures.likelier(said.detach(), realms[1], realms[0])


def asked_realms(number):
    """Itself, its held-out siblings, held-out strangers of its realm; old and new realm."""
    name, new = requests.asked.subjects[number], int(requests.new[number])
    near = siblings_of(name)
    far = [e for e in held_out if realm_of[e] == realm_of[name] and kinds[e] != kinds[name]]
    return ([name], near, far), questions.of_tinyworld(name, new, FRAME).realm


# %%
follows = {}
for name in SOME[:3]:
    for level, values in zip(LEVELS, passing(places[name]), strict=True):
        for number in range(len(requests)):
            groups, realms = asked_realms(number)
            for group, names in zip(("itself", "siblings", "strangers"), groups, strict=True):
                follows.setdefault((name, level, group), []).append(
                    moves(values[number], names, realms)
                )
chain = {key: np.array(values) for key, values in follows.items()}

# %% tags=["hide-input"]
table(
    ["changed", "P(new kind)", "its realm follows", "siblings' realm moves", "strangers' realm"],
    [
        [
            name,
            f"{level}",
            mean(itself[~np.isnan(itself)]),
            *(
                f"{np.nanmean(chain[name, level, group]):.2f}"
                for group in ("siblings", "strangers")
            ),
        ]
        for name in SOME[:3]
        for level in LEVELS
        for itself in [chain[name, level, "itself"]]
    ],
)
reached = {level: np.nanmean(chain["the circuit", level, "itself"]) for level in LEVELS}
say(
    f"You guessed {my_guesses[0.5]} and {my_guesses[0.9]}; in the circuit it is "
    f"{reached[0.5]:.2f} and {reached[0.9]:.2f}."
)

# %% [markdown]
# **Found** Two things are left over. Of 5 %, edits in the circuit leave nine of ten siblings as
# they were, edits in weights that were chosen for the length of their gradient two of three, in
# random ones less than half. Of 25 % nothing is left of that beside weights as long, but beside
# weights with gradients as large it is 0.26, and 0.41 of 5 %. Two controls of one length, opposite
# answers: a gradient that is spread evenly leaves out the strongest weights, and spares siblings
# for that. The second control is the fair one, and beside it the advantage is the circuit's. With
# 50 % nothing is left beside random weights. And past probability ½ something follows. Where the
# new kind has 0.9, the realm of the edited entity has moved in a quarter of the frames or more in
# the circuit, in an eighth or so in random weights, and in none in those as long; that of siblings
# and strangers stays. This is one circuit; the chapter has more. Paraphrases follow alike
# everywhere, and ordinary text is spared.

# %% [markdown]
# ## 13 · What holds?
#
# The verdicts below are computed from the numbers of this page.


# %% tags=["hide-input"]
def bounds(values):
    """Lower and upper end of a mean's interval."""
    return stats.bootstrap(np.asarray(values, dtype=float), np.mean)


tensorwise = "random, as many in every tensor"
versus_random = (edits["the circuit"].needed / edits[tensorwise].needed).numpy()
best_size = [
    bounds(np.subtract(*(np.divide(*by_size[d]) for d in (0.25, end))))[0] > 0
    for end in (0.5, 0.05)
]
largest_share = max(one.share for one in here.values())
sure = chain["the circuit", LEVELS[-1], "itself"]
gain = sure - chain[tensorwise, LEVELS[-1], "itself"]
spared = [one.low > 0 for one in (*more.values(), advantage[0.25, "as large"])]
claims(
    [
        (
            "C1: a circuit of 5 % keeps the task",
            f"held-out facts right {rates['circuit', 0.05]}",
            f"as many random weights in every tensor {rates['per tensor', 0.05]}",
            rates["circuit", 0.05].low > rates["per tensor", 0.05].high,
        ),
        (
            "C2: right answers show that the circuit holds the knowledge",
            f"true kinds {brief(written_in['facts', 'other entities', 0.05])}",
            f"false kinds {brief(written_in['exchanged kinds', 'other entities', 0.05])}; learned, "
            f"dealt out at random {brief(written_in['dealt out', 'learned', 0.05])}, in an "
            f"untrained network {brief(written_in['untrained', 'learned', 0.05])}",
            written_in["exchanged kinds", "other entities", 0.05].high
            < written_in["facts", "other entities", 0.05].low,
        ),
        (
            "C3: circuits resist for what they hold, beyond the gradient",
            f"published steps: NLL falls by {mean(fell['the circuit'])}, in the rest "
            f"{mean(fell['the rest'])}; distance to ½ {mean(versus_random)} times that of as many "
            "random weights in every tensor",
            f"times that of weights outside, as long: {mean(ratio)}; beside the line "
            f"{line.residuals['the circuit']:+.0%}",
            bool(bounds(ratio)[0] > 1 and line.residuals95["the circuit"][0] > 0),
        ),
        (
            "C4: best is a size between 5 and 50 %",
            "facts right at 50, 25, 5 %: "
            + ", ".join(f"{rates['circuit', d].mean:.2f}" for d in DENSITIES),
            "distance to ½ over that of random weights: "
            + ", ".join(f"{np.divide(*by_size[d]).mean():.2f}" for d in DENSITIES),
            all(best_size),
        ),
        (
            "C5: circuits are LayerNorms by up to 60 %",
            f"largest share {largest_share:.1%}",
            f"largest keep rate {max(one.keep_rate for one in here.values()):.0%}; shares in the "
            f"paper's own circuits, computed, at most {max(norms.values()):.1%}",
            largest_share > 0.3,
        ),
        (
            "C5: circuits of different tasks share more than chance",
            "; ".join(f"{task} {a:.3f}" for task, (a, _) in pairs_of.items() if task != "kind"),
            "numbers in each tensor explain "
            + ", ".join(f"{b:.3f}" for task, (_, b) in pairs_of.items() if task != "kind")
            + f"; another search for the same {pairs_of['kind'][0]:.3f}",
            True if len(above) == len(pairs_of) - 1 else None if above else False,
        ),
        (
            "(not asked in the paper) edits in the circuit spare siblings",
            f"siblings kept {brief(summaries.mean(siblings['the circuit']))}",
            "; ".join(f"more than {name}: {brief(one)}" for name, one in more.items())
            + "; of 25 %, more than weights with gradients as large: "
            + brief(advantage[0.25, "as large"])
            + "; of 50 %, more than random ones: "
            + brief(advantage[0.5, "per tensor"]),
            None if any(spared) else False,  # not at every size
        ),
        (
            "(not asked in the paper) the realm follows the kind",
            "in the circuit, P(new kind) ½, ¾, 0.9: "
            + ", ".join(f"{value:.2f}" for value in reached.values()),
            "; ".join(
                f"{name}: "
                + ", ".join(f"{np.nanmean(chain[name, v, 'itself']):.2f}" for v in LEVELS)
                for name in SOME[1:3]
            ),
            True if reached[0.5] > 0.5 else None if bounds(gain[~np.isnan(gain)])[0] > 0 else False,
        ),
    ]
)

# %% [markdown]
# ## With a real model
#
# The same path on GPT-2 small: capitals that it knows, masks over its 85 million block weights,
# edits in circuits and in their controls. It downloads 548 MB, wants a GPU or an evening, and goes
# on where it was cut off if it is started again.

# %%
REAL = False

if REAL:
    from helpers.knowledge import real

    on_gpt2 = real.run("gpt2", "country_capital_city", folder="lab5-gpt2")
    say(on_gpt2.said)
    table(*on_gpt2.mask_table)
    table(*on_gpt2.edit_table)
    table(*on_gpt2.effect_table)

# %% [markdown]
# ## Limits
#
# - One small model, word by word, in which facts are single words and are known in one frame as
#   well as in another. In GPT-2 a fact is spread over several tokens and layers, and many are
#   hardly known.
# - Edits are those of twelve facts. Intervals are over facts; for siblings also over three
#   circuits, which is few. Circuits of five searches are in the figure of section 1.
# - Facts here form at the last position, not at the subject: ways of editing that assume the
#   subject may do worse than in large models. The chapter has them.
# - Straight-through masks only; other estimators find other weights (section 4).
# - Steps are of one length along the gradient. Adam, or the published clamp, move weights along
#   other ways.
#
# ## Open questions
#
# - Why is a circuit's gradient as long as it is? Section 10 makes others as long, and does not say.
# - What remains of the siblings' advantage when two places agree in the gradients of *siblings* as
#   well?
# - Which control would show that a mask *found* knowledge, if lies can be written as easily?
#
# ## Further reading
#
# - Ge, Rudzicz and Zhu,
#   [Understanding Language Model Circuits through Knowledge Editing](https://arxiv.org/abs/2406.17241)
# - Hase et al.,
#   [Does Localization Inform Editing?](https://arxiv.org/abs/2301.04213)
# - Meng et al.,
#   [Locating and Editing Factual Associations in GPT](https://arxiv.org/abs/2202.05262)
# - Yao et al.,
#   [Knowledge Circuits in Pretrained Transformers](https://arxiv.org/abs/2405.17969)
# - Fang et al.,
#   [AlphaEdit: Null-Space Constrained Knowledge Editing](https://arxiv.org/abs/2410.02355)
# - Louizos, Welling and Kingma,
#   [Learning Sparse Neural Networks through L0 Regularization](https://arxiv.org/abs/1712.01312)

# %%
scores("lab5")
