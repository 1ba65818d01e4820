"""Finds the index's file from which a distribution was installed, and where the index has it from (PEP 710).

An installed distribution is mapped to the one wheel of its release that has the tags in its WHEEL file, and whose core
metadata has the digest of its METADATA. This distinguishes the wheels of a release; it does not prove that nobody has
changed an installed module since.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename

from koschey.client.http import open_egress
from koschey.client.installed import DIRECT, Distribution
from koschey.errors import EgressRefused, UpstreamError, UpstreamMissing, UsageError
from koschey.model import UpstreamFile
from koschey.standards.provenance import parse_provenance
from koschey.upstream.client import UpstreamClient

AT_ONCE = 8
"""Maximum number of distributions that are looked up at once."""
MAX_PAGE = 100 * 2**20
"""Maximum size of a page, in bytes."""


class Kind(StrEnum):
    """How much is known about the source of a distribution."""

    MIRRORED = "mirrored"
    """The index downloaded the file, and has a record of that."""
    PRIVATE = "private"
    """The index hosts the file. It downloaded nothing from elsewhere, so it has no record."""
    DIRECT = "direct"
    """PEP 610: the distribution did not come from an index by its name; its own file says where from."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DistributionOrigin:
    """The source of one distribution."""

    name: str
    version: str
    kind: Kind
    url: str | None = None
    sha256: str | None = None
    record: bytes | None = None
    """The provenance record (PEP 710), as the index has it."""
    why: str = ""
    """If the kind is unknown: what is missing, in words for the user."""


async def find_origins(distributions: Sequence[Distribution], index: str) -> list[DistributionOrigin]:
    """Look up every distribution in the index whose Simple API is at `index`; return them in the same order.

    A distribution whose source cannot be found is `Kind.UNKNOWN`, with the reason; no error of the index is raised.
    """
    async with open_egress(index) as egress:
        finder = OriginFinder(UpstreamClient(egress, index, max_page=MAX_PAGE, max_file=0))
        return list(await asyncio.gather(*(finder.find(distribution) for distribution in distributions)))


class OriginFinder:
    """Looks up distributions in one index."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(self, distribution: Distribution) -> DistributionOrigin:
        """Find the source of a distribution. An error becomes part of the answer."""
        if distribution.is_direct:
            return _read_direct(distribution)
        try:
            async with self._turns:
                return await self._find(distribution)
        except UpstreamMissing:
            why = f"the index has no project {distribution.project}"
        except (UpstreamError, EgressRefused, UsageError) as error:
            why = str(error)
        return DistributionOrigin(distribution.project, distribution.version, Kind.UNKNOWN, why=why)

    async def _find(self, distribution: Distribution) -> DistributionOrigin:
        name, version = distribution.project, distribution.version
        file = _choose(distribution, await self._list(name))
        answer = await self._client.fetch_record(file.url)
        if answer.record is not None:
            url, sha256 = parse_provenance(answer.record)
            if sha256 != file.sha256:
                raise UsageError(f"the index's record of {file.filename} is about other bytes than its page")
            return DistributionOrigin(name, version, Kind.MIRRORED, url, sha256, answer.record)
        if answer.hosted:
            return DistributionOrigin(name, version, Kind.PRIVATE, file.url, file.sha256)
        raise UsageError(
            f"the index has no record of where {file.filename} came from; the index may not have stored it yet"
        )

    async def _list(self, project: NormalizedName) -> Sequence[UpstreamFile]:
        page = await self._client.fetch_page(project, None)
        assert page is not None, "no ETag was sent"
        return page.files


def _choose(distribution: Distribution, files: Sequence[UpstreamFile]) -> UpstreamFile:
    """Return the wheel that was installed. Raises `UsageError` unless exactly one fits."""
    release = [file for file in files if file.version == distribution.version]
    if not release:
        raise UsageError(f"the index lists no file of version {distribution.version}; it may be held or blocked there")
    fitting = [file for file in release if _fits(distribution, file.filename)]
    if not fitting:
        raise UsageError("no wheel of the index has its tags; it may have been built from an sdist")
    same = [file for file in fitting if file.core_metadata == distribution.metadata]
    if len(same) == 1:
        return same[0]
    if same:
        raise UsageError("several wheels of the index fit: " + ", ".join(file.filename for file in same))
    if not any(file.core_metadata for file in fitting):
        raise UsageError("the index gives no digest of core metadata (PEP 658) to compare with")
    raise UsageError("its METADATA is not that of the index's wheel; it was built or changed elsewhere")


def _fits(distribution: Distribution, filename: str) -> bool:
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return tags == distribution.tags and "".join(str(part) for part in build) == distribution.build


class _DirectUrl(msgspec.Struct):
    url: str = ""


def _read_direct(distribution: Distribution) -> DistributionOrigin:
    try:
        direct = msgspec.json.decode((distribution.folder / DIRECT).read_bytes(), type=_DirectUrl)
    except (msgspec.DecodeError, UnicodeError, OSError) as error:
        why = f"its {DIRECT} cannot be read: {error}"
        return DistributionOrigin(distribution.project, distribution.version, Kind.UNKNOWN, why=why)
    return DistributionOrigin(distribution.project, distribution.version, Kind.DIRECT, direct.url or None)
