"""How soon a revocation counts, in every process and at every door (case A5), and what a narrow token reads."""

import base64
import time
from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.app_in_process import AppInProcess
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.panel import PASSWORD, Person, add_account
from tests.support.web_processes import web_process_url

BOUND = 1.0
"""Seconds within which a change counts in every process."""


@pytest.fixture(scope="module")
def closed(koschey: Koschey) -> Iterator[list[str]]:
    """Two web processes that nobody reads without a login."""
    closing = {"KOSCHEY_ANONYMOUS_READING": "false"}
    with web_process_url(koschey, **closing) as first, web_process_url(koschey, **closing) as second:
        yield [first, second]


CHANGES = {
    "revoked": "UPDATE token SET revoked_at = now() WHERE account_id = $1 RETURNING 1",
    "disabled": "UPDATE account SET disabled_at = now() WHERE id = $1 RETURNING 1",
    "narrowed": "UPDATE token SET actions = '{upload}' WHERE account_id = $1 RETURNING 1",
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_process_hears_of_a_revocation(koschey: Koschey, closed: list[str], change: str) -> None:
    """Within a second of the commit no process serves a page to the token, though each has it in memory."""
    api = Api(koschey)
    token = api.token("reader", f"revocation-{change}")
    header = f"Bearer {token}"
    account = koschey.fetch_value("SELECT account_id FROM token WHERE id = $1", token[4:16])
    for url in closed * 2:
        assert ask(f"{url}/simple/", Authorization=header).status == 200
    koschey.fetch_value(CHANGES[change], account)
    committed = time.monotonic()
    refused = 403 if change == "narrowed" else 401
    for url in closed:
        while (status := ask(f"{url}/simple/", Authorization=header).status) == 200:
            assert time.monotonic() < committed + BOUND, f"{url} still serves it"
        assert status == refused
    # It stays so: nothing that was looked up before the change is remembered.
    assert {ask(f"{url}/simple/", Authorization=header).status for url in closed * 3} == {refused}


def test_a_disabled_account_loses_session_password_and_api_at_once(koschey: Koschey, closed: list[str]) -> None:
    """The answer to `disable` is the last moment at which anything of the account counts, at any door."""
    api, person, name = Api(koschey), Person(koschey.url), add_account(koschey, "leaving", ("reviewer", "*"))
    person.log_in(name)
    assert person.ask("/admin/").status == 200
    basic = f"Basic {base64.b64encode(f'{name}:{PASSWORD}'.encode()).decode()}"
    for url in closed:
        assert ask(f"{url}/simple/", Authorization=basic).status == 200
    done = api.call("POST", f"accounts/{name}/disable", {"reason": "left"})
    assert (done.status, done.json["changed"]) == (200, True)
    assert person.ask("/admin/").location == "/admin/login"
    assert {ask(f"{url}/simple/", Authorization=basic).status for url in closed} == {401}
    assert ask(f"{koschey.url}/api/v1/account", Authorization=basic).status == 401
    assert api.call("GET", f"accounts/{name}").json["disabled_at"] is not None


def test_an_account_manages_its_own_tokens(koschey: Koschey) -> None:
    """With its password an account makes, lists and revokes its tokens; others' are 404; a token makes none."""
    api = Api(koschey)
    api.call("POST", "accounts", {"name": "own-tokens", "password": PASSWORD, "groups": []})
    api.call("POST", "grants", {"role": "uploader", "account": "own-tokens", "scope": "own-*", "reason": "why"})
    basic = f"Basic {base64.b64encode(f'own-tokens:{PASSWORD}'.encode()).decode()}"
    order = {"name": "build server", "actions": ["upload"], "scopes": ["own-*"]}
    made = api.call("POST", "tokens", order, token="", Authorization=basic)
    assert made.status == 200, made
    token, shown = made.json["token"], made.json["shown"]
    assert api.upload("own-package", token=token).status == 200
    assert api.upload("other-package", token=token).status == 403
    for call in (
        ("POST", "tokens", order),
        ("GET", "tokens", None),
        ("PUT", "accounts/own-tokens/password", {"password": "x"}),
    ):
        assert api.call(*call, token=token).status == 403
    listed = api.call("GET", "tokens", token="", Authorization=basic).json["tokens"]
    assert [each["id"] for each in listed] == [shown["id"]]
    assert token[17:60] not in str(listed)
    other = api.token("uploader")
    for path in (f"tokens/{other[4:16]}", "tokens/nothing"):
        assert api.call("DELETE", path, query={"reason": "why"}, token="", Authorization=basic).status == 404
    assert api.call("GET", "tokens", query={"account": "admin"}, token="", Authorization=basic).status == 404
    assert api.call("DELETE", f"tokens/{shown['id']}", query={"reason": "self"}, token=token).json["changed"]
    assert api.upload("own-package", "2.0", token=token).status == 403
    assert api.actions("own-package") == ["add file"]
    changed = api.call(
        "PUT", "accounts/own-tokens/password", {"password": "another long one"}, token="", Authorization=basic
    )
    assert changed.status == 200
    assert api.call("GET", "account", token="", Authorization=basic).status == 401


def test_the_last_use_reaches_the_list(koschey: Koschey) -> None:
    """The use of a token at any door is listed seconds later, with its address."""
    api = Api(koschey)
    token = api.token("reader", "last-use")
    assert api.call("GET", "account", token=token).status == 200
    query = "SELECT last_used_from FROM token WHERE id = $1 AND last_used_at IS NOT NULL"
    assert wait_until(lambda: koschey.fetch_value(query, token[4:16])) == "127.0.0.1"


READABLE = [
    ("/simple/narrow-one/", 200),
    ("/simple/narrow-one", 301),
    ("/pypi/narrow-one/json", 200),
    ("/simple/other-one/", 403),
    ("/pypi/other-one/json", 403),
    ("/rss/project/other-one/releases.xml", 403),
    ("/held/other-one/", 403),
    ("/held/other-one/1.0/", 403),
    ("/legacy/+simple/other-one/", 403),
    ("/simple/", 403),
    ("/", 403),
    ("/rss/updates.xml", 403),
    ("/stats/", 403),
    ("/nothing", 403),
    ("/simple/other_one/", 403),
    ("/simple//narrow-one/", 403),
]


def test_a_token_for_some_projects_reads_no_others(private: AppInProcess) -> None:
    """A token for a pattern reads pages, files and metadata of its projects, and nothing of others, nor lists."""
    files = {name: private.upstream.add(name, "1.0") for name in ("narrow-one", "other-one")}
    admin = private.account("admin")
    for name in files:
        assert private.ask(f"/simple/{name}/", who=admin).status == 200
    narrow = private.account("admin", actions=("read",), scopes=("narrow-*",))
    for path, status in READABLE:
        assert private.ask_all(path, who=narrow)[0].status == status, path
    for beside in ("", ".metadata", ".provenance_url.json"):
        for method in ("GET", "HEAD"):
            own = private.ask_all(files["narrow-one"].path + beside, method, narrow)[0]
            assert own.status not in (401, 403), (beside, own)
            other = private.ask_all(files["other-one"].path + beside, method, narrow)[0]
            assert other.status == 403, (beside, other)
    calls = b"<methodCall><methodName>list_packages</methodName></methodCall>"
    assert private.ask("/pypi", "POST", narrow, calls, Content_Type="text/xml").status == 403
    nothing = private.account("admin", actions=("upload",))
    assert private.ask("/simple/narrow-one/", who=nothing).status == 403


UNKNOWN_FILE = f"/packages/00/11/{'2' * 60}/narrow-tools-1.0.tar.gz"


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("narrow-*", UNKNOWN_FILE, 404),
        ("narrow-tools", UNKNOWN_FILE, 403),  # it may be version `tools-1.0` of the project `narrow`
        ("narrow-tools", UNKNOWN_FILE.replace("-1.0.tar.gz", ".txt"), 403),
        ("narrow-tools", UNKNOWN_FILE.replace("narrow-tools-1.0.tar.gz", "narrow_tools-1.0-py3-none-any.whl"), 404),
        ("narrow-tools", "/held/narrow-tools-1.0/is-held/ask/narrow_tools-1.0-py3-none-any.whl", 404),
        ("narrow-tools", "/held/narrow-tools-1.0/is-held/ask/other-1.0-py3-none-any.whl", 403),
        ("narrow-tools", "/held/narrow-tools/is-held/ask/other-1.0.tar.gz", 403),
    ],
)
def test_a_file_without_a_row_is_read_by_its_name(private: AppInProcess, scope: str, path: str, status: int) -> None:
    """While nothing says whose a file is, a token needs the right for every project that its name could mean."""
    narrow = private.account("admin", actions=("read",), scopes=(scope,))
    assert private.ask_all(path, who=narrow)[0].status == status
