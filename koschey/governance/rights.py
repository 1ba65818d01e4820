"""The rules for people who manage rights: nobody gives more than they have, and one admin is always left.

All functions need a transaction. The command line needs no account, and may do everything.
"""

import re
from collections.abc import Sequence

from koschey.accounts import EVERYWHERE, Grant
from koschey.auth.authorization import COMMAND_LINE, authorize, authorize_actor, current_identity
from koschey.auth.permissions import ROLES, Action
from koschey.db.account_changes import count_admins, lock_account, lock_admins
from koschey.db.grants import select_index
from koschey.db.pool import Connection, Database
from koschey.errors import NotKnown, UsageError
from koschey.governance.reservations import parse_pattern
from koschey.model import Actor

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,78}[A-Za-z0-9])?")
RESERVED = frozenset({"system", "operator"})
"""Names under which the journal has changes that no account made."""
LAST_ADMIN = "nobody would be left who may administer this index; make another admin first"


def parse_account_name(text: str) -> str:
    """Return the name of a new account or group. Raises `UsageError` if it cannot have this name."""
    name = text.strip()
    if not NAME.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"{text[:80]!r} cannot be the name of an account or a group: use at most 80 ASCII letters, digits and "
            "'.', '_', '-', '@', '+', with a letter or digit at both ends"
        )
    return name


def parse_scope(text: str) -> str:
    """Return a scope of a grant or a token: `*`, a pattern `acme-*` or a project. Raises `UsageError`."""
    return EVERYWHERE if text.strip() == EVERYWHERE else parse_pattern(text)


async def find_index(db: Database, name: str) -> int | None:
    """Return the id of an index, None for `*`. Raises `NotKnown` if there is none of that name."""
    if name == EVERYWHERE:
        return None
    found = await select_index(db, name)
    if found is None:
        raise NotKnown(f"there is no index {name[:80]!r} here")
    return found


async def find_account(connection: Connection, name: str) -> int:
    """Lock an account and return its id. Raises `NotKnown` if there is none of that name."""
    found = await lock_account(connection, name) if name.isprintable() else None
    if found is None:
        raise NotKnown(f"there is no account {name[:80]!r} here")
    return found


async def authorize_administration(db: Database, actor: Actor) -> None:
    """Raise `NotAllowed` unless the actor may administer all indexes."""
    await authorize_actor(db, actor, Action.ADMINISTER, EVERYWHERE, index=EVERYWHERE)


async def authorize_grants(db: Database, actor: Actor, grants: Sequence[Grant]) -> None:
    """Raise `NotAllowed` unless the actor may administer what is granted, and itself has each right in it."""
    if actor.door == COMMAND_LINE:
        return
    identity = await current_identity(db, actor)
    for grant in grants:
        for action in sorted({Action.ADMINISTER, *ROLES.get(grant.role, frozenset())}):
            authorize(identity, action, grant.scope, grant.index)


async def count_admins_before(connection: Connection) -> int:
    """Return the number of admins before a change that may leave none; other such changes wait for this one."""
    await lock_admins(connection)
    return await count_admins(connection)


async def is_last_admin_gone(connection: Connection, actor: Actor, before: int) -> bool:
    """Return whether a change has left no admin. Raises `UsageError` if it has, and is not one of the command line."""
    gone = before > 0 and await count_admins(connection) == 0
    if gone and actor.door != COMMAND_LINE:
        raise UsageError(LAST_ADMIN)
    return gone
