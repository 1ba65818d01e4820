"""The management API: who may, what is refused and how, and that its document says what is so."""

import asyncio
import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from openapi_spec_validator import validate

from koschey.app import create_front
from koschey.auth.logins import Logins
from koschey.auth.passwords import hash_password
from koschey.auth.permissions import Action
from koschey.auth.tokens import new_token, parse_token
from koschey.settings import Settings
from koschey.web.api.document import build_document
from koschey.web.api.operations import MAX_BODY, OPERATIONS, Operation
from koschey.web.api.types import NewDecision
from koschey.web.context import KEY
from tests.support.api import API, BODIES, NOBODY, Api, is_problem
from tests.support.koschey_up import Koschey, ask

NAMED = [pytest.param(operation, id=operation.name) for operation in OPERATIONS]
OPEN = {operation.name for operation in OPERATIONS if operation.needs is Action.READ}
"""Operations for readers; `tests/koschey/serving/test_preflight.py` and `test_requests.py` say more."""
OWN = {"read_own_account", "revoke_token"}
"""Operations for every account."""
SEEN = {
    "read_requests",
    "read_quarantine",
    "read_journal",
    "read_downloads",
    "read_alerts",
    "read_proposals",
    "read_exceptions",
    "read_policy",
    "read_accounts",
    "read_account",
    "read_grants",
}
"""Operations for those who see what waits and what was done."""
YANKS = {"yank_release", "unyank_release", "yank_file", "unyank_file"}
MAY: dict[str, set[str]] = {
    "uploader": {*OPEN, *OWN},
    "reader": {*OPEN, *OWN, "read_project"},
    "maintainer": {*OPEN, *OWN, "read_project", *YANKS},
    "auditor": {*OPEN, *OWN, "read_project", *SEEN},
    "reviewer": {*OPEN, *OWN, "read_project", *SEEN, "make_decision", "make_code"},
    "admin": {operation.name for operation in OPERATIONS},
}
"""What each role may, written down once more."""


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    """The API of the shared index."""
    return Api(koschey)


# The document


def test_the_document_is_valid(api: Api) -> None:
    """The document is OpenAPI 3.1, and needs no account."""
    answer = api.call("GET", "openapi.json", token=NOBODY)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["openapi"].startswith("3.1")
    assert answer.json == build_document()
    validate(answer.json)


def test_every_route_is_documented_and_the_other_way_round() -> None:
    """What the application answers below the prefix is what the document says, method by method."""
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    rules = [rule for rule in create_front(settings).quart.url_map.iter_rules() if rule.rule.startswith(API)]
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    documented = {(path, method.upper()) for path, methods in build_document()["paths"].items() for method in methods}
    assert routes == documented
    assert len(routes) == len(OPERATIONS) + 1 == len(MAY["admin"]) + 1


