"""Checks whether an index serves the pins of a lock. Joins each pin's place with the index's explanation."""

from dataclasses import dataclass

from koschey.client.index_api import IndexApi
from koschey.client.locks import Lock, Place
from koschey.errors import StartError, UsageError
from koschey.policy.availability import Availability, Explanation, Pin


@dataclass(frozen=True, slots=True)
class Checked:
    """A pin, its place in the lock, and the index's explanation."""

    pin: Pin
    place: Place
    told: Explanation

    @property
    def is_served(self) -> bool:
        """Whether the pin can be installed."""
        return self.told.state is Availability.SERVED

    @property
    def message(self) -> str:
        """The index's explanation, in one line."""
        told = self.told
        until = f" until {told.release_at:%Y-%m-%d}" if told.release_at else ""
        free = f"; {told.free} is served instead" if told.free else ""
        ask = f"; to request it: {told.request} --reason WHY" if told.request else ""
        return f"{told.project} {told.version} is {told.state}{until}: {told.reason}{free}{ask}"


async def check_pins(api: IndexApi, lock: Lock) -> list[Checked]:
    """Return the index's explanation of every pin, in the order of the lock.

    Raises `StartError` if the index cannot be reached or refuses the list.
    """
    try:
        told = await api.preflight(list(lock.pins))
    except UsageError as error:
        raise StartError(f"{api.shown} does not accept the list of pins: {error}") from None
    return [Checked(pin, place, said) for (pin, place), said in zip(lock.pins.items(), told, strict=True)]
