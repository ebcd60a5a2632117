# %% [markdown]
# # Lab 0 · Hooks, caches and causal interventions
#
# People say: "this attention head adds the digits". How would you find out whether that is true?
# You look inside the model, you change something there, and you see what happens to the answer.
# This lab teaches the tools for that, on a model so small that every claim can be checked against
# arithmetic.
#
# **You will be able to**
#
# - say what the residual stream is, and take it apart into the pieces that were added to it;
# - read an attention pattern, and say what it does not tell you;
# - trace a logit back to the components that wrote it;
# - ablate a component in three ways, and say why they disagree;
# - patch a component, predict the new answer *before* you run the model, and be right.
#
# **You need** PyTorch (tensors, indexing, a forward pass). You need not know what a transformer is:
# the parts are explained where they appear.
#
# **Cost** Ten exercises of 2 to 6 minutes, about 50 minutes in all. The code itself runs in less
# than 2 minutes on two CPU cores; the set-up cell prints the time and the memory that were
# measured.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab0")

# %%
import numpy as np
import torch

from helpers import attribution, interventions, stats, training, zoo
from helpers.arithmetic.questions import Format, Questions, algorithm, uniform
from helpers.course.check import check, scores
from helpers.interventions import Node, ablate, all_nodes, collect, patch, run_with_replaced
from helpers.show import grids, percent, pictures, plots, rate, table

# %% [markdown]
# Every rate in this lab stands beside its 95 % interval: Clopper–Pearson for counts, a bootstrap
# for averages.

# %% [markdown]
# ## 1 · What does the model read, and what does it say?
#
# The model adds two 5-digit numbers. It is a *language* model: it reads a row of tokens, and for
# every position it guesses the next token. A token here is one character.
#
# A 5-digit question has 19 tokens. $D_4 \ldots D_0$ are the digits of the first number,
# $D'_4 \ldots D'_0$ those of the second, and $A_5 \ldots A_0$ those of the sum. Index 0 is always
# the units. The sum is written after a sign.

# %%
NAME = "add-d5"
model = zoo.load(NAME, device="cpu")  # so small that a GPU would not help
model.requires_grad_(False)  # nothing is trained here
fmt = Format(n_digits=5)
questions = uniform(5, 500, np.random.default_rng(0))
tokens = questions.tokens(fmt)  # [question, position]

print("text     ", questions.text(0))
print("tokens   ", tokens[0].tolist())
print("shape    ", tuple(tokens.shape), "= (question, position)")

# %%
labels = fmt.position_labels
characters = [f"`{character}`" for character in questions.text(0)]
table(
    ["position", *range(fmt.n_ctx)],
    [["name", *(f"`{label}`" for label in labels)], ["token", *characters]],
)

# %% [markdown]
# `model(tokens)` returns *logits* of shape (question, position, token). The logits at position $p$
# are scores for the token at position $p + 1$; the largest one is the model's guess. So each guess
# may use only what stands at or before its own position.
#
# We feed the whole question with its true answer, and read off all guesses in one pass. This is
# called *teacher forcing*: each answer digit is guessed with the true digits before it.

# %% [markdown]
# ### Exercise 0.1 · Which position says it?
#
# *1 point · 2 minutes · ●○○*
#
# The token $A_k$ stands at some position. Its guess is read off somewhere else. Write a function
# that returns the position whose logits predict $A_k$, for a question with `n_digits` digits.
#
# <details><summary>Hint</summary>
#
# The table above shows $n = 5$. In general a question has $3n + 4$ tokens, and $A_0$ is the last
# one.
#
# </details>


# %%
def source_position(n_digits, k):
    """Position whose logits predict the answer digit A_k."""
    # BEGIN SOLUTION
    length = 3 * n_digits + 4
    position_of_digit = length - 1 - k
    return position_of_digit - 1
    # END SOLUTION


# %%
check("lab0.1", source_position)


# %% [markdown]
# From here on the lab uses the library's own version of what you write, so that you can go on even
# if an exercise stays open. How good is the model? Beside it stands its control: a model of the
# same shape that was never trained.


# %%
def source(k):
    """Position whose logits predict A_k."""
    return fmt.answer_position(k) - 1


def right(logits, tokens, position):
    """Whether the guess made at a position is the true next token, [question]."""
    return logits[:, position].argmax(-1) == tokens[:, position + 1]


untrained = training.build_model(zoo.entry(NAME).recipe).eval().requires_grad_(False)
columns = [f"$A_{k}$" for k in reversed(range(6))]
rows, accuracy = [], {}
for name, some_model in (("trained", model), ("untrained (control)", untrained)):
    logits = some_model(tokens)
    accuracy[name] = [right(logits, tokens, source(k)) for k in reversed(range(6))]
    rows.append([name, *map(rate, accuracy[name])])
table(["model", *columns], rows)

# %% [markdown]
# **Found.** The trained model is right on this sample; the untrained one is near guessing. How to
# verify such a model properly, on every kind of carry, is the subject of Lab 1. Here we ask how to
# look inside.

# %% [markdown]
# ## 2 · What is inside: the residual stream
#
# At each position the model keeps one vector, here of 96 numbers. It is called the *residual
# stream*. It starts as the sum of two looked-up vectors: one for the token, one for the position.
# Then each *component* reads the stream and **adds** something to it. Nothing is ever overwritten.
#
# ```text
# token ────┐
#           ├─► (+) ──► (+) ─────► (+) ──► (+) ─────► (+) ──► LayerNorm ──► W_U ──► logits
# position ─┘            ▲          ▲       ▲          ▲
#                    3 heads       MLP   3 heads      MLP
#                    └─── layer 0 ───┘   └─── layer 1 ───┘
# ```
#
# - An attention **head** is the only part that moves information between positions: it looks at
#   this and earlier positions, and copies something from them.
# - An **MLP** works on one position alone: a linear map, a ReLU, a linear map.
# - Each layer's heads share one bias vector $b_O$, which is added too.
#
# Before a component reads the stream, it normalises what it reads (*LayerNorm*, see section 4). The
# stream itself stays as it is. At the end the same is done once more, and the matrix $W_U$, the
# *unembedding*, turns the stream into logits.

# %% [markdown]
# `run_with_cache` runs the model and keeps every intermediate value. The values have names; these
# are the ones we need.

# %%
logits, cache = model.run_with_cache(tokens)

