"""The JSON API of the public index, `/pypi/<project>/json`: not a standard, but mirrors and other tools read it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

import msgspec
from packaging.version import Version

from koschey.addresses import project_page, release_json
from koschey.model import File
from koschey.standards.core_metadata import CoreMetadata
from koschey.standards.filenames import split_filename
from koschey.standards.project_page import ProjectPage, yank_reason
from koschey.standards.simple_json import format_time, private_fields
from koschey.standards.versions import canonical_version, parse_version_or_none, version_key

PACKAGE_TYPES = {
    "wheel": "bdist_wheel",
    "sdist": "sdist",
    "egg": "bdist_egg",
    "wininst": "bdist_wininst",
    "msi": "bdist_msi",
    "rpm": "bdist_rpm",
    "dumb": "bdist_dumb",
}
PYTHON_IN_NAME = re.compile(r"-py(\d+(?:\.\d+)?)")
"""The Python version in the filename of an egg or a Windows installer."""
NOT_COUNTED = {"last_day": -1, "last_week": -1, "last_month": -1}
AS_WRITTEN = (
    "summary",
    "description",
    "description_content_type",
    "keywords",
    "license",
    "license_expression",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "requires_python",
    "home_page",
    "download_url",
)
"""Fields of `info` with the value of the same field of the core metadata."""


def latest_version(yanked: Mapping[str, bool]) -> str | None:
    """Return the version to show, or None if there is none. `yanked` maps each version to whether it is yanked.

    The order is that of the public index: not yanked before yanked, final before pre-release, then the highest.
    """

    def rank(version: str) -> tuple[bool, bool, tuple[bool, Version, str]]:
        return not yanked[version], _is_final(version), version_key(version)

    return max(yanked, key=rank, default=None)


def find_version(versions: Iterable[str], requested: str) -> str | None:
    """Return the version that a URL names; `1.0` finds `1`."""
    wanted = canonical_version(requested)
    return next((version for version in versions if canonical_version(version) == wanted), None)


def releases_of(files: Iterable[File]) -> dict[str, list[File]]:
    """Return the files by their versions, the lowest version first."""
    releases: dict[str, list[File]] = {}
    for file in files:
        releases.setdefault(file.version, []).append(file)
    return dict(sorted(releases.items(), key=lambda release: version_key(release[0])))


def is_yanked(files: Iterable[File]) -> bool:
    """Return whether a release is yanked, which means that all its files are (PEP 592 defines it only for files)."""
    return all(file.yanked is not None for file in files)


def render_project(page: ProjectPage, version: str, metadata: CoreMetadata | None, *, all_releases: bool) -> bytes:
    """Render a project with one of its versions. Without `metadata`, fields that only it contains are null or empty."""
    releases = releases_of(page.files)
    objects = {each: [_file(file, page) for file in files] for each, files in releases.items()}
    return msgspec.json.encode(
        {
            "info": _info(page, version, releases[version], metadata),
            "last_serial": page.serial,
            **({"releases": objects} if all_releases else {}),
            "urls": objects[version],
            "vulnerabilities": [],
            "ownership": {"roles": [], "organization": None},
        }
    )


def _info(page: ProjectPage, version: str, files: Sequence[File], metadata: CoreMetadata | None) -> dict[str, object]:
    address = page.own_addresses.absolute(project_page(page.name))
    yanked = is_yanked(files)
    return {
        "name": metadata.name if metadata else page.name,
        "version": version,
        **{field: getattr(metadata, field, None) for field in AS_WRITTEN},
        "requires_python": _requires_python(files, metadata),
        "license_files": _some(metadata.license_files) if metadata else None,
        "classifiers": list(metadata.classifiers) if metadata else [],
        "requires_dist": _some(metadata.requires_dist) if metadata else None,
        "provides_extra": _some(metadata.provides_extra) if metadata else None,
        "dynamic": _some(metadata.dynamic) if metadata else None,
        "platform": (", ".join(metadata.platforms) or None) if metadata else None,
        "project_urls": _project_urls(metadata.project_urls) if metadata else None,
        "package_url": address,
        "project_url": address,
        "release_url": page.own_addresses.absolute(release_json(page.name, version)),
        "docs_url": None,
        "bugtrack_url": None,
        "downloads": NOT_COUNTED,
        "yanked": yanked,
        "yanked_reason": next((yank_reason(file) for file in files if file.yanked), None) if yanked else None,
    }


def _file(file: File, page: ProjectPage) -> dict[str, object]:
    uploaded = file.upload_time or file.first_seen_at
    digests = {"md5": file.md5, "sha256": file.sha256, "blake2b_256": file.blake2b_256}
    kind, python = _kind(file)
    return {
        "filename": file.filename,
        "packagetype": kind,
        "python_version": python,
        "comment_text": "",
        "has_sig": False,
        "md5_digest": file.md5,
        "digests": {name: digest for name, digest in digests.items() if digest},
        "core-metadata": {"sha256": file.core_metadata} if file.core_metadata else False,
        "size": file.size,
        "downloads": -1,
        "upload_time": uploaded.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": format_time(uploaded),
        # Absolute, and below `/packages`: mirrors accept no other URL.
        "url": page.url_of(file),
        "requires_python": file.requires_python,
        "yanked": file.yanked is not None,
        "yanked_reason": yank_reason(file) or None,
        **private_fields(file, page),
    }


def python_tag(filename: str) -> str:
    """Return the public index's name of a file's Python version: a wheel's tag, or `source` for an sdist."""
    if filename.endswith(".whl"):
        return filename.removesuffix(".whl").split("-")[-3]
    parts = split_filename(filename)
    if parts is None or parts.kind == "sdist":
        return "source"
    named = PYTHON_IN_NAME.search(filename)
    return named[1] if named else "any"


def _kind(file: File) -> tuple[str, str]:
    parts = split_filename(file.filename, file.project)
    return PACKAGE_TYPES[parts.kind if parts else "sdist"], python_tag(file.filename)


def _requires_python(files: Sequence[File], metadata: CoreMetadata | None) -> str | None:
    """Return Requires-Python from the metadata or, without metadata, from the page of a file."""
    if metadata:
        return metadata.requires_python
    return next((file.requires_python for file in files if file.requires_python), None)


def _project_urls(lines: Iterable[str]) -> dict[str, str] | None:
    """Split Project-URL as in PEP 753 and before: "a label and a URL separated by a comma"."""
    split = (line.partition(",") for line in lines)
    return {label.strip(): url.strip() for label, comma, url in split if comma} or None


def _some(values: Iterable[str]) -> list[str] | None:
    return list(values) or None


def _is_final(version: str) -> bool:
    parsed = parse_version_or_none(version)
    return parsed is not None and not parsed.is_prerelease
