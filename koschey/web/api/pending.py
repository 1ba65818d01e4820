"""What people still have to look at: decisions that wait for a second person, and exceptions that end."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from koschey.auth.permissions import Action
from koschey.db.projects import select_now
from koschey.db.proposals import select_open_proposals
from koschey.db.rules import select_exceptions
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Nothing
from koschey.web.context import resources


class OpenProposal(Struct, frozen=True, kw_only=True):
    """A decision of one person. Whoever else decides the same about the same bytes puts it in force."""

    action: str
    project: str
    version: str | None
    digests: list[str]
    reason: str
    ticket: str | None
    expires_at: datetime | None
    actor: str
    door: str
    at: datetime | None


class Proposals(Struct, frozen=True, kw_only=True):
    """All decisions that wait for a second person."""

    proposals: list[OpenProposal]


@operation("GET", "/proposals", Nothing, Proposals, needs=Action.DECIDE)
async def read_proposals(_call: Call[Nothing]) -> Proposals:
    """Return what waits for a second person, the oldest first."""
    found = await select_open_proposals(resources().pool)
    return Proposals(proposals=[OpenProposal(**proposal._asdict()) for proposal in found])


class ExceptionsQuery(Input, frozen=True, kw_only=True):
    """Which exceptions."""

    within: Annotated[float, Meta(ge=0, le=36500, description="Only those that end in so many days.")] | None = None


class FileException(Struct, frozen=True, kw_only=True):
    """Bytes that are served though they are held, until when, and who asked for it."""

    project: str
    version: str | None
    filename: str
    sha256: str
    expires_at: datetime | None
    actor: str
    seconded_by: str | None
    ticket: str | None
    reason: str


class Exceptions(Struct, frozen=True, kw_only=True):
    """Exceptions that are in force, those that end first at the top."""

    exceptions: list[FileException]


@operation("GET", "/exceptions", ExceptionsQuery, Exceptions, needs=Action.DECIDE)
async def read_exceptions(call: Call[ExceptionsQuery]) -> Exceptions:
    """Return the exceptions that are in force, those that end first at the top."""
    pool, within = resources().pool, call.sent.within
    until = await select_now(pool) + timedelta(days=within) if within is not None else None
    return Exceptions(
        exceptions=[
            FileException(
                project=rule.scope,
                version=rule.version,
                filename=rule.subject,
                sha256=rule.value,
                expires_at=rule.expires_at,
                actor=rule.actor,
                seconded_by=rule.seconded_by,
                ticket=rule.ticket,
                reason=rule.reason,
            )
            for rule in await select_exceptions(pool, until)
        ]
    )
