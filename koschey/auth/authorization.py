"""Decides whether an identity, or the actor of a change, may do something to a scope of an index. All doors use this.

The rights of a token are those of its owner at this moment, within the limits of the token: both are read again for
each change.
"""

from collections.abc import Collection

from koschey.accounts import Account
from koschey.auth.permissions import Action, permits, permits_overview, permits_somewhere
from koschey.db.accounts import select_accounts, select_identity
from koschey.db.pool import Database
from koschey.errors import NotAllowed
from koschey.model import MAIN_INDEX, Actor

COMMAND_LINE = "cli"
"""The door that needs no account: a person who runs a command can access the database, and could write every row."""


def may(identity: Account, action: Action, scope: str, index: str = MAIN_INDEX) -> bool:
    """Return whether the identity may do this. Decides what is shown or offered only to identities that may."""
    return permits(identity, action, scope, index)


def authorize(identity: Account, action: Action, scope: str, index: str = MAIN_INDEX) -> None:
    """Raise `NotAllowed` unless the identity may do this."""
    if may(identity, action, scope, index):
        return
    if identity.token is not None and may(_without_token(identity), action, scope, index):
        raise NotAllowed(f"this token of {identity.name} may not {action} {scope}; make one that may")
    raise NotAllowed(f"{identity.name} may not {action} {scope}; an admin can grant it")


def authorize_somewhere(identity: Account, action: Action) -> None:
    """Raise `NotAllowed` unless the identity may do this for at least one project."""
    if not permits_somewhere(identity, action):
        raise NotAllowed(f"{identity.name} may not {action} anything here; an admin can grant it")


def authorize_overview(identity: Account, action: Action) -> None:
    """Raise `NotAllowed` unless the identity may see a list over all projects."""
    authorize_somewhere(identity, action)
    if not permits_overview(identity, action):
        raise NotAllowed(f"this token of {identity.name} is for some projects, and this shows all of them")


async def authorize_actor(db: Database, actor: Actor, action: Action, *scopes: str, index: str = MAIN_INDEX) -> None:
    """Raise `NotAllowed` unless the actor's current rights allow this for all of the scopes."""
    if actor.door == COMMAND_LINE:
        return
    identity = await current_identity(db, actor)
    for scope in scopes:
        authorize(identity, action, scope, index)


async def current_identity(db: Database, actor: Actor) -> Account:
    """Return the actor's account and token as they are now.

    Raises `NotAllowed` if the account does not exist or is disabled, or if the token has expired or was revoked.
    """
    identity = await select_identity(db, actor.name, actor.token)
    if identity is None:
        raise NotAllowed(f"there is no account {actor.name!r} here")
    if actor.token is not None and identity.token is None:
        raise NotAllowed(f"this token of {actor.name} has expired or was revoked")
    return identity


async def is_authorized(db: Database, actor: Actor, action: Action, scope: str) -> bool:
    """Return whether the actor's current rights allow this."""
    try:
        await authorize_actor(db, actor, action, scope)
    except NotAllowed:
        return False
    return True


async def select_authorized(db: Database, names: Collection[str], action: Action, scope: str) -> set[str]:
    """Return those of the names whose accounts may do this. Needs one statement for all of them."""
    return {account.name for account in await select_accounts(db, sorted(names)) if may(account, action, scope)}


def _without_token(identity: Account) -> Account:
    return Account(identity.name, identity.password_hash, identity.grants, identity.groups)
