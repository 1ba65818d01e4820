"""Reasons: what is one, and that every function that changes something stores it in the one form."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.errors import NotKnown, UsageError
from koschey.governance.changes import apply_policy, set_rule, unset_rule
from koschey.governance.claims import claim, release_name
from koschey.governance.reservations import reserve, unreserve
from koschey.governance.terms import Terms
from koschey.hosting.changes import HostedChange, Scope
from koschey.hosting.projects import remove, set_status, unyank, yank
from koschey.hosting.upload_rules.switches import switch_rule
from koschey.model import Actor, ProjectStatus
from koschey.policy.reasons import MAX_REASON, parse_reason
from koschey.quarantine.decide import Choice, Decision, decide

ADA = Actor("ada", "cli")
SPAM = NormalizedName("spam")
NONE = {
    "": "of 1 to 2000 characters",
    " \r\n\t\u00a0": "of 1 to 2000 characters",
    "x" * (MAX_REASON + 1): "of 1 to 2000 characters",
    "a\0b": r"without the character U\+0000",
    "a\ud800b": r"without the character U\+D800",
    "a\udcff": r"without the character U\+DCFF",
}
"""Texts that are no reason, and what the message says of each."""

type Operation = Callable[[Connection, str], Awaitable[object]]


def _change(reason: str, version: str | None = None) -> HostedChange:
    return HostedChange(ADA, Scope(SPAM, version), reason)


def _decide(choice: Choice) -> Operation:
    return lambda connection, reason: decide(connection, ADA, Decision(choice, SPAM, None, reason))


DECIDING: dict[str, Operation] = {f"decide {choice}": _decide(choice) for choice in (Choice.BLOCK, Choice.TRUST)}
GOVERNING: dict[str, Operation] = {
    "claim": lambda connection, reason: claim(connection, ADA, SPAM, reason),
    "release name": lambda connection, reason: release_name(connection, ADA, SPAM, reason),
    "reserve": lambda connection, reason: reserve(connection, ADA, "spam", reason),
    "unreserve": lambda connection, reason: unreserve(connection, ADA, "spam", reason),
    "set rule": lambda connection, reason: set_rule(connection, ADA, Terms("window", "spam", "7", reason=reason)),
    "unset rule": lambda connection, reason: unset_rule(connection, ADA, "window", "spam", None, reason),
    "apply policy": lambda connection, reason: apply_policy(connection, ADA, [], reason),
}
HOSTING: dict[str, Operation] = {
    "yank": lambda connection, reason: yank(connection, _change(reason, "1.0")),
    "unyank": lambda connection, reason: unyank(connection, _change(reason, "1.0")),
    "remove": lambda connection, reason: remove(connection, _change(reason)),
    "set status": lambda connection, reason: set_status(connection, ProjectStatus.ARCHIVED, _change(reason)),
    "switch rule": lambda connection, reason: switch_rule(connection, ADA, "local-version", reason, enabled=True),
}
OPERATIONS = {**DECIDING, **GOVERNING, **HOSTING}


@pytest.mark.parametrize("text", NONE, ids=ascii)
def test_no_reason(text: str) -> None:
    """Nothing, too much, and what cannot be stored is refused, and the message says what to give."""
    with pytest.raises(UsageError, match=f"^give a reason {NONE[text]}"):
        parse_reason(text)


@pytest.mark.parametrize(
    "text", ["x", " why\n", "x" * MAX_REASON, f"\n{'x' * MAX_REASON} ", "a\nb", "\x1b[2J", "\U0001f9e0"]
)
def test_reason(text: str) -> None:
    """A reason has no white space around it, and keeps what it has within, also what a terminal would act on."""
    assert parse_reason(text) == text.strip()


@given(st.text(st.characters()) | st.text(st.sampled_from(" \n\0\ud800\udfffx"), max_size=MAX_REASON + 5))
@example(" " * (MAX_REASON + 1) + "x")
def test_what_is_parsed_can_be_stored(text: str) -> None:
    """Each text is refused, or becomes a reason that UTF-8 encodes and that parsing does not change again."""
    try:
        reason = parse_reason(text)
    except UsageError:
        return
    assert 0 < len(reason) <= MAX_REASON
    assert b"\0" not in reason.encode()
    assert parse_reason(reason) == reason


@pytest.mark.parametrize("text", NONE, ids=ascii)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_no_operation_does_without(connection: Connection, name: str, text: str) -> None:
    """Every change is refused alike without a reason, before anything is read or written."""
    with pytest.raises(UsageError, match=f"^give a reason {NONE[text]}"):
        await OPERATIONS[name](connection, text)
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0


@pytest.mark.parametrize("name", [*DECIDING, "reserve", "set rule", "switch rule"])
async def test_operations_store_what_was_parsed(connection: Connection, name: str) -> None:
    """The journal and the rows have the reason without the white space that was typed around it."""
    await OPERATIONS[name](connection, "  seen by us \n")
    assert await connection.fetchval("SELECT DISTINCT detail ->> 'reason' FROM journal") == "seen by us"
    assert await connection.fetchval("SELECT count(*) FROM rule WHERE reason <> 'seen by us'") == 0


async def test_reasons_are_read_first(connection: Connection) -> None:
    """A reason is no excuse for what is not there: with one, the next thing that is wrong is named."""
    with pytest.raises(NotKnown, match="spam is not mirrored here"):
        await GOVERNING["claim"](connection, "ours")
