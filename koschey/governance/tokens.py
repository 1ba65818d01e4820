"""Makes, lists and revokes tokens. Each change is one transaction with its entry in the journal.

An account manages its own tokens; those of others need `administer`. The token of another account does not exist for
a client that may not see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from koschey.accounts import EVERYWHERE, Account, TokenRights
from koschey.auth.authorization import COMMAND_LINE, current_identity, may
from koschey.auth.permissions import Action, covers
from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.db import journal, projects, tokens
from koschey.db.accounts import select_account
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.events import Event
from koschey.governance.portions import PORTION, read_all
from koschey.governance.rights import (
    authorize_administration,
    authorize_grants,
    find_account,
    find_index,
    parse_scope,
)
from koschey.model import Actor, Serial
from koschey.policy.reasons import parse_reason

USUAL = timedelta(days=90)
"""How long a token is valid if its maker does not say."""
LONGEST = timedelta(days=366)
"""Maximum validity of a token."""
MOST_ACTIVE = 200
"""Maximum number of active tokens of an account."""
MOST_SCOPES = 100
LONGEST_NAME = 80


class TokenShown(Struct, frozen=True, kw_only=True):
    """A token without its secret."""

    id: str
    """The part after `kos_`, which is not secret."""
    account: str
    name: str
    actions: list[str] | None
    """What it allows, within the rights of its account; null for all of them."""
    scopes: list[str] | None
    """The projects and patterns for which it does; null for all."""
    index: str
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Recorded at most once a minute."""
    last_used_from: str | None
    """The address of that use; for IPv6, its /64 network."""
    is_active: bool


class MadeToken(Struct, frozen=True, kw_only=True):
    """A new token, which is shown once."""

    token: str
    shown: TokenShown
    serial: Serial


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """A token as a person orders it."""

    name: str
    actions: Sequence[str]
    scopes: Sequence[str] | None = None
    """None for all projects."""
    index: str = EVERYWHERE
    expires_at: datetime | None = None
    """None for `USUAL` from now."""


async def list_tokens(
    db: Database, account: str | None, *, revoked: bool = False, after: str = "", limit: int = PORTION
) -> list[TokenShown]:
    """Return tokens of an account, or of all accounts; revoked ones too if that is wanted. Checks no permission."""
    rows = await tokens.select_tokens(db, account, revoked=revoked, after=after, limit=limit)
    return [_show(row) for row in rows]


async def list_all_tokens(db: Database, account: str | None, *, revoked: bool) -> list[TokenShown]:
    """Do as `list_tokens`, with all of them."""
    return await read_all(lambda last: list_tokens(db, account, revoked=revoked, after=last.id if last else ""))


async def list_tokens_for(
    db: Database, actor: Actor, account: str | None, *, revoked: bool = False, after: str = "", limit: int = PORTION
) -> list[TokenShown]:
    """Do as `list_tokens`. Raises `NotKnown` unless the account is the actor's own, or the actor may administer."""
    if account != actor.name:
        await _authorize_or_hide(db, actor, f"there is no account {(account or '')[:80]!r} here")
        if account is not None and (not account.isprintable() or await select_account(db, account) is None):
            raise NotKnown(f"there is no account {account[:80]!r} here")
    return await list_tokens(db, account, revoked=revoked, after=after, limit=limit)


async def add_token(connection: Connection, actor: Actor, account: str, terms: TokenTerms) -> MadeToken:
    """Make a token of an account, and return it with its secret, which is not stored.

    Raises `NotKnown` if the account is not the actor's own and the actor may not administer, or there is none;
    `NotAllowed` if a token is used to make one that may do more than itself, or one of an account with more rights; and
    `UsageError` if the terms are not valid.
    """
    async with connection.transaction():
        rights = await _parse(connection, terms)
        await _authorize_making(connection, actor, account, rights)
        owner = await find_account(connection, account)
        if await tokens.count_tokens(connection, owner) >= MOST_ACTIVE:
            raise UsageError(f"{account} has {MOST_ACTIVE} active tokens; revoke some first")
        now = await projects.select_now(connection)
        token = new_token()
        parts = parse_token(token)
        assert parts is not None
        new = tokens.NewTokenRow(
            parts.id,
            owner,
            digest_secret(parts.secret),
            _parse_token_name(terms.name),
            sorted(rights.actions or ()),
            rights.scopes,
            await find_index(connection, rights.index),
            _parse_end(terms.expires_at, now),
            actor.name,
        )
        await tokens.insert_new_token(connection, new)
        row = await tokens.select_shown_token(connection, parts.id)
        assert row is not None
        serial = await _record(connection, actor, Event.ADD_TOKEN, row)
        return MadeToken(token=token, shown=_show(row), serial=serial)


