"""An index whose processes run under a role that does not own the tables: all work is done, and the journal is kept."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from koschey.db.journal_chain import select_chain
from koschey.db.pool import Pool, connect, open_pool
from koschey.db.role_rights import grant_rights
from koschey.governance.anchors import read_anchors
from koschey.governance.journal_chain import ChainReport, verify_chain
from koschey.model import Actor
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.settings import Settings
from koschey.standards.names import parse_name
from koschey.storage.s3 import OpenBucket
from tests.support.app_in_process import Store
from tests.support.archives import wheel
from tests.support.koschey_up import ask, wait_until
from tests.support.postgres import Postgres
from tests.support.split_processes import SplitProcesses, split_processes
from tests.support.uploads import encoded, form, post
from tests.support.upstream.server import Upstream

ROLE = "restricted"
ADMIN = Actor("admin", "api")


async def restrict(postgres: Postgres, url: str) -> str:
    """Create the role, grant it its rights, and return the database's URL for it."""
    superuser = await connect(postgres.superuser_url("postgres"))
    try:
        await superuser.execute(f"DROP ROLE IF EXISTS {ROLE}")
        await superuser.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
    finally:
        await superuser.close()
    owner = await connect(url)
    try:
        await grant_rights(owner, ROLE)
    finally:
        await owner.close()
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{ROLE}:{ROLE}@{parts.hostname}:{parts.port}"))


async def forget_role(postgres: Postgres, database: str) -> None:
    """Remove the role."""
    superuser = await connect(postgres.superuser_url(database))
    try:
        await superuser.execute(f"DROP OWNED BY {ROLE}")
        await superuser.execute(f"DROP ROLE {ROLE}")
    finally:
        await superuser.close()


async def verified(pool: Pool, s3: Store) -> ChainReport:
    """What `koschey audit verify` finds, with the anchors in the bucket."""
    async with OpenBucket(Settings.model_validate({**s3, "database_url": "postgresql://localhost/none"})) as bucket:
        anchors = await read_anchors(bucket)
    return await verify_chain(select_chain(pool, 0), anchors=anchors)


def test_all_work_is_done(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> None:
    """A page, a hold, an approval, a download and an upload; the journal is chained, and the worker anchors it."""
    held = shared_upstream.add("restricted-held", "1.0", upload_time=datetime.now(UTC))
    with split_processes(folder, postgres, s3, shared_upstream) as parts, asyncio.Runner() as runner:
        owner_url = parts.settings["KOSCHEY_DATABASE_URL"]
        url = runner.run(restrict(postgres, owner_url))
        parts.settings["KOSCHEY_DATABASE_URL"] = url
        try:
            pool = runner.run(open_pool(url))
            work(parts, runner, pool, held.filename)
            report = runner.run(verified(pool, s3))
            runner.run(pool.close())
            assert (report.entries >= 4, report.faults) == (True, [])
            assert report.anchors
        finally:
            parts.stop()
            runner.run(forget_role(postgres, urlsplit(owner_url).path[1:]))


def work(parts: SplitProcesses, runner: asyncio.Runner, pool: Pool, filename: str) -> None:
    """Everything that an index does."""
    parts.start_temporal()
    parts.start_web()
    assert parts.filenames("restricted-held") == []
    parts.start_worker()
    wait_until(lambda: parts.is_stored(filename))
    decision = Decision(Choice.APPROVE, parse_name("restricted-held"), "1.0", "needed")

    async def approve() -> None:
        async with pool.acquire() as connection:
            await decide(connection, ADMIN, decision)

    runner.run(approve())
    wait_until(lambda: parts.filenames("restricted-held") == [filename])
    assert ask(parts.url + parts.path_of(filename)).status == 200
    name, content = wheel("restricted-own", "1.0")
    answer = post(parts, encoded(form(name, content), name, content))
    assert answer.status == 200, answer
    assert parts.filenames("restricted-own") == [name]
