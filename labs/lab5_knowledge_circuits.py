# %% [markdown]
# # Lab 5 · What circuits know, and what edits prove
#
# Ask a language model what an owl is, and it says: a bird. Where in its weights does that stand?
# The paper of this lab looks for a *mask*, a choice of 5 % of the weights with which alone the
# model still does its task. Then it edits facts inside of the mask and outside, finds that those
# inside change less, and concludes: circuits hold knowledge, and resist new knowledge. Here you
# learn such masks, edit facts in them, and hold each conclusion against the control that could
# overturn it.
#
# The method is that of Ge, Rudzicz and Zhu,
# [*What Do the Circuits Mean? A Knowledge Edit View*](https://arxiv.org/abs/2406.17241).
# The chapter [Knowledge circuits](../book/ch3_knowledge_circuits.md) has the mathematics.
#
# **You will be able to**
#
# - learn a mask over half a million weights by gradient descent, with a straight-through estimator;
# - say which part of a circuit's success comes from *which* weights it keeps, and which from how
#   many it keeps of each tensor;
# - tell a mask that finds knowledge from one that writes it;
# - edit a fact inside of a mask, and compare places at equal distance instead of equal steps;
# - build a part of the network that resists as the circuit does, and holds nothing.
#
# **You need** Lab 0: ablation, controls. Gradient descent in PyTorch.
#
# **Cost** Six exercises of 6 to 15 minutes, about an hour and a half with the reading. The set-up
# cell prints the measured run time. An open exercise stops nothing: the library's version is used.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab5")

# %%
import math

import numpy as np
import torch

from helpers import stats, zoo
from helpers.course.check import check, scores
from helpers.course.fallback import answer_or
from helpers.knowledge import editing, masks
from helpers.knowledge.facts import FRAMES, divided, factnet, facts, permuted
from helpers.knowledge.masks import blocks, compare, estimators, rivals, search
from helpers.show import claims, pictures, plots, say, table
from helpers.tinyworld.language import documents

model = zoo.load("tinyworld", device="cpu")
its = blocks.of(model)

# %% [markdown]
# ## 1 · Facts without a place
#
# `tinyworld` was trained on plain text about a small world. It knows of 256 entities what *kind*
# they are. The weights in its four blocks are one vector $w$ of half a million numbers. Embeddings
# and the final layer are left as they are, as in the paper. What does the model say with all of
# $w$, and what with none of it?

# %%
learn_on, held_out = divided()
asked = facts("kind", learn_on, FRAMES["kind"]["search"])
judged_on = facts("kind", held_out, FRAMES["kind"]["held out"])
full = masks.judge(its, its.values, judged_on)
nothing = masks.judge(its, its.values * 0, judged_on)
say(f"{len(its):,} weights; {len(asked)} prompts to learn on, {len(judged_on)} to judge by.")

# %%
def row(name, judged):
    """A line of the tables below."""
    return [
        name,
        f"{judged.accuracy:.2f}",
        f"{float(judged.nll.median()):.2f}",
        f"{float(judged.above_uniform.median()):+.2f}",
        f"{float(judged.entropy.median()):.2f}",
    ]


HEAD = ["weights", "right", "NLL of the truth", "NLL − ln|V|", "entropy"]
table(HEAD, [row("all", full), row("none", nothing)])

# %% [markdown]
# *NLL* is $-\log p$ of the true kind, in nats; medians. A model that knows nothing and says so has
# $\mathrm{NLL} = \ln|V|$. One that is sure of something wrong has more. Keep the two apart: in the
# paper's figures the circuits' NLL of the truth is between 10.6 and 12, and $\ln|V|$ of GPT-2 is
# 10.8. That a circuit "knows more" than the rest may mean that the rest is sure and wrong.
#
# **Found** With all weights every held-out fact is right, in frames and of entities that no mask
# will have seen. With none the model knows nothing.

# %% [markdown]
# ## 2 · Learn a mask
#
# A mask $m$ has a 0 or a 1 for each weight, and the masked model runs with $m \odot w$. Wanted is a
# mask that keeps 5 % and changes what the model says as little as possible:
#
# $$\min_{m}\; \mathrm{KL}\big(p_w \,\|\, p_{m \odot w}\big), \qquad \textstyle\sum_i m_i = 0.05\,n.$$
#
# A choice of yes or no has no gradient. The *straight-through* trick gives each weight a score
# $s_i$, keeps the weights of the highest scores on the way forward, and on the way back pretends
# that the mask *was* the score: $\partial m_i/\partial s_j := 1$ if $i = j$, else 0.
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
# The density falls from 1 to 50, 25 and 5 % in one run, and a mask is taken at the end of each
# stay. Adam's ε is tiny, as most gradients are.

# %%
own_top = answer_or("lab5.1", keep_top, instead=estimators.top_k)
DENSITIES = (0.5, 0.25, 0.05)


