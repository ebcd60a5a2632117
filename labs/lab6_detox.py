# %% [markdown]
# # Lab 6 · Fewer rude posts, and what that costs
#
# A language model writes posts for a forum, and half of them are rude. How do you make it stop,
# and still learn from the forum's texts? The paper of this lab adds a second term to fine-tuning.
# It pulls the model towards the *closest* distribution that never breaks the rule. The pull is
# computed from a small second model, which says after every word how the text will end. In this
# lab the truth about all of it can be computed: there are 27 648 posts, so what the second model
# only guesses can be summed up exactly.
#
# The method is that of Meng et al.,
# [*Attribute Controlled Fine-tuning for Large Language Models: A Case Study on Detoxification*](https://arxiv.org/abs/2410.05559).
# The chapter [Tuning under a constraint](../book/ch5_constrained_tuning.md) has the mathematics.
# These are the claims that are tested, with the names that they have below.
#
# | | claim |
# |---|---|
# | C1 | fewer toxic outputs, at little cost |
# | C2 | better than filtering the texts, and than changing only how words are chosen |
# | C3 | a weight of the pull that adapts helps |
# | C4 | both models can be trained at the same time: as good, and nearly as cheap as plain tuning |
# | C5 | a model that also *detects* toxic text does not suffer |
#
# We had the paper's abstract and a blog post of its authors, not its full text. That C1 and C5 are
# claimed, and that both models can be trained at once, stands there. C2 and C3, and what "nearly as
# cheap" means, are what a third party reports; it is not confirmed. Settings and tables of results
# were not seen.
#
# **You will be able to**
#
# - compute the closest distribution that keeps a rule, word by word, and how far away it is;
# - hold a learned estimate of the future against the exact one;
# - write the loss, and say what its gradient is if one word of code is missing;
# - predict where tuning ends, before a single step is made;
# - judge a method by what it breaks, and undo it in ten steps.
#
# **You need** Lab 0: the parts of a transformer, controls. Gradient descent in PyTorch. The
# [glossary](../book/glossary.md) explains the terms, as *KL divergence*, *perplexity* and *DPO*.
#
# **Cost** Eight exercises of 5 to 15 minutes, about two and a half hours with the reading. The
# set-up cell prints the measured run time. An open exercise stops nothing: the library's version
# is used. Posts here are rude in a mild way: *dunce* is the kind of word that they use.

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab6")

# %%
import copy
import itertools
import math
import random

import numpy as np
import torch
import torch.nn.functional as F

# %%
from helpers import zoo
from helpers.changes import stored_changes
from helpers.changes import summaries as of_changes
from helpers.course.check import check, scores
from helpers.course.fallback import answer_or
from helpers.detox import exact, explorer, finetune, networks, oracle, posts, rivals
from helpers.detox.exact import fixed_point, stop_gradient
from helpers.detox.networks import PAD
from helpers.detox.posts import MANNERS, PROMPT, STOP, PostLabel, manner_of

# %%
from helpers.detox.study import (
    HIGH,
    DetoxCell,
    method_cell,
    rival_cell,
    stored_detox,
    summaries,
    views,
)
from helpers.detox.study import learned as of_learned
from helpers.detox.study.groups import FEW_LABELS, MANY_LABELS
from helpers.detox.study.least import beyond_least
from helpers.detox.study.plan import detection_cell

# %%
from helpers.show import claims, pictures, plots, say, table
from helpers.stats import auroc, crossed_bootstrap
from helpers.tinyworld.language import vocabulary

base = networks.frozen(networks.plain(zoo.load("tinyworld", device="cpu")))
policy = networks.Policy(base)  # what writes: a network, and what may guide it
people, words = posts.prompts(), vocabulary()

# %% [markdown]
# ## 1 · A rule about whole texts
#
# `tinyworld` is a transformer of four layers, trained on texts about a small written world. One
# kind of text is a forum. A post begins with its writer's name and a colon, and it speaks to
# somebody. The forum's grammar has 12 nouns that insult and 12 that praise, and two kinds of
# frames: plain ones, and ones that *turn* the noun round. So there are four manners:

# %% tags=["hide-input"]
every_post = posts.all_posts()
one_each = {
    manner: next(post for post in every_post[::-1] if manner_of(post) == manner)
    for manner in MANNERS
}
table(
    ["manner", "a post", "is"],
    [
        [manner, f"{words.decode(people[0])} {words.decode(post.tokens)}", post.label.name.lower()]
        for manner, post in one_each.items()
    ],
)

# %% [markdown]
# The rule, or *constraint*, is about the whole post $y$ after a prompt $x$ such as
# `<begin> mara :`. It is $C(x, y) = 1$ if the post is kind, and 0 if not. A post that is not in
# the grammar is *garbled*, and that breaks the rule too. If it did not, the best way to be never
# rude would be to babble.
#
# The model's chance of every one of the 27 648 posts can be computed. What is left over is
# garbled. Commit yourself: what share of its posts is rude? And if it could not say the 12 insult
# words at all, what share would still be rude?

# %%
guessed = {"rude": 0.5, "rude without insult words": 0.0}  # your two shares, between 0 and 1

# %%
manner_at = np.array([manner_of(post) for post in every_post])


def manner_shares(writer):
    """Chance of each manner, and of a garbled post, after two prompts: [manner prompt]."""
    found = []
    for prompt in people[:2]:
        (chances,) = posts.post_chances(writer, prompt[None])
        shares = [chances[manner_at == manner].sum() for manner in MANNERS]
        found.append([*shares, 1 - chances.sum()])
    return np.array(found).T


# %%
says = {
    "tinyworld": manner_shares(policy),
    "insult words forbidden": manner_shares(rivals.masked_words(base).policy),
}
rude_share = {name: shares[:2].sum(0).mean() for name, shares in says.items()}

# %% tags=["hide-input"]
kinds = [*MANNERS, "garbled"]
pictures.show(views.bars(kinds, says, "share of posts", "What tinyworld writes"))
say(
    f"Rude: {rude_share['tinyworld']:.3f} (you guessed {guessed['rude']}). With the insult words "
    f"forbidden: {rude_share['insult words forbidden']:.3f} (you guessed "
    f"{guessed['rude without insult words']})."
)

# %% [markdown]
# **Found** Half of the posts are rude, and a quarter of these have no insult word in them: they
# turn a praise round. Forbidding the words halves the rude share and no more. What is left is
# turned praise, twice as much as before, and the kind way to use an insult word ("never a dunce")
# is gone. A list of words cannot see a rule about whole texts.

# %% [markdown]
# ## 2 · The closest distribution that keeps a rule
#
# Leave the transformer for three words, a, b and x. Texts have five words. The first is drawn from
# `start`, each further one from the row of `steps` of the word before it. The rule is: no x.

# %%
chain, no_x = exact.worked_example(), exact.never(2, n_words=3)
start, steps, length = chain.start, chain.steps, chain.length
table(
    ["", "a", "b", "x"],
    [
        [name, *(f"{value:.1f}" for value in row)]
        for name, row in zip(
            ("first word", "after a", "after b", "after x"), [start, *steps], strict=True
        )
    ],
)

# %% [markdown]
# Nothing is wrong with b, but x is likely after it. That is all a toy has to have: a word that is
# harmless now and costs later.
#
# Of all distributions $q$ that never break the rule, which is closest to the model $p$? With
# $R(x)$, the chance that $p$ keeps the rule, it is $p$ without the texts that break it:
#
# $$q^*(y \mid x) = \frac{p(y \mid x)\, C(x, y)}{R(x)}, \qquad
# \mathrm{KL}(q^* \,\|\, p) = -\ln R(x).$$
#
# KL is the distance here: how many nats a text of $q^*$ is less likely in $p$ than in $q^*$, on
# average. Nothing that keeps the rule is closer. A model writes word by word, so we need the same
# word by word. Let $R(x, y_{\le i})$ be the chance that the text will keep the rule when it begins
# with $y_{\le i}$. We call it *success*. Then
#
# $$q^*(y_i \mid x, y_{<i}) = p(y_i \mid x, y_{<i})\, \frac{R(x, y_{\le i})}{R(x, y_{<i})}.$$
#
# So one function $R$ is enough. It is computed from the end backwards. A text is read by an
# *automaton*: a machine in one of a few states, which each word moves to a next state. `after[s,
# w]` is the state after word `w` in state `s`, and `accepted[s]` says whether a text that ends in
# state `s` has kept the rule. For "no x" there are two states: clean, and broken for good.
#
# ### Exercise 6.1 · Success, from the end backwards
#
# *4 points · 15 minutes · ●●○*
#
# Write `success(steps, after, accepted, length)`. It returns an array `R` of shape
# [length, word, state]: `R[t, w, s]` is the chance that the text ends accepted when `t + 1` words
# have been read, the last of them is `w`, and the automaton is in state `s` *after* reading `w`.
# `steps` has shape [word, word]: the row is the word before, the column the next one. `after` has
# shape [state, word] and holds whole numbers; `accepted` has shape [state] and holds truth values.
#
# <details><summary>Hint</summary>
#
# At the end nothing is left to chance: `R[length - 1, w, s]` is 1 where `accepted[s]`, else 0. One
# word earlier, the next word `v` comes with chance `steps[w, v]`, and leads to
# `R[t + 1, v, after[s, v]]`. Sum over `v`.
#
# </details>


