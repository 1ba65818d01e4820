"""Every SQL statement, checked by PostgreSQL itself against the migrated schema."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import koschey.db
from koschey.db.pool import Connection

FIRST_WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE", "ALTER")
PIECES = frozenset(
    {
        "ADDED",
        "GRANTS",
        "INDEX",
        "IS_ACTIVE_TOKEN",
        "SHOWN",
        "SHOWN_GRANT",
        "SHOWN_TOKEN",
        "TOKENS",
        "WHO",
        "ADVISORIES",
        "CHECKS",
        "COLUMNS",
        "COVERED",
        "FACTS",
        "FILE_FACTS",
        "IS_ACTIVE",
        "IS_ASKABLE",
        "IS_ESTRANGED",
        "IS_USED_NAME",
        "AFTER",
        "DETAILS",
        "DUE",
        "EVERYTHING",
        "FILE",
        "FIRST",
        "FIXES",
        "FIRST_FACTS",
        "HELD_BY_PROJECT",
        "HELD_BY_STATE",
        "INSERT",
        "IN_VERSIONS",
        "IS_COVERED",
        "IS_FIRST",
        "IS_PENDING",
        "IS_STALE",
        "LOCK_PATIENCE",
        "LOOKED_AT",
        "MAIN_INDEX",
        "MERGED",
        "OPEN",
        "ORDER",
        "IS_OTHER",
        "OUTSIDE",
        "OWNER",
        "PROJECT_COLUMNS",
        "PROJECT_TABLES",
        "RULES",
        "STANDING",
        "SUMS",
        "TABLES",
        "UNATTESTED",
        "UNFLUSHED",
        "UNSEEN",
        "VIEW",
        "WAKE",
        "UPSTREAM",
    }
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
