"""Every error that Koschey raises on purpose, in one tree.

    KoscheyError
    ├── UsageError              the user asked for something that cannot be: what, where, what to do
    │   ├── NotKnown            no such project, release or account
    │   ├── NotAllowed          the identity lacks the permission
    │   ├── Misdirected         the request is for a host that is not ours
    │   ├── Stale               the project is not as whoever asks saw it last
    │   ├── Unconfirmed         it would hide what is in use, and nobody has agreed to that
    │   └── TooManyRequests     somebody waits for more than one can wait for
    │       └── TooManyGuesses  credentials failed too often, and are not checked for a while
    ├── Refused                 an upload that breaks a rule; nothing was kept
    ├── UpstreamError           the upstream did not do its part
    │   ├── UpstreamUnavailable no answer, 5xx, broken off: may work later
    │   ├── UpstreamMissing     404 or 410: it says that there is no such thing
    │   └── UpstreamMalformed   an answer that is no index page, or bytes that do not match their hash
    │       ├── UpstreamMismatch    bytes with another digest than the page promised
    │       └── RangesUnsupported   the whole file where a part was requested
    ├── EgressRefused           an address that Koschey will not connect to
    ├── StoreUnavailable        PostgreSQL or the bucket cannot be used now
    │   ├── StoreRefused        the bucket refuses Koschey: a setting or a right is wrong
    │   └── Damaged             the bucket does not have the bytes that it once stored
    │       ├── ObjectMissing   it has no such object
    │       └── ObjectAltered   it has other bytes under that key
    ├── Busy                    somebody else is at it; ask again soon
    ├── TaskFailed              a background task of this process failed again and again; the process ends
    └── StartError              a command cannot start; the message is the one line the user sees

The message of each is written for the person who reads it.
"""

import math


class KoscheyError(Exception):
    """The root of the tree."""


class UsageError(KoscheyError):
    """The request cannot be carried out as it stands."""


class NotKnown(UsageError):
    """There is nothing of that name here."""


class NotAllowed(UsageError):
    """The identity may not do this."""


class Misdirected(UsageError):
    """The request names a host that this index does not answer for."""


class Stale(UsageError):
    """The project has changed since the serial that the request names."""


class Unconfirmed(UsageError):
    """The change would hide what is in use, and nobody has agreed to just that yet. Nothing was changed."""

    def __init__(self, message: str, *, files: int, downloads: int, machines: int) -> None:
        super().__init__(message)
        self.counts = {"files": files, "downloads": downloads, "machines": machines}
        """How much it would hide, and who has downloaded that."""


class TooManyRequests(UsageError):
    """Somebody has asked for more than one can ask for."""


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
    """The upstream did not do its part."""


class UpstreamUnavailable(UpstreamError):
    """The upstream gave no usable answer; asking later may help."""


class UpstreamMissing(UpstreamError):
    """The upstream says that there is no such project or file."""


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
    """The bucket answers, and refuses: wrong credentials, a missing right, no such bucket."""


class Damaged(StoreUnavailable):
    """The bucket answers, and does not have the bytes that were stored in it."""


class ObjectMissing(Damaged):
    """The bucket has no such object."""


class ObjectAltered(Damaged):
    """The object in the bucket has another size or another digest than the bytes that were stored."""


class Busy(KoscheyError):
    """Another process holds the lease for this; the caller should come back."""


class TaskFailed(KoscheyError):
    """A background task gave up, and its process cannot do its work any more."""


class StartError(KoscheyError):
    """A command cannot start. Exit code 2."""


def _span(seconds: int) -> str:
    """Return a time to wait, as people say it."""
    number, unit = (seconds, "second") if seconds < 60 else (math.ceil(seconds / 60), "minute")
    return f"{number} {unit}{'s' if number != 1 else ''}"
