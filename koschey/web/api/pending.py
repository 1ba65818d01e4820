"""Pending work of reviewers: decisions that need a second person, and exceptions that will expire."""

from typing import Annotated

from msgspec import Meta, Struct

from koschey.auth.permissions import Action
from koschey.quarantine import attention
from koschey.quarantine.attention import FileException, OpenProposal
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Nothing
from koschey.web.context import resources


class Proposals(Struct, frozen=True, kw_only=True):
    """All decisions that need a second person."""

    proposals: list[OpenProposal]


@operation("GET", "/proposals", Nothing, Proposals, needs=Action.AUDIT, overview=True)
async def read_proposals(_call: Call[Nothing]) -> Proposals:
    """Return decisions that need a second person, the oldest first."""
    return Proposals(proposals=await attention.read_proposals(resources().pool))


class ExceptionsQuery(Input, frozen=True, kw_only=True):
    """Which exceptions."""

    within: Annotated[float, Meta(ge=0, le=36500, description="Only those that expire within so many days.")] | None = (
        None
    )


class Exceptions(Struct, frozen=True, kw_only=True):
    """Active exceptions, those that expire first at the top."""

    exceptions: list[FileException]


@operation("GET", "/exceptions", ExceptionsQuery, Exceptions, needs=Action.AUDIT, overview=True)
async def read_exceptions(call: Call[ExceptionsQuery]) -> Exceptions:
    """Return the active exceptions, those that expire first at the top."""
    return Exceptions(exceptions=await attention.read_exceptions(resources().pool, call.sent.within))
