"""Whose signatures this index believes: the root of trust for attestations, loaded when it is first needed."""

from functools import cached_property
from pathlib import Path
from typing import Any

from koschey.model import Sha256
from koschey.standards.attestations import Judgement


class Trust:
    """Verifies attestations offline, under one root of trust. Its methods take their time: call them in a thread."""

    def __init__(self, path: Path | None) -> None:
        """Trust the `trusted_root.json` under `path`, or where it is None the one of the public Sigstore.

        Raises `StartError` where there is no such file.
        """
        self._path = path
        if path is not None:
            _ = self._verifier

    def judge(self, body: bytes, filename: str, sha256: Sha256) -> Judgement:
        """Judge a provenance object (PEP 740) by its bytes. Raises nothing: what cannot be read is unverifiable."""
        from koschey.inspection.attestations.signatures import judge  # noqa: PLC0415 - a second that most processes never spend

        return judge(self._verifier, body, filename, sha256)

    def judge_uploaded(self, attestations: str, filename: str, sha256: Sha256) -> bytes:
        """Return the provenance object for the attestations of an upload. Raises `Refused`."""
        from koschey.inspection.attestations.signatures import judge_uploaded  # noqa: PLC0415 - as above

        return judge_uploaded(self._verifier, attestations, filename, sha256)

    @cached_property
    def _verifier(self) -> Any:
        from koschey.inspection.attestations.signatures import load_verifier  # noqa: PLC0415 - as above

        return load_verifier(self._path)
