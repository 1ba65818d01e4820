"""Measures what a change would hide before it is made: how many files, downloads and machines it affects.

Every interface asks the person in the same way. It first requests the change without consent. If the change would hide
served files, `Unconfirmed` says how many, and nothing is changed. The interface shows that, asks the person, and
requests the change again with the consent to exactly that many files.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from koschey.db.impacts import COUNTED, select_download_counts, select_served_covered
from koschey.db.pool import Connection
from koschey.errors import Unconfirmed
from koschey.model import FileId
from koschey.policy.rules import Rule


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change would hide."""

    files: int
    """The number of files that are served now."""
    downloads: int
    """How often they were downloaded."""
    machines: int
    """The number of distinct pairs of account and address that downloaded them, as far as these are known."""

    def __str__(self) -> str:
        least = "at least " if self.downloads >= COUNTED else ""
        times, by = _count(self.downloads, "time"), _count(self.machines, "machine")
        return f"{_count(self.files, 'file')}, downloaded {least}{times} by {least}{by}"


NOTHING = Impact(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person has agreed to hide."""

    files: int | None
    """The number of files; None means any number."""
    is_given: bool = True
    """Whether a person has stated the number."""

    def check(self, impact: Impact, *, always: bool = False) -> None:
        """Raise `Unconfirmed` if a change would hide another number of files than the person agreed to.

        With `always`, a person must also agree to a change that hides no file now.
        """
        is_agreed = self.files is None or (self.is_given and self.files == impact.files)
        if not is_agreed and (impact.files or always):
            raise Unconfirmed(f"this would hide {impact}", **asdict(impact))


NO_CONSENT = Consent(0, is_given=False)
FULL_CONSENT = Consent(None)


def consent_to(files: int | None) -> Consent:
    """Return the consent to hide so many files; None means that no person has been asked yet."""
    return NO_CONSENT if files is None else Consent(files)


async def measure(connection: Connection, closing: Sequence[Rule], files: Sequence[FileId] = ()) -> Impact:
    """Return what would be hidden: the served files that the rules `closing` would close, and these files.

    `closing` are rules that block or reserve; they need not exist.
    """
    covered = await select_served_covered(connection, closing) if closing else []
    hidden = {*covered, *files}
    return Impact(len(hidden), *await select_download_counts(connection, list(hidden))) if hidden else NOTHING


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
