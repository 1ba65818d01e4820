"""Tokens: who may make, see and revoke which, what they may do, and when they end."""

from datetime import timedelta
from typing import Any

import pytest

from koschey.auth.identity import TOKEN_USER, authenticate_token
from koschey.auth.logins import Logins
from koschey.auth.passwords import hash_password
from koschey.auth.permissions import Action, permits
from koschey.auth.tokens import parse_token
from koschey.db.accounts import insert_grant, insert_token, upsert_account
from koschey.db.pool import Connection
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.governance import tokens
from koschey.governance.tokens import TokenTerms, add_token, list_all_tokens, list_tokens_for, revoke_token
from koschey.model import Actor
from tests.support.postgres import set_clock
from tests.support.rows import NOON

CLI, ADA, BOB = Actor("root", "cli"), Actor("ada", "api"), Actor("bob", "api")
LAST_USE = "last_used_at, last_used_from"
UPLOAD = TokenTerms("build server", ["upload"], ["Acme-*", "six"])


@pytest.fixture
async def people(connection: Connection) -> Connection:
    """Ada is the admin, Bob a maintainer; each has a token with all rights."""
    await set_clock(connection, NOON)
    for name, role in (("ada", "admin"), ("bob", "maintainer")):
        account = await upsert_account(connection, name, None)
        await insert_grant(connection, account, role)
        await insert_token(connection, f"{name}token0000", account, "", "a test")
    return connection


@pytest.mark.parametrize("actor", [CLI, ADA, BOB, Actor("ada", "api", "adatoken0000")])
async def test_make_and_use(people: Connection, actor: Actor) -> None:
    """A token is shown once, is stored as a digest, and allows what it says within its owner's rights."""
    made = await add_token(people, actor, "bob", UPLOAD)
    parts = parse_token(made.token)
    assert parts is not None
    shown = made.shown
    assert (shown.id, shown.account, shown.created_by, shown.name) == (parts.id, "bob", actor.name, "build server")
    assert (shown.actions, shown.scopes, shown.expires_at) == (["upload"], ["acme-*", "six"], NOON + tokens.USUAL)
    stored = await people.fetch("SELECT token::text AS row FROM token UNION ALL SELECT detail::text FROM journal")
    assert not [row["row"] for row in stored if parts.secret in row["row"]]
    identity = await authenticate_token(people, made.token)
    assert identity is not None
    for action, scope, expected in [
        (Action.UPLOAD, "acme-tools", True),
        (Action.UPLOAD, "six", True),
        (Action.UPLOAD, "seven", False),
        (Action.YANK, "six", False),
        (Action.READ, "six", False),
    ]:
        assert permits(identity, action, scope) is expected, (action, scope)
    await people.execute("DELETE FROM role_grant")
    identity = await authenticate_token(people, made.token)
    assert identity is not None
    assert not permits(identity, Action.UPLOAD, "six")


async def test_another_account_is_hidden(people: Connection) -> None:
    """For an account that may not administer, other accounts and their tokens do not exist."""
    made = await add_token(people, ADA, "ada", UPLOAD)
    for attempt in (
        add_token(people, BOB, "ada", UPLOAD),
        add_token(people, BOB, "nobody", UPLOAD),
        list_tokens_for(people, BOB, "ada"),
        list_tokens_for(people, BOB, None),
        revoke_token(people, BOB, made.shown.id, "why"),
        revoke_token(people, BOB, "nothing", "why"),
        revoke_token(people, CLI, "no\0thing", "why"),
        list_tokens_for(people, ADA, "nobody"),
    ):
        with pytest.raises(NotKnown, match=r"there is no (account|token)"):
            await attempt
    assert await authenticate_token(people, made.token)
    assert {each.account for each in await list_tokens_for(people, BOB, "bob")} == {"bob"}
    assert {each.account for each in await list_tokens_for(people, ADA, None)} == {"ada", "bob"}


@pytest.mark.parametrize("actor", [CLI, ADA, BOB])
async def test_revoke(people: Connection, actor: Actor) -> None:
    """A revoked token proves nothing from its commit on; the journal says who revoked it, once."""
    made = await add_token(people, CLI, "bob", UPLOAD)
    shown, serial = await revoke_token(people, actor, made.shown.id, "in a log")
    assert (shown.is_active, serial) == (False, 2)
    assert await authenticate_token(people, made.token) is None
    assert (await revoke_token(people, actor, made.shown.id, "again"))[1] is None
    row = await people.fetchrow("SELECT actor, action, detail ->> 'reason' AS why FROM journal WHERE serial = 2")
    assert tuple(row) == (actor.name, "revoke token", "in a log")
    assert {each.id for each in await list_all_tokens(people, "bob", revoked=False)} == {"bobtoken0000"}
    assert len(await list_all_tokens(people, "bob", revoked=True)) == 2


async def test_a_token_revokes_itself_alone(people: Connection) -> None:
    """A token that leaked can be used to revoke it, and no other token of its account."""
    first, second = [await add_token(people, CLI, "bob", UPLOAD) for _ in range(2)]
    by_first = Actor("bob", "api", first.shown.id)
    with pytest.raises(NotKnown):
        await revoke_token(people, by_first, second.shown.id, "why")
    assert (await revoke_token(people, by_first, first.shown.id, "why"))[1]
    with pytest.raises(NotAllowed, match="expired or was revoked"):
        await add_token(people, by_first, "bob", UPLOAD)


