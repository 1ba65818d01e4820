"""Which account a header names: tokens, passwords, and the accounts that an index begins with."""

import base64
import binascii
import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.accounts import Account, Grant, TokenRights
from koschey.auth import passwords
from koschey.auth.bootstrap import ensure_accounts
from koschey.auth.guesses import Rank
from koschey.auth.identity import TOKEN_USER, parse_authorization
from koschey.auth.logins import Logins
from koschey.auth.passwords import PasswordCheck, PasswordChecks, hash_password
from koschey.auth.permissions import Action, allows
from koschey.auth.tokens import TokenParts, checksum, digest_secret, new_token, parse_token, proves
from koschey.db.accounts import insert_grant, insert_token, select_account, select_token, upsert_account
from koschey.db.pool import Connection, Database
from koschey.errors import UsageError
from tests.support.postgres import set_clock
from tests.support.rows import NOON

SPAM = NormalizedName("spam")
TOKEN = f"kos_{'a' * 12}_{'b' * 43}"
ADDRESSES = itertools.count()


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost next to nothing; what real ones cost has a test of its own."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "HASHER", hasher)
    monkeypatch.setattr(passwords, "NOBODY", hasher.hash("no account has this password"))


REAL_HASHER, REAL_NOBODY = passwords.HASHER, passwords.NOBODY

# Tokens


def test_tokens_have_one_form() -> None:
    """A token says that it is one, has a public id, and 256 bits that nobody can guess."""
    tokens = [new_token() for _ in range(50)]
    assert len({parse_token(token) for token in tokens}) == 50
    assert all(re.fullmatch(r"kos_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}_[A-Za-z0-9]{6}", token) for token in tokens)


