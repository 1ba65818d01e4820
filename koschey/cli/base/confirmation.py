"""Asks for a name at the terminal before a change hides files that are in use, and shows how much that is."""

import sys
from collections.abc import Awaitable, Callable

import click

from koschey.errors import StartError, Unconfirmed, UsageError
from koschey.quarantine.impact import FULL_CONSENT, NO_CONSENT, Consent
from koschey.terminal.lines import say


async def confirmed[T](attempt: Callable[[Consent], Awaitable[T]], name: str, *, yes: bool) -> T:
    """Carry a change out, after the person at the terminal has typed `name` if it would hide files in use.

    Raises `StartError` where there is no terminal, and `UsageError` where something else is typed; nothing is changed
    then.
    """
    consent = FULL_CONSENT if yes else NO_CONSENT
    while True:
        try:
            return await attempt(consent)
        except Unconfirmed as unconfirmed:
            # If more came into use meanwhile, the person is asked again.
            consent = _ask(unconfirmed, name)


def _ask(unconfirmed: Unconfirmed, name: str) -> Consent:
    if not sys.stdin.isatty():
        raise StartError(
            f"{unconfirmed}; nothing was changed. There is no terminal to ask at: look at it, then repeat with --yes"
        )
    say(f"koschey: {unconfirmed}.", err=True)
    if click.prompt(f"Type {name} to go on", err=True).strip() != name:
        raise UsageError("that is not what was asked for; nothing was changed")
    return Consent(unconfirmed.counts["files"])
