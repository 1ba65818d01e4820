"""Commands for developers: why something is not served, whether a lock can be installed, to ask for what is held."""

import asyncio
import sys
from pathlib import Path

import click

from koschey.cli.root import DATA, JSON, cli, run_on
from koschey.terminal import Terminal

INDEX_VARIABLES = ["UV_DEFAULT_INDEX", "PIP_INDEX_URL"]
INDEX = click.option(
    "--index",
    metavar="URL",
    envvar=INDEX_VARIABLES,
    help="Simple API of the Koschey to ask.  [default: UV_DEFAULT_INDEX, PIP_INDEX_URL, else the local database]",
)


@cli.command()
@click.argument("scope", metavar="NAME==VERSION")
@INDEX
@DATA
@JSON
def explain(scope: str, index: str | None, data: Path | None, *, as_json: bool) -> None:
    """Say why a release is not served, until when, which older one is free, and how to ask for it.

    Example: koschey explain 'six==1.17.0' --index http://localhost:8080/simple/
    """
    from koschey.commands.asking import explain_here, explain_there  # noqa: PLC0415

    if index is None:
        run_on(data, lambda settings: explain_here(settings, scope, as_json=as_json))
    else:
        asyncio.run(explain_there(index, scope, as_json=as_json))


@cli.command()
@click.argument("scopes", metavar="NAME==VERSION...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; the reviewers read it.")
@INDEX
@DATA
@JSON
def request(scopes: tuple[str, ...], reason: str, index: str | None, data: Path | None, *, as_json: bool) -> None:
    """Ask the reviewers for releases that are held or blocked. Asking again counts.

    Example: koschey request 'six==1.17.0' --reason 'fixes our build' --index http://localhost:8080/simple/
    """
    from koschey.commands.asking import request_here, request_there  # noqa: PLC0415

    if index is None:
        run_on(data, lambda settings: request_here(settings, scopes, reason, as_json=as_json))
    else:
        asyncio.run(request_there(index, scopes, reason, as_json=as_json))


@cli.command()
@DATA
@JSON
def requests(data: Path | None, *, as_json: bool) -> None:
    """List who asked for what and was not answered yet."""
    from koschey.commands.asking import list_requests  # noqa: PLC0415

    run_on(data, lambda settings: list_requests(settings, as_json=as_json, out=Terminal()))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--index",
    metavar="URL",
    envvar=INDEX_VARIABLES,
    default="http://127.0.0.1:8080/simple/",
    show_default="UV_DEFAULT_INDEX, PIP_INDEX_URL, or http://127.0.0.1:8080/simple/",
    help="Simple API of the Koschey that it shall be installed from.",
)
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write a JUnit report for CI.")
@click.option("--sarif", metavar="FILE", type=click.Path(path_type=Path), help="Write a SARIF 2.1.0 report for CI.")
@JSON
def check(file: Path, index: str, junit: Path | None, sarif: Path | None, *, as_json: bool) -> None:
    """Say whether all that a lock pins is served: requirements*.txt, uv.lock, pylock.toml, poetry.lock, pdm.lock.

    Environment markers are not evaluated: what is pinned for any platform is checked. Where a lock gives digests, every
    file that has one of them must be served. Exit code 1: something is not served; 2: it cannot be told.

    Example: koschey check uv.lock --index http://localhost:8080/simple/ --sarif koschey.sarif
    """
    from koschey.commands.check import Reports, check_lock  # noqa: PLC0415

    if not asyncio.run(check_lock(file, index, Reports(junit, sarif, as_json), Terminal())):
        sys.exit(1)
