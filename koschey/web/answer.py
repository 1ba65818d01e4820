"""How a page leaves: content negotiation, compression, validators and caching headers, for every way to serve it."""

from dataclasses import dataclass

from koschey.index.pages import Page
from koschey.standards.negotiation import Form, accepts_gzip, choose_form

GZIP_FROM = 1000
"""Bytes from which compression is worth it."""
NOTHING_RUNS = "sandbox; default-src 'none'"
"""Content-Security-Policy of index pages: names and reasons in them come from strangers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_page(
    page: Page, *, accept: str, format_: str, accept_encoding: str, if_none_match: str, head: bool
) -> Answer:
    """Answer GET or HEAD for a page with the form that the client prefers (PEP 691)."""
    headers = {
        "Vary": "Accept, Accept-Encoding",
        # Clients that obey a longer age would hide a fresh upload, and a fresh block.
        "Cache-Control": "max-age=0, must-revalidate",
        "X-PyPI-Last-Serial": str(page.serial),
        "X-Content-Type-Options": "nosniff",
    }
    form = choose_form(accept, format_)
    if form is None:
        forms = ", ".join(Form)
        text = f"This page exists as {forms}; the Accept header takes none of them.\n".encode()
        headers |= {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text))}
        return Answer(406, headers, b"" if head else text)
    variant = page.forms[form]
    zipped = len(variant.body) >= GZIP_FROM and accepts_gzip(accept_encoding)
    etag = f'"{variant.etag}-gzip"' if zipped else f'"{variant.etag}"'
    headers["ETag"] = etag
    if matches(if_none_match, etag):
        # RFC 9110, 15.4.5: a 304 repeats ETag, Vary and Cache-Control.
        return Answer(304, headers, b"")
    body = variant.zipped if zipped else variant.body
    headers["Content-Type"] = form if form is Form.JSON else f"{form}; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    if form is not Form.JSON:
        headers["Content-Security-Policy"] = NOTHING_RUNS
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Answer(200, headers, b"" if head else body)


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether `If-None-Match` names this ETag (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in named or etag in named
