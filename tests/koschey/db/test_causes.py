"""Why a file has its state, as a type: what PostgreSQL keeps of it, and how the sentences of old rows became causes."""

import re
from typing import NamedTuple

import pytest
from packaging.utils import NormalizedName

from koschey.causes import (
    BY_ARCHIVE,
    BY_FILENAME,
    BY_STATUS,
    BY_TIME,
    UNKNOWN,
    Cause,
    CauseKind,
    Grounds,
    UpstreamCause,
    by_advisory,
    by_check,
    by_upstream,
    is_about_check,
)
from koschey.db.migrate import migrate, read_steps
from koschey.db.pool import Connection, connect
from koschey.db.standings import update_held_reason, update_states
from koschey.model import State
from tests.support.rows import A_TEST, add_project, new_file, select_files

HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
SPAM = NormalizedName("spam")


def decided(choice: str, scope: str = "", version: str | None = None) -> Cause:
    """The cause of a decision."""
    return Cause(CauseKind.DECISION, choice, scope, version)


def ruled(kind: str, scope: str = "", version: str | None = None) -> Cause:
    """The cause of a rule."""
    return Cause(CauseKind.RULE, kind, scope, version)


class Old(NamedTuple):
    """What an earlier version wrote beside a file, and which cause that is."""

    state: State
    reason: str
    cause: Cause


THEFT = "it steals: tokens"
OLD = [
    # Time. Only states that time gives are its doing.
    Old(HELD, "in quarantine", BY_TIME),
    Old(RELEASED, "older than the quarantine window when it was first seen", BY_TIME),
    Old(RELEASED, "the quarantine window ended", BY_TIME),
    Old(BLOCKED, "in quarantine", UNKNOWN),
    # Decisions, with what they were about where the decision tells it.
    Old(RELEASED, "approve by ada: read", decided("approve", "spam", "1.4")),
    Old(RELEASED, "approve by ada, seconded by bob: read", decided("approve", "spam", "1.5")),
    Old(RELEASED, "trust by ada: friends", decided("trust")),
    Old(BLOCKED, f"block by ada: {THEFT}", decided("block", "spam", "1.7")),
    Old(BLOCKED, f"recall by ada: {THEFT}", decided("recall", "spam")),
    Old(HELD, "unblock by ada: false alarm", decided("unblock", "spam", "1.9")),
    Old(HELD, "extended by ada until 2026-12-28 17:44 UTC: unread", decided("extend", "spam", "1.10")),
    Old(BLOCKED, "block by eve: lost", decided("block")),
    Old(BLOCKED, "approve by ada: read", UNKNOWN),
    # Rules: the narrowest of those that say so.
    Old(BLOCKED, "blocked by ada: worm", ruled("blocked", "spam", "1.13")),
    Old(BLOCKED, "blocked by ada: all", ruled("blocked", "spam-*")),
    Old(BLOCKED, "blocked by ada: lifted since", ruled("blocked")),
    Old(BLOCKED, "the name is reserved for private packages: ours", Cause(CauseKind.RESERVATION, "", "@upstream")),
    Old(BLOCKED, "the name is reserved for private packages: over", Cause(CauseKind.RESERVATION)),
    Old(HELD, "trusted by ada: friends; held until its checks went through", ruled("trusted", "spam")),
    Old(RELEASED, "trusted by ada: friends", ruled("trusted", "spam")),
    Old(HELD, "only what a reviewer approves or trusts is served here: strict", ruled("allowed-only", "*")),
    Old(HELD, "held until its attestation is verified", ruled("attested")),
    # Upstreams.
    Old(HELD, "the upstream gives no sha256; held until the bytes are hashed", by_upstream(UpstreamCause.NO_DIGEST)),
    Old(
        HELD,
        "the project came back after it was gone from the upstream; whoever has it now may be another",
        by_upstream(UpstreamCause.RETURNED),
    ),
    Old(HELD, "the upstream does not answer", by_upstream(UpstreamCause.UNREACHABLE)),
    Old(BLOCKED, "the upstream removed the file during its quarantine", by_upstream(UpstreamCause.REMOVED)),
    Old(BLOCKED, "the upstream yanked the file during its quarantine: broken", by_upstream(UpstreamCause.YANKED)),
    Old(
        BLOCKED,
        "the upstream withdrew the file 3 days after its upload, within the 30 that count",
        by_upstream(UpstreamCause.WITHDRAWN),
    ),
    Old(BLOCKED, "the upstream quarantined the project: malware", by_upstream(UpstreamCause.QUARANTINED)),
    Old(
        RELEASED,
        "the upstream withdrew the released file, and lists it again as it was",
        by_upstream(UpstreamCause.LISTED_AGAIN),
    ),
    Old(State.CONFLICT, "the upstream lists other bytes under this filename now", by_upstream(UpstreamCause.REPLACED)),
    # What was reported, and what checks and archives say.
    Old(BLOCKED, "MAL-1: theft", by_advisory("MAL-1")),
    Old(BLOCKED, "MAL-1: what it said before: theft", by_advisory("MAL-1")),
    Old(BLOCKED, "advisories: MAL-1: theft", by_advisory("MAL-1")),
    Old(BLOCKED, "MAL-2: of another project", UNKNOWN),
    Old(BLOCKED, "names: near to ham", by_check("names", "near")),
    Old(BLOCKED, "names: what it found before", by_check("names")),
    Old(BLOCKED, "METADATA in spam-1.0.whl has sha256 00, it was promised as 11", BY_ARCHIVE),
    # Files and names here.
    Old(RELEASED, "uploaded by ada", Cause(CauseKind.UPLOAD, "ada")),
    Old(State.REMOVED, "holds a key (removed by ada)", Cause(CauseKind.REMOVAL, "ada")),
    Old(State.REMOVED, "blocked by ada: all", Cause(CauseKind.REMOVAL)),
    Old(State.MALFORMED, "the filename names no version of this project", BY_FILENAME),
    Old(State.CONFLICT, "other bytes were downloaded under this filename before", BY_FILENAME),
    Old(BLOCKED, "the project is quarantined: for now", BY_STATUS),
    Old(BLOCKED, "the name spam was claimed for private packages by ada: ours", Cause(CauseKind.ORIGIN, "ada")),
    Old(RELEASED, "the name spam came back to this origin: ours", Cause(CauseKind.ORIGIN)),
    # What no version wrote.
    Old(HELD, "somebody wrote this by hand", UNKNOWN),
    Old(BLOCKED, "", UNKNOWN),
]

