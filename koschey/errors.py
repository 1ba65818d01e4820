"""Every error that Koschey raises on purpose, in one tree.

    KoscheyError
    ├── UsageError              the request cannot be carried out: what is wrong, where, what to do
    │   ├── NotKnown            no such project, release or account
    │   ├── NotAllowed          the identity lacks the permission
    │   ├── Misdirected         the request is for a host that this index does not serve
    │   ├── Stale               the project has changed since the client last saw it
    │   ├── Unconfirmed         the change would hide files that are in use, and nobody has agreed to that
    │   └── TooManyRequests     the client has reached the limit of open requests
    │       └── TooManyGuesses  credentials failed too often, and are not checked for a while
    ├── Refused                 an upload breaks a rule; nothing was stored
    ├── UpstreamError           the upstream failed
    │   ├── UpstreamUnavailable it gave no answer, or 5xx, or broke off: may work later
    │   ├── UpstreamMissing     it answered 404 or 410: it has no such project or file
    │   └── UpstreamMalformed   its answer is not an index page, or its bytes do not match their digest
    │       ├── UpstreamMismatch    it sent bytes with another digest than the page promised
    │       └── RangesUnsupported   it sent the whole file when a part was requested
    ├── EgressRefused           Koschey does not connect to this address
    ├── StoreUnavailable        PostgreSQL or the bucket cannot be used now
    │   ├── StoreRefused        the bucket refuses Koschey: a setting or a permission is wrong
    │   └── Damaged             the bucket does not have the bytes that it once stored
    │       ├── ObjectMissing   it has no such object
    │       └── ObjectAltered   it has other bytes under that key
    ├── Busy                    the work cannot be done at this moment: try again soon
    ├── TaskFailed              a background task of this process failed repeatedly; the process ends
    └── StartError              a command cannot start; the message is the one line that the user sees

The message of each is written for the person who reads it.
"""

import math


class KoscheyError(Exception):
    """The root of the tree."""


class UsageError(KoscheyError):
    """The request cannot be carried out in this form."""


class NotKnown(UsageError):
    """The index has nothing of that name."""


class NotAllowed(UsageError):
    """The identity may not do this."""


class Misdirected(UsageError):
    """The request is for a host that this index does not serve."""


class Stale(UsageError):
    """The project has changed since the serial that the request names."""


class Unconfirmed(UsageError):
    """The change would hide files that are in use, and nobody has agreed to exactly that. Nothing was changed."""

    def __init__(self, message: str, *, files: int, downloads: int, machines: int) -> None:
        super().__init__(message)
        self.counts = {"files": files, "downloads": downloads, "machines": machines}
        """How many files it would hide, how often they were downloaded, and by how many machines."""


class TooManyRequests(UsageError):
    """The client has reached the limit of open requests."""


class TooManyGuesses(TooManyRequests):
    """Credentials failed too often. `retry_after` is the number of seconds after which they are checked again."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = math.ceil(retry_after)
        super().__init__(f"Too many failed logins. Try again in {_span(self.retry_after)}.")


class Refused(KoscheyError):
    """An upload breaks a rule.

    `status` is the HTTP status that the legacy upload API uses for this rule.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class UpstreamError(KoscheyError):
    """The upstream failed."""


class UpstreamUnavailable(UpstreamError):
    """The upstream gave no usable answer. A later request may succeed."""


class UpstreamMissing(UpstreamError):
    """The upstream says that it has no such project or file."""


class UpstreamMalformed(UpstreamError):
    """The upstream answered with something that cannot be trusted."""


class UpstreamMismatch(UpstreamMalformed):
    """The upstream sent other bytes than its page promised."""


class RangesUnsupported(UpstreamMalformed):
    """The upstream does not serve parts of files (RFC 9110, 14.2: it may ignore `Range`)."""


class EgressRefused(KoscheyError):
    """The egress policy forbids this address."""


class StoreUnavailable(KoscheyError):
    """A store that Koschey needs does not answer."""


class StoreRefused(StoreUnavailable):
    """The bucket answers, and refuses: wrong credentials, a missing permission, no such bucket."""


class Damaged(StoreUnavailable):
    """The bucket answers, but does not have the bytes that were stored in it."""


class ObjectMissing(Damaged):
    """The bucket has no such object."""


class ObjectAltered(Damaged):
    """The object in the bucket has another size or another digest than the bytes that were stored."""


class Busy(KoscheyError):
    """Others do this work or wait for it, or this process is stopping. The caller should try again soon."""


class JustChanged(Busy):
    """A file is no longer served: it was blocked, for example, after it was judged."""


class JournalAltered(KoscheyError):
    """The journal is not the one that was written."""


class TaskFailed(KoscheyError):
    """A background task gave up, so its process cannot do its work any more."""


class StartError(KoscheyError):
    """A command cannot start. Exit code 2."""


def _span(seconds: int) -> str:
    """Return a time to wait in words."""
    number, unit = (seconds, "second") if seconds < 60 else (math.ceil(seconds / 60), "minute")
    return f"{number} {unit}{'s' if number != 1 else ''}"
