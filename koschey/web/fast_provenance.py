"""Answers requests for provenance objects (PEP 740) from memory. Quart answers all that is not at hand here."""

from typing import Any

from koschey.resources import Resources
from koschey.web.conditional import matches
from koschey.web.integrity import choose_form, headers_of

PREFIX = "/integrity/"
READ = {name: name.decode() for name in (b"accept", b"if-none-match")}


class FastProvenance:
    """Answers `GET` and `HEAD` below `/integrity/` if the answer is at hand."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def answer(self, scope: Any, send: Any) -> bool:
        """Answer, and return True. Returns False, before anything is sent, if Quart must answer."""
        found = self._resources.pages.cached_provenance(scope["path"])
        body = self._resources.shelf.find_small(found.digest) if found else None
        headers = {READ[name]: value.decode("latin-1") for name, value in scope["headers"] if name in READ}
        form = choose_form(headers.get("accept", ""))
        if found is None or body is None or form is None:
            return False
        sent = headers_of(found.digest, found.verdict, form)
        status = 304 if matches(headers.get("if-none-match", ""), sent["ETag"]) else 200
        if status == 304:
            del sent["Content-Type"]
        else:
            sent["Content-Length"] = str(len(body))
        raw = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        is_empty = status == 304 or scope["method"] == "HEAD"
        await send({"type": "http.response.body", "body": b"" if is_empty else body})
        return True
