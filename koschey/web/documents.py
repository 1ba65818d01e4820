"""Answers requests for documents that have only one form: compression, validators and caching headers."""

import asyncio

from quart import Response, request

from koschey.serving.documents import Document
from koschey.standards.negotiation import Coding
from koschey.web.answer import coding_of
from koschey.web.conditional import client_has, full_response, not_modified


async def answer_document(document: Document, content_type: str, **more: str) -> Response:
    """Answer GET, HEAD or POST with a document; `more` are headers, with underscores instead of hyphens."""
    coding = coding_of(document.content, request.headers.get("Accept-Encoding", ""))
    etag = f'"{document.etag}"' if coding is Coding.IDENTITY else f'"{document.etag}-{coding}"'
    headers = {
        "Vary": "Accept-Encoding",
        # A client that caches the document for longer would miss a new upload, or a new block.
        "Cache-Control": "max-age=0, must-revalidate",
        "X-Content-Type-Options": "nosniff",
        "ETag": etag,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    if client_has(etag):
        return not_modified(headers)
    content = document.content
    body = content.get(coding) if content.is_at_hand(coding) else await asyncio.to_thread(content.get, coding)
    headers["Content-Type"] = content_type
    if coding is not Coding.IDENTITY:
        headers["Content-Encoding"] = coding
    return full_response(body, headers)
