"""Removes expired rules, records that in the journal, and has the held releases that they covered judged again.

No surface depends on this: an expired rule already has no effect. This only brings the records up to date.
"""

from koschey.db import rules, scopes
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.events import Event
from koschey.model import SYSTEM
from koschey.policy.rules import EVERYTHING, Rule


async def expire_rules(connection: Connection) -> int:
    """Remove every expired rule in one transaction; return how many there were. It can be repeated safely."""
    async with connection.transaction():
        await rules.lock_policy(connection)
        ended = await rules.select_expired(connection)
        if not ended:
            return 0
        await scopes.lock_covered(connection, ended)
        # This selects again: a decision, which locks only its project, may have renewed a rule in the meantime.
        ended = await rules.delete_expired(connection)
        await scopes.insert_held(connection, ended)
        record = Record(connection, SYSTEM, EVERYTHING)
        for rule in ended:
            record.add(Event.POLICY_ENDED, [_entry(rule)], project=rule.scope)
        await record.write()
        return len(ended)


def _entry(rule: Rule) -> Entry:
    said: dict[str, object] = {
        "kind": rule.kind,
        "before": rule.value or "active",
        "reason": rule.reason,
        "actor": rule.actor,
    }
    optional = {
        "subject": rule.subject,
        "ticket": rule.ticket,
        "ended": rule.expires_at and rule.expires_at.isoformat(),
    }
    return Entry(rule.version, None, said | {name: value for name, value in optional.items() if value})
