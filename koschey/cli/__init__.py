"""The commands. Exit code 0: done; 1: refused or failed; 2: cannot start, or the command line is wrong.

Each module adds its commands to `root.cli`, reads their command lines, and calls one function of `koschey.commands`.
What a command needs is imported when it runs, so that each loads only its own part.
"""

import sys
from typing import NoReturn

from koschey.cli import asking, decisions, evidence, policy, processes, publishing, reports
from koschey.cli.root import cli
from koschey.errors import KoscheyError, StartError
from koschey.terminal import say

__all__ = ["asking", "cli", "decisions", "evidence", "main", "policy", "processes", "publishing", "reports"]


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
