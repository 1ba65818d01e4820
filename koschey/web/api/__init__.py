"""The management API, `/api/v1/`: JSON for programs, with credentials in a header and problem+json for every error."""

from koschey.web.api import (
    alerts,
    claims,
    codes,
    decisions,
    document,
    downloads,
    hosted,
    journal,
    pending,
    policy,
    projects,
    quarantine,
    requests,
)
from koschey.web.api.operations import blueprint

__all__ = [
    "alerts",
    "blueprint",
    "claims",
    "codes",
    "decisions",
    "document",
    "downloads",
    "hosted",
    "journal",
    "pending",
    "policy",
    "projects",
    "quarantine",
    "requests",
]
