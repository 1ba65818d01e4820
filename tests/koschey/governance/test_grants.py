"""Grants: who may give which role, and that nobody gives more than they have."""

from typing import Any

import pytest

from koschey.auth.authorization import is_authorized
from koschey.auth.permissions import ROLES, Action, Role
from koschey.db.accounts import insert_grant, insert_token, upsert_account
from koschey.db.pool import Connection
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.governance.grants import (
    GrantTerms,
    add_grant,
    list_all_grants,
    remove_grant,
    remove_grant_by_id,
)
from koschey.model import Actor

CLI, ADA = Actor("root", "cli"), Actor("ada", "api")


@pytest.fixture
async def people(connection: Connection) -> Connection:
    """Ada administers `acme-*`, and has a token; Bob has no role."""
    ada = await upsert_account(connection, "ada", None)
    await insert_grant(connection, ada, "admin", "acme-*")
    await insert_token(connection, "adatoken0000", ada, "", "a test")
    await upsert_account(connection, "bob", None)
    await connection.execute("INSERT INTO index (name) VALUES ('other')")
    return connection


async def may_upload(connection: Connection, project: str) -> bool:
    return await is_authorized(connection, Actor("bob", "api"), Action.UPLOAD, project)


async def test_add_and_remove(people: Connection) -> None:
    """A grant counts from its commit to its removal, and both are in the journal."""
    terms = GrantTerms("uploader", "bob", scope="Acme-*")
    added = await add_grant(people, CLI, terms, "the build server")
    assert added.serial == 1
    assert (added.grant.scope, added.grant.index, added.grant.granted_by) == ("acme-*", "*", "root")
    assert await may_upload(people, "acme-tools")
    assert not await may_upload(people, "other")
    assert (await add_grant(people, CLI, terms, "again")).serial is None
    assert (await remove_grant(people, CLI, terms, "moved")).serial == 2
    assert not await may_upload(people, "acme-tools")
    with pytest.raises(NotKnown, match="there is no such grant"):
        await remove_grant(people, CLI, terms, "again")
    rows = await people.fetch("SELECT action, project, detail FROM journal ORDER BY serial")
    detail = {"account": "bob", "role": "uploader", "scope": "acme-*", "index": "*"}
    assert [tuple(row) for row in rows] == [
        ("add grant", None, {**detail, "reason": "the build server"}),
        ("remove grant", None, {**detail, "reason": "moved"}),
    ]


WITHIN = ("acme", "acme-tools", "acme-*", "acme-tools-*")
BEYOND = ("*", "six", "acm-*", "acmes")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", WITHIN + BEYOND)
async def test_an_admin_of_a_pattern_grants_within_it(people: Connection, role: str, scope: str) -> None:
    """An admin of some projects grants any role for them, in each index or in all, and none for others."""
    for index in ("*", "main", "other"):
        terms = GrantTerms(role, "bob", scope=scope, index=index)
        if scope in WITHIN:
            assert (await add_grant(people, ADA, terms, "why")).serial
            assert (await remove_grant(people, ADA, terms, "why")).serial
        else:
            with pytest.raises(NotAllowed):
                await add_grant(people, ADA, terms, "why")


@pytest.mark.parametrize("role", Role)
async def test_a_token_grants_only_what_it_has(people: Connection, role: Role) -> None:
    """A token needs `administer` and each action of the role: otherwise it could make itself an admin."""
    await people.execute("UPDATE token SET actions = $1", ["administer", "read", "inspect", "upload"])
    actor, terms = Actor("ada", "api", "adatoken0000"), GrantTerms(role, "bob", scope="acme")
    if ROLES[role] <= {Action.READ, Action.INSPECT, Action.UPLOAD, Action.ADMINISTER}:
        assert (await add_grant(people, actor, terms, "why")).serial == 1
    else:
        with pytest.raises(NotAllowed):
            await add_grant(people, actor, terms, "why")


async def test_an_admin_of_one_index_ends_there(people: Connection) -> None:
    """An admin of one index grants nothing in another, nor in all."""
    await insert_grant(people, await upsert_account(people, "eve", None), "admin", "*", "other")
    eve = Actor("eve", "api")
    assert (await add_grant(people, eve, GrantTerms("uploader", "bob", index="other"), "why")).serial
    for index in ("*", "main"):
        with pytest.raises(NotAllowed):
            await add_grant(people, eve, GrantTerms("uploader", "bob", index=index), "why")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_else_grants(people: Connection, role: str) -> None:
    """No other role gives or takes a role, not even its own; an unknown grant is 404."""
    bob = await upsert_account(people, "bob", None)
    await insert_grant(people, bob, role)
    (given,) = await list_all_grants(people, "bob")
    for attempt in (
        add_grant(people, Actor("bob", "api"), GrantTerms(role, "ada"), "why"),
        remove_grant(people, Actor("bob", "api"), GrantTerms(role, "bob"), "why"),
        remove_grant_by_id(people, Actor("bob", "api"), given.id, "why"),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    with pytest.raises(NotKnown):
        await remove_grant_by_id(people, CLI, 999, "why")
    assert await people.fetchval("SELECT count(*) FROM journal") == 0


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"role": "owner", "account": "bob"}, UsageError, "there is no role 'owner'; choose one of reader"),
        ({"role": "reader"}, UsageError, "either the account or the group"),
        ({"role": "reader", "account": "bob", "group": "web"}, UsageError, "either the account or the group"),
        ({"role": "reader", "account": "nobody"}, NotKnown, "there is no account 'nobody'"),
        ({"role": "reader", "account": "a\0b"}, NotKnown, "there is no account"),
        ({"role": "reader", "group": "a b"}, UsageError, "cannot be the name of an account or a group"),
        ({"role": "reader", "account": "bob", "scope": "acme*"}, UsageError, "is not a pattern"),
        ({"role": "reader", "account": "bob", "scope": ""}, UsageError, "is not a pattern"),
        ({"role": "reader", "account": "bob", "scope": "@upstream"}, UsageError, "is not a project name"),
        ({"role": "reader", "account": "bob", "index": "nowhere"}, NotKnown, "there is no index 'nowhere'"),
    ],
)
async def test_what_is_no_grant(people: Connection, given: dict[str, str], error: Any, words: str) -> None:
    """Terms that are not a grant are refused with what is wrong, and nothing is written."""
    for change in (add_grant, remove_grant):
        with pytest.raises(error, match=words):
            await change(people, CLI, GrantTerms(**given), "why")
    with pytest.raises(UsageError, match="give a reason"):
        await add_grant(people, CLI, GrantTerms("reader", "bob"), " ")
    assert await people.fetchval("SELECT count(*) FROM journal") == 0


async def test_lists(people: Connection) -> None:
    """All grants are listed, or those of one account or group."""
    await add_grant(people, CLI, GrantTerms("auditor", group="web", index="other"), "why")
    assert [(each.account, each.group) for each in await list_all_grants(people)] == [("ada", None), (None, "web")]
    assert [each.role for each in await list_all_grants(people, "ada")] == ["admin"]
    assert [(each.role, each.index) for each in await list_all_grants(people, group="web")] == [("auditor", "other")]
    assert await list_all_grants(people, "bob") == []
