"""`koschey quarantine`: all held releases, those of some projects, or a part of them, in portions."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from koschey.cli import cli
from koschey.db import pending
from koschey.db.pool import Connection
from koschey.model import State
from tests.support.rows import NOON, add_project, new_file

type Run = Callable[..., str]


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command against the database; it reads two releases at a time."""
    monkeypatch.setattr(pending, "PORTION", 2)

    def run(*arguments: str, code: int = 0) -> str:
        environment = {"KOSCHEY_DATABASE_URL": database, "KOSCHEY_DATA": str(tmp_path), "COLUMNS": "200"}
        done = CliRunner(env=environment).invoke(cli, ["quarantine", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    return run


async def rows(run: Run, *arguments: str) -> list[Any]:
    """The releases in JSON, from a thread, because a command runs a loop of its own."""
    found: list[Any] = json.loads(await asyncio.to_thread(run, *arguments, "--json"))
    return found


async def fill(connection: Connection) -> None:
    """Five held releases, of which a reviewer decides one, and one that is released."""
    for number, name in enumerate(("echo", "delta", "charlie", "bravo")):
        due = NOON + timedelta(days=10 - number)
        files = [new_file(f"{name}-1.0-{tag}-none-any.whl", release_at=due) for tag in ("py3", "py2")]
        await add_project(connection, name, files)
    await add_project(connection, "alpha", [new_file("alpha-1.0-py3-none-any.whl")])
    await add_project(connection, "released", [new_file("released-1.0-py3-none-any.whl", State.RELEASED)])


async def test_all_releases_come_in_portions(connection: Connection, run: Run) -> None:
    """Each comes once with all of its files, the next to be released first."""
    assert await rows(run) == []
    assert await asyncio.to_thread(run) == "Nothing is held.\n"
    await fill(connection)
    found = await rows(run)
    assert [row["project"] for row in found] == ["bravo", "charlie", "delta", "echo", "alpha"]
    assert [len(row["files"]) for row in found] == [2, 2, 2, 2, 1]
    assert found[0]["files"][0]["filename"] == "bravo-1.0-py2-none-any.whl"
    assert found[-1]["release_at"] is None
    table = await asyncio.to_thread(run)
    assert table.count("until (UTC)") == 3
    assert all(name in table for name in ("alpha", "bravo", "charlie", "delta", "echo"))
    assert "released-" not in table


async def test_a_part_is_chosen(connection: Connection, run: Run) -> None:
    """By a part of the name, by a number, and by those to skip."""
    await fill(connection)
    assert [row["project"] for row in await rows(run, "--project", "Al")] == ["alpha"]
    assert [row["project"] for row in await rows(run, "--limit", "3")] == ["bravo", "charlie", "delta"]
    assert [row["project"] for row in await rows(run, "--limit", "3", "--offset", "3")] == ["echo", "alpha"]
    assert await rows(run, "--offset", "5") == []
    assert await asyncio.to_thread(run, "--project", "zulu") == "Nothing of that is held.\n"
    assert "--limit" in await asyncio.to_thread(run, "--limit", "0", code=2)


async def test_a_part_of_many_projects(connection: Connection, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a text is part of very many names, the list is searched instead of the names."""
    await fill(connection)
    few = await rows(run, "--project", "l")
    monkeypatch.setattr(pending, "FEW", 1)
    assert await rows(run, "--project", "l") == few
    assert [row["project"] for row in few] == ["charlie", "delta", "alpha"]
