"""Held releases, and reviewers who may decide about them or may not."""

import pytest

from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Connection
from tests.support.postgres import set_clock
from tests.support.reviewer_codes import LATER, SDIST, WHEEL
from tests.support.rows import NOON, add_project, new_file


@pytest.fixture
async def spam(connection: Connection) -> Connection:
    """Two held releases of a project, one of another, and reviewers of all and of one."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST), new_file(LATER)])
    await add_project(connection, "eggs", [new_file("eggs-1.0.tar.gz")])
    for name, role, scope in (("rita", "reviewer", "*"), ("sven", "reviewer", "eggs"), ("ulf", "uploader", "*")):
        await insert_grant(connection, await upsert_account(connection, name, None), role, scope)
    return connection
