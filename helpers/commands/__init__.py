"""The commands of ``python -m helpers``: a file for each, under the command's name.

A command has ``add_arguments(parser)`` and ``run(arguments, results) -> int``; `helpers.cli` lists
them. It prints to `results` what a program may read, and says all else to standard error.
"""
