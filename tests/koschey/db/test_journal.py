"""The journal, and what the schema itself makes impossible."""

import asyncio

import asyncpg
import pytest
from packaging.utils import NormalizedName

from koschey.db.decisions import insert_decisions
from koschey.db.journal import Entry, insert_entries, select_serial
from koschey.db.pool import Connection, Pool, connect
from koschey.db.projects import lock_project, select_listed_since, select_project
from koschey.db.record import Record
from koschey.events import AlertKind, Event
from koschey.model import SYSTEM, Actor, Serial, Sha256
from koschey.outbox import AlertRaised, render_message
from tests.support.rows import add_project, digest_of, new_file

ADA = Actor("ada", "cli")


class Undone(Exception):
    """Ends a transaction without a commit."""


async def write(pool: Pool, project: NormalizedName, entries: int, *, undo: bool) -> Serial | None:
    """One transaction as all writers make it: lock, change, and the journal last."""
    async with pool.acquire() as connection:
        try:
            async with connection.transaction():
                await lock_project(connection, project)
                serial = await insert_entries(
                    connection,
                    ADA,
                    Event.CHECK,
                    project,
                    [Entry("1.0", f"{project}-{number}") for number in range(entries)],
                )
                await asyncio.sleep(0.001)
                if undo:
                    raise Undone
                return serial
        except Undone:
            return None


async def test_serials_have_no_gaps(pool: Pool, connection: Connection) -> None:
    """Of many writers at once each gets serials of its own, without gaps, though some roll back."""
    names = [await add_project(connection, f"project-{number}") for number in range(5)]
    writes = [write(pool, names[number % 5], 1 + number % 3, undo=number % 4 == 3) for number in range(20)]
    serials = await asyncio.gather(*writes)
    rows = await connection.fetch("SELECT serial, actor, door, action, project, version FROM journal ORDER BY serial")
    assert [row["serial"] for row in rows] == list(range(1, 1 + sum(1 + n % 3 for n in range(20) if n % 4 != 3)))
    assert await select_serial(connection) == len(rows)
    assert {(row["actor"], row["door"], row["action"], row["version"]) for row in rows} == {
        ("ada", "cli", "check", "1.0")
    }
    for number, serial in enumerate(serials):
        assert (serial is None) == (number % 4 == 3)
        if serial is not None:
            batch = [row["project"] for row in rows[serial - 1 - number % 3 : serial]]
            assert batch == [names[number % 5]] * (1 + number % 3)
    for name in names:
        found = await select_project(connection, name)
        assert found is not None
        assert found.serial == max(row["serial"] for row in rows if row["project"] == name)
    assert dict(await select_listed_since(pool, Serial(0))) == {
        name: max(row["serial"] for row in rows if row["project"] == name) for name in names
    }


async def test_serials_are_in_commit_order(pool: Pool, connection: Connection) -> None:
    """Who looks at the journal never sees a serial appear below one that it has seen."""
    names = [await add_project(connection, f"project-{number}") for number in range(4)]
    writing = asyncio.gather(*(write(pool, names[n % 4], 2, undo=n % 5 == 0) for n in range(20)))
    seen: list[int] = []
    looks = 0
    while not writing.done() or looks < 2:
        now = [row["serial"] for row in await connection.fetch("SELECT serial FROM journal ORDER BY serial")]
        assert now[: len(seen)] == seen
        assert now == list(range(1, len(now) + 1))
        seen, looks = now, looks + writing.done()
    assert len(seen) == 2 * len([n for n in range(20) if n % 5])


async def test_details_are_kept_beside_their_files(connection: Connection) -> None:
    """Each entry has its own version, filename and detail, in the order in which they were given."""
    project = await add_project(connection, "spam")
    entries = [Entry("1.0", "b.whl", {"reason": "ä"}), Entry("0.9", "a.whl", {"n": [1, None]}), Entry()]
    assert await insert_entries(connection, SYSTEM, Event.ADD_FILE, project, entries) == 3
    rows = await connection.fetch("SELECT version, filename, detail FROM journal ORDER BY serial")
    assert [Entry(*row) for row in rows] == entries


