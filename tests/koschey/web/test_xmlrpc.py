"""XML-RPC as older mirrors, `pip search` and strangers use it: every call gets a value or a fault, and never more."""

import subprocess
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from koschey.events import Event
from koschey.model import ProjectStatus, Serial
from koschey.serving.xmlrpc_methods import GONE, MAX_TERM, MAX_TERMS, Search, parse_search
from koschey.standards.changelog import ChangelogEntry, render_change
from koschey.standards.xml_text import clean_xml
from koschey.standards.xmlrpc import CallFault, FaultCode, MethodCall, parse_call, render_fault, render_value
from tests.support.commands import pip
from tests.support.koschey_up import JSON, Answer, Koschey, ask, wait_until
from tests.support.uploads import post
from tests.support.upstream.server import Upstream

METHODS = ("changelog_last_serial", "changelog_since_serial", "list_packages_with_serial", "search")
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (number, b"&l%d;" % (number - 1) * 10) for number in range(1, 10))
BILLION_LAUGHS = b'<!DOCTYPE l [<!ENTITY l0 "ha">%s]><methodCall><methodName>&l9;</methodName></methodCall>' % LAUGHS
QUADRATIC = b'<!DOCTYPE q [<!ENTITY q "%s">]><methodCall><methodName>%s</methodName></methodCall>' % (
    b"q" * 30_000,
    b"&q;" * 10_000,
)
EXTERNAL = (
    b'<!DOCTYPE e [<!ENTITY e SYSTEM "file:///etc/hostname">]><methodCall><methodName>&e;</methodName></methodCall>'
)
PARAMETER = b"<methodCall><methodName>search</methodName><params><param><value>%s</value></param></params></methodCall>"
HOSTILE = {
    "billion laughs": BILLION_LAUGHS,
    "quadratic": QUADRATIC[: 60 * 2**10],
    "quadratic, whole": QUADRATIC,
    "external entity": EXTERNAL,
    "external DTD": b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/d.dtd"><methodCall/>',
    "parameter entity": b'<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]><methodCall/>',
    "empty DTD": b"<!DOCTYPE methodCall><methodCall><methodName>search</methodName></methodCall>",
    "nothing": b"",
    "no XML": b"\xff\xfe\0",
    "unknown encoding": b'<?xml version="1.0" encoding="ebcdic-unheard-of"?><methodCall/>',
    "a fault": xmlrpc.client.dumps(xmlrpc.client.Fault(1, "x")).encode(),
    "an answer": xmlrpc.client.dumps((1,), methodresponse=True).encode(),
    "no method": b"<methodCall><params/></methodCall>",
    "many digits": PARAMETER % (b"<int>%s</int>" % (b"9" * 60_000)),
    "unclosed nesting": b"<methodCall><params>" + b"<param><value><array><data>" * 2000,
    "end without start": PARAMETER % b"<array></array><struct></struct></data>",
    "no base64": PARAMETER % b"<base64>abc</base64>",
    "odd struct": PARAMETER % b"<struct><member><value>1</value></member></struct>",
}


def rendered(method: str, *parameters: Any) -> bytes:
    """A call as an honest client sends it."""
    return xmlrpc.client.dumps(parameters, method, allow_none=True).encode()


# The form


def test_call_is_read() -> None:
    """A call of an ordinary client is its method and its parameters."""
    call = parse_call(rendered("search", {"name": ["spam"], "summary": "é"}, "or"))
    assert call == MethodCall("search", ({"name": ["spam"], "summary": "é"}, "or"))
    assert parse_call(b"<methodCall><methodName>m</methodName></methodCall>") == MethodCall("m", ())


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_call_is_a_fault_at_once(body: bytes) -> None:
    """What is no call is refused before it can cost anything."""
    begun = time.process_time()
    with pytest.raises(CallFault, match="parse error") as caught:
        parse_call(body)
    assert caught.value.code == FaultCode.NOT_WELL_FORMED
    assert time.process_time() - begun < 0.05


def test_deep_nesting_is_read() -> None:
    """As much nesting as 64 KiB can hold exhausts no stack, here or where the parameters are looked at."""
    depth = 1000
    call = parse_call(PARAMETER % (b"<array><data><value>" * depth + b"</value></data></array>" * depth))
    with pytest.raises(CallFault):
        parse_search(call.parameters)


