"""What a role allows, and which account or actor may do what: one meaning for every door."""

import pytest

from koschey.accounts import Account, Grant
from koschey.auth.authorization import authorize, authorize_actor, is_authorized, may, select_authorized
from koschey.auth.permissions import ROLES, Action, Role
from koschey.db.account_changes import update_groups
from koschey.db.accounts import insert_grant, select_account, upsert_account
from koschey.db.pool import Connection
from koschey.errors import NotAllowed
from koschey.model import Actor

RULE_SCOPES = ("*", "@upstream", "spam-*")
"""What a rule can be about beside a project."""


async def test_the_database_has_the_same_roles(connection: Connection) -> None:
    """The database takes exactly the roles of the table."""
    account = await upsert_account(connection, "ada", None)
    for role in ROLES:
        await insert_grant(connection, account, role)
    assert {grant.role for grant in await grants_of(connection)} == set(Role) == set(ROLES)
    for role in ("owner", "upload-only", "Admin", ""):
        with pytest.raises(Exception, match="role_grant_role_check"):
            await insert_grant(connection, account, role)


async def grants_of(connection: Connection) -> tuple[Grant, ...]:
    """What ada's account may do."""
    found = await select_account(connection, "ada")
    assert found is not None
    return found.grants


async def test_an_unknown_index_grants_nothing(connection: Connection) -> None:
    """A grant for an index that does not exist is none, and above all not one for every index."""
    account = await upsert_account(connection, "ada", None)
    await insert_grant(connection, account, "reader", "*", "nowhere")
    assert await grants_of(connection) == ()
    await insert_grant(connection, account, "reader", "*", "main")
    assert await grants_of(connection) == (Grant("reader", "*", "main"),)


async def test_groups_lend_their_grants(connection: Connection) -> None:
    """An account has what is granted to its groups while it is a member, and nothing of other groups."""
    account = await upsert_account(connection, "ada", None)
    for group in ("web", "data"):
        await connection.execute(
            "INSERT INTO role_grant (group_name, role, scope, granted_by) VALUES ($1, 'uploader', $2, 'a test')",
            group,
            f"{group}-*",
        )
    assert not await is_authorized(connection, Actor("ada", "api"), Action.UPLOAD, "web-site")
    await update_groups(connection, account, ["web"])
    assert await grants_of(connection) == (Grant("uploader", "web-*"),)
    assert await is_authorized(connection, Actor("ada", "api"), Action.UPLOAD, "web-site")
    assert not await is_authorized(connection, Actor("ada", "api"), Action.UPLOAD, "data-lake")
    await update_groups(connection, account, ["data"])
    assert not await is_authorized(connection, Actor("ada", "api"), Action.UPLOAD, "web-site")


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
    await connection.execute("DELETE FROM role_grant")
    assert not await is_authorized(connection, Actor("ada", "api"), Action.DECIDE, "spam")


async def test_many_names_at_once(connection: Connection) -> None:
    """Of many names those are found that may do it, whatever the number, and none where nobody may."""
    await add_accounts(connection)
    names = {"ada", "bob", "", *(f"x{number}" for number in range(2000))}
    assert await select_authorized(connection, names, Action.DECIDE, "spam") == {"ada"}
    assert await select_authorized(connection, names, Action.DECIDE, "eggs") == set()
    assert await select_authorized(connection, set(), Action.DECIDE, "spam") == set()


LIMITS = [
    pytest.param(["decide"], None, None, True, id="its action"),
    pytest.param(None, None, None, True, id="all actions"),
    pytest.param(["decide"], ["spam"], "main", True, id="its project"),
    pytest.param(["decide"], ["spa-*", "spam-*"], None, True, id="a pattern"),
    pytest.param(["upload", "administer"], None, None, False, id="other actions"),
    pytest.param([], None, None, False, id="no action"),
    pytest.param(["decide"], ["eggs"], None, False, id="another project"),
    pytest.param(["decide"], [], None, False, id="no project"),
    pytest.param(["decide"], None, "other", False, id="another index"),
]


@pytest.mark.parametrize(("actions", "scopes", "index", "allowed"), LIMITS)
async def test_a_token_narrows_its_owner(
    connection: Connection, actions: list[str] | None, scopes: list[str] | None, index: str | None, *, allowed: bool
) -> None:
    """A change by a token needs the right of the owner and the token's limits, both as they are now."""
    await add_accounts(connection)
    await connection.execute("INSERT INTO index (name) VALUES ('other')")
    await connection.execute(
        """
        INSERT INTO token (id, account_id, secret_sha256, description, actions, scopes, index_id)
        SELECT 'abc', account.id, '', '', $1, $2, (SELECT id FROM index WHERE name = $3) FROM account WHERE name = 'ada'
        """,
        actions,
        scopes,
        index,
    )
    actor = Actor("ada", "api", "abc")
    assert await is_authorized(connection, actor, Action.DECIDE, "spam") is allowed
    assert not await is_authorized(connection, actor, Action.DECIDE, "eggs")
    assert not await is_authorized(connection, actor, Action.MANAGE, "spam")
    await connection.execute("UPDATE token SET revoked_at = now()")
    with pytest.raises(NotAllowed, match="this token of ada has expired or was revoked"):
        await authorize_actor(connection, actor, Action.DECIDE, "spam")
    assert await is_authorized(connection, Actor("ada", "api"), Action.DECIDE, "spam")


async def test_the_token_of_another_account_proves_nothing(connection: Connection) -> None:
    """An actor with a token that is not its own may do nothing."""
    await add_accounts(connection)
    await connection.execute(
        "INSERT INTO token (id, account_id, secret_sha256, description) "
        "SELECT 'abc', id, '', '' FROM account WHERE name = 'bob'"
    )
    assert not await is_authorized(connection, Actor("ada", "api", "abc"), Action.DECIDE, "spam")
