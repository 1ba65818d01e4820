"""Records of the OSV schema, and feeds of them."""

import io
import json
import zipfile
from typing import Any

from koschey.model import Advisory
from koschey.standards.osv import parse_record


def record(identity: str, project: str = "spam", *events: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A record of the OSV schema about one project."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": project}, "ranges": ranges}
    affected |= {"versions": changes.pop("versions")} if "versions" in changes else {}
    return {"id": identity, "summary": f"about {project}", "affected": [affected]} | changes


def parse(*args: Any, **changes: Any) -> Advisory:
    """The one advisory in a record with these fields."""
    [advisory] = parse_record(json.dumps(record(*args, **changes)).encode())
    return advisory


def archive(records: list[dict[str, Any]], **options: Any) -> bytes:
    """The archive of records that a feed serves."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as written:
        for each in records:
            written.writestr(f"{each['id']}.json", json.dumps(each), **options)
    return body.getvalue()


GOOD = [record("PYSEC-1", "spam", versions=["1.0"]), record("MAL-2", "eggs", versions=["2.0"])]
"""Valid records: one of a vulnerability, one of malware."""
