"""Request releases that are held or blocked. Reviewers see each request, its reason and how often it was made.

Example: koschey request 'six==1.17.0' --reason 'fixes our build' --index http://localhost:8080/simple/
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, INDEX_OR_DATABASE, JSON
from koschey.client.index_api import IndexApi
from koschey.quarantine.requests import RecordedRequest, record_request
from koschey.settings import Settings
from koschey.standards.names import parse_specifier
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say, say_json


@click.command("request", help=__doc__)
@click.argument("scopes", metavar="NAME==VERSION...", nargs=-1, required=True)
@click.option("--reason", required=True, help="The reason; the reviewers read it.")
@INDEX_OR_DATABASE
@DATA
@JSON
def command(scopes: tuple[str, ...], reason: str, index: str | None, data: Path | None, *, as_json: bool) -> None:
    """Leave the requests at the index, or in the database where no index is named."""
    if index is None:
        run_on(data, lambda settings: _request_here(settings, scopes, reason, as_json=as_json))
    else:
        asyncio.run(_request_there(index, scopes, reason, as_json=as_json))


async def _request_here(settings: Settings, scopes: Sequence[str], reason: str, *, as_json: bool) -> None:
    releases = [parse_specifier(scope) for scope in scopes]
    async with open_database(settings) as pool:
        requested = [
            await record_request(pool, *release, operator().name, reason, settings.window) for release in releases
        ]
    _show([_as_json(each) for each in requested], as_json=as_json)


async def _request_there(index: str, scopes: Sequence[str], reason: str, *, as_json: bool) -> None:
    releases = [parse_specifier(scope) for scope in scopes]
    async with IndexApi.open(index) as api:
        requested = [await api.request(*release, reason) for release in releases]
    _show(requested, as_json=as_json)


def _as_json(requested: RecordedRequest) -> dict[str, object]:
    """Return a request as the API answers it."""
    explained = requested.explanation
    return {
        "project": explained.project,
        "version": explained.version,
        "who": requested.who,
        "times": requested.times,
        "state": explained.state,
        "release_at": format_time(explained.release_at) if explained.release_at else None,
    }


def _show(requested: Sequence[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        say_json(requested)
        return
    for each in requested:
        again = "" if each["times"] == 1 else f" ({each['times']} times so far)"
        until = f" until {str(each['release_at'])[:10]}" if each["release_at"] else ""
        release = f"{each['project']}=={each['version']}"
        say(f"{release} is {each['state']}{until}; {each['who']} has requested it{again}")
