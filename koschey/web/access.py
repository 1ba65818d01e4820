"""What each route needs: every view declares it, and the application does not start with a view that does not.

A declaration is an action, or an `Access`. The layer that serves the view enforces it: `web.gate` for reading,
`web.api.operations` for the API, `web.upload` for uploads, and the guard of the panel. `check_declared` looks at the
routes, and a test calls each of them as every kind of client and expects what is declared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from quart import Quart
from werkzeug.routing import Rule

from koschey.auth.permissions import Action
from koschey.errors import StartError

DECLARED = "koschey_declared"
"""The attribute of a view with its declaration."""
AUTOMATIC = frozenset({"HEAD", "OPTIONS"})
"""Methods that need what GET needs, or that no view has."""


class Access(StrEnum):
    """What a route needs if no action describes it."""

    OPEN = "open"
    """Every client may, also if reading needs a login."""
    LOGIN = "login"
    """Every account may."""
    OWNER = "owner"
    """Every account may, for itself: with its password, or with a token that may administer. A token that leaks must
    not make others."""


type Needed = Action | Access


@dataclass(frozen=True, slots=True)
class Declared:
    """What a view needs."""

    needs: Needed
    overview: bool = False
    """Whether it shows all projects, so that a token for some projects may not see it."""


def needs[View: Callable[..., Any]](needed: Needed, *, overview: bool = False) -> Callable[[View], View]:
    """Declare what a view needs. Goes below the decorators of its routes."""

    def declare(view: View) -> View:
        setattr(view, DECLARED, Declared(needed, overview))
        return view

    return declare


def declared(app: Quart, endpoint: str | None) -> Declared | None:
    """Return what the view of an endpoint declares."""
    return getattr(app.view_functions.get(endpoint or ""), DECLARED, None)


def routes(app: Quart) -> Iterator[tuple[Rule, str, Declared | None]]:
    """Yield every route with each of its methods, and what its view declares."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - AUTOMATIC):
            yield rule, method, declared(app, rule.endpoint)


def check_declared(app: Quart) -> None:
    """Raise `StartError` if a route does not declare what it needs."""
    missing = [f"{method} {rule.rule}" for rule, method, found in routes(app) if found is None]
    if missing:
        raise StartError(f"{', '.join(missing)}: no view may be served that does not declare what it needs")
