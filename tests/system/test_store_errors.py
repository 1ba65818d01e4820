"""What PostgreSQL cannot do now is 503 with Retry-After on every door, and changes nothing; pages are served."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from koschey.db.pool import connect
from tests.support.api import Api, is_problem
from tests.support.app_in_process import Store
from tests.support.koschey_up import Answer, ask
from tests.support.postgres import Postgres
from tests.support.split_processes import SplitProcesses, split_processes
from tests.support.upstream.server import Upstream

OLD = timedelta(days=30)


@dataclass
class Index:
    """An index with one web process and an admin."""

    parts: SplitProcesses
    api: Api
    token: str

    def block(self, project: str, reason: str = "a test") -> Answer:
        """Block a release, or block it for another reason."""
        body = {"choice": "block", "project": project, "version": "1.0", "reason": reason}
        return self.api.call("POST", "decisions", body, token=self.token)

    def upload(self, project: str) -> Answer:
        """Upload a wheel."""
        return self.api.upload(project)

    def execute(self, *statements: str) -> None:
        """Change something in its database."""
        asyncio.run(self._execute(statements))

    async def _execute(self, statements: Sequence[str]) -> None:
        connection = await connect(self.parts.settings["KOSCHEY_DATABASE_URL"])
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def database(self) -> str:
        """Its name."""
        return self.parts.settings["KOSCHEY_DATABASE_URL"].rpartition("/")[2]


END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(scope="module")
def index(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Index]:
    """It has mirrored one release."""
    with split_processes(folder, postgres, s3, shared_upstream) as parts:
        parts.start_web()
        shared_upstream.add("store-errors", "1.0", upload_time=datetime.now(UTC) - OLD)
        assert parts.page("store-errors")["files"]
        api = Api(parts)
        assert api.upload("store-errors-first").status == 200
        yield Index(parts, api, api.token("admin"))


def is_outage(answer: Answer) -> bool:
    """Whether a client is told to come back."""
    return is_problem(answer, 503) and int(answer.headers["retry-after"]) > 0


def changes(index: Index) -> int:
    """How many there were."""
    return int(index.parts.fetch_value("SELECT count(*) FROM journal"))


def test_a_database_that_takes_no_writes(index: Index) -> None:
    """F5: a primary that became a standby: decisions come back later, pages and what was not decided stay."""
    before = changes(index)
    index.execute(f"ALTER DATABASE {index.database} SET default_transaction_read_only = on", END_OTHERS)
    try:
        assert is_outage(index.block("store-errors"))
        assert index.upload("store-errors-hosted").status == 503
        assert ask(f"{index.parts.index_url}store-errors/").status == 200
    finally:
        index.execute(
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {index.database} RESET default_transaction_read_only",
            END_OTHERS,
        )
    assert changes(index) == before
    assert index.upload("store-errors-hosted").status == 200


def test_a_lock_that_is_not_given(index: Index) -> None:
    """Another transaction keeps the project's row: the decision ends at the time limit, and comes back later."""
    before = changes(index)

    async def block_while_locked() -> Answer:
        connection = await connect(index.parts.settings["KOSCHEY_DATABASE_URL"])
        try:
            async with connection.transaction():
                await connection.execute("SELECT FROM project WHERE name = 'store-errors' FOR UPDATE")
                return await asyncio.to_thread(index.block, "store-errors")
        finally:
            await connection.close()

    assert is_outage(asyncio.run(block_while_locked()))
    assert changes(index) == before
    assert index.block("store-errors").status == 200


@pytest.mark.parametrize("code", ["53100", "53200", "53300", "40001", "40P01", "55P03", "57014", "58030", "25P03"])
def test_errors_of_the_server(index: Index, code: str) -> None:
    """No disk, no memory, no connection left, a deadlock, a time limit, a failing disk: the same answer for each."""
    before = changes(index)
    index.execute(
        f"CREATE OR REPLACE FUNCTION fail_for_a_test() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'a test' USING ERRCODE = '{code}'; END$$",
        "CREATE TRIGGER fails BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION fail_for_a_test()",
    )
    try:
        assert is_outage(index.block("store-errors", code))
        assert index.upload(f"store-errors-{code.lower()}").status == 503
    finally:
        index.execute("DROP TRIGGER fails ON journal")
    assert changes(index) == before
