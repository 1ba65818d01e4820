"""Accounts and their grants, as the database has them at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """A role within a scope: a project's name, or `*`."""

    role: str
    scope: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account that is not disabled."""

    name: str
    password_hash: str | None
    grants: tuple[Grant, ...]
