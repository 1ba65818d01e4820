"""Requests of Koschey's own on real sockets: how they are made, who counts them, and names that resolve as told."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from koschey.settings.private_hosts import parse_private_hosts
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress, read_chunks
from tests.support.upstream.server import Upstream

LISTED = parse_private_hosts("127.0.0.1")


class Trap:
    """A server on loopback that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def _count(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    @classmethod
    @asynccontextmanager
    async def set_up(cls) -> AsyncIterator[Self]:
        """Listen on a port of its own."""
        trap = cls()
        server = await asyncio.start_server(trap._count, "127.0.0.1", 0)
        trap.port = server.sockets[0].getsockname()[1]
        async with server:
            yield trap
            await asyncio.sleep(0)


@dataclass
class Zone:
    """A resolver that answers from a list, each answer once and the last for ever."""

    answers: list[list[str]]
    asked: int = 0
    seen: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, _family: int = 0) -> list[ResolveResult]:
        self.seen.append(host)
        if not self.answers:
            raise OSError(None, "DNS lookup failed")
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


def answer_names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Zone:
    """Have every name resolve to these addresses, one list for each request; to none without a list."""
    zone = Zone(list(answers))
    monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: zone)
    return zone


async def get(egress: Egress, url: str) -> tuple[int, str, bytes]:
    """Status, address and body of an answer, after its redirects."""
    async with egress.get(url, {}) as response:
        body = b"".join([chunk async for chunk in read_chunks(response)])
        return response.status, str(response.url), body


def client(egress: Egress, upstream: Upstream, *, max_page: int = 2**20, max_file: int = 2**20) -> UpstreamClient:
    """A client of the upstream, with limits of a MiB."""
    return UpstreamClient(egress, upstream.url, max_page=max_page, max_file=max_file)
