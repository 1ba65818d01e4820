"""Limits on the fields of upload forms: for each form, and for all forms that a process reads at once."""

from dataclasses import dataclass
from typing import Self

from koschey.errors import Busy, Refused
from koschey.settings import Settings

MIB = 2**20
OVERHEAD = 300
"""Bytes of memory that a field needs in addition to its name and its text."""
ALL_FORMS = 32 * MIB
"""Maximum bytes of all forms that one process holds. Forms of large projects have about 0.3 MiB."""


@dataclass(frozen=True, slots=True)
class FormLimits:
    """The limits for one form."""

    fields: int = 20_000
    bytes: int = 12 * MIB

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the operator has set."""
        return cls(settings.max_form_fields, int(settings.max_form_mib * MIB))

    def check(self, fields: int, size: int, name: str) -> None:
        """Raise `Refused` if a form exceeds a limit with the field `name`, its latest so far."""
        if fields > self.fields:
            raise Refused(
                f"The form has more than {self.fields:,} fields; {name[:100]!a} is one too many. Leave out fields, "
                "because Koschey uses the metadata in the file, or ask an admin to raise KOSCHEY_MAX_FORM_FIELDS.",
                status=413,
            )
        if size > self.bytes:
            raise Refused(
                f"The fields of the form are larger than {self.bytes / MIB:g} MiB together, at the field "
                f"{name[:100]!a}. Shorten it, or ask an admin to raise KOSCHEY_MAX_FORM_MIB.",
                status=413,
            )


class FormBudget:
    """The memory that all forms in one process share."""

    def __init__(self, size: int = ALL_FORMS) -> None:
        self._left = size

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes. Raises `Busy` if other uploads hold too many of them."""
        if size > self._left:
            raise Busy("the forms of all current uploads together are too large; try again soon")
        self._left -= size

    def release(self, size: int) -> None:
        """Release `size` reserved bytes."""
        self._left += size
