"""Grants and removes roles. Each change is one transaction with its entry in the journal."""

from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from koschey.accounts import EVERYWHERE, Grant
from koschey.auth.permissions import Role
from koschey.db import grants, journal
from koschey.db.grants import GrantRow, NewGrant
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.errors import NotKnown, UsageError
from koschey.events import Event
from koschey.governance.portions import PORTION, read_all
from koschey.governance.rights import (
    authorize_grants,
    count_admins_before,
    find_account,
    find_index,
    is_last_admin_gone,
    parse_account_name,
    parse_scope,
)
from koschey.model import Actor, Serial
from koschey.policy.reasons import parse_reason


class GrantShown(Struct, frozen=True, kw_only=True):
    """A role of an account or of a group; one of the two is null."""

    id: int
    account: str | None
    group: str | None
    role: str
    scope: str
    """A project, a pattern `acme-*`, or `*` for all projects."""
    index: str
    """The name of an index, or `*` for all indexes."""
    granted_at: datetime
    granted_by: str


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """A grant as a person writes it. Exactly one of account and group is given."""

    role: str
    account: str | None = None
    group: str | None = None
    scope: str = EVERYWHERE
    index: str = EVERYWHERE


@dataclass(frozen=True, slots=True)
class GrantChange:
    """What a change of grants did."""

    grant: GrantShown
    serial: Serial | None
    """None if nothing changed: the grant existed."""
    no_admin_left: bool = False
    """Whether no admin is left; only the command line can cause that."""


async def list_grants(
    db: Database, account: str | None = None, group: str | None = None, *, after: int = 0, limit: int = PORTION
) -> list[GrantShown]:
    """Return grants in the order in which they were made: all, or those of an account or of a group alone."""
    return [show_grant(row) for row in await grants.select_grants(db, account, group, after=after, limit=limit)]


async def list_all_grants(db: Database, account: str | None = None, group: str | None = None) -> list[GrantShown]:
    """Do as `list_grants`, with all of them."""
    return await read_all(lambda last: list_grants(db, account, group, after=last.id if last else 0))


async def add_grant(connection: Connection, actor: Actor, terms: GrantTerms, reason: str) -> GrantChange:
    """Grant a role.

    Raises `NotAllowed` if the actor may not administer the scope, or lacks an action of the role there, `NotKnown` if
    there is no such account or index, and `UsageError` if the terms are not a grant.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        new = await _parse(connection, actor, terms)
        added = await grants.insert_new_grant(connection, new, actor.name)
        shown = await _show_again(connection, added or await grants.select_grant_of(connection, new))
        serial = await _record(connection, actor, Event.ADD_GRANT, shown, why) if added else None
        return GrantChange(shown, serial)


async def remove_grant(connection: Connection, actor: Actor, terms: GrantTerms, reason: str) -> GrantChange:
    """Remove the grant of exactly these terms.

    Raises as `add_grant` does, `NotKnown` also if there is no such grant, and `UsageError` if no admin would be left.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        found = await grants.select_grant_of(connection, await _parse(connection, actor, terms))
        return await _remove(connection, actor, found, why)


async def remove_grant_by_id(connection: Connection, actor: Actor, grant: int, reason: str) -> GrantChange:
    """Remove a grant. Raises as `remove_grant` does."""
    why = parse_reason(reason)
    async with connection.transaction():
        row = await grants.select_grant(connection, grant)
        if row is not None:
            await authorize_grants(connection, actor, [row.grant])
        return await _remove(connection, actor, grant, why)


def parse_role(text: str) -> Role:
    """Return a role. Raises `UsageError` if there is none of that name."""
    try:
        return Role(text)
    except ValueError:
        raise UsageError(f"there is no role {text[:80]!r}; choose one of {', '.join(Role)}") from None


def show_grant(row: GrantRow) -> GrantShown:
    """Return a grant as it is shown."""
    values = row._asdict()
    return GrantShown(index=values.pop("index_name"), **values)


async def _parse(connection: Connection, actor: Actor, terms: GrantTerms) -> NewGrant:
    """Return the grant of the terms, if the actor may give and take it. Locks its account."""
    if (terms.account is None) == (terms.group is None):
        raise UsageError("name either the account or the group that has the role")
    wanted = Grant(parse_role(terms.role), parse_scope(terms.scope), terms.index)
    index = await find_index(connection, terms.index)
    await authorize_grants(connection, actor, [wanted])
    account = await find_account(connection, terms.account) if terms.account is not None else None
    group = parse_account_name(terms.group) if terms.group is not None else None
    return NewGrant(account, group, wanted.role, wanted.scope, index)


async def _remove(connection: Connection, actor: Actor, grant: int | None, reason: str) -> GrantChange:
    admins = await count_admins_before(connection)
    shown = await _show_again(connection, grant)
    await grants.delete_grant(connection, shown.id)
    gone = await is_last_admin_gone(connection, actor, admins)
    return GrantChange(shown, await _record(connection, actor, Event.REMOVE_GRANT, shown, reason), gone)


async def _show_again(connection: Connection, grant: int | None) -> GrantShown:
    row = await grants.select_grant(connection, grant) if grant is not None else None
    if row is None:
        raise NotKnown("there is no such grant; `koschey grant list` shows all")
    return show_grant(row)


async def _record(connection: Connection, actor: Actor, event: Event, grant: GrantShown, reason: str) -> Serial:
    values = {"account": grant.account, "group": grant.group, "role": grant.role, "scope": grant.scope}
    said: dict[str, object] = {name: value for name, value in values.items() if value is not None}
    return await journal.insert_entries(
        connection, actor, event, None, [Entry(detail={**said, "index": grant.index, "reason": reason})]
    )
