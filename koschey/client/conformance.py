"""Examines an index over HTTP: gives the checks of `koschey.conformance` the client that they need."""

from collections.abc import Sequence

from koschey.client.http import HttpClient, open_egress
from koschey.conformance.examine import Result, examine


async def examine_index(url: str, names: Sequence[str] = ()) -> list[Result]:
    """Run every check against the index whose Simple API is at `url`. Raises what `examine` raises."""
    async with open_egress(url) as egress:
        return await examine(HttpClient(egress), url, names)
