"""Decides whether an account, or the actor of a change, may do something to a project. All doors use this module.

A scope is a project's normalised name, `*` for the whole index, or the scope of a rule (`acme-*`, `@upstream`). A grant
covers exactly its own scope, and a grant for `*` covers all of them.
"""

from collections.abc import Collection

from koschey.accounts import Account
from koschey.auth.permissions import Action, allows
from koschey.db.accounts import select_account, select_accounts
from koschey.db.pool import Database
from koschey.errors import NotAllowed
from koschey.model import Actor

COMMAND_LINE = "cli"
"""The door that needs no account: a person who runs a command can access the database, and could write every row."""


def may(account: Account, action: Action, scope: str) -> bool:
    """Return whether the account may do this. Decides what is shown or offered only to accounts that may."""
    return allows(account.grants, action, scope)


def authorize(account: Account, action: Action, scope: str) -> None:
    """Raise `NotAllowed` unless the account may do this."""
    if not may(account, action, scope):
        raise NotAllowed(f"{account.name} may not {action} {scope}; an admin can grant it")


async def authorize_actor(db: Database, actor: Actor, action: Action, *scopes: str) -> None:
    """Raise `NotAllowed` unless the actor's current grants allow this for all of the scopes."""
    if actor.door == COMMAND_LINE:
        return
    account = await select_account(db, actor.name)
    if account is None:
        raise NotAllowed(f"there is no account {actor.name!r} here")
    for scope in scopes:
        authorize(account, action, scope)


async def is_authorized(db: Database, actor: Actor, action: Action, scope: str) -> bool:
    """Return whether the actor's current grants allow this."""
    try:
        await authorize_actor(db, actor, action, scope)
    except NotAllowed:
        return False
    return True


async def select_authorized(db: Database, names: Collection[str], action: Action, scope: str) -> set[str]:
    """Return those of the names whose accounts may do this. Needs one statement for all of them."""
    return {account.name for account in await select_accounts(db, sorted(names)) if may(account, action, scope)}
