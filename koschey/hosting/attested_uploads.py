"""Attestations that come with an upload (PEP 740): verified before the file is accepted, stored in its transaction.

There is no Trusted Publisher with which an upload could be compared, so the signing certificate names the publisher: a
workflow of a repository on GitHub or GitLab. Signature, certificate chain, transparency log, filename and digest must
all be valid. An attestation whose certificate names no such publisher is refused, because Koschey could say nothing
about it afterwards. The uploader's token, not the signature, proves the permission to publish the project.
"""

import asyncio

from koschey.db.attestations import upsert_attestation
from koschey.db.pool import Connection
from koschey.inspection.attestations.trust import Trust
from koschey.model import AttestationVerdict, FileId, Sha256
from koschey.standards.attestations import Judgement, clean_publishers, parse_object


async def check_uploaded(attestations: str, filename: str, sha256: Sha256, *, trust: Trust) -> bytes:
    """Return the provenance object to store for the form field `attestations`.

    `trust` is `koschey.resources.Resources.trust`. Raises `Refused` ("Invalid attestations supplied during upload:
    ...", status 400) unless they are one or two, of different known types, and each proves this filename and digest.
    """
    return await asyncio.to_thread(trust.judge_uploaded, attestations, filename, sha256)


async def store_uploaded(connection: Connection, file: FileId, object: bytes) -> None:  # noqa: A002 - PEP 740's word
    """Store what `check_uploaded` returned, in the transaction in which the file's row is written."""
    judgement = Judgement(
        AttestationVerdict.VERIFIED, "verified when it was uploaded", clean_publishers(parse_object(object))
    )
    await upsert_attestation(connection, file, object, judgement, url=None)