def test_operations_are_named_apart() -> None:
    """Every operation has a name of its own and a summary, for those who generate clients."""
    operations = [operation for path in build_document()["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in operations)


PROVOKED: dict[int, dict[str, Any]] = {
    401: {"token": "wrong"},
    412: {"If_Match": '"999999999"'},
    415: {"Content_Type": "text/plain"},
}


@pytest.mark.parametrize("operation", NAMED)
def test_every_documented_error_is_a_problem(api: Api, operation: Operation) -> None:
    """Each error that the document promises can be had, and is problem+json."""
    assert api.upload("api-errors").status == 200
    # 428 needs files that are in use; tests/koschey/governance/test_impact.py has it.
    for status in set(operation.errors) - {503, 429, 428}:
        changes, project = PROVOKED.get(status, {}), "api-none" if status == 404 else "api-errors"
        if status == 413:
            changes = {"body": {"reason": "x" * operation.max_body}}
        if status == 400:
            changes = {"body": {"unknown": 1}} if operation.reads_body else {"query": {"unknown": 1}}
        if status == 403:
            changes = {"token": api.token("admin", actions=("upload",))}
        assert is_problem(api.run(operation, project, **changes), status), (operation.name, status)


@pytest.mark.parametrize("operation", NAMED)
async def test_without_the_database_it_is_a_problem_too(operation: Operation) -> None:
    """While PostgreSQL is away every operation says so, and when to come back."""

    async def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    app = create_front(Settings.model_validate({"database_url": "postgresql://localhost/none"})).quart
    pool: Any = SimpleNamespace(fetchrow=refuse)
    app.extensions[KEY] = SimpleNamespace(pool=pool, logins=Logins(pool))
    path = re.sub("<[a-z]+>", "x", operation.rule)
    headers = {"Authorization": f"Bearer {new_token()}"}
    send = getattr(app.test_client(), operation.method.lower())
    answer = await send(API + path, headers=headers)
    assert 503 in operation.errors
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0


# Who may


@pytest.mark.parametrize("operation", NAMED)
def test_nobody_may_anything_without_credentials(api: Api, operation: Operation) -> None:
    """Without an account, or with a wrong secret, every operation is 401 and names the ways to prove one."""
    secret = api.admin[:-4] + "AAAA"
    wrong = [{"Authorization": said} for said in (f"Bearer {secret}", "Basic !", "Digest x")]
    wrong += [] if operation.needs is Action.READ else [{}]
    for headers in wrong:
        answer = api.run(operation, token=NOBODY, **headers)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="koschey", Basic')
        assert "serial" not in answer.json


IN_BODY = {
    "make_decision": ("*", "api-none"),
    "make_code": ("*", "api-none"),
    "put_rule": ("*", "api-none"),
    "lift_rule": ("*", "api-none"),
    "put_policy": ("*",),
    **dict.fromkeys(("add_account", "put_password", "put_groups", "disable_account", "enable_account"), ("*",)),
    **dict.fromkeys(("read_tokens", "add_token", "add_grant"), ("*",)),
}
"""Operations that name what they are about elsewhere than in the path, and for which grants they are allowed."""


def matrix() -> Iterator[Any]:
    """Every operation, with every role granted for all projects, for the one asked for, for another, and with none."""
    for operation in OPERATIONS:
        in_path = "<project>" in operation.rule
        for role, may in MAY.items():
            for scope in ("*", "api-none", "other"):
                allowed = operation.name in may and (scope != "other" or not in_path)
                # These name what they are about in the body or the query: refused later, with the same status.
                allowed = allowed and scope in IN_BODY.get(operation.name, (scope,))
                yield pytest.param(operation, role, scope, allowed, id=f"{operation.name}-{role}-{scope}")
        yield pytest.param(operation, None, "*", operation.name in OPEN | OWN, id=f"{operation.name}-none")


@pytest.mark.parametrize(("operation", "role", "scope", "allowed"), list(matrix()))
def test_roles(api: Api, operation: Operation, role: str | None, scope: str, allowed: bool) -> None:
    """Whoever may not do something is told 403, also about what does not exist; whoever may is not."""
    answer = api.run(operation, token=api.token(role, scope))
    if allowed:
        assert answer.status in (200, 404), answer
    else:
        assert is_problem(answer, 403)


def test_the_printed_token_uploads_and_nothing_else(api: Api) -> None:
    """The token that `koschey up` prints takes a file in; every operation that needs a permission refuses it."""
    printed = str(api.koschey.ready["upload_token"])
    assert api.upload("api-printed", token=printed).status == 200
    for operation in OPERATIONS:
        if operation.name not in OPEN | OWN:
            assert is_problem(api.run(operation, "api-printed", token=printed), 403), operation.name


def test_a_cookie_opens_nothing(api: Api) -> None:
    """A session that opens the panel is nobody to the API, so no page of another site can use it."""
    koschey, session = api.koschey, secrets.token_urlsafe(32)
    insert = "INSERT INTO session (id_sha256, account_id) SELECT $1, id FROM account WHERE name = 'admin' RETURNING 1"
    assert koschey.fetch_value(insert, hashlib.sha256(session.encode()).hexdigest()) == 1
    cookie = f"koschey_admin={session}"
    assert ask(f"{koschey.url}/admin/journal", Cookie=cookie).status == 200
    for operation in OPERATIONS:
        if operation.name not in OPEN:
            assert is_problem(api.run(operation, token=NOBODY, Cookie=cookie), 401)


def test_passwords_are_taken_too(api: Api) -> None:
    """Basic credentials are a token behind `__token__`, or an account's own password."""
    password = secrets.token_urlsafe(12)
    insert = "INSERT INTO account (name, password_hash) VALUES ($1, $2) RETURNING id"
    account = api.koschey.fetch_value(insert, "api-password", asyncio.run(hash_password(password)))
    grant = "INSERT INTO role_grant (account_id, role, granted_by) VALUES ($1, 'reviewer', 'a test') RETURNING 1"
    api.koschey.fetch_value(grant, account)
    for user, secret, status in (
        ("__token__", api.admin, 200),
        ("api-password", password, 200),
        ("api-password", "wrong", 401),
        ("nobody", password, 401),
    ):
        credentials = base64.b64encode(f"{user}:{secret}".encode()).decode()
        assert api.call("GET", "quarantine", token=NOBODY, Authorization=f"Basic {credentials}").status == status


def test_a_revoked_token_is_nobody(api: Api) -> None:
    """What is revoked counts no more with the next request."""
    token = api.token("reviewer", "api-revoked")
    assert api.call("GET", "journal", token=token).status == 200
    parts = parse_token(token)
    assert parts
    api.koschey.fetch_value("UPDATE token SET revoked_at = now() WHERE id = $1 RETURNING 1", parts.id)
    assert is_problem(api.call("GET", "journal", token=token), 401)


# Strict input

DECISION = BODIES[NewDecision]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 50_000, "does not match this operation"),
        (json.dumps(DECISION | {"actor": "eve"}).encode(), "unknown field `actor`"),
        (json.dumps(DECISION | {"reason": 1}).encode(), "Expected `str`"),
        (json.dumps(DECISION | {"reason": ""}).encode(), "give a reason of 1 to 2000"),
        (json.dumps(DECISION | {"reason": "   "}).encode(), "give a reason"),
        (json.dumps(DECISION | {"reason": "x" * 2001}).encode(), "give a reason of 1 to 2000"),
        (json.dumps(DECISION | {"reason": "a\0b"}).encode(), "without the character U+0000"),
        (json.dumps(DECISION | {"version": "1\0"}).encode(), "$.version"),
        (json.dumps(DECISION | {"project": "a\0b"}).encode(), "not a project name"),
        (json.dumps(DECISION | {"project": "../x"}).encode(), "not a project name"),
        (json.dumps(DECISION | {"choice": "delete"}).encode(), "Invalid enum value"),
        (json.dumps(DECISION | {"choice": "trust"}).encode(), "whole project"),
        (json.dumps(DECISION | {"version": None}).encode(), "an approval is for one release"),
        (json.dumps({"choice": "block"}).encode(), "missing required field"),
    ],
    ids=range(18),
)
def test_bad_bodies(api: Api, body: bytes, words: str) -> None:
    """What is not exactly as documented is refused with what and where, and nothing happens."""
    serial = api.koschey.fetch_value("SELECT serial FROM journal_head")
    answer = api.call("POST", "decisions", raw=body)
    assert is_problem(answer, 400)
    assert words in answer.json["detail"]
    assert api.koschey.fetch_value("SELECT serial FROM journal_head") == serial


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("journal", "limit=0"),
        ("journal", "limit=501"),
        ("journal", "limit=ten"),
        ("journal", "after=-1"),
        ("journal", "after=99999999999999999999"),
        ("journal", "after=1&after=2"),
        ("journal", "before=1"),
        ("quarantine", "project=a%00"),
        ("quarantine", "offset=1.5"),
        ("projects/api-none", "x="),
    ],
)
def test_bad_queries(api: Api, path: str, query: str) -> None:
    """A query is read as strictly as a body."""
    assert is_problem(api.call("GET", f"{path}?{query}"), 400)