def learn_masks(objective, steps=92, seed=0):
    """The masks of all densities, and the loss at every step."""
    generator = torch.Generator().manual_seed(seed)
    score = (0.01 * torch.randn(len(its), generator=generator)).requires_grad_()
    adam, found, losses = torch.optim.Adam([score], lr=0.01, eps=1e-12), {}, []
    for step, density in enumerate(search.schedule(DENSITIES, steps)):
        rows = torch.randperm(len(objective), generator=generator)[:32]
        loss = objective.loss(its.values * own_top(score, density), rows)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss))
        if (step + 1) % steps == 0:
            found[density] = own_top(score, density).detach()
    return found, losses


# %%
truth = masks.predictions(its, asked.tokens, asked.last)  # KL to what the full model says
learned, losses = learn_masks(truth)
table(
    HEAD,
    [
        row(f"circuit, {density:.0%}", masks.judge(its, its.values * mask, judged_on))
        for density, mask in learned.items()
    ],
)

# %% [markdown]
# **Found** A twentieth of the weights says nearly every fact, also of entities that were not among
# the prompts. In the words of the paper: the circuit holds the knowledge.

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

# %%
def by_library(mask, sizes, seed):
    """The library's version, which knows the sizes from the model."""
    return rivals.per_tensor(its, mask, seed)


own_matched = answer_or("lab5.2", matched, instead=by_library)
sizes = [part.numel() for part in its.tensors(its.values).values()]
circuit = learned[0.05]
places = {
    "circuit": circuit,
    "the rest": rivals.complement(circuit),
    "random, as many in every tensor": own_matched(circuit, sizes, 0),
    "random": rivals.uniform(its, 0.05),
    "largest weights": rivals.magnitude(its, 0.05),
}
stands = {name: masks.judge(its, its.values * mask, judged_on) for name, mask in places.items()}
table(HEAD, [row(name, judged) for name, judged in stands.items()])

# %% [markdown]
# **Found** No rival of the same size says a single fact in ten. The rest, with 95 % of the weights,
# says none either. And its NLL is far *above* $\ln|V|$: it is sure of something wrong. It is a
# damaged network, not one without knowledge.

# %% [markdown]
# ## 4 · Where the truth is known
#
# Does such a search find the weights that hold the facts? In `tinyworld` nobody knows which these
# are. *FactNet* is wired by hand: 106 of its 55,752 weights do all the work, each of them needed.
# The others are decoys, as loud, and nobody reads what they write. So a mask can be judged weight
# by weight, by the AUROC of its scores.

# %%
net = factnet.build(noise=0.01)
wires = blocks.of(net.model)
tokens, _ = factnet.prompts()
last = torch.full((len(tokens),), 2)
wired = torch.cat([net.wired[name].flatten() for name in wires.names]).numpy()
ways = {
    "straight through": masks.SearchSettings(densities=(0.05,), steps=400, batch=36),
    "hard concrete": masks.SearchSettings(
        "hard concrete", (0.05,), steps=400, learning_rate=0.1, batch=36
    ),
}
objective = masks.predictions(wires, tokens, last)
found = {name: masks.learn(wires, objective, way) for name, way in ways.items()}
ranked = {name: one.scores[0.05].numpy() for name, one in found.items()} | {
    "size of the weight": wires.values.abs().numpy()
}

# %%
areas = {name: stats.auroc(score, wired) for name, score in ranked.items()}
table(["scores", "AUROC over all weights"], [[n, f"{area:.3f}"] for n, area in areas.items()])

# %% [markdown]
# The hard concrete estimator replaces the choice by a random one that has a gradient (the chapter
# has the formula); its density is held by a Lagrangian.
#
# **Found** TO SAY 4

# %% [markdown]
# ## 5 · Finding or writing?
#
# A mask has half a million choices. That is room enough to write something into a network that it
# never knew. So learn a mask that tells *lies*: every kind has the name of another one. Every bird
# is a fish, every fish something else again, and no weight changes its value.
#
# Commit yourself before you run the next cell: which share of the held-out entities will a mask of
# 5 % give their false kind?

# %%
my_guess = 0.5  # your number, between 0 and 1

# %%
false, judged_false = (permuted(given, seed=0, by_value=True) for given in (asked, judged_on))
lies = search.Targets(its, false.tokens, false.last, false.answers)
written = learn_masks(lies)[0]
told = {d: masks.judge(its, its.values * mask, judged_false) for d, mask in written.items()}
say(f"You guessed {my_guess:.2f}. It is {told[0.05].accuracy:.2f}, of {len(judged_false)} prompts.")

# %% [markdown]
# STORED CONTROLS HERE
#
# **Found** TO SAY 5

# %% [markdown]
# ## 6 · One circuit or many?
#
# If the 5 % were *the* place of the facts, a second search would find them again. What two masks
# share is read against chance; but whose chance? Both masks may prefer the same tensors.
#
# ### Exercise 5.3 · What two masks share by chance
#
# *3 points · 8 minutes · ●●○*
#
# Write `expected_overlap(first, second, sizes)`: the share of the first mask's weights that the
# second would keep too, if it kept as many weights of every tensor as it does, but random ones.
# With $a_t$, $b_t$, $n_t$ the numbers of weights of tensor $t$ that the first keeps, that the second
# keeps, and that there are:
#
# $$\frac{\sum_t a_t\, b_t / n_t}{\sum_t a_t}.$$


