"""How a document of one form leaves: compression, validators and caching headers."""

import asyncio

from quart import Response, request

from koschey.serving.documents import Document
from koschey.standards.negotiation import Coding
from koschey.web.answer import Asked, matches


async def answer_document(document: Document, content_type: str, **more: str) -> Response:
    """Answer GET, HEAD or POST with a document; underscores in the names of more headers stand for hyphens."""
    asked = Asked(
        accept="",
        format_="",
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
        head=request.method == "HEAD",
    )
    coding = asked.coding(document.content)
    etag = f'"{document.etag}"' if coding is Coding.IDENTITY else f'"{document.etag}-{coding}"'
    headers = {
        "Vary": "Accept-Encoding",
        # A longer age would hide a fresh upload, and a fresh block.
        "Cache-Control": "max-age=0, must-revalidate",
        "X-Content-Type-Options": "nosniff",
        "ETag": etag,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    if request.method != "POST" and matches(asked.if_none_match, etag):
        return Response(b"", 304, headers)
    content = document.content
    body = content.get(coding) if content.is_at_hand(coding) else await asyncio.to_thread(content.get, coding)
    headers["Content-Type"] = content_type
    if coding is not Coding.IDENTITY:
        headers["Content-Encoding"] = coding
    response = Response(b"" if asked.head else body, 200, headers)
    # As for GET; what is not sent has been counted by now.
    response.headers["Content-Length"] = str(len(body))
    return response
