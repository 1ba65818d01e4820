"""Grants: which account or group has which role, and for what."""

from typing import Annotated

from msgspec import Meta, Struct

from koschey.accounts import EVERYWHERE
from koschey.auth.permissions import Action, Role
from koschey.errors import NotKnown
from koschey.governance import grants
from koschey.governance.grants import GrantChange, GrantShown, GrantTerms
from koschey.model import Serial
from koschey.web.api.accounts import AccountName
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import MAX_POSITION, Input, Limit, Name, Position, Reason, Text, Why
from koschey.web.context import resources


class GrantsQuery(Input, frozen=True, kw_only=True):
    """Which grants."""

    account: Annotated[AccountName | None, Meta(description="Only those of this account itself.")] = None
    group: Annotated[AccountName | None, Meta(description="Only those of this group.")] = None
    after: Annotated[Position, Meta(description="Only grants with a greater id.")] = 0
    limit: Limit = 100


class Grants(Struct, frozen=True, kw_only=True):
    """A part of the grants, in the order in which they were made."""

    grants: list[GrantShown]


class NewGrant(Input, frozen=True, kw_only=True):
    """A role to be granted to either an account or a group."""

    role: Role
    account: AccountName | None = None
    group: AccountName | None = None
    scope: Annotated[Name, Meta(description="A project, a pattern `acme-*`, or `*` for all projects.")] = EVERYWHERE
    index: Annotated[Text, Meta(description="An index, or `*` for all.")] = EVERYWHERE
    reason: Reason


class ChangedGrant(Struct, frozen=True, kw_only=True):
    """What a request changed: nothing, if it was already so."""

    grant: GrantShown
    changed: bool
    serial: Serial | None


@operation("GET", "/grants", GrantsQuery, Grants, needs=Action.AUDIT, overview=True)
async def read_grants(call: Call[GrantsQuery]) -> Grants:
    """Return grants in the order in which they were made."""
    query = call.sent
    if not all((name or "").isprintable() for name in (query.account, query.group)):
        return Grants(grants=[])  # no account and no group has such a name
    found = await grants.list_grants(resources().pool, query.account, query.group, after=query.after, limit=query.limit)
    return Grants(grants=found)


@operation("POST", "/grants", NewGrant, ChangedGrant, needs=Action.ADMINISTER, alters=False, also=(404,))
async def add_grant(call: Call[NewGrant]) -> ChangedGrant:
    """Grant a role. Nobody can grant more than they have."""
    sent = call.sent
    terms = GrantTerms(sent.role, sent.account, sent.group, sent.scope, sent.index)
    return _show(await resources().with_connection(grants.add_grant, call.actor, terms, sent.reason))


@operation("DELETE", "/grants/<grant>", Why, ChangedGrant, needs=Action.ADMINISTER, alters=False, also=(404,))
async def remove_grant(call: Call[Why]) -> ChangedGrant:
    """Remove a grant by its id."""
    text = call.path["grant"]
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_POSITION):
        raise NotKnown("there is no such grant here")
    arguments = (call.actor, int(text), call.sent.reason)
    return _show(await resources().with_connection(grants.remove_grant_by_id, *arguments))


def _show(change: GrantChange) -> ChangedGrant:
    return ChangedGrant(grant=change.grant, changed=change.serial is not None, serial=change.serial)
