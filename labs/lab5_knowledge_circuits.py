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
# [*Understanding Language Model Circuits through Knowledge Editing*](https://arxiv.org/abs/2406.17241).
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
import numpy as np
import torch

from helpers import stats, zoo
from helpers.course.check import check, scores
from helpers.course.fallback import answer_or
from helpers.knowledge import editing, explorer, masks
from helpers.knowledge.editing import comparison, gradients
from helpers.knowledge.facts import FRAMES, divided, factnet, facts, permuted
from helpers.knowledge.masks import blocks, compare, estimators, plain, rivals, search
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
# will have seen. With none 2 % are, and the truth has about the probability of any word.

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
        losses.append(float(loss.detach()))
        if (step + 1) % steps == 0:
            found[density] = own_top(score, density).detach().round()
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
own_matched = answer_or("lab5.2", matched, lambda mask, _, seed: rivals.per_tensor(its, mask, seed))
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
# **Found** No rival of the same size says one fact in a hundred, so it matters *which* weights are
# kept. The rest, with 95 % of them, says 2 %. Its NLL is above $\ln|V|$ and its entropy 1.7 nats
# below that of a model without blocks: it is sure of something wrong, as the largest weights are
# even more. Such a network is damaged. What it would know undamaged, this does not tell.

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
tokens, answers = factnet.prompts()
last = torch.full((len(tokens),), 2)
wired = torch.cat([net.wired[name].flatten() for name in wires.names]).numpy()
ways = {
    "straight through": masks.SearchSettings(densities=(0.05,), steps=400, batch=36),
    "hard concrete": masks.SearchSettings(
        "hard concrete", (0.05,), steps=400, learning_rate=0.1, batch=36
    ),
}
objective = masks.predictions(wires, tokens, last)
score = {name: masks.learn(wires, objective, way).scores[0.05] for name, way in ways.items()}
score["size of the weight"] = wires.values.abs()

# %%
areas = {name: stats.auroc(one.numpy(), wired) for name, one in score.items()}
says = {
    name: wires.logits(wires.values * estimators.keep(one, 0.05), tokens, last).argmax(-1)
    for name, one in score.items()
}
right = {name: float((said == answers).float().mean()) for name, said in says.items()}
table(
    ["scores", "AUROC over all weights", "facts right with 5 %"],
    [[name, f"{areas[name]:.3f}", f"{right[name]:.2f}"] for name in score],
)

# %% [markdown]
# The hard concrete estimator replaces the choice by a random one that has a gradient (the chapter
# has the formula); its density is held by a Lagrangian.
#
# **Found** Hard concrete scores put nearly every wire before nearly every decoy. Straight-through
# scores do not, and half of the facts are gone; the size of a weight, which costs nothing, does
# better than they. So the search of section 2 finds *a* mask that works, where it does, and it is
# not to be read as the place where the facts are.

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
# **Found** The mask gives the false kind to nearly all entities, also to those that no prompt was
# about. Nothing in the model holds that the owl is a fish. A mask *writes* it: it needs no more
# than to lead what stands for birds to the word of another kind. So that a mask of 5 % gives true
# answers does not show that they stand in these 5 %.

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
    shared = sum(x * y / size for x, y, size in zip(a, b, sizes, strict=True))
    return float(shared / first.sum())
    # END SOLUTION


# %%
check("lab5.3", expected_overlap)

# %%
own_overlap = answer_or(
    "lab5.3", expected_overlap, lambda a, b, _: compare.overlap(its, a, b).per_tensor
)
again = learn_masks(truth, seed=1)[0][0.05]
compared = {
    "same facts, another seed": again,
    "lies about the same entities": written[0.05],
    "random, as many in every tensor": places["random, as many in every tensor"],
}
shared = {
    name: (float((circuit * other).sum() / circuit.sum()), own_overlap(circuit, other, sizes))
    for name, other in compared.items()
}
table(
    ["second mask", "keeps of the first", "numbers in each tensor explain"],
    [[name, f"{share:.3f}", f"{chance:.3f}"] for name, (share, chance) in shared.items()],
)