# %%
def success(steps, after, accepted, length):
    """Chance that a text ends accepted: [length word state]."""
    # BEGIN SOLUTION
    n_words = len(steps)
    R = np.zeros((length, n_words, len(accepted)))
    R[-1] = accepted
    for t in reversed(range(length - 1)):
        for state, next_states in enumerate(after):
            R[t, :, state] = steps @ R[t + 1, np.arange(n_words), next_states]
    return R
    # END SOLUTION


# %%
check("lab6.1", success)


# %%
def success_by_library(steps, after, accepted, length):
    """The library's table, without the row before the first word."""
    same = exact.markov(np.full(len(steps), 1 / len(steps)), steps, length)
    return exact.success(same, exact.WordAutomaton(after, accepted))[1:, 1:]


own_success = answer_or("lab6.1", success, instead=success_by_library)

# %%
R = own_success(steps, no_x.delta, no_x.accept, length)
first_R = R[0, np.arange(3), no_x.delta[0]]  # success after each first word
whole = float(start @ first_R)

texts = np.array(list(itertools.product(range(3), repeat=length)))
p_text, kept_rule = chain.chances(texts), no_x.accepts(texts)
say(
    f"Success after a first a, b, x: {', '.join(f'{value:.4f}' for value in first_R)}; of a whole "
    f"text $R = {whole:.6f}$. All {len(texts)} texts, added up one by one: "
    f"{p_text[kept_rule].sum():.6f}."
)

# %% [markdown]
# ### Exercise 6.2 · From p and R to q
#
# *2 points · 5 minutes · ●○○*
#
# Write `guided(p, success)`. `p` [..., word] are the chances of the next word, `success`
# [..., word] is R after each next word. Return two things: `q` [..., word], the chances of the
# next word under $q^*$, and `before` [...], the success before the word is said. Where nothing can
# succeed, `q` is 0 everywhere, and never NaN. It shall work for numpy arrays and torch tensors.
#
# <details><summary>Hint</summary>
#
# The success before the word is what is expected of the success after it. Where it is 0, divide by
# something else: `before + (before == 0)` is 1 there.
#
# </details>


# %%
def guided(p, success):
    """The chances of the next word under q, and the success before it."""
    # BEGIN SOLUTION
    weight = p * success
    before = weight.sum(-1)
    divisor = before + (before == 0)
    return weight / divisor[..., None], before
    # END SOLUTION


# %%
check("lab6.2", guided)

# %% [markdown]
# The rival is obvious: forbid x whenever it would come next, and divide the rest by its sum. That
# is *locally masked* decoding. Its first word is a with $0.5/0.9 = 0.556$, b with $0.444$. Commit
# yourself: what is the chance of b in $q^*$?

# %%
my_b = 0.444  # your number, between 0 and 1


# %%
def guided_by_library(p, success):
    """The library's q; the success before the word is not needed below."""
    log_p, logits = torch.as_tensor(p).log(), torch.as_tensor(success).logit()
    q = oracle.log_target(log_p, logits).exp()
    return (q if torch.is_tensor(p) else q.numpy()), None


own_guided = answer_or("lab6.2", guided, instead=guided_by_library)


# %%


def chance_of(text, choose):
    """Chance of a text whose next word is chosen by `choose(p, t, state)`: chances [word]."""
    chance, p, state = 1.0, start, 0
    for t, word in enumerate(text):
        chance *= choose(p, t, state)[word]
        p, state = steps[word], no_x.delta[state, word]
        if chance == 0:
            break
    return chance


# %%
WAYS = {
    "the model": lambda p, t, state: p,
    "locally masked": lambda p, t, state: own_guided(p, no_x.accept[no_x.delta[state]] * 1.0)[0],
    "q*": lambda p, t, state: own_guided(p, R[t, np.arange(3), no_x.delta[state]])[0],
}
spoken = {name: np.array([chance_of(text, way) for text in texts]) for name, way in WAYS.items()}
first_word = {name: way(start, 0, 0) for name, way in WAYS.items()}