def test_a_scanner_can_verify_a_token() -> None:
    """The last six characters are the CRC-32 of the others in base 62, as a scanner would compute it."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for token in [new_token() for _ in range(50)]:
        checked, _, sent = token[:60], token[60], token[61:]
        number = sum(digits.index(digit) * 62**place for place, digit in enumerate(reversed(sent)))
        assert number == binascii.crc32(checked.encode())


@given(st.integers(0, 59), st.sampled_from("abcXYZ019_-"))
def test_a_mistyped_token_is_none(place: int, letter: str) -> None:
    """A token with another letter has another checksum, so it is not even looked up."""
    token = TOKEN + "_" + checksum(TOKEN)
    changed = token[:place] + letter + token[place + 1 :]
    assert (parse_token(changed) is not None) is (changed == token)


@pytest.mark.parametrize("text", [TOKEN, f" {TOKEN}\n", f"{TOKEN}_{checksum(TOKEN)}"])
def test_tokens_are_parsed(text: str) -> None:
    """A token is taken apart, with the white space of a copied one forgiven. Earlier tokens have no checksum."""
    assert parse_token(text) == TokenParts("a" * 12, "b" * 43)


@pytest.mark.parametrize(
    "text",
    [
        *("", "kos", "kos_", TOKEN[:-1], TOKEN + "b", TOKEN.upper(), "x" + TOKEN, TOKEN.replace("_", "-")),
        *(f"kos_{'a' * 11}é_{'b' * 43}", f"kos_{'a' * 12}_{'b' * 42}=", f"kos_{'a' * 12}\0_{'b' * 43}"),
        *(f"{TOKEN}_", f"{TOKEN}_AAAAAA", f"{TOKEN}_{checksum(TOKEN)[:-1]}", f"{TOKEN}_{checksum(TOKEN)}0"),
        f"pypi-{'a' * 60}",
    ],
)
def test_what_is_no_token(text: str) -> None:
    """Nothing else is taken for a token."""
    assert parse_token(text) is None


def test_only_the_digest_is_stored() -> None:
    """A secret proves itself against its digest, from which it cannot be read."""
    secret = "b" * 43
    stored = digest_secret(secret)
    assert re.fullmatch("[0-9a-f]{64}", stored)
    assert proves(secret, stored)
    assert not proves("c" * 43, stored)
    assert not proves(stored, stored)
    assert not proves("", stored)


# Headers


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (basic("ada", "secret"), ("ada", "secret")),
        (basic("ada", "se:cr:et"), ("ada", "se:cr:et")),
        (basic("ada", ""), ("ada", "")),
        (basic("", ""), ("", "")),
        (basic("ädä", "sëcret"), ("ädä", "sëcret")),
        (basic(" ada ", " secret\n"), ("ada", "secret")),  # a secret that a CI system broke into lines
        (basic("ada", "x").replace("Basic", "bASIC"), ("ada", "x")),
        (basic("ada", "x").replace(" ", "   ") + "  ", ("ada", "x")),
        (f"Bearer {TOKEN}", (TOKEN_USER, TOKEN)),
        (f"bearer   {TOKEN} ", (TOKEN_USER, TOKEN)),
        (f"token {TOKEN}", (TOKEN_USER, TOKEN)),
        ("Bearer", (TOKEN_USER, "")),
    ],
)
def test_authorization(header: str, credentials: tuple[str, str]) -> None:
    """Basic and bearer are understood, as loosely as HTTP allows."""
    assert parse_authorization(header) == credentials


@pytest.mark.parametrize(
    "header",
    [
        *(
            None,
            "",
            " ",
            "Basic",
            "Basic ",
            "Basic !",
            "Basic YQ==",
            "Basic é",
            "Basic \u20ac",
            "Basic YT pi",
        ),
        *("Digest username=ada", "Negotiate YTpi", "YTpi", "\0", "Basic " + base64.b64encode(b"\xff:x").decode()),
        basic("a\0b", "x"),
    ],
)
def test_what_is_no_authorization(header: str | None) -> None:
    """What cannot be read is as if nothing had been sent."""
    assert parse_authorization(header) is None


@given(st.text(), st.text())
def test_any_credentials_survive_the_header(user: str, password: str) -> None:
    """What a client encodes is what is read, but for white space around it; a NUL names nobody."""
    user = user.replace(":", "")
    expected = None if "\0" in user else (user.strip(), password.strip())
    assert parse_authorization(basic(user, password)) == expected


@given(st.text() | st.text().map(lambda text: f"Basic {text}"))
def test_no_header_is_an_error(header: str) -> None:
    """Whatever is sent, the answer is credentials or none."""
    credentials = parse_authorization(header)
    assert credentials is None or len(credentials) == 2


# Passwords


async def check_password(password: str, stored: str | None) -> bool:
    return await PasswordChecks().run(PasswordCheck(password, stored, Rank.CLEAN))


async def test_passwords() -> None:
    """A password is kept as an argon2id hash, each with a salt of its own, and proves itself against it."""
    first, second = await hash_password("open sesame"), await hash_password("open sesame")
    assert first.startswith("$argon2id$")
    assert first != second
    assert await check_password("open sesame", first)
    assert not await check_password("open barley", first)
    assert not await check_password("", first)


def test_hashes_are_costly() -> None:
    """A stolen hash costs its thief time and memory, and an unknown account costs us as much as a known one."""
    assert REAL_HASHER.memory_cost >= 19 * 1024
    assert REAL_HASHER.time_cost >= 2
    assert extract_parameters(REAL_NOBODY) == extract_parameters(REAL_HASHER.hash("x"))


@pytest.mark.parametrize("stored", [None, "", "open sesame", "$argon2id$broken", "{SHA}x"])
async def test_without_a_hash_no_password_is_right(stored: str | None) -> None:
    """An account without a password, or with one that is no hash, cannot be entered by any, not even that text."""
    for password in ("", "open sesame", "no account has this password"):
        assert not await check_password(password, stored)


# In the database


async def add_account(connection: Connection, name: str = "ada", *, with_password: bool = True) -> tuple[int, str]:
    """An account with a token."""
    account = await upsert_account(connection, name, await hash_password("open sesame") if with_password else None)
    token = new_token()
    parts = parse_token(token)
    assert parts is not None
    await insert_token(connection, parts.id, account, digest_secret(parts.secret), "of a test")
    return account, token


def with_another_secret(token: str) -> str:
    """A token of the same id, with the right checksum and a secret that is wrong."""
    parts = parse_token(token)
    assert parts is not None
    checked = f"kos_{parts.id}_{'x' * 43}"
    return f"{checked}_{checksum(checked)}"


async def authenticate(db: Database, user: str, password: str) -> Account | None:
    """Whom credentials prove to a process that has just started, from an address that nobody has used."""
    return await Logins(db).prove((user, password), f"192.0.2.{next(ADDRESSES)}")


async def name_of(db: Database, user: str, password: str) -> str | None:
    account = await authenticate(db, user, password)
    return account.name if account else None


async def test_authenticate(connection: Connection) -> None:
    """A password proves its account, a token its owner, and nothing else proves anything."""
    account, token = await add_account(connection)
    await insert_grant(connection, account, "reviewer", "spam")
    other, _ = await add_account(connection, "bob", with_password=False)
    assert other != account
    found = await authenticate(connection, "ada", "open sesame")
    assert found is not None
    assert (found.name, found.grants) == ("ada", (Grant("reviewer", "spam"),))
    parts = parse_token(token)
    assert parts is not None
    assert await authenticate(connection, TOKEN_USER, token) == replace(found, token=TokenRights(parts.id))
    wrong_secret = with_another_secret(token)
    for user, password in [
        ("ada", "wrong"),
        ("ada", ""),
        ("ada", token),
        ("ADA", "open sesame"),
        ("eve", "open sesame"),
        ("", ""),
        ("bob", ""),  # has no password
        ("bob", "no account has this password"),
        (TOKEN_USER, "open sesame"),
        (TOKEN_USER, ""),
        (TOKEN_USER, new_token()),
        (TOKEN_USER, wrong_secret),
        ("' OR true --", "x"),
    ]:
        assert await authenticate(connection, user, password) is None, (user, password)


async def test_revoked_and_expired_tokens(connection: Connection) -> None:
    """A token ends at its moment by PostgreSQL's clock, or when it is revoked."""
    _, token = await add_account(connection)
    await set_clock(connection, NOON)
    await connection.execute("UPDATE token SET expires_at = $1", NOON + timedelta(seconds=1))
    assert await name_of(connection, TOKEN_USER, token) == "ada"
    await set_clock(connection, NOON + timedelta(seconds=1))
    assert await name_of(connection, TOKEN_USER, token) is None
    await connection.execute("UPDATE token SET expires_at = NULL")
    assert await name_of(connection, TOKEN_USER, token) == "ada"
    await connection.execute("UPDATE token SET revoked_at = $1", NOON)
    assert await name_of(connection, TOKEN_USER, token) is None


