"""Serve the index. The KOSCHEY_* variables of the environment are its settings.

Example: koschey web
"""

import click

from koschey.serve import serve
from koschey.settings import load_settings


@click.command("web", help=__doc__)
def command() -> None:
    """Run until a signal ends it."""
    serve(load_settings())
