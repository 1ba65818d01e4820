"""Which form of a page a client gets, with the headers that real clients send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.standards.negotiation import Coding, Form, choose_coding, choose_form

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", id="pip and unearth"),
        pytest.param(f"{JSON}, {HTML};q=0.2, text/html;q=0.01", id="uv"),
        pytest.param(
            f"application/vnd.pyx.simple.v1+msgpack, {JSON}, {HTML};q=0.2, text/html;q=0.01", id="uv on hosts it knows"
        ),
        pytest.param(f"{JSON}, */*;q=0.1", id="poetry"),
        pytest.param(JSON, id="bandersnatch"),
        pytest.param(f"{HTML};q=0.2, {JSON}, text/html;q=0.01", id="devpi"),
    ],
)
def test_real_clients_get_json(accept: str) -> None:
    """T-4.1: every client that reads JSON gets it."""
    assert choose_form(accept) is Form.JSON


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.TEXT_HTML),
        ("*/*", Form.TEXT_HTML),
        ("text/*", Form.TEXT_HTML),
        ("text/html", Form.TEXT_HTML),
        (BROWSER, Form.TEXT_HTML),
        (HTML, Form.HTML),
        ("application/*", Form.HTML),
        (LATEST_JSON, Form.JSON),
        (LATEST_HTML, Form.HTML),
        # q ranks first, and then the most expressive form.
        (f"text/html;q=0.9, {JSON};q=0.1", Form.TEXT_HTML),
        (f"text/html, {HTML}, {JSON}", Form.JSON),
        (f"text/html, {HTML}", Form.HTML),
        (f"text/html;q=0.5,{HTML};q=0.5", Form.HTML),
        (f"text/html;q=0.501,{HTML};q=0.5", Form.TEXT_HTML),
        # A wildcard never wins over what is named, and means JSON only where HTML is refused.
        (f"{JSON};q=0.1, */*;q=0.1", Form.JSON),
        (f"*/*, {JSON};q=0.5", Form.TEXT_HTML),
        ("text/html;q=0, */*", Form.HTML),
        (f"text/html;q=0, {HTML};q=0, */*", Form.JSON),
        (f"{HTML};q=0, application/*", Form.JSON),
        # q=0 excludes.
        (f"{JSON};q=0, text/html", Form.TEXT_HTML),
        (f"{JSON};q=0.000, {HTML};q=0.001", Form.HTML),
        # Written in any way that HTTP allows.
        (f" {JSON.upper()} ;Q=0.5 , text/html;q=0.4", Form.JSON),
        (f"text/html;level=1;q=0.5, {JSON};q=0.6", Form.JSON),
    ],
)
def test_forms(accept: str, form: Form) -> None:
    """T-4.1 and T-4.2: q first, then JSON before HTML; `latest` is answered with the real type."""
    assert choose_form(accept) is form


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/xml, image/png",
        "application/vnd.pypi.simple.v2+json",
        f"{JSON};q=0",
        "text/html;q=0, text/*",
        f"{JSON};q=nan",
        f"{JSON};q=much",
        ",;,",
    ],
)
def test_nothing_acceptable(accept: str) -> None:
    """T-4.1: where there is no form that the client takes, none is chosen, and the answer is 406."""
    assert choose_form(accept) is None


@pytest.mark.parametrize(
    ("accept", "format_", "form"),
    [
        ("text/html", JSON, Form.JSON),
        ("text/html", LATEST_JSON, Form.JSON),
        (JSON, "text/html", Form.TEXT_HTML),
        (JSON, LATEST_HTML, Form.HTML),
        ("application/json", HTML, Form.HTML),
        # What is none of the five types is as if it were not there.
        (JSON, "json", Form.JSON),
        (JSON, "*/*", Form.JSON),
        (JSON, "text/*", Form.JSON),
        ("text/html", "application/json", Form.TEXT_HTML),
        (JSON, "", Form.JSON),
    ],
)
def test_format_parameter(accept: str, format_: str, form: Form) -> None:
    """T-4.3: `?format=` wins over Accept where it is one of the five types."""
    assert choose_form(accept, format_) is form


def test_types_have_no_parameters() -> None:
    """T-4.4: some clients compare the type of JSON for equality."""
    assert {form.value for form in Form} == {JSON, HTML, "text/html"}


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_header_is_an_error(accept: str, format_: str) -> None:
    """Whatever a client sends, the answer is a form or none."""
    assert choose_form(accept, format_) in (*Form, None)
    assert choose_coding(accept) in Coding


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate", "gzip"),  # pip
        ("gzip, deflate, zstd", "zstd"),  # uv
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("gzip", "gzip"),
        ("GZIP;q=0.1", "gzip"),
        ("*", "zstd"),
        ("gzip;q=0, *", "zstd"),
        ("gzip, zstd;q=0", "gzip"),
        ("identity;q=0.5, *;q=0.1", "identity"),
        ("identity, gzip", "gzip"),
        ("", "identity"),
        ("identity", "identity"),
        ("br", "identity"),
        ("gzip;q=0", "identity"),
        ("*;q=0", "identity"),
        ("identity;q=0", "identity"),
        ("xgzip", "identity"),
    ],
)
def test_coding(accept_encoding: str, coding: str) -> None:
    """A coding goes to those who take it, the client's favourite first, and to nobody else."""
    assert choose_coding(accept_encoding) == coding
