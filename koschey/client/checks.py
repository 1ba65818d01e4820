"""Checks whether an index serves the pins of a lock. Joins each pin's place with the index's explanation."""

from dataclasses import dataclass

from koschey.client.index_api import IndexApi
from koschey.client.locks import Lock, LockPosition
from koschey.errors import StartError, UsageError
from koschey.policy.availability import Availability, Explanation, Pin


@dataclass(frozen=True, slots=True)
class PinResult:
    """A pin, its place in the lock, and the index's explanation."""

    pin: Pin
    place: LockPosition
    explanation: Explanation

    @property
    def is_served(self) -> bool:
        """Whether the pin can be installed."""
        return self.explanation.state is Availability.SERVED

    @property
    def message(self) -> str:
        """The index's explanation, in one line."""
        answer = self.explanation
        until = f" until {answer.release_at:%Y-%m-%d}" if answer.release_at else ""
        free = f"; {answer.free} is served instead" if answer.free else ""
        ask = f"; to request it: {answer.request} --reason WHY" if answer.request else ""
        return f"{answer.project} {answer.version} is {answer.state}{until}: {answer.reason}{free}{ask}"


async def check_pins(api: IndexApi, lock: Lock) -> list[PinResult]:
    """Return the index's explanation of every pin, in the order of the lock.

    Raises `StartError` if the index cannot be reached or refuses the list.
    """
    try:
        answers = await api.preflight(list(lock.pins))
    except UsageError as error:
        raise StartError(f"{api.shown} does not accept the list of pins: {error}") from None
    return [PinResult(pin, place, said) for (pin, place), said in zip(lock.pins.items(), answers, strict=True)]
