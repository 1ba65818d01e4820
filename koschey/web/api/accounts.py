"""Accounts: who may log in, and in which groups they are."""

from typing import Annotated

from msgspec import Meta, Struct, field

from koschey.auth.permissions import Action, Role
from koschey.governance import accounts
from koschey.governance.accounts import AccountChange, AccountListed, AccountShown
from koschey.model import Serial
from koschey.web.access import Access
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Limit, Nothing, Text, Why
from koschey.web.context import resources

ACCOUNT = "/accounts/<account>"
type AccountName = Annotated[str, Meta(min_length=1, max_length=80, description="The name of an account.")]
type Password = Annotated[str, Meta(max_length=2000, description="At least 12 characters; not a well-known password.")]


class AccountsQuery(Input, frozen=True, kw_only=True):
    """Which part of the accounts."""

    after: Annotated[Text, Meta(description="Only accounts whose name comes after this one.")] = ""
    limit: Limit = 100


class Accounts(Struct, frozen=True, kw_only=True):
    """A part of the accounts, in the order of their names."""

    accounts: list[AccountListed]


class NewAccount(Input, frozen=True, kw_only=True):
    """An account to be added."""

    name: AccountName
    password: Annotated[
        Password | None, Meta(description="None for an account that uses tokens alone, such as a build server's.")
    ] = None
    role: Annotated[Role | None, Meta(description="A role for all projects.")] = None
    groups: list[AccountName] = field(default_factory=list)


class NewPassword(Input, frozen=True, kw_only=True):
    """The new password of an account."""

    password: Password


class NewGroups(Input, frozen=True, kw_only=True):
    """All groups of an account."""

    groups: list[AccountName]


class ChangedAccount(Struct, frozen=True, kw_only=True):
    """What a request changed: nothing, if it was already so."""

    account: str
    changed: bool
    serial: Serial | None


@operation("GET", "/account", Nothing, AccountShown, needs=Access.LOGIN)
async def read_own_account(call: Call[Nothing]) -> AccountShown:
    """Return the caller's account, with what is granted to it and to its groups."""
    return await accounts.show_account(resources().pool, call.account.name)


@operation("GET", "/accounts", AccountsQuery, Accounts, needs=Action.AUDIT, overview=True)
async def read_accounts(call: Call[AccountsQuery]) -> Accounts:
    """Return accounts in the order of their names, disabled ones too."""
    query = call.sent
    return Accounts(accounts=await accounts.list_accounts(resources().pool, after=query.after, limit=query.limit))


@operation("GET", ACCOUNT, Nothing, AccountShown, needs=Action.AUDIT, overview=True, also=(404,))
async def read_account(call: Call[Nothing]) -> AccountShown:
    """Return an account with what is granted to it and to its groups."""
    return await accounts.show_account(resources().pool, call.path["account"])


@operation("POST", "/accounts", NewAccount, ChangedAccount, needs=Action.ADMINISTER, alters=False)
async def add_account(call: Call[NewAccount]) -> ChangedAccount:
    """Add an account, perhaps with a role for all projects."""
    sent = call.sent
    hashed = await accounts.prepare_password(sent.name, sent.password) if sent.password is not None else None
    arguments = (call.actor, sent.name, hashed, sent.role, sent.groups)
    return _show(await resources().with_connection(accounts.add_account, *arguments))


@operation("PUT", f"{ACCOUNT}/password", NewPassword, ChangedAccount, needs=Access.OWNER, alters=False, also=(404,))
async def put_password(call: Call[NewPassword]) -> ChangedAccount:
    """Set the password of an account, and end its sessions. That of another account needs `administer`."""
    name = call.path["account"]
    hashed = await accounts.prepare_password(name, call.sent.password)
    return _show(await resources().with_connection(accounts.set_password, call.actor, name, hashed))


@operation("PUT", f"{ACCOUNT}/groups", NewGroups, ChangedAccount, needs=Action.ADMINISTER, alters=False, also=(404,))
async def put_groups(call: Call[NewGroups]) -> ChangedAccount:
    """Make an account a member of exactly these groups."""
    arguments = (call.actor, call.path["account"], call.sent.groups)
    return _show(await resources().with_connection(accounts.set_groups, *arguments))


@operation("POST", f"{ACCOUNT}/disable", Why, ChangedAccount, needs=Action.ADMINISTER, alters=False, also=(404,))
async def disable_account(call: Call[Why]) -> ChangedAccount:
    """Disable an account: its sessions end, and its password and its tokens prove nothing."""
    arguments = (call.actor, call.path["account"], call.sent.reason)
    return _show(await resources().with_connection(accounts.disable_account, *arguments))


@operation("POST", f"{ACCOUNT}/enable", Why, ChangedAccount, needs=Action.ADMINISTER, alters=False, also=(404,))
async def enable_account(call: Call[Why]) -> ChangedAccount:
    """Enable a disabled account again, with the groups, roles and tokens that it had."""
    arguments = (call.actor, call.path["account"], call.sent.reason)
    return _show(await resources().with_connection(accounts.enable_account, *arguments))


def _show(change: AccountChange) -> ChangedAccount:
    return ChangedAccount(account=change.name, changed=change.serial is not None, serial=change.serial)
