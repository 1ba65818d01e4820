"""Paths, queries, headers and bodies as strangers write them: nothing of it is a 500."""

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from koschey.auth.sessions import SessionId, csrf_token
from koschey.web.api.operations import OPERATIONS
from tests.support.api import API, BODIES, QUERIES
from tests.support.app_in_process import AppInProcess
from tests.support.routes import filled, rules

DIGITS = "9" * 5000
"""More digits than Python converts to a number."""
REFUSED = {
    *("%00", "a%00b", "%0a", "%0d%0aX-Header:%20x", "%1b%5b31m", "%7f", "%c2%85", "%ff", "%ed%a0%80", "%c3%28"),
    *("%", "%zz", "a%2", "%u0041", DIGITS, f"1.{DIGITS}", "a" * 3000),
}
"""Segments that no name here can be."""
STRANGE = (
    *(".", "..", "%2e%2e", "%2f", "..%2f..%2fsimple", "%5c", "%25", "%25%30%30", "-", "*", "~", "%27", "%22%3e%3cb%3e"),
    *("9" * 900, "1e400", "-1", "NaN", "1!0", "%f0%9f%98%80", "%e2%80%ae", "%ef%bf%bd", "%d9%a1", "%7b%7b7*7%7d%7d"),
    *("six-1.0.tar.gz", f"six-{'9' * 900}.tar.gz", f"six-{'9' * 900}-py3-none-any.whl", "x.metadata", "provenance"),
)
"""Segments that are found nowhere, or might be."""
VALUES = (*STRANGE, *sorted(REFUSED), "+", "a&before=%00")
PARAMETERS = ("q", "page", "before", "after", "limit", "offset", "project", "version", "format", "reason", ":action")


# Paths


def test_no_path_is_a_500(app: AppInProcess) -> None:
    """Every route that reads, with every strange segment in it: what cannot be a name is 400, and nothing fails."""
    for rule in rules(app):
        for segment in (*REFUSED, *STRANGE) if "<" in rule else ("",):
            for method in ("GET", "HEAD"):
                [*_, answer] = app.ask_all(filled(rule, segment), method)
                assert answer.status < 500, (rule, segment[:40], answer)
                assert answer.status == 400 or segment not in REFUSED, (rule, segment[:40], answer)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_no_text_in_a_path_is_a_500(app: AppInProcess, data: st.DataObject) -> None:
    """The same for any text at all."""
    rule = data.draw(st.sampled_from([rule for rule in rules(app) if "<" in rule]))
    path = re.sub("<[^>]+>", lambda _: quote(data.draw(st.text(min_size=1, max_size=30)), safe=""), rule)
    answer = app.ask(path, Accept=data.draw(st.sampled_from(["*/*", "text/html", "application/json"])))
    assert answer.status < 500, (path, answer)


def test_no_query_is_a_500(app: AppInProcess) -> None:
    """Every route that reads, as those who may read it, with strange values of every parameter that one has."""
    known = {rule: filled(rule, "e-query") for rule in rules(app)}
    for who in (app.account("admin"), app.person("admin")):
        for path in known.values():
            for value in VALUES:
                query = "&".join(f"{name}={value}" for name in PARAMETERS)
                answer = app.ask(f"{path}?{query}", who=who)
                assert answer.status < 500, (path, value[:40], answer)


def test_no_header_is_a_500(app: AppInProcess) -> None:
    """Strange values of every header that is read."""
    app.upstream.add("e-headers", "1.0")
    path = app.upstream.file("e_headers-1.0-py3-none-any.whl").path
    names = ("Accept", "Accept_Encoding", "If_None_Match", "If_Range", "Range", "If_Match", "Authorization", "Cookie")
    values = ("", ",", ";", "=", "\xff\xfe", DIGITS, f"bytes={DIGITS}-", f"bytes=-{DIGITS}", "Basic \xff", "Basic Og==")
    for target in ("/simple/e-headers/", path, f"{path}.metadata", "/pypi/e-headers/json", "/admin/", "/api/v1/policy"):
        for name in (*names, "User_Agent", "Origin", "Sec_Fetch_Site", "X_Forwarded_For", "Content_Type"):
            for value in (*values, f"koschey_admin={DIGITS}", "*/*;q=" + DIGITS, "gzip;q=" + DIGITS):
                headers: Any = {name: value}
                answer = app.ask(target, **headers)
                assert answer.status < 500, (target, name, value[:40], answer)


