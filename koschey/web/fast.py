"""A thin ASGI layer in front of Quart that answers requests for cached pages, and passes on all others."""

from typing import Any
from urllib.parse import parse_qs

import structlog
from packaging.utils import NormalizedName
from quart import Quart

from koschey.errors import KoscheyError
from koschey.serving.encoded import EncodedPage
from koschey.serving.pages import Pages
from koschey.web.answer import PageRequest, answer_page, encoded_content
from koschey.web.stalls import PIECE, limit_connections, limited

log = structlog.get_logger()

PREFIX = "/simple/"
READ = frozenset({b"accept", b"accept-encoding", b"if-none-match"})


class FastPages:
    """Answers `GET` and `HEAD` of `/simple/` and `/simple/<name>/` if the page is in the cache.

    It makes no decision. Quart answers for a page that is not in the cache, that has not been compressed yet, or whose
    name is not normalised.
    """

    def __init__(self, app: Quart, prefix: str) -> None:
        self.quart = app
        self._prefix = prefix
        self.pages: Pages | None = None
        self._is_limited = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if not self._is_limited and scope["type"] == "http":
            self._is_limited = True
            limit_connections()
        page = self._find(scope) if scope["type"] == "http" else None
        page_request = _page_request(scope) if page is not None else None
        if page is None or page_request is None or encoded_content(page, page_request):
            await self._pass_on(scope, receive, limited(send))
            return
        answer = answer_page(page, page_request)
        if len(answer.body) > PIECE:  # a smaller body fits into the server's buffers
            send = limited(send)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        """Let Quart answer. An error in a body must abort the connection, so that no client accepts a part as whole."""
        if self._prefix and scope["type"] == "http":
            # As ASGI specifies: Quart routes the path below the prefix, and adds the prefix to the links that it makes.
            scope = {**scope, "root_path": self._prefix, "path": self._prefix + scope["path"]}
        try:
            await self.quart(scope, receive, send)
        except Exception as error:
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            expected = isinstance(cause, KoscheyError | OSError)
            log.warning("an answer broke off", path=scope.get("path"), error=repr(cause), exc_info=not expected)
            raise ConnectionAbortedError(str(cause)) from None

    def _find(self, scope: Any) -> EncodedPage | None:
        path = scope["path"]
        if self.pages is None or scope["method"] not in ("GET", "HEAD") or not path.startswith(PREFIX):
            return None
        name = path[len(PREFIX) :]
        if not name:
            return self.pages.cached_list()
        return self.pages.cached(NormalizedName(name[:-1])) if name.endswith("/") else None


def _page_request(scope: Any) -> PageRequest:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in READ}
    return PageRequest(
        accept=headers.get(b"accept", ""),
        format_=parse_qs(scope["query_string"].decode("latin-1")).get("format", [""])[0],
        accept_encoding=headers.get(b"accept-encoding", ""),
        if_none_match=headers.get(b"if-none-match", ""),
        head=scope["method"] == "HEAD",
    )
