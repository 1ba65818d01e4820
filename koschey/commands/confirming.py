"""Asking at the terminal before a change hides what is in use: how much that is, and the name once more."""

import sys
from collections.abc import Awaitable, Callable

import click

from koschey.errors import StartError, Unconfirmed, UsageError
from koschey.quarantine.impact import FULL_CONSENT, NO_CONSENT, Consent
from koschey.terminal import say


async def confirmed[T](attempt: Callable[[Consent], Awaitable[T]], name: str, *, yes: bool) -> T:
    """Carry a change out, after the person at the terminal has typed `name` where it would hide what is in use.

    Raises `StartError` where nobody can be asked, and `UsageError` where something else is typed; nothing is changed
    then.
    """
    consent = FULL_CONSENT if yes else NO_CONSENT
    while True:
        try:
            return await attempt(consent)
        except Unconfirmed as unconfirmed:
            # Where more came to be in use meanwhile, it is asked again.
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
