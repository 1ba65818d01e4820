"""What the management API takes and answers. The document is made from these types, and so is what is refused."""

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
    Meta(description="Why; it is kept in the journal.", extra_json_schema={"minLength": 1, "maxLength": MAX_REASON}),
]
"""What the document says of it. `parse_reason` reads it, with the same words as at every other door."""
type Limit = Annotated[int, Meta(ge=1, le=500, description="How many at most.")]
type Name = Annotated[str, Meta(min_length=1, max_length=200, description="A project's name, in any spelling.")]
type Version = Annotated[str, Meta(min_length=1, max_length=200, pattern=WORD)]
type Text = Annotated[str, Meta(max_length=200, pattern=WORD)]
type Confirm = (
    Annotated[
        int,
        Meta(ge=0, description="How many files this hides, as an answer 428 has it; not needed where it hides none."),
    ]
    | None
)
MAX_POSITION = 2**63 - 1
type Position = Annotated[int, Meta(ge=0, le=MAX_POSITION)]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body or the query of a request. What it does not name is refused."""


class Tagged(Struct, frozen=True, kw_only=True):
    """An answer about more than one project, with a number that differs where what it is about does."""

    tag: Annotated[int, Meta(description="Its ETag, for a later `If-Match`.")]


class Nothing(Input, frozen=True, kw_only=True):
    """A request that says all in its path."""


class Why(Input, frozen=True, kw_only=True):
    """The reason of a change."""

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
        float | None, Meta(description="Of `extend` and `except`: days from now on, at least or at most.")
    ] = None
    filename: Annotated[Text | None, Meta(description="Of `except`: one file of the release, with its `sha256`.")] = (
        None
    )
    sha256: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$")] | None = None
    ticket: Annotated[Text | None, Meta(description="Where the reason is written down; an exception needs it.")] = None
    confirm: Confirm = None
    """Of `recall`, and of `block` for a whole project."""


class QuarantineQuery(Input, frozen=True, kw_only=True):
    """Which part of the quarantine."""

    project: Annotated[Text, Meta(description="Only projects whose name contains this.")] = ""
    offset: Position = 0
    limit: Limit = 100


class JournalQuery(Input, frozen=True, kw_only=True):
    """Which part of the journal: what came after a serial, the oldest first."""

    after: Position = 0
    limit: Limit = 100


class Changed(Struct, frozen=True, kw_only=True):
    """What a request changed: nothing, where it was so already."""

    project: str
    serial: Serial
    changed: bool
    files: tuple[str, ...]
    waits: bool = False
    """It is active once a second person makes the same decision."""


class DownloadedFile(Struct, frozen=True, kw_only=True):
    """A file that was ever downloaded, also where the log of downloads has forgotten that."""

    filename: str
    version: str
    sha256: str | None
    downloads: int
    forgotten: int
    """How many of these the log of downloads has forgotten; `GET /projects/{project}/downloads` has the others."""
    first_at: datetime
    last_at: datetime
    accounts: list[str | None]
    """Those that ever downloaded it; null means clients without a login."""


class Claimed(Changed, frozen=True, kw_only=True):
    """What became of a name; `files` are served no more."""

    origin: Origin
    """Whose the name is now."""
    brought_back: tuple[str, ...]
    """Files that the name had from this origin at an earlier time."""
    downloaded: list[DownloadedFile]
    """What was ever downloaded under the name, from whatever origin."""


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457), in the words of the caller."""

    type: str
    status: int
    title: str
    detail: str


class Unconfirmed(Problem, frozen=True, kw_only=True):
    """A change would hide what is in use. Nothing was changed; the same request with `confirm` carries it out."""

    files: int
    """Files that are served now, and would be no more."""
    downloads: int
    machines: int
    """Different pairs of account and address that downloaded them, as far as that is known."""
    confirm: int
    """What the request must say to be carried out."""
