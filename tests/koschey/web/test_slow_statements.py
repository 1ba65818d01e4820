"""A statement that reaches its time limit is not an outage: the answer says so, and does not advise to try again."""

from typing import Any

import pytest

from koschey.db import search
from koschey.db.pool import Database
from koschey.quarantine.waiting_releases import Quarantine
from tests.support.app_in_process import AppInProcess

SEARCH = b"""<?xml version="1.0"?>
<methodCall><methodName>search</methodName><params><param><value><struct><member><name>name</name>
<value><string>six</string></value></member></struct></value></param></params></methodCall>"""


async def be_slow(db: Any, *_: object, **__: object) -> Any:
    """Run a statement until its limit."""
    async with db.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = '20ms'")
        await connection.execute("SELECT pg_sleep(10)")


async def be_slow_on_a_page(quarantine: Quarantine, *_: object, **__: object) -> Any:
    """As a page of the panel."""
    pool: Database = quarantine._pool
    await be_slow(pool)


def test_a_slow_statement_is_no_outage(app: AppInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of the index reads that the answer takes too long, and not that a store is away."""
    monkeypatch.setattr(search, "select_matching", be_slow)
    answer = app.ask("/pypi", "POST", body=SEARCH, Content_Type="text/xml")
    assert answer.status == 503
    assert answer.json["title"] == "The answer takes too long"
    assert "would take as long again" in answer.json["detail"]
    assert "away" not in answer.json["detail"]
    assert "try again soon" not in answer.json["detail"]


def test_a_slow_page_of_the_panel_is_no_outage(app: AppInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reviewer reads the same; a program at the API, too."""
    monkeypatch.setattr(Quarantine, "read", be_slow_on_a_page)
    page = app.ask("/admin/", who=app.person("admin"))
    assert page.status == 503
    assert b"The database did not finish in time" in page.body
    assert b"Try again in a few seconds" not in page.body
    answer = app.ask("/api/v1/quarantine", who=app.account("admin"))
    assert (answer.status, answer.json["title"]) == (503, "The answer takes too long")
