"""The course: labs made from one source each, and checks of answers that name the likely mistake.

- `check`: what a lab calls; an exercise, its check, and the verdict on an answer.
- `expect`: comparisons for checks, each of which says in words what is wrong.
- `sheet`: the scores of one run of a lab.
- `checks`: the checks themselves, one module per lab.
- `labs`: from the source of a lab to its notebooks, and running them.
"""