# %% [markdown]
# And what does the mask consist of? Of LayerNorms, the paper says, up to 60 %. That is a *keep
# rate*: of the LayerNorms' weights so many are kept. Their *share* of the circuit is another number.

# %%
parts = compare.composition(its, circuit)
table(
    ["part", "weights", "of these kept", "share of the circuit"],
    [[one.kind, f"{one.weights:,}", f"{one.keep_rate:.3f}", f"{one.share:.3f}"] for one in parts],
)

# %% [markdown]
# **Found** FILL6

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
FRAME = "the {entity} is a kind of"
owl = editing.request("kind", {"owl": "tree"}, FRAME)


def by_library(values, gradient, mask, length, steps):
    """What the library's edit of this request gives."""
    return editing.edit(its, owl, mask, editing.EditSettings(steps=steps, size=length)).values[0]


own_edit = answer_or("lab5.4", restricted, instead=by_library)


def slope(values):
    """Gradient of -log p(tree) by all weights."""
    leaf = values.clone().requires_grad_()
    said = its.logits(leaf, owl.asked.tokens, owl.asked.last).log_softmax(-1)
    return torch.autograd.grad(-said[0, owl.new[0]], leaf)[0]


# %%
changed = own_edit(its.values, slope, circuit, 0.05, 25)
said = its.logits(changed, owl.asked.tokens, owl.asked.last).softmax(-1)
p_tree = float(said[0, owl.new[0]].detach())
say(
    f"After 25 steps of 0.05 inside of the circuit the owl is a tree with probability {p_tree:.2f}."
)

# %% [markdown]
# ## 8 · Does the circuit resist?
#
# Twenty held-out entities get a random kind of another realm, each alone. First the published way:
# ten gradient steps with a learning rate of 0.0005, and no weight may move by more than 0.0005.
# Then steps of length 0.05, until the new answer has probability ½.

# %%
requests = editing.drawn(held_out, 12, FRAME)
published = {n: editing.edit(its, requests, mask, editing.RELEASED) for n, mask in places.items()}
edits = {n: comparison.compare(its, requests, mask, norms=(0.3,)) for n, mask in places.items()}


def mean(values):
    """A mean over facts with its 95 % interval."""
    low, high = stats.bootstrap(np.asarray(values, dtype=float), np.mean)
    return f"{np.mean(np.asarray(values)):.2f} [{low:.2f}, {high:.2f}]"


table(
    [
        "may change",
        "length of the gradient",
        "NLL before",
        "NLL after, published way",
        "distance to ½",
    ],
    [
        [
            name,
            mean(edits[name].first),
            f"{float(one.nll[0].mean()):.2f}",
            mean(one.nll[-1]),
            mean(edits[name].needed),
        ]
        for name, one in published.items()
    ],
)

# %% [markdown]
# **Found** Here is the paper's picture. Ten published steps take a nat off in the rest, and a
# tenth of it in the circuit: the circuit resists. But so do random weights, which hold nothing, and
# the order is that of the gradients.

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
def by_numpy(moved, nll, norm):
    """What NumPy's interpolation says, where the path gets so far."""
    along = [np.interp(norm, *path) for path in zip(moved.T, nll.T, strict=True)]
    return np.where(moved.max(0) >= norm, along, np.nan)


own_norm = answer_or("lab5.5", at_norm, instead=by_numpy)
paths = {name: (one.edited.moved.numpy(), one.edited.nll.numpy()) for name, one in edits.items()}
NORMS = (0.1, 0.2, 0.3, 0.5, 0.8)
curves = {
    name: np.array([np.nanmean(own_norm(moved, nll, norm)) for norm in NORMS])
    for name, (moved, nll) in paths.items()
}

# %% tags=["hide-input"]
figure = plots.lines_with_bands(
    np.array(NORMS),
    {name: np.repeat(values[:, None], 3, 1) for name, values in curves.items()},
    xlabel="how far the weights have moved",
    ylabel="NLL of the new answer",
    title="Edits of twelve facts at equal distance",
)
pictures.show(figure, "TO SAY")

