"""Accounts, their grants and their tokens, as the database has them at one moment."""

from dataclasses import dataclass

EVERYWHERE = "*"
"""As an index: all indexes. As a scope: all projects."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role within a scope of an index."""

    role: str
    scope: str
    """A project's name, a pattern `acme-*`, or `*` for all projects."""
    index: str = EVERYWHERE
    """The name of an index, or `*` for all indexes."""


@dataclass(frozen=True, slots=True)
class TokenRights:
    """The limits of a token. It allows nothing that its owner may not do, and nothing beyond these limits."""

    id: str
    """The public part of the token."""
    actions: frozenset[str] | None = None
    """The actions that it allows; None for all actions of its owner."""
    scopes: tuple[str, ...] | None = None
    """The projects and patterns for which it allows them; None for all."""
    index: str = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Account:
    """An identity: an account that is not disabled, and the token with which it proved itself, if any."""

    name: str
    password_hash: str | None
    grants: tuple[Grant, ...]
    """Its own grants, and those of its groups."""
    groups: tuple[str, ...] = ()
    token: TokenRights | None = None