SITUATION = """
    INSERT INTO project (name, display_name, origin) VALUES ('spam', 'spam', 'mirrored');
    INSERT INTO journal (serial, actor, door, action, project, version, filename, detail) VALUES
        (1, 'ada', 'api', 'approve', 'spam', NULL, NULL, '{}'),
        (2, 'ada', 'api', 'recall', 'spam', NULL, NULL, '{}'),
        (3, 'system', 'system', 'fetch failed', 'spam', '1.24', 'spam-1.24.zip',
         '{"reason": "the upstream does not answer"}');
    INSERT INTO decision (serial, index_id, action, project, version, filename, sha256, actor, door, reason)
    SELECT CASE action WHEN 'recall' THEN 2 ELSE 1 END, 1, action, 'spam', version,
           'spam-' || version || '.zip', repeat('0', 64), 'ada', 'api', reason
      FROM (VALUES ('approve', '1.4', 'read'), ('approve', '1.5', 'read'), ('trust', '1.6', 'friends'),
                   ('block', '1.7', 'it steals: tokens'), ('recall', '1.8', 'it steals: tokens'),
                   ('unblock', '1.9', 'false alarm'), ('extend', '1.10', 'unread')) AS row (action, version, reason);
    INSERT INTO decision (serial, index_id, action, project, actor, door, reason)
        VALUES (2, 1, 'recall', 'spam', 'ada', 'api', 'it steals: tokens');
    INSERT INTO rule (index_id, kind, project, version, reason, actor) VALUES
        (1, 'blocked', 'spam', '', 'worm', 'ada'), (1, 'blocked', 'spam', '1.13', 'worm', 'ada'),
        (1, 'blocked', 'spam-*', '', 'all', 'ada'), (1, 'blocked', '*', '', 'all', 'bob'),
        (1, 'reserved', '@upstream', '', 'ours', 'ada'), (1, 'trusted', 'spam', '', 'friends', 'ada'),
        (1, 'allowed-only', '*', '', 'strict', 'ada');
    INSERT INTO advisory (id, project, malicious, summary) VALUES
        ('MAL-1', 'spam', true, 'theft'), ('MAL-2', 'ham', true, 'of another project');
    INSERT INTO known_check (name, codes) VALUES ('names', '{}');
"""
INSERT_OLD = """
    WITH added AS (
        INSERT INTO file (project_id, version, filename)
        SELECT id, $1, 'spam-' || $1 || '.zip' FROM project WHERE name = 'spam'
        RETURNING id
    ), found AS (
        INSERT INTO finding (file_id, name, code, severity, summary)
        SELECT id, 'names', 'near', 'serious', 'near to ham' FROM added
    )
    INSERT INTO standing (index_id, file_id, state, reason) SELECT 1, id, $2, $3 FROM added
"""


