"""Adds, changes and shows accounts. Each change is one transaction with its entry in the journal.

An account is disabled and never deleted, because the journal and the log of downloads name it. Its name is not given
to another account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from koschey.accounts import EVERYWHERE, Grant
from koschey.auth.authorization import COMMAND_LINE, current_identity
from koschey.auth.password_rules import check_password
from koschey.auth.passwords import hash_password
from koschey.db import account_changes, grants, journal
from koschey.db.accounts import select_account
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.errors import NotKnown, UsageError
from koschey.events import Event
from koschey.governance.grants import GrantShown, parse_role, show_grant
from koschey.governance.portions import PORTION, read_all
from koschey.governance.rights import (
    authorize_administration,
    authorize_grants,
    count_admins_before,
    find_account,
    is_last_admin_gone,
    parse_account_name,
)
from koschey.model import Actor, Serial
from koschey.policy.reasons import parse_reason

MOST_GROUPS = 100
"""Maximum number of groups of an account."""
MOST_SHOWN = 10_000
"""Maximum number of grants that are shown with an account."""


class AccountListed(Struct, frozen=True, kw_only=True):
    """An account, disabled or not."""

    name: str
    created_at: datetime | None
    """None if it is older than the record of this."""
    disabled_at: datetime | None
    has_password: bool
    groups: list[str]
    tokens: int
    """The number of its active tokens."""


class AccountShown(AccountListed, frozen=True, kw_only=True):
    """An account with what is granted to it and to its groups."""

    grants: list[GrantShown]


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What a change of an account did."""

    name: str
    serial: Serial | None
    """None if nothing changed: the account was already so."""
    no_admin_left: bool = False
    """Whether no admin is left; only the command line can cause that."""


async def prepare_password(name: str, password: str) -> str:
    """Return the hash of a new password of an account. Raises `UsageError` if it may not have it."""
    check_password(name, password)
    return await hash_password(password)


async def list_accounts(db: Database, *, after: str = "", limit: int = PORTION) -> list[AccountListed]:
    """Return accounts in the order of their names, the first after this name."""
    return [AccountListed(**row._asdict()) for row in await account_changes.select_shown_accounts(db, after, limit)]


async def list_all_accounts(db: Database) -> list[AccountListed]:
    """Return all accounts."""
    return await read_all(lambda last: list_accounts(db, after=last.name if last else ""))


async def show_account(db: Database, name: str) -> AccountShown:
    """Return an account with its grants. Raises `NotKnown` if there is none of that name."""
    row = await account_changes.select_shown_account(db, name) if name.isprintable() else None
    if row is None:
        raise NotKnown(f"there is no account {name[:80]!r} here")
    own = await grants.select_grants(db, row.name, None, after=0, limit=MOST_SHOWN)
    of_groups = await grants.select_group_grants(db, row.groups)
    return AccountShown(**row._asdict(), grants=[show_grant(each) for each in (*own, *of_groups)])


async def is_account(db: Database, name: str) -> bool:
    """Return whether there is an account of that name, disabled or not."""
    return await account_changes.select_shown_account(db, name) is not None


async def add_account(
    connection: Connection, actor: Actor, name: str, password_hash: str | None, role: str | None, groups: Sequence[str]
) -> AccountChange:
    """Add an account, perhaps with a role for everything.

    Raises `NotAllowed` if the actor may not administer, or not give this role or these groups, and `UsageError` if
    there is an account of that name, or if a name or the role is not valid.
    """
    name, wanted = parse_account_name(name), _parse_groups(groups)
    granted = [Grant(parse_role(role), EVERYWHERE)] if role else []
    async with connection.transaction():
        await authorize_administration(connection, actor)
        await authorize_grants(connection, actor, granted)
        await _authorize_groups(connection, actor, wanted)
        account = await account_changes.insert_account(connection, name, password_hash)
        if account is None:
            raise UsageError(f"there is an account {name} already; a disabled one can be enabled")
        await account_changes.update_groups(connection, account, wanted)
        for each in granted:
            new = grants.NewGrant(account, None, each.role, each.scope, None)
            await grants.insert_new_grant(connection, new, actor.name)
        detail: dict[str, object] = {"account": name, "role": role, "groups": wanted or None}
        return AccountChange(name, await _record(connection, actor, Event.ADD_ACCOUNT, detail))