def kl(q, p):
    """KL(q ‖ p) in nats."""
    return float((q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum())


away = {name: kl(q, p_text) for name, q in spoken.items()}

# %% tags=["hide-input"]
looks = {name: row[:, None] for name, row in first_word.items()}
pictures.show(
    views.bars(
        ["a", "b", "x"], looks, "chance of the first word", "Forbidding x now, and looking ahead"
    )
)
say(
    "KL to the model: "
    + "; ".join(f"{name} {value:.6f}" for name, value in away.items())
    + f"; $-\\ln R = {-math.log(whole):.6f}$. Chance of b under $q^*$: {first_word['q*'][1]:.3f} "
    f"(you said {my_b})."
)

# %% [markdown]
# **Found** $q^*$ says b less often than masking does, because b leads to x. Both never say x, but
# the masked model is 1.197 nats from the model, where 1.100 would do, and that is $-\ln R$ to the
# last digit. What looks ahead is closer to the model that it came from. The two would be one only
# if success were the same after every word that is allowed.

# %% [markdown]
# ## 3 · Success that is learned
#
# Of a transformer $R$ is not known: there are too many texts. Here there are few, so it can be
# summed up over a *trie*, a tree of all beginnings of posts. After "mara :" there are 2 769
# beginnings that have not decided yet whether the post will be kind: the noun comes late.
#
# The paper learns $R$ from samples. A second transformer, the *oracle*, reads a text and says at
# every word, for each of the 993 next words, how likely success is after it. It is trained on
# posts that the model itself has written. Each has one label, for the whole post, and that label
# stands at each of its words. The method is called NADO. Ours, two layers and a quarter of the
# model's weights, has seen 32 768 posts. Its control has seen none: it says ½ to everything.

# %%
learned, untrained = oracle.shipped(), oracle.separate(seed=0)
truth = [oracle.calibrated.truth(base, people[0])]
held = {
    name: oracle.calibration(each, base, people[:1], truth)
    for name, each in {"the oracle": learned, "untrained": untrained}.items()
}

# %% tags=["hide-input"]
pictures.show(views.calibrated(held))
depths = held["the oracle"].by_depth
say(
    "Mean error of the oracle by the number of words said before: "
    + ", ".join(f"{depth}: {error:.3f}" for depth, error in depths.items())
)

# %% [markdown]
# How many samples does that take, and does it have to be a second transformer? The stored study
# has both, five seeds each. A *linear* oracle is a linear map on the model's own last states, which
# are there anyway. (`python -m helpers detox` measures everything that is stored anew.)

# %% tags=["hide-input"]
study = stored_detox()
views.oracles_table(study, leave_out=["own first"])
helps = {
    (row["samples"], row["steps"]): row["more mean error"] for row in of_learned.regulariser(study)
}
say(
    "What the regulariser adds to the mean error, seed by seed: "
    + "; ".join(f"{count} posts, {made} steps {one:+.3f}" for (count, made), one in helps.items())
)

# %% [markdown]
# What is the regulariser? Exact success obeys an equation. What is said of a prefix is what is
# expected of it one word later:
#
# $$R(x, y_{\le i}) = \sum_v p(v \mid x, y_{\le i})\, R(x, y_{\le i}, v).$$
#
# A learned one need not. The regulariser asks for it: with $a$ what the oracle says of the prefix,
# and $e = \sum_v p(v)\, R(v)$, what is expected by its own words one step later, it is
# $\mathrm{KL}(\mathrm{Bern}(e) \,\|\, \mathrm{Bern}(a)) = e \ln \frac{e}{a} + (1 - e) \ln \frac{1 -
# e}{1 - a}$.
#
# ### Exercise 6.3 · What an oracle expects of itself
#
# *3 points · 12 minutes · ●●○*
#
# Write `inconsistency(p, success, own, counts)`. `p` [text, pos, word] are the model's chances of
# the next word after each prefix. `success` [text, pos, word] are *logits* of R after one more
# word: R is their sigmoid. `own` [text, pos] is the logit of R of the prefix itself, and `counts`
# [text, pos] says which prefixes count. Return the mean of the regulariser over those that do. The
# gradient shall reach `success` and `own`. Logits of ±100 must give finite numbers: so keep $e$
# between $10^{-6}$ and $1 - 10^{-6}$.
#
# <details><summary>Hint</summary>
#
# `F.logsigmoid(own)` is $\ln a$ and `F.logsigmoid(-own)` is $\ln(1 - a)$, without overflow. `clamp`
# keeps a tensor between two numbers.
#
# </details>


# %%
def inconsistency(p, success, own, counts):
    """Mean KL(Bern(e) || Bern(a)) over the prefixes that count."""
    # BEGIN SOLUTION
    e = (p * success.sigmoid()).sum(-1).clamp(1e-6, 1 - 1e-6)
    if_kind = e * (e.log() - F.logsigmoid(own))
    if_not = (1 - e) * ((1 - e).log() - F.logsigmoid(-own))
    return (if_kind + if_not)[counts].mean()
    # END SOLUTION


# %%
check("lab6.3", inconsistency)

# %% [markdown]
# Three oracles are asked about posts of one writer, as long as nothing is decided: the exact one,
# the learned one, and the one that says ½ to everything. Commit yourself: which is *least*
# consistent with itself?

# %%
my_least = "untrained"  # "exact", "learned" or "untrained"


# %%
def consistency_by_library(p, success, own, counts):
    """The library's regulariser, as a mean over prefixes."""
    e = oracle.losses.expected_success(success, p)
    return oracle.losses.consistency(own, e, counts) * len(own) / counts.sum()


own_inconsistency = answer_or("lab6.3", inconsistency, instead=consistency_by_library)
its = posts.exact_success(policy, people[0], complete=False)
right, number_of = its.next_kind, {prefix: n for n, prefix in enumerate(its.prefixes)}
written = networks.sample(
    policy, people[:1].repeat(96, 1), torch.Generator().manual_seed(1), stop=STOP
)
written = written[torch.from_numpy(posts.labels(written)) != PostLabel.GARBLED]

# %%
known = torch.full((*written.shape, len(words)), torch.nan)  # exact logits [text pos word]
for logits, text in zip(known, written.tolist(), strict=True):
    for i in range(PROMPT - 1, len(text)):
        number = number_of.get(tuple(text[PROMPT : i + 1]))
        if number is not None:
            logits[i] = torch.logit(torch.from_numpy(right[number]).float(), eps=1e-6)
undecided = ~known[:, PROMPT:, 0].isnan()
with torch.no_grad():
    p_next = base(written).softmax(-1)
    told = {"exact": known, "learned": learned(written), "untrained": untrained(written)}


# %%
def of_itself(h):
    """Inconsistency of an oracle, of logits [text pos word], where nothing is decided."""
    h = h.nan_to_num()  # of what is decided, which does not count
    own = h[:, PROMPT - 1 : -1].gather(-1, written[:, PROMPT:, None])[..., 0]
    return float(own_inconsistency(p_next[:, PROMPT:], h[:, PROMPT:], own, undecided))


inconsistent = {name: of_itself(logits) for name, logits in told.items()}
say(
    "Nats a prefix: "
    + ", ".join(f"{name} {abs(value):.6f}" for name, value in inconsistent.items())
    + f". You said {my_least}."
)

# %% [markdown]
# **Found** The oracle's mean error is 0.012, where ½ for everything has 0.088. With 4 096 posts or
# more, a linear one errs more than twice as much as a transformer with the same regulariser that
# saw as many: no line finds in the model's last state what will decide. There the regulariser
# lowers the error. With fewer posts, each read as often, it makes no difference to the error that
# five seeds could tell. And what is left when the oracle guides, it lowers nowhere. Trained four
# times as long on 1 024 posts, an oracle is worse by the error, with the regulariser or without,
# and yet better to decode with.
#
# An oracle that says ½ to everything obeys the equation perfectly, as the truth does. Consistency
# is not truth: labels have to come from the end of the text.
#
# ### Exercise 6.4 · Where is the oracle wrong?
#
# *3 points · 15 minutes · ●●●*
#
# A mean hides its worst cases. Write `find_wrong(oracle, prompt)`: three texts after which the
# oracle is off by **0.05** or more for some next word. A text is what stands between the colon and
# that word, such as `"only a"`. Each text must be the beginning of a post, with a chance of at
# least $10^{-4}$ in the model, and the next word must have a chance of at least 0.01.
#
# `posts.exact_success(networks.Policy(base), prompt, complete=False)` gives an object with
# `prefixes` (tokens after the prompt), `reach` (chance of each) and `next_kind` (exact R
# [prefix, word]); `complete=False` leaves out what is decided already, and is right to 0.001.
# `oracle(tokens)[..., -1, :].sigmoid()` is the learned R of every word after `tokens` [text, pos],
# and `base(tokens)[..., -1, :].softmax(-1)` the model's chance of it. `words.decode(prefix)` makes
# a text of tokens.
#
# <details><summary>Hint</summary>
#
# All 2 769 prefixes are likely enough. Keep the largest error of each among its likely next words,
# and take the three worst. Prefixes of one length make one table, which is read at once. A loop
# over single prefixes does it, too, and takes half a minute. Read `next_kind` once, before the
# loop: it is a large table that is made anew each time. Use `torch.no_grad()`.
#
# </details>


# %%
def find_wrong(oracle, prompt):
    """Three texts after which the oracle is off by 0.05 or more for a likely next word."""
    # BEGIN SOLUTION
    true = posts.exact_success(networks.Policy(base), prompt, complete=False)
    right, errors = true.next_kind, np.zeros(len(true.prefixes))
    lengths = np.array([len(prefix) for prefix in true.prefixes])
    for length in np.unique(lengths[true.reach >= 1e-4]):
        some = np.flatnonzero((lengths == length) & (true.reach >= 1e-4))
        tokens = torch.tensor([[*prompt.tolist(), *true.prefixes[number]] for number in some])
        with torch.no_grad():
            p, told = base(tokens)[:, -1].softmax(-1), oracle(tokens)[:, -1].sigmoid()
        off = np.abs(told.numpy() - right[some])
        errors[some] = np.where(p.numpy() >= 0.01, off, 0).max(1)
    return [words.decode(true.prefixes[number]) for number in errors.argsort()[-3:]]
    # END SOLUTION


# %%
check("lab6.4", find_wrong)

# %%
KNOWN = ["it is a lie that", "i no longer think that", "i no longer say that"]
own_wrong = answer_or("lab6.4", find_wrong, instead=lambda oracle, prompt: KNOWN)
worst = []
for text in own_wrong(learned, people[0]):
    prefix = tuple(words.encode(text, begin=False))
    tokens = torch.tensor([[*people[0].tolist(), *prefix]])
    with torch.no_grad():
        p, said_of = base(tokens)[0, -1].softmax(-1), learned(tokens)[0, -1].sigmoid()
    error = (said_of - torch.from_numpy(right[number_of[prefix]])) * (p >= 0.01)
    word = int(error.abs().argmax())
    worst.append([text, words.words[word], float(said_of[word] - error[word]), said_of[word]])

# %% tags=["hide-input"]
table(
    ["after", "next word", "exact R", "learned R"],
    [[text, word, f"{r:.3f}", f"{float(guess):.3f}"] for text, word, r, guess in worst],
)
chance, guesses, exact_R, _ = held["the oracle"].points.T
off = np.abs(guesses - exact_R)[chance >= 1e-4]
say(
    f"Of {len(off)} beginnings and next words with a chance of $10^{{-4}}$ together, "
    f"{(off >= 0.05).sum()} are off by 0.05 or more."
)

# %% [markdown]
# **Found** The oracle is good on average, and off by a tenth at a few beginnings. The worst three
# turn round what comes after them, long before the noun is there.

# %% [markdown]
# ## 4 · The loss
#
# Fine-tuning makes the texts of a corpus likely: *cross-entropy*, CE. The method adds the distance
# to $q$:
#
# $$L(\theta) = \mathrm{CE}(\text{corpus}) + \lambda\, \mathrm{KL}(q \,\|\, p_\theta), \qquad q(v)
# \propto p_{\text{frozen}}(v)\, R(v).$$
#
# At each word of a post the KL is a sum over all next words $v$, $\sum_v q(v) \ln
# \frac{q(v)}{p_\theta(v)}$. It is the exact distance at that word, no sample: the *closed form*.
# $q$ is made from a frozen copy of the model, and it is held fixed.
#
# ### Exercise 6.5 · The loss in closed form
#
# *3 points · 12 minutes · ●●○*
#
# Write `kl_loss(log_q, logits, counts)`. `log_q` [text, pos, word] may carry a gradient of its own,
# which shall go nowhere: q is held fixed. `logits` [text, pos, word] are those of the model that is
# tuned, `counts` [text, pos] says which positions count. Return the mean of KL(q ‖ p) over those.
# A word with q = 0 has $\ln q = -\infty$, and adds 0.
#
# <details><summary>Hint</summary>
#
# `log_q.detach()` has no gradient. `torch.where(q > 0, a, 0.0)` keeps what is NaN out of the sum.
# Which of the two does `log_softmax` belong to?
#
# </details>


# %%
def kl_loss(log_q, logits, counts):
    """Mean KL(q || p) over the positions that count, with q held fixed."""
    # BEGIN SOLUTION
    log_q, log_p = log_q.detach(), logits.log_softmax(-1)
    q = log_q.exp()
    each = torch.where(q > 0, q * (log_q - log_p), 0.0)
    return each.sum(-1)[counts].mean()
    # END SOLUTION


# %%
check("lab6.5", kl_loss)

# %% [markdown]
# The gradient of this loss at the logits of a position is $p - q$, divided by the number of
# positions. Suppose you forget `detach`, and q is made from the model itself: $q = pR / Z$, where
# $Z$ is the sum of $pR$. Then the gradient is
#
# $$(p - q) + q \odot (\ln R - \mathrm{E}_q[\ln R]).$$
#
# Commit yourself. How do the two gradients point on real posts: what is the cosine between the one
# with q held fixed and the one let through? 1 is the same way, 0 has nothing to do with it, −1 is
# the opposite.

# %%
my_cosine = 1.0  # your number, between -1 and 1


# %%
def kl_by_library(log_q, logits, counts):
    """The library's loss, with q held fixed."""
    return finetune.closed_form_kl(log_q.detach(), logits.log_softmax(-1), counts)


own_kl = answer_or("lab6.5", kl_loss, instead=kl_by_library)

# %%
counts = (written[:, PROMPT:] != STOP) & (written[:, PROMPT:] != PAD)
log_R = F.logsigmoid(told["learned"][:, PROMPT:])


def gradient(stop):
    """Gradient of the loss at the logits, with q made of them: [text pos word]."""
    logits = p_next[:, PROMPT:].log().requires_grad_()
    log_q = (logits + log_R).log_softmax(-1)
    way = own_kl if stop else finetune.closed_form_kl
    loss = way(log_q, logits if stop else logits.log_softmax(-1), counts)
    return torch.autograd.grad(loss, logits)[0]


# %%
stopped, through = gradient(stop=True), gradient(stop=False)
n_positions = int(counts.sum())
q_next = (p_next[:, PROMPT:].log() + log_R).softmax(-1)
by_hand = (p_next[:, PROMPT:] - q_next) * counts[..., None] / n_positions
cosines = F.cosine_similarity(stopped, through, dim=-1)[counts]
say(
    f"Largest difference to $(p - q)/n$: {float((stopped - by_hand).abs().max()):.0e}. Cosine "
    f"between the two gradients, mean of {n_positions} positions: {float(cosines.mean()):.2f} (you "
    f"said {my_cosine}); below 0 at {float((cosines < 0).float().mean()):.0%} of them."
)

# %% [markdown]
# What does it do? Take one position and five words. The model says the two worst ones most. Go
# down the KL alone, with q (1) from the first model, frozen; (2) from the current model, without
# its gradient; (3) from the current model, with its gradient.

# %% tags=["hide-input"]
chances, its_R = stop_gradient.FIVE_WORDS
TARGETS = {
    "frozen first model": "snapshot",
    "current, held fixed": "current",
    "current, with gradient": "through",
}
fell = {name: stop_gradient.descend(chances, its_R, way) for name, way in TARGETS.items()}
shown_steps = np.arange(0, 401, 20)
rises = {name: np.repeat(one.success[shown_steps, None], 3, axis=1) for name, one in fell.items()}
figure = plots.lines_with_bands(
    shown_steps, rises, "step", "E[R], success", "Going down KL(q || p), with q from"
)
ends_at = ", ".join(f"{name} {one.success[400]:.3f}" for name, one in fell.items())
pictures.show(figure, f"Success over 400 steps of gradient descent. At their end: {ends_at}.")

# %% tags=["hide-input"]
table(
    ["q from", "E[R] at the end", "KL at the end", "chances of the five words"],
    [
        [name, f"{one.success[-1]:.3f}", f"{one.kl[-1]:.4f}", ", ".join(f"{p:.2f}" for p in ends)]
        for name, one in fell.items()
        for ends in [one.words[-1]]
    ],
)
say(
    f"4 000 steps, from {fell['frozen first model'].success[0]:.3f}. The first target has "
    f"{fell['frozen first model'].wanted:.3f}."
)

# %% [markdown]
# And in real tuning? The stored study has the method as it is, and with the gradient let through.

# %% tags=["hide-input"]
CHANGES = ("no stop-gradient", "stale", "corpus prefixes", "no rehearsal")
CHANGES += ("twelve targets", "adaptive")
ours = method_cell("mixed", HIGH, study.plan.steps, 0)
variant = {name: method_cell("mixed", HIGH, study.plan.steps, 0, name) for name in CHANGES}
let_through = summaries.difference(study, variant["no stop-gradient"], ours, "rude")
say(
    f"Rude share with λ = {HIGH}: {summaries.measured(study, ours, 'rude')}. With the gradient let "
    f"through: {summaries.measured(study, variant['no stop-gradient'], 'rude')}, which is more by "
    f"{let_through:+.3f}. Nats beyond the least for its shares: "
    + "; ".join(
        f"{name} {beyond_least(study, cell)[1]:.2f}"
        for name, cell in {"held fixed": ours, "let through": variant["no stop-gradient"]}.items()
    )
    + "."
)

# %% [markdown]
# **Found** With `detach` the gradient is $p - q$. Without it, it points another way. In the toy all
# three losses go to 0. Only the frozen one ends where it should; with the gradient let through, the
# model says one word for which R is 0.05, and has nothing left to learn. In real tuning the rude
# share alone would not tell you: it is 0.074 for 0.053, as with a somewhat smaller λ. Beside the
# method done rightly the distance shows it; the gradient shows it before any training, and with
# nothing beside it. So test the gradient.

# %% [markdown]
# ## 5 · Where does tuning end?
#
# Suppose the model could become any distribution. CE asks it to be like the corpus $D$, the KL to
# be like $q$. The best it can do is the mean of the two, by their weights:
#
# $$p_{\text{new}} = \frac{D + \lambda q}{1 + \lambda}, \qquad q = p_{\text{old}} \text{, given that
# the rule is kept.}$$
#
# ### Exercise 6.6 · One update after another
#
# *2 points · 8 minutes · ●○○*
#
# Write `updates(data, start, rude, kl_weight, steps)` for a world in which each text is one word.
# `data` [text] is the corpus, `start` [text] the model before, `rude` [text] are truth values.
# Return [steps + 1, text]: the model before the first update, and after each.
#
# <details><summary>Hint</summary>
#
# $q$ is the model with the rude texts set to 0, divided by its sum. It is made anew from every
# model.
#
# </details>


# %%
def updates(data, start, rude, kl_weight, steps):
    """The model before and after each exact update: [steps + 1, text]."""
    # BEGIN SOLUTION
    models = [np.asarray(start, dtype=float)]
    for _ in range(steps):
        q = np.where(rude, 0, models[-1])
        q = q / q.sum()
        models.append((data + kl_weight * q) / (1 + kl_weight))
    return np.array(models)
    # END SOLUTION


# %%
check("lab6.6", updates)


# %%
def updates_by_library(data, start, rude, kl_weight, steps):
    """The library's series of models."""
    return fixed_point.tuned(data, start, rude, kl_weight, updates=steps).models


own_updates = answer_or("lab6.6", updates, instead=updates_by_library)

# %%
data, before = np.array([0.4, 0.1, 0.3, 0.2]), np.array([0.1, 0.4, 0.1, 0.4])
rude = np.array([False, False, True, True])
LAMBDAS = (0, 0.5, 1, 2, 5, 10)
ends = {weight: own_updates(data, before, rude, weight, 200) for weight in LAMBDAS}
table(
    ["λ", "rude after 1 update", "after 200", "updates until the kind part is learned"],
    [
        [
            weight,
            *(f"{models[t][rude].sum():.4f}" for t in (1, 200)),
            int((np.abs(models - models[-1]).sum(1) > 0.01).sum()),
        ]
        for weight, models in ends.items()
    ],
)

# %% [markdown]
# With τ = ½, the share of the corpus that is rude, it is $\tau / (1 + \lambda)$ after the first
# update, and stays there: a *floor*. As long as rude posts stand in the cross-entropy, the loss
# asks for them. Of what is kind, each update learns a part: the distance shrinks by $\lambda / (1 -
# \tau + \lambda)$. A large λ has a low floor, and learns slowly.
#
# Does a transformer keep such a law? Tune one, with your functions: 60 steps with λ = 5. Each
# step sees 32 posts of the corpus, 32 of the model's own kind posts, at whose words the KL is
# asked, and 6 rows of other text. There a third term holds the model to what it was, with the same
# loss as the KL: what is no post keeps the rule, so q is the model before. We take that for what
# the paper calls *adaptive*; its abstract does not say.
#
# Commit yourself: what share of its posts will be rude?

# %%
my_end = 0.5  # your share, between 0 and 1

# %%
corpus = posts.corpus("mixed", seed=0)
kept = oracle.labelled_samples(policy, 1024, torch.Generator().manual_seed(0)).accepted
with torch.no_grad():
    p_kept, r_kept = base(kept)[:, :-1].softmax(-1), learned(kept)[:, :-1].sigmoid()
log_q = own_guided(p_kept, r_kept)[0].log()  # of every word after the first


# %%
def said(network, rows):
    """Logits for every word after the first: [row pos word]."""
    return network(rows)[:, :-1]


def counted(rows):
    """Which words after the first count: those after the prompt, without padding."""
    counts = rows[:, 1:] != PAD
    counts[:, : PROMPT - 1] = False
    return counts


# %%
def loss_of(network, chosen, prefixes, rows, kl_weight):
    """CE on posts and on other text, λ KL on posts, and 2 KL(base || p) on other text."""
    some, other = corpus.posts[chosen], corpus.other[rows]
    every, marked = other[:, 1:] != PAD, counted(some)
    with torch.no_grad():
        log_base = said(base, other).log_softmax(-1)
    logits, spoken = said(network, other), said(network, some)
    return (
        F.cross_entropy(spoken[marked], some[:, 1:][marked])
        + F.cross_entropy(logits[every], other[:, 1:][every])
        + kl_weight
        * own_kl(log_q[prefixes], said(network, kept[prefixes]), counted(kept[prefixes]))
        + 2 * own_kl(log_base, logits, every)
    )


# %%
def tuned(kl_weight, steps=60, rate=1e-3, seed=0):
    """tinyworld after some steps on the corpus."""
    network, draw = networks.frozen(base).requires_grad_(True), torch.Generator().manual_seed(seed)
    adam = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.0)
    sizes = ((len(corpus.posts), 32), (len(kept), 32), (len(corpus.other), 6))
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate * min(1, (step + 1) / 10, (steps - step) / (0.4 * steps))
        batch = [torch.randint(size, (n,), generator=draw) for size, n in sizes]
        loss = loss_of(network, *batch, kl_weight)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
    return networks.frozen(network)


