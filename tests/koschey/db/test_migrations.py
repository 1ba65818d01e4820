"""Migrations: each is frozen, all make one schema, and data of every published version goes on being served."""

import asyncio
import hashlib
import importlib.resources
import itertools
import json
import re
import zipfile
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import koschey.db
from koschey.app import create_front
from koschey.db.files import select_project_files
from koschey.db.journal import Entry, insert_entries
from koschey.db.migrate import INSERT_STEP, OUTSIDE, PARAGRAPH, SUMS, Step, migrate, read_steps, require_present
from koschey.db.pool import Connection, connect, open_pool
from koschey.errors import StartError
from koschey.events import Event
from koschey.model import SYSTEM, Sha256
from koschey.settings import Settings
from koschey.storage.s3 import OpenBucket
from tests.support.app_in_process import Store
from tests.support.postgres import set_clock
from tests.support.schema import schema_of

UPGRADES = sorted((Path(__file__).parent / "upgrades").glob("*.zip"))
"""Of each version what its database and its bucket held, and which files its pages listed."""


SELECT_CAUSES = """
    SELECT filename, cause, cause_subject, cause_scope, cause_version
      FROM standing JOIN file ON file.id = file_id ORDER BY file_id
"""
TIME, UPLOAD = ("time", "", "", None), ("upload", "admin", "", None)
CAUSES = {
    "0.1.0": {
        **dict.fromkeys(("old_app-1.0", "old_app-1.1", "old_lib-1.0", "old_lib-2.0", "gone_app-1.0"), TIME),
        **dict.fromkeys(("new_app-1.0", "excepted_app-1.0", "two_app-1.0"), TIME),
        "held_long-1.0": ("decision", "extend", "held-long", "1.0"),
        "approved_app-1.0": ("decision", "approve", "approved-app", "1.0"),
        "trusted_app-1.0": ("decision", "trust", "", None),
        "blocked_app-1.0": ("decision", "block", "blocked-app", "1.0"),
        "recalled_app-1.0": ("decision", "recall", "recalled-app", "1.0"),
        "gone_app-2.0": ("upstream", "removed", "", None),
        **dict.fromkeys(("acme_tools-1.0", "acme_tools-2.0", "acme_archived-1.0"), UPLOAD),
        "acme_tools-3.0": ("removal", "root", "", None),
    }
}
"""By version and file: the causes of the states that it kept, as the sentences beside them say."""


def test_steps_are_numbered_without_gaps() -> None:
    """Every file in the folder of migrations is a step, but for their digests, and the steps are 1, 2, 3 and so on."""
    folder = importlib.resources.files("koschey.db") / "migrations"
    files = [file.name for file in folder.iterdir() if file.name != SUMS]
    assert [step.number for step in read_steps()] == list(range(1, 1 + len(files)))
    assert len((folder / SUMS).read_text().splitlines()) == len(files)


def test_a_changed_step_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts, and nothing is migrated, where a step is not as it was published."""
    copy = tmp_path / "migrations"
    with importlib.resources.as_file(importlib.resources.files("koschey.db") / "migrations") as folder:
        copy.mkdir()
        for file in folder.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)
    assert len(read_steps()) >= 10
    changed = next(copy.glob("0003_*.sql"))
    changed.write_text(changed.read_text() + "-- a better comment\n")
    with pytest.raises(StartError, match=f"the migration {changed.name} is not the one that was published"):
        read_steps()


@pytest.mark.parametrize("act", [migrate, require_present])
async def test_a_database_of_another_step_is_refused(own_database: str, act: object) -> None:
    """A database that applied another text under the same number has another schema: neither starts on it."""
    connection = await connect(own_database)
    await connection.execute("UPDATE migration SET digest = $1 WHERE step = 9", Sha256("0" * 64))
    assert callable(act)
    with pytest.raises(StartError, match="the database has another migration 0009 than this Koschey"):
        await act(connection)
    await connection.close()


def first_editions() -> list[Step]:
    """The steps up to the ninth, with the first and the ninth as some databases applied them."""
    steps = {step.number: step for step in read_steps() if step.number < 10}
    missing = {
        1: [
            """    due_at   timestamptz NOT NULL DEFAULT koschey_now(),
    -- Grows when the same message is written again, so that one that is just being sent is sent once more.
    revision bigint NOT NULL DEFAULT 0
