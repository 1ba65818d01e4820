"""A worker under Temporal's time-skipping server, with a database whose clock a test can set.

Everything but time is real: PostgreSQL, S3, the upstream over the wire, the relay, every workflow and activity.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from packaging.utils import canonicalize_name
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from koschey.concurrency.supervision import Background, end_process
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.migrate import migrate
from koschey.db.pool import connect
from koschey.model import Actor
from koschey.quarantine.decision import Choice
from koschey.quarantine.reviewer_codes import issue_code
from koschey.resources import Resources, open_resources
from koschey.settings import Settings
from koschey.standards.negotiation import Form
from koschey.worker.connection import ensure_search_attributes
from koschey.worker.relay import Relay
from koschey.worker.wiring import make_worker
from tests.support.bound_processes import bound_program
from tests.support.koschey_up import Koschey
from tests.support.temporal_cli import program
from tests.support.upstream.server import Upstream, UpstreamFile
from workflows.names import quarantine_id

CLOCK = """
    CREATE TABLE test_clock (ahead interval NOT NULL);
    INSERT INTO test_clock VALUES ('0');
    CREATE OR REPLACE FUNCTION koschey_now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT now() + ahead FROM test_clock';
"""

NUMBERS = itertools.count()


@dataclass
class SkippingKoschey:
    """An index without a web process. A test advances its time."""

    resources: Resources
    environment: WorkflowEnvironment
    make_worker: Callable[[], Worker]
    _worker: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start_worker(self) -> None:
        """Start a worker."""
        await self._worker.enter_async_context(self.make_worker())

    async def stop_worker(self) -> None:
        """Stop the worker; Temporal and the relay continue."""
        await self._worker.aclose()

    async def see(self, project: str) -> list[str]:
        """Refresh the upstream's page, as a first request does; return the filenames that are served."""
        await self.resources.refresher.refresh(canonicalize_name(project))
        return await self.served(project)

    async def served(self, project: str) -> list[str]:
        """Return the filenames that the page lists now."""
        page = await self.resources.pages.project(canonicalize_name(project))
        assert page is not None
        body = page.forms[Form.JSON].content.plain
        return [file["filename"] for file in json.loads(body)["files"]]

    async def state_of(self, filename: str) -> tuple[str, str]:
        """Return a file's state and reason."""
        query = "SELECT state, reason FROM standing JOIN file ON file.id = file_id WHERE filename = $1"
        row = await self.resources.pool.fetchrow(query, filename)
        return row["state"], row["reason"]

    async def wait_for_state(self, filename: str, state: str) -> str:
        """Wait until a file is in a state; return the reason."""
        for _ in range(200):
            now, reason = await self.state_of(filename)
            if now == state:
                return reason
            await asyncio.sleep(0.1)
        raise AssertionError(f"{filename} is {now}: {reason}")

    async def wait_until_stored(self, filename: str) -> None:
        """Wait until a file's bytes are stored; if it is held, also until its workflow waits for its date."""
        query = """
            SELECT project.name AS project, file.version, standing.state
              FROM file JOIN project ON project.id = project_id JOIN standing ON file_id = file.id
             WHERE filename = $1 AND stored_at IS NOT NULL
        """
        for _ in range(200):
            row = await self.resources.pool.fetchrow(query, filename)
            if row and (row["state"] != "held" or await self._waits(row["project"], row["version"])):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{filename} was never stored")

    async def _waits(self, project: str, version: str) -> bool:
        """Return whether the quarantine of a release has settled since all of its files were stored.

        A workflow that has not settled yet would find that time has passed, and request all of it from the upstream.
        """
        status = await self.workflow(project, version).query("status")
        return bool(status) and not status["unstored_files"]

    async def pass_time(self, span: timedelta, patience: timedelta = timedelta(seconds=30)) -> None:
        """Advance the time of PostgreSQL and of Temporal, which skips no time while anything is in progress.

        Raises `RPCError` if the time has not passed within `patience`. Do not call it again then: the server still
        waits for the first request, and its count of the clients that lock its time stays wrong.
        """
        await self.resources.pool.execute("UPDATE test_clock SET ahead = ahead + $1", span)
        request = SleepRequest()
        request.duration.FromTimedelta(span)
        await self.environment.client.test_service.unlock_time_skipping_with_sleep(request, timeout=patience)

    def workflow(self, project: str, version: str) -> "WorkflowHandle[object, object]":
        """Return the quarantine of a release."""
        return self.environment.client.get_workflow_handle(quarantine_id(project, version))