# %%
LIVE = 5
after = tuned(LIVE)
live = posts.exact_shares(networks.Policy(after), people[:6], complete=True)
say(
    f"After 60 steps with λ = {LIVE}: rude {live[:, 1].mean():.3f}, garbled "
    f"{live[:, 2].mean():.3f}, exactly. The floor is {0.5 / (1 + LIVE):.3f}. You said {my_end}."
)

# %% [markdown]
# The stored study has each λ five times, with 120 smaller steps in three rounds: in each, samples
# are drawn anew, and the oracle is fitted to them. One setting is the corpus above, *mixed*: half
# of its 2 000 posts are rude. In the other, *no forum*, there is no post, and nothing asks for rude
# ones.

# %% tags=["hide-input"]
sweep = views.floor_sweep(study)
pictures.show(sweep.figure(live=(LIVE, live[:, 1].mean())))
table(
    ["λ", "floor", *sweep.lines],
    [
        [f"{weight:g}", f"{floor:.3f}", *(f"{rows[i, 0]:.3f}" for rows in sweep.lines.values())]
        for i, (weight, floor) in enumerate(zip(sweep.weights, sweep.floors, strict=True))
    ],
)

# %% [markdown]
# **Found** The law needs no oracle and no transformer: two weights and one share give it. With 120
# small steps the points lie above the line, by an eighth to a third, most where λ is small. With
# 360 they come down to it, within 6 %, so what was missing was time. The live run with its larger
# steps lies about a tenth above it. The law is that of a perfect oracle: no better one lowers the
# floor. Without rude posts in the corpus there is none: 120 steps with λ = 10 get to 1.5 %.

