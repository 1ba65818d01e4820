"""Every SQL statement, checked by PostgreSQL itself against the migrated schema; and the migrations."""

import ast
import asyncio
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import koschey.db
from koschey.db.migrate import INSERT_STEP, migrate, read_steps, require_present
from koschey.db.pool import Connection, connect
from koschey.errors import StartError

FIRST_WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE")
PIECES = frozenset(
    {"COLUMNS", "COVERED", "IN_FORCE", "MAIN_INDEX", "OPEN", "OWNER", "PROJECT_COLUMNS", "TABLES", "UNSEEN"}
)
"""Constants that are parts of statements, or values."""
RUNS = frozenset({"fetch", "fetchrow", "fetchval", "execute", "executemany", "cursor"})
"""Methods of connections that take a statement."""


def _constants() -> Iterator[tuple[str, str]]:
    """All upper-case texts of all modules of `koschey.db`; found by walking, so that a new one cannot escape."""
    for module in pkgutil.walk_packages(koschey.db.__path__, "koschey.db."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) and isinstance(value, str):
                yield f"{module.name.removeprefix('koschey.db.')}.{name}", value


def _literals() -> Iterator[tuple[str, str | None]]:
    """All statements that stand in a call; None for one that is put together there."""
    for module in pkgutil.walk_packages(koschey.db.__path__, "koschey.db."):
        for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module.name)))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNS:
                match node.args:
                    case [ast.Constant(str(sql)), *_]:
                        yield f"{module.name}:{node.lineno}", sql
                    case [ast.JoinedStr() | ast.BinOp(), *_]:
                        yield f"{module.name}:{node.lineno}", None


STATEMENTS = {name: sql for name, sql in _constants() if name.rpartition(".")[2] not in PIECES}
LITERALS = dict(_literals())


def test_every_constant_is_a_statement_or_a_known_piece() -> None:
    """A text in `koschey.db` is a statement that can be prepared, or is named here as a piece of one."""
    assert [name for name, sql in STATEMENTS.items() if not sql.lstrip().startswith(FIRST_WORDS)] == []
    assert [place for place, sql in LITERALS.items() if sql is None] == []
    assert {name.rpartition(".")[0] for name in STATEMENTS} >= {"accounts", "decisions", "files", "journal", "outbox"}


async def test_every_statement_prepares(connection: Connection) -> None:
    """PostgreSQL knows every table, column and type of every statement."""
    refused = {}
    for name, sql in (STATEMENTS | LITERALS).items():
        try:
            await connection.prepare(sql)
        except Exception as error:
            refused[name] = str(error)
    assert refused == {}


def test_steps_are_numbered_without_gaps() -> None:
    """Every file in the folder of migrations is a step, and the steps are 1, 2, 3 and so on."""
    folder = importlib.resources.files("koschey.db") / "migrations"
    assert [step.number for step in read_steps()] == list(range(1, 1 + len(list(folder.iterdir()))))


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
    await connection.execute(INSERT_STEP, 9999, "from_the_future")
    assert callable(act)
    with pytest.raises(StartError, match="newer Koschey"):
        await act(connection)
    await connection.close()
