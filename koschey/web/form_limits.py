"""What the fields of upload forms may cost: each form by itself, and all that a process reads at once."""

from dataclasses import dataclass
from typing import Self

from koschey.errors import Busy, Refused
from koschey.settings import Settings

MIB = 2**20
OVERHEAD = 300
"""Bytes that a field costs beside its name and its text."""
ALL_FORMS = 32 * MIB
"""Bytes of all forms that one process reads or works with. Forms of large projects have about 0.3 MiB."""


@dataclass(frozen=True, slots=True)
class FormLimits:
    """The bounds of one form."""

    fields: int = 20_000
    bytes: int = 12 * MIB

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the bounds that the operator has set."""
        return cls(settings.max_form_fields, int(settings.max_form_mib * MIB))

    def check(self, fields: int, size: int, name: str) -> None:
        """Raise `Refused` where a form has too much with the field `name`, which is its last so far."""
        if fields > self.fields:
            raise Refused(
                f"The form has more than {self.fields:,} fields; {name[:100]!a} is one too many. Leave fields out, for "
                "what counts stands in the file, or have an admin raise KOSCHEY_MAX_FORM_FIELDS.",
                status=413,
            )
        if size > self.bytes:
            raise Refused(
                f"The fields of the form are larger than {self.bytes / MIB:g} MiB together, at the field "
                f"{name[:100]!a}. Shorten it, or have an admin raise KOSCHEY_MAX_FORM_MIB.",
                status=413,
            )


class FormBudget:
    """The memory that all forms under way in one process share."""

    def __init__(self, size: int = ALL_FORMS) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Take a part of it. Raises `Busy` where other uploads have the rest."""
        if size > self._left:
            raise Busy("the forms of the uploads that arrive now are too large together; try again soon")
        self._left -= size

    def give(self, size: int) -> None:
        """Give a part back."""
        self._left += size