async def test_sentences_of_old_rows_become_causes(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sentence that an earlier version wrote becomes its cause, and no file changes its state or its reason.

    What does not tell to what it refers becomes a cause that refers to nothing, or is unknown.
    """
    connection = await connect(empty_database)
    earlier = [step for step in read_steps() if step.number < 16]
    with monkeypatch.context() as patched:
        patched.setattr("koschey.db.migrate.read_steps", lambda: earlier)
        await migrate(connection)
    await connection.execute(SITUATION)
    for number, old in enumerate(OLD):
        await connection.execute(INSERT_OLD, f"1.{number}", old.state, old.reason)
    before = await connection.fetch("SELECT state, reason, changed_at FROM standing ORDER BY file_id")
    await migrate(connection)
    assert await connection.fetch("SELECT state, reason, changed_at FROM standing ORDER BY file_id") == before
    found = [item.standing for item in (await select_files(connection, SPAM)).values()]
    assert [Old(standing.state, standing.reason, standing.cause) for standing in found] == OLD
    await connection.close()


async def test_kinds_are_those_of_the_database(connection: Connection) -> None:
    """The check of the column names exactly the kinds of the model, and refuses every other text."""
    check = await connection.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'standing_cause_check'"
    )
    assert set(re.findall(r"'([a-z]+)'", check)) == set(CauseKind)


async def test_a_cause_is_kept_as_it_was_given(connection: Connection) -> None:
    """Each column comes back: when a file is added, when it moves, and when only its reason changes."""
    await add_project(connection, SPAM, [new_file("spam-1.0.zip")])
    known = (await select_files(connection, SPAM))["spam-1.0.zip"]
    assert known.standing.cause == A_TEST.cause
    extended, blocked = decided("extend", "spam", "1.0"), ruled("blocked", "sp-*")
    assert await update_held_reason(connection, known.file.id, Grounds(extended, "more time"))
    assert (await select_files(connection, SPAM))["spam-1.0.zip"].standing.cause == extended
    await update_states(connection, [known.file.id], State.BLOCKED, Grounds(blocked, "blocked"))
    assert (await select_files(connection, SPAM))["spam-1.0.zip"].standing.cause == blocked


@pytest.mark.parametrize("change", ["UPDATE standing SET state = 'blocked'", "UPDATE standing SET reason = 'another'"])
async def test_code_that_knows_no_causes_leaves_none_behind(connection: Connection, change: str) -> None:
    """A move without a cause, as code of before makes it, has an unknown one: not that of the state before."""
    await add_project(connection, SPAM, [new_file("spam-1.0.zip")])
    known = (await select_files(connection, SPAM))["spam-1.0.zip"]
    await update_held_reason(connection, known.file.id, Grounds(decided("extend", "spam", "1.0"), "more time"))
    await connection.execute("UPDATE standing SET state = state, reason = reason, release_at = NULL")
    assert (await select_files(connection, SPAM))["spam-1.0.zip"].standing.cause.kind is CauseKind.DECISION
    await connection.execute(change)
    assert (await select_files(connection, SPAM))["spam-1.0.zip"].standing.cause == UNKNOWN


async def test_a_row_without_a_cause_has_an_unknown_one(connection: Connection) -> None:
    """What code of before inserts is not taken for time's doing."""
    await add_project(connection, SPAM, [new_file("spam-1.0.zip")])
    index = await connection.fetchval("INSERT INTO index (name) VALUES ('other') RETURNING id")
    cause = (
        "INSERT INTO standing (index_id, file_id, state, reason) SELECT $1, id, 'held', '' FROM file RETURNING cause"
    )
    assert await connection.fetchval(cause, index) == CauseKind.UNKNOWN


@pytest.mark.parametrize(
    ("cause", "subject", "covered"),
    [
        (by_check("names", "near"), "names", True),
        (by_check("names", "near"), "names/near", True),
        (by_check("names", "near"), "names/far", False),
        (by_check("names", "near"), "name", False),
        (by_check("names"), "names/near", True),  # a row of before, whose code is not known
        (by_check("names"), "names", True),
        (by_advisory("names"), "names", False),
        (UNKNOWN, "", False),
    ],
)
def test_what_a_check_rule_covers(cause: Cause, subject: str, *, covered: bool) -> None:
    """A rule about a check covers all its codes; one about a code covers it alone."""
    assert is_about_check(cause, subject) is covered