async def new_database(koschey: Koschey, name: str) -> str:
    """Create a database beside the one of a running index, with a clock of its own; return its URL."""
    parts = urlsplit(koschey.settings["KOSCHEY_DATABASE_URL"])
    secret = json.loads((koschey.data / "secrets.json").read_text())["postgres_superuser"]
    superuser = urlunsplit(parts._replace(netloc=f"postgres:{secret}@{parts.hostname}:{parts.port}", path="/postgres"))
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(f"CREATE DATABASE {name} OWNER {parts.username}")
    finally:
        await connection.close()
    url = urlunsplit(parts._replace(path=f"/{name}"))
    connection = await connect(url)
    try:
        await migrate(connection)
        await connection.execute(CLOCK)
    finally:
        await connection.close()
    return url


@asynccontextmanager
async def skipping(
    koschey: Koschey,
    database: str,
    upstream: str,
    *,
    freshness: float = 1e9,
    runner: WorkflowRunner | None = None,
    skips: bool = True,
    **changes: Any,
) -> AsyncIterator[SkippingKoschey]:
    """Run a worker until the block ends, under a time-skipping server or one whose time passes by itself."""
    given: dict[str, Any] = {name.removeprefix("KOSCHEY_").lower(): value for name, value in koschey.settings.items()}
    given |= {"database_url": database, "upstream": upstream, "page_freshness": str(freshness)}
    settings = Settings(**{name: value for name, value in given.items() if name in Settings.model_fields} | changes)
    if skips:
        path = bound_program(program("temporal-test-server"))
        server = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path)
    else:
        server = await WorkflowEnvironment.start_local(dev_server_existing_path=bound_program(program("temporal")))
    async with server, open_resources(settings) as resources:
        searchable = await ensure_search_attributes(server.client, "default")
        marks = {"searchable": searchable, "webhook": settings.webhook is not None}
        async with Background(end_process) as tasks:
            Relay(resources.pool, server.client, database, **marks).start(tasks)
            sandbox = runner or SandboxedWorkflowRunner()
            index = SkippingKoschey(resources, server, lambda: make_worker(server.client, resources, sandbox))
            await index.start_worker()
            try:
                yield index
            finally:
                await index.stop_worker()


async def wait_until_resting(workflow: WorkflowHandle[Any, Any]) -> None:
    """Wait until nothing of a workflow is in progress.

    If a workflow is terminated during an activity, the server's time never passes again.
    """
    quiet = 0
    async with asyncio.timeout(30):
        while quiet < 3:
            described = (await workflow.describe()).raw_description
            busy = bool(described.pending_activities) or described.HasField("pending_workflow_task")
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0.2)


async def add_account(index: SkippingKoschey, name: str, role: str, scope: str) -> None:
    """Add an account with one grant."""
    async with index.resources.pool.acquire() as connection:
        await insert_grant(connection, await upsert_account(connection, name, None), role, scope)


async def code_for(
    index: SkippingKoschey, choice: Choice, project: str, *, reviewer: str = "rita", days: float | None = None
) -> dict[str, Any]:
    """The argument of a signal that a reviewer may send, with a code issued to them."""
    async with index.resources.pool.acquire() as connection:
        release = (canonicalize_name(project), "1.0")
        issued = await issue_code(connection, Actor(reviewer, "admin"), choice, [release], None, days)
    given = {"reviewer": reviewer, "reason": "seen", "code": issued.code}
    return given | ({"days": days} if days else {})


@asynccontextmanager
async def forging(
    koschey: Koschey, upstream: Upstream, setting: str, *, skips: bool = True
) -> AsyncIterator[SkippingKoschey]:
    """An index with a reviewer, an uploader, and a reviewer of another project."""
    database = await new_database(koschey, f"forged_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url, decisions_by_signal=setting, skips=skips) as running:
        await add_account(running, "rita", "reviewer", "*")
        await add_account(running, "ulf", "uploader", "*")
        await add_account(running, "elsa", "reviewer", "elsewhere")
        yield running


async def hold(index: SkippingKoschey, upstream: Upstream, project: str) -> UpstreamFile:
    """Have a new release held; return once it is stored and its workflow waits."""
    file = upstream.add(project, "1.0", upload_time=datetime.now(UTC))
    assert await index.see(project) == []
    await index.wait_until_stored(file.filename)
    return file
