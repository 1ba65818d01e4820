"""What a role may do. The default is to deny: an action that is not in the table is refused."""

from enum import StrEnum

from koschey.accounts import Grant


class Action(StrEnum):
    """Everything that needs a permission."""

    UPLOAD = "upload"
    """Upload files."""
    DECIDE = "decide"
    """Decide which files are released: approve, block, trust, recall. See the quarantine, downloads and the policy."""
    READ = "read"
    """See files of a project that its page does not list: held or removed ones, and why."""
    YANK = "yank"
    """Yank releases and files (PEP 592), and undo that."""
    MANAGE = "manage"
    """Remove files permanently, set a project's status (PEP 792), and hand its name to another origin."""


# An account that may publish a release may also yank it: a yank breaks no client's lock file and can be undone. A
# removal cannot be undone, and a status stops all uploaders of the project, so both need an admin.
ROLES: dict[str, frozenset[Action]] = {
    "uploader": frozenset({Action.READ, Action.UPLOAD, Action.YANK}),
    "upload-only": frozenset({Action.UPLOAD}),
    "reviewer": frozenset({Action.READ, Action.DECIDE}),
    "admin": frozenset(Action),
}


def allows(grants: tuple[Grant, ...], action: Action, scope: str) -> bool:
    """Return whether the grants allow the action on a scope. Each grant is for one scope, or for all (`*`)."""
    return any(action in ROLES.get(grant.role, frozenset()) and grant.scope in ("*", scope) for grant in grants)


def may_somewhere(grants: tuple[Grant, ...], action: Action) -> bool:
    """Return whether the grants allow the action on at least one project."""
    return any(action in ROLES.get(grant.role, frozenset()) for grant in grants)
