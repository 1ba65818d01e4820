"""Issue a code with which a Temporal signal can decide, and show the commands that send it.

The code expires after ten minutes, works once for each release, and covers only the files and findings that are shown
with it. It decides under the name of your account on this machine, as every command here does; a reviewer who is logged
in gets a code of their own from the panel or the API. NAME alone means all held releases of a project.

Example: koschey code approve 'six==1.17.0' --reason reviewed
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.db.files import select_project_files
from koschey.db.pool import Database
from koschey.errors import NotKnown
from koschey.model import State
from koschey.policy.advisories import Feed
from koschey.quarantine.reviewer_codes import IssuedCode, check_codes_decide, issue_code
from koschey.quarantine.shown_releases import Release, ShownRelease
from koschey.quarantine.signal_commands import SIGNALS, signal_input, signal_lines
from koschey.settings import Settings
from koschey.settings.signal_decisions import signal_decisions
from koschey.standards.names import parse_scope
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say, say_json

LISTED = 20
"""Files of a release that are named; the others are counted."""
CHOICES = {signal: choice for choice, signal in SIGNALS.items()}
"""What each signal decides."""


@click.command("code", help=__doc__)
@click.argument("signal", type=click.Choice(["approve", "reject", "extend"]))
@click.argument("scopes", metavar="NAME[==VERSION]...", nargs=-1, required=True)
@click.option("--reason", default="", help="The reason; the printed commands contain it.")
@click.option("--days", type=float, help="With extend: hold the releases for at least this many days from now.")
@DATA
@JSON
def command(
    signal: str, scopes: tuple[str, ...], reason: str, days: float | None, data: Path | None, *, as_json: bool
) -> None:
    """Print a code, what it is bound to, and ready lines."""

    async def show(settings: Settings) -> None:
        issued = await _issue(settings, signal, scopes, days)
        if as_json:
            say_json(_as_json(issued, reason))
        else:
            say(*_lines(issued, reason))

    run_on(data, show)


async def _issue(settings: Settings, signal: str, scopes: Sequence[str], days: float | None) -> IssuedCode:
    check_codes_decide(signal_decisions(settings.decisions_by_signal))
    feed = Feed(settings.feed_max_age) if settings.advisories else None
    async with open_database(settings) as pool, pool.acquire() as connection:
        releases = [release for scope in scopes for release in await _releases(connection, scope)]
        return await issue_code(connection, operator(), CHOICES[signal], releases, feed, days)


async def _releases(db: Database, scope: str) -> list[Release]:
    """Return the release that a scope names, or all held ones of a project."""
    project, version = parse_scope(scope)
    if version is not None:
        return [(project, version)]
    known = await select_project_files(db, project)
    held = dict.fromkeys(item.file.version for item in known if item.standing.state is State.HELD)
    if not held:
        raise NotKnown(f"no release of {project} is held; name a release as '{project}==VERSION'")
    return [(project, version) for version in held]


def _lines(issued: IssuedCode, reason: str) -> Iterator[str]:
    yield f"Code {issued.code}: {SIGNALS[issued.choice]} in the name of {issued.reviewer} (the command line), once,"
    yield f"until {issued.expires_at:%H:%M:%S} UTC, for exactly this:"
    for release in issued.releases:
        yield from _release(release)
    yield ""
    yield from signal_lines(issued, reason)


def _release(release: ShownRelease) -> Iterator[str]:
    yield f"  {release.project} {release.version}"
    for file in release.files[:LISTED]:
        yield f"    {file.filename} is {file.state}, sha256 {file.sha256 or 'unknown until it is downloaded'}"
        yield from (f"      {found.severity}: {found.check}: {found.summary}" for found in file.findings)
    if len(release.files) > LISTED:
        yield f"    and {len(release.files) - LISTED} more files"


def _as_json(issued: IssuedCode, reason: str) -> dict[str, object]:
    return {
        "code": issued.code,
        "reviewer": issued.reviewer,
        "choice": issued.choice,
        "days": issued.days,
        "expires_at": format_time(issued.expires_at),
        "signal": SIGNALS[issued.choice],
        "input": signal_input(issued, reason),
        "lines": signal_lines(issued, reason),
        "releases": [
            {
                "project": release.project,
                "version": release.version,
                "files": [
                    {
                        "filename": file.filename,
                        "sha256": file.sha256,
                        "state": file.state,
                        "findings": [f"{found.severity}: {found.check}: {found.summary}" for found in file.findings],
                    }
                    for file in release.files
                ],
            }
            for release in issued.releases
        ],
    }