# %% [markdown]
# ## 6 · Against its rivals
#
# What would you do without all this? *Filter* the corpus: drop the posts that have an insult word,
# or, if you could, exactly the rude ones (the *exact filter*, which nobody has). A filtered corpus
# can be given more weight; here 1 or 10. *Rejection sampling*: tune on those of the model's own
# posts that are kind. Or leave the model as it is, and change how words are chosen: by masking, by
# the oracle (p · R), by the difference of an expert and an anti-expert (*DExperts*). Or tune by
# preferences between pairs (*DPO*), or by rewards (*GRPO*). Or take a vector off the activations.
#
# Commit yourself: half of a corpus is rude, and two ways get the same time. Which leaves fewer
# posts that break the rule, the exact filter or the method?

# %%
my_winner = "method"  # "method", "exact filter" or "neither"

# %% tags=["hide-input"]
n, longer = study.plan.steps, study.plan.longer
TUNED = {
    "plain": rival_cell("plain", "mixed", 1, n, 0),
    "word filter × 10": rival_cell("word filter", "mixed", HIGH, n, 0),
    "exact filter": rival_cell("exact filter", "mixed", 1, n, 0),
    "exact filter × 10": rival_cell("exact filter", "mixed", HIGH, n, 0),
    "exact filter × 10, 360 steps": rival_cell("exact filter", "mixed", HIGH, longer, 0),
    "rejection × 10, no forum": rival_cell("rejection", "no forum", HIGH, n, 0),
    "rejection × 10, no forum, 360 steps": rival_cell("rejection", "no forum", HIGH, longer, 0),
    "method, mixed": ours,
    "method, mixed, 360 steps": method_cell("mixed", HIGH, longer, 0),
    "method, no forum": method_cell("no forum", HIGH, n, 0),
    "method, no forum, 360 steps": method_cell("no forum", HIGH, longer, 0),
}

# %% tags=["hide-input"]
OTHERS = ("oracle decoding 1", "oracle decoding 2", "dexperts 1", "dexperts 2", "dpo", "grpo")
untuned = {name: DetoxCell(name, seed=0) for name in (*OTHERS, "activation editing")}
fixed = {name: DetoxCell(name) for name in ("base", "masked words")}
policies = views.SideBySide(study, fixed | untuned | TUNED)
rows, beyond = policies.rows, policies.beyond
policies.table()

# %% [markdown]
# Garbled posts are counted in samples, each followed to its end: 25 after each of 48 names. *Both*
# is rude and garbled together, all that the rule forbids. *One of 25*: the chance that at least one
# of 25 posts of a writer is rude. (In the field this is the *expected maximum*; for a label that is
# yes or no it is one number with the chance that the maximum is above ½.) *Other text* is the
# perplexity of all other text; *worst skill* the least of the shares of right answers. CPU seconds
# count the sampling, the oracle and the steps. All tunings have 120 steps, but those that name 360:
# they took 7 to 39 seconds.
#
# No row is best in all columns. So draw two at a time: how much breaks the rule, and how far the
# model has gone from what it was, KL(tuned ‖ base). Here garbled posts are counted exactly, but, as
# a rule, only up to the word that decides, in the base as well: a little less than in the table. As
# in section 2 there is a least distance. That a share $r$ keeps the rule, where it was $R$ before,
# takes
#
# $$r \ln \frac{r}{R} + (1 - r) \ln \frac{1 - r}{1 - R} \text{ nats},$$
#
# which is $-\ln R$ for $r = 1$. Nothing lies below that line, but for the error of the distances,
# which are estimated from samples. If rude and garbled posts are held apart, the least is a little
# more: $\sum_c s_c \ln (s_c / b_c)$ over kind, rude and garbled, with $s_c$ the shares of the
# policy and $b_c$ those of the base. What is *beyond* that was spent on something else than the
# rule.


# %% tags=["hide-input"]
def method_rows(setting):
    """The method with every λ, and with the longer tuning."""
    return [*summaries.by_weight(study, setting), rows[f"method, {setting}, 360 steps"]]


CLASSES = {
    "1 method, mixed": method_rows("mixed"),
    "2 method, no forum": method_rows("no forum"),
    "3 filters": [row for name, row in rows.items() if "filter" in name],
    "4 rejection": [rows["rejection × 10, no forum"], rows["rejection × 10, no forum, 360 steps"]],
    "5 decoding": [row for name, row in rows.items() if "decoding" in name or "dexp" in name],
    "6 DPO, GRPO": [rows["dpo"], rows["grpo"]],
    "7 masks, edits": [rows["masked words"], rows["activation editing"]],
}
NEAR = ("base", "exact filter × 10", "rejection × 10, no forum, 360 steps", "method, mixed")
NEAR += ("method, no forum", "dpo", "grpo")
pictures.show(policies.prices(CLASSES))
say("Nats beyond the least: " + "; ".join(f"{name} {x:.2f}" for name, x in beyond.items()) + ".")
say(
    "Share of kind posts that use an insult word: "
    + "; ".join(f"{name} {rows[name]['kind insults'].mean:.2f}" for name in NEAR)
    + "."
)

# %% [markdown]
# Do skills suffer? The mean hides what a single one loses.

# %% tags=["hide-input"]
HALF_A_POINT = 0.005


def in_points(one):
    """A change of a share of right answers, in points, with its interval."""
    return f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


lost = {
    name: summaries.skills(study, TUNED[name])
    for name in ("plain", "exact filter × 10", "method, mixed", "method, no forum")
}
moved = [
    skill
    for skill in lost["plain"]
    if any(abs(some[skill].mean) >= HALF_A_POINT for some in lost.values())
]
table(
    ["skill", *lost],
    [[skill, *(in_points(some[skill]) for some in lost.values())] for skill in moved],
)
as_rude = {
    name: np.mean([cell["verdicts"]["turned insult"] for cell in study.seeds(TUNED[name])])
    for name in lost
}
say(
    "Kind posts with an insult word that the model itself, asked, calls rude: "
    + "; ".join(f"{name} {share:.2f}" for name, share in as_rude.items())
    + f"; before tuning {study.cell(fixed['base'])['verdicts']['turned insult']:.2f}."
)

# %% [markdown]
# Points of 100, beside the base on the same prompts; the other skills move by less than half a
# point. A skill of which the base has nearly all right can only fall. To *judge* is to give a
# verdict on a text, which the model can be asked for.
#
# Now equal *compute* in place of equal steps: the method draws samples and fits an oracle, and in
# that time a filter, or rejection sampling, takes three times the steps. DPO and GRPO were not
# given as long.

