"""The management API, `/api/v1/`: JSON for programs, with a token on every request and problem+json for every error."""

from koschey.web.api import decisions, document, hosted, journal, projects, quarantine
from koschey.web.api.operations import blueprint

__all__ = ["blueprint", "decisions", "document", "hosted", "journal", "projects", "quarantine"]
