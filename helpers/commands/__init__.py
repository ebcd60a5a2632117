"""The commands of ``python -m helpers``: a file for each, under the command's name.

A command has ``add_arguments(parser)`` and ``run(arguments) -> int``; `helpers.cli` lists them.
"""