"""
        ],
        9: [
            "    pending      boolean NOT NULL DEFAULT false,\n",
            "CREATE INDEX advisory_pending ON advisory (project) WHERE pending;\n",
            "project !~ '[*@]' AND ",
            "\n                       AND file.absent_since IS NULL",
        ],
    }
    for number, texts in missing.items():
        sql = steps[number].sql
        for text in texts:
            assert text in sql
            kept = "    due_at   timestamptz NOT NULL DEFAULT koschey_now()\n" if "revision" in text else ""
            sql = sql.replace(text, kept)
        steps[number] = steps[number]._replace(sql=sql)
    begin, end = "CREATE FUNCTION record_downloads(", "END $$;\n"
    sql = steps[9].sql
    start = sql.index(begin)
    stop = sql.index(end, start) + len(end)
    steps[9] = steps[9]._replace(sql=sql[:start] + sql[stop:])
    return list(steps.values())


async def test_databases_of_the_first_editions_are_brought_up_to_date(
    empty_database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two migrations made before they were changed becomes the same schema as everywhere."""
    old = await connect(empty_database)
    with monkeypatch.context() as patched:
        patched.setattr("koschey.db.migrate.read_steps", first_editions)
        await migrate(old)
    # Those databases were made before digests were kept.
    await old.execute("ALTER TABLE migration DROP COLUMN digest")
    assert [step.number for step in await migrate(old)] == [step.number for step in read_steps() if step.number > 9]
    await require_present(old)
    assert await schema_of(old) == await schema_of(connection)
    await old.close()


