"""What a rule for uploads is, and how a list of them is applied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from koschey.errors import Refused


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

    def is_on(self, switched: Mapping[str, bool]) -> bool:
        """Whether breaking it is refused; `switched` has what somebody has decided."""
        return self.default is None or switched.get(self.name, self.default)


def enforce[T](rules: Sequence[Rule[T]], subject: T, switched: Mapping[str, bool]) -> list[str]:
    """Apply the rules in their order. Returns what those that are off would have said; raises `Refused`."""
    warnings = []
    for rule in rules:
        for fault in rule.check(subject):
            if rule.is_on(switched):
                raise Refused(fault)
            warnings.append(f"Warning ({rule.name}): {fault}")
    return warnings
