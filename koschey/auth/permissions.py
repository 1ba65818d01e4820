"""What a role may do. Deny by default: what is not in the table is refused.

`Permissions` is the extension point; `RolePermissions` is the one that is built in.
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
    """Answers whether an account may do something to a project."""

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """Tell whether the grants of an account allow the action. A pure function of its arguments."""


# Whoever may publish a release may also say that it was a mistake: a yank breaks nobody's lock and can be taken back.
# A removal cannot, and a status shuts out all uploaders of the project, so both are left to an admin.
ROLES: dict[str, frozenset[Action]] = {
    "uploader": frozenset({Action.READ, Action.UPLOAD, Action.YANK}),
    "upload-only": frozenset({Action.UPLOAD}),
    "reviewer": frozenset({Action.READ, Action.DECIDE}),
    "admin": frozenset(Action),
}


def may_somewhere(grants: tuple[Grant, ...], action: Action) -> bool:
    """Tell whether the grants allow the action on any project at all."""
    return any(action in ROLES.get(grant.role, frozenset()) for grant in grants)


class RolePermissions:
    """Roles, each granted for one project or for all."""

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """See `Permissions`."""
        return any(action in ROLES.get(grant.role, frozenset()) and grant.scope in ("*", project) for grant in grants)