async def test_the_web_processes_are_told_at_the_commit(pool: Pool, connection: Connection, database: str) -> None:
    """Every listener hears which project changed, once it can read the change, and nothing of a rollback."""
    for name in ("spam", "eggs"):
        await add_project(connection, name)
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await connect(database)
    await listener.add_listener("koschey_project", lambda *call: heard.put_nowait(call[3]))
    await write(pool, NormalizedName("eggs"), 2, undo=True)
    await write(pool, NormalizedName("spam"), 2, undo=False)
    assert await asyncio.wait_for(heard.get(), 10) == "spam"
    assert heard.empty()
    await listener.close()


async def test_alerts_are_written_with_their_rows(connection: Connection) -> None:
    """Each alert names the last row that was added before it, and waits in the outbox as any other message does."""
    project = await add_project(connection, "spam")
    record = Record(connection, ADA, project)
    assert record.is_empty
    assert await record.write() is None
    record.add(Event.ADD_FILE, [Entry("1.0"), Entry("2.0")])
    record.alert(AlertKind.LATE_FILE, [Entry("1.0", None, {"reason": "ä"})])
    record.add(Event.CONFLICT, [Entry()], project="*")
    record.alert(AlertKind.CONFLICT, [Entry("3.0", "a.whl"), Entry("4.0", "b.whl")])
    record.alert(AlertKind.RECALL, [])
    assert await record.write() == 3
    rows = await connection.fetch("SELECT serial, action, project, version FROM journal ORDER BY serial")
    assert [tuple(row) for row in rows] == [
        (1, "add file", "spam", "1.0"),
        (2, "add file", "spam", "2.0"),
        (3, "conflict", "*", None),
    ]
    alerts = await connection.fetch("SELECT id, serial, kind, project, version, detail FROM alert ORDER BY id")
    assert [tuple(row)[1:] for row in alerts] == [
        (2, "late file", "spam", "1.0", {"reason": "ä"}),
        (3, "conflict", "*", None, {"files": 2, "releases": 2, "first": ["a.whl", "b.whl"]}),
    ]
    waiting = await connection.fetch("SELECT kind, key, payload FROM outbox ORDER BY id")
    assert [tuple(row) for row in waiting] == [render_message(AlertRaised(row["id"])) for row in alerts]
    found = await select_project(connection, project)
    assert found is not None
    assert found.serial == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET actor = 'eve'",
        "UPDATE journal SET serial = serial + 1",
        "DELETE FROM journal",
        "TRUNCATE journal CASCADE",
    ],
)
async def test_the_journal_is_append_only(connection: Connection, statement: str) -> None:
    """What stands in the journal stays there, whoever asks."""
    project = await add_project(connection, "spam")
    await insert_entries(connection, ADA, Event.CHECK, project, [Entry()])
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await connection.execute(statement)
    assert await connection.fetchval("SELECT count(*) FROM journal WHERE actor = 'ada' AND serial = 1") == 1


@pytest.mark.parametrize("value", [Sha256("0" * 64), None])
async def test_a_digest_never_changes(connection: Connection, value: Sha256 | None) -> None:
    """One filename means one sequence of bytes, for ever: neither another digest nor none can take its place."""
    await add_project(connection, "spam", [new_file("spam-1.0.zip")])
    with pytest.raises(asyncpg.RaiseError, match=r"the sha256 of spam-1\.0\.zip never changes"):
        await connection.execute("UPDATE file SET stored_at = NULL, sha256 = $1", value)
    assert await connection.fetchval("SELECT sha256 FROM file") == digest_of("spam-1.0.zip")


async def test_a_digest_can_become_known(connection: Connection) -> None:
    """A file without a digest gets one when its bytes were fetched, and then never another."""
    await add_project(connection, "spam", [new_file("spam-1.0.zip", sha256=None)])
    assert await connection.fetchval("SELECT sha256 FROM file") is None
    await connection.execute("UPDATE file SET sha256 = $1", digest_of("bytes"))
    await connection.execute("UPDATE file SET sha256 = $1", digest_of("bytes"))
    with pytest.raises(asyncpg.RaiseError, match="never changes"):
        await connection.execute("UPDATE file SET sha256 = $1", digest_of("others"))


