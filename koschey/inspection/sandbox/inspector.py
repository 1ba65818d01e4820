"""Starts the child that reads an archive, and ends it if it takes too long."""

import asyncio
import base64
import signal
import socket
from contextlib import closing
from dataclasses import dataclass

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from koschey.errors import Refused, StoreUnavailable
from koschey.inspection.archives.content import Content
from koschey.inspection.archives.faults import ArchiveFault
from koschey.inspection.archives.limits import MAX_METADATA, MIB, Limits
from koschey.inspection.sandbox.launcher import Children

MAX_ANSWER = 2 * MAX_METADATA
MAX_REPORT = 32 * MIB
"""Maximum number of bytes of a report on content: its lists are bounded, and JSON writes some characters with six."""
NO_STATUS = 255
"""Replaces the exit code of a child if the forking process did not report it."""
AT_ONCE = 4
"""Maximum number of running children of one process; each may use a gigabyte of memory."""


class InspectorAnswer(msgspec.Struct):
    """What the child prints. It is parsed as strictly as the archive, which may have taken over the child."""

    project: str | None = None
    version: str | None = None
    requires_python: str | None = None
    metadata: str | None = None
    faults: tuple[ArchiveFault, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """The metadata in an archive, and its faults."""

    project: NormalizedName
    version: Version
    requires_python: str | None
    metadata: bytes
    """METADATA of a wheel, PKG-INFO of an sdist: byte for byte."""
    faults: tuple[ArchiveFault, ...]
    """Faults on which upload rules with a switch decide."""


class Inspector:
    """Inspects archives, a few at a time. One per process."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._children = Children()

    async def inspect(self, descriptor: int, filename: str) -> Inspected:
        """Inspect the archive that is open under `descriptor`.

        Raises `Refused` if it breaks a rule, and `StoreUnavailable` if the child cannot work.
        """
        printed, status = await self._run(descriptor, filename, "metadata", MAX_ANSWER)
        try:
            answer = msgspec.json.decode(printed, type=InspectorAnswer)
            if answer.refused is not None:
                raise Refused(answer.refused)
            if status != 0 or not answer.project or not answer.version or not answer.metadata:
                raise ValueError(printed)
            return Inspected(
                NormalizedName(answer.project),
                Version(answer.version),
                answer.requires_python,
                base64.b64decode(answer.metadata),
                answer.faults,
            )
        except (msgspec.MsgspecError, ValueError) as error:
            # A server error, not the uploader's fault: the child could not even say what is wrong.
            raise StoreUnavailable(f"{filename} could not be inspected; its child ended with {status}") from error

    async def read_content(self, descriptor: int, filename: str) -> Content:
        """Return what an archive contains. If it breaks a rule, `refused` says which; that is not an error.

        Raises `Refused` if it cannot be read within the limits, and `StoreUnavailable` if the child cannot work.
        """
        printed, status = await self._run(descriptor, filename, "content", MAX_REPORT)
        try:
            if status != 0:
                raise ValueError(status)
            return msgspec.json.decode(printed, type=Content)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StoreUnavailable(f"{filename} could not be inspected; its child ended with {status}") from error

    async def _run(self, descriptor: int, filename: str, wanted: str, most: int) -> tuple[bytes, int]:
        """Run the child, and return what it printed and how it ended. Raises `Refused` if a limit ended it."""
        async with self._turns:
            try:
                printed, status = await self._run_child(descriptor, filename, wanted, most)
            except OSError as error:
                raise StoreUnavailable(f"{filename} could not be inspected: no child can be started") from error
        if status < 0:
            raise Refused(self._explain(filename, signal.Signals(-status)))
        return printed, status

    async def _run_child(self, descriptor: int, filename: str, wanted: str, most: int) -> tuple[bytes, int]:
        limits = self._limits
        child = self._children.start(descriptor, filename, limits.memory, limits.cpu, wanted)
        with closing(child):
            try:
                async with asyncio.timeout(limits.wall):
                    return await _read(child.answer, most), int(await _receive(child.line) or NO_STATUS)
            except TimeoutError:
                raise Refused(f"{filename} could not be read within {limits.wall:g} seconds.") from None

    def _explain(self, filename: str, ended_by: signal.Signals) -> str:
        if ended_by in (signal.SIGXCPU, signal.SIGKILL):
            return f"{filename} could not be read within {self._limits.cpu} seconds of processor time."
        return f"{filename} could not be read within {self._limits.memory // MIB} MiB of memory ({ended_by.name})."


async def _read(answer: socket.socket, most: int) -> bytes:
    printed = bytearray()
    while chunk := await _receive(answer):
        printed += chunk
        if len(printed) > most:
            raise Refused("The archive's metadata is too large.")
    return bytes(printed)


async def _receive(source: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(source, 2**16)
