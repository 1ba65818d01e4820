"""Ids, task queue and search attributes. The id of a workflow is its lock: one per release, one per file."""

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from koschey.model import quarantine_id

__all__ = [
    "ADVISORIES_ID",
    "FOLLOW_ID",
    "HOUSEKEEPING_ID",
    "PROJECT",
    "RELEASE_AT",
    "SEARCH_ATTRIBUTES",
    "STATE",
    "TASK_QUEUE",
    "VERSION",
    "alert_id",
    "fetch_id",
    "metadata_id",
    "provenance_id",
    "quarantine_id",
    "release_attributes",
]

TASK_QUEUE = "koschey"

ADVISORIES_ID = "follow-advisories"
"""The id of the one workflow that follows the advisory feed."""

FOLLOW_ID = "follow-upstream"
"""The id of the one workflow that follows the upstream."""
HOUSEKEEPING_ID = "housekeeping"
"""The id of the one workflow that does housekeeping."""

PROJECT = SearchAttributeKey.for_keyword("KoscheyProject")
VERSION = SearchAttributeKey.for_keyword("KoscheyVersion")
STATE = SearchAttributeKey.for_keyword("KoscheyState")
RELEASE_AT = SearchAttributeKey.for_datetime("KoscheyReleaseAt")
SEARCH_ATTRIBUTES = (PROJECT, VERSION, STATE, RELEASE_AT)


def release_attributes(project: str, version: str, *, searchable: bool) -> TypedSearchAttributes:
    """Return the search attributes with which the quarantine of a release starts."""
    if not searchable:
        return TypedSearchAttributes.empty
    pairs = [SearchAttributePair(PROJECT, project), SearchAttributePair(VERSION, version)]
    return TypedSearchAttributes(pairs)


def provenance_id(project: str, version: str) -> str:
    """Return the id of the workflow that attaches provenance to a release: `provenance/<project>/<version>`."""
    return f"provenance/{project}/{version}"


def metadata_id(project: str) -> str:
    """Return the id of the workflow that reads core metadata of a project's wheels: `metadata/<project>`."""
    return f"metadata/{project}"


def fetch_id(file_id: int) -> str:
    """Return the id of the workflow that finishes a download."""
    return f"fetch/{file_id}"


def alert_id(alert: int) -> str:
    """Return the id of the workflow that notifies the webhook of an alert."""
    return f"alert/{alert}"