meaning = {
    "hook_embed": "looked up for the token",
    "hook_pos_embed": "looked up for the position",
    "blocks.0.attn.hook_pattern": "attention of layer 0: question, head, position that looks, "
    "position looked at",
    "blocks.0.attn.hook_z": "heads of layer 0, before W_O: question, position, head, 32 numbers",
    "blocks.0.hook_mlp_out": "what the MLP of layer 0 adds",
    "blocks.1.hook_resid_post": "the stream after layer 1, the last one",
    "ln_final.hook_scale": "what the last LayerNorm divides by",
}
table(
    ["name", "shape", "meaning"],
    [[f"`{name}`", tuple(cache[name].shape), text] for name, text in meaning.items()],
)

# %% [markdown]
# ### Exercise 0.2 · Take the stream apart
#
# *3 points · 6 minutes · ●●○*
#
# Collect everything that is added to the stream at one position, as a dictionary from name to
# tensor [question, 96]. Use the names `"embed"`, `"pos"`, and for each layer `"L0H0"`, `"L0H1"`,
# `"L0H2"` (heads), `"L0b"` (the bias $b_O$) and `"L0M"` (the MLP), and the same with `L1`. If you
# have everything, the sum equals `blocks.1.hook_resid_post`.
#
# A head adds `z @ W_O`, where `z` is its part of `hook_z`, and
# `W_O = model.blocks[layer].attn.W_O[head]` has shape [32, 96]. The bias is
# `model.blocks[layer].attn.b_O`, shape [96].
#
# <details><summary>Hint</summary>
#
# `cache[f"blocks.{layer}.attn.hook_z"][:, position, head]` has shape [question, 32]. A bias of
# shape [96] may stay as it is: PyTorch broadcasts it in the sum.
#
# </details>


# %%
def components(model, cache, position):
    """All that is added to the residual stream at one position: name -> [question, d_model]."""
    parts = {"embed": cache["hook_embed"][:, position], "pos": cache["hook_pos_embed"][:, position]}
    # BEGIN SOLUTION
    for layer in range(model.cfg.n_layers):
        attention = model.blocks[layer].attn
        for head in range(model.cfg.n_heads):
            z = cache[f"blocks.{layer}.attn.hook_z"][:, position, head]
            parts[f"L{layer}H{head}"] = z @ attention.W_O[head]
        parts[f"L{layer}b"] = attention.b_O
        parts[f"L{layer}M"] = cache[f"blocks.{layer}.hook_mlp_out"][:, position]
    return parts
    # END SOLUTION


# %%
check("lab0.2", components)

# %% [markdown]
# Does it really add up? Here in larger pieces: `hook_attn_out` is all heads of a layer and their
# bias together. The control leaves one piece out, the smallest one.

# %%
DIGIT = 2  # the answer digit that we follow through the lab
HERE = source(DIGIT)  # the position that predicts it

pieces = {name: cache[name][:, HERE] for name in ("hook_embed", "hook_pos_embed")}
for layer in range(2):
    for name in (f"blocks.{layer}.hook_attn_out", f"blocks.{layer}.hook_mlp_out"):
        pieces[name] = cache[name][:, HERE]
stream = cache["blocks.1.hook_resid_post"][:, HERE]

smallest = min(pieces, key=lambda name: float(pieces[name].norm(dim=-1).mean()))
whole, without = sum(pieces.values()), sum(pieces.values()) - pieces[smallest]
table(
    ["sum of", "largest error", "largest number in the stream"],
    [
        [
            f"all {len(pieces)} pieces",
            f"{(whole - stream).abs().max():.1e}",
            f"{stream.abs().max():.1f}",
        ],
        [
            f"all but `{smallest}` (control)",
            f"{(without - stream).abs().max():.1e}",
            f"{stream.abs().max():.1f}",
        ],
    ],
)

# %% [markdown]
# **Found.** The stream is the sum of its pieces, up to rounding of 32-bit numbers. That is exact,
# for every transformer of this kind. So we may ask of each piece: where does it come from, and what
# does it do?

# %% [markdown]
# ## 3 · Where do the heads look?
#
# At each position a head spreads one unit of *attention* over this and all earlier positions. From
# each of them it takes 32 numbers that a learned linear map reads off the stream there. Their
# average, weighted by the attention, is the head's `z`. The matrix $W_O$ turns it into the 96
# numbers that the head adds here.
#
# The weights are the *pattern*: one row for each position that looks (query), one column for each
# position that is looked at (key). Each row sums to 1.
#
# Here are the average patterns of the three heads in layer 0.

# %%
pattern = cache["blocks.0.attn.hook_pattern"]  # [question, head, query, key]
average = pattern.mean(0)

darkest = [
    [labels[int(average[head, source(k)].argmax())] for k in reversed(range(6))]
    for head in range(3)
]
pictures.show(
    grids.attention(
        average.numpy(), labels, [f"L0H{head}" for head in range(3)], "Layer 0: average attention"
    ),
    alt="Three heat maps, one a head of layer 0. Rows look, columns are looked at; above the "
    "diagonal all is empty, for no position sees a later one. The darkest column in each of the "
    "six rows that predict A5 to A0 is, "
    + "; ".join(f"for L0H{head}: {', '.join(found)}" for head, found in enumerate(darkest))
    + ".",
)

# %% [markdown]
# ### Exercise 0.3 · Who reads the digits?
#
# *2 points · 5 minutes · ●●○*
#
# To say $A_k$, the model must see $D_k$ and $D'_k$. Write a function that returns, for each head,
# the share of its attention that goes to $D_j$ and $D'_j$ together, *from the position that
# predicts* $A_k$, averaged over questions.
#
# `fmt.operand_positions(j)` gives the positions of $D_j$ and $D'_j$.
#
# <details><summary>Hint</summary>
#
# The axes of `pattern` are question, head, query, key. You look from one query at two keys. The
# query is the answer to exercise 0.1; in code it is `fmt.answer_position(k) - 1`.
#
# </details>


# %%
def attention_share(pattern, fmt, k, j):
    """Share of attention from the position that predicts A_k to D_j and D'_j together, [head]."""
    # BEGIN SOLUTION
    query = fmt.answer_position(k) - 1
    first, second = fmt.operand_positions(j)
    return (pattern[:, :, query, first] + pattern[:, :, query, second]).mean(0)
    # END SOLUTION


# %%
check("lab0.3", attention_share)