async def set_password(connection: Connection, actor: Actor, name: str, password_hash: str | None) -> AccountChange:
    """Set the password of an account, and end its sessions; None removes the password.

    An account may set its own, if it proved itself with its password. Raises `NotAllowed` if the actor may not do this,
    and `NotKnown` if there is no such account.
    """
    async with connection.transaction():
        if actor.door != COMMAND_LINE and (actor.name != name or actor.token is not None):
            await _authorize_over(connection, actor, name)
        elif actor.door != COMMAND_LINE:
            await current_identity(connection, actor)
        account = await find_account(connection, name)
        await account_changes.update_password(connection, account, password_hash)
        await account_changes.delete_sessions(connection, account)
        detail: dict[str, object] = {"account": name, "removed": True if password_hash is None else None}
        return AccountChange(name, await _record(connection, actor, Event.SET_PASSWORD, detail))


async def set_groups(connection: Connection, actor: Actor, name: str, groups: Sequence[str]) -> AccountChange:
    """Make an account a member of exactly these groups.

    Raises `NotAllowed` if the actor may not administer, or may not give what a group has, `NotKnown` if there is no
    such account, and `UsageError` if no admin would be left.
    """
    wanted = _parse_groups(groups)
    async with connection.transaction():
        await authorize_administration(connection, actor)
        admins = await count_admins_before(connection)
        account, before = await find_account(connection, name), (await show_account(connection, name)).groups
        await _authorize_groups(connection, actor, sorted(set(wanted) - set(before)))
        if wanted == before:
            return AccountChange(name, None)
        await account_changes.update_groups(connection, account, wanted)
        gone = await is_last_admin_gone(connection, actor, admins)
        detail: dict[str, object] = {"account": name, "groups": wanted, "before": before}
        return AccountChange(name, await _record(connection, actor, Event.SET_GROUPS, detail), gone)


async def disable_account(connection: Connection, actor: Actor, name: str, reason: str) -> AccountChange:
    """Disable an account: its sessions end, and its password and its tokens prove nothing any more.

    Raises as `set_groups` does.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_administration(connection, actor)
        admins = await count_admins_before(connection)
        account = await find_account(connection, name)
        if not await account_changes.update_disabled(connection, account, disabled=True):
            return AccountChange(name, None)
        await account_changes.delete_sessions(connection, account)
        gone = await is_last_admin_gone(connection, actor, admins)
        serial = await _record(connection, actor, Event.DISABLE_ACCOUNT, {"account": name, "reason": why})
        return AccountChange(name, serial, gone)


async def enable_account(connection: Connection, actor: Actor, name: str, reason: str) -> AccountChange:
    """Enable a disabled account again, with the groups and grants that it had. Raises as `set_password` does."""
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_administration(connection, actor)
        account = await find_account(connection, name)
        shown = await show_account(connection, name)
        await authorize_grants(connection, actor, [Grant(each.role, each.scope, each.index) for each in shown.grants])
        if not await account_changes.update_disabled(connection, account, disabled=False):
            return AccountChange(name, None)
        return AccountChange(
            name, await _record(connection, actor, Event.ENABLE_ACCOUNT, {"account": name, "reason": why})
        )


async def has_admin(db: Database) -> bool:
    """Return whether an account that is not disabled may administer everything."""
    return await account_changes.count_admins(db) > 0


async def _authorize_over(connection: Connection, actor: Actor, name: str) -> None:
    """Raise `NotAllowed` unless the actor may administer, and has all rights of the account: it could act as it."""
    await authorize_administration(connection, actor)
    other = await select_account(connection, name) if name.isprintable() else None
    if other is not None:
        await authorize_grants(connection, actor, other.grants)


async def _authorize_groups(connection: Connection, actor: Actor, groups: Sequence[str]) -> None:
    rows = await grants.select_group_grants(connection, groups)
    await authorize_grants(connection, actor, [row.grant for row in rows])


def _parse_groups(groups: Sequence[str]) -> list[str]:
    parsed = sorted({parse_account_name(group) for group in groups})
    if len(parsed) > MOST_GROUPS:
        raise UsageError(f"an account has at most {MOST_GROUPS} groups")
    return parsed


async def _record(connection: Connection, actor: Actor, event: Event, detail: dict[str, object]) -> Serial:
    said = {name: value for name, value in detail.items() if value is not None}
    return await journal.insert_entries(connection, actor, event, None, [Entry(detail=said)])
