"""Attestations that come with an upload (PEP 740): verified before the file is taken, kept in its transaction.

There is no Trusted Publisher that an upload could be compared with, so the publisher is who the signing certificate
says: a workflow of a repository on GitHub or GitLab. Signature, certificate chain, transparency log, filename and
digest must all hold; an attestation whose certificate names no such publisher is refused, because nothing could be
said of it afterwards. That the publisher may publish this project is what the uploader's token says, not the signature.
"""

import asyncio

from koschey.db.attestations import upsert_attestation
from koschey.db.pool import Connection
from koschey.inspection.attestations.trust import Trust
from koschey.model import AttestationVerdict, FileId, Sha256
from koschey.standards.attestations import Judgement, clean_publishers, parse_object


async def check_uploaded(attestations: str, filename: str, sha256: Sha256, *, trust: Trust) -> bytes:
    """Return the provenance object to be kept for what the form field `attestations` holds.

    `trust` is `koschey.resources.Resources.trust`. Raises `Refused` ("Invalid attestations supplied during upload:
    ...", status 400) unless they are one or two, of different known types, and each proves this filename and digest.
    """
    return await asyncio.to_thread(trust.judge_uploaded, attestations, filename, sha256)


async def keep_uploaded(connection: Connection, file: FileId, object: bytes) -> None:  # noqa: A002 - PEP 740's word
    """Store what `check_uploaded` returned, in the transaction in which the file's row is written."""
    judgement = Judgement(
        AttestationVerdict.VERIFIED, "verified when it was uploaded", clean_publishers(parse_object(object))
    )
    await upsert_attestation(connection, file, object, judgement, url=None)
