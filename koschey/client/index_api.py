"""The client of a running Koschey's API. It uses the URL that pip and uv use."""

import base64
import netrc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from koschey import addresses
from koschey.client.http import HttpClient, open_egress
from koschey.conformance.client import HttpAnswer
from koschey.errors import EgressRefused, StartError, UpstreamError, UsageError
from koschey.policy.availability import MAX_PINS, Availability, Explanation, Pin
from koschey.texts import on_one_line

MAX_LOCK = 900_000
"""Maximum size of one list of pins, in bytes; the index accepts 2**20."""
JSON = "application/json"


class _CheckedPin(msgspec.Struct):
    project: str
    version: str
    state: Availability
    reason: str
    release_at: Any
    free: str | None


class IndexApi:
    """The API of one index. Credentials come from its URL, or from the netrc file, as for pip and uv."""

    def __init__(self, client: HttpClient, index: str) -> None:
        parts = urlsplit(index)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StartError(
                f"{index!r} is not the URL of an index; such a URL looks like http://localhost:8080/simple/"
            )
        host = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/").removesuffix("/simple")
        self.root = urlunsplit((parts.scheme, host, path, "", ""))
        self._client = client
        self._headers = {"Accept": JSON, "Accept_Encoding": "identity"}
        if credentials := _from_url(index) or _from_netrc(parts.hostname):
            token = base64.b64encode(":".join(credentials).encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    @classmethod
    @asynccontextmanager
    async def open(cls, index: str) -> AsyncIterator[Self]:
        """Open the connections to an index. Raises `StartError` if the URL is invalid."""
        async with open_egress(index) as egress:
            yield cls(HttpClient(egress), index)

    @property
    def shown(self) -> str:
        """The index's URL for messages: without credentials."""
        return self.root + addresses.PROJECT_LIST

    async def explain(self, project: str, version: str) -> Explanation:
        """Explain one release. Raises `UsageError` if the index refuses, and `StartError` if it does not answer."""
        answer = await self._send("GET", addresses.held_release(project, version))
        return self._read(answer, Explanation)

    async def request(self, project: str, version: str, reason: str) -> dict[str, Any]:
        """Request a release. Raises what `explain` raises."""
        body = msgspec.json.encode({"project": project, "version": version, "reason": reason})
        return self._read(await self._send("POST", addresses.REQUESTS, body), dict[str, Any])

    async def preflight(self, pins: Sequence[Pin]) -> list[Explanation]:
        """Explain every pin, in portions. Pins that the index had no time for are sent again while that helps.

        Raises what `explain` raises.
        """
        explanations = dict(zip(pins, await self._preflight(pins), strict=True))
        while left := [pin for pin, said in explanations.items() if said.state is Availability.UNKNOWN]:
            again = await self._preflight(left)
            explanations |= zip(left, again, strict=True)
            if sum(said.state is Availability.UNKNOWN for said in again) == len(left):
                break
        return [explanations[pin] for pin in pins]

    async def _preflight(self, pins: Sequence[Pin]) -> list[Explanation]:
        explanations: list[Explanation] = []
        for body in _portions(pins):
            found = self._read(await self._send("POST", addresses.PREFLIGHT, body), dict[str, list[_CheckedPin]])
            explanations += [_as_explanation(each) for each in found["pins"]]
        return explanations

    async def _send(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        headers = self._headers | ({"Content_Type": JSON} if body else {})
        try:
            answer = await self._client.send(self.root + path, method, body, **headers)
        except (UpstreamError, EgressRefused) as error:
            raise StartError(f"the index {self.shown} cannot be reached: {error}") from None
        if answer.status == 401:
            raise StartError(
                f"the index {self.shown} requires a login: put it into the URL, as http://__token__:TOKEN@host, "
                "or into ~/.netrc"
            )
        if answer.status != 200:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: HttpAnswer) -> UsageError | StartError:
        if answer.media_type == "application/problem+json" and answer.status < 500:
            return UsageError(on_one_line(str(answer.json.get("detail"))))
        return StartError(f"{answer.url} answered with {answer.status}; is {self.shown} a Koschey index?")

    def _read[T](self, answer: HttpAnswer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise StartError(f"{answer.url} did not answer as Koschey does: {error}") from None


def _portions(pins: Sequence[Pin]) -> list[bytes]:
    """Return the bodies of requests, none of them too large."""
    body = msgspec.json.encode({"pins": [{"name": p.project, "version": p.version, "hashes": p.hashes} for p in pins]})
    if len(pins) <= 1 or (len(pins) <= MAX_PINS and len(body) <= MAX_LOCK):
        return [body] if pins else []
    middle = len(pins) // 2
    return [*_portions(pins[:middle]), *_portions(pins[middle:])]


def _as_explanation(pin: _CheckedPin) -> Explanation:
    return msgspec.convert(msgspec.to_builtins(pin), Explanation)


def _from_url(index: str) -> tuple[str, str] | None:
    parts = urlsplit(index)
    return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))


def _from_netrc(host: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None
