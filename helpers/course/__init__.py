"""The course: labs made from one source each, and checks of answers that name the likely mistake.

- `check`: what a lab calls; an exercise, its check, and the verdict on an answer.
- `asking`: calls the student's code, on copies; `state`: puts back what it changes for other code.
- `expect`: comparisons for checks, each of which says in words what is wrong; `values`: which types
  are numbers; `wrong`: the exception that says it.
- `origin`: whose code it is: the student's, ours, or a library's.
- `sheet`: the scores of one run of a lab.
- `fallback`: what a lab goes on with where an exercise is open.
- `checks`: the checks themselves, one module per lab.
- `labs`: from the source of a lab to its notebooks, and running them.
"""
