"""Verify and export the journal, which holds every change, who made it, and why.

Example: koschey audit verify
"""

import click

from koschey.cli.base.lazy_group import LazyGroup


@click.group("audit", cls=LazyGroup, package=__name__, help=__doc__)
def command() -> None:
    """Each command does its own work."""
