"""How a page leaves: content negotiation, compression and caching headers, for every way to serve it."""

from dataclasses import dataclass

from koschey.serving.encoded import Encoded, Page
from koschey.standards.negotiation import Coding, Form, choose_coding, choose_form
from koschey.web.conditional import Answer, matches

COMPRESS_FROM = 1000
"""Bytes from which compression is worth it."""
NOTHING_RUNS = "sandbox; default-src 'none'"
"""Content-Security-Policy of index pages: names and reasons in them come from strangers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for a page says of the form that it wants; a header that is not there is empty."""

    accept: str
    format_: str
    accept_encoding: str
    if_none_match: str
    head: bool

    def form(self) -> Form | None:
        """The form that the client prefers (PEP 691); None where it takes none of them."""
        return choose_form(self.accept, self.format_)

    def coding(self, content: Encoded) -> Coding:
        """The coding for a body."""
        return coding_of(content, self.accept_encoding)


def coding_of(content: Encoded, accept_encoding: str) -> Coding:
    """Return the coding in which a body leaves."""
    return choose_coding(accept_encoding) if len(content.plain) >= COMPRESS_FROM else Coding.IDENTITY


def encoded_content(page: Page, asked: Asked) -> tuple[Encoded, Coding] | None:
    """Return what has to be compressed, and how, before the page can be answered without others having to wait."""
    form = asked.form()
    if form is None:
        return None
    content = page.forms[form].content
    coding = asked.coding(content)
    return None if content.is_at_hand(coding) else (content, coding)


def answer_page(page: Page, asked: Asked) -> Answer:
    """Answer GET or HEAD for a page."""
    headers = {
        "Vary": "Accept, Accept-Encoding",
        # Clients that obey a longer age would hide a fresh upload, and a fresh block.
        "Cache-Control": "max-age=0, must-revalidate",
        "X-PyPI-Last-Serial": str(page.serial),
        "X-Content-Type-Options": "nosniff",
        **page.headers,
    }
    form = asked.form()
    if form is None:
        return _not_acceptable(headers, head=asked.head)
    variant = page.forms[form]
    coding = asked.coding(variant.content)
    etag = f'"{variant.etag}"' if coding is Coding.IDENTITY else f'"{variant.etag}-{coding}"'
    headers["ETag"] = etag
    if matches(asked.if_none_match, etag):
        # RFC 9110, 15.4.5: a 304 repeats ETag, Vary and Cache-Control.
        return Answer(304, headers, b"")
    body = variant.content.get(coding)
    headers["Content-Type"] = form if form is Form.JSON else f"{form}; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    if form is not Form.JSON:
        headers["Content-Security-Policy"] = NOTHING_RUNS
    if coding is not Coding.IDENTITY:
        headers["Content-Encoding"] = coding
    return Answer(200, headers, b"" if asked.head else body)


def _not_acceptable(headers: dict[str, str], *, head: bool) -> Answer:
    forms = ", ".join(Form)
    text = f"This page exists as {forms}; the Accept header takes none of them.\n".encode()
    headers |= {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text))}
    return Answer(406, headers, b"" if head else text)