@given(st.one_of(st.binary(), st.text().map(str.encode), st.binary().map(lambda raw: PARAMETER % raw)))
def test_any_bytes_are_a_call_or_a_fault(body: bytes) -> None:
    """No input makes the parser raise anything else."""
    try:
        call: MethodCall | CallFault = parse_call(body)
    except CallFault as fault:
        call = fault
    assert isinstance(call, MethodCall) or xmlrpc_fault(render_fault(call)).faultCode == FaultCode.NOT_WELL_FORMED


def code_of(answer: Answer) -> int:
    """The code of the fault that an answer is, 0 where it is a value."""
    try:
        xmlrpc.client.loads(answer.body.decode())
    except xmlrpc.client.Fault as fault:
        return fault.faultCode
    return 0


def xmlrpc_fault(body: bytes) -> xmlrpc.client.Fault:
    """The fault that an answer is."""
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(body.decode())
    return caught.value


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_can_be_answered(text: str, fields: dict[str, str]) -> None:
    """What XML cannot hold is left out, everything else comes back as it was, but for the kind of line end."""
    answer: Any
    answer, _ = xmlrpc.client.loads(render_value([fields | {"text": text}, None]).decode())
    ((found, nothing),) = answer
    assert nothing is None
    assert found["text"].replace("\r", "\n") == clean_xml(text).replace("\r\n", "\n").replace("\r", "\n")
    assert clean_xml("a\0b\x1bc\ufffe\ud800d") == "abcd"


# What is asked for


@pytest.mark.parametrize(
    ("parameters", "search"),
    [
        ([{"name": ["Foo_Bar"], "summary": ["Foo_Bar"]}, "or"], Search(("foo-bar",), ("Foo_Bar",), every=False)),
        ([{"name": "spam"}], Search(("spam",), (), every=True)),
        ([{"summary": ["a", " ", "b "], "author": ["x"]}, "and"], Search((), ("a", "b"), every=True)),
    ],
)
def test_search_is_read(parameters: list[Any], search: Search) -> None:
    """Texts in names are compared as PEP 503 wants, other fields are ignored, "and" is what is meant by nothing."""
    assert parse_search(parameters) == search


@pytest.mark.parametrize(
    "parameters",
    [
        *([], ["spam"], [{}], [{"name": []}], [{"name": [" "]}], [{"name": 7}], [{"name": [7]}], [{"name": None}]),
        *([{"name": "x"}, "xor"], [{"name": "x"}, "or", 1], [{"name": ["x"] * (MAX_TERMS + 1)}]),
        [{"name": "x" * (MAX_TERM + 1)}],
    ],
)
def test_search_that_cannot_be(parameters: list[Any]) -> None:
    """Other parameters are a fault that says what is wanted."""
    with pytest.raises(CallFault, match="search") as caught:
        parse_search(parameters)
    assert caught.value.code == FaultCode.INVALID_PARAMETERS


CHANGE = ChangelogEntry(
    Serial(7), datetime(2026, 1, 1, tzinfo=UTC), None, None, "1.0", None, None, None, None, None, True
)


@pytest.mark.parametrize(
    ("changes", "version", "action"),
    [
        ({"event": Event.CREATE_PROJECT}, None, "create"),
        ({"event": Event.ADD_FILE, "filename": "spam-1.0.tar.gz"}, "1.0", "add source file spam-1.0.tar.gz"),
        ({"event": Event.ADD_FILE, "filename": "spam-1.0.tar.gz", "state": "held"}, None, "update"),
        ({"event": Event.ADD_FILE, "filename": "spam-1.0.tar.gz", "file_served": False}, None, "update"),
        ({"event": Event.RELEASED, "filename": "spam-1.0.zip"}, "1.0", "add source file spam-1.0.zip"),
        (
            {"event": Event.APPROVE, "filename": "spam-1.0-cp39-abi3-any.whl"},
            "1.0",
            "add cp39 file spam-1.0-cp39-abi3-any.whl",
        ),
        ({"event": Event.TRUST}, None, "update"),
        ({"event": Event.YANK_FILE, "filename": "spam-1.0.zip"}, "1.0", "yank release"),
        ({"event": Event.UNYANK_RELEASE, "filename": "spam-1.0.zip"}, "1.0", "unyank release"),
        ({"event": Event.YANK_RELEASE, "filename": "spam-1.0.zip", "file_served": False}, None, "update"),
        ({"event": Event.UPDATE_FILE, "filename": "spam-1.0.zip", "yanked": ""}, "1.0", "yank release"),
        ({"event": Event.UPDATE_FILE, "filename": "spam-1.0.zip"}, None, "update"),
        ({"event": Event.BLOCK, "filename": "spam-1.0.zip", "file_served": False}, None, "release quarantined"),
        ({"event": Event.REMOVE_FILE, "filename": "spam-1.0.zip", "file_served": False}, None, "remove file"),
        ({"event": Event.PROJECT_STATUS, "status": "quarantined"}, None, "project quarantined"),
        ({"event": Event.PROJECT_STATUS, "status": "active", "was": "quarantined"}, None, "project quarantine cleared"),
        ({"event": Event.PROJECT_STATUS, "status": "archived", "was": "active"}, None, "update"),
        ({"event": None, "filename": "spam-1.0.zip"}, None, "update"),
    ],
)
def test_action_in_the_words_of_the_public_index(changes: dict[str, Any], version: str | None, action: str) -> None:
    """Each action of the journal has its word; what is not served is not named by it."""
    row = render_change(replace(CHANGE, **{"project": "spam", **changes}))
    assert row == ("spam", version, 1767225600, action, 7)
    assert {"active", "archived", "quarantined"} <= set(ProjectStatus)


