"""The rule for License-File (PEP 639): the archive contains the files that the metadata names."""

from collections.abc import Container

from packaging.metadata import parse_email

from koschey.inspection.archives.rules import ArchiveRule, refusal, shown

SINCE = (2, 4)
"""First version of the metadata to which the rule applies. Before it, build tools wrote forms of their own."""


def check_license_files(metadata: bytes, filename: str, folder: str, names: Container[str]) -> None:
    """Refuse an archive that lacks a licence file; the paths are relative to `folder`, which ends with a slash."""
    raw, _ = parse_email(metadata)
    if not _is_since(raw.get("metadata_version", "")):
        return
    for path in raw.get("license_files", []):
        if f"{folder}{path}" not in names:
            fault = f"has no {shown(folder + path)}, which its metadata names as {shown(path)}"
            raise refusal(ArchiveRule.LICENSE_FILE, filename, fault, "Add the file, or remove it from 'license-files'.")


def _is_since(version: str) -> bool:
    parts = version.split(".")
    return all(part.isascii() and part.isdigit() for part in parts) and tuple(map(int, parts)) >= SINCE
