"""Accounts: who may add and change them, what a change ends at once, and that an admin is always left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from koschey.auth.passwords import hash_password
from koschey.auth.permissions import ROLES, Role
from koschey.auth.sessions import find_session, open_session
from koschey.db.accounts import insert_grant, insert_token, select_account, upsert_account
from koschey.db.pool import Connection, Pool
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.governance import accounts
from koschey.governance.accounts import AccountChange, AccountListed
from koschey.governance.grants import GrantTerms, add_grant, remove_grant
from koschey.governance.portions import read_all
from koschey.governance.rights import LAST_ADMIN
from koschey.model import Actor

CLI, ADA, BOB = Actor("root", "cli"), Actor("ada", "api"), Actor("bob", "api")
BY_TOKEN = Actor("ada", "api", "adatoken0000")

type Change = Callable[[Connection, Actor], Awaitable[AccountChange]]
CHANGES: dict[str, Change] = {
    "add": lambda connection, actor: accounts.add_account(connection, actor, "eve", None, None, []),
    "add an admin": lambda connection, actor: accounts.add_account(connection, actor, "eve", None, "admin", []),
    "groups": lambda connection, actor: accounts.set_groups(connection, actor, "bob", ["web"]),
    "password": lambda connection, actor: accounts.set_password(connection, actor, "carl", "hash"),
    "disable": lambda connection, actor: accounts.disable_account(connection, actor, "bob", "why"),
    "enable": lambda connection, actor: accounts.enable_account(connection, actor, "dora", "why"),
}


@pytest.fixture
async def people(connection: Connection) -> Connection:
    """Ada is the admin, and has a token; Bob, Carl and Dora have no role, and Dora is disabled."""
    for name in ("ada", "bob", "carl", "dora"):
        account = await upsert_account(connection, name, None)
        if name == "ada":
            await insert_grant(connection, account, "admin")
            await insert_token(connection, "adatoken0000", account, "", "a test")
    await connection.execute("UPDATE account SET disabled_at = now() WHERE name = 'dora'")
    return connection


async def journal(connection: Connection) -> list[tuple[str, str, Any]]:
    """Every row of the journal: actor, action and detail."""
    rows = await connection.fetch("SELECT actor, action, project, detail FROM journal ORDER BY serial")
    assert all(row["project"] is None for row in rows)
    return [(row["actor"], row["action"], row["detail"]) for row in rows]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("actor", [CLI, ADA, BY_TOKEN], ids=["the command line", "an admin", "an admin's token"])
async def test_an_admin_may_change_accounts(people: Connection, change: Change, actor: Actor) -> None:
    """The command line and admins may, and each change is one row of the journal."""
    done = await change(people, actor)
    assert done.serial == 1
    assert not done.no_admin_left
    ((who, _, detail),) = await journal(people)
    assert (who, detail["account"]) == (actor.name, done.name)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("role", [None, *(role for role in Role if role is not Role.ADMIN)])
async def test_nobody_else_may(people: Connection, change: Change, role: str | None) -> None:
    """No other role may change an account, neither may an admin of some projects; nothing is written."""
    bob = await upsert_account(people, "bob", None)
    if role:
        await insert_grant(people, bob, role)
    await insert_grant(people, bob, "admin", "acme-*")
    await insert_grant(people, bob, "admin", "*", "main")
    for actor in (BOB, Actor("dora", "api"), Actor("nobody", "api")):
        with pytest.raises(NotAllowed):
            await change(people, actor)
    assert await journal(people) == []


@pytest.mark.parametrize("actions", [["upload"], ["administer"], ["administer", "audit", "decide"]])
async def test_a_token_gives_no_more_than_it_has(people: Connection, actions: list[str]) -> None:
    """A token that may only administer makes no admin, takes over no admin, and adds nobody to their groups."""
    await people.execute("UPDATE token SET actions = $1", actions)
    await add_grant(people, CLI, GrantTerms("admin", group="root"), "why")
    refused: list[Change] = [
        lambda connection, actor: accounts.add_account(connection, actor, "eve", None, "admin", []),
        lambda connection, actor: accounts.add_account(connection, actor, "eve", None, None, ["root"]),
        lambda connection, actor: accounts.set_groups(connection, actor, "bob", ["root"]),
        lambda connection, actor: accounts.set_password(connection, actor, "ada", "hash"),
    ]
    for change in refused:
        with pytest.raises(NotAllowed):
            await change(people, BY_TOKEN)
    assert len(await journal(people)) == 1
    if "administer" in actions:
        assert (await accounts.add_account(people, BY_TOKEN, "eve", None, None, [])).serial == 2


async def test_an_account_sets_its_own_password(people: Connection) -> None:
    """An account that proved itself with its password sets a new one; with a token it needs to administer."""
    assert (await accounts.set_password(people, BOB, "bob", "new")).serial == 1
    found = await select_account(people, "bob")
    assert found is not None
    assert found.password_hash == "new"
    with pytest.raises(NotAllowed):
        await accounts.set_password(people, Actor("bob", "api", "anything0000"), "bob", "newer")
    with pytest.raises(NotAllowed):
        await accounts.set_password(people, BOB, "carl", "stolen")


async def test_a_new_password_and_a_disabled_account_end_sessions(people: Connection, pool: Pool) -> None:
    """A session is over with the password that it began with, and with its account."""
    for change in (CHANGES["disable"], lambda each, actor: accounts.set_password(each, actor, "carl", "x")):
        name = "bob" if change is CHANGES["disable"] else "carl"
        session = await open_session(pool, name, None)
        assert await find_session(pool, session)
        await change(people, CLI)
        assert await find_session(pool, session) is None
    await accounts.enable_account(people, CLI, "bob", "back")
    assert await select_account(people, "bob")
    assert not await people.fetchval("SELECT count(*) FROM session")


async def test_a_disabled_account_is_nobody(people: Connection) -> None:
    """A disabled account does nothing, and neither does its token; enabled it has what it had."""
    await accounts.add_account(people, CLI, "eve", None, "admin", [])
    await accounts.disable_account(people, Actor("eve", "api"), "ada", "left")
    for actor in (ADA, BY_TOKEN):
        with pytest.raises(NotAllowed, match="there is no account 'ada'"):
            await CHANGES["groups"](people, actor)
    await accounts.enable_account(people, Actor("eve", "api"), "ada", "came back")
    assert (await CHANGES["groups"](people, BY_TOKEN)).serial == 4
    assert [action for _, action, _ in await journal(people)] == [
        "add account",
        "disable account",
        "enable account",
        "set groups",
    ]


LEAVING: dict[str, Callable[[Connection, Actor], Awaitable[Any]]] = {
    "disable": lambda each, actor: accounts.disable_account(each, actor, "ada", "why"),
    "remove the grant": lambda each, actor: remove_grant(each, actor, GrantTerms("admin", "ada"), "why"),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
async def test_the_last_admin_stays(people: Connection, leave: Any) -> None:
    """The last admin is neither disabled nor loses the role by the API; the command line does it, and says so."""
    await accounts.add_account(people, CLI, "eve", None, "auditor", [])
    await insert_grant(people, await upsert_account(people, "dora", None), "admin")  # disabled
    await insert_grant(people, await upsert_account(people, "carl", None), "admin", "acme-*")
    before = await journal(people)
    with pytest.raises(UsageError, match=LAST_ADMIN):
        await leave(people, ADA)
    assert await journal(people) == before
    assert await accounts.has_admin(people)
    assert (await leave(people, CLI)).no_admin_left
    assert not await accounts.has_admin(people)


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
async def test_one_of_two_admins_goes(people: Connection, leave: Any) -> None:
    """With another admin, by a grant or by a group, the first one may go."""
    await add_grant(people, CLI, GrantTerms("admin", group="root"), "why")
    await accounts.set_groups(people, CLI, "bob", ["root"])
    assert not (await leave(people, ADA)).no_admin_left
    with pytest.raises(UsageError, match=LAST_ADMIN):
        await accounts.set_groups(people, BOB, "bob", [])


async def test_two_admins_cannot_disable_each_other_at_once(pool: Pool) -> None:
    """Of two changes at once that would together leave no admin, one is refused."""
    async with pool.acquire() as connection:
        for name in ("ada", "bob"):
            await insert_grant(connection, await upsert_account(connection, name, None), "admin")

    async def disable(actor: Actor, name: str) -> str:
        async with pool.acquire() as connection:
            try:
                await accounts.disable_account(connection, actor, name, "why")
            except KoscheyError as error:
                return type(error).__name__
        return "done"

    answers = await asyncio.gather(disable(ADA, "bob"), disable(BOB, "ada"))
    assert sorted(answers) in (["UsageError", "done"], ["NotAllowed", "done"])
    async with pool.acquire() as connection:
        assert await accounts.has_admin(connection)


@pytest.mark.parametrize(
    "name", ["", "a b", "__token__", "system", "operator", "-ada", "ada-", "a" * 81, "ädä", "a\0b", "a/b", "a:b"]
)
async def test_names_of_accounts(connection: Connection, name: str) -> None:
    """A name is one that a header, a URL and the journal can carry, and that is not taken for something else."""
    with pytest.raises(UsageError, match="cannot be the name"):
        await accounts.add_account(connection, CLI, name, None, None, [])
    with pytest.raises(UsageError, match="cannot be the name"):
        await accounts.add_account(connection, CLI, "fine", None, None, [name])


async def test_an_account_is_added_once(people: Connection) -> None:
    """A name is not used twice, not even that of a disabled account; an unknown account cannot be changed."""
    for name in ("ada", "dora"):
        with pytest.raises(UsageError, match=f"there is an account {name} already"):
            await accounts.add_account(people, CLI, name, None, None, [])
    for change in ("disable", "enable"):
        with pytest.raises(NotKnown, match="there is no account 'nobody'"):
            await getattr(accounts, f"{change}_account")(people, CLI, "nobody", "why")
    with pytest.raises(NotKnown):
        await accounts.set_password(people, CLI, "no\0body", "x")
    with pytest.raises(UsageError, match="there is no role 'owner'"):
        await accounts.add_account(people, CLI, "eve", None, "owner", [])


async def test_what_changes_nothing_is_not_written(people: Connection) -> None:
    """A change to what is already so takes no serial."""
    await accounts.set_groups(people, CLI, "bob", ["web", "data", "web"])
    assert (await accounts.set_groups(people, CLI, "bob", ["data", "web"])).serial is None
    assert (await accounts.disable_account(people, CLI, "dora", "why")).serial is None
    assert (await accounts.enable_account(people, CLI, "bob", "why")).serial is None
    assert len(await journal(people)) == 1


async def test_nothing_secret_is_shown_or_written(people: Connection) -> None:
    """Neither a list nor the journal has a password or its hash."""
    hashed = await hash_password("a long enough password")
    await accounts.set_password(people, CLI, "bob", hashed)
    shown = await accounts.show_account(people, "bob")
    assert shown.has_password
    assert hashed not in repr(shown)
    assert hashed not in repr(await accounts.list_all_accounts(people))
    assert hashed not in repr(await journal(people))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 500])
async def test_lists_are_whole(people: Connection, size: int) -> None:
    """All accounts are listed, in portions of any size."""

    async def read(last: AccountListed | None) -> list[AccountListed]:
        return await accounts.list_accounts(people, after=last.name if last else "", limit=size)

    assert [each.name for each in await read_all(read, size)] == ["ada", "bob", "carl", "dora"]


async def test_an_account_is_shown_with_the_grants_of_its_groups(people: Connection) -> None:
    """An account has what is granted to its groups, and the answer says to which."""
    await add_grant(people, CLI, GrantTerms("uploader", group="web", scope="Web-*"), "why")
    await accounts.set_groups(people, CLI, "carl", ["web"])
    (grant,) = (await accounts.show_account(people, "carl")).grants
    assert (grant.role, grant.scope, grant.group, grant.granted_by) == ("uploader", "web-*", "web", "root")


def test_the_table_has_one_role_that_administers() -> None:
    """Who may administer may do everything, so that counting admins counts those who can."""
    assert [role for role, actions in ROLES.items() if "administer" in actions] == ["admin"]
