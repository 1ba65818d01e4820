"""Section 13: the status of projects (PEP 792)."""

from koschey.conformance.checks import check, require, skip
from koschey.conformance.subject import ExaminedPage, Subject

QUARANTINED = "quarantined"


def _status(page: ExaminedPage) -> object:
    status = page.json.get("project-status")
    return status.get("status") if isinstance(status, dict) else None


def _reason(page: ExaminedPage) -> str:
    status = page.json.get("project-status")
    return str(status.get("reason") or "") if isinstance(status, dict) else ""


@check("T-13.1", "The page of a quarantined project exists, lists no file, and gives the reason in both forms.")
async def quarantined_pages_are_empty(subject: Subject) -> str | None:
    """A 404 would send installers on to the next index."""
    quarantined = [page for page in subject.pages if _status(page) == QUARANTINED]
    if not quarantined:
        skip("no examined project is quarantined")
    for page in quarantined:
        require(page.json.get("files") == [], f"{page.url} is quarantined and lists files")
        reason = _reason(page)
        require(reason, f"{page.url} is quarantined without a reason")
        metas = page.html.metas
        require(metas.get("pypi:project-status") == QUARANTINED, f"{page.url} does not state its status in HTML")
        require(metas.get("pypi:project-status-reason") == reason, f"{page.url} gives another reason in HTML")
    return ", ".join(page.name for page in quarantined)


@check("T-13.4", "No quarantined project offers a file.")
async def quarantined_never_has_files(subject: Subject) -> str | None:
    """PEP 792: it "MUST NOT offer any file"."""
    if not subject.pages:
        skip("no project is listed; name one with --project")
    for page in subject.pages:
        if QUARANTINED in (_status(page), page.html.metas.get("pypi:project-status")):
            require(not page.files and not page.html.anchors, f"{page.url} is quarantined and lists files")
    return f"{len(subject.pages)} pages"
