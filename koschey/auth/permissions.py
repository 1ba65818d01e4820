"""What a role may do. The default is to deny: an action that is not in the table is refused.

A scope is a project's normalised name, a pattern (`acme-*` for `acme` and all names that begin with `acme-`), `*` for
all projects, or another scope of a rule (`@upstream`). A grant covers its own scope and every narrower one.
"""

from enum import StrEnum

from koschey.accounts import EVERYWHERE, Account, Grant
from koschey.model import MAIN_INDEX


class Action(StrEnum):
    """Everything that needs a permission."""

    READ = "read"
    """Read pages and files of an index that needs a login. Every account may; a token only if it has this action."""
    INSPECT = "inspect"
    """See files of a project that its page does not list: held or removed ones, and why."""
    UPLOAD = "upload"
    """Upload files."""
    YANK = "yank"
    """Yank releases and files (PEP 592), and undo that."""
    AUDIT = "audit"
    """See the quarantine, requests, downloads, alerts, the policy, the journal, accounts and grants."""
    DECIDE = "decide"
    """Decide which files are released: approve, block, trust, recall. Reserve names."""
    MANAGE = "manage"
    """Remove files permanently, set a project's status (PEP 792), hand its name to another origin, and set the
    policy."""
    ADMINISTER = "administer"
    """Add and disable accounts, change their groups and passwords, grant roles, and revoke tokens of others."""


class Role(StrEnum):
    """A set of actions that is granted as a whole."""

    READER = "reader"
    """Sees why files are held, and reads."""
    UPLOADER = "uploader"
    """A build server: it uploads and nothing else."""
    MAINTAINER = "maintainer"
    """Publishes projects, and yanks their releases."""
    REVIEWER = "reviewer"
    """Decides what is released."""
    AUDITOR = "auditor"
    """Sees everything and changes nothing."""
    ADMIN = "admin"
    """May do everything."""


# An account that may publish a release may also yank it: a yank breaks no client's lock file and can be undone. A
# removal cannot be undone, a status stops all uploaders of the project, and a claim hides files from all clients, so
# these need an admin.
ROLES: dict[str, frozenset[Action]] = {
    Role.READER: frozenset({Action.READ, Action.INSPECT}),
    Role.UPLOADER: frozenset({Action.UPLOAD}),
    Role.MAINTAINER: frozenset({Action.READ, Action.INSPECT, Action.UPLOAD, Action.YANK}),
    Role.REVIEWER: frozenset({Action.READ, Action.INSPECT, Action.AUDIT, Action.DECIDE}),
    Role.AUDITOR: frozenset({Action.READ, Action.INSPECT, Action.AUDIT}),
    Role.ADMIN: frozenset(Action),
}
EVERY_ACCOUNT = frozenset({Action.READ})
"""Actions that need no role."""
PATTERN = "-*"
"""The end of a scope that is a pattern."""


def covers(granted: str, scope: str) -> bool:
    """Return whether a granted scope contains another scope. A project contains nothing but itself."""
    if granted in (EVERYWHERE, scope):
        return bool(granted)
    if not granted.endswith(PATTERN):
        return False
    stem = granted.removesuffix(PATTERN)
    return scope.removesuffix(PATTERN) == stem or scope.startswith(f"{stem}-")


def allows(grants: tuple[Grant, ...], action: Action, scope: str, index: str = MAIN_INDEX) -> bool:
    """Return whether the grants allow the action on a scope of an index; `*` as the index means all of them."""
    return any(
        action in ROLES.get(grant.role, frozenset())
        and grant.index in (EVERYWHERE, index)
        and covers(grant.scope, scope)
        for grant in grants
    )


def permits(identity: Account, action: Action, scope: str, index: str = MAIN_INDEX) -> bool:
    """Return whether the account may do this, and its token allows it."""
    token = identity.token
    if token is not None:
        if token.actions is not None and action not in token.actions:
            return False
        if token.index not in (EVERYWHERE, index):
            return False
        if token.scopes is not None and not any(covers(each, scope) for each in token.scopes):
            return False
    return action in EVERY_ACCOUNT or allows(identity.grants, action, scope, index)


def permits_somewhere(identity: Account, action: Action) -> bool:
    """Return whether the account may do this for at least one project of an index, and its token allows it."""
    token = identity.token
    scopes = {EVERYWHERE, *(grant.scope for grant in identity.grants), *((token and token.scopes) or ())}
    indexes = {*(grant.index for grant in identity.grants), token.index if token else EVERYWHERE}
    return any(permits(identity, action, scope, index) for scope in scopes for index in indexes)


def permits_overview(identity: Account, action: Action) -> bool:
    """Return whether the account may see a list over all projects. A token for some projects never allows that."""
    narrowed = identity.token is not None and identity.token.scopes is not None
    return not narrowed and permits_somewhere(identity, action)
