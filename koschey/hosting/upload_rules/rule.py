"""What a rule for uploads is, and how a list of them is applied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from koschey.errors import Refused

MOST = 20
"""Warnings of one rule that an uploader is told."""


@dataclass(frozen=True, slots=True)
class Rule[T]:
    """A rule about something of type `T`."""

    name: str
    """What a switch is called."""
    says: str
    """The rule in a few words, for those who decide about it."""
    check: Callable[[T], Iterable[str]]
    """Yields what is wrong, each as a sentence for the uploader."""
    default: bool | None = None
    """Whether it is on while nobody has switched it; None where it has no switch."""
    why: str = ""
    """Why the default is what it is."""

    @property
    def remedy(self) -> str:
        """What to do about a refusal, beside mending the file."""
        return f"An admin can allow it: koschey upload-rules set {self.name} off --reason WHY"

    def is_on(self, switched: Mapping[str, bool]) -> bool:
        """Whether breaking it is refused; `switched` has what somebody has decided."""
        return self.default is None or switched.get(self.name, self.default)


def enforce[T](rules: Sequence[Rule[T]], subject: T, switched: Mapping[str, bool]) -> list[str]:
    """Apply the rules in their order. Returns what those that are off would have said; raises `Refused`.

    The refusal names the command that switches the rule off, where it has a switch. At most `MOST` warnings of a rule
    are returned, for the client prints all of them.
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
