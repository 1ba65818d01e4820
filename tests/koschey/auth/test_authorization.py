"""What a role allows, and which account or actor may do what: one meaning for every door."""

import pytest

from koschey.accounts import Account, Grant
from koschey.auth.authorization import authorize, authorize_actor, is_authorized, may, select_authorized
from koschey.auth.permissions import ROLES, Action, allows, may_somewhere
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Connection
from koschey.errors import NotAllowed
from koschey.model import Actor

RULE_SCOPES = ("*", "@upstream", "spam-*")
"""What a rule can be about beside a project."""


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("uploader", {Action.READ, Action.UPLOAD, Action.YANK}),
        ("upload-only", {Action.UPLOAD}),
        ("reviewer", {Action.READ, Action.DECIDE}),
        ("admin", set(Action)),
        ("Admin", set()),
        ("", set()),
        ("*", set()),
        ("owner", set()),
    ],
)
@pytest.mark.parametrize("action", Action)
def test_roles(role: str, actions: set[Action], action: Action) -> None:
    """A role allows what the table says, for its scope, and everything else is denied."""
    assert allows((Grant(role, "*"),), action, "spam") is (action in actions)
    assert allows((Grant(role, "spam"),), action, "spam") is (action in actions)
    assert may_somewhere((Grant(role, "spam"),), action) is (action in actions)
    assert not allows((Grant(role, "spam"),), action, "eggs")
    assert not allows((Grant(role, "SPAM"), Grant(role, "spa*"), Grant(role, "")), action, "spam")
    assert not allows((), action, "spam")


@pytest.mark.parametrize("scope", RULE_SCOPES)
def test_scopes_of_rules(scope: str) -> None:
    """A grant for a project covers no pattern and no part of the index; a grant for all covers each of them."""
    assert allows((Grant("admin", "*"),), Action.MANAGE, scope)
    assert not allows((Grant("admin", "spam"),), Action.MANAGE, scope)


def test_one_grant_is_enough() -> None:
    """Grants add up; none takes another away."""
    grants = (Grant("uploader", "eggs"), Grant("reviewer", "spam"))
    assert allows(grants, Action.DECIDE, "spam")
    assert not allows(grants, Action.UPLOAD, "spam")
    assert allows(grants, Action.UPLOAD, "eggs")


async def test_the_database_has_the_same_roles(connection: Connection) -> None:
    """The database takes exactly the roles of the table."""
    account = await upsert_account(connection, "ada", None)
    for role in ROLES:
        await insert_grant(connection, account, role)
    with pytest.raises(Exception, match="account_grant_role_check"):
        await insert_grant(connection, account, "owner")


def test_authorize() -> None:
    """An account without the permission gets an error that names account, action and project."""
    reviewer = Account("ada", None, (Grant("reviewer", "spam"),))
    authorize(reviewer, Action.DECIDE, "spam")
    assert may(reviewer, Action.DECIDE, "spam")
    assert not may(reviewer, Action.DECIDE, "eggs")
    with pytest.raises(NotAllowed, match="ada may not decide eggs"):
        authorize(reviewer, Action.DECIDE, "eggs")
    with pytest.raises(NotAllowed, match="ada may not upload spam"):
        authorize(reviewer, Action.UPLOAD, "spam")


async def add_accounts(connection: Connection) -> None:
    """Ada may decide about spam alone; Bob might decide about all, but his account is disabled."""
    await insert_grant(connection, await upsert_account(connection, "ada", None), "reviewer", "spam")
    await insert_grant(connection, await upsert_account(connection, "bob", None), "admin")
    await connection.execute("UPDATE account SET disabled_at = now() WHERE name = 'bob'")


@pytest.mark.parametrize("door", ["api", "admin", "code", "signal", "CLI", ""])
async def test_an_actor_acts_by_its_account(connection: Connection, door: str) -> None:
    """Through every door but the command line, an account that is not disabled must have the permission."""
    await add_accounts(connection)
    await authorize_actor(connection, Actor("ada", door), Action.DECIDE, "spam")
    refused = {"ada": "ada may not decide eggs", "bob": "no account 'bob'", "": "no account ''", "root": "no account"}
    for name, message in refused.items():
        with pytest.raises(NotAllowed, match=message):
            await authorize_actor(connection, Actor(name, door), Action.DECIDE, "spam", "eggs")
        assert not await is_authorized(connection, Actor(name, door), Action.DECIDE, "eggs")
    assert await is_authorized(connection, Actor("ada", door), Action.DECIDE, "spam")


@pytest.mark.parametrize("action", Action)
async def test_the_command_line_needs_no_account(connection: Connection, action: Action) -> None:
    """A command has the database's address; no account of its user's name is needed, nor asked."""
    await add_accounts(connection)
    for name in ("ada", "bob", "operator"):
        await authorize_actor(connection, Actor(name, "cli"), action, "eggs", *RULE_SCOPES)
        assert await is_authorized(connection, Actor(name, "cli"), action, "eggs")


async def test_grants_of_this_moment_count(connection: Connection) -> None:
    """A grant that is taken away allows nothing from then on."""
    await add_accounts(connection)
    await connection.execute("DELETE FROM account_grant")
    assert not await is_authorized(connection, Actor("ada", "api"), Action.DECIDE, "spam")


async def test_many_names_at_once(connection: Connection) -> None:
    """Of many names those are found that may do it, whatever the number, and none where nobody may."""
    await add_accounts(connection)
    names = {"ada", "bob", "", *(f"x{number}" for number in range(2000))}
    assert await select_authorized(connection, names, Action.DECIDE, "spam") == {"ada"}
    assert await select_authorized(connection, names, Action.DECIDE, "eggs") == set()
    assert await select_authorized(connection, set(), Action.DECIDE, "spam") == set()