# %%
def expected_overlap(first, second, sizes):
    """The containment of the first mask in the second that numbers in each tensor explain."""
    # BEGIN SOLUTION
    a, b = ([part.sum() for part in mask.split(sizes)] for mask in (first, second))
    shared = sum(x * y / size for x, y, size in zip(a, b, sizes))
    return float(shared / first.sum())
    # END SOLUTION


# %%
check("lab5.3", expected_overlap)

# %% [markdown]
# ## 7 · Edit a fact inside a mask
#
# Now change what the model knows. The *owl* shall be a kind of *tree*. The loss is
# $\ell(w) = -\log p(\text{tree})$, and only weights in a mask may move. The paper takes plain
# gradient steps of a fixed learning rate; a step of a fixed *length* is easier to compare:
#
# $$w \leftarrow w - \eta\,\frac{m \odot g}{\lVert m \odot g\rVert}, \qquad g = \nabla_w \ell(w).$$
#
# ### Exercise 5.4 · Edit inside a mask
#
# *4 points · 12 minutes · ●●○*
#
# Write `restricted(values, gradient, mask, length, steps)`: the weights after that many steps of
# that length. `gradient(values)` gives $g$. Weights outside of the mask stay as they are, bit by
# bit. Where the mask lets no gradient through, nothing changes.
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
def library_edit(values, gradient, mask, length, steps):
    """The library's steps."""
    for _ in range(steps):
        inside = gradient(values) * mask
        values = values - length * inside / inside.norm().clamp_min(1e-30)
    return values


own_edit = answer_or("lab5.4", restricted, instead=library_edit)
FRAME = "the {entity} is a kind of"
owl = editing.request("kind", {"owl": "tree"}, FRAME)


def slope(values):
    """Gradient of -log p(tree) by all weights."""
    leaf = values.clone().requires_grad_()
    said = its.logits(leaf, owl.asked.tokens, owl.asked.last).log_softmax(-1)
    return torch.autograd.grad(-said[0, owl.new[0]], leaf)[0]


# %%
with torch.no_grad():
    after = its.logits(own_edit(its.values, slope, circuit, 0.05, 25), owl.asked.tokens, owl.asked.last)
    p_tree = float(after.softmax(-1)[0, owl.new[0]])
say(f"After 25 steps of 0.05 inside of the circuit the owl is a tree with probability {p_tree:.2f}.")

# %% [markdown]
# ## 8 · Does the circuit resist?
#
# Twenty held-out entities get a random kind of another realm, each alone. First the published way:
# ten gradient steps with a learning rate of 0.0005, and no weight may move by more than 0.0005.
# Then steps of length 0.05, until the new answer has probability ½.

# %%
requests = editing.drawn(held_out, 20, FRAME)
HALF = math.log(2)
published = {name: editing.edit(its, requests, mask, editing.RELEASED) for name, mask in places.items()}
settings = editing.EditSettings(steps=40, size=0.05, enough=HALF)
edits = {name: editing.edit(its, requests, mask, settings) for name, mask in places.items()}

# %%
def mean(values):
    """A mean over facts with its 95 % interval."""
    low, high = stats.bootstrap(np.asarray(values, dtype=float), np.mean)
    return f"{np.mean(values):.2f} [{low:.2f}, {high:.2f}]"


table(
    ["may change", "length of the gradient", "NLL before", "NLL after, published way", "steps to ½"],
    [
        [
            name,
            mean(edits[name].gradient[0].numpy()),
            f"{float(one.nll[0].mean()):.2f}",
            mean(one.nll[-1].numpy()),
            mean(edits[name].reached.numpy()),
        ]
        for name, one in published.items()
    ],
)

# %% [markdown]
# **Found** TO SAY 8

# %% [markdown]
# ## 9 · At equal distance
#
# Equal steps of a fixed learning rate are not equal changes: a step is as long as the gradient, and
# the gradient of 95 % of the weights is longer than that of 5 %. So compare where the weights have
# moved equally far, $\lVert \Delta w \rVert$.
#
# ### Exercise 5.5 · At equal distance
#
# *3 points · 10 minutes · ●●○*
#
# `moved` and `nll`, each `[time, fact]`, have the distance from the start and the NLL of the new
# answer before the first step and after each. Write `at_norm(moved, nll, norm)`: for each fact the
# NLL where its path first reaches that distance, on a straight line between two steps. A fact that
# never gets so far has NaN.
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
def needed(edited):
    """How far each fact's weights have to move until the new answer has probability one half."""
    return at_nll(edited.nll.numpy(), edited.moved.numpy(), HALF)


def at_nll(nll, moved, enough):
    """Distance at which the NLL first falls to a value, on a straight line between two steps."""
    found = np.full(nll.shape[1], np.nan)
    for fact in range(nll.shape[1]):
        low = np.flatnonzero(nll[:, fact] <= enough)
        if len(low):
            at = low[0]
            above, below = nll[at - 1 : at + 1, fact]
            start, end = moved[at - 1 : at + 1, fact]
            found[fact] = start + (above - enough) / (above - below) * (end - start)
    return found
