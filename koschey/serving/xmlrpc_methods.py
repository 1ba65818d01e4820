"""The XML-RPC methods that mirrors and `pip search` still use; all others of the public index are refused."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from koschey.concurrency.flights import Flights
from koschey.db import changelog, journal, search
from koschey.db.pool import Pool
from koschey.model import Serial
from koschey.serving.documents import Document, document_of
from koschey.serving.encoded import EncodedPage
from koschey.serving.pages import Pages
from koschey.standards.changelog import render_change
from koschey.standards.negotiation import Form
from koschey.standards.project_json import latest_version
from koschey.standards.versions import version_key
from koschey.standards.xml_text import clean_xml
from koschey.standards.xmlrpc import CallFault, FaultCode, MethodCall, Value, render_value

MAX_CHANGES = 50_000
CANDIDATES = 500
"""Maximum number of projects that match a search, before those that are not served are dropped."""
MAX_HITS = 100
MAX_TERMS = 20
MAX_TERM = 200
GONE = frozenset(
    {
        "changelog",
        "list_packages",
        "package_releases",
        "release_urls",
        "release_data",
        "package_urls",
        "package_data",
        "top_packages",
        "package_roles",
        "user_packages",
        "browse",
        "release_downloads",
        "package_hosting_mode",
        "updated_releases",
        "changed_packages",
        "package_stable_version",
        "system.multicall",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
    }
)
"""Methods of the public index that Koschey refuses because clients no longer need them."""


class MirrorCalls:
    """Answers XML-RPC calls. One per process."""

    def __init__(self, pool: Pool, pages: Pages) -> None:
        self._pool = pool
        self._pages = pages
        self._listed: Document | None = None
        self._listing = Flights[Serial, Document]()
        self._methods: dict[str, Callable[..., Awaitable[Document]]] = {
            "changelog_last_serial": self._last_serial,
            "changelog_since_serial": self._since_serial,
            "list_packages_with_serial": self._packages,
            "search": self._search,
        }

    async def close(self) -> None:
        """Cancel the work in progress."""
        await self._listing.close()

    async def answer(self, call: MethodCall) -> Document:
        """Return the rendered answer to a call. Raises `CallFault` for any other method, and for wrong parameters."""
        if call.method in GONE:
            raise CallFault(
                FaultCode.REFUSED,
                f"RuntimeError: {call.method} is not supported any more; use /simple/ in JSON, or /pypi/<name>/json",
            )
        method = self._methods.get(call.method)
        if method is None:
            raise CallFault(FaultCode.UNKNOWN_METHOD, "server error; requested method not found")
        return await method(call.parameters)

    async def _last_serial(self, parameters: Sequence[Any]) -> Document:
        if parameters:
            raise _invalid("changelog_last_serial takes no parameter")
        return await self._document(await journal.select_serial(self._pool))

    async def _since_serial(self, parameters: Sequence[Any]) -> Document:
        match parameters:
            case [int(since)] if type(since) is int and abs(since) < 2**63:
                changes = await changelog.select_changes(self._pool, since, limit=MAX_CHANGES)
                return await self._document([render_change(change) for change in changes])
        raise _invalid("changelog_since_serial takes one integer, a serial")

    async def _packages(self, parameters: Sequence[Any]) -> Document:
        """Return the projects of `/simple/`, rendered once per change of that list."""
        if parameters:
            raise _invalid("list_packages_with_serial takes no parameter")
        page = await self._pages.project_list()
        if self._listed is not None and self._listed.serial == page.serial:
            return self._listed
        return await self._listing.join(page.serial, lambda: self._list(page))

    async def _list(self, page: EncodedPage) -> Document:
        self._listed = await asyncio.to_thread(_render_list, page)
        return self._listed

    async def _search(self, parameters: Sequence[Any]) -> Document:
        query = parse_search(parameters)
        found = await search.select_matching(
            self._pool, query.names, query.summaries, every=query.every, limit=CANDIDATES
        )
        served = await search.select_served_versions(self._pool, [match.id for match in found])
        latest = [(match, latest_version(served.get(match.id, {}))) for match in found]
        # pip drops the whole answer if one version does not follow PEP 440.
        hits = [(match, version) for match, version in latest if version is not None and version_key(version)[0]]
        return await self._document(
            [
                {"name": match.name, "summary": match.summary or "", "version": version}
                for match, version in hits[:MAX_HITS]
            ]
        )

    async def _document(self, value: Value) -> Document:
        serial = await journal.select_serial(self._pool)
        return document_of(serial, await asyncio.to_thread(render_value, value))


@dataclass(frozen=True, slots=True)
class Search:
    """The texts of a search. If `every` is true, all of them must match; otherwise one is enough."""

    names: tuple[str, ...]
    summaries: tuple[str, ...]
    every: bool


def parse_search(parameters: Sequence[Any]) -> Search:
    """Read the parameters of `search`: fields with texts, then "and" (the default) or "or". Raises `CallFault`."""
    match parameters:
        case [dict(fields)]:
            every = True
        case [dict(fields), "and" | "or" as operator]:
            every = operator == "and"
        case _:
            raise _invalid("search takes a struct of texts by field, and 'and' or 'or'")
    # PEP 503: all runs of these characters are equal in names.
    names = tuple(re.sub(r"[-_.]+", "-", text).lower() for text in _texts(fields.get("name", [])))
    summaries = tuple(_texts(fields.get("summary", [])))
    if not names and not summaries:
        raise _invalid("search needs at least one text, in 'name' or 'summary'")
    return Search(names, summaries, every)


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or len(texts) > MAX_TERMS:
        raise _invalid(f"search takes a text for a field, or up to {MAX_TERMS} of them")
    if any(len(text) > MAX_TERM for text in texts):
        raise _invalid(f"search takes texts of up to {MAX_TERM} characters")
    return [text for text in (clean_xml(text).strip() for text in texts) if text]


def _invalid(text: str) -> CallFault:
    return CallFault(FaultCode.INVALID_PARAMETERS, f"server error; invalid method params: {text}")


def _render_list(page: EncodedPage) -> Document:
    listed = msgspec.json.decode(page.forms[Form.JSON].content.plain)["projects"]
    body = render_value({project["name"]: project["_last-serial"] for project in listed})
    return document_of(page.serial, body)
