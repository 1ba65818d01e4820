"""Make, list and revoke tokens. A token allows what its account may do, within its own limits.

Example: koschey token add ci --name 'build server' --action upload --project 'acme-*'
"""

import click

from koschey.cli.base.lazy_group import LazyGroup


@click.group("token", cls=LazyGroup, package=__name__, help=__doc__)
def command() -> None:
    """Each command does its own work."""
