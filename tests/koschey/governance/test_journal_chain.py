"""The chain of the journal: whatever a superuser changes in it is found and named."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from koschey.cli import cli
from koschey.db.journal import Entry, insert_entries, select_serial
from koschey.db.journal_chain import ChainedEntry, select_chain
from koschey.db.pool import Connection, Pool, connect
from koschey.db.role_rights import grant_rights
from koschey.errors import JournalAltered, StoreUnavailable, UsageError
from koschey.events import Event
from koschey.governance.anchors import PREFIX, read_anchors, write_anchor
from koschey.governance.journal_chain import LISTED, ChainReport, FaultKind, entry_digest, verify_chain
from koschey.governance.journal_export import cef_line, json_line, read_export
from koschey.model import Actor, Serial
from koschey.settings import Settings
from koschey.storage.s3 import Bucket, OpenBucket
from tests.support.postgres import SHARED, Postgres
from tests.support.rows import NOON, add_project

ADA = Actor("ada", "cli")
ODD: dict[str, object] = {
    "why": "ünicode 💥 \u0001",
    "numbers": [1, 2.50, 10**30, None],
    "a": {"longer": True, "b": "x|y=z\\\n"},
}


async def write(pool: Pool, entries: int, *, name: str = "acme") -> None:
    """One transaction that changes something."""
    async with pool.acquire() as connection, connection.transaction():
        lines = [Entry("1.0", f"{name}-{number}.zip", ODD if number % 2 else {}) for number in range(entries)]
        await insert_entries(connection, ADA, Event.CHECK, name, lines)


@pytest_asyncio.fixture
async def journal(pool: Pool, connection: Connection) -> Pool:
    """Twelve entries, written in transactions of one to four entries."""
    await add_project(connection, "acme")
    for entries in (1, 4, 2, 1, 4):
        await write(pool, entries)
    return pool


@pytest_asyncio.fixture
async def superuser(postgres: Postgres) -> AsyncIterator[Connection]:
    """Somebody whom no trigger stops."""
    connection = await connect(postgres.superuser_url(SHARED))
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def bucket(s3: Mapping[str, str]) -> AsyncIterator[Bucket]:
    """A bucket without anchors."""
    given = {**s3, "s3_bucket": "anchors", "database_url": "postgresql://localhost/none"}
    async with OpenBucket(Settings.model_validate(given)) as opened:
        await opened.ensure()
        for key in await opened.keys_below(PREFIX):
            await opened.client.delete_object(Bucket=opened.name, Key=key)
        yield opened


async def verify(pool: Pool, anchors: Mapping[int, bytes] | None = None) -> ChainReport:
    """What `koschey audit verify` finds."""
    return await verify_chain(select_chain(pool, 0), anchors=anchors or {}, given_out=await select_serial(pool))


async def faults(pool: Pool, anchors: Mapping[int, bytes] | None = None) -> list[tuple[FaultKind, int, int]]:
    """The faults with their serials."""
    return [(fault.kind, fault.serial, fault.last) for fault in (await verify(pool, anchors)).faults]


async def test_what_is_written_is_chained(journal: Pool) -> None:
    """PostgreSQL and this code compute the same digests, whatever an entry contains."""
    report = await verify(journal)
    assert (report.entries, report.last, report.unchained, report.faults) == (12, 12, 0, [])


async def test_writers_at_once_make_one_chain(pool: Pool, connection: Connection) -> None:
    """Fifty writers at once, some of them with many entries, leave a chain without a gap."""
    for number in range(10):
        await add_project(connection, f"many-{number}")
    turns = asyncio.Semaphore(20)

    async def one(number: int) -> None:
        async with turns:
            await write(pool, 1 + number % 7, name=f"many-{number % 10}")

    await asyncio.gather(*map(one, range(200)))
    report = await verify(pool)
    assert (report.entries, report.faults) == (sum(1 + number % 7 for number in range(200)), [])


@pytest.mark.parametrize("column", ["at", "actor", "door", "action", "project", "version", "filename", "detail"])
async def test_a_changed_field_is_found(journal: Pool, superuser: Connection, column: str) -> None:
    """Each field of an entry is part of its digest."""
    changed = {"at": "at + interval '1 microsecond'", "detail": "detail || '{\"x\": 1}'"}.get(column, "'other'")
    await superuser.execute(f"UPDATE journal SET {column} = {changed} WHERE serial = 6")  # noqa: S608
    assert await faults(journal) == [(FaultKind.CHANGED, 6, 6)]


async def test_fields_do_not_flow_together(journal: Pool, superuser: Connection) -> None:
    """A text that moves from one field to the next, or becomes absent, is a change."""
    await superuser.execute("UPDATE journal SET actor = actor || 'c', door = 'li' WHERE serial = 3")
    await superuser.execute("UPDATE journal SET version = NULL WHERE serial = 5")
    assert await faults(journal) == [(FaultKind.CHANGED, 3, 3), (FaultKind.CHANGED, 5, 5)]


@pytest.mark.parametrize("serials", [[1], [5, 6, 7]])
async def test_removed_entries_are_found(journal: Pool, superuser: Connection, serials: list[int]) -> None:
    """A gap is named by its first and last serial, whether or not the digests are removed with the entries."""
    await superuser.execute("DELETE FROM journal WHERE serial = ANY($1::bigint[])", serials)
    assert await faults(journal) == [(FaultKind.MISSING, serials[0], serials[-1])]
    await superuser.execute("DELETE FROM journal_digest WHERE serial = ANY($1::bigint[])", serials)
    assert await faults(journal) == [(FaultKind.MISSING, serials[0], serials[-1])]


async def test_exchanged_entries_are_found(journal: Pool, superuser: Connection) -> None:
    """Two entries that changed places are both named."""
    for before, after in ((4, 400), (9, 4), (400, 9)):
        await superuser.execute("UPDATE journal SET serial = $2 WHERE serial = $1", before, after)
    assert await faults(journal) == [(FaultKind.CHANGED, 4, 4), (FaultKind.CHANGED, 9, 9)]


async def test_an_inserted_entry_is_found(journal: Pool, superuser: Connection) -> None:
    """An entry beyond the end has no digest, or one that does not follow from the one before."""
    insert = "INSERT INTO journal (serial, at, actor, door, action) VALUES (13, now(), 'eve', 'cli', 'approve')"
    await superuser.execute(insert)
    assert await faults(journal) == [(FaultKind.UNCHAINED, 13, 13)]
    await superuser.execute("INSERT INTO journal_digest VALUES (13, sha256('forged'))")
    assert await faults(journal) == [(FaultKind.CHANGED, 13, 13)]


async def test_a_cut_end_is_found(journal: Pool, superuser: Connection, bucket: Bucket) -> None:
    """The counter knows how far the journal went; if it is set back, an anchor does."""
    await write_anchor(journal, bucket)
    for table in ("journal", "journal_digest"):
        await superuser.execute(f"DELETE FROM {table} WHERE serial > 9")  # noqa: S608
    assert await faults(journal) == [(FaultKind.CUT_OFF, 10, 12)]
    await superuser.execute("UPDATE journal_head SET serial = 9")
    assert await faults(journal) == []
    assert await faults(journal, await read_anchors(bucket)) == [(FaultKind.CUT_OFF, 10, 12)]


async def test_a_journal_written_anew_is_found(journal: Pool, superuser: Connection, bucket: Bucket) -> None:
    """Earlier anchors reveal an attacker who replaces all later digests."""
    assert await write_anchor(journal, bucket)
    await write(journal, 2)
    await superuser.execute("UPDATE journal SET actor = 'bob' WHERE serial = 7")
    before = b""
    async for entry in select_chain(journal, 0):
        before = entry_digest(before, entry)
        await superuser.execute("UPDATE journal_digest SET digest = $2 WHERE serial = $1", entry.serial, before)
    assert await faults(journal) == []
    assert await faults(journal, await read_anchors(bucket)) == [(FaultKind.REWRITTEN, 12, 12)]


async def test_older_entries_have_no_digest(journal: Pool, superuser: Connection) -> None:
    """A journal that is older than the chain is told from one whose chain was taken away."""
    await superuser.execute("DELETE FROM journal_digest")
    assert (await verify(journal)).unchained == 12
    await write(journal, 3)
    report = await verify(journal)
    assert (report.entries, report.unchained, report.faults) == (15, 12, [])
    await superuser.execute("DELETE FROM journal_digest WHERE serial = 13")
    assert await faults(journal) == [(FaultKind.CHANGED, 14, 14)]


async def test_many_faults_are_counted(pool: Pool, connection: Connection, superuser: Connection) -> None:
    """A report lists the first faults and counts all."""
    await add_project(connection, "acme")
    await write(pool, 250)
    await superuser.execute("UPDATE journal SET actor = 'bob'")
    report = await verify(pool)
    assert (report.fault_count, len(report.faults)) == (250, LISTED)


async def test_anchors(journal: Pool, bucket: Bucket) -> None:
    """An anchor is written once for each end of the journal; one that was replaced is an error."""
    first = await write_anchor(journal, bucket)
    assert first
    assert await write_anchor(journal, bucket, first) is first
    await write(journal, 1)
    second = await write_anchor(journal, bucket, first)
    assert second
    anchors = await read_anchors(bucket)
    assert list(anchors) == [12, 13]
    report = await verify(journal, anchors)
    assert (report.anchors, report.faults) == (2, [])
    await bucket.put(f"{PREFIX}{12:015}.json", b"{}")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await read_anchors(bucket)


async def test_no_anchor_of_an_empty_journal(pool: Pool, bucket: Bucket) -> None:
    """Nothing is written as long as nothing has changed."""
    assert await write_anchor(pool, bucket) is None
    assert await read_anchors(bucket) == {}


# The role of the processes


async def test_a_role_that_cannot_change_the_journal(
    journal: Pool, connection: Connection, superuser: Connection
) -> None:
    """The role adds entries, which are chained, and changes none; nor can it write a digest or stop a trigger."""
    await superuser.execute("DROP ROLE IF EXISTS chain_test")
    await superuser.execute("CREATE ROLE chain_test")
    try:
        await grant_rights(connection, "chain_test")
        await superuser.execute("SET session_replication_role = origin")
        await superuser.execute("SET ROLE chain_test")
        async with superuser.transaction():
            await insert_entries(superuser, ADA, Event.CHECK, "acme", [Entry()])
        assert await faults(journal) == []
        for statement in (
            "UPDATE journal SET actor = 'bob'",
            "DELETE FROM journal",
            "TRUNCATE journal",
            "INSERT INTO journal_digest VALUES (99, sha256('x'))",
            "UPDATE journal_digest SET digest = sha256('x')",
            "ALTER TABLE journal DISABLE TRIGGER ALL",
            "DELETE FROM decision",
            "DELETE FROM migration",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await superuser.execute(statement)
    finally:
        await superuser.execute("RESET ROLE")
        await superuser.execute("DROP OWNED BY chain_test")
        await superuser.execute("DROP ROLE chain_test")


async def test_a_role_that_does_not_exist(connection: Connection) -> None:
    """The error says what to do first."""
    with pytest.raises(UsageError, match="CREATE ROLE nobody"):
        await grant_rights(connection, "nobody")


# Exports and the command line


async def test_an_export_is_verified_alone(journal: Pool) -> None:
    """JSON lines keep every byte that a digest covers: also a part of the journal is verified without a database."""
    lines = [json_line(entry) async for entry in select_chain(journal, 0)]
    report = await verify_chain(read_export(line.encode() for line in lines), anchors={})
    assert (report.entries, report.faults) == (12, [])
    assert json.loads(lines[2])["detail"] == ODD
    part = [line.encode() for line in lines[5:]]
    report = await verify_chain(read_export(part), anchors={}, after=5)
    assert (report.entries, report.last, report.faults) == (7, 12, [])
    part[3] = part[3].replace(b'"ada"', b'"bob"')
    report = await verify_chain(read_export(part), anchors={}, after=5)
    assert [(fault.kind, fault.serial) for fault in report.faults] == [(FaultKind.CHANGED, 9)]


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"serial": 1}', b"\xff"])
async def test_a_line_that_is_no_entry(line: bytes) -> None:
    """The error names the line."""
    with pytest.raises(UsageError, match="line 1 is no entry"):
        async for _ in read_export([line]):
            pass


def test_cef() -> None:
    """Texts of strangers cannot end a field or a line."""
    entry = ChainedEntry(
        *(Serial(7), NOON, "a|b", "cli", "approve", "acme", None, "x=1\n.zip"), '{"reason": "a\\\\b=c"}', b"\x01" * 32
    )
    head, extension = cef_line(entry).split("|approve|approve|5|")
    assert head.startswith("CEF:0|Koschey|Koschey|")
    assert extension.startswith(f"rt={round(NOON.timestamp() * 1000)} externalId=7 suser=a|b ")
    assert "cs1Label=door cs1=cli cs2Label=project cs2=acme cs4Label=digest" in extension
    assert r"fname=x\=1\n.zip" in extension
    assert r"msg={" + r'"reason": "a\\\\b\=c"} ' in extension
    assert "\n" not in extension


def koschey(database: str, s3: Mapping[str, str], folder: Path, *arguments: str) -> Result:
    """Run a command against the database and the bucket."""
    environment = {f"KOSCHEY_{name.upper()}": value for name, value in s3.items()}
    environment |= {"KOSCHEY_DATABASE_URL": database, "KOSCHEY_DATA": str(folder), "KOSCHEY_S3_BUCKET": "anchors"}
    return CliRunner(env=environment).invoke(cli, ["audit", *arguments])


async def test_commands(
    journal: Pool, superuser: Connection, bucket: Bucket, database: str, s3: Mapping[str, str], tmp_path: Path
) -> None:
    """`koschey audit` verifies and exports; a fault is named, and the exit code is 1."""
    await write_anchor(journal, bucket)
    run = asyncio.to_thread

    done = await run(koschey, database, s3, tmp_path, "verify")
    assert (done.exit_code, done.output) == (0, "no fault: 12 entries up to serial 12; 1 anchor compared\n")
    done = await run(koschey, database, s3, tmp_path, "export")
    assert [json.loads(line)["serial"] for line in done.output.splitlines()] == list(range(1, 13))
    kept = tmp_path / "journal.jsonl"
    kept.write_text(done.output)
    done = await run(koschey, database, s3, tmp_path, "verify", str(kept))
    assert (done.exit_code, done.output) == (0, "no fault: 12 entries up to serial 12; 0 anchors compared\n")
    done = await run(koschey, database, s3, tmp_path, "export", "--format", "cef", "--after", "10")
    assert [line.partition("externalId=")[2][:2] for line in done.output.splitlines()] == ["11", "12"]

    await superuser.execute("UPDATE journal SET actor = 'bob' WHERE serial = 6")
    done = await run(koschey, database, s3, tmp_path, "verify")
    assert isinstance(done.exception, JournalAltered)
    assert "serial 6: changed. The entry is not the one that was written under this serial." in done.output
    done = await run(koschey, database, s3, tmp_path, "verify", "--json")
    assert json.loads(done.output)["faults"] == [{"kind": "changed", "serial": 6, "last": 6}]


def test_the_time_of_an_entry_is_exact() -> None:
    """Microseconds are counted without rounding, also far from 1970."""
    late = datetime.fromisoformat("2262-04-11T23:47:16.854775+00:00")
    entry = ChainedEntry(Serial(1), late, "a", "b", "c", None, None, None, "{}", None)
    other = entry._replace(at=late.replace(microsecond=854776))
    assert entry_digest(b"", entry) != entry_digest(b"", other)
