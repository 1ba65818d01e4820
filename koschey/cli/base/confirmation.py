"""Asks the operator to type a name before a change hides files that are in use, and shows how many."""

import sys
from collections.abc import Awaitable, Callable

import click

from koschey.errors import StartError, Unconfirmed, UsageError
from koschey.quarantine.impact import FULL_CONSENT, NO_CONSENT, Consent
from koschey.terminal.lines import say


async def confirmed[T](attempt: Callable[[Consent], Awaitable[T]], name: str, *, yes: bool) -> T:
    """Carry out a change. If it would hide files in use, the person at the terminal has to type `name` first.

    Raises `StartError` if there is no terminal, and `UsageError` if the person types something else; then nothing is
    changed.
    """
    consent = FULL_CONSENT if yes else NO_CONSENT
    while True:
        try:
            return await attempt(consent)
        except Unconfirmed as unconfirmed:
            # If more files came into use meanwhile, the person has to confirm again.
            consent = _ask(unconfirmed, name)


def _ask(unconfirmed: Unconfirmed, name: str) -> Consent:
    if not sys.stdin.isatty():
        raise StartError(
            f"{unconfirmed}; nothing was changed. There is no terminal: check this, then repeat with --yes"
        )
    say(f"koschey: {unconfirmed}.", err=True)
    if click.prompt(f"Type {name} to confirm", err=True).strip() != name:
        raise UsageError(f"that is not {name}; nothing was changed")
    return Consent(unconfirmed.counts["files"])
