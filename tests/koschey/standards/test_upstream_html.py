"""Pages of upstreams in HTML: what their anchors give, what is left out, and how they are encoded."""

from dataclasses import replace
from html import escape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import UpstreamMalformed
from koschey.standards import simple_html
from tests.support.examples import DIGEST, METADATA, SPAM
from tests.support.upstream_pages import BARE, CYRILLIC, FILES, URL, anchor, assert_clean, html_page, parse_html

ZIP: dict[str, Any] = {"filename": "spam-1.0.zip", "sha256": None}


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        (anchor(), {}),
        (
            anchor("../../f/spam-1.0-py3-none-any.whl"),
            {"url": "https://index.example.org/f/spam-1.0-py3-none-any.whl", "sha256": None},
        ),
        (anchor(f"{FILES}/spam-1.0.zip#md5={'0' * 32}"), "zip"),
        (anchor(f"{FILES}/spam-1.0.zip#sha256=zz"), "zip"),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#sha256={DIGEST}&egg=x"), {}),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#egg=spam&md5={'0' * 32}&sha256={DIGEST.upper()}"), {}),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#sha256=zz&sha256={DIGEST}"), {}),
        (anchor(f"{FILES}/spam-1.0.zip#egg=spam-1.0"), "zip"),
        (anchor(f"  {FILES}/spam-1.0.zip\n"), "zip"),
        (
            anchor(f"{FILES}/spam-1.0.zip?X-Sig=a%2Fb.whl&e=1#sha256=zz"),
            {"url": f"{FILES}/spam-1.0.zip?X-Sig=a%2Fb.whl&e=1", **ZIP},
        ),
        (
            anchor("?file=/x/y.whl&v=1/../spam-1.0.zip").replace('"?', f'"{FILES}/spam-1.0.zip?'),
            {"url": f"{FILES}/spam-1.0.zip?file=/x/y.whl&v=1/../spam-1.0.zip", **ZIP},
        ),
        (anchor(f"{FILES}/spam-1.0.zip"), "zip"),
        (anchor(data_requires_python=">=3.9"), {"requires_python": ">=3.9"}),
        (anchor(data_requires_python="", data_core_metadata=""), {}),
        (anchor(data_requires_python="three"), {}),
        (anchor(data_yanked=""), {"yanked": ""}),
        (anchor(data_yanked="<b>\x01burns"), {"yanked": "<b>burns"}),
        (anchor(data_core_metadata=f"sha256={METADATA}"), {"core_metadata": METADATA}),
        (anchor(data_dist_info_metadata=f"sha256={METADATA}"), {"core_metadata": METADATA}),
        (anchor(data_core_metadata=f"sha256={METADATA}", data_dist_info_metadata="true"), {"core_metadata": METADATA}),
        (anchor(data_core_metadata="true"), {}),
        (
            anchor(f"{FILES}/spam-1.0%2Blocal.zip"),
            {
                "filename": "spam-1.0+local.zip",
                "version": "1.0+local",
                "url": f"{FILES}/spam-1.0%2Blocal.zip",
                "sha256": None,
            },
        ),
    ],
)
def test_anchors_come_out_clean(written: str, cleaned: dict[str, Any] | str) -> None:
    """Anchors give what their URL and attributes say, and what cannot be understood is unknown."""
    if isinstance(cleaned, str):
        cleaned = {"url": f"{FILES}/spam-1.0.zip", **ZIP}
    assert parse_html(html_page(written)).files == (replace(BARE, **cleaned),)


