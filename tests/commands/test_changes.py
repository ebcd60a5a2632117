"""The command that measures what tuning changes takes its networks from where tuning keeps them."""

import argparse

from helpers.commands import changes, detox
from helpers.files.cells import beside


def defaults(command) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([])


def test_networks_are_looked_for_where_the_other_command_keeps_its_cells():
    assert defaults(changes).models == beside(defaults(detox).out)
