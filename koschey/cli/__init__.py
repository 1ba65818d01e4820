"""The command line: one module for each word that a user types after `koschey`.

`koschey downloads` is the module `downloads`: its docstring is the help, `command` declares the options, and what the
command does stands below. A module is imported when its command is used. `base` holds what several commands share.

Exit code 0: done; 1: refused or failed; 2: the command cannot start, or the command line is wrong.
"""

import sys
from typing import NoReturn

import click

from koschey import __version__
from koschey.cli.base.lazy_group import LazyGroup
from koschey.errors import KoscheyError, StartError
from koschey.terminal.lines import say

HELP = """Run Koschey, a Python package index, and decide what it serves.

Koschey mirrors other indexes, hosts private packages, and holds new public releases in quarantine.

Example: koschey up
"""


@click.group(
    cls=LazyGroup,
    package=__name__,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="koschey")
def cli() -> None:
    """Each command does its own work."""


def main() -> NoReturn:
    """Run the command line; every expected error is one line on standard error."""
    try:
        cli(standalone_mode=True)
    except StartError as error:
        _fail(error, 2)
    except KoscheyError as error:
        _fail(error, 1)
    sys.exit(0)


def _fail(error: KoscheyError, code: int) -> NoReturn:
    say(*f"koschey: {error}".split("\n"), err=True)
    sys.exit(code)
