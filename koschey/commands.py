"""What the commands do that work on a database directly: migrate, list what is held, decide."""

import getpass
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import groupby

import click
from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.db.files import select_files_by_state
from koschey.db.migrate import Step, migrate, require_present
from koschey.db.pool import LOST, Connection, Pool, connect, open_pool
from koschey.errors import StartError
from koschey.model import Actor, StandingFile, State
from koschey.publish.decide import Choice, Decision, decide
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope, parse_specifier
from koschey.standards.simple_json import format_time
from koschey.storage.s3 import UNAVAILABLE, OpenBucket

WAITING = (State.HELD, State.CONFLICT, State.MALFORMED)


async def migrate_all(settings: Settings) -> list[Step]:
    """Migrate the database and create the bucket. Raises `StartError` where either cannot be reached."""
    async with _connection(settings) as connection:
        steps = await migrate(connection)
    try:
        async with OpenBucket(settings) as bucket:
            await bucket.ensure()
    except UNAVAILABLE as error:
        raise StartError(f"the bucket {settings.s3_bucket} cannot be used: {error}") from None
    return steps


async def list_quarantine(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each release that waits."""
    async with _pool(settings) as pool:
        held = await select_files_by_state(pool, WAITING)
    releases = [list(group) for _, group in groupby(sorted(held, key=_release_key), key=_release_key)]
    releases.sort(key=lambda release: _release_at(release) or datetime.max.replace(tzinfo=UTC))
    if as_json:
        click.echo(json.dumps([_as_json(release) for release in releases]))
    elif releases:
        out.print(_table(releases))
    else:
        out.print("Nothing is held.")


async def decide_scope(settings: Settings, choice: str, scope: str, reason: str, *, as_json: bool) -> None:
    """Carry out a decision from the command line. Raises `UsageError` for a scope that the choice does not take."""
    project, version = _parse_scope(Choice(choice), scope)
    actor = Actor(_operator(), "cli")
    async with _pool(settings) as pool, pool.acquire() as connection:
        outcome = await decide(connection, actor, Decision(Choice(choice), project, version, reason))
    if as_json:
        click.echo(json.dumps({"choice": choice, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}))
    else:
        click.echo(f"{choice} {scope}: {outcome}")


def _operator() -> str:
    """Return the name under which decisions from this command line stand in the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _parse_scope(choice: Choice, scope: str) -> tuple[NormalizedName, str | None]:
    if choice is Choice.APPROVE:
        return parse_specifier(scope)
    if choice in (Choice.TRUST, Choice.UNTRUST):
        return parse_name(scope), None
    return parse_scope(scope)


def _release_key(item: StandingFile) -> tuple[str, str, State]:
    return item.file.project, item.file.version, item.standing.state


def _release_at(release: Sequence[StandingFile]) -> datetime | None:
    return min((item.standing.release_at for item in release if item.standing.release_at), default=None)


def _table(releases: Sequence[Sequence[StandingFile]]) -> Table:
    table = Table("project", "version", "files", "state", "until (UTC)", "why")
    for release in releases:
        first, release_at = release[0], _release_at(release)
        table.add_row(
            first.file.project,
            first.file.version,
            str(len(release)),
            first.standing.state,
            f"{release_at:%Y-%m-%d %H:%M}" if release_at else "a person decides",
            first.standing.reason,
        )
    return table


def _as_json(release: Sequence[StandingFile]) -> dict[str, object]:
    first, release_at = release[0], _release_at(release)
    return {
        "project": first.file.project,
        "version": first.file.version,
        "state": first.standing.state,
        "release_at": format_time(release_at) if release_at else None,
        "reason": first.standing.reason,
        "files": [
            {"filename": item.file.filename, "sha256": item.file.sha256, "stored": item.file.stored_at is not None}
            for item in release
        ],
    }


@asynccontextmanager
async def _connection(settings: Settings) -> AsyncIterator[Connection]:
    try:
        connection = await connect(str(settings.database_url))
    except LOST as error:
        raise StartError(f"PostgreSQL does not answer: {error}; is it running, and is the URL right?") from None
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on a database that is migrated."""
    async with _connection(settings) as connection:
        await require_present(connection)
    pool = await open_pool(str(settings.database_url), size=2)
    try:
        yield pool
    finally:
        await pool.close()