async def test_disabled_accounts(connection: Connection) -> None:
    """A disabled account is nobody, by password and by token."""
    _, token = await add_account(connection)
    await connection.execute("UPDATE account SET disabled_at = now()")
    assert await name_of(connection, "ada", "open sesame") is None
    assert await name_of(connection, TOKEN_USER, token) is None
    assert await select_account(connection, "ada") is None


async def test_a_token_is_found_by_its_id_alone(connection: Connection) -> None:
    """The row of a token holds no secret, and a token that exists is not replaced by another of its id."""
    account, token = await add_account(connection)
    parts = parse_token(token)
    assert parts is not None
    await insert_token(connection, parts.id, account, digest_secret("stolen"), "again")
    assert await select_token(connection, parts.id) == ("ada", digest_secret(parts.secret))
    rows = await connection.fetch("SELECT token::text AS row FROM token UNION ALL SELECT account::text FROM account")
    assert not [row["row"] for row in rows if parts.secret in row["row"] or "open sesame" in row["row"]]


async def test_first_accounts(connection: Connection, database: str) -> None:
    """The first accounts are made once: a later start changes neither the password nor the token."""
    token = new_token()
    for password in ("first", "second"):
        await ensure_accounts(database, admin_password=password, upload_token=token)
    admin = await authenticate(connection, "admin", "first")
    assert admin is not None
    assert all(allows(admin.grants, action, SPAM) for action in Action)
    assert await name_of(connection, "admin", "second") is None
    with pytest.raises(UsageError, match="upload token"):
        await ensure_accounts(database, admin_password="x", upload_token="secret")


async def test_the_first_token_may_upload_and_nothing_else(connection: Connection, database: str) -> None:
    """The token that `koschey up` prints is not the admin's, and its account has no password."""
    token = new_token()
    await ensure_accounts(database, admin_password="x", upload_token=token)
    uploader = await authenticate(connection, TOKEN_USER, token)
    assert uploader is not None
    assert (uploader.name, uploader.password_hash) == ("uploader", None)
    assert [action for action in Action if allows(uploader.grants, action, SPAM)] == [Action.UPLOAD]


async def test_a_token_of_the_admin_moves_to_the_uploader(connection: Connection, database: str) -> None:
    """A data folder whose printed token is the admin's, as earlier versions made it, loses that at its next start."""
    account, token = await add_account(connection, "admin")
    await insert_grant(connection, account, "admin")
    other = new_token()
    parts = parse_token(other)
    assert parts is not None
    await insert_token(connection, parts.id, account, digest_secret(parts.secret), "made by hand")
    await ensure_accounts(database, admin_password="x", upload_token=token)
    assert await name_of(connection, TOKEN_USER, token) == "uploader"
    assert await name_of(connection, TOKEN_USER, other) == "admin"


async def test_the_first_token_stays_revoked(connection: Connection, database: str) -> None:
    """A start neither revives a token that was revoked, nor takes one whose secret is another."""
    account, token = await add_account(connection, "admin")
    await connection.execute("UPDATE token SET revoked_at = now()")
    await ensure_accounts(database, admin_password="x", upload_token=token)
    assert await name_of(connection, TOKEN_USER, token) is None
    await connection.execute("UPDATE token SET revoked_at = NULL, account_id = $1", account)
    await ensure_accounts(database, admin_password="x", upload_token=with_another_secret(token))
    assert await name_of(connection, TOKEN_USER, token) == "admin"