# Over HTTP


def send(koschey: Koschey, body: Any, *, path: str = "/pypi", kind: str = "text/xml", chunked: bool = False) -> Answer:
    """Send a body to the XML-RPC address."""
    return post(koschey, body, path=path, chunked=chunked, Content_Type=kind)


@pytest.fixture
def proxy(koschey: Koschey) -> Iterator[xmlrpc.client.ServerProxy]:
    """The standard library's client."""
    with xmlrpc.client.ServerProxy(f"{koschey.url}/pypi", allow_none=True) as client:
        yield client


def test_changelog_leads_to_the_last_serial(
    koschey: Koschey, upstream: Upstream, proxy: xmlrpc.client.ServerProxy
) -> None:
    """From any serial the changelog goes on without a gap to the last one, and from that on there is nothing."""
    before: Any = proxy.changelog_last_serial()
    upstream.add("xr-changes", "1.0")
    koschey.page("xr-changes")
    last: Any = proxy.changelog_last_serial()
    assert last > before
    rows: Any = proxy.changelog_since_serial(before)
    assert [row[4] for row in rows][: last - before] == list(range(before + 1, last + 1))
    assert ["xr-changes", "1.0", "add py3 file xr_changes-1.0-py3-none-any.whl"] in [
        [row[0], row[1], row[3]] for row in rows
    ]
    assert all(abs(row[2] - time.time()) < 3600 for row in rows if row[0] == "xr-changes")
    assert proxy.changelog_since_serial(proxy.changelog_last_serial()) == []
    assert proxy.changelog_since_serial(2**31 - 1) == []


def test_list_is_that_of_the_simple_api(koschey: Koschey, upstream: Upstream, proxy: xmlrpc.client.ServerProxy) -> None:
    """The names and serials are those of the project list, however often something changes."""
    for name in ("xr-listed", "xr-listed-too"):
        upstream.add(name, "1.0")
        koschey.page(name)

        def same(wanted: str = name) -> bool:
            listed = ask(koschey.index_url, Accept=JSON).json["projects"]
            found: Any = proxy.list_packages_with_serial()
            return wanted in found and found == {each["name"]: each["_last-serial"] for each in listed}

        wait_until(same)