# %% [markdown]
# Now the question of this lab in one line: how far must the weights move, and does the length of the
# gradient before the first step say it? Facts differ, so each fact is compared with itself in other
# places: a regression of $\log\lVert\Delta w\rVert$ on $\log\lVert g_0\rVert$ with a constant for
# each fact. A place that resists for what is stored there would lie above the line.

# %%
line = gradients.within_facts(
    np.stack([one.first.numpy() for one in edits.values()])[None],
    np.stack([one.needed.numpy() for one in edits.values()])[None],
    list(edits),
)
say(
    f"Slope {line.within.slope:.2f} [{line.slope95[0]:.2f}, {line.slope95[1]:.2f}], "
    f"R² {line.within.r2:.3f}; gradients exchanged within facts: R² up to "
    f"{np.quantile(line.null.draws, 0.95):.2f} in 95 %."
)
table(
    ["may change", "distance above what the gradient says"],
    [
        [name, f"{line.residuals[name]:+.0%} [{low:+.0%}, {high:+.0%}]"]
        for name, (low, high) in line.residuals95.items()
    ],
)

# %% [markdown]
# **Found** At equal distance the order is the same, and the length of the first gradient explains
# 98 % of it, within facts. Nothing lies far from the line. The circuit lies *below* it: it changes
# a little more easily than its gradient says, not less.

# %% [markdown]
# ## 10 · Make the rest resist
#
# If the length of the gradient is all, weights that hold nothing must resist as well, if they are
# chosen to have a gradient of the same length.
#
# ### Exercise 5.6 · Make the rest resist
#
# *4 points · 15 minutes · ●●●*
#
# Write `as_long(gradient, circuit)`: a mask of weights *outside* of the circuit, as many as the
# circuit has, whose gradient is as long as the circuit's, within one hundredth.
#
# <details><summary>Hint 1</summary>
#
# Sort the weights outside by the size of their gradient. As many neighbours in that order as the
# circuit has weights: at the lower end their gradient is too short, at the upper end too long.
#
# </details>
#
# <details><summary>Hint 2</summary>
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
others = editing.drawn(learn_on, 12, FRAME, seed=1)


def typical_gradient(requests):
    """Root mean square over facts of each weight's gradient."""
    squares = torch.zeros(len(its))
    for row in range(len(requests)):
        leaf, one = its.values.clone().requires_grad_(), slice(row, row + 1)
        said = its.logits(leaf, requests.asked.tokens[one], requests.asked.last[one])
        nll = torch.nn.functional.cross_entropy(said, requests.new[one])
        squares += torch.autograd.grad(nll, leaf)[0].square()
    return (squares / len(requests)).sqrt()


# %%
places["the rest, as long"] = own_long(typical_gradient(others), circuit)
edits["the rest, as long"] = comparison.compare(
    its, requests, places["the rest, as long"], norms=(0.3,)
)
pair = [edits[name] for name in ("circuit", "the rest, as long")]
ratio = (pair[0].needed / pair[1].needed).numpy()
table(
    ["may change", "length of the gradient", "distance to ½"],
    [
        [name, mean(edits[name].first), mean(edits[name].needed)]
        for name in ("circuit", "the rest", "the rest, as long")
    ],
)
say(f"The circuit needs {mean(ratio)} times the distance of the weights that were chosen.")

# %% [markdown]
# **Found** A twentieth of the weights, all from outside of the circuit, resists as the circuit
# does. Resistance of this kind says how long the gradient is, and not what is stored.

# %% [markdown]
# ## 11 · What else changes?
#
# A new answer is half of an edit. What about the fact in other words, the entity's siblings (other
# owls and wrens are to stay birds), entities of other kinds, and the realm, which should follow the
# kind? All places are compared where the new answer has just reached probability ½.

# %%
text = torch.from_numpy(documents.rows(np.random.default_rng(0), 16, 64))
effects = {
    name: editing.effects(its, requests, one.at_half, FRAME, text) for name, one in edits.items()
}
COLUMNS = ("paraphrase", "siblings", "others", "chain", "text")
table(
    ["changed", *COLUMNS],
    [
        [
            name,
            *(
                mean(values[~np.isnan(values)])
                for column in COLUMNS
                for values in [getattr(one, column).numpy()]
            ),
        ]
        for name, one in effects.items()
    ],
)

