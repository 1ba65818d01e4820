"""An upload rule, and how a list of rules is applied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from koschey.errors import Refused

MOST = 20
"""Maximum number of warnings of one rule that an uploader gets."""


@dataclass(frozen=True, slots=True)
class UploadRule[T]:
    """A rule about something of type `T`."""

    name: str
    """The name of its switch."""
    says: str
    """The rule in a few words, for the people who decide about it."""
    check: Callable[[T], Iterable[str]]
    """Yields each fault as a sentence for the uploader."""
    default: bool | None = None
    """Whether the rule is on while nobody has switched it; None if it has no switch."""
    why: str = ""
    """The reason for the default."""

    @property
    def remedy(self) -> str:
        """What to do about a refusal, besides fixing the file."""
        return f"An admin can allow it: koschey upload-rules set {self.name} off --reason WHY"

    def is_on(self, switched: Mapping[str, bool]) -> bool:
        """Return whether a file that breaks the rule is refused; `switched` has the switches that were set."""
        return self.default is None or switched.get(self.name, self.default)


def enforce[T](rules: Sequence[UploadRule[T]], subject: T, switched: Mapping[str, bool]) -> list[str]:
    """Apply the rules in their order. Returns the faults under rules that are off as warnings; raises `Refused`.

    The refusal names the command that switches the rule off, if it has a switch. At most `MOST` warnings of a rule are
    returned, because the client prints all of them.
    """
    warnings = []
    for rule in rules:
        faults = rule.check(subject)
        if rule.is_on(switched):
            if fault := next(iter(faults), None):
                raise Refused(fault if rule.default is None else f"{fault} {rule.remedy}")
            continue
        shown = [*islice(faults, MOST + 1)]
        warnings += [f"Warning ({rule.name}): {fault}" for fault in shown[:MOST]]
        if len(shown) > MOST:
            warnings.append(f"Warning ({rule.name}): and more of this kind.")
    return warnings
