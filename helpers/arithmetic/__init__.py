"""Verified arithmetic circuits: models that add and subtract, and proof of what they do.

The paper is Quirke, Neo and Barez, "Understanding Addition and Subtraction in Transformers"
(arXiv 2402.02619).

- `questions`: what is asked, how it becomes tokens, and how hard it is.
- `verification`: how often a model is wrong, on how many questions of which class.
- `circuit`: what each node carries, which nodes suffice, and who uses them.
- `training`: recipes of the models, and a trained adder inserted into a larger model.
- `reuse`: what a mixed model still uses of the adder that was inserted into it.
- `explorer`: the view for the page, and the live version with ipywidgets.
"""