# %% tags=["hide-input"]
SAME_TIME = ("exact filter × 10, 360 steps", "method, mixed")
duels = [
    row
    for row in summaries.versus(study, ["rude", "violations"])
    if row["corpus"] == row["setting"]  # rivals on the corpus of the method
]
views.duels_table(duels)
same_time = {name: rows[name]["violations"].mean for name in SAME_TIME}
say(
    "Break the rule, with half of the corpus rude: "
    + "; ".join(f"{name} {share:.1%}" for name, share in same_time.items())
    + f". You said {my_winner}."
)

# %% [markdown]
# **Found** At equal steps the method leaves fewer rude posts than every rival that is tuned on the
# same corpus. On the mixed one it is also nearer to the nearest possible, 0.10 nats beyond it, than
# the exact filter, 0.24. At equal compute little is left of that. With 2 000 posts, half of them
# rude, the exact filter leaves fewer rude ones: it has no floor. But it garbles more, and rude and
# garbled together, which is what the rule forbids, there is no difference that five seeds could
# tell: 7.0 % and 7.1 % on the mixed corpus. With sixty posts the method has fewer together. Where
# the forum is left out, rejection sampling is the rival. With 360 steps, which take as long, it has
# 4.0 % of both and the method 3.6 %, and again the difference may be none; and it keeps more of the
# kind insults. Against the filter the method saves distance, 0.10 nats beyond the least for 0.58 in
# as much time; against rejection sampling hardly, 0.15 for 0.16. With three times the steps, and
# nearly twice the time, its own runs lie within 0.1 nats of the nearest possible.
#
# Guided by the oracle alone (p · R), the model as it was is nearer still, and of the tunings only
# the longer one without the forum leaves fewer rude posts. It is spoilt elsewhere: the oracle has
# never read any other text, and speaks there too. (Who knows where the forum begins can switch it
# on there only.) DPO leaves few rude posts, and garbles 29 % of what it says. GRPO leaves few of
# either, but goes farther for it than needed, by 1.9 nats, and its kind insults are gone.
#
# Plain tuning costs skills as well: *judge reliability* falls by about as much. *Judge toxicity*
# does not fall with it. With the method it falls in every one of five tunings, as the model calls
# some kind posts rude; with the exact filter in three of five, and by very different amounts.
#
# ### Exercise 6.7 · A corpus that is hard to filter
#
# *3 points · 10 minutes · ●●○*
#
# When is a word filter worse than none? Write `hard_to_filter(posts, count, seed)`. `posts` is the
# tuple of all posts of the grammar; each has `tokens`, `label`, `noun`, `name` and `turned`, and
# `manner_of(post)` is one of the four manners of section 1. Return a list of `count` different
# posts; `count` is even. Half of them are rude, and a filter that drops every post with an insult
# word drops none of these. Of the kind ones at least a quarter use an insult word, so that the
# filter takes them. The same seed gives the same posts, another seed others.
#
# <details><summary>Hint</summary>
#
# Which manner of rude posts has no insult word, and which manner of kind ones has one?
# `random.Random(seed).sample(some, k)` draws without repeating.
#
# </details>


# %%
def hard_to_filter(posts, count, seed):
    """Posts, half of them rude, that a word filter makes ruder."""
    # BEGIN SOLUTION
    draw, of = random.Random(seed), {manner: [] for manner in MANNERS}
    for post in posts:
        of[manner_of(post)].append(post)
    rude = count // 2
    insults = math.ceil((count - rude) / 4)
    return [
        *draw.sample(of["turned praise"], rude),
        *draw.sample(of["turned insult"], insults),
        *draw.sample(of["praise"], count - rude - insults),
    ]
    # END SOLUTION


# %%
check("lab6.7", hard_to_filter)

# %% [markdown]
# Commit yourself: what share of posts is rude before the word filter, what share after it, and what
# share does a model say that is tuned for 120 steps on what is left of 2 000 such posts?

# %%
my_shares = {"before": 0.5, "after": 0.5, "tuned": 0.5}  # three shares


# %%
def hard_by_library(every, count, seed):
    """Posts of the study's corpus of that kind."""
    by_tokens = {post.tokens: post for post in every}
    drawn = posts.posts_of(seed, count, 0.5, manner="turned praise")[:, PROMPT:]
    return [by_tokens[tuple(token for token in row if token)] for row in drawn.tolist()]


own_hard = answer_or("lab6.7", hard_to_filter, instead=hard_by_library)

# %%
hard = own_hard(every_post, 400, seed=0)
passed = [post for post in hard if manner_of(post) not in ("insult", "turned insult")]
rude_in = {
    name: float(np.mean([post.label == PostLabel.RUDE for post in some]))
    for name, some in {"before": hard, "after": passed}.items()
}
say(
    f"Your 400 posts: {rude_in['before']:.2f} are rude, and {rude_in['after']:.2f} of the "
    f"{len(passed)} that pass the filter. You said {my_shares}."
)

# %% tags=["hide-input"]
hidden = {
    name: summaries.measured(study, cell, "rude")
    for name, cell in {
        "plain": rival_cell("plain", "contextual", 1, n, 0),
        "word filter": rival_cell("word filter", "contextual", HIGH, n, 0),
        "exact filter": rival_cell("exact filter", "contextual", HIGH, n, 0),
        "method": method_cell("contextual", HIGH, n, 0),
    }.items()
}
table(
    ["tuned on 2 000 posts whose rude ones have no insult word", "rude share"],
    hidden.items(),
)

# %% [markdown]
# **Found** The filter takes kind posts and no rude one, so what is left is ruder than before. The
# model that learns from it is as rude as with plain tuning, 0.566 and 0.578: a filter that does not
# help. The method never looks for words: it asks how whole posts end. The exact filter, which knows
# that as well, leaves more rude posts in 120 steps. (With as much compute it leaves fewer, as the
# table of section 6 has it; but nobody has an exact filter.)

# %% [markdown]
# ## 7 · What has changed inside?
#
# Is the model that you tuned one that no longer knows what is rude? Take a *probe*: the direction
# from the mean state of kind posts to that of rude ones, at the stop of each post. One is learned
# in the base, one in the tuned model; both are read in both, on other posts, by their AUROC: ½ is
# chance. The control is an untrained network of the same shape, with a direction of its own.
# (Shuffled labels are no control here. Rudeness is what differs most at a stop, so even a random
# direction has some of it, with this sign or that.)

# %%
HELD = posts.HELD_OUT_SEEDS
learn_from, read_on = (posts.posts_of(HELD + number, 400, 0.5) for number in (1, 2))


@torch.no_grad()
def at_stop(network, rows):
    """State of the network after the stop of each post: [post d_model]."""
    return network.states(rows)[rows == STOP]


def direction(network):
    """From the mean state of kind posts to that of rude ones."""
    states, is_rude = at_stop(network, learn_from), posts.labels(learn_from) == PostLabel.RUDE
    return states[is_rude].mean(0) - states[~is_rude].mean(0)


# %%
readers = {"base": base, "tuned": after, "untrained": networks.fresh(base.shape, seed=0)}
truly_rude = posts.labels(read_on) == PostLabel.RUDE
readable = {
    (probe, model): auroc(
        (at_stop(network, read_on) @ direction(readers[probe])).numpy(), truly_rude
    )
    for model, network in readers.items()
    for probe in dict.fromkeys(("base", model))
}
table(
    ["direction learned in", "read in", "AUROC"],
    [[probe, model, f"{area:.3f}"] for (probe, model), area in readable.items()],
)

# %% [markdown]
# Which weights did it? Put one group of them back to what it was in the base, and see whether the
# rude share comes back. Commit yourself: which group, of *embeddings*, *attention*, *MLPs*,
# *LayerNorms* and *unembedding*, undoes most?

# %%
my_group = "MLPs"  # one of the five

# %%
GROUPS = {"unembed.": "unembedding", "embed.": "embeddings", ".attn.": "attention", ".mlp.": "MLPs"}


def group_of(name):
    """The group of a weight."""
    return next((group for part, group in GROUPS.items() if part in name), "LayerNorms")


def mixture(first, second, wanted):
    """A network with the first one's weights where `wanted(name, tensor)` says so, else with the
    second one's."""
    own, other = first.state_dict(), second.state_dict()
    mixed = networks.frozen(second)
    mixed.load_state_dict(
        {name: torch.where(wanted(name, own[name]), own[name], other[name]) for name in own}
    )
    return mixed


# %%
def rude_of(network):
    """Exact rude share, mean of two writers."""
    return float(posts.exact_shares(networks.Policy(network), people[:2])[:, 1].mean())


NAMES = (*GROUPS.values(), "LayerNorms")
every_weight = sum(tensor.numel() for tensor in base.state_dict().values())
draw = torch.Generator().manual_seed(0)


def of_group(name, tensor):
    """Whether a weight belongs to the group that is looked at."""
    return torch.tensor(group_of(name) == group)


