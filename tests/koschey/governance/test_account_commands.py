"""The commands `account`, `token` and `grant`: what each says, changes and refuses, and how passwords reach them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from koschey.auth.logins import Logins
from koschey.auth.tokens import parse_token
from koschey.cli import cli
from koschey.cli.base.rights import NO_ADMIN
from koschey.db.pool import Connection
from koschey.errors import NotKnown, StartError, UsageError
from tests.support.app_in_process import Store
from tests.support.policy_changes import Run, asked

PASSWORD = "a long enough password"


@pytest.fixture
def password(tmp_path: Path) -> str:
    """The path of a file with a password, as an editor writes it."""
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return str(path)


async def proves(connection: Connection, user: str, secret: str) -> bool:
    return await Logins(connection).prove((user, secret), "192.0.2.1") is not None


async def test_the_first_admin(connection: Connection, run: Run, password: str) -> None:
    """On an empty index one command makes an admin who can log in; for scripts it may be repeated."""
    command = ("account", "add", "ada", "--role", "admin", "--password-file", password, "--if-missing")
    assert (await asked(run, *command)) == {"action": "add account", "account": "ada", "serial": 1}
    assert await proves(connection, "ada", PASSWORD)
    assert (await asked(run, *command))["serial"] is None
    with pytest.raises(UsageError, match="there is an account ada already"):
        await asyncio.to_thread(run, *command[:-1])
    shown = await asked(run, "account", "show", "ada")
    assert (shown["has_password"], shown["groups"], shown["tokens"]) == (True, [], 0)
    assert [(each["role"], each["scope"], each["index"]) for each in shown["grants"]] == [("admin", "*", "*")]


async def test_passwords_come_from_a_file_or_a_terminal(
    connection: Connection, run: Run, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal a file or standard input is needed; weak passwords are refused before anything is done."""
    with pytest.raises(StartError, match="there is no terminal to ask for the password: use --password-file"):
        await asyncio.to_thread(run, "account", "add", "eve")
    with pytest.raises(StartError, match="the password cannot be read from"):
        await asyncio.to_thread(run, "account", "add", "eve", "--password-file", f"{password}.none")
    for weak in ("short", "password1234", "evelyn-evelyn"):
        with pytest.raises(UsageError, match="password"):
            await asyncio.to_thread(run, "account", "add", "evelyn", "--password-file", "-", input=weak)
    assert await asked(run, "account", "list") == []
    both = ("account", "add", "eve", "--password-file", password, "--no-password")
    assert "exclude each other" in (await asyncio.to_thread(lambda: run(*both, code=2))).stderr
    await asyncio.to_thread(run, "account", "add", "eve", "--password-file", "-", input=PASSWORD)
    assert await proves(connection, "eve", PASSWORD)
    monkeypatch.setattr("koschey.cli.base.passwords.is_terminal", lambda: True)
    twice = "another long password\nanother long password\n"
    done = await asyncio.to_thread(run, "account", "password", "eve", input=twice)
    assert "another long password" not in done.output + done.stderr
    assert await proves(connection, "eve", "another long password")
    assert not await proves(connection, "eve", PASSWORD)
    await asked(run, "account", "password", "eve", "--no-password")
    assert not await proves(connection, "eve", "another long password")


async def test_accounts_groups_and_grants(connection: Connection, run: Run) -> None:
    """An account gets groups, a group gets a role, and lists and tables show both."""
    await asked(run, "account", "add", "ci", "--no-password", "--group", "builds")
    added = await asked(
        run, "grant", "add", "maintainer", "--group", "web", "--project", "Acme-*", "--reason", "their names"
    )
    assert (added["grant"]["group"], added["grant"]["scope"], added["serial"]) == ("web", "acme-*", 2)
    assert (await asked(run, "account", "groups", "ci", "web", "builds"))["serial"] == 3
    assert (await asked(run, "account", "groups", "ci", "web", "builds"))["serial"] is None
    shown = await asked(run, "account", "show", "ci")
    assert (shown["groups"], [each["role"] for each in shown["grants"]]) == (["builds", "web"], ["maintainer"])
    text = (await asyncio.to_thread(run, "account", "show", "ci")).output
    assert "maintainer of acme-*, by the group web" in text
    assert "builds, web" in (await asyncio.to_thread(run, "account", "list")).output
    assert "acme-*" in (await asyncio.to_thread(run, "grant", "list", "--group", "web")).output
    assert "There is no grant." in (await asyncio.to_thread(run, "grant", "list", "--account", "ci")).output
    removal = ("grant", "remove", "maintainer", "--group", "web", "--project", "acme-*", "--reason", "moved")
    done = (await asyncio.to_thread(run, *removal)).output
    assert done == "remove grant of maintainer of acme-* to the group web: serial 4\n"
    with pytest.raises(NotKnown):
        await asyncio.to_thread(run, *removal)
    with pytest.raises(UsageError, match="either the account or the group"):
        await asyncio.to_thread(run, "grant", "add", "reader", "--reason", "x")
    assert (await asyncio.to_thread(lambda: run("grant", "add", "owner", "--account", "ci", code=2))).exit_code == 2


