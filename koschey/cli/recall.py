"""Recall a release or a project: block it, raise an alert, and show who downloaded it.

Two people can lift a recall. If the release is in use, the command shows how much of it, and asks for its name.

Example: koschey recall 'six==1.17.0' --reason 'it steals tokens'
"""

from pathlib import Path

import click

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.downloads import download_as_json, print_downloads
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON, YES
from koschey.db.downloads import select_all_downloads
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal.lines import say, say_json


@click.command("recall", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@REASON
@YES
@DATA
@JSON
def command(scope: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Recall what the scope names."""
    run_on(data, lambda settings: _recall(settings, scope, reason, yes=yes, as_json=as_json))


async def _recall(settings: Settings, scope: str, reason: str, *, yes: bool, as_json: bool) -> None:
    project, version = parse_scope(scope)
    decision = Decision(Choice.RECALL, project, version, reason)
    async with open_database(settings) as pool:
        async with pool.acquire() as connection:
            outcome = await confirmed(
                lambda consent: decide(connection, operator(), decision, consent), project, yes=yes
            )
        # After the commit nobody gets a byte without being on this list.
        downloads = await select_all_downloads(pool, project, version)
    seconds = settings.redirects_for
    if as_json:
        decided = {"choice": Choice.RECALL, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}
        say_json(
            decided
            | {"urls_end_in_seconds": seconds, "downloads": [download_as_json(download) for download in downloads]}
        )
        return
    say(f"recall {scope}: {outcome}")
    if seconds:
        say(
            f"URLs of the bucket that clients were sent to stay valid for up to {seconds} seconds; they are listed, too"
        )
    print_downloads(downloads, scope)
