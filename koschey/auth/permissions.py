"""What a role may do. Deny by default: what is not in the table is refused.

`Permissions` is the extension point; `RolePermissions` is the one that is built in.
"""

from enum import StrEnum
from typing import Protocol

from packaging.utils import NormalizedName

from koschey.db.accounts import Grant


class Action(StrEnum):
    """Everything that needs a permission."""

    UPLOAD = "upload"
    DECIDE = "decide"
    """Approve, block, trust: what an index lets out."""


class Permissions(Protocol):
    """Answers whether an account may do something to a project."""

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """Tell whether the grants of an account allow the action. A pure function of its arguments."""


ROLES: dict[str, frozenset[Action]] = {
    "uploader": frozenset({Action.UPLOAD}),
    "reviewer": frozenset({Action.DECIDE}),
    "admin": frozenset({Action.UPLOAD, Action.DECIDE}),
}


class RolePermissions:
    """Roles, each granted for one project or for all."""

    def allows(self, grants: tuple[Grant, ...], action: Action, project: NormalizedName) -> bool:
        """See `Permissions`."""
        return any(action in ROLES.get(grant.role, frozenset()) and grant.scope in ("*", project) for grant in grants)