IMPOSSIBLE = [
    ("UPDATE file SET sha256 = 'AB'", "file_sha256_check"),
    ("UPDATE file SET size = -1", "file_size_check"),
    ("UPDATE file SET path = '/etc/passwd'", "file_path_check"),
    ("UPDATE file SET stored_at = now()", "file_check"),
    ("UPDATE file SET core_metadata = 'true'", "core_metadata_check"),
    ("INSERT INTO project (name, display_name, origin) VALUES ('Spam', '', 'hosted')", "project_name_check"),
    ("INSERT INTO project (name, display_name, origin) VALUES ('a--b', '', 'hosted')", "project_name_check"),
    ("UPDATE project SET status = 'gone'", "project_status_check"),
    ("INSERT INTO project (name, display_name, origin) VALUES ('eggs', '', 'stolen')", "project_origin_check"),
    ("INSERT INTO journal_head VALUES (true, 7)", "journal_head_pkey"),
    ("INSERT INTO journal_head VALUES (false, 7)", "only_row_check"),
    (
        "INSERT INTO rule (index_id, kind, project, reason, actor) VALUES (1, 'liked', 'spam', '', '')",
        "rule_kind_check",
    ),
]


@pytest.mark.parametrize(("statement", "constraint"), IMPOSSIBLE)
async def test_rows_that_cannot_be(connection: Connection, statement: str, constraint: str) -> None:
    """A bug in a program cannot write a row that makes no sense."""
    await add_project(connection, "spam", [new_file("spam-1.0.zip", sha256=None)])
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=constraint):
        await connection.execute(statement)


async def test_a_name_is_used_once(connection: Connection) -> None:
    """Neither a second project of a name nor a second file of a project's filename can be."""
    project = await add_project(connection, "spam", [new_file("spam-1.0.zip")])
    with pytest.raises(asyncpg.UniqueViolationError):
        await add_project(connection, "spam", [new_file("spam-1.0.zip", sha256=digest_of("others"))])
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO project (name, display_name, origin) VALUES ('spam', '', 'hosted')")
    found = await select_project(connection, project)
    assert found is not None
    assert found.origin == "mirrored"


async def test_provenance_is_written_once(connection: Connection) -> None:
    """T-11.3: the record of where a file came from is never changed or removed."""
    await add_project(connection, "spam", [new_file("spam-1.0.zip")])
    await connection.execute("INSERT INTO provenance (file_id, record) SELECT id, '{}' FROM file")
    for statement in ("UPDATE provenance SET record = ''", "DELETE FROM provenance"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute(statement)


@pytest.mark.parametrize(
    ("bound", "complete"),
    [
        (("1.0", "spam-1.0.zip", digest_of("x")), True),
        (("1.0", "spam-1.0.zip", None), False),
        (("1.0", None, digest_of("x")), False),
        ((None, "spam-1.0.zip", digest_of("x")), False),
        ((None, None, None), False),
    ],
)
async def test_an_approval_binds_bytes(
    connection: Connection, bound: tuple[str | None, str | None, Sha256 | None], *, complete: bool
) -> None:
    """An approval without version, filename and sha256 cannot be written; other decisions may be of a whole scope."""
    project = await add_project(connection, "spam")
    serial = await insert_entries(connection, ADA, Event.APPROVE, project, [Entry()])
    await insert_decisions(connection, serial, ADA, "block", project, [bound], "why")
    approval = insert_decisions(connection, serial, ADA, Event.APPROVE, project, [bound], "why")
    if complete:
        await approval
    else:
        with pytest.raises(asyncpg.CheckViolationError):
            await approval
    approved = await connection.fetchval("SELECT count(*) FROM decision WHERE action = 'approve'")
    assert approved == int(complete)


async def test_a_decision_needs_its_journal_entry(connection: Connection) -> None:
    """No decision is written without the entry that tells of it."""
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await insert_decisions(connection, Serial(7), ADA, "block", NormalizedName("spam"), [(None, None, None)], "why")