# %% [markdown]
# Which heads read digit $k$ itself, and which read the digit below it, $k - 1$, where a carry would
# come from? Beside each share stands its control: what a head would give to two positions if it
# looked everywhere evenly.


# %%
def share(k, j):
    """Average attention of each head of layer 0, from where A_k is predicted, to D_j and D'_j."""
    return average[:, source(k)][:, list(fmt.operand_positions(j))].sum(-1)


rows = []
for k in reversed(range(5)):
    own = [f"{value:.2f}" for value in share(k, k)]
    below = [f"{value:.2f}" for value in share(k, k - 1)] if k else ["–"] * 3
    rows.append([f"$A_{k}$", *own, *below, f"{2 / (source(k) + 1):.2f}"])
table(
    [
        "predicts",
        *(f"H{h} on k" for h in range(3)),
        *(f"H{h} on k − 1" for h in range(3)),
        "even (control)",
    ],
    rows,
)

# %%
readers = [head for head in range(3) if share(DIGIT, DIGIT)[head] > 0.5]
carrier = int(share(DIGIT, DIGIT - 1).argmax())
print(
    f"Heads of layer 0 that give more than half of their attention to D{DIGIT} and D'{DIGIT}: "
    f"{readers}"
)
print(f"Head of layer 0 that looks most at D{DIGIT - 1} and D'{DIGIT - 1}: {carrier}")

# %% [markdown]
# **Found.** Some heads read the two digits of their own column, and another one reads the column
# below. It looks as if the first gave the sum of the digits, and the other gave the carry. But a
# pattern says only where a head *looks*. It does not say what the head copies, nor whether anyone
# uses it. For that we must go on to the logits, and then intervene.

# %% [markdown]
# ## 4 · From the stream to the logits
#
# The last stream becomes logits in two steps. First *LayerNorm*: subtract the mean of the 96
# numbers, divide by their standard deviation, multiply by a learned weight and add a learned bias
# (both [96]). Then a linear map: $W_U$ [96, 15] and $b_U$ [15].
#
# $$\text{logits} = \left(\frac{x - \bar{x}}{\sqrt{\operatorname{var}(x) + \epsilon}} \odot w + b\right) W_U + b_U$$

# %% [markdown]
# ### Exercise 0.4 · Logits by hand
#
# *2 points · 4 minutes · ●○○*
#
# Write this formula. The parts are `model.ln_final.weight`, `model.ln_final.bias`, `model.cfg.eps`,
# `model.unembed.W_U` and `model.unembed.b_U`. The variance divides by 96, not by 95.
#
# <details><summary>Hint</summary>
#
# Mean and variance run over the last axis, with `keepdim=True`. `torch.var` has an argument
# `unbiased`.
#
# </details>