@pytest.mark.parametrize("archive", UPGRADES, ids=lambda path: path.stem)
async def test_data_of_an_earlier_version(archive: Path, empty_database: str, s3: Store) -> None:
    """What a version kept and served is kept and served by this one, byte for byte."""
    with zipfile.ZipFile(archive) as kept:
        content = {name: kept.read(name) for name in kept.namelist()}
    served: dict[str, list[str]] = json.loads(content["served.json"])
    settings = Settings.model_validate(
        {
            **s3,
            "database_url": empty_database,
            "s3_bucket": f"upgrade-{archive.stem.replace('.', '-')}",
            "upstream": "http://127.0.0.1:1/simple/",
            "allow_private_upstream": True,
            "page_freshness": 1e9,
        }
    )
    restored = await connect(empty_database)
    await restored.execute(content["database.sql"].decode(), timeout=60)
    await restored.close()
    connection = await connect(empty_database)
    async with OpenBucket(settings) as bucket:
        await bucket.ensure()
        for name, body in content.items():
            if name.startswith("bucket/"):
                await bucket.put(name.removeprefix("bucket/"), body)
    with pytest.raises(StartError, match="koschey migrate"):
        await require_present(connection)
    await migrate(connection)
    # Windows and exceptions of then have not ended.
    await set_clock(connection, await connection.fetchval("SELECT max(at) FROM journal"))
    journal = await connection.fetch("SELECT * FROM journal ORDER BY serial")
    front = create_front(settings)
    await front.quart.startup()
    try:
        client = front.quart.test_client()
        for project, filenames in served.items():
            page = await client.get(f"/simple/{project}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
            assert page.status_code == 200
            listed = {file["filename"]: file for file in (await page.get_json(force=True))["files"]}
            assert sorted(listed) == filenames, project
            for item in await select_project_files(connection, NormalizedName(project)):
                assert item.file.path
                answer = await client.get(item.file.path)
                if item.file.filename not in filenames:
                    assert answer.status_code == 302, item
                elif item.file.stored_at:
                    body = bytes(await answer.get_data(as_text=False))
                    assert hashlib.sha256(body).hexdigest() == item.file.sha256
    finally:
        await front.quart.shutdown()
    assert await connection.fetch("SELECT * FROM journal ORDER BY serial") == journal
    rows = await connection.fetch(SELECT_CAUSES)
    assert {row["filename"].partition("-py3")[0]: tuple(row)[1:] for row in rows} == CAUSES[archive.stem]
    await connection.close()


async def test_times_follow_serials(own_database: str) -> None:
    """Transactions that overlap, begin early and end late, or fail: times in the journal never run backwards."""
    pool = await open_pool(own_database, size=10)
    name = NormalizedName("spam")

    async def change(number: int) -> None:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetchval("SELECT koschey_now()")
            await asyncio.sleep(0.01 * (number % 7))
            await insert_entries(connection, SYSTEM, Event.CHECK, name, [Entry(), Entry()])
            await (transaction.rollback() if number % 5 == 0 else transaction.commit())

    await asyncio.gather(*(change(number) for number in range(100)))
    rows = await pool.fetch("SELECT serial, at FROM journal ORDER BY serial")
    assert [row["serial"] for row in rows] == list(range(1, 161))
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    await pool.close()


async def test_four_at_once_apply_each_step_once(empty_database: str) -> None:
    """Of processes that start together one applies all steps, and the others find nothing to do."""
    connections = [await connect(empty_database) for _ in range(4)]
    try:
        done = await asyncio.gather(*(migrate(connection) for connection in connections))
        assert sorted(len(steps) for steps in done) == [0, 0, 0, len(read_steps())]
        assert [step for steps in done for step in steps] == read_steps()
        for connection in connections:
            await require_present(connection)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = ANY($1)"
        assert await connections[0].fetchval(held, [each.get_server_pid() for each in connections]) == 0
    finally:
        for connection in connections:
            await connection.close()


async def test_a_failed_step_leaves_nothing(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails half way is not there at all, and the lock is free for the next attempt."""
    connection = await connect(empty_database)
    steps = read_steps()
    broken = [*steps, steps[-1]._replace(number=len(steps) + 1, sql="CREATE TABLE half (id int); SELECT no_such_thing")]
    with monkeypatch.context() as patched:
        patched.setattr("koschey.db.migrate.read_steps", lambda: broken)
        with pytest.raises(Exception, match="no_such_thing"):
            await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await require_present(connection)
    other = await connect(empty_database)
    assert await other.fetchval("SELECT pg_try_advisory_lock($1)", koschey.db.migrate.LOCK)
    await other.close()
    await connection.close()


OUTSIDE_TEXT = f"""\
{OUTSIDE}
CREATE TABLE IF NOT EXISTS made (id int);

DROP INDEX CONCURRENTLY IF EXISTS made_id;

CREATE INDEX CONCURRENTLY made_id ON made (id);

-- Each paragraph commits by itself; a body may hold several statements.
DO $$
BEGIN
    INSERT INTO made VALUES (1);
    PERFORM no_such_thing();
END $$;
"""  # noqa: S608


async def test_a_step_outside_a_transaction_is_repeated_until_it_is_applied(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statements commit one by one; a step that fails half way is not applied, and can be repeated."""
    connection, other = await connect(empty_database), await connect(empty_database)
    steps = read_steps()
    last = steps[-1]._replace(number=len(steps) + 1, sql=OUTSIDE_TEXT)
    monkeypatch.setattr("koschey.db.migrate.read_steps", lambda: [*steps, last])
    with pytest.raises(Exception, match="no_such_thing"):
        await migrate(connection)
    built = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'made_id'::regclass"
    assert await connection.fetchval(built)
    assert await connection.fetchval("SELECT count(*) FROM made") == 0
    assert await connection.fetchval("SELECT max(step) FROM migration") == len(steps)
    assert await connection.fetchval("SHOW lock_timeout") == "0"
    await connection.execute("CREATE FUNCTION no_such_thing() RETURNS void LANGUAGE sql AS ''")
    # A transaction that was open before delays a concurrent build, and no longer than it lasts.
    async with other.transaction():
        await other.execute("INSERT INTO made VALUES (2)")
        build = asyncio.create_task(migrate(connection))
        await asyncio.sleep(1)
        assert not build.done()
    assert await build == [last]
    assert await connection.fetchval(built)
    assert await connection.fetchval("SELECT count(*) FROM made") == 2
    await connection.close()
    await other.close()


def test_steps_outside_a_transaction_can_be_repeated() -> None:
    """Whatever such a step makes, it makes again: what a failed attempt left is dropped, replaced, or kept."""
    outside = [step for step in read_steps() if step.sql.startswith(OUTSIDE)]
    assert outside
    makes = re.compile(r"^(?!--)(CREATE|ALTER|DROP) ", re.MULTILINE)
    for step in outside:
        paragraphs = PARAGRAPH.split(step.sql.strip())
        for before, paragraph in itertools.pairwise(["", *paragraphs]):
            assert len(makes.findall(paragraph)) == 1, paragraph
            index = re.search(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)", paragraph, re.MULTILINE)
            if index:
                assert f"DROP INDEX CONCURRENTLY IF EXISTS {index[1]};" in before
            else:
                assert re.search(
                    r"^(CREATE OR REPLACE|CREATE TABLE|DROP|ALTER TABLE).* (IF (NOT )?EXISTS|FUNCTION|VIEW) ",
                    paragraph,
                    re.MULTILINE,
                )


async def test_an_unmigrated_database_is_refused(empty_database: str) -> None:
    """Nothing starts on an empty database; the message says what to run."""
    connection = await connect(empty_database)
    with pytest.raises(StartError, match="koschey migrate"):
        await require_present(connection)
    await connection.close()


async def test_an_older_database_is_refused(own_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts on a database that lacks a step which this code knows."""
    steps = read_steps()
    monkeypatch.setattr("koschey.db.migrate.read_steps", lambda: [*steps, steps[-1]._replace(number=9999)])
    connection = await connect(own_database)
    with pytest.raises(StartError, match=r"older.*koschey migrate"):
        await require_present(connection)
    await connection.close()


@pytest.mark.parametrize("act", [migrate, require_present])
async def test_a_newer_database_is_refused(own_database: str, act: object) -> None:
    """Neither starting nor migrating touches a database with a step that this code does not know."""
    connection = await connect(own_database)
    await connection.execute(INSERT_STEP, 9999, "from_the_future", "0" * 64)
    assert callable(act)
    with pytest.raises(StartError, match="newer Koschey"):
        await act(connection)
    await connection.close()