@pytest.mark.parametrize("header", ["1", '"one"', 'W/"1"', "*", '"1", "2"', '""', '"-1"'])
def test_bad_conditions(api: Api, header: str) -> None:
    """A condition that cannot be understood is refused, never passed over."""
    answer = api.call("POST", "decisions", DECISION, If_Match=header)
    assert is_problem(answer, 400)
    assert "If-Match" in answer.json["detail"]


@pytest.mark.parametrize("name", ["..", "-a", "a b", "a%00b", "%0d%0aX: y", "ä", "a" * 201])
def test_bad_names(api: Api, name: str) -> None:
    """What is no project's name, version or file is refused in words, whatever stands in it."""
    path = quote(name, safe="%")
    assert api.call("GET", f"projects/{path}").status in (400, 404)
    for kind in ("releases", "files"):
        answer = api.call("DELETE", f"projects/api-none/{kind}/{path}", query={"reason": "why"})
        assert answer.status in (400, 404)
        assert is_problem(answer, answer.status)


def test_a_body_takes_no_query(api: Api) -> None:
    """A value is given in one place."""
    assert is_problem(api.call("POST", "decisions", DECISION, query={"reason": "other"}), 400)


def test_a_chunked_body_is_measured_too(api: Api) -> None:
    """Without a length the body is measured as it comes."""
    body = json.dumps(DECISION | {"reason": "x" * MAX_BODY}).encode()
    connection = HTTPConnection(urlsplit(api.koschey.url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {api.admin}", "Content-Type": "application/json"}
    connection.request("POST", f"{API}/decisions", iter([body[:1000], body[1000:]]), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(("method", "path"), [("PATCH", "decisions"), ("OPTIONS", "journal"), ("DELETE", "journal")])
def test_other_methods(api: Api, method: str, path: str) -> None:
    """What an address does not take is 405, so a browser's preflight is refused too."""
    answer = api.call(method, path)
    assert is_problem(answer, 405)
    assert answer.headers["allow"]
    assert "access-control-allow-origin" not in answer.headers
