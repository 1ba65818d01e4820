"""Answers requests for pages: content negotiation, compression and caching headers, for `fast` and `simple`."""

from dataclasses import dataclass

from koschey.serving.encoded import Encoded, EncodedPage
from koschey.standards.negotiation import Coding, Form, choose_coding, choose_form
from koschey.web.conditional import Answer, matches

COMPRESS_FROM = 1000
"""Minimum number of bytes of a body that is compressed."""
NOTHING_RUNS = "sandbox; default-src 'none'"
"""Content-Security-Policy of index pages, because they contain names and reasons that strangers wrote."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The parts of a request that choose the form of a page; a header that the request lacks is empty."""

    accept: str
    format_: str
    accept_encoding: str
    if_none_match: str
    head: bool

    def form(self) -> Form | None:
        """Return the form that the client prefers (PEP 691), or None if it accepts none of them."""
        return choose_form(self.accept, self.format_)

    def coding(self, content: Encoded) -> Coding:
        """Return the content coding for a body."""
        return coding_of(content, self.accept_encoding)


def coding_of(content: Encoded, accept_encoding: str) -> Coding:
    """Return the content coding in which a body is sent."""
    return choose_coding(accept_encoding) if content.size >= COMPRESS_FROM else Coding.IDENTITY


def encoded_content(page: EncodedPage, page_request: PageRequest) -> tuple[Encoded, Coding] | None:
    """Return the body to compress in a thread before `answer_page`, and its coding, or None if that is not needed."""
    form = page_request.form()
    if form is None:
        return None
    content = page.forms[form].content
    coding = page_request.coding(content)
    return None if content.is_at_hand(coding) else (content, coding)


def answer_page(page: EncodedPage, page_request: PageRequest) -> Answer:
    """Answer GET or HEAD for a page."""
    headers = {
        "Vary": "Accept, Accept-Encoding",
        # A client that caches the page for longer would miss a new upload, or a new block.
        "Cache-Control": "max-age=0, must-revalidate",
        "X-PyPI-Last-Serial": str(page.serial),
        "X-Content-Type-Options": "nosniff",
        **page.headers,
    }
    form = page_request.form()
    if form is None:
        return _not_acceptable(headers, head=page_request.head)
    variant = page.forms[form]
    coding = page_request.coding(variant.content)
    etag = f'"{variant.etag}"' if coding is Coding.IDENTITY else f'"{variant.etag}-{coding}"'
    headers["ETag"] = etag
    if matches(page_request.if_none_match, etag):
        # RFC 9110, 15.4.5: a 304 repeats ETag, Vary and Cache-Control.
        return Answer(304, headers, b"")
    body = variant.content.get(coding)
    headers["Content-Type"] = form if form is Form.JSON else f"{form}; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    if form is not Form.JSON:
        headers["Content-Security-Policy"] = NOTHING_RUNS
    if coding is not Coding.IDENTITY:
        headers["Content-Encoding"] = coding
    return Answer(200, headers, b"" if page_request.head else body)


def _not_acceptable(headers: dict[str, str], *, head: bool) -> Answer:
    forms = ", ".join(Form)
    text = f"This page exists as {forms}; the Accept header accepts none of them.\n".encode()
    headers |= {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text))}
    return Answer(406, headers, b"" if head else text)
