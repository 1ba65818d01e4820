"""Names that change hands: to private packages, and to their upstream again."""

from collections.abc import Awaitable, Callable

from packaging.utils import NormalizedName

from koschey.auth.permissions import Action
from koschey.db.pool import Connection
from koschey.governance.claims import Handover, claim, release_name
from koschey.model import Actor
from koschey.quarantine.impact import Consent, consent_to
from koschey.web.api.expected import as_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Claimed, DownloadedFile, NewClaim

PROJECT = "/projects/<project>"


@operation("POST", f"{PROJECT}/claim", NewClaim, Claimed, needs=Action.MANAGE, also=(428,))
async def claim_name(call: Call[NewClaim]) -> Claimed:
    """Hand a mirrored name to private packages: its files are served no more, and uploads are accepted."""
    return await _hand_over(claim, call)


@operation("POST", f"{PROJECT}/release-name", NewClaim, Claimed, needs=Action.MANAGE, also=(428,))
async def release_private_name(call: Call[NewClaim]) -> Claimed:
    """Hand a private name to its upstream: the reverse of a claim."""
    return await _hand_over(release_name, call)


async def _hand_over(
    change: Callable[[Connection, Actor, NormalizedName, str, Consent], Awaitable[Handover]], call: Call[NewClaim]
) -> Claimed:
    consent = consent_to(call.sent.confirm)
    async with as_expected(call.project) as connection:
        done = await change(connection, call.actor, call.project, call.sent.reason, consent)
    return Claimed(
        project=done.project,
        serial=done.serial,
        changed=done.changed,
        files=done.set_aside,
        origin=done.origin,
        brought_back=done.brought_back,
        downloaded=[
            DownloadedFile(
                filename=each.filename,
                version=each.version,
                sha256=each.sha256,
                downloads=each.downloads,
                forgotten=each.forgotten,
                first_at=each.first_at,
                last_at=each.last_at,
                accounts=each.accounts,
            )
            for each in done.taken
        ],
    )
