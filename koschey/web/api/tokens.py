"""Tokens: an account makes, lists and revokes its own; those of others need `administer`."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from koschey.accounts import EVERYWHERE
from koschey.auth.permissions import Action
from koschey.governance import tokens
from koschey.governance.terms import as_utc
from koschey.governance.tokens import MadeToken, TokenShown, TokenTerms
from koschey.model import Serial
from koschey.web.access import Access
from koschey.web.api.accounts import AccountName
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Limit, Name, Text, Why
from koschey.web.context import resources


class TokensQuery(Input, frozen=True, kw_only=True):
    """Which tokens."""

    account: Annotated[AccountName | None, Meta(description="The account; the caller's own if there is none.")] = None
    all: Annotated[bool, Meta(description="The tokens of all accounts; needs `administer`.")] = False
    revoked: Annotated[bool, Meta(description="Also revoked tokens.")] = False
    after: Annotated[Text, Meta(description="Only tokens whose id comes after this one.")] = ""
    limit: Limit = 100


class Tokens(Struct, frozen=True, kw_only=True):
    """A part of the tokens, in the order of their ids."""

    tokens: list[TokenShown]


class NewToken(Input, frozen=True, kw_only=True):
    """A token to be made."""

    name: Annotated[Text, Meta(description="Where it is used.")]
    actions: Annotated[list[Action], Meta(min_length=1)]
    scopes: Annotated[
        list[Name] | None, Meta(description="Projects and patterns `acme-*` for which it allows them; null for all.")
    ] = None
    index: Annotated[Text, Meta(description="An index, or `*` for all.")] = EVERYWHERE
    expires_at: Annotated[datetime | None, Meta(description="At most 366 days from now; null for 90 days.")] = None
    account: Annotated[AccountName | None, Meta(description="Its account; the caller's own if there is none.")] = None


class RevokedToken(Struct, frozen=True, kw_only=True):
    """What a request changed: nothing, if the token was revoked before."""

    token: TokenShown
    changed: bool
    serial: Serial | None


@operation("GET", "/tokens", TokensQuery, Tokens, needs=Access.OWNER, also=(404,))
async def read_tokens(call: Call[TokensQuery]) -> Tokens:
    """Return tokens without their secrets, with when and from where each was last used."""
    query = call.sent
    account = None if query.all else query.account or call.account.name
    found = await tokens.list_tokens_for(
        resources().pool, call.actor, account, revoked=query.revoked, after=query.after, limit=query.limit
    )
    return Tokens(tokens=found)


@operation("POST", "/tokens", NewToken, MadeToken, needs=Access.OWNER, alters=False, also=(404,))
async def add_token(call: Call[NewToken]) -> MadeToken:
    """Make a token. Only this answer contains it."""
    sent = call.sent
    expires = as_utc(sent.expires_at) if sent.expires_at else None
    terms = TokenTerms(sent.name, sent.actions, sent.scopes, sent.index, expires)
    account = sent.account or call.account.name
    return await resources().with_connection(tokens.add_token, call.actor, account, terms)


@operation("DELETE", "/tokens/<token>", Why, RevokedToken, needs=Access.LOGIN, alters=False, also=(404,))
async def revoke_token(call: Call[Why]) -> RevokedToken:
    """Revoke a token by its id. A token may revoke itself."""
    arguments = (call.actor, call.path["token"], call.sent.reason)
    token, serial = await resources().with_connection(tokens.revoke_token, *arguments)
    return RevokedToken(token=token, changed=serial is not None, serial=serial)