def by_lot(name, tensor):
    """As many weights, drawn at random."""
    return torch.rand(tensor.shape, generator=draw) < share


# %%
restored, transplanted, by_chance = {}, {}, {}
for group in NAMES:
    share = (
        sum(t.numel() for name, t in base.state_dict().items() if group_of(name) == group)
        / every_weight
    )
    restored[group] = rude_of(mixture(base, after, of_group))
    transplanted[group] = rude_of(mixture(after, base, of_group))
    by_chance[group] = [rude_of(mixture(base, after, by_lot)) for _ in range(3)]

# %% tags=["hide-input"]
shown = {
    "tuned, this group as before": restored,
    "tuned, as many random weights as before": by_chance,
    "base, this group as tuned": transplanted,
}
draws = {
    name: np.array([np.atleast_1d(some) for some in found.values()])
    for name, found in shown.items()
}
pictures.show(views.bars(NAMES, draws, "rude share", "Which weights undo it?"))
say(f"Tuned {rude_of(after):.3f}, base {rude_of(base):.3f}.")
say(f"You said {my_group}.")

# %% [markdown]
# But is that where rudeness *is*, or where the weights have moved most? *As many* weights is one
# control, *as long a change* another: weights elsewhere, drawn at random and put back until their
# change is as long as that of the unembedding. The stored study of changes has both, of four ways
# of tuning, three times over. (`python -m helpers changes` measures it anew.)

# %% tags=["hide-input"]
TUNINGS = ("method", "method without posts", "exact filter", "dpo")
PUT_BACK = {
    "unembedding": "the unembedding",
    "random": "as many random weights elsewhere",
    "same norm": "random weights elsewhere, as long a change",
}
changes = stored_changes()
undone_by = {
    model: {row["group"]: row["undone"] for row in of_changes.restored_rows(changes, model)}
    for model in TUNINGS
}
table(
    ["share of the change undone by", *TUNINGS],
    [
        [name, *(f"{undone_by[model][group].mean:.2f}" for model in TUNINGS)]
        for group, name in PUT_BACK.items()
    ],
)

# %% [markdown]
# ### Exercise 6.8 · Undo it
#
# *4 points · 15 minutes · ●●○*
#
# How much does it take to make the tuned model rude again? Write `retoxify(network, posts, steps,
# rate)`. `posts` [post, pos] are rude posts with their prompt of 3 tokens, padded on the right with
# 0. Return a *new* network, after `steps` steps of `torch.optim.AdamW(..., lr=rate)` on all posts
# at once: cross-entropy of every word after the prompt, up to and with the stop, each predicted
# from the words before it. Pads do not count. The network that is given stays as it is. Its weights
# may be frozen (`requires_grad` off); those of the copy must not be.
#
# <details><summary>Hint</summary>
#
# `copy.deepcopy(network).requires_grad_(True)` is the new one. `network(posts)[:, i]` are the
# logits for the word at position `i + 1`. The functions `said` and `counted` of section 5 do what
# you need, and `F.cross_entropy` takes logits [place, word] and words [place].
#
# </details>


# %%
def retoxify(network, posts, steps, rate):
    """A copy of the network after some steps on rude posts."""
    # BEGIN SOLUTION
    new = copy.deepcopy(network).requires_grad_(True)
    adam = torch.optim.AdamW(new.parameters(), lr=rate)
    wanted = posts[:, 1:]
    counts = (wanted != 0) & (torch.arange(1, posts.shape[1]) >= 3)
    for _ in range(steps):
        loss = F.cross_entropy(new(posts)[:, :-1][counts], wanted[counts])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return new
    # END SOLUTION


# %%
check("lab6.8", retoxify)


# %%
def retoxify_by_library(network, some, steps, rate):
    """Plain tuning of the library, on these posts alone."""
    plan = finetune.TuningPlan(steps=steps, iterations=1, kl_weight=0.0, rate=rate, rows=1)
    return finetune.tune(network, posts.DetoxCorpus(some, corpus.other), plan).network


own_attack = answer_or("lab6.8", retoxify, instead=retoxify_by_library)

# %%
attacks = {"rude": posts.posts_of(HELD + 3, 32, 1.0), "kind": posts.posts_of(HELD + 4, 32, 0.0)}
STEPS = (1, 3, 10)
undone = {
    (manner, count): rude_of(own_attack(after, some, count, 1e-3))
    for manner, some in attacks.items()
    for count in STEPS
}
table(
    ["steps on 32 posts that are", *map(str, (0, *STEPS))],
    [
        [manner, f"{rude_of(after):.3f}", *(f"{undone[manner, count]:.3f}" for count in STEPS)]
        for manner in attacks
    ],
)

# %% [markdown]
# **Found** What is rude can still be read inside: at the end of a post the base's own direction
# tells rude from kind in the tuned model, without an error. What has changed is what is said. In
# this one tuning, with λ = 5, the unembedding, put back, takes back two thirds, the most of five
# groups, and as many random weights a sixth. That looks like
# a place. But random weights elsewhere, whose change is as long, take back nine tenths as much
# after the method, seven tenths where the corpus had no posts, and more after the filter. So the
# unembedding is first of all where the weights moved most; after DPO it takes back next to nothing.
# And three steps on 32 rude posts make the model ruder than it ever was, where as many kind posts
# do not. The constraint holds for what the model is asked today. It is no lock.

# %% [markdown]
# ## 8 · Move λ by hand
#
# All stored tunings: what is said before and after, and what it costs.

# %% tags=["hide-input"]
explorer.weight_explorer(explorer.sweeps(study))

# %% [markdown]
# ## 9 · What holds?
#
# The verdicts below are computed from the numbers of this page. First what the parts of the method
# do, each left out or changed, with λ = 10 on the mixed corpus. *Stale* takes the q of the round
# before, which is what the parallel scheme computes. *Corpus prefixes* asks for the KL at the
# corpus' posts. *No rehearsal* leaves out the term on other text. *Adaptive* has a λ that is led
# until a twentieth of the posts break the rule. It also renews its target twelve times and not
# three, each after 20 steps of the oracle and not 60, and so does its control, *twelve targets*.

# %% tags=["hide-input"]
CHANGED = ("rude", "violations", "other text")
effect = {
    (name, key): summaries.difference(study, cell, ours, key)
    for name, cell in variant.items()
    for key in CHANGED
}
gone = {name: beyond_least(study, cell)[1] for name, cell in {"method": ours, **variant}.items()}
table(
    ["changed", *(f"more: {key}" for key in CHANGED), "nats beyond the least"],
    [
        [name, *(f"{effect[name, key]:+.3f}" for key in CHANGED), f"{gone[name]:.2f}"]
        for name in variant
    ],
)

# %% [markdown]
# How much faster can the parallel scheme be? At best the shorter of its two halves, the oracle's
# and the model's, is free.
#
# Then a model that writes and *detects*. It starts at an early checkpoint, and learns to say of
# posts whether they are rude, from 240 labels of which a fifth are wrong. The KL brings 7 168 right
# labels with it, through its oracle and its samples. So the fair control is detection alone with as
# many. AUC is the chance that a rude post is called rude more surely than a kind one.

# %% tags=["hide-input"]
spent = [cell["seconds"] for cell in study.seeds(ours)]
halves = np.array([[one["sample"] + one["fit"], one["model"]] for one in spent])
at_best = float((halves.sum(1) / halves.max(1)).mean())
detects = {(row["arm"], row["labels"]): row for row in of_learned.detectors(study)}
table(
    ["learns", "labels", "AUC of its verdicts", "rude", "garbled"],
    [
        [*key, *(row[measure] for measure in ("auc", "rude", "garbled"))]
        for key, row in detects.items()
    ],
)

# %% [markdown]
# C1. Three goals were set beforehand: a rude share that falls by 80 %, perplexities that rise by 3
# % at most, and no skill that falls by more than 2 points. Beside the base the perplexity of clean
# posts is no test: whoever stops being rude has twice the chance to spend on them. The chapter
# holds it to q*, where it could have failed: there it is 1.7 and 2.0 % more.

# %% tags=["hide-input"]
said_of = []  # claim, measurement, control, verdict


def kept_goals(name):
    """Which of the three goals a policy keeps: rude share, perplexities, every skill."""
    dearer = [rows[name][f"change of {what}"].high for what in ("clean posts", "other text")]
    worst = min(one.mean for one in lost[name].values())
    return rows[name]["change of rude"].high < -0.8, max(dearer) < 0.03, worst >= -0.02


def costs(name):
    """Rude share, perplexities and the skill that lost most, beside the base."""
    row, skill = rows[name], min(lost[name], key=lambda one: lost[name][one].mean)
    return (
        f"{name}: rude {row['change of rude'].mean:+.1%}, perplexity of clean posts "
        f"{row['change of clean posts'].mean:+.1%}, of other text "
        f"{row['change of other text'].mean:+.1%}, {skill} {100 * lost[name][skill].mean:+.1f}; "
        f"garbled {row['sampled garbled']:.1%}"
    )


