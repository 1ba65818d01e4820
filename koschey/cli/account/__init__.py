"""Manage accounts: who may log in, and in which groups they are.

An account is disabled and never deleted, because the journal names it. What it may do is granted with `koschey grant`.

Example: koschey account add ada --role admin
"""

import click

from koschey.cli.base.lazy_group import LazyGroup


@click.group("account", cls=LazyGroup, package=__name__, help=__doc__)
def command() -> None:
    """Each command does its own work."""
