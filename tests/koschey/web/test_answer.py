"""How a page leaves: validators, compression and headers."""

import gzip
import sys
from collections.abc import Callable

import pytest

from koschey.model import Serial
from koschey.serving.encoded import Encoded, EncodedPage, Variant
from koschey.standards.negotiation import Form
from koschey.web.answer import COMPRESS_FROM, PageRequest, answer_page, encoded_content
from koschey.web.conditional import Answer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALL = EncodedPage(
    Serial(7), {form: Variant(Encoded(f"small {form}".encode()), f"small{index}") for index, form in enumerate(Form)}
)
LARGE = EncodedPage(
    Serial(8),
    {form: Variant(Encoded(f"large {form}".encode() * 100), f"large{index}") for index, form in enumerate(Form)},
)
CODINGS = ("", "gzip", "zstd")
UNDO: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}
VARY = "Accept, Accept-Encoding"


def get(
    page: EncodedPage = LARGE,
    accept: str = Form.JSON,
    *,
    format_: str = "",
    accept_encoding: str = "",
    if_none_match: str = "",
    head: bool = False,
) -> Answer:
    return answer_page(page, PageRequest(accept, format_, accept_encoding, if_none_match, head))


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("accept_encoding", CODINGS)
def test_answer(form: Form, accept_encoding: str) -> None:
    """A page is complete: type, length, validator, serial, and how it may be kept."""
    answer = get(accept=form, accept_encoding=accept_encoding)
    assert answer.status == 200
    assert UNDO[accept_encoding](answer.body) == LARGE.forms[form].content.plain
    charset = "" if form is Form.JSON else "; charset=utf-8"
    assert answer.headers["Content-Type"] == form + charset
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers.get("Content-Encoding", "") == accept_encoding
    assert answer.headers["Vary"] == VARY
    assert answer.headers["Cache-Control"] == "max-age=0, must-revalidate"
    assert answer.headers["X-PyPI-Last-Serial"] == "8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ("Content-Security-Policy" in answer.headers) is (form is not Form.JSON)


def test_etags_are_strong_and_all_different() -> None:
    """T-19.2: each form in each encoding has a strong ETag of its own."""
    etags = [get(accept=form, accept_encoding=encoding).headers["ETag"] for form in Form for encoding in CODINGS]
    assert len(set(etags)) == 9
    assert all(etag.startswith('"') and etag.endswith('"') and etag.count('"') == 2 for etag in etags)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("accept_encoding", CODINGS)
@pytest.mark.parametrize("head", [False, True])
def test_not_modified(form: Form, accept_encoding: str, *, head: bool) -> None:
    """T-19.1: an answer's own ETag gives 304 with the same ETag, Vary and Cache-Control, and no body."""
    full = get(accept=form, accept_encoding=accept_encoding)
    etag = full.headers["ETag"]
    again = get(accept=form, accept_encoding=accept_encoding, if_none_match=etag, head=head)
    assert (again.status, again.body) == (304, b"")
    same = ("ETag", "Vary", "Cache-Control", "X-PyPI-Last-Serial")
    assert [again.headers[name] for name in same] == [full.headers[name] for name in same]
    assert not {"Content-Type", "Content-Length", "Content-Encoding"} & set(again.headers)


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [
        ("*", 304),
        ('"other", {etag}', 304),
        ('{etag}, W/"other"', 304),
        ("W/{etag}", 304),  # the comparison is the weak one
        ('"other"', 200),
        ("{bare}", 200),
        ('"{bare}-gzip"', 200),  # the other encoding's
        ('"x{bare}"', 200),
        ("", 200),
    ],
)
def test_if_none_match(if_none_match: str, status: int) -> None:
    """`If-None-Match` is a list of ETags or a star; the ETag of another form or encoding is another one."""
    etag = get().headers["ETag"]
    assert get(if_none_match=if_none_match.format(etag=etag, bare=etag.strip('"'))).status == status


def test_small_pages_are_not_compressed() -> None:
    """Below a kilobyte compression is not worth it, and the ETag is that of the plain page."""
    small = get(SMALL, accept_encoding="gzip")
    assert len(small.body) < COMPRESS_FROM
    assert (small.body, small.headers["ETag"]) == (SMALL.forms[Form.JSON].content.plain, '"small0"')
    assert "Content-Encoding" not in small.headers


@pytest.mark.parametrize("accept_encoding", ["identity", "gzip;q=0", "br"])
def test_nobody_gets_gzip_unasked(accept_encoding: str) -> None:
    """Who does not take gzip gets the plain bytes."""
    assert get(accept_encoding=accept_encoding).body == LARGE.forms[Form.JSON].content.plain


@pytest.mark.parametrize("accept", [*Form, "application/json"])
@pytest.mark.parametrize("accept_encoding", CODINGS)
def test_head(accept: str, accept_encoding: str) -> None:
    """T-19.4: HEAD has the status and all headers of GET, and no body."""
    full = get(accept=accept, accept_encoding=accept_encoding)
    head = get(accept=accept, accept_encoding=accept_encoding, head=True)
    assert (head.status, head.headers, head.body) == (full.status, full.headers, b"")


def test_not_acceptable() -> None:
    """A client that takes none of the forms is told which there are, and caches are told why."""
    answer = get(accept="application/json", if_none_match="*")
    assert answer.status == 406
    assert all(form in answer.body.decode() for form in Form)
    assert answer.headers["Vary"] == VARY
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "ETag" not in answer.headers


def test_format_parameter() -> None:
    """`?format=` chooses the form over Accept."""
    assert get(accept="application/json", format_="text/html").body == LARGE.forms[Form.TEXT_HTML].content.plain


def test_what_takes_long_is_announced() -> None:
    """Only a large body that nobody has compressed yet has to be prepared, and only in the coding that is wanted."""
    page = EncodedPage(Serial(9), {form: Variant(Encoded(b"x" * 10**6), "etag") for form in Form})
    asked = PageRequest(Form.JSON, "", "gzip", "", head=False)
    assert encoded_content(page, asked) == (page.forms[Form.JSON].content, "gzip")
    answer_page(page, asked)
    assert encoded_content(page, asked) is None
    assert encoded_content(page, PageRequest(Form.JSON, "", "", "", head=False)) is None
    assert encoded_content(page, PageRequest("application/json", "", "gzip", "", head=False)) is None
