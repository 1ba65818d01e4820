"""Grant roles to accounts and groups, for all projects, for a pattern or for one project.

An account may do nothing but read until a role is granted to it or to one of its groups. Grants add up.

Example: koschey grant add maintainer --group web --project 'acme-*' --reason 'they own these names'
"""

import click

from koschey.cli.base.lazy_group import LazyGroup


@click.group("grant", cls=LazyGroup, package=__name__, help=__doc__)
def command() -> None:
    """Each command does its own work."""