# %%
def logits_by_hand(model, stream):
    """Logits [question, token] from the last residual stream [question, d_model]."""
    # BEGIN SOLUTION
    centred = stream - stream.mean(-1, keepdim=True)
    scale = (centred.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
    normalised = centred / scale * model.ln_final.weight + model.ln_final.bias
    return normalised @ model.unembed.W_U + model.unembed.b_U
    # END SOLUTION


# %%
check("lab0.4", logits_by_hand)

# %% [markdown]
# **Found.** Everything after the stream is a centring, a division and a linear map. Only the
# division is not linear. And if we *hold its scale fixed* at the value that it had in this run, the
# whole way from a piece of the stream to the logits is linear. Then each piece has its own share of
# each logit, and the shares add up.

# %% [markdown]
# ## 5 · Who wrote the logit?
#
# This is *direct logit attribution*. For one piece $c$ of the stream and one token $t$:
#
# $$\text{share}_t(c) = \left(\frac{c - \bar{c}}{s} \odot w\right) \cdot W_U[:, t]$$
#
# where $s$ is the scale of the whole stream. The model has stored it as `ln_final.hook_scale`. The
# biases $b$ and $b_U$ belong to no piece; they are one more constant.

# %% [markdown]
# ### Exercise 0.5 · The share of one component
#
# *2 points · 5 minutes · ●●○*
#
# Write a function that returns the share of one piece in the logit of one token per question.
#
# <details><summary>Hint</summary>
#
# `W_U[:, token]` has shape [96, question]. Centre the piece with its own mean, but divide by the
# scale that is given.
#
# </details>


# %%
def direct_share(model, piece, scale, token):
    """Share of one piece in a logit, [question].

    piece: [question, d_model]. scale: [question, 1], of the whole stream. token: [question], a
    token for each question.
    """
    # BEGIN SOLUTION
    centred = piece - piece.mean(-1, keepdim=True)
    directions = model.unembed.W_U[:, token].T  # [question, d_model]
    return (centred / scale * model.ln_final.weight * directions).sum(-1)
    # END SOLUTION


# %%
check("lab0.5", direct_share)

# %% [markdown]
# First the test that the shares add up to the logit. They must, for each question. The library's
# `direct_logit_attribution` gives the shares of all pieces at once.

# %%
answer = tokens[:, HERE + 1]  # the true digit, [question]
names, shares = attribution.direct_logit_attribution(
    model, tokens, HERE, answer
)  # [piece, question]
logit = logits[:, HERE].gather(1, answer[:, None])[:, 0]
print("pieces:", ", ".join(names))
print(
    "largest difference between the sum of the shares and the logit: "
    f"{(shares.sum(0) - logit).abs().max():.1e}"
)

# %% [markdown]
# Now the average share. A logit alone means little, for adding the same number to all logits
# changes nothing. So we ask for the logit of the right digit *minus the average over the ten
# digits*. The function takes such a difference as a row of weights. The control asks for the answer
# digit of *another* question instead.


# %%
def above_average(digit):
    """Weights [question, token]: the logit of a digit minus the average over the ten digits."""
    weights = torch.nn.functional.one_hot(digit, model.cfg.d_vocab).float()
    weights[:, :10] -= 0.1
    return weights


def with_interval(values):
    """Mean and its 95 % bootstrap interval: (mean, low, high)."""
    return values.mean().item(), *stats.bootstrap(values.numpy(), resamples=500)


CONTROL = "another question's digit (control)"
names, for_right = attribution.direct_logit_attribution(model, tokens, HERE, above_average(answer))
_, for_other = attribution.direct_logit_attribution(
    model, tokens, HERE, above_average(answer.roll(1))
)
series = {
    "right digit": np.array([with_interval(values) for values in for_right]),
    CONTROL: np.array([with_interval(values) for values in for_other]),
}
direct = {
    name: tuple(row) for name, row in zip(names, series["right digit"], strict=True)
}  # (mean, low, high)

# %%
ranked = sorted(names, key=lambda name: -direct[name][0])
pictures.show(
    plots.bars_with_intervals(
        names, series, "share of the logit", f"Who writes the logit of A{DIGIT}?"
    ),
    alt=f"Bars with intervals for {len(names)} pieces of the stream. For the right digit the "
    "largest are "
    + " and ".join(f"{name} with {direct[name][0]:.1f}" for name in ranked[:2])
    + f"; the next is {ranked[2]} with {direct[ranked[2]][0]:.2f}. For the control the largest bar "
    f"in either direction is {np.abs(series[CONTROL][:, 0]).max():.2f}.",
)

# %%
reading_heads = sum(for_right[names.index(f"L0H{head}")] for head in range(3))
print(f"whole advantage of the right digit: {for_right.sum(0).mean():.2f}")
print(
    "of it, written by the three heads of layer 0: {:.2f} [{:.2f}, {:.2f}]".format(
        *with_interval(reading_heads)
    )
)

# %% [markdown]
# **Found.** The MLPs write the answer. The heads that read the digits write next to nothing of it.
# Does that mean that they do not matter? Attribution cannot say: it sees only what a piece writes
# *directly* into the logits. It does not see what later components read from it. For this we must
# take the piece away and run the rest of the model again.

# %% [markdown]
# ## 6 · Take a piece away: zero ablation
#
# A *hook* is a function that the model calls in the middle of a forward pass. It gets a value and
# may return another one. The model goes on with that.
#
# ```python
# def hook(value, hook):        # the second argument must have this name
#     return value * 2
#
# model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_mlp_out", hook)])
# ```
#
# We call one head or one MLP *at one position* a **node**. `Node(15, 0, 2)` is head 2 of layer 0 at
# position 15, and `Node(15, 0)` is the MLP of layer 0 there.

# %% [markdown]
# ### Exercise 0.6 · Write the hook
#
# *3 points · 6 minutes · ●●○*
#
# Run the model with the output of one head at one position set to zero. Return the logits. Only
# this head, only this position, only this layer.
#
# <details><summary>Hint</summary>
#
# `hook_z` of the node's layer has shape [question, position, head, 32]. `node.position`,
# `node.layer` and `node.head` say which part. Do not forget to return `z`.
#
# </details>


# %%
def zero_head(model, tokens, node):
    """Logits [question, position, token] with one head's output at one position set to zero."""

    # BEGIN SOLUTION
    def write_zero(z, hook):
        z = z.clone()
        z[:, node.position, node.head] = 0
        return z

    return model.run_with_hooks(
        tokens, fwd_hooks=[(f"blocks.{node.layer}.attn.hook_z", write_zero)]
    )
    # END SOLUTION


# %%
check("lab0.6", zero_head)

# %% [markdown]
# Now the head that looks most at the two digits of its column. Two controls: the head of layer 1
# that wrote most of the answer directly, and the same head of layer 0 one position before, which
# works on the digit before. (One position *later* would be no control at all: nothing flows
# backwards, so it could not change this guess in any model.)

# %%
reference, _ = collect(
    model, uniform(5, 1000, np.random.default_rng(1)).tokens(fmt)
)  # used from section 7 on
reader = int(share(DIGIT, DIGIT).argmax())
loudest = max(range(3), key=lambda head: direct[f"L1H{head}"][0])
rows, zeroed = [], []
for label, node, name in (
    ("reads the digits", Node(HERE, 0, reader), f"L0H{reader}"),
    ("wrote most among the heads of layer 1 (control)", Node(HERE, 1, loudest), f"L1H{loudest}"),
    ("the reader, one position before (control)", Node(HERE - 1, 0, reader), None),
):
    share_of_logit = f"{direct[name][0]:.2f}" if name else "–"
    zeroed.append(right(ablate(model, tokens, [node], reference, "zero"), tokens, HERE))
    rows.append([f"`{node}`", label, share_of_logit, rate(zeroed[-1])])
table(["node", "what it is", "direct share", f"$A_{DIGIT}$ right after zero ablation"], rows)

# %% [markdown]
# **Found.** The reader writes nothing into the logits, and yet the answer breaks without it. Its
# effect goes through the MLPs, which read what it wrote. The *direct* effect and the *total* effect
# of a component are two different things. Do not take one for the other.

# %% [markdown]
# ## 7 · Zero is not nothing: mean ablation
#
# Zero is an arbitrary value. A component whose output is about the same on every question acts like
# a bias: the rest of the model has learned to rely on it. With zero in its place, the stream is one
# that the model never met in training. The answer may break although the component carried no
# information about this question at all.
#
# *Mean ablation* writes the component's average output instead. The average is taken over many
# questions, separately for each layer and each position. What is constant stays; what tells
# questions apart goes.

# %% [markdown]
# ### Exercise 0.7 · The means
#
# *2 points · 5 minutes · ●●○*
#
# Compute the mean output of each MLP at each position: shape [layer, position, 96]. Beware of the
# trap that a published analysis fell into: it took the means of layer 0, and wrote them into every
# layer.
#
# <details><summary>Hint</summary>
#
# `torch.stack` over the layers makes the first axis. Only the questions are averaged over.
#
# </details>


# %%
def mean_mlp_outputs(model, cache):
    """Mean over the questions of every MLP's output, [layer, position, d_model]."""
    # BEGIN SOLUTION
    return torch.stack(
        [cache[f"blocks.{layer}.hook_mlp_out"].mean(0) for layer in range(model.cfg.n_layers)]
    )
    # END SOLUTION


# %%
check("lab0.7", mean_mlp_outputs)

# %% [markdown]
# What does the trap cost? We replace the MLP of layer 1 at each answer position: once by its own
# mean, once by the mean of layer 0. For comparison the MLP of layer 0, where both are the same.

# %%
own = reference.mean()
from_layer_0 = interventions.Activations(own.z[:1].expand_as(own.z), own.mlp[:1].expand_as(own.mlp))
rows = []
for k in reversed(range(6)):
    row = [f"$A_{k}$"]
    for layer in (1, 0):
        for values in (own, from_layer_0):
            hits = right(
                run_with_replaced(model, tokens, [Node(source(k), layer)], values),
                tokens,
                source(k),
            )
            row.append(rate(hits))
    rows.append(row)
table(
    [
        "digit",
        "L1 MLP, own mean",
        "L1 MLP, mean of layer 0",
        "L0 MLP, own mean",
        "L0 MLP, mean of layer 0",
    ],
    rows,
)

# %% [markdown]
# All six digits together. The six results of one question hang together, so the interval is a
# bootstrap over questions.

# %%
trap = {}
for name, values in (("own mean", own), ("mean of layer 0", from_layer_0)):
    last_mlps = [Node(source(k), 1) for k in range(6)]
    hits = [
        right(run_with_replaced(model, tokens, [n], values), tokens, n.position) for n in last_mlps
    ]
    trap[name] = with_interval(torch.stack(hits).float().mean(0))
    print(f"MLP of layer 1, {name}: {percent(*trap[name])} right")

# %% [markdown]
# **Found.** With means from the wrong layer the damage is another one, and part of it is not the
# component's doing. An ablation result is only as good as the value that was written.

# %% [markdown]
# ## 8 · Someone else's value: resample ablation
#
# A mean is a value that no single question ever produced. *Resample ablation* (also: random
# patching) writes the output that the same node had on *another* question, drawn at random. So each
# value is a real one, and over many questions the node's values keep their whole distribution. Only
# the link to the present question is cut.
#
# There is a price. The mean is silent about this question; another question's value *speaks*, and
# says something wrong.

# %% [markdown]
# ### Exercise 0.8 · Draw donors
#
# *2 points · 5 minutes · ●●○*
#
# `z` holds the head outputs of reference questions: [layer, reference question, position, head,
# 32]. `donors[i]` says which reference question gives its value to question `i`. Run the model with
# the node's output replaced in this way.
#
# <details><summary>Hint</summary>
#
# Take your hook of exercise 0.6. Instead of 0, write
# `z[node.layer][donors, node.position, node.head]`. Beware of two different things called `z`: the
# hook's argument and the reference.
#
# </details>


# %%
def resample_head(model, tokens, node, z, donors):
    """Logits [question, position, token] with one head's output taken from donor questions."""

    # BEGIN SOLUTION
    def write_donor(value, hook):
        value = value.clone()
        value[:, node.position, node.head] = z[node.layer][donors, node.position, node.head]
        return value

    return model.run_with_hooks(
        tokens, fwd_hooks=[(f"blocks.{node.layer}.attn.hook_z", write_donor)]
    )
    # END SOLUTION


# %%
check("lab0.8", resample_head)

# %% [markdown]
# ### Three ablations, one node
#
# Do the three agree? We try all of them on every node at the positions that predict an answer
# digit. We let the results pick three nodes: one that only zero ablation calls important, one that
# only resampling calls important, and one that all three call important. A fourth is drawn at
# random, as a control.
#
# We picked the nodes *because* their results were extreme. So their numbers on these questions
# would flatter us. We choose on one set of questions, and report on fresh ones.

# %%
MODES = ("zero", "mean", "resample")
choosing = uniform(5, 200, np.random.default_rng(2)).tokens(fmt)
nodes = all_nodes(model, [source(k) for k in reversed(range(6))])
scan = {}
for node in runtime.progress(nodes, "three ablations of every node"):
    for mode in MODES:
        hits = right(ablate(model, choosing, [node], reference, mode), choosing, node.position)
        scan[node, mode] = float(hits.float().mean())

# %%
bias_like = max(nodes, key=lambda n: min(scan[n, "mean"], scan[n, "resample"]) - scan[n, "zero"])
harmless = [n for n in nodes if min(scan[n, "zero"], scan[n, "mean"]) > 0.99] or nodes
overheard = min(harmless, key=lambda n: scan[n, "resample"])
needed = min(nodes, key=lambda n: max(scan[n, mode] for mode in MODES))
drawn = nodes[int(np.random.default_rng(3).integers(len(nodes)))]
chosen = {
    "bias-like": bias_like,
    "overheard": overheard,
    "needed": needed,
    "random (control)": drawn,
}

fresh = uniform(5, 1000, np.random.default_rng(4)).tokens(fmt)
after = {
    (label, mode): right(ablate(model, fresh, [node], reference, mode), fresh, node.position)
    for label, node in chosen.items()
    for mode in MODES
}
table(
    ["node", "predicts", "kind", *MODES],
    [
        [
            f"`{node}`",
            f"`{labels[node.position + 1]}`",
            label,
            *(rate(after[label, mode]) for mode in MODES),
        ]
        for label, node in chosen.items()
    ],
)


# %%
def bar(hits):
    """Share of True and its interval: (share, low, high)."""
    return hits.float().mean().item(), *stats.clopper_pearson(int(hits.sum()), len(hits))


series_modes = {mode: np.array([bar(after[label, mode]) for label in chosen]) for mode in MODES}
pictures.show(
    plots.bars_with_intervals(
        [f"{label.removesuffix(' (control)')}\n{node}" for label, node in chosen.items()],
        series_modes,
        "right after ablation",
        "One node, three answers to “does it matter?”",
        limits=(0, 1),
    ),
    alt="Four groups of three bars: the share of right answers after zero, mean and resample "
    "ablation. "
    + "; ".join(
        f"{label}: " + ", ".join(f"{mode} {series_modes[mode][i, 0]:.2f}" for mode in MODES)
        for i, label in enumerate(chosen)
    )
    + ".",
)


# %% [markdown]
# Why? Two measurements on the same nodes.
#
# - How much of a node's output is the same on every question? (Its mean, squared, over its mean
#   square.) And how far from the mean does zero lie, in units of the node's own spread? The value
#   of another question lies about 1 away.
# - How large is the last stream after the ablation? The last LayerNorm divides by a scale, which is
#   1 here for the intact model. A scale that is not 1 shows a stream unlike those the model was
#   trained on.


# %%
def output(node):
    """A node's outputs on the reference questions, [question, width]."""
    return (
        reference.mlp[node.layer][:, node.position]
        if node.is_mlp
        else reference.z[node.layer][:, node.position, node.head]
    )


def last_scale(node, mode):
    """Mean scale of the last LayerNorm at the node's position, on 500 fresh questions."""
    kept = []
    with model.hooks(
        fwd_hooks=[
            ("ln_final.hook_scale", lambda scale, hook: kept.append(scale[:, node.position]))
        ]
    ):
        _ = ablate(model, fresh[:500], [node] if mode else [], reference, mode or "zero")
    return torch.cat(kept).mean()


rows, profile = [], {}
for label, node in chosen.items():
    values = output(node)
    centre = values.mean(0)
    spread = (values - centre).norm(dim=-1).pow(2).mean().sqrt()
    constant = centre.norm() ** 2 / values.norm(dim=-1).pow(2).mean()
    scales = [float(last_scale(node, mode) / last_scale(node, None)) for mode in MODES]
    profile[label] = float(constant), float(centre.norm() / spread), *scales
    numbers = [
        f"{100 * constant:.0f} %",
        f"{profile[label][1]:.1f}",
        *(f"{scale:.2f}" for scale in scales),
    ]
    rows.append([f"`{node}`", label, *numbers])
table(
    [
        "node",
        "kind",
        "same on every question",
        "zero lies at",
        *(f"scale, {mode}" for mode in MODES),
    ],
    rows,
)

# %%
looked_at = {}
if not bias_like.is_mlp:
    looks = cache[f"blocks.{bias_like.layer}.attn.hook_pattern"].mean(0)[
        bias_like.head, bias_like.position
    ]
    looked_at = {labels[p]: float(looks[p]) for p in looks.argsort(descending=True)[:2].tolist()}
    found = " and ".join(f"{label} ({value:.2f})" for label, value in looked_at.items())
    print(f"The bias-like head {bias_like} looks most at {found}.")

# %% [markdown]
# **Found.** Read the three rows one by one.
#
# - *Bias-like*: its output hardly depends on the question, for it looks at tokens that are the same
#   in every question. Zero lies many spreads away from anything that the model has seen, and the
#   answer breaks. The mean and another question's value are both as good as its own. The node tells
#   nothing about the question; zero ablation alone would have called it important.
# - *Overheard*: the answer survives without it, so others must carry what it carries. But when it
#   says something wrong, the others are partly overruled. So its information is *used*, though it
#   is not *needed*.
# - *Needed*: all three agree. Still, compare the scales: zero and mean leave a smaller stream, as
#   if the model were less sure; another question's value leaves one of nearly the usual size. The
#   model is then just as sure, of the wrong digit.
#
# And note the floor. After resampling, a wrong digit is still right by chance in about one case in
# ten, because the donor may happen to have the same digit.
#
# No ablation is "the" right one. Say which one you used, and why. Lab 1 reports mean and resample
# side by side.


# %% [markdown]
# ## 9 · Say in advance what will happen: activation patching
#
# "Something broke" is weak evidence. A wrench in a gearbox also changes something. A stronger test
# says *which* wrong answer must come out.
#
# Take two questions: a *clean* one and a *stored* one. Run the clean one, but give one or more
# nodes the value that they had on the stored one. If these nodes carry the sum of the digits
# $D_k + D'_k$ and nothing else, then the model must now answer with the **stored** digits' sum and
# the **clean** question's carry.
#
# $$A_k^{\text{patched}} = (D_k^{\text{stored}} + D_k'^{\text{ stored}} + \text{carry}_k^{\text{clean}}) \bmod 10$$

# %% [markdown]
# ### Exercise 0.9 · Predict the patched digit
#
# *2 points · 6 minutes · ●●○*
#
# Write this formula for batches of questions. `clean.first` and `clean.second` hold the digits of
# $D$ and $D'$, shape [question, digit], units first. `clean.answer_digits()` holds those of the
# sum. The carry is not given: work it out.
#
# <details><summary>Hint</summary>
#
# The carry into column $k$ is what is missing between $D_k + D'_k$ and $A_k$, modulo 10. In Python
# and PyTorch `(3 - 5) % 10` is 8.
#
# </details>


# %%
def patched_digit(clean, stored, k):
    """Digit A_k [question] that comes out if the stored digits' sum meets the clean carry."""
    # BEGIN SOLUTION
    carry = (clean.answer_digits()[:, k] - clean.first[:, k] - clean.second[:, k]) % 10
    return (stored.first[:, k] + stored.second[:, k] + carry) % 10
    # END SOLUTION


# %%
check("lab0.9", patched_digit)

# %% [markdown]
# Now patch. The library's `algorithm` has the two parts of the sum as functions: `sa` is the
# column's sum without a carry, `sv` the carry out of each column. There are four combinations: sum
# and carry may each come from the clean or from the stored question. We keep pairs for which the
# four give four different digits, so that the answer tells which one it was.


# %%
def combine(sum_from, carry_from, k):
    """Digit A_k with the column sum of one batch of questions and the carry of another."""
    sums = algorithm.sa(sum_from.first, sum_from.second)[:, k]
    carries = algorithm.sv(carry_from.first, carry_from.second)[:, k - 1]
    return (sums + carries) % 10


clean, stored = (uniform(5, 2000, np.random.default_rng(seed)) for seed in (5, 6))
batches = {"clean": clean, "stored": stored}
digits = {(a, b): combine(batches[a], batches[b], DIGIT) for a in batches for b in batches}
stacked = torch.stack(list(digits.values()))
keep = torch.tensor([len(set(column)) == 4 for column in stacked.T.tolist()])
clean, stored = clean[keep], stored[keep]
digits = {name: digit[keep] for name, digit in digits.items()}
print(f"{len(clean)} of {len(keep)} pairs kept")


# %%
def heads(position, which, layer=0):
    return [Node(position, layer, head) for head in which]


carriers = heads(HERE, [carrier]) + heads(HERE, range(3), layer=1)
patches = {
    "the strongest reader": heads(HERE, [reader]),
    "all readers": heads(HERE, readers),
    "all readers, one position before (control)": heads(HERE - 1, readers),
    "the head that reads the column below": heads(HERE, [carrier]),
    "that head and the heads of layer 1": carriers,
    "all of these": heads(HERE, readers) + carriers,
}
rows, patched = [], {}
for label, group in patches.items():
    said = patch(model, clean.tokens(fmt), group, stored.tokens(fmt))[:, HERE].argmax(-1)
    patched[label] = {name: said == digit for name, digit in digits.items()}
    rows.append([label, *(rate(hits) for hits in patched[label].values())])
table(["patched", *(f"sum {a}, carry {b}" for a, b in digits)], rows)

# %% [markdown]
# **Found.** Look first at the column *sum stored, carry clean*: it is the prediction of exercise
# 0.9. All readers together bring it about, nearly always. One position before, the same heads move
# nothing. The strongest reader alone is not enough in part of the cases: the other reader still
# tells the old digits.
#
# Then the column *sum clean, carry stored*. It takes the head that reads the column below, **and**
# the heads of layer 1. So the carry has two ways into the answer. We come back to that.
#
# We now know *what* these heads carry, not only that they matter. It is a double dissociation: one
# group moves the sum and leaves the carry, the other moves the carry and leaves the sum.

# %% [markdown]
# ## 10 · Two directions: what is necessary, and what is sufficient?
#
# Patching can be done in two directions.
#
# - **Noising**: run the clean question, take the nodes from the corrupted one. If the clean answer
#   is lost, the nodes were *necessary* for it.
# - **Denoising**: run the corrupted question, take the nodes from the clean one. If the clean
#   answer appears, the nodes are *sufficient* for it.
#
# They are not the same question asked twice. Say that two sources carry the same fact and either is
# enough (an OR gate): then noising finds neither, for the other one steps in; and denoising finds
# both. If both are needed (an AND gate), it is the other way round.

# %% [markdown]
# ### Exercise 0.10 · Both directions
#
# *1 point · 5 minutes · ●●●*
#
# You get a function `run(base, donor, nodes)`. It returns the answers, [question], of the model on
# the questions `base` when the given nodes have the values from the questions `donor`. With no
# nodes, `run(base, donor, [])`, it returns the plain answers on `base`.
#
# Return two numbers: the share of questions whose clean answer is *lost* by noising, and the share
# whose clean answer *appears* by denoising.
#
# <details><summary>Hint</summary>
#
# Both are compared with the same thing: the plain answers on the clean questions. In the first case
# the base is clean, in the second it is corrupted.
#
# </details>


# %%
def both_directions(run, clean, corrupted, nodes):
    """(share lost by noising, share restored by denoising)."""
    # BEGIN SOLUTION
    wanted = run(clean, corrupted, [])
    noised = run(clean, corrupted, nodes)
    denoised = run(corrupted, clean, nodes)
    return float((noised != wanted).float().mean()), float((denoised == wanted).float().mean())
    # END SOLUTION


# %%
check("lab0.10", both_directions)


# %% [markdown]
# Try it on the digit sum. The corrupted question gets new digits in column $k$ only, such that the
# answer digit $A_k$ changes and no other does.


# %%
def new_column(questions, column, rng):
    """The same questions with new random digits in one column."""
    first, second = questions.first.clone(), questions.second.clone()
    first[:, column], second[:, column] = torch.from_numpy(
        rng.integers(10, size=(2, len(questions)))
    )
    return Questions(first, second, questions.subtract)


def pairs_that_differ(k, column, count, seed):
    """Pairs of questions that differ in one column and in the digit A_k, but not in the carry."""
    rng = np.random.default_rng(seed)
    clean = uniform(5, count, rng)
    corrupted = new_column(clean, column, rng)
    carries = [algorithm.sv(batch.first, batch.second)[:, column] for batch in (clean, corrupted)]
    keep = (clean.answer_digits()[:, k] != corrupted.answer_digits()[:, k]) & (
        carries[0] == carries[1]
    )
    return clean[keep].tokens(fmt), corrupted[keep].tokens(fmt)


def lost_and_restored(clean, corrupted, nodes):
    """Clean answers that noising loses, and those that denoising restores, each [question]."""
    position = nodes[0].position
    wanted = clean[:, position + 1]
    noised = patch(model, clean, nodes, corrupted)[:, position].argmax(-1)
    denoised = patch(model, corrupted, nodes, clean)[:, position].argmax(-1)
    return noised != wanted, denoised == wanted


# %%
clean_pairs, corrupted_pairs = pairs_that_differ(DIGIT, DIGIT, 1000, seed=7)
weaker = [head for head in readers if head != reader]
candidates = {f"reader L0H{reader}": heads(HERE, [reader])}
candidates |= {f"reader L0H{head}": heads(HERE, [head]) for head in weaker}
candidates |= {
    "all readers": heads(HERE, readers),
    "L0 MLP": [Node(HERE, 0)],
    "L1 MLP": [Node(HERE, 1)],
    "heads of layer 1 (control)": heads(HERE, range(3), layer=1),
    f"head L0H{carrier} (control)": heads(HERE, [carrier]),
}
directions = {
    label: lost_and_restored(clean_pairs, corrupted_pairs, group)
    for label, group in candidates.items()
}
table(
    [f"patched, for $A_{DIGIT}$", "lost by noising", "restored by denoising"],
    [[label, rate(lost), rate(restored)] for label, (lost, restored) in directions.items()],
)

# %% [markdown]
# **Found.** All readers together are both necessary and sufficient; so is the last MLP, through
# which everything must pass. The controls do nothing. A single reader scores lower in denoising
# than in noising: a wrong voice does damage more easily than a right one repairs it. And the
# readers are not alike, although their attention is: compare their rows here with their shares in
# section 3.

# %% [markdown]
# ### When two components back each other up
#
# Section 9 found two ways for the carry: the head of layer 0 that looks at the column below, and
# the heads of layer 1. We mean-ablate each way alone, and both together. If the ways were
# independent, the losses would about add up. The control ablates as many heads, drawn at random
# from this position and the earlier ones, eight times.


# %%
def random_heads(position, count, rng):
    """Some heads, drawn at random from the positions up to this one."""
    pool = [node for node in all_nodes(model, range(position + 1)) if not node.is_mlp]
    return [pool[i] for i in rng.choice(len(pool), size=count, replace=False)]


def survives(group, position, some):
    """Whether the guess at a position stays right when the nodes are mean-ablated [question]."""
    return right(ablate(model, some, group, reference, "mean"), some, position)


rng = np.random.default_rng(8)
rows, backup = [], {}
for k in range(4, 0, -1):
    early = heads(source(k), [int(share(k, k - 1).argmax())])
    late = heads(source(k), range(3), layer=1)
    backup[k] = {
        "early": survives(early, source(k), fresh),
        "late": survives(late, source(k), fresh),
        "both": survives(early + late, source(k), fresh),
        "control": torch.stack(
            [survives(random_heads(source(k), 4, rng), source(k), fresh[:250]) for _ in range(8)]
        ),
    }
    lost = {name: 100 * (1 - hits.float().mean().item()) for name, hits in backup[k].items()}
    control = with_interval(backup[k]["control"].float().mean(0))
    rows.append(
        [
            f"$A_{k}$",
            *(rate(backup[k][name]) for name in ("early", "late", "both")),
            percent(*control),
        ]
    )
    rows[-1] += [f"{lost['early'] + lost['late']:.1f} %", f"{lost['both']:.1f} %"]
table(
    [
        "digit",
        "L0 carry head out",
        "L1 heads out",
        "both out",
        "4 random heads out (control)",
        "sum of losses",
        "joint loss",
    ],
    rows,
)

# %% [markdown]
# **Found.** Compare the last two columns. Where the joint loss is much larger than the sum, each
# way covers for the other: either is nearly enough, and one-at-a-time ablation calls both of them
# unimportant. This is why a map of a circuit that was drawn by single ablations can miss parts of
# it, and why Lab 1 tests whole sets of nodes.

# %% [markdown]
# ## What you may claim
#
# Some sentences that one often reads. Each is put to the test with the numbers from above.

# %% tags=["hide-input"]
reader_direct = direct[f"L0H{reader}"]
reader_zero = right(ablate(model, fresh, heads(HERE, [reader]), reference, "zero"), fresh, HERE)
shown = max(
    backup,
    key=lambda k: float(
        backup[k]["early"].sum() + backup[k]["late"].sum() - backup[k]["both"].sum()
    ),
)
together, alone = (
    backup[shown]["both"],
    torch.minimum(backup[shown]["early"], backup[shown]["late"]),
)
spreads = {label: [after[label, mode].float().mean().item() for mode in MODES] for label in chosen}


def verdict(holds):
    return "holds here" if holds else "does not hold here"


claims = [
    [
        "A head that looks at the digits carries the digits",
        "patching all readers brings the predicted digit: "
        f"{rate(patched['all readers']['stored', 'clean'])}",
        "one position before: "
        f"{rate(patched['all readers, one position before (control)']['stored', 'clean'])}",
        verdict(patched["all readers"]["stored", "clean"].float().mean() > 0.95),
    ],
    [
        "What writes nothing into the logit does not matter",
        f"direct share {reader_direct[0]:.2f} [{reader_direct[1]:.2f}, {reader_direct[2]:.2f}], "
        f"but only {rate(reader_zero)} right without it",
        f"intact model: {rate(right(model(fresh), fresh, HERE))}",
        verdict(not (abs(reader_direct[0]) < 0.5 and reader_zero.float().mean() < 0.9)),
    ],
    [
        "All ablations tell the same",
        "; ".join(
            f"`{chosen[label]}`: {' / '.join(f'{x:.2f}' for x in spreads[label])}"
            for label in ("bias-like", "overheard")
        ),
        f"`{chosen['needed']}`: {' / '.join(f'{x:.2f}' for x in spreads['needed'])} (zero / mean / "
        "resample)",
        verdict(max(max(values) - min(values) for values in spreads.values()) < 0.1),
    ],
    [
        "The mean of any layer will do",
        f"MLP of layer 1, mean of layer 0: {percent(*trap['mean of layer 0'])} right",
        f"its own mean: {percent(*trap['own mean'])}",
        verdict(abs(trap["own mean"][0] - trap["mean of layer 0"][0]) < 0.01),
    ],
    [
        "What can be ablated alone without harm is not used",
        f"$A_{shown}$: L0 carry head and L1 heads out together: {rate(together)} right",
        f"each alone: {rate(backup[shown]['early'])} and {rate(backup[shown]['late'])}",
        verdict(alone.float().mean() - together.float().mean() < 0.1),
    ],
]
if weaker:  # two heads that look at the same digits
    pair = [reader, weaker[0]]
    restored = [directions[f"reader L0H{head}"][1] for head in pair]
    looks = " and ".join(f"{share(DIGIT, DIGIT)[head]:.2f}" for head in pair)
    claims.append(
        [
            "Heads that look at the same digits do the same work",
            f"L0H{pair[0]} and L0H{pair[1]} give {looks} of their attention to the digits, and "
            "restore " + " and ".join(rate(hits) for hits in restored),
            f"L0H{carrier}, which looks elsewhere: "
            f"{rate(directions[f'head L0H{carrier} (control)'][1])}",
            verdict(abs(restored[0].float().mean() - restored[1].float().mean()) < 0.1),
        ]
    )
table(["one often reads", "we measured", "control", "verdict"], claims)

# %% [markdown]
# ## Limits
#
# - One model, trained once (one seed), on one task. That a certain head reads a certain digit is a
#   fact about these weights; another seed may put it elsewhere. The *methods*, and the ways in
#   which they mislead, are general.
# - Questions are drawn uniformly, so long carries are rare. A component that only serves them would
#   hardly show. Lab 1 samples every kind of carry on purpose.
# - Intervals are for the questions drawn, not for the choice of model. Seeds: 0 to 8, one for each
#   draw.
# - The guesses are teacher-forced. Under an intervention this is not what the model would write by
#   itself, for it would then read its own wrong digits.
# - Patching tests only the difference that the pair has. Two questions that share the carry say
#   nothing about the carry.

# %% [markdown]
# ## Further reading
#
# - Nelson Elhage and others,
#   [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html)
#   (2021): the residual stream as a sum.
# - Kevin Wang and others, [Interpretability in the Wild](https://arxiv.org/abs/2211.00593) (2022):
#   attribution, patching and backup heads in GPT-2 small.
# - Fred Zhang and Neel Nanda,
#   [Towards Best Practices of Activation Patching in Language Models](https://arxiv.org/abs/2309.16042)
#   (2023): how metric and corruption change the result.
# - Stefan Heimersheim and Neel Nanda,
#   [How to use and interpret activation patching](https://arxiv.org/abs/2404.15255) (2024):
#   noising, denoising, AND and OR.
# - Thomas McGrath and others, [The Hydra Effect](https://arxiv.org/abs/2307.15771) (2023): later
#   layers make up for what was ablated.
# - Maximilian Li and Lucas Janson,
#   [Optimal ablation for interpretability](https://arxiv.org/abs/2409.09951) (2024): which value to
#   write.
# - Philip Quirke, Clement Neo and Fazl Barez,
#   [Understanding Addition and Subtraction in Transformers](https://arxiv.org/abs/2402.02619)
#   (2024): the paper of Lab 1.

# %%
scores("lab0")
