"""How the objects and the rows of an upload come to be: bytes first, rows second, and nothing left where it fails."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiobotocore.client import AioBaseClient
from asyncpg.transaction import Transaction

from activities.uploads import UploadActivities
from koschey.accounts import Account, Grant
from koschey.db.accounts import insert_grant, insert_token, select_identity, upsert_account
from koschey.db.pool import Pool
from koschey.errors import Busy, NotAllowed, StoreUnavailable
from koschey.hosting import accept as accepting
from koschey.hosting import pending_uploads
from koschey.hosting.accept import Accepted, UploadIntake, accept
from koschey.hosting.upload import Upload
from koschey.hosting.upload_transaction import Addition
from koschey.inspection.sandbox.inspector import Inspector
from koschey.model import Sha256
from koschey.standards.upload_form import parse_upload_form
from koschey.storage import spooled
from koschey.storage.direct import DirectRequests
from koschey.storage.s3 import PART_SIZE, blob_key, manifest_key
from koschey.storage.spooled import PARTS_IN_MEMORY, SpooledFile, UploadStore
from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise, read_core_metadata, wheel
from tests.support.uploads import form

type File = tuple[str, bytes]

ADMIN = Account("ada", None, (Grant("admin", "*"),))


@pytest.fixture
def intake(app: AppInProcess) -> UploadIntake:
    """What the process of the index accepts uploads with, by itself."""
    resources = app.resources
    app.run(resources.bucket.ensure())
    app.run(add_admin(resources.pool))
    store = UploadStore(resources.bucket, asyncio.Semaphore(PARTS_IN_MEMORY))
    return UploadIntake(resources.pool, store, Inspector(), resources.trust)


async def add_admin(pool: Pool) -> None:
    """Add the account that uploads: the transaction of an upload reads its rights again."""
    async with pool.acquire() as connection:
        await insert_grant(connection, await upsert_account(connection, ADMIN.name, None), "admin")


@asynccontextmanager
async def arrived(file: File) -> AsyncIterator[Upload]:
    """An upload whose body is on the disk."""
    filename, content = file
    fields = [(name, value) for name, value in form(filename, content).items() if value is not None]
    with tempfile.TemporaryFile() as spool:
        spool.write(content)
        spool.flush()
        digests = {
            "sha256_digest": hashlib.sha256(content).hexdigest(),
            "md5_digest": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "blake2_256_digest": hashlib.blake2b(content, digest_size=32).hexdigest(),
        }
        yield Upload(parse_upload_form(fields, filename), spool.fileno(), len(content), digests)


async def take(intake: UploadIntake, file: File, account: Account = ADMIN) -> Accepted:
    """Accept a file."""
    async with arrived(file) as upload:
        return await accept(intake, account, upload)


def digest_of(body: bytes) -> Sha256:
    """The sha256."""
    return Sha256(hashlib.sha256(body).hexdigest())


def metadata_of(file: File) -> Sha256:
    """The sha256 of METADATA in a wheel."""
    return digest_of(read_core_metadata(file[1]) or b"")


async def objects_of(intake: UploadIntake, file: File) -> list[bool]:
    """Whether the bytes, the manifest and METADATA of a file are in the bucket."""
    digest = digest_of(file[1])
    keys = (blob_key(digest), manifest_key(digest), blob_key(metadata_of(file)))
    return [await intake.store.bucket.size_of(key) is not None for key in keys]


async def rows_of(intake: UploadIntake, file: File) -> tuple[int, int]:
    """How many rows of files, and of pending uploads, there are of these bytes."""
    digest = digest_of(file[1])
    return (
        await intake.pool.fetchval("SELECT count(*) FROM file WHERE sha256 = $1", digest),
        await intake.pool.fetchval("SELECT count(*) FROM pending_upload WHERE sha256 = $1", digest),
    )


async def let_expire(intake: UploadIntake, file: File) -> None:
    """Have the process of an upload be dead for long."""
    query = "UPDATE pending_upload SET until = now() - interval '1 minute' WHERE sha256 = $1"
    await intake.pool.execute(query, digest_of(file[1]))


async def sweep(intake: UploadIntake) -> int:
    """Sweep, as the worker does."""
    return await UploadActivities(intake.pool, intake.store).sweep_uploads()


def test_file_has_its_objects_and_its_rows(app: AppInProcess, intake: UploadIntake) -> None:
    """An upload leaves the bytes, METADATA, a manifest and rows that say the same, and nothing pending."""
    file = wheel("us-plain", "1.0")
    accepted = app.run(take(intake, file))
    assert accepted.serial is not None
    assert app.run(objects_of(intake, file)) == [True] * 3
    assert app.run(rows_of(intake, file)) == (1, 0)
    stored = app.file(file[0]).file
    assert (stored.sha256, stored.size, stored.core_metadata) == (digest_of(file[1]), len(file[1]), metadata_of(file))
    assert app.run(take(intake, file)).serial is None


OPEN: ContextVar[int] = ContextVar("open", default=0)
"""How many transactions are open in this task, or were where it began."""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """What was waited for beside PostgreSQL, and how often; fails where that is within a transaction."""
    seen: dict[str, int] = {}
    app_one: list[str] = []

    def note(what: str) -> None:
        seen[what] = seen.get(what, 0) + 1
        if OPEN.get():
            app_one.append(what)

    def spy(target: Any, name: str) -> None:
        original = getattr(target, name)

        async def watched(*args: Any, **kwargs: Any) -> Any:
            note(name)
            return await original(*args, **kwargs)

        monkeypatch.setattr(target, name, watched)

    enter, leave = Transaction.__aenter__, Transaction.__aexit__

    async def begin(self: Any) -> None:
        await enter(self)
        OPEN.set(OPEN.get() + 1)

    async def end(self: Any, *error: Any) -> None:
        await leave(self, *error)
        OPEN.set(OPEN.get() - 1)

    monkeypatch.setattr(Transaction, "__aenter__", begin)
    monkeypatch.setattr(Transaction, "__aexit__", end)
    spy(AioBaseClient, "_make_api_call")
    spy(DirectRequests, "_send")
    spy(Inspector, "_run")
    for name in ("to_thread", "sleep", "create_subprocess_exec"):
        spy(asyncio, name)
    yield seen
    assert app_one == []


def test_no_transaction_waits_for_anything_but_postgresql(
    app: AppInProcess, intake: UploadIntake, recorder: dict[str, int]
) -> None:
    """Neither the bucket, nor a child, nor a thread is waited for between BEGIN and COMMIT."""
    for file in (wheel("us-recorded", "1.0", padding=3 * PART_SIZE), wheel("us-recorded", "1.1")):
        assert app.run(take(intake, file)).serial is not None
    assert recorder["_make_api_call"] + recorder["_send"] > 10
    assert recorder.keys() >= {"_run", "to_thread"}


def test_more_uploads_than_connections(app: AppInProcess, intake: UploadIntake) -> None:
    """Three times as many uploads at once as there are connections are all accepted."""
    files = [wheel("us-many", f"1.{number}", padding=2 * PART_SIZE) for number in range(30)]

    async def run() -> list[Accepted]:
        return await asyncio.gather(*(take(intake, file) for file in files))

    assert all(accepted.serial for accepted in app.run(run()))
    assert app.fetch("SELECT count(*) FROM pending_upload")[0][0] == 0


def test_parts_are_put_in_their_order(app: AppInProcess, intake: UploadIntake) -> None:
    """A file of several parts comes out of the bucket as it went in, and never more parts are read than may be."""
    content = noise("us-parts", 5 * PART_SIZE + 17)
    read: list[int] = []

    async def run() -> bytes:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            store = UploadStore(intake.store.bucket, asyncio.Semaphore(2))
            digest = digest_of(content)
            await store.put_file(SpooledFile(file.fileno(), len(content), digest))
            read.append(store.turns._value)
            return await store.bucket.get(blob_key(digest))

    assert app.run(run()) == content
    assert read == [2], "every turn is given back"


def test_cancelled_parts_give_their_turns_back(app: AppInProcess, intake: UploadIntake) -> None:
    """An upload whose client went away leaves no object, and takes no turn with it."""
    content = noise("us-cancelled", 6 * PART_SIZE)

    async def run() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            store = UploadStore(intake.store.bucket, asyncio.Semaphore(2))
            for pause in (0.0, 0.01, 0.05, 0.1):
                task = asyncio.create_task(store.put_file(SpooledFile(file.fileno(), len(content), digest_of(content))))
                await asyncio.sleep(pause)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert store.turns._value == 2
            assert await store.bucket.size_of(blob_key(digest_of(content))) is None

    app.run(run())


def test_bytes_that_changed_on_the_disk_are_not_stored(app: AppInProcess, intake: UploadIntake) -> None:
    """What the spool gives back must be what arrived, in one part and in many."""
    for padding in (0, 2 * PART_SIZE):
        file = wheel("us-changed", "1.0", padding=padding)

        async def run(file: File = file) -> None:
            async with arrived(file) as upload:
                inspect = intake.inspector.inspect

                async def spoil(descriptor: int, filename: str) -> Any:
                    found = await inspect(descriptor, filename)
                    os.pwrite(descriptor, b"spoilt", 100)
                    return found

                spoiling = Inspector()
                spoiling.inspect = spoil  # type: ignore[method-assign]
                await accept(UploadIntake(intake.pool, intake.store, spoiling, intake.trust), ADMIN, upload)

        with pytest.raises(StoreUnavailable, match="changed on Koschey's disk"):
            app.run(run())
        assert app.run(objects_of(intake, file)) == [False] * 3
        assert app.run(rows_of(intake, file)) == (0, 0)


def test_failed_transaction_leaves_no_object(
    app: AppInProcess, intake: UploadIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong after the bytes were put: they are deleted again."""

    async def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    file = wheel("us-failed", "1.0")
    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_insert", fail)
        with pytest.raises(RuntimeError, match="a bug"):
            app.run(take(intake, file))
    assert app.run(objects_of(intake, file)) == [False] * 3
    assert app.run(rows_of(intake, file)) == (0, 0)
    assert app.run(take(intake, file)).serial is not None


