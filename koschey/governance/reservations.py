"""Reserves names for private packages: Koschey requests them from no upstream, and blocks mirrored files of them.

This prevents dependency confusion: a client that installs `acme-tools` must never get a stranger's package. A pattern
is a name, or `acme-*` for `acme` and all names that begin with `acme-` (as PEP 752 reads a namespace).
"""

import re

from packaging.utils import canonicalize_name

from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.db import journal, rules
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.events import Event
from koschey.model import Actor, Serial
from koschey.policy.reasons import Reason, parse_reason
from koschey.policy.rules import EVERYTHING, Rule, RuleKind
from koschey.quarantine.impact import FULL_CONSENT, Consent, measure
from koschey.standards.names import MAX_NAME, parse_name

PATTERN = re.compile(r"(?P<name>[^*]+?)(?P<all>-\*)?")


def parse_pattern(text: str) -> str:
    """Return the normalised pattern. Raises `UsageError` if the text is neither a name nor `name-*`."""
    match = PATTERN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text[:MAX_NAME]!r} is not a pattern; write 'name', or 'name-*' for all names that begin so")
    return canonicalize_name(parse_name(match["name"])) + (match["all"] or "")


async def reserve(
    connection: Connection, actor: Actor, pattern: str, reason: str, consent: Consent = FULL_CONSENT
) -> Serial:
    """Reserve the names of a pattern for private packages, from the next request on.

    Raises `NotAllowed` if the actor may not decide for the whole index, and `Unconfirmed` if files would no longer be
    served and `consent` does not allow that.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.DECIDE, EVERYTHING)
        if consent != FULL_CONSENT:
            closing = Rule(RuleKind.RESERVED, None, why, actor.name, pattern)
            consent.check(await measure(connection, [closing]))
        await rules.upsert_rule(connection, RuleKind.RESERVED, pattern, None, why, actor)
        return await _record(connection, actor, Event.RESERVE, pattern, why)


async def unreserve(connection: Connection, actor: Actor, pattern: str, reason: str) -> Serial | None:
    """Lift the reservation of a pattern; return None if it is not reserved. Raises `NotAllowed` as `reserve` does."""
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.DECIDE, EVERYTHING)
        if not await rules.delete_rule(connection, RuleKind.RESERVED, pattern, None):
            return None
        return await _record(connection, actor, Event.UNRESERVE, pattern, why)


async def _record(connection: Connection, actor: Actor, event: Event, pattern: str, reason: Reason) -> Serial:
    # The pattern replaces the project's name: every process then drops the pages that the pattern may cover.
    return await journal.insert_entries(connection, actor, event, pattern, [Entry(detail={"reason": reason})])
