"""Show and change the policy: what is held, for how long, and what is served all the same.

A SCOPE is a project, a release 'NAME==VERSION', 'NAME-*' for a name and all names that begin with it and a hyphen,
'@upstream' for everything that is mirrored, or '*' for everything. If several rules of a kind cover a file, the rule
with the narrowest scope decides.

Example: koschey policy show
"""

import click

from koschey.cli.base.lazy_group import LazyGroup


@click.group("policy", cls=LazyGroup, package=__name__, help=__doc__)
def command() -> None:
    """Each command does its own work."""
