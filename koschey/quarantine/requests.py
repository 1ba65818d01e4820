"""Requests for releases that are not served: reviewers see who needs a release, and why."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from packaging.utils import NormalizedName

from koschey.db.pool import ACQUIRE_TIMEOUT, Pool
from koschey.db.requests import count_others, upsert_request
from koschey.errors import NotKnown, TooManyRequests, UsageError
from koschey.policy.availability import ASKABLE, Availability, Explanation
from koschey.policy.reasons import parse_reason
from koschey.quarantine.explanations import explain

MAX_OPEN = 100
"""Maximum number of open requests of one account or address."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that was recorded."""

    explanation: Explanation
    who: str
    times: int


async def record_request(
    pool: Pool, project: NormalizedName, version: str, who: str, reason: str, usual: timedelta
) -> RecordedRequest:
    """Record that a client needs a release.

    Raises `UsageError` if the release is served or can never be, `NotKnown` if it does not exist, and
    `TooManyRequests` if the client has too many open requests.
    """
    why = parse_reason(reason)
    explanation = await explain(pool, project, version, usual)
    _check(explanation)
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection, connection.transaction():
        if await count_others(connection, who, project, explanation.version) >= MAX_OPEN:
            raise TooManyRequests(
                f"{who} already has {MAX_OPEN} open requests; request again when reviewers have answered some of them"
            )
        times = await upsert_request(connection, project, explanation.version, who, why)
    return RecordedRequest(explanation, who, times)


def _check(explanation: Explanation) -> None:
    release = f"{explanation.project}=={explanation.version}"
    if explanation.state is Availability.SERVED:
        raise UsageError(f"{release} is already served; it needs no request")
    if explanation.state not in ASKABLE and explanation.files:
        raise UsageError(f"{release} is {explanation.state}: {explanation.reason}")
    if not explanation.files:
        raise NotKnown(f"{release} is not known here; request the project's page first, or check the spelling")


def requester_name(account: str | None, address: str | None) -> str:
    """Return the name under which a request is counted: the account, otherwise the address.

    An IPv6 address is replaced by its /64 network, because one machine can use any number of IPv6 addresses.
    """
    if account is not None:
        return account
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return "somebody"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
