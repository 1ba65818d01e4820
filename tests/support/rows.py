"""Rows with which tests begin, and rows that they check."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.utils import NormalizedName

from koschey.causes import UNKNOWN, Grounds
from koschey.db import files, projects
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.db.record import Record
from koschey.db.refreshes import Refresh, write_portion
from koschey.events import AlertKind, Event
from koschey.model import SYSTEM, FileId, Origin, Sha256, Standing, StandingFile, State, UpstreamPage
from koschey.standards.names import digest_path, version_of

WEEK = timedelta(days=7)
"""The usual window."""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
A_TEST = Grounds(UNKNOWN, "a test")
"""The cause of the states that tests give to files."""


def digest_of(text: str) -> Sha256:
    """The real SHA-256 of a text, so that digests are easy to tell apart."""
    return Sha256(hashlib.sha256(text.encode()).hexdigest())


def new_file(
    filename: str, state: State = State.HELD, *, release_at: datetime | None = None, **changes: Any
) -> NewFile:
    """A row for a mirrored wheel; the version comes from the filename."""
    sha256 = changes.get("sha256", digest_of(filename))
    version = version_of(filename, NormalizedName(filename.partition("-")[0]))
    assert version, filename
    file = NewFile(
        version=version,
        filename=filename,
        sha256=sha256,
        size=1000,
        upload_time=NOON,
        requires_python=None,
        yanked=None,
        core_metadata=None,
        upstream_url=f"https://files.example.org/{filename}",
        path=digest_path(sha256, filename) if sha256 else None,
        standing=Standing(state, *A_TEST, release_at, None),
    )
    return file._replace(**changes)


async def add_project(
    connection: Connection, name: str, new: Sequence[NewFile] = (), *, looked_at: datetime | None = None
) -> NormalizedName:
    """Add a mirrored project with its files, stored if they have a digest, without an entry in the journal."""
    project = NormalizedName(name)
    await projects.insert_project(connection, project, name, Origin.MIRRORED)
    found = await projects.select_project(connection, project)
    assert found is not None
    seen_at = looked_at or await projects.select_now(connection)
    await write_portion(connection, found.id, (), (), Refresh(UpstreamPage(()), seen_at, None))
    if new:
        ids = await files.insert_files(connection, found.id, new)
        for file, row in zip(ids, new, strict=True):
            if row.sha256 and row.path and row.size is not None:
                await files.update_stored(connection, FileId(file), row.sha256, row.size, row.path)
    return project


async def raise_alert(
    connection: Connection,
    kind: AlertKind,
    project: str,
    version: str | None = None,
    filename: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Raise an alert, with an entry in the journal as its cause."""
    record, entries = Record(connection, SYSTEM, project), [Entry(version, filename, detail or {})]
    record.add(Event.CHECK, entries)
    record.alert(kind, entries)
    await record.write()


async def select_files(db: Database, project: NormalizedName) -> dict[str, StandingFile]:
    """All files of a project by their names."""
    return {known.file.filename: known for known in await files.select_project_files(db, project)}


async def select_states(db: Database, project: NormalizedName) -> dict[str, State]:
    """The states of a project's files by their names."""
    return {name: known.standing.state for name, known in (await select_files(db, project)).items()}