@pytest.mark.parametrize(
    "odd",
    [
        *(
            "<a>no href</a>",
            anchor(""),
            anchor("#x"),
            anchor("/"),
            anchor("spam/"),
            anchor("javascript:alert(1)/a.whl"),
        ),
        *(anchor("file:///etc/spam-1.0.zip"), anchor("%2e%2e"), anchor("a%2fb.zip"), anchor("spam%00-1.0.zip")),
        *(anchor("spam-1.0.zip%22onclick="), anchor("https://x/%0aspam-1.0.zip")),
    ],
)
def test_odd_anchors_are_left_out(odd: str) -> None:
    """A link that is no file of ours costs nobody the rest of the page."""
    assert parse_html(html_page(odd, anchor(), odd)).files == (BARE,)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not an index", b'{"meta": {"api-version": "1.0"}}'),
        html_page(anchor(), head='<meta name="pypi:repository-version" content="2.0">'),
        html_page(anchor(), head='<meta name="pypi:repository-version" content="new">'),
        b"<p>Please log in</p>",
        html_page('<form action="/login"><input name="user"></form>'),
        html_page("<script>location = '/login'</script>"),
        html_page(head='<meta http-equiv="Refresh" content="0; url=/login">'),
        html_page("<h1>Links for spam</h1>", '<a href="/login">log in</a>'),
        html_page("<h1>Links for spam</h1>", '<a href="https://example.org/">example</a>'),
        html_page("<h1>Welcome</h1>"),
        html_page('<a href="/about.html">about us</a>'),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_no_html_page_is_refused(body: bytes) -> None:
    """What is no page of version 1 is told as an error of the upstream."""
    with pytest.raises(UpstreamMalformed, match=r"index\.example\.org"):
        parse_html(body)


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        ("", "active", None),
        ('<meta name="pypi:project-status" content="archived">', "archived", None),
        (
            """<meta name="pypi:project-status" content="quarantined">
            <meta name="pypi:project-status-reason" content="mal&#10;ware">""",
            "quarantined",
            "mal ware",
        ),
        ('<meta name="pypi:project-status" content="from-the-future">', "active", None),
        ('<meta name="pypi:repository-version" content="1.99">', "active", None),
    ],
)
def test_status_in_html(head: str, status: str, reason: str | None) -> None:
    """PEP 792: both forms of an upstream's page are understood alike."""
    page = parse_html(html_page(anchor(), head=head))
    assert (page.status, page.status_reason, page.files) == (status, reason, (BARE,))


def test_base_element() -> None:
    """Relative references are relative to the first `<base>`, as installers read them."""
    page = parse_html(html_page(anchor("a/spam-1.0.zip"), head=f'<base href="{FILES}/b/">'))
    assert page.files[0].url == f"{FILES}/b/a/spam-1.0.zip"


def test_one_bad_address_costs_nobody_the_page() -> None:
    """An address that nobody can parse is left out, and an impossible base is none."""
    assert parse_html(html_page(anchor("http://[::1/spam-1.0.zip"), anchor())).files == (BARE,)
    assert parse_html(html_page(anchor(), head='<base href="http://[">')).files == (BARE,)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (html_page(anchor(data_yanked=CYRILLIC)), None),
        (b"\xef\xbb\xbf" + html_page(anchor(data_yanked=CYRILLIC)), "windows-1251"),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("cp1251"), "Windows-1251"),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("koi8-r"), '"koi8-r"'),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="cp1251">').decode().encode("cp1251"), None),
        (
            html_page(
                anchor(data_yanked=CYRILLIC),
                head='<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=windows-1251">',
            )
            .decode()
            .encode("cp1251"),
            "no-such-charset",
        ),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("utf-16"), None),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="utf-16">'), None),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="rot13">'), "unicode_escape"),
    ],
)
def test_html_in_any_encoding(body: bytes, charset: str | None) -> None:
    """The mark, the header and the page itself, in this order, say how it is encoded; codecs of no text are ignored."""
    assert simple_html.parse_project(body, URL, SPAM, None, charset).files == (replace(BARE, yanked=CYRILLIC),)


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=40))
def test_any_html_comes_out_clean_or_malformed(hrefs: list[str], garbage: str) -> None:
    """Whatever an upstream sends as HTML, what is kept of it can be stored and shown; nothing else is ever raised."""
    written = [anchor(href, data_yanked=garbage, data_requires_python=garbage) for href in hrefs]
    body = html_page(*written, garbage, head=f'<meta name="pypi:project-status-reason" content="{escape(garbage)}">')
    try:
        page = parse_html(body)
    except UpstreamMalformed:
        return
    assert_clean(page)