# %% [markdown]
# **Found** One thing is left over: edits in the circuit leave four of five siblings as they were,
# edits in random weights of the same number less than half. But the weights that were chosen for
# their gradient alone keep more than half of them as well. The realm never follows: the model does
# not infer it from the kind, wherever the kind is changed.

# %% [markdown]
# ## 12 · Explore
#
# Pick a fact and two places, and move along the straight way from the model as it is to the edited
# weights, and beyond. What do paraphrases say, what the siblings, what entities of other kinds?

# %% tags=["hide-input"]
explorer.edit_explorer(explorer.collect(plain.of(model), requests, edits, FRAME, text))

# %% [markdown]
# ## 13 · What holds?
#
# The verdicts below are computed from the numbers of this page.

# %% tags=["hide-input"]
first, second = (
    masks.judge(its, its.values * places[n], judged_on) for n in ("circuit", "the rest")
)
need = {name: one.needed.numpy() for name, one in edits.items()}
fell = {name: (one.nll[0] - one.nll[-1]).numpy() for name, one in published.items()}
sibling = {name: one.siblings.numpy() for name, one in effects.items()}
kept = sibling["circuit"] - sibling["the rest, as long"]
low, high = stats.bootstrap(kept[~np.isnan(kept)], np.mean)
claims(
    [
        (
            "a circuit of 5 % keeps the task",
            f"held-out facts right {first.accuracy:.2f}",
            f"as many random weights in every tensor "
            f"{stands['random, as many in every tensor'].accuracy:.2f}",
            first.accuracy > stands["random, as many in every tensor"].accuracy + 0.5,
        ),
        (
            "so the circuit holds the knowledge",
            f"true kinds right {first.accuracy:.2f}",
            f"a mask that tells lies: false kinds {told[0.05].accuracy:.2f}",
            told[0.05].accuracy < first.accuracy - 0.5,
        ),
        (
            "the circuit resists new knowledge more than the rest",
            f"published steps: NLL falls by {mean(fell['circuit'])}, in the rest {mean(fell['the rest'])}",
            f"the rest, as long: distance to ½ {mean(need['the rest, as long'])}, circuit "
            f"{mean(need['circuit'])}",
            need["circuit"].mean() > 1.1 * need["the rest, as long"].mean(),
        ),
        (
            "(not asked in the paper) edits in the circuit spare its siblings",
            f"siblings kept {mean(sibling['circuit'][~np.isnan(sibling['circuit'])])}",
            f"more than with the rest, as long: {kept[~np.isnan(kept)].mean():+.2f} "
            f"[{low:+.2f}, {high:+.2f}]",
            True if low > 0 else None,
        ),
    ]
)

# %% [markdown]
# ## Limits
#
# - One small model, word by word, in which facts are single words. In GPT-2 a fact is spread over
#   several tokens and layers.
# - One circuit and one seed on this page; the chapter has more, and other tasks.
# - Facts here form at the last position, not at the subject: edits that assume the subject may do
#   worse than in large models.
# - Twelve facts make wide intervals. They are over facts, not over circuits.
#
# ## Open questions
#
# - What remains of the siblings' advantage when two places agree in the gradients of *siblings* as
#   well?
# - Which control would show that a mask *found* knowledge, if lies can be written as easily?
#
# ## Further reading
#
# - Ge, Rudzicz and Zhu, [Understanding Language Model Circuits through Knowledge Editing](https://arxiv.org/abs/2406.17241)
# - Hase et al., [Does Localization Inform Editing?](https://arxiv.org/abs/2301.04213)
# - Meng et al., [Locating and Editing Factual Associations in GPT](https://arxiv.org/abs/2202.05262)
# - Yao et al., [Knowledge Circuits in Pretrained Transformers](https://arxiv.org/abs/2405.17969)
# - Fang et al., [AlphaEdit: Null-Space Constrained Knowledge Editing](https://arxiv.org/abs/2410.02355)

# %%
scores("lab5")