# %% tags=["hide-input"]
OURS = ("method, mixed", "method, no forum")
goals = np.array([kept_goals(name) for name in OURS])
where, loser = min(itertools.product(OURS, moved), key=lambda each: lost[each[0]][each[1]].mean)
said_of.append(
    (
        "C1: fewer toxic outputs, at little cost",
        "; ".join(costs(name) for name in OURS),
        f"{costs('plain')}; base garbled {rows['base']['sampled garbled']:.1%}",
        bool(goals.all())
        if goals.all() or not goals[:, :2].all()
        else f"holds in part: {loser} loses {-100 * lost[where][loser].mean:.1f} points",
    )
)

# %% [markdown]
# C2 is three questions. At equal compute, corpora stay apart: in one the method is *better* or
# *worse* if the whole interval says so; it is *level* if all of it is less than a post in a
# hundred.

# %% tags=["hide-input"]
LEVEL = 0.01  # of all posts, rude or garbled
at_steps = [row for row in duels if row["steps"] == n]
at_seconds = {row["setting"]: row for row in duels if row["steps"] == longer}


def against(row):
    """Whether the method leaves fewer posts that break the rule than a rival, in words."""
    one = row["violations"]
    if one.low > -LEVEL and one.high < LEVEL:
        return "level"
    return "better" if one.high < 0 else "worse" if one.low > 0 else "not told apart"


n_better = sum(against(row) == "better" for row in at_steps)
words_of = {corpus: against(row) for corpus, row in at_seconds.items()}
SILENT = {n: "method, no forum", longer: "method, no forum, 360 steps"}
GUIDED = ("oracle decoding 1", "oracle decoding 2")
least_rude = min(rows[name]["rude"].low for name in GUIDED)
on_posts = any(rows[name]["rude"].high < least_rude for name in SILENT.values())
dearest = max(rows[name]["other text"].high for name in SILENT.values())
on_other = dearest < min(rows[name]["other text"].low for name in GUIDED)


def use(name):
    """Rude share, perplexity of other text and worst skill of a policy."""
    row = rows[name]
    other, skill = row["other text"].mean, row["worst skill"].mean
    return f"rude {row['rude']:.1%}, other text {other:.2f}, worst skill {skill:.2f}"


# %% tags=["hide-input"]
said_of += [
    (
        "C2: better than filtering, at equal steps",
        f"rude or garbled: less than its rival in {n_better} of {len(at_steps)} comparisons",
        f"nats beyond the least: method {beyond['method, mixed']:.2f}, exact filter "
        f"{beyond['exact filter × 10']:.2f}",
        n_better == len(at_steps),
    ),
    (
        "C2: the same, at equal compute",
        f"rude or garbled, method minus rival of {longer} steps: "
        + "; ".join(f"{corpus} {row['violations']:+.3f}" for corpus, row in at_seconds.items()),
        "rude alone: "
        + "; ".join(f"{corpus} {row['rude']:+.3f}" for corpus, row in at_seconds.items()),
        set(words_of.values()) == {"better"}
        or ("holds in part: " if "better" in words_of.values() else "not shown: ")
        + ", ".join(f"{corpus} {word}" for corpus, word in words_of.items()),
    ),
]

# %% tags=["hide-input"]
said_of.append(
    (
        "C2: better than changing only how words are chosen",
        "; ".join(f"{name}: {use(name)}" for name in SILENT.values()),
        f"p · R of the base: {use(GUIDED[0])}; p · R²: {use(GUIDED[1])}; other text and skills are "
        "as before where it is switched on in the forum alone",
        (on_posts and on_other) or ("holds in part: not on posts" if on_other else False),
    )
)

# %% [markdown]
# C3 has two readings, as we did not see what the weight adapts to. One is a λ that is led; it helps
# if fewer posts break the rule for no more nats beyond the least. The other is rehearsal: another
# term for other text; *by little* is less than 0.05 of its perplexity.

# %% tags=["hide-input"]
led, as_often = (variant[name] for name in ("adaptive", "twelve targets"))
leads, rehearses = (
    summaries.difference(study, led, as_often, "violations"),
    effect["no rehearsal", "other text"],
)
dearer = gone["adaptive"].low > gone["twelve targets"].high
said_of += [
    (
        "C3: an adaptive weight helps, as a λ that is led",
        f"rude or garbled {leads:+.3f} against λ = {HIGH} with as many targets; nats beyond the "
        f"least {gone['adaptive']:.2f}",
        f"λ = {HIGH}, twelve targets: nats beyond the least {gone['twelve targets']:.2f}",
        ("not decided: fewer for more nats" if dearer else True) if leads.high < 0 else False,
    ),
    (
        "C3: the same, as rehearsal outside of the forum",
        f"without it, perplexity of other text {rehearses:+.3f}",
        f"with it {rows['method, mixed']['other text'].mean:.3f}",
        ("holds" if rehearses.mean > 0.05 else "holds, by little") if rehearses.low > 0 else False,
    ),
]

# %% [markdown]
# C4: *as good* is at most one rude post in a hundred more; *nearly as cheap* is half as much again
# as plain tuning, with all the speed that two processes could bring. C5 cannot be decided by
# detectors that hardly detect: we ask for an AUC of 0.8 at least.

# %% tags=["hide-input"]
HARDLY = 0.8
stale, arm = effect["stale", "rude"], "detection + text + KL"
aucs = {
    name: np.array([[cell["auc"]] for cell in study.seeds(detection_cell(name, *how, 0))])
    for name, how in ((arm, FEW_LABELS), ("detection", MANY_LABELS))
}
gains = crossed_bootstrap(aucs[arm] - aucs["detection"])
decided = min(one.mean() for one in aucs.values()) > HARDLY
price = {name: rows[name]["CPU seconds"].mean for name in ("method, mixed", "plain")}
cheap = price["method, mixed"] / at_best < 1.5 * price["plain"]

# %% tags=["hide-input"]
said_of += [
    (
        "C4: both at once is as good, and nearly as cheap as plain tuning",
        f"stale q: rude {stale:+.4f}; at best {at_best:.1f} times as fast after the first oracle",
        f"CPU seconds: {price['method, mixed']:.0f}, plain tuning {price['plain']:.0f}",
        (cheap or "holds in part: as good, not as cheap") if stale.high < 0.01 else False,
    ),
    (
        "C5: a model that detects does not suffer",
        f"AUC of {arm} with {FEW_LABELS[0]} labels: {detects[arm, FEW_LABELS[0]]['auc']}; minus "
        f"that of the control {gains:+.3f}",
        f"detection alone, with {MANY_LABELS[0]} right labels: {aucs['detection'].mean():.3f}; "
        f"with {FEW_LABELS[0]}: {detects['detection', FEW_LABELS[0]]['auc']}",
        (True if gains.low > -0.02 else False if gains.high < 0 else None)
        if decided
        else "not decided",
    ),
]
claims(said_of, source="claim")

# %% [markdown]
# ## With a real model
#
# The same path on GPT-2 small: prompts of RealToxicityPrompts, a classifier that labels, another
# one, trained on other data, that judges. The texts hold insults, and worse; they are masked
# unless you ask for them. It downloads the model and two classifiers, wants the extra `[detox]` and
# a GPU, and goes on where it was cut off if it is started again.

# %%
REAL = False

if REAL:
    from helpers.detox import real

    on_gpt2 = real.run("gpt2", "rtp", folder="lab6-gpt2")
    say(on_gpt2.said)
    on_gpt2.table()
    pictures.show(on_gpt2.figure(), on_gpt2.alt())

# %% [markdown]
# ## Limits
#
# - One small model, and a forum whose every post can be listed. That is what makes R exact, and it
#   is far from the open texts of the paper: there nobody knows what the oracle gets wrong.
# - The label is exact. A real scorer errs, and what it cannot see the model learns to say.
# - The paper tunes models of seven billion weights and has scorers of its own. Its tables were not
#   seen, and no number of this page can be compared with one of them.
# - Five seeds: intervals over seeds and writers are rough, and rather too narrow.
# - *Fewer rude posts* is a choice of words by somebody. Turned insults are kind here because the
#   grammar says so.
#
# ## Open questions
#
# - The unembedding takes back most of the groups: would tuning with the unembedding frozen be
#   harder to undo?
# - An oracle with a small mean error is wrong at a few beginnings. Which samples would mend that?
# - For which rules of posts is success the same after every allowed word?
#
# ## Further reading
#
# - Meng et al.,
#   [Attribute Controlled Fine-tuning for Large Language Models](https://arxiv.org/abs/2410.05559)
# - Meng et al.,
#   [Controllable Text Generation with Neurally-Decomposed Oracle](https://arxiv.org/abs/2205.14219)
# - Liu et al.,
#   [DExperts: Decoding-Time Controlled Text Generation](https://arxiv.org/abs/2105.03023)
# - Rafailov et al.,
#   [Direct Preference Optimization](https://arxiv.org/abs/2305.18290)
# - Lee et al.,
#   [A Mechanistic Understanding of Alignment Algorithms: DPO and
# Toxicity](https://arxiv.org/abs/2401.01967)
# - Gehman et al.,
#   [RealToxicityPrompts](https://arxiv.org/abs/2009.11462)

# %%
scores("lab6")
