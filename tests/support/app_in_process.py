"""A whole index inside the test's process: the real application over real PostgreSQL, S3 and a real upstream.

Its clock stands still until a test moves it, and nothing happens in the background: pages do not become stale by
themselves, and no worker runs. So one test can send hundreds of requests a second, and each answer has one right value.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, settings
from packaging.utils import canonicalize_name

from koschey.app import create_app
from koschey.auth.sessions import open_session
from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.concurrency.waiting import set_within
from koschey.db import accounts, files
from koschey.embedded.binaries import find_binaries
from koschey.embedded.child import Child, stop_all
from koschey.embedded.data_folder import private_folder
from koschey.embedded.environment import BUCKET
from koschey.embedded.ports import listen_anywhere
from koschey.embedded.s3 import s3_part
from koschey.embedded.secret_file import Secrets
from koschey.model import SYSTEM, StandingFile
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from koschey.quarantine.settle import Settlement, settle
from koschey.resources import Resources
from koschey.serving import cache, encoded, pages
from koschey.settings import Settings
from koschey.web.context import KEY
from koschey.web.edge import Edge
from koschey.web.fast import FastLayer
from koschey.web.gate import ReadGate
from tests.support.koschey_up import JSON, Answer
from tests.support.postgres import MIGRATED, Postgres, set_clock, wait_until_ready
from tests.support.rows import NOON
from tests.support.upstream.server import Upstream

NEVER_OLD = 1e9
"""Seconds: no page becomes stale by itself; a test refreshes it."""
REVIEWER = "rita"
"""An account that may decide about every project."""
SECOND = "saul"
"""Another account with the same rights."""
MOVED = frozenset({301, 302, 303, 307, 308})
NUMBERS = itertools.count()
EXTENSIONS = {"http.response.pathsend": dict[str, object]()}
"""What the server can do besides the standard, as granian can: send a file by its path."""

type Store = Mapping[str, str]

# The profile is registered here, because pytest reads its options after this module and before any test.
settings.register_profile(
    "long", max_examples=1000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="session")
def s3(folder: Path) -> Iterator[Store]:
    """The settings of an S3 server that `koschey up` would start."""
    home = folder / "store"
    home.mkdir()
    private_folder(home / "logs")
    secrets = Secrets()
    with listen_anywhere("127.0.0.1") as listener:
        port = int(listener.getsockname()[1])
    child = Child(s3_part(home, find_binaries().rclone, port, secrets))
    try:
        wait_until_ready(child)
        yield {
            "s3_endpoint": f"http://127.0.0.1:{port}",
            "s3_bucket": BUCKET,
            "s3_access_key": secrets.s3_access_key,
            "s3_secret_key": secrets.s3_secret_key,
        }
    finally:
        stop_all([child])


@pytest.fixture(scope="module")
def app(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator["AppInProcess"]:
    """An index that anonymous clients may read."""
    with AppInProcess(postgres, s3, shared_upstream) as running:
        yield running


@pytest.fixture(scope="module")
def private(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator["AppInProcess"]:
    """An index that only clients with a login may read."""
    with AppInProcess(postgres, s3, shared_upstream, anonymous=False) as running:
        yield running


@dataclass(frozen=True)
class Who:
    """A client: its name, and the headers that authenticate it."""

    name: str
    headers: Mapping[str, str]


NOBODY = Who("nobody", {})


class AppInProcess:
    """The index. Every call returns after all its work is done."""

    def __init__(
        self, postgres: Postgres, s3: Store, upstream: Upstream, *, anonymous: bool = True, **more: Any
    ) -> None:
        self.upstream = upstream
        self._postgres = postgres
        self._given = {**s3, "anonymous_reading": anonymous, **more}
        self._runner = asyncio.Runner()
        self._real_time = time.monotonic
        self._ahead = 0.0
        self.app: Edge
        self.now = NOON

    def __enter__(self) -> Self:
        self.database = self.run(self._postgres.create(MIGRATED))
        self._shelf = TemporaryDirectory(prefix="koschey-shelf-")
        self.settings = Settings.model_validate(
            {
                "cache_dir": self._shelf.name,
                **self._given,
                "database_url": self._postgres.url(self.database),
                "upstream": self.upstream.url,
                "allow_private_upstream": True,
                "page_freshness": NEVER_OLD,
                "log_level": "error",
            }
        )
        # The process's memory must age together with PostgreSQL's clock.
        shifted = SimpleNamespace(monotonic=lambda: self._real_time() + self._ahead)
        self._times = [(module, module.time) for module in (cache, encoded, pages) if hasattr(module, "time")]
        for module, _ in self._times:
            module.time = shifted  # type: ignore[attr-defined]
        self.start()
        self.set_clock(NOON)
        self.run(self._add_reviewer())
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        for module, original in self._times:
            module.time = original  # type: ignore[attr-defined]
        self.run(self._postgres.drop(self.database))
        self._runner.close()
        self._shelf.cleanup()

    def run[T](self, work: Awaitable[T]) -> T:
        """Run an awaitable to its end."""

        async def await_it() -> T:
            return await work

        return self._runner.run(await_it())

    @property
    def front(self) -> FastLayer:
        """The application behind the gate, if there is a gate."""
        behind = self.app.application
        front: FastLayer = behind._application if isinstance(behind, ReadGate) else behind
        return front

    @property
    def resources(self) -> Resources:
        """The open resources of the web process."""
        found: Resources = self.front.quart.extensions[KEY]
        return found

    def start(self) -> None:
        """Start the web process, with an empty memory."""
        app = create_app(self.settings)
        assert isinstance(app, Edge)
        self.app = app
        self.run(self.front.quart.startup())
        self.hear_all()

    def stop(self) -> None:
        """Stop the web process."""
        self.run(self.front.quart.shutdown())

    def hear_all(self) -> None:
        """Return once the process has been notified of every commit until now."""
        self.run(self._hear_all())

    def ask(self, path: str, method: str = "GET", who: Who = NOBODY, body: bytes = b"", **headers: str) -> Answer:
        """Send one request through the whole application, and follow redirects as installers do."""
        return self.ask_all(path, method, who, body, **headers)[-1]

    def ask_all(
        self, path: str, method: str = "GET", who: Who = NOBODY, body: bytes = b"", **headers: str
    ) -> list[Answer]:
        """Do the same as `ask`; return every answer on the way."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | dict(who.headers)
        return self.run(self._follow(method, path, sent, body))

    def page(self, project: str) -> Any:
        """A project's page, parsed."""
        answer = self.ask(f"/simple/{project}/", Accept=JSON)
        assert answer.status == 200, answer
        return answer.json

    def refresh(self, project: str) -> None:
        """Refresh the upstream's page a second later: an earlier refresh of the same moment would count as this one."""
        self.pass_time(timedelta(seconds=1))
        self.run(self.resources.refresher.refresh(canonicalize_name(project)))
        self.hear_all()

    def store(self, filename: str) -> None:
        """Download a file's bytes into the bucket, as the worker does for held files."""
        self.run(self.resources.files.store(self.file(filename).file))
        self.hear_all()

    def settle(self, project: str, version: str) -> Settlement:
        """Apply the verdict, as the workflow does whenever it wakes."""
        settlement = self.run(self._settle(project, version))
        self.hear_all()
        return settlement

    def decide(self, choice: str, project: str, version: str | None = None) -> DecisionOutcome:
        """Carry out a reviewer's decision."""
        outcome = self.run(self._decide(Choice(choice), project, version))
        self.hear_all()
        return outcome

    def execute(self, statement: str, *values: object) -> Any:
        """Change rows without the code of the index."""
        return self.run(self.resources.pool.execute(statement, *values))

    def fetch(self, query: str, *values: object) -> list[Any]:
        """Query the database."""
        return list(self.run(self.resources.pool.fetch(query, *values)))

    def file(self, filename: str) -> StandingFile:
        """A file with its state."""
        (row,) = self.fetch("SELECT id FROM file WHERE filename = $1", filename)
        found = self.run(files.select_file(self.resources.pool, row["id"]))
        assert found is not None
        return found

    def set_clock(self, moment: datetime) -> None:
        """Set PostgreSQL's clock to a moment, at which it stands still; the processes' memory ages by the same time."""
        self.run(set_clock(self.resources.pool, moment))
        self._ahead += (moment - self.now).total_seconds()
        self.now = moment

    def pass_time(self, span: timedelta) -> None:
        """Advance the clock."""
        self.set_clock(self.now + span)

    def account(self, role: str | None, scope: str = "*", **limits: Sequence[str] | None) -> Who:
        """A client with a token, and with one role or none; `actions` and `scopes` are limits of the token."""
        return self.run(self._add_account(role, scope, limits))

    def person(self, role: str | None, scope: str = "*") -> Who:
        """A client with a session of the panel, and with one role or none."""
        return self.run(self._add_session(role, scope))

    async def _hear_all(self) -> None:
        key, heard = f"heard/{next(NUMBERS)}", asyncio.Event()
        signals = self.resources.refresher._leases._signals
        signals[key] = {heard}
        for _ in range(200):
            await self.resources.pool.execute("SELECT pg_notify('koschey_lease', $1)", key)
            if await set_within(heard, 0.1):
                break
        assert heard.is_set()
        del signals[key]

    async def _settle(self, project: str, version: str) -> Settlement:
        feed = self.resources.feed
        async with self.resources.pool.acquire() as connection:
            return await settle(connection, canonicalize_name(project), version, self.settings.window, feed)

    async def _decide(self, choice: Choice, project: str, version: str | None) -> DecisionOutcome:
        async with self.resources.pool.acquire() as connection:
            wanted = Decision(choice, canonicalize_name(project), version, "a test")
            return await decide(connection, SYSTEM_REVIEWER, wanted)

    async def _add_reviewer(self) -> None:
        async with self.resources.pool.acquire() as connection:
            for name in (REVIEWER, SECOND):
                account = await accounts.upsert_account(connection, name, None)
                await accounts.insert_grant(connection, account, "admin")

    async def _add_account(self, role: str | None, scope: str, limits: Mapping[str, Sequence[str] | None]) -> Who:
        token = new_token()
        parts = parse_token(token)
        assert parts
        async with self.resources.pool.acquire() as connection:
            name, account = await self._new_account(connection, role, scope)
            await accounts.insert_token(connection, parts.id, account, digest_secret(parts.secret), "a test")
            narrowed = limits.get("actions"), limits.get("scopes")
            await connection.execute("UPDATE token SET actions = $2, scopes = $3 WHERE id = $1", parts.id, *narrowed)
        return Who(name, {"Authorization": f"Bearer {token}"})

    async def _add_session(self, role: str | None, scope: str) -> Who:
        async with self.resources.pool.acquire() as connection:
            name, _ = await self._new_account(connection, role, scope)
        session = await open_session(self.resources.pool, name, None)
        return Who(f"{name} in the panel", {"Cookie": f"koschey_admin={session}"})

    @staticmethod
    async def _new_account(connection: Any, role: str | None, scope: str) -> tuple[str, int]:
        name = f"{role}-{next(NUMBERS)}"
        account = await accounts.upsert_account(connection, name, None)
        if role:
            await accounts.insert_grant(connection, account, role, scope)
        return name, account

    async def _follow(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> list[Answer]:
        answers = [await _ask(self.app, method, path, headers, body)]
        while answers[-1].status in MOVED and len(answers) < 4 and method in ("GET", "HEAD"):
            parts = urlsplit(answers[-1].headers["location"])
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            answers.append(await _ask(self.app, method, target, headers, body))
        return answers


SYSTEM_REVIEWER = type(SYSTEM)(REVIEWER, "api")
"""The reviewer as an API client, whose permissions are checked."""


async def _ask(
    app: Callable[..., Awaitable[None]], method: str, target: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Send one request by ASGI, as a server does. A body that breaks off gives the status 0."""
    path, _, query = target.partition("?")
    given = {"Host": "127.0.0.1:8080", "Content-Length": str(len(body)), **headers}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": method, "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
        "root_path": "", "headers": raw, "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8080),
        "extensions": EXTENSIONS,
    }  # fmt: skip
    arrived, sent, ended = [{"type": "http.request", "body": body, "more_body": False}], list[Any](), asyncio.Event()

    async def receive() -> Any:
        if arrived:
            return arrived.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.pathsend":
            message = {"type": "http.response.body", "body": Path(message["path"]).read_bytes()}
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            ended.set()

    try:
        await app(scope, receive, send)
    except ConnectionAbortedError:
        sent = [{"status": 0, "headers": []}, *sent[1:]]
    pairs = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    # Servers send no body in answer to HEAD.
    return Answer(sent[0]["status"], pairs, b"" if method == "HEAD" else content)
