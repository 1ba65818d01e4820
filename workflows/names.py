"""Ids, task queue and search attributes. The id of a workflow is its lock: one per release, one per file."""

from temporalio.common import SearchAttributeKey

TASK_QUEUE = "koschey"

PROJECT = SearchAttributeKey.for_keyword("KoscheyProject")
VERSION = SearchAttributeKey.for_keyword("KoscheyVersion")
STATE = SearchAttributeKey.for_keyword("KoscheyState")
RELEASE_AT = SearchAttributeKey.for_datetime("KoscheyReleaseAt")
SEARCH_ATTRIBUTES = (PROJECT, VERSION, STATE, RELEASE_AT)


def quarantine_id(project: str, version: str) -> str:
    """Return the id of a release's quarantine: `quarantine/<project>/<version>`."""
    return f"quarantine/{project}/{version}"


def provenance_id(project: str, version: str) -> str:
    """Return the id of the workflow that attaches provenance to a release: `provenance/<project>/<version>`."""
    return f"provenance/{project}/{version}"


def metadata_id(project: str) -> str:
    """Return the id of the workflow that reads core metadata of a project's wheels: `metadata/<project>`."""
    return f"metadata/{project}"


def fetch_id(file_id: int) -> str:
    """Return the id of the workflow that finishes a fetch."""
    return f"fetch/{file_id}"
