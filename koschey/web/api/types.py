"""The inputs and answers of the management API. These types validate requests and make the OpenAPI document."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from koschey.model import Origin, ProjectStatus, Serial
from koschey.policy.reasons import MAX_REASON
from koschey.quarantine.decide import Choice

WORD = r"^[^\u0000-\u001f\u007f]*$"
"""A text on one line."""

type Reason = Annotated[
    str,
    Meta(
        description="The reason, which the journal keeps.", extra_json_schema={"minLength": 1, "maxLength": MAX_REASON}
    ),
]
"""A reason as the document describes it. `parse_reason` checks it, with the same errors as on all other surfaces."""
type Limit = Annotated[int, Meta(ge=1, le=500, description="Maximum number of entries.")]
type Name = Annotated[str, Meta(min_length=1, max_length=200, description="A project's name, in any spelling.")]
type Version = Annotated[str, Meta(min_length=1, max_length=200, pattern=WORD)]
type Text = Annotated[str, Meta(max_length=200, pattern=WORD)]
type Confirm = (
    Annotated[
        int,
        Meta(
            ge=0,
            description="The number of files that the change hides, as in the answer 428; needed only if it hides any.",
        ),
    ]
    | None
)
MAX_POSITION = 2**63 - 1
type Position = Annotated[int, Meta(ge=0, le=MAX_POSITION)]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body or the query of a request. A request with any other field is refused."""


class Tagged(Struct, frozen=True, kw_only=True):
    """An answer about more than one project, with a number that changes whenever its subject changes."""

    tag: Annotated[int, Meta(description="Its ETag, for a later `If-Match`.")]


class Nothing(Input, frozen=True, kw_only=True):
    """A request with neither a body nor a query."""


class Why(Input, frozen=True, kw_only=True):
    """The reason for a change."""

    reason: Reason


class NewClaim(Input, frozen=True, kw_only=True):
    """The reason for which a name changes hands."""

    reason: Reason
    confirm: Confirm = None


class NewStatus(Input, frozen=True, kw_only=True):
    """A new status of a project (PEP 792). Its page shows the reason, except for `active`."""

    status: ProjectStatus
    reason: Reason


class NewDecision(Input, frozen=True, kw_only=True):
    """A decision about which files are released. Without a version it is about the whole project."""

    choice: Choice
    project: Name
    version: Version | None = None
    reason: Reason
    days: Annotated[
        float | None, Meta(description="For `extend` the minimum, for `except` the maximum number of days from now.")
    ] = None
    filename: Annotated[Text | None, Meta(description="For `except`: one file of the release, with its `sha256`.")] = (
        None
    )
    sha256: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$")] | None = None
    ticket: Annotated[
        Text | None, Meta(description="The ticket that documents the reason; an exception needs one.")
    ] = None
    confirm: Confirm = None
    """For `recall`, and for `block` of a whole project."""


class QuarantineQuery(Input, frozen=True, kw_only=True):
    """Which part of the quarantine."""

    project: Annotated[Text, Meta(description="Only projects whose name contains this.")] = ""
    offset: Position = 0
    limit: Limit = 100


class JournalQuery(Input, frozen=True, kw_only=True):
    """Which part of the journal: the changes after a serial, the oldest first."""

    after: Position = 0
    limit: Limit = 100


class Changed(Struct, frozen=True, kw_only=True):
    """What a request changed: nothing, if it was already so."""

    project: str
    serial: Serial
    changed: bool
    files: tuple[str, ...]
    waits: bool = False
    """Whether the decision is pending, until a second person makes the same decision."""


class DownloadedFile(Struct, frozen=True, kw_only=True):
    """A file that was ever downloaded, even if the log of downloads has deleted the entry."""

    filename: str
    version: str
    sha256: str | None
    downloads: int
    forgotten: int
    """The number of these that the log has deleted; `GET /projects/{project}/downloads` lists the others."""
    first_at: datetime
    last_at: datetime
    accounts: list[str | None]
    """The accounts that ever downloaded it; null means clients without a login."""


class Claimed(Changed, frozen=True, kw_only=True):
    """The result for a name; `files` are no longer served."""

    origin: Origin
    """The origin of the name now."""
    brought_back: tuple[str, ...]
    """Files of the name that came from this origin earlier, and that belong to it again."""
    downloaded: list[DownloadedFile]
    """The files that were ever downloaded under the name, from any origin."""


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457), in terms of the caller's request."""

    type: str
    status: int
    title: str
    detail: str


class Unconfirmed(Problem, frozen=True, kw_only=True):
    """The change would hide files in use. Nothing was changed; the same request with `confirm` carries it out."""

    files: int
    """The number of files that are served now, and would no longer be served."""
    downloads: int
    machines: int
    """The number of different pairs of account and address that downloaded them, as far as they are known."""
    confirm: int
    """The value of `confirm` with which the request is carried out."""