async def revoke_token(
    connection: Connection, actor: Actor, token: str, reason: str
) -> tuple[TokenShown, Serial | None]:
    """Revoke a token; return it, and None for the serial if it was revoked before.

    A token may revoke itself. Raises `NotKnown` if there is no such token, or if it is another account's, or the actor
    used another token, and the actor may not administer.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        row = await tokens.select_shown_token(connection, token) if token.isprintable() else None
        missing = f"there is no token {token[:20]!r} here"
        if row is None or row.account != actor.name or actor.token not in (None, token):
            await _authorize_or_hide(connection, actor, missing)
        if row is None:
            raise NotKnown(missing)
        if not await tokens.update_revoked(connection, token):
            return _show(row), None
        row = await tokens.select_shown_token(connection, token)
        assert row is not None
        return _show(row), await _record(connection, actor, Event.REVOKE_TOKEN, row, why)


def parse_actions(texts: Sequence[str]) -> frozenset[str]:
    """Return the actions of a token. Raises `UsageError` if there is none, or one that does not exist."""
    unknown = [text for text in texts if text not in set(Action)]
    if unknown or not texts:
        said = f"there is no action {unknown[0][:80]!r}" if unknown else "a token needs at least one action"
        raise UsageError(f"{said}; choose from {', '.join(Action)}")
    return frozenset(texts)


async def _parse(db: Database, terms: TokenTerms) -> TokenRights:
    scopes = None
    if terms.scopes is not None:
        scopes = tuple(sorted({parse_scope(scope) for scope in terms.scopes}))
        if not scopes or len(scopes) > MOST_SCOPES:
            raise UsageError(f"name 1 to {MOST_SCOPES} projects or patterns, or none for all projects")
    await find_index(db, terms.index)
    return TokenRights("", parse_actions(terms.actions), None if scopes == (EVERYWHERE,) else scopes, terms.index)


async def _authorize_making(connection: Connection, actor: Actor, account: str, rights: TokenRights) -> None:
    if actor.door == COMMAND_LINE:
        return
    identity = await current_identity(connection, actor)
    if actor.name != account:
        await _authorize_or_hide(connection, actor, f"there is no account {account[:80]!r} here")
        owner = await select_account(connection, account) if account.isprintable() else None
        await authorize_grants(connection, actor, owner.grants if owner else ())
    elif actor.token is not None:
        await authorize_administration(connection, actor)
    if not _is_within(identity, rights):
        raise NotAllowed("a token can only make tokens that may do no more than itself")


def _is_within(identity: Account, rights: TokenRights) -> bool:
    """Return whether the rights do not exceed those of the token that the actor used, if any."""
    own = identity.token
    if own is None:
        return True
    actions = own.actions is None or (rights.actions is not None and rights.actions <= own.actions)
    scopes = own.scopes is None or (
        rights.scopes is not None and all(any(covers(each, scope) for each in own.scopes) for scope in rights.scopes)
    )
    return actions and scopes and own.index in (EVERYWHERE, rights.index)


async def _authorize_or_hide(db: Database, actor: Actor, missing: str) -> None:
    """Raise `NotKnown` with this message unless the actor may administer."""
    if actor.door == COMMAND_LINE:
        return
    if not may(await current_identity(db, actor), Action.ADMINISTER, EVERYWHERE, EVERYWHERE):
        raise NotKnown(missing)


def _parse_token_name(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UsageError(f"give the token a name of 1 to {LONGEST_NAME} characters on one line: where it is used")
    return name


def _parse_end(end: datetime | None, now: datetime) -> datetime:
    if end is None:
        return now + USUAL
    if not now < end <= now + LONGEST:
        raise UsageError(f"a token ends in the future, at most {LONGEST.days} days from now")
    return end


def _show(row: tokens.TokenRow) -> TokenShown:
    values = row._asdict()
    return TokenShown(index=values.pop("index_name"), **values)


async def _record(
    connection: Connection, actor: Actor, event: Event, row: tokens.TokenRow, reason: str | None = None
) -> Serial:
    said: dict[str, object] = {"account": row.account, "token": row.id, "name": row.name}
    if event is Event.ADD_TOKEN:
        ends = row.expires_at.isoformat() if row.expires_at else None
        said |= {"actions": row.actions, "scopes": row.scopes, "index": row.index_name, "ends": ends}
    detail = {**said, "reason": reason} if reason else said
    return await journal.insert_entries(connection, actor, event, None, [Entry(detail=detail)])
