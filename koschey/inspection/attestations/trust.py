"""The root of trust for attestations, loaded when it is first needed."""

from functools import cached_property
from pathlib import Path
from typing import Any

from koschey.model import Sha256
from koschey.standards.attestations import Judgement


class Trust:
    """Verifies attestations offline, under one root of trust. Its methods are slow: call them in a thread."""

    def __init__(self, path: Path | None) -> None:
        """Trust the `trusted_root.json` at `path`, or the public Sigstore's if `path` is None.

        Raises `StartError` if the file is missing or invalid.
        """
        self._path = path
        if path is not None:
            _ = self._verifier

    def judge(self, body: bytes, filename: str, sha256: Sha256) -> Judgement:
        """Judge a provenance object (PEP 740) by its bytes. Raises nothing: an unreadable object is unverifiable."""
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
