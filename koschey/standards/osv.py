"""Advisories in the OSV schema: the parts of a record about packages of the Python index, cleaned.

A record that breaks a limit or the schema makes the whole feed unusable, because nobody could say what is missing; held
files then stay held. Within a record, entries about other ecosystems and unreadable entries are left out. Malware that
names no readable version affects every version.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from koschey.errors import UpstreamMalformed, UsageError
from koschey.model import Advisory, VersionRange
from koschey.standards.names import parse_name
from koschey.standards.upstream_page import clean_text, clean_time
from koschey.standards.versions import NO_VERSION, parse_version_or_none

ECOSYSTEM = "PyPI"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
MALWARE_ID = "MAL-"
MALWARE_MARKS = frozenset({"malicious-packages-origins", "malicious-packages"})
"""Keys under `database_specific` that only records of malware have."""
MALWARE_WEAKNESS = "CWE-506"
"""Embedded malicious code."""
MAX_AFFECTED = 1000
MAX_VERSIONS = 20_000
MAX_EVENTS = 2000
MAX_VERSION = 100
MAX_SUMMARY = 300


def parse_record(body: bytes) -> list[Advisory]:
    """Return what one record says about Python projects; an empty list if it is about none.

    Raises `UpstreamMalformed` if the bytes are not a record of the schema.
    """
    return read_record(decode(body))


def decode(body: bytes) -> Any:
    """Decode JSON. Raises `UpstreamMalformed` if it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UpstreamMalformed(f"the advisory feed holds JSON that cannot be read: {error}") from None


def read_record(record: Any) -> list[Advisory]:
    """Return the same as `parse_record`, for a decoded record."""
    identity = record.get("id") if isinstance(record, dict) else None
    if not isinstance(identity, str) or not ID.fullmatch(identity):
        raise UpstreamMalformed("the advisory feed holds a record without an id (OSV schema)")
    malicious = _is_malicious(record, identity)
    summary = clean_text(record.get("summary")) or clean_text(record.get("details")) or "no summary"
    common = Advisory(
        id=identity,
        project=NormalizedName(""),
        malicious=malicious,
        summary=summary[:MAX_SUMMARY],
        versions=(),
        ranges=(),
        modified=clean_time(record.get("modified")),
        withdrawn_at=clean_time(record.get("withdrawn")),
    )
    found: dict[NormalizedName, Advisory] = {}
    for affected in _some(record.get("affected"), MAX_AFFECTED, identity):
        if name := _project(affected):
            found[name] = _merged(found.get(name) or replace(common, project=name), affected)
    return [_completed(advisory) for advisory in found.values()]


def _project(affected: Any) -> NormalizedName | None:
    package = affected.get("package") if isinstance(affected, dict) else None
    ecosystem, name = (package.get("ecosystem"), package.get("name")) if isinstance(package, dict) else (None, None)
    if not isinstance(ecosystem, str) or ecosystem.partition(":")[0] != ECOSYSTEM or not isinstance(name, str):
        return None
    try:
        return parse_name(name)
    except UsageError:
        return None


def _merged(advisory: Advisory, affected: dict[str, Any]) -> Advisory:
    """Add one entry of `affected` to what other entries say about the same project."""
    listed = _some(affected.get("versions"), MAX_VERSIONS, advisory.id)
    versions = [version for each in listed if (version := _version(each))]
    ranges = [
        span
        for each in _some(affected.get("ranges"), MAX_AFFECTED, advisory.id)
        if isinstance(each, dict) and each.get("type") == "ECOSYSTEM"
        for span in _spans(_some(each.get("events"), MAX_EVENTS, advisory.id))
    ]
    return replace(
        advisory,
        versions=tuple(dict.fromkeys((*advisory.versions, *versions))),
        ranges=tuple(dict.fromkeys((*advisory.ranges, *ranges))),
        malicious=advisory.malicious or _has_mark(affected.get("database_specific")),
    )


def _completed(advisory: Advisory) -> Advisory:
    whole = advisory.malicious and not advisory.versions and not advisory.ranges
    return replace(advisory, ranges=(VersionRange(),)) if whole else advisory


def _spans(events: Iterable[Any]) -> Iterator[VersionRange]:
    """Pair events as the schema evaluates them: sorted by version, each `introduced` with the next end.

    A bound that is not a version counts as no bound.
    """
    begun: tuple[str | None] | None = None
    for _, kind, text in sorted(_points(events), key=_order):
        if kind == INTRODUCED:
            begun = begun or (text,)
        elif begun:
            yield VersionRange(begun[0], **{("last_affected" if kind == LAST_AFFECTED else "fixed"): text})
            begun = None
    if begun:
        yield VersionRange(begun[0])


INTRODUCED, LAST_AFFECTED, FIXED = range(3)
KINDS = {"introduced": INTRODUCED, "last_affected": LAST_AFFECTED, "fixed": FIXED}


type Point = tuple[Version | None, int, str | None]


def _order(point: Point) -> tuple[bool, Version, int]:
    version, kind, _ = point
    return version is not None, version or NO_VERSION, kind


def _points(events: Iterable[Any]) -> Iterator[Point]:
    for event in events:
        for name, kind in KINDS.items():
            if not isinstance(event, dict) or name not in event:
                continue
            # "0" is the schema's word for "before all versions".
            text = None if event[name] == "0" and kind == INTRODUCED else _version(event[name])
            parsed = parse_version_or_none(text) if text else None
            if parsed is not None:
                yield parsed, kind, text
            elif kind == INTRODUCED:
                yield None, kind, None


def _is_malicious(record: dict[str, Any], identity: str) -> bool:
    aliases = record.get("aliases")
    names = [identity, *(aliases if isinstance(aliases, list) else ())]
    is_named = any(isinstance(name, str) and name.startswith(MALWARE_ID) for name in names)
    return is_named or _has_mark(record.get("database_specific"))


def _has_mark(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    weaknesses = value.get("cwe_ids")
    is_weak = isinstance(weaknesses, list) and MALWARE_WEAKNESS in weaknesses
    return is_weak or value.get("malicious") is True or not MALWARE_MARKS.isdisjoint(value)


def _some(value: Any, limit: int, identity: str) -> list[Any]:
    """Return a list as it is, or an empty one for any other value. Raises `UpstreamMalformed` above the limit."""
    if not isinstance(value, list):
        return []
    if len(value) > limit:
        raise UpstreamMalformed(f"the advisory {identity} has a list of {len(value)} entries; at most {limit} are read")
    return value


def _version(value: Any) -> str | None:
    short = isinstance(value, str) and 0 < len(value) <= MAX_VERSION
    return value if short and value.isascii() and value.isprintable() else None
