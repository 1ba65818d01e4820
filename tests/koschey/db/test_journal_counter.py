"""The journal's counter is one row that all writers wait for: whoever takes it has nothing left to do."""

from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import patch

import pytest
from packaging.utils import canonicalize_name

from koschey.db import pool as pools
from koschey.db.decisions import INSERT_DECISIONS, INSERT_POLICY_DECISIONS
from koschey.governance.accounts import add_account
from koschey.governance.changes import set_rule
from koschey.governance.expiry import expire_rules
from koschey.governance.grants import GrantTerms, add_grant
from koschey.governance.terms import Terms
from koschey.governance.tokens import TokenTerms, add_token
from koschey.mirror.metadata_extraction import Extractor
from koschey.mirror.wheel_reader import WheelReader
from koschey.model import Actor, Advisory
from koschey.quarantine.advisories import act_on_advisories, write_reading
from tests.support.app_in_process import AppInProcess, Store
from tests.support.archives import wheel
from tests.support.chosen_check import Oracle, checker, register
from tests.support.postgres import Postgres
from tests.support.statements import Recorder
from tests.support.surfaces import upload_private
from tests.support.upstream.server import Upstream

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMING = {INSERT_DECISIONS, INSERT_POLICY_DECISIONS}
"""Rows that name their row of the journal, and so can only follow it: one statement, whatever the decision."""


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """What the index of this module says to PostgreSQL."""
    recorder = Recorder()
    with patch.object(pools, "_decode_json", recorder.watch):
        yield recorder


@pytest.fixture(scope="module")
def recorded(recorder: Recorder, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index that is recorded."""
    with AppInProcess(postgres, s3, shared_upstream, advisories="/nowhere/advisories.zip") as running:
        yield running


def test_nothing_follows_the_counter(recorded: AppInProcess, recorder: Recorder) -> None:
    """After whatever changes the index, its journal is the last that its transaction wrote, but for a decision."""
    index, upstream, pool = recorded, recorded.upstream, recorded.resources.pool
    bare = upstream.add("k-bare", "1.0", upload_time=index.now - 30 * DAY, core_metadata=False)
    held = upstream.add("k-held", "1.0", upload_time=index.now - HOUR)
    liar = upstream.add("k-liar", "1.0", upload_time=index.now - 30 * DAY, requires=["x"])
    upstream.promise(liar.filename, (liar.metadata or b"").replace(b"Requires-Dist: x\n", b""))
    for name in ("k-bare", "k-held", "k-liar"):
        index.refresh(name)
    reader = WheelReader(pool, index.resources.bucket, index.resources.upstream)
    index.run(Extractor(pool, index.resources.bucket, reader).describe(canonicalize_name("k-bare")))
    index.store(bare.filename)
    assert index.ask(liar.path).status == 424
    index.store(held.filename)
    upload_private(index, "k-hosted")
    index.run(register(pool))
    oracle = Oracle()
    oracle.answer = "evil"
    index.run(checker(index.resources, oracle).check(canonicalize_name("k-held"), "1.0", [oracle.name]))
    index.settle("k-held", "1.0")
    for choice in ("unblock", "approve", "recall", "block"):
        index.decide(choice, "k-held", "1.0")
    index.decide("trust", "k-bare")
    index.decide("block", "k-bare")
    index.run(_change_policy(index))
    index.run(_report(index))
    index.run(_manage_accounts(index))
    upstream.replace(held.filename, wheel("k-held", "1.0", padding=9)[1])
    index.refresh("k-held")
    actions = {row["action"] for row in index.fetch("SELECT DISTINCT action FROM journal")}
    assert actions >= {
        *("add file", "core metadata", "check", "checks", "blocked", "unblock", "approve", "recall", "block"),
        *("trust", "policy", "policy ended", "conflict", "add account", "add token", "add grant"),
    }
    after = recorder.after_journal
    assert len(after) >= 15
    assert all(len(said) <= 1 and set(said) <= NAMING for said in after), [said for said in after if set(said) - NAMING]


async def _change_policy(index: AppInProcess) -> None:
    terms = Terms("window", "k-*", "9", reason="a test", expires=index.now + HOUR)
    end = "UPDATE rule SET expires_at = koschey_now() - interval '1 minute' WHERE kind = 'window'"
    async with index.resources.pool.acquire() as connection:
        await set_rule(connection, Actor("rita", "api"), terms)
        await connection.execute(end)
        assert await expire_rules(connection) == 1


async def _manage_accounts(index: AppInProcess) -> None:
    ken = Actor("ken", "cli")
    async with index.resources.pool.acquire() as connection:
        await add_account(connection, ken, "kim", None, None, [])
        await add_token(connection, ken, "kim", TokenTerms("a test", ["read"]))
        await add_grant(connection, ken, GrantTerms("reader", account="kim"), "a test")


async def _report(index: AppInProcess) -> None:
    name = canonicalize_name("k-liar")
    advisory = Advisory("MAL-1", name, True, "malware", ("1.0",), (), index.now, None)
    feed = index.resources.feed
    assert feed
    async with index.resources.pool.acquire() as connection:
        await write_reading(connection, [advisory], None, feed)
        await act_on_advisories(connection)
