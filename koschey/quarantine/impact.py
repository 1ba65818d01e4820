"""What a change would hide, told to the person before it is made: how many files, downloads and machines it meets.

Every door asks the same way. It carries the change out without consent first; where the change would hide something,
`Unconfirmed` says how much, and nothing is changed. The door shows that, asks, and carries it out with the consent to
just that many files.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from koschey.db.impacts import COUNTED, select_served_covered, select_takers
from koschey.db.pool import Connection
from koschey.errors import Unconfirmed
from koschey.model import FileId
from koschey.policy.rules import Rule


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change would hide."""

    files: int
    """Files that are served now."""
    downloads: int
    """How often they were downloaded."""
    machines: int
    """Different pairs of account and address that downloaded them, as far as that is known."""

    def __str__(self) -> str:
        least = "at least " if self.downloads >= COUNTED else ""
        times, by = _count(self.downloads, "time"), _count(self.machines, "machine")
        return f"{_count(self.files, 'file')}, downloaded {least}{times} by {least}{by}"


NOTHING = Impact(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person has agreed to hide."""

    files: int | None
    """So many files; None: whatever it is."""
    is_given: bool = True
    """Whether a person was asked."""

    def check(self, impact: Impact, *, always: bool = False) -> None:
        """Raise `Unconfirmed` where a change would hide other than what was agreed to.

        With `always` a person must agree also to a change that hides nothing now.
        """
        is_agreed = self.files is None or (self.is_given and self.files == impact.files)
        if not is_agreed and (impact.files or always):
            raise Unconfirmed(f"this would hide {impact}", **asdict(impact))


NO_CONSENT = Consent(0, is_given=False)
FULL_CONSENT = Consent(None)


def consent_to(files: int | None) -> Consent:
    """Return the consent to hide so many files; None stands for a person who was not asked yet."""
    return NO_CONSENT if files is None else Consent(files)


async def measure(connection: Connection, closing: Sequence[Rule], files: Sequence[FileId] = ()) -> Impact:
    """Return what would be hidden: what is served and rules of these kinds would close, and these files.

    `closing` are rules that block or reserve; they need not exist.
    """
    covered = await select_served_covered(connection, closing) if closing else []
    hidden = {*covered, *files}
    return Impact(len(hidden), *await select_takers(connection, list(hidden))) if hidden else NOTHING


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
