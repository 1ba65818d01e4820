"""Hands names from their upstream to private packages, and back."""

from koschey.auth.permissions import Action
from koschey.governance.claims import Handover, claim, release_name
from koschey.quarantine.impact import consent_to
from koschey.web.api.expected import read_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Claimed, DownloadedFile, NewClaim
from koschey.web.context import resources

PROJECT = "/projects/<project>"


@operation("POST", f"{PROJECT}/claim", NewClaim, Claimed, needs=Action.MANAGE, also=(428,))
async def claim_name(call: Call[NewClaim]) -> Claimed:
    """Hand a mirrored name to private packages: its files are no longer served, and uploads are accepted."""
    consent, expected = consent_to(call.sent.confirm), read_expected()
    arguments = (call.actor, call.project, call.sent.reason, consent, expected)
    return _show(await resources().with_connection(claim, *arguments))


@operation("POST", f"{PROJECT}/release-name", NewClaim, Claimed, needs=Action.MANAGE, also=(428,))
async def release_private_name(call: Call[NewClaim]) -> Claimed:
    """Hand a private name to its upstream: the reverse of a claim."""
    consent, expected = consent_to(call.sent.confirm), read_expected()
    arguments = (call.actor, call.project, call.sent.reason, consent, expected)
    return _show(await resources().with_connection(release_name, *arguments))


def _show(done: Handover) -> Claimed:
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
            for each in done.downloaded_files
        ],
    )
