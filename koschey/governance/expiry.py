"""Rules that have ended: removed, written in the journal, and what they covered judged anew.

No surface waits for this. A rule that has ended counts nowhere; here the books are brought up to date.
"""

from koschey.db import rules, scopes
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.events import Event
from koschey.model import SYSTEM
from koschey.policy.rules import EVERYTHING, Rule


async def expire_rules(connection: Connection) -> int:
    """Remove every rule that has ended, in one transaction; return how many there were. Done twice, it is done once."""
    async with connection.transaction():
        await rules.lock_policy(connection)
        ended = await rules.select_ended(connection)
        if not ended:
            return 0
        await scopes.lock_covered(connection, ended)
        # Once more: a decision, which keeps only its project, may have put one in force again meanwhile.
        ended = await rules.delete_ended(connection)
        await scopes.insert_held(connection, ended)
        record = Record(connection, SYSTEM, EVERYTHING)
        for rule in ended:
            record.add(Event.POLICY_ENDED, [_entry(rule)], project=rule.scope)
        await record.write()
        return len(ended)


def _entry(rule: Rule) -> Entry:
    said: dict[str, object] = {
        "kind": rule.kind,
        "before": rule.value or "in force",
        "reason": rule.reason,
        "actor": rule.actor,
    }
    optional = {
        "subject": rule.subject,
        "ticket": rule.ticket,
        "ended": rule.expires_at and rule.expires_at.isoformat(),
    }
    return Entry(rule.version, None, said | {name: value for name, value in optional.items() if value})
