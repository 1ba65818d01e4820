"""The management API, `/api/v1/`: JSON for programs, with credentials in a header and problem+json for every error."""

from koschey.web.api import (
    accounts,
    alerts,
    claims,
    codes,
    decisions,
    document,
    downloads,
    grants,
    hosted,
    journal,
    pending,
    policy,
    projects,
    quarantine,
    requests,
    tokens,
)
from koschey.web.api.operations import blueprint

__all__ = [
    "accounts",
    "alerts",
    "blueprint",
    "claims",
    "codes",
    "decisions",
    "document",
    "downloads",
    "grants",
    "hosted",
    "journal",
    "pending",
    "policy",
    "projects",
    "quarantine",
    "requests",
    "tokens",
]
