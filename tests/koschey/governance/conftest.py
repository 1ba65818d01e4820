"""The commands on a database of their own, and a project with a held and a released file."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from koschey.cli import cli
from koschey.db.pool import Connection
from koschey.errors import KoscheyError
from koschey.model import State
from tests.support.policy_changes import DAY, Run
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, new_file


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    """Run a command against the database. What goes wrong on purpose is raised."""

    def run(*arguments: str, code: int = 0, input: str | None = None, columns: str = "300") -> Result:  # noqa: A002
        settings = {"DATABASE_URL": database, "DATA": str(tmp_path), "QUARANTINE_DAYS": "7"}
        environment = {f"KOSCHEY_{name}": value for name, value in settings.items()} | {"COLUMNS": columns}
        done = CliRunner(env=environment).invoke(cli, arguments, input=input)
        if isinstance(done.exception, KoscheyError):
            raise done.exception
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


@pytest.fixture
async def acme(connection: Connection) -> Connection:
    """A mirrored project with a held release whose window ends in two days, and one that was released."""
    await set_clock(connection, NOON)
    counted = NOON - 5 * DAY
    held = new_file("acme-2.0.zip", upload_time=counted, release_at=NOON + 2 * DAY)
    held = held._replace(standing=replace(held.standing, counts_from=counted))
    await add_project(connection, "acme", [new_file("acme-1.0.zip", State.RELEASED), held], looked_at=NOON)
    return connection