@pytest.mark.parametrize("ended", ["revoked", "narrowed", "disabled", "without a role"])
def test_rights_that_end_during_an_upload_end_it(
    app: AppInProcess, intake: UploadIntake, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """The transaction of an upload, which may have begun long before, reads the rights again, and leaves nothing."""
    name = f"us-{ended.replace(' ', '-')}"
    file = wheel(name, "1.0")
    made = app.run(new_uploader(intake.pool, name))
    changes = {
        "revoked": "UPDATE token SET revoked_at = now() WHERE id = $1",
        "narrowed": "UPDATE token SET scopes = '{other}' WHERE id = $1",
        "disabled": "UPDATE account SET disabled_at = now() FROM token WHERE token.id = $1 AND account_id = account.id",
        "without a role": "DELETE FROM role_grant WHERE account_id = (SELECT account_id FROM token WHERE id = $1)",
    }
    write = Addition.write

    async def end_first(addition: Addition, *arguments: Any) -> Any:
        await intake.pool.execute(changes[ended], made.token.id if made.token else "")
        return await write(addition, *arguments)

    monkeypatch.setattr(Addition, "write", end_first)
    with pytest.raises(NotAllowed):
        app.run(take(intake, file, made))
    assert app.run(rows_of(intake, file)) == (0, 0)
    assert app.run(objects_of(intake, file)) == [False] * 3
    monkeypatch.undo()
    assert app.run(take(intake, file)).serial


async def new_uploader(pool: Pool, name: str) -> Account:
    """Add an account that may upload, with a token."""
    async with pool.acquire() as connection:
        account = await upsert_account(connection, name, None)
        await insert_grant(connection, account, "uploader")
        await insert_token(connection, name.ljust(12, "0")[:12], account, "", "a test")
        found = await select_identity(connection, name, name.ljust(12, "0")[:12])
    assert found is not None
    return found


def test_transaction_is_tried_again(app: AppInProcess, intake: UploadIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that was cancelled does not cost the client all its bytes."""
    monkeypatch.setattr(accepting, "RETRIES", (0.0, 0.0))
    write, faults = Addition.write, [ConnectionError("gone"), asyncpg.QueryCanceledError("slow")]

    async def falter(self: Addition, *args: Any) -> Any:
        if faults:
            raise faults.pop()
        return await write(self, *args)

    monkeypatch.setattr(Addition, "write", falter)
    file = wheel("us-again", "1.0")
    assert app.run(take(intake, file)).serial is not None
    assert app.run(rows_of(intake, file)) == (1, 0)
    faults += [ConnectionError("gone")] * 3
    other = wheel("us-again", "1.1")
    with pytest.raises(ConnectionError):
        app.run(take(intake, other))
    assert app.run(objects_of(intake, other)) == [False] * 3


def test_commit_whose_answer_was_lost_counts(
    app: AppInProcess, intake: UploadIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there though the process does not know it: the next try finds them, and nothing is deleted."""
    monkeypatch.setattr(accepting, "RETRIES", (0.0,))
    leave, file = Transaction.__aexit__, wheel("us-lost", "1.0")
    lost: list[Any] = []

    async def lose(self: Any, *error: Any) -> None:
        await leave(self, *error)
        if not lost and (await rows_of(intake, file))[0]:
            lost.append(self)
            raise ConnectionError("the answer to COMMIT is lost")

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "__aexit__", lose)
        assert app.run(take(intake, file)).serial is None
    assert len(lost) == 1
    assert app.run(objects_of(intake, file)) == [True] * 3
    assert app.run(rows_of(intake, file)) == (1, 0)


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[AppInProcess, UploadIntake, File], None]:
    """Uploads a file with a process that dies between its last object and its rows."""

    async def die(*_: object, **__: object) -> None:
        raise ConnectionError("killed")

    def upload(app: AppInProcess, intake: UploadIntake, file: File) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Addition, "write", die)
            patched.setattr(accepting, "RETRIES", ())
            patched.setattr(pending_uploads, "_discard", die)
            with pytest.raises(ConnectionError, match="killed"):
                app.run(take(intake, file))

    return upload


