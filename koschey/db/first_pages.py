"""Statements on the first page of a project: one reads what decides about its files, one writes all of their rows.

Between the two, a process judges the files without a lock on the project, which does not exist yet. So the second
statement writes nothing if that what the first one read has changed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from packaging.utils import NormalizedName

from koschey.db.advisories import ADVISORIES, read_advisories
from koschey.db.files import NewFile
from koschey.db.findings import CHECKS, read_checks
from koschey.db.journal import JournalLine
from koschey.db.leases import Lease
from koschey.db.outbox import columns_of as message_columns_of
from koschey.db.pool import Connection, read_time
from koschey.db.rules import RULES
from koschey.db.standings import cause_columns
from koschey.model import (
    MAIN_INDEX,
    Actor,
    Advisory,
    File,
    FileId,
    ProjectId,
    Serial,
    Standing,
    StandingFile,
    State,
    UpstreamPage,
)
from koschey.outbox import Message
from koschey.policy.findings import KnownCheck

FIRST_FACTS = f"""
    jsonb_build_object('checks', {CHECKS}, 'advisories', {ADVISORIES},
                       'feed_read_at', (SELECT read_at FROM advisory_feed))
"""  # noqa: S608
"""What decides about the first files of a project besides the rules, for `read_first_facts`."""
# The outer CASE is what keeps PostgreSQL from calling the function first.
WRITE_FIRST_PAGE = f"""
    SELECT CASE WHEN md5(read.rules::text || read.facts::text) = $3
                THEN write_first_page($1, $4::text::jsonb) END AS written
      FROM (SELECT {RULES} AS rules, {FIRST_FACTS} AS facts
              FROM (SELECT) AS always LEFT JOIN project ON project.name = $2 OFFSET 0) AS read
"""  # noqa: S608


class FirstFacts(NamedTuple):
    """What decides about the first files of a project besides the rules."""

    checks: tuple[KnownCheck, ...]
    advisories: list[Advisory]
    """Those about the project that are not withdrawn."""
    feed_read_at: datetime | None
    digest: str
    """MD5 of the rules and of these facts, as PostgreSQL prints them."""


class FirstPage(NamedTuple):
    """All that a first page writes."""

    name: NormalizedName
    page: UpstreamPage
    read_at: datetime
    """When the page was requested: the time at which its files were judged and first seen."""
    files: Sequence[NewFile]
    messages: Sequence[Message]
    lines: Sequence[JournalLine]
    actor: Actor
    lease: Lease


class Written(NamedTuple):
    """The rows of a first page, as the transaction wrote them."""

    project: ProjectId
    serial: Serial
    now: datetime
    """When the transaction began."""
    files: list[StandingFile]
    """In the order in which the page lists them."""


def read_first_facts(value: Any, digest: str) -> FirstFacts:
    """Turn a value of `FIRST_FACTS` into facts."""
    feed_read_at = read_time(value["feed_read_at"])
    return FirstFacts(read_checks(value["checks"]), read_advisories(value["advisories"]), feed_read_at, digest)


async def write_first_page(connection: Connection, first: FirstPage, digest: str) -> Written | None:
    """Add a mirrored project with its files, the journal, the messages, and the end of the refresh and of its lease.

    The statement is a transaction by itself. Returns None, and writes nothing, if the name exists, or if the rules or
    facts are not those with this digest any more. Raises `UniqueViolationError` if a path belongs to another project.
    """
    given = msgspec.json.encode(_render(first)).decode()
    written = await connection.fetchval(WRITE_FIRST_PAGE, MAIN_INDEX, first.name, digest, given)
    if written is None:
        return None
    now = datetime.fromisoformat(written["now"]).astimezone(UTC)
    pairs = zip(first.files, written["files"], strict=True)
    files = [written_file(first.name, row, FileId(number), first.read_at, now) for row, number in pairs]
    return Written(ProjectId(written["project"]), Serial(written["serial"]), now, files)


def _render(first: FirstPage) -> dict[str, object]:
    """Return the argument of the function `write_first_page` in PostgreSQL."""
    keys, kinds, payloads = message_columns_of(first.messages)
    return {
        "name": first.name,
        "status": first.page.status,
        "status_reason": first.page.status_reason,
        "etag": first.page.etag,
        "read_at": first.read_at,
        "lease": first.lease.key,
        "holder": first.lease.holder,
        "actor": first.actor.name,
        "door": first.actor.door,
        "files": [_render_file(file) for file in first.files],
        "messages": [
            {"key": key, "kind": kind, "payload": payload}
            for key, kind, payload in zip(keys, kinds, payloads, strict=True)
        ],
        "journal": [
            {"action": event, "version": entry.version, "filename": entry.filename, "detail": entry.detail}
            for event, _, entry in first.lines
        ],
    }


def _render_file(file: NewFile) -> dict[str, object]:
    standing = file.standing
    kind, subject, scope, version = cause_columns(standing.cause)
    return {
        **file._asdict(),
        "standing": None,
        "state": standing.state,
        "reason": standing.reason,
        "release_at": standing.release_at,
        "counts_from": standing.counts_from,
        "cause": kind,
        "cause_subject": subject,
        "cause_scope": scope,
        "cause_version": version,
    }


def written_file(
    project: NormalizedName, row: NewFile, number: FileId, first_seen_at: datetime, now: datetime
) -> StandingFile:
    """Return a file that a transaction has added at `now`, as a later statement would read it."""
    given = row.standing
    available_at = now if given.state is State.RELEASED else None
    standing = Standing(given.state, given.cause, given.reason, given.release_at, available_at, given.counts_from)
    file = File(
        id=number,
        project=project,
        version=row.version,
        filename=row.filename,
        sha256=row.sha256,
        size=row.size,
        upload_time=row.upload_time,
        first_seen_at=first_seen_at,
        stored_at=None,
        requires_python=row.requires_python,
        yanked=row.yanked,
        core_metadata=row.core_metadata,
        metadata_stored=False,
        upstream_url=row.upstream_url,
        path=row.path,
        absent_since=None,
        blake2b_256=row.blake2b_256,
        provenance_url=row.provenance_url,
    )
    return StandingFile(file, standing)