def test_hidden_files_are_in_no_answer(koschey: Koschey, upstream: Upstream, proxy: xmlrpc.client.ServerProxy) -> None:
    """What is held or blocked has neither its version nor its name in the changelog or the search."""
    since: Any = proxy.changelog_last_serial()
    upstream.add("xr-hidden", "1.0")
    upstream.add("xr-hidden", "6.6.6", upload_time=datetime.now(UTC) - timedelta(hours=1))
    upstream.add("xr-hidden", "7.7.7")
    koschey.page("xr-hidden")
    koschey.run("block", "xr-hidden==7.7.7", "--reason", "malware")
    upstream.add("xr-unseen", "6.6.6", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page("xr-unseen")
    bodies = [
        send(koschey, rendered("changelog_since_serial", since)).body,
        send(koschey, rendered("search", {"name": ["xr-hidden", "xr-unseen"]}, "or")).body,
    ]
    for body in bodies:
        assert b"6.6.6" not in body
        assert b"7.7.7" not in body
        assert b"malware" not in body
    found: Any = proxy.search({"name": ["xr-hidden", "xr-unseen"]}, "or")
    assert [(each["name"], each["version"]) for each in found] == [("xr-hidden", "1.0")]


def test_pip_search(koschey: Koschey, upstream: Upstream) -> None:
    """pip finds projects by name and by the summary of their metadata, with their latest version; or says nothing."""
    upstream.add("xr-searched", "1.0")
    upstream.add("xr-searched", "2.0")
    koschey.page("xr-searched")
    assert "xr-searched (2.0)" in pip("search", "--index", f"{koschey.url}/pypi", "xr_SEARCHED")
    assert ask(f"{koschey.url}/pypi/xr-searched/json").status == 200
    for index in ("/pypi", "/pypi/", "/RPC2"):
        found = pip("search", "--index", f"{koschey.url}{index}", "xr-searched for TESTS")
        assert "xr-searched (2.0)" in found
        assert "xr-searched for tests" in found
    with pytest.raises(subprocess.CalledProcessError) as caught:
        pip("search", "--index", f"{koschey.url}/pypi", "xr-nothing-of-this-name")
    assert caught.value.returncode == 23


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        *((method, (), FaultCode.REFUSED) for method in sorted(GONE)),
        ("search_all", (), FaultCode.UNKNOWN_METHOD),
        ("__class__", (), FaultCode.UNKNOWN_METHOD),
        ("changelog_last_serial", (1,), FaultCode.INVALID_PARAMETERS),
        ("changelog_since_serial", (), FaultCode.INVALID_PARAMETERS),
        ("changelog_since_serial", ("1",), FaultCode.INVALID_PARAMETERS),
        ("changelog_since_serial", (True,), FaultCode.INVALID_PARAMETERS),
        ("changelog_since_serial", (1, 2), FaultCode.INVALID_PARAMETERS),
        ("list_packages_with_serial", ("x",), FaultCode.INVALID_PARAMETERS),
        ("search", (), FaultCode.INVALID_PARAMETERS),
    ],
)
def test_fault(koschey: Koschey, method: str, parameters: tuple[Any, ...], code: FaultCode) -> None:
    """What cannot be called is a fault with its code, and status 200 as XML-RPC wants it."""
    answer = send(koschey, rendered(method, *parameters))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert xmlrpc_fault(answer.body).faultCode == code


@pytest.mark.parametrize("path", ["/pypi", "/pypi/", "/RPC2"])
def test_what_is_no_call(koschey: Koschey, path: str) -> None:
    """Another method or type is refused with its own status."""
    assert ask(f"{koschey.url}{path}").status == 405
    assert send(koschey, b"{}", path=path, kind="application/json").status == 415
    assert send(koschey, rendered("changelog_last_serial"), path=path).status == 200


def memory_of(koschey: Koschey) -> dict[int, int]:
    """Bytes of memory that each web process holds."""
    web = psutil.Process(koschey.ready["pids"]["web"])
    return {process.pid: process.memory_info().rss for process in (web, *web.children(recursive=True))}


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_long_body_is_refused_and_not_kept(koschey: Koschey, chunked: bool) -> None:
    """100 MB are 413, whether or not they are announced, and no process grows by them."""
    send(koschey, rendered("changelog_last_serial"))
    before = memory_of(koschey)
    piece = b"x" * 2**20
    body = (piece for _ in range(100)) if chunked else piece * 100
    begun = time.monotonic()
    assert send(koschey, body, chunked=chunked).status == 413
    after = memory_of(koschey)
    assert max(after[pid] - before[pid] for pid in before) < 20 * 2**20
    assert time.monotonic() - begun < 20
    assert send(koschey, b"x" * (64 * 2**10 + 1)).status == 413


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_call_over_http(koschey: Koschey, body: bytes) -> None:
    """Every attack is a fault or 413, and the index goes on."""
    answer = send(koschey, body)
    assert answer.status in (200, 413)
    if answer.status == 200:
        assert xmlrpc_fault(answer.body).faultCode == FaultCode.NOT_WELL_FORMED


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**31), 2**31 - 1),
        st.floats(allow_nan=False),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
        st.binary(max_size=20),
        st.datetimes(),
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.dictionaries(st.sampled_from(["name", "summary", "x"]), values, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.one_of(st.sampled_from([*METHODS, *sorted(GONE)]), st.text("abc._", max_size=9))


@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=NAMES, parameters=st.lists(VALUES, max_size=3), number=st.integers(-(2**70), 2**70))
def test_no_call_is_an_error_of_the_server(koschey: Koschey, method: str, parameters: list[Any], number: int) -> None:
    """Whatever is called with whatever, the answer is a value or a fault."""
    large = PARAMETER.replace(b"search", b"changelog_since_serial") % b"<int>%d</int>" % number
    for body in (rendered(method, *parameters), large):
        answer = send(koschey, body)
        assert answer.status == 200, answer
        assert code_of(answer) in {0, *FaultCode}