async def test_a_token_makes_no_wider_one(people: Connection) -> None:
    """A token makes others only if it may administer, and only within its own limits."""
    terms = TokenTerms("x", ["administer", "upload"], ["acme-*"])
    by_bob = Actor("bob", "api", "bobtoken0000")
    with pytest.raises(NotAllowed):
        await add_token(people, by_bob, "bob", UPLOAD)
    by_ada = Actor(
        "ada", "api", (await add_token(people, CLI, "ada", TokenTerms("x", ["administer", "upload"]))).shown.id
    )
    assert await add_token(people, by_ada, "ada", terms)
    for wider in (TokenTerms("x", ["decide"]), TokenTerms("x", ["upload", "decide"], ["acme"])):
        with pytest.raises(NotAllowed, match="no more than itself"):
            await add_token(people, by_ada, "ada", wider)
    # Bob may do what the token may not, and a token of his would let it do that.
    with pytest.raises(NotAllowed):
        await add_token(people, by_ada, "bob", UPLOAD)
    await people.execute("UPDATE token SET scopes = '{acme-*}' WHERE id = $1", by_ada.token)
    with pytest.raises(NotAllowed):
        await add_token(people, by_ada, "ada", terms)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"actions": []}, "at least one action"),
        ({"actions": ["upload", "own"]}, "there is no action 'own'; choose from read"),
        ({"scopes": []}, "1 to 100 projects"),
        ({"scopes": ["acme*"]}, "is not a pattern"),
        ({"scopes": [f"p{number}" for number in range(101)]}, "1 to 100 projects"),
        ({"index": "nowhere"}, "there is no index"),
        ({"name": " "}, "give the token a name"),
        ({"name": "x" * 81}, "give the token a name"),
        ({"name": "a\nb"}, "give the token a name"),
        ({"expires_at": NOON}, "a token ends in the future"),
        ({"expires_at": NOON + timedelta(days=367)}, "at most 366 days"),
    ],
)
async def test_what_is_no_token(people: Connection, given: dict[str, Any], words: str) -> None:
    """Terms that are not valid are refused with what is wrong, and nothing is written."""
    with pytest.raises(KoscheyError, match=words):
        await add_token(people, CLI, "bob", TokenTerms(**({"name": "x", "actions": ["upload"]} | given)))
    assert await people.fetchval("SELECT count(*) FROM journal") == 0


async def test_a_token_ends(people: Connection) -> None:
    """A token ends at its moment by the clock of PostgreSQL."""
    end = NOON + timedelta(days=1)
    made = await add_token(people, CLI, "bob", TokenTerms("x", ["upload"], expires_at=end))
    await set_clock(people, end - timedelta(seconds=1))
    assert await authenticate_token(people, made.token)
    await set_clock(people, end)
    assert await authenticate_token(people, made.token) is None
    (shown,) = [each for each in await list_all_tokens(people, "bob", revoked=False) if each.id == made.shown.id]
    assert (shown.is_active, shown.revoked_at) == (False, None)


async def test_tokens_are_bounded(people: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account has a bounded number of active tokens."""
    monkeypatch.setattr(tokens, "MOST_ACTIVE", 2)
    made = await add_token(people, CLI, "bob", UPLOAD)
    with pytest.raises(UsageError, match="bob has 2 active tokens"):
        await add_token(people, CLI, "bob", UPLOAD)
    await revoke_token(people, CLI, made.shown.id, "why")
    assert await add_token(people, CLI, "bob", UPLOAD)


async def test_the_last_use_is_recorded_behind_the_answer(people: Connection) -> None:
    """A use is recorded with its address, at most once a minute, whichever process saw it; a password records none."""
    made = await add_token(people, CLI, "bob", UPLOAD)
    await people.execute("UPDATE account SET password_hash = $1", await hash_password("a long enough password"))
    processes = [Logins(people), Logins(people)]

    async def use(process: Logins, address: str) -> tuple[Any, Any]:
        assert await process.prove((TOKEN_USER, made.token), address)
        await process.close()
        return tuple(
            await people.fetchrow("SELECT last_used_at, last_used_from FROM token WHERE id = $1", made.shown.id)
        )

    before = "SELECT last_used_at FROM token WHERE id = $1"
    assert await processes[0].prove((TOKEN_USER, made.token), "192.0.2.1")
    assert await people.fetchval(before, made.shown.id) is None
    assert await use(processes[0], "192.0.2.2") == (NOON, "192.0.2.1")
    await set_clock(people, NOON + timedelta(seconds=59))
    assert await use(processes[1], "2001:db8::1") == (NOON, "192.0.2.1")
    await set_clock(people, NOON + timedelta(seconds=60))
    assert await use(Logins(people), "2001:db8::1") == (NOON + timedelta(seconds=60), "2001:db8::/64")
    assert await processes[0].prove(("bob", "a long enough password"), "192.0.2.9")
    await processes[0].close()
    assert await people.fetchval("SELECT count(*) FROM token WHERE last_used_at IS NOT NULL") == 1
