"""All upload rules and their switches: lists which are on, and switches one on or off."""

from collections.abc import Mapping
from typing import Any

from koschey.db import journal
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.db.upload_switches import select_switches, upsert_switch
from koschey.errors import UsageError
from koschey.events import Event
from koschey.hosting.upload_rules import archive_rules, form_rules, index_rules, metadata_rules
from koschey.hosting.upload_rules.rule import UploadRule
from koschey.model import Actor, Serial
from koschey.policy.reasons import parse_reason

RULES: tuple[UploadRule[Any], ...] = (
    *form_rules.RULES,
    *index_rules.RULES,
    *archive_rules.RULES,
    *metadata_rules.RULES,
)
"""In the order in which they check an upload."""
ALL_PROJECTS = "*"
"""Replaces the project in the journal, as in the scope of a grant."""


async def load_switched(db: Database) -> Mapping[str, bool]:
    """Return the switches that were set; the other rules have their defaults."""
    return {name: switch.enabled for name, switch in (await select_switches(db)).items()}


async def switch_rule(connection: Connection, actor: Actor, name: str, reason: str, *, enabled: bool) -> Serial:
    """Switch a rule on or off for future uploads. Raises `UsageError` if it has no switch."""
    rule = next((rule for rule in RULES if rule.name == name), None)
    if rule is None or rule.default is None:
        known = ", ".join(rule.name for rule in RULES if rule.default is not None)
        what = "is always on" if rule else "is not an upload rule"
        raise UsageError(f"{name!r} {what}; these can be switched: {known}")
    why = parse_reason(reason)
    async with connection.transaction():
        await upsert_switch(connection, name, why, actor, enabled=enabled)
        detail: dict[str, object] = {"rule": name, "enabled": enabled, "reason": why}
        return await journal.insert_entries(
            connection, actor, Event.SWITCH_UPLOAD_RULE, ALL_PROJECTS, [Entry(detail=detail)]
        )
