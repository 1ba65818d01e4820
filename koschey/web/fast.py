"""A thin ASGI layer in front of Quart that answers requests for cached pages and files, and passes on all others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import structlog
from packaging.utils import NormalizedName
from quart import Quart

from koschey.errors import KoscheyError
from koschey.serving.encoded import EncodedPage, RawAnswer
from koschey.serving.pages import Pages
from koschey.web.answer import PageRequest, answer_page, encoded_content
from koschey.web.conditional import Answer
from koschey.web.fast_files import PREFIX as FILES
from koschey.web.fast_files import FastFiles
from koschey.web.fast_provenance import PREFIX as PROVENANCE
from koschey.web.fast_provenance import FastProvenance
from koschey.web.stalls import AT_ONCE, LargeAnswers, limit_connections, limited

log = structlog.get_logger()

PREFIX = "/simple/"
READ = frozenset({b"accept", b"accept-encoding", b"if-none-match"})


class FastLayer:
    """Answers `GET` and `HEAD` of `/simple/`, `/simple/<name>/`, files and provenance if the answer is at hand.

    It makes no decision. Quart answers for a page that is not in the cache, that has not been compressed yet, or whose
    name is not normalised.
    """

    def __init__(self, app: Quart, prefix: str) -> None:
        self.quart = app
        self._prefix = prefix
        self.pages: Pages | None = None
        self.files: FastFiles | None = None
        self.provenance: FastProvenance | None = None
        self._is_limited = False
        self._large = LargeAnswers()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if not self._is_limited and scope["type"] == "http":
            self._is_limited = True
            limit_connections()
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and await self._answer(scope, send):
            return
        await self._pass_on(scope, receive, limited(send))

    async def _answer(self, scope: Any, send: Any) -> bool:
        """Answer, and return True. Returns False, before anything is sent, if Quart must answer."""
        path: str = scope["path"]
        if path.startswith(FILES) and self.files is not None:
            with _aborting(scope):
                return await self.files.answer(scope, send)
        if path.startswith(PROVENANCE) and self.provenance is not None:
            return await self.provenance.answer(scope, send)
        page = self._find(path) if path.startswith(PREFIX) else None
        page_request = _page_request(scope) if page is not None else None
        if page is None or page_request is None or encoded_content(page, page_request):
            return False
        status, headers, body = _raw_answer(page, page_request)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        if len(body) > AT_ONCE:
            with _aborting(scope):
                await self._large.send(send, start, body)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body})
        return True

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        """Let Quart answer."""
        if self._prefix and scope["type"] == "http":
            # As ASGI specifies: Quart routes the path below the prefix, and adds the prefix to the links that it makes.
            scope = {**scope, "root_path": self._prefix, "path": self._prefix + scope["path"]}
        with _aborting(scope):
            await self.quart(scope, receive, send)

    def _find(self, path: str) -> EncodedPage | None:
        if self.pages is None:
            return None
        name = path[len(PREFIX) :]
        if not name:
            return self.pages.cached_list()
        return self.pages.cached(NormalizedName(name[:-1])) if name.endswith("/") else None


@contextmanager
def _aborting(scope: Any) -> Iterator[None]:
    """Turn every error into one that aborts the connection, so that no client accepts a part as whole."""
    try:
        yield
    except Exception as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        expected = isinstance(cause, KoscheyError | OSError)
        log.warning("an answer broke off", path=scope.get("path"), error=repr(cause), exc_info=not expected)
        raise ConnectionAbortedError(str(cause)) from None


def _raw_answer(page: EncodedPage, page_request: PageRequest) -> RawAnswer:
    """Answer as `answer_page` does, with headers that are encoded once for each form and coding of a page."""
    form = page_request.form()
    if form is None or page_request.head or page_request.if_none_match:
        return _encode(answer_page(page, page_request))
    key = form, page_request.coding(page.forms[form].content)
    if key not in page.answers:
        page.answers[key] = _encode(answer_page(page, page_request))
    return page.answers[key]


def _encode(answer: Answer) -> RawAnswer:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return answer.status, headers, answer.body


def _page_request(scope: Any) -> PageRequest:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in READ}
    query: bytes = scope["query_string"]
    return PageRequest(
        accept=headers.get(b"accept", ""),
        format_=parse_qs(query.decode("latin-1")).get("format", [""])[0] if query else "",
        accept_encoding=headers.get(b"accept-encoding", ""),
        if_none_match=headers.get(b"if-none-match", ""),
        head=scope["method"] == "HEAD",
    )