async def test_tokens(connection: Connection, run: Run) -> None:
    """A token is printed alone on standard output, once; it is listed without its secret, and revoked by its id."""
    await asked(run, "account", "add", "ci", "--no-password")
    command = ("token", "add", "ci", "--name", "build server", "--action", "upload", "--project", "acme-*")
    printed = await asyncio.to_thread(run, *command, "--expires", "30d")
    token = printed.stdout.strip()
    parts = parse_token(token)
    assert parts is not None
    assert await proves(connection, "__token__", token)
    assert "may upload acme-*, and expires" in printed.stderr
    assert parts.secret not in printed.stderr
    (listed,) = await asked(run, "token", "list", "--account", "ci")
    assert (listed["id"], listed["actions"], listed["scopes"]) == (parts.id, ["upload"], ["acme-*"])
    assert parts.secret not in json.dumps(listed)
    assert "build server" in (await asyncio.to_thread(run, "token", "list")).output
    narrow = await asyncio.to_thread(lambda: run("token", "list", columns="80"))
    assert parts.id in narrow.output
    made: Any = await asked(run, *command[:-2])
    assert (made["shown"]["scopes"], made["shown"]["created_by"] is not None) == (None, True)
    revoked = await asyncio.to_thread(run, "token", "revoke", parts.id, "--reason", "in a log")
    assert revoked.output == f"revoke token {parts.id} of ci: serial 4\n"
    assert not await proves(connection, "__token__", token)
    assert (await asked(run, "token", "revoke", parts.id, "--reason", "again"))["serial"] is None
    assert [each["id"] for each in await asked(run, "token", "list")] == [made["shown"]["id"]]
    assert len(await asked(run, "token", "list", "--revoked")) == 2
    with pytest.raises(UsageError, match="at most 366 days"):
        await asyncio.to_thread(run, *command, "--expires", "800d")
    with pytest.raises(NotKnown, match="there is no account 'nobody'"):
        await asyncio.to_thread(run, "token", "add", "nobody", *command[3:])


async def test_the_command_line_may_remove_the_last_admin_and_warns(
    connection: Connection, run: Run, password: str
) -> None:
    """The command line disables the last admin, says on standard error what that means, and can undo it."""
    await asked(run, "account", "add", "ada", "--role", "admin", "--password-file", password)
    disable = ("account", "disable", "ada", "--reason", "left")
    done = await asyncio.to_thread(run, *disable, "--json")
    assert done.stderr.strip() == NO_ADMIN
    assert json.loads(done.stdout)["serial"] == 2
    assert not await proves(connection, "ada", PASSWORD)
    assert (await asyncio.to_thread(run, *disable)).output == (
        "disable account ada: nothing to change; this is already the case\n"
    )
    assert (await asyncio.to_thread(run, "account", "enable", "ada", "--reason", "back")).stderr == ""
    assert await proves(connection, "ada", PASSWORD)
    removed = await asyncio.to_thread(run, "grant", "remove", "admin", "--account", "ada", "--reason", "x")
    assert removed.stderr.strip() == NO_ADMIN


async def test_migrate_says_while_there_is_no_admin(own_database: str, s3: Store, password: str) -> None:
    """After a migration an operator is told how to make the first admin, until there is one."""
    variables = {"DATABASE_URL": own_database, "DATA": password, **{name.upper(): value for name, value in s3.items()}}
    environment = {f"KOSCHEY_{name}": value for name, value in variables.items()}

    async def invoke(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner(env=environment).invoke, cli, arguments)
        assert done.exit_code == 0, done.output
        return done.output

    said = "No account may administer this index yet. Make the first: koschey account add NAME --role admin\n"
    assert await invoke("migrate") == f"nothing to apply\n{said}"
    await invoke("account", "add", "ada", "--role", "auditor", "--no-password")
    assert await invoke("migrate") == f"nothing to apply\n{said}"
    await invoke("account", "add", "bob", "--role", "admin", "--no-password")
    assert await invoke("migrate") == "nothing to apply\n"