# Bodies


HOSTILE: tuple[object, ...] = (
    *(DIGITS, "\0", "a\0b", "\ud800", "\x1b[8m", "\u202e", "", " ", "9" * 250, "x" * 3000, "1e400", "nan"),
    *(-1, 10**30, 1e400, None, [], {}, True),
)
"""Values in the place of every value of a body."""


def test_no_body_of_the_api_is_a_500(app: AppInProcess) -> None:
    """Every operation that takes a body or a query, with every hostile value in the place of each of its values."""
    admin = app.account("admin")
    for operation in OPERATIONS:
        path = filled(API + operation.rule, "e-body")
        given = BODIES.get(operation.takes) or QUERIES.get(operation.takes) or {}
        for key in {*given, *operation.takes.__struct_fields__}:
            for value in HOSTILE:
                sent = {**given, key: value}
                if operation.reads_body:
                    body = json.dumps(sent).encode()
                    answer = app.ask(path, operation.method, admin, body, Content_Type="application/json")
                else:
                    answer = app.ask(f"{path}?{encoded_form(sent).decode()}", operation.method, admin)
                assert answer.status < 500, (operation.rule, key, str(value)[:40], answer)


def test_no_body_is_a_500(app: AppInProcess) -> None:
    """Bodies that are no JSON, or nested, or of numbers that Python does not convert."""
    admin = app.account("admin")
    bodies = (
        b"",
        b"{",
        b"\xff",
        b"[" * 50000,
        b'{"a":' * 50000,
        b'{"days": ' + b"9" * 5000 + b"}",
        b'"\\ud800"',
        b"NaN",
    )
    for operation in (operation for operation in OPERATIONS if operation.reads_body):
        for body in bodies:
            answer = app.ask(
                filled(API + operation.rule, "e-body"), operation.method, admin, body, Content_Type="application/json"
            )
            assert 400 <= answer.status < 500, (operation.rule, body[:20], answer)


def test_no_form_of_the_panel_is_a_500(app: AppInProcess) -> None:
    """Every form, with every hostile value in the place of each of its values."""
    person = app.person("admin")
    token = csrf_token(SessionId(person.headers["Cookie"].partition("=")[2]))
    decision = {"project": "e-form", "version": "1.0", "reason": "why", "days": "7", "ticket": "T", "choice": "except"}
    rule = {
        "kind": "window",
        "scope": "*",
        "subject": "",
        "value": "7",
        "expires": "",
        "reason": "why",
        "choice": "set",
    }
    for path, form in (("/admin/", decision), ("/admin/projects/e-form", decision), ("/admin/policy", rule)):
        for field, value in itertools.product(form, HOSTILE):
            body = encoded_form({**form, field: value, "csrf": token})
            answer = app.ask(path, "POST", person, body, Content_Type="application/x-www-form-urlencoded")
            assert answer.status < 500, (path, field, str(value)[:40], answer)


def encoded_form(values: Mapping[str, object]) -> bytes:
    """A form or a query; what UTF-8 cannot hold is sent all the same."""
    return urlencode({name: str(value).encode("utf-8", "surrogatepass") for name, value in values.items()}).encode()


CALLS = ("changelog", "search", "list_packages_with_serial", "changelog_since_serial", "package_releases", DIGITS)
PARAMETER = ("int", "i4", "i8", "string", "double", "boolean", "dateTime.iso8601", "base64", "nil")


def test_no_call_of_xml_rpc_is_a_500(app: AppInProcess) -> None:
    """Hostile values in the place of the parameter of a call."""
    for method, kind, value in itertools.product(CALLS, PARAMETER, (DIGITS, "x", "-1", "", "1e400")):
        call = f"<params><param><value><{kind}>{value}</{kind}></value></param></params>"
        body = f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName>{call}</methodCall>"
        answer = app.ask("/pypi", "POST", body=body.encode(), Content_Type="text/xml")
        assert answer.status < 500, (method, kind, value[:40], answer)
