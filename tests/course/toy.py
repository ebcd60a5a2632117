"""A whole lab in miniature, as a specimen for the tests: source, checks, facts, mutants."""

from types import SimpleNamespace

from helpers.course.asking import call
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function, expect_number, expect_type
from helpers.course.values import as_array
from helpers.course.wrong import Wrong

SOURCE = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Lab 99 · Averages
#
# See [the chapter](../book/chapter.md) and ![a line](../book/figures/line.png).

# %% tags=["setup"]
from helpers import runtime

runtime.start("lab99")

# %%
from helpers.course.check import check, scores

# %matplotlib inline

# %% [markdown]
# ### Exercise lab99.1 · Mean
# 2 points · 5 minutes · ●○○
#
# <details><summary>Hint</summary>
#
# Count the values.
# </details>

# %%
def mean(values):
    """Arithmetic mean of a list."""
    # BEGIN SOLUTION
    solution_total = sum(values)
    return solution_total / len(values)
    # END SOLUTION


# %%
check("lab99.1", mean)

# %% [markdown]
# ### Exercise lab99.2 · Spread
# 3 points · 5 minutes · ●●○
#
# <details><summary>Hint</summary>
#
# The mean comes first.
# </details>

# %%
def spread(values):
    # BEGIN SOLUTION
    solution_mean = mean(values)
    # END SOLUTION
    squares = [(value - solution_mean) ** 2 for value in values]
    # BEGIN SOLUTION
    return sum(squares) / len(values)
    # END SOLUTION


# %%
check(
    "lab99.2",
    spread,
)

# %% [markdown]
# ### Exercise lab99.3 · Count
# 1 point · 1 minute · ●○○
#
# <details><summary>Hint</summary>
#
# Use your fingers.
# </details>

# %%
def count():
    # BEGIN SOLUTION
    return 4  # how many
    # END SOLUTION


# %%
check("lab99.3", count)

# %%
scores("lab99")
'''


@exercise("lab99.1", points=2, title="Mean")
def mean(answer):
    values = [1.0, 2.0, 6.0]
    mistakes = {"did you take the sum?": 9.0, "did you take the median?": 2.0}
    expect_close(call(answer, values), 3.0, mistakes=mistakes)


@exercise("lab99.2", points=3, title="Spread")
def spread(answer):
    expect_function(answer)
    value = call(answer, [1.0, 2.0, 6.0])
    expect_number(value)
    if abs(as_array(value).item() - 7.0) < 1e-6:
        raise Wrong("did you divide by the number less one?", points=1)
    expect_close(value, 14 / 3, name="the variance")
    return "the population variance"


@exercise("lab99.3", points=1, title="Count")
def count(answer):
    value = call(answer)
    expect_type(value, int)
    if value != 4:
        raise Wrong("there are more" if value < 4 else "there are fewer")


def facts(lab: SimpleNamespace) -> dict[str, bool]:
    """What the lab says it found, and whether it is true."""
    return {"the mean of two numbers": lab.mean([1, 2]) == 1.5, "there are four": lab.count() == 4}


def mutants(solved: dict) -> dict[str, list]:
    """Wrong answers to each exercise; ``solved`` holds the variables of the solution notebook."""
    right = solved["spread"]
    return {
        "lab99.1": [sum, max, lambda values: sorted(values)[1]],
        "lab99.2": [
            lambda values: right(values) ** 0.5,
            lambda values: right(values) * 1.5,
            lambda values: -right(values),
        ],
        "lab99.3": [lambda: 3, lambda: 5, lambda: 4.5],
    }
