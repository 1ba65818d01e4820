"""The permissions of roles. An action that the table does not allow is refused.

`Permissions` is the extension point; `RolePermissions` is the built-in implementation.
"""

from enum import StrEnum
from typing import Protocol

from packaging.utils import NormalizedName

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


class Permissions(Protocol):
    """Decides whether an account may act on a project.

    Koschey calls it for every request that needs a right, so it must be fast and do no I/O.
    """

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """Return whether the grants of an account allow the action on the project. A pure function of its arguments.

        `grants` are all grants of one enabled account: each a role, and a scope that is a normalised project name
        (PEP 503) or `*` for all projects. It raises nothing; an unknown role allows nothing.
        """


# An account that may publish a release may also yank it: a yank breaks no lock file and can be undone. A removal cannot
# be undone, and a status shuts out all uploaders of the project, so both need an admin.
ROLES: dict[str, frozenset[Action]] = {
    "uploader": frozenset({Action.READ, Action.UPLOAD, Action.YANK}),
    "upload-only": frozenset({Action.UPLOAD}),
    "reviewer": frozenset({Action.READ, Action.DECIDE}),
    "admin": frozenset(Action),
}


def may_somewhere(grants: tuple[Grant, ...], action: Action) -> bool:
    """Return whether the grants allow the action on at least one project."""
    return any(action in ROLES.get(grant.role, frozenset()) for grant in grants)


class RolePermissions:
    """Roles, each granted for one project or for all."""

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """Return whether a grant for this project, or for all, has a role that allows the action."""
        return any(action in ROLES.get(grant.role, frozenset()) and grant.scope in ("*", project) for grant in grants)
