"""A decision that cannot be written down does not happen."""

import pytest

from koschey.db.pool import Connection
from koschey.db.rules import upsert_rule
from koschey.model import State
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice, Decision, decide
from tests.support.decisions import CLI, GIVEN, HELD, RELEASED, SPAM, release

SITUATIONS: dict[Choice, tuple[State, Decision | None]] = {
    Choice.APPROVE: (HELD, None),
    Choice.BLOCK: (RELEASED, None),
    Choice.UNBLOCK: (HELD, Decision(Choice.BLOCK, SPAM, "1.0", "why")),
    Choice.TRUST: (HELD, None),
    Choice.UNTRUST: (HELD, Decision(Choice.TRUST, SPAM, "1.0", "why")),
    Choice.EXTEND: (HELD, None),
    Choice.EXCEPT: (HELD, None),
    Choice.RECALL: (RELEASED, None),
}
BREAK = """
    CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
    CREATE TRIGGER break_off BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION break_off();
"""
MEND = "DROP TRIGGER break_off ON {table}; DROP FUNCTION break_off;"


async def everything(connection: Connection) -> list[object]:
    """All rows that a decision could write."""
    tables = ("standing", "rule", "proposal", "decision", "journal", "alert", "outbox")
    return [[tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for table in tables]  # noqa: S608


@pytest.mark.parametrize("table", ["journal", "decision", "outbox"])
@pytest.mark.parametrize("choice", Choice)
async def test_without_an_audit_row_nothing_changes(connection: Connection, choice: Choice, table: str) -> None:
    """When a row of the journal or of the decisions cannot be written, everything is as before, for every choice."""
    state, before = SITUATIONS[choice]
    await release(connection, state)
    if before:
        await decide(connection, CLI, before)
    wanted = Decision(choice, SPAM, "1.0", "another reason", **GIVEN.get(choice, {}))
    kept = await everything(connection)
    await connection.execute(BREAK.format(table=table))
    try:
        if (choice, table) == (Choice.UNTRUST, "outbox"):  # it wakes nothing
            await decide(connection, CLI, wanted)
            return
        with pytest.raises(Exception, match="the disk is full"):
            await decide(connection, CLI, wanted)
        assert await everything(connection) == kept
    finally:
        await connection.execute(MEND.format(table=table))
    assert (await decide(connection, CLI, wanted)).serial is not None


@pytest.mark.parametrize(("choice", "table"), [(Choice.RECALL, "alert"), (Choice.APPROVE, "proposal")])
async def test_without_its_alert_or_proposal_nothing_changes(
    connection: Connection, choice: Choice, table: str
) -> None:
    """A recall that nobody would hear of, and a proposal that nobody could agree to, do not happen either."""
    await release(connection, SITUATIONS[choice][0])
    await upsert_rule(connection, RuleKind.SECOND_PERSON, "spam", None, "four eyes", CLI)
    kept = await everything(connection)
    await connection.execute(BREAK.format(table=table))
    try:
        with pytest.raises(Exception, match="the disk is full"):
            await decide(connection, CLI, Decision(choice, SPAM, "1.0", "why"))
        assert await everything(connection) == kept
    finally:
        await connection.execute(MEND.format(table=table))