type Dying = Callable[[AppInProcess, UploadIntake, File], None]


def test_what_a_dead_process_left_is_swept(app: AppInProcess, intake: UploadIntake, dying: Dying) -> None:
    """Objects without rows are deleted once their upload can be under way no more, and not before."""
    file = wheel("us-dead", "1.0")
    dying(app, intake, file)
    assert app.run(objects_of(intake, file)) == [True] * 3
    assert app.run(rows_of(intake, file)) == (0, 1)
    assert app.run(sweep(intake)) == 0
    assert app.run(objects_of(intake, file)) == [True] * 3
    app.run(let_expire(intake, file))
    assert app.run(sweep(intake)) == 1
    assert app.run(objects_of(intake, file)) == [False] * 3
    assert app.run(rows_of(intake, file)) == (0, 0)


def test_same_upload_goes_on_from_a_dead_one(
    app: AppInProcess, intake: UploadIntake, dying: Dying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the dead upload may be alive the next one waits; then it takes its place."""
    file = wheel("us-next", "1.0")
    dying(app, intake, file)
    monkeypatch.setattr(pending_uploads, "PATIENCE", 0.1)
    with pytest.raises(Busy, match="another upload of the same bytes is under way"):
        app.run(take(intake, file))
    app.run(let_expire(intake, file))
    assert app.run(take(intake, file)).serial is not None
    assert app.run(rows_of(intake, file)) == (1, 0)


def test_sweep_leaves_what_is_in_use(app: AppInProcess, intake: UploadIntake, dying: Dying) -> None:
    """METADATA that another file of the release has, or another upload has put, stays; so do bytes that have a row."""
    first = wheel("us-shared", "1.0")
    second, third = (
        (first[0].replace("py3", f"py3{number}"), wheel("us-shared", "1.0", padding=number)[1]) for number in (1, 2)
    )
    assert metadata_of(first) == metadata_of(second) == metadata_of(third)
    dying(app, intake, second)
    dying(app, intake, third)
    app.run(let_expire(intake, second))
    assert app.run(sweep(intake)) == 1
    assert app.run(objects_of(intake, second)) == [False, False, True], "the third may still come to its rows"
    assert app.run(take(intake, first)).serial is not None
    app.run(let_expire(intake, third))
    assert app.run(sweep(intake)) == 1
    assert app.run(objects_of(intake, third)) == [False, False, True], "the first has it"
    insert = "INSERT INTO pending_upload VALUES ($1, $2, 'us-shared', 'dead', now())"
    app.execute(insert, digest_of(first[1]), metadata_of(first))
    app.run(let_expire(intake, first))
    assert app.run(sweep(intake)) == 1
    assert app.run(objects_of(intake, first)) == [True] * 3
    assert app.run(rows_of(intake, first)) == (1, 0)


def test_upload_that_was_swept_is_not_accepted(
    app: AppInProcess, intake: UploadIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stood still until others gave it up for dead writes no rows: its objects are gone."""
    file = wheel("us-slow", "1.0")
    write = Addition.write

    async def stand_still(self: Addition, *args: Any) -> Any:
        await let_expire(intake, file)
        assert await sweep(intake) == 1
        return await write(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "write", stand_still)
        with pytest.raises(StoreUnavailable, match="took too long to be stored; upload it again"):
            app.run(take(intake, file))
    assert app.run(objects_of(intake, file)) == [False] * 3
    assert app.run(rows_of(intake, file)) == (0, 0)
    assert app.run(take(intake, file)).serial is not None


def test_nobody_begins_with_what_is_being_deleted(
    app: AppInProcess, intake: UploadIntake, dying: Dying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the decision to delete METADATA and its deletion no other file of the release relies on it."""
    first, second = wheel("us-deleted", "1.0"), wheel("us-deleted", "1.0", padding=1)
    dying(app, intake, first)
    app.run(let_expire(intake, first))
    deleted, began, go_on = UploadStore.delete_file, asyncio.Event(), asyncio.Event()

    async def linger(self: UploadStore, sha256: Sha256) -> None:
        began.set()
        await go_on.wait()
        await deleted(self, sha256)

    async def run() -> Accepted:
        sweeping = asyncio.create_task(sweep(intake))
        await began.wait()
        other = (second[0].replace("py3", "py31"), second[1])
        taking = asyncio.create_task(take(intake, other))
        done, _ = await asyncio.wait([taking], timeout=2)
        assert not done
        go_on.set()
        await sweeping
        return await taking

    with monkeypatch.context() as patched:
        patched.setattr(UploadStore, "delete_file", linger)
        assert app.run(run()).serial is not None
    assert app.run(objects_of(intake, second)) == [True] * 3
    assert app.run(objects_of(intake, first)) == [False, False, True]


async def test_part_reads_as_a_file(tmp_path: Path) -> None:
    """What the S3 client reads of a part, from whatever place, is what the file has there."""
    content = noise("us-part", 1000)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file, spooled.FilePart(300) as part:
        hasher = hashlib.sha256()
        part.fill(file.fileno(), 700, hasher)
        assert hasher.digest() == hashlib.sha256(content[700:]).digest()
        assert (part.readable(), part.seekable(), part.read()) == (True, True, content[700:])
        assert (part.seek(-100, 2), part.read(10), part.tell()) == (200, content[900:910], 210)
        assert (part.seek(5, 1), part.read(), part.read()) == (215, content[915:], b"")
    with (tmp_path / "file").open("rb") as file, spooled.FilePart(0) as part:
        part.fill(file.fileno(), 0, hasher)
        assert part.read() == b""
