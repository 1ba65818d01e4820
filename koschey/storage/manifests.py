"""The manifest beside each blob: all facts of its row, so that PostgreSQL can be rebuilt from the bucket."""

import msgspec

from koschey.model import File, Origin, Sha256
from koschey.storage.s3 import Bucket, manifest_key, provenance_key


async def write_manifest(bucket: Bucket, file: File, origin: Origin, provenance: str | None) -> None:
    """Store the facts of a file under its digest."""
    assert file.sha256 is not None
    await bucket.put(manifest_key(file.sha256), render_manifest(file, origin, provenance))


def render_manifest(file: File, origin: Origin, provenance: str | None) -> bytes:
    """Return the facts of a file as JSON. They contain no state: a rebuilt file starts as held."""
    return msgspec.json.encode(_facts(file, origin, provenance))


async def write_provenance(bucket: Bucket, sha256: Sha256, provenance: bytes) -> None:
    """Store the provenance object (PEP 740) of a file beside its manifest, byte for byte."""
    await bucket.put(provenance_key(sha256), provenance)


def _facts(file: File, origin: Origin, provenance: str | None) -> dict[str, object]:
    return {
        "project": file.project,
        "origin": origin,
        "version": file.version,
        "filename": file.filename,
        "sha256": file.sha256,
        "size": file.size,
        "upload_time": file.upload_time,
        "first_seen_at": file.first_seen_at,
        "requires_python": file.requires_python,
        "core_metadata": file.core_metadata,
        "path": file.path,
        "upstream_url": file.upstream_url,
        "provenance_url": msgspec.Raw(provenance.encode()) if provenance else None,
    }
