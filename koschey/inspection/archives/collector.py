"""Collects the report on an archive's content while its members are read for the rules.

Names in the report's lists leave out what changes with every version: the one folder at the top of an sdist, and the
version in a wheel's `<name>-<version>.data`.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from configparser import ConfigParser, Error
from typing import Any

from packaging.metadata import parse_email

from koschey.errors import Refused
from koschey.inspection.archives.content import Content, DescribedMetadata, Member
from koschey.inspection.archives.limits import MIB
from koschey.standards.core_metadata import ACTED_ON, draft_fault, parse_core_metadata, read_core_metadata

MAX_LISTED = 50_000
"""Maximum number of members that a report names."""
MAX_NAMES = 4 * MIB
"""Maximum number of characters of all their names together."""
MAX_ITEMS = 1_000
"""Maximum number of items of any other list."""
MAX_TEXT = 500
"""Maximum number of characters of one text."""
MAX_BODY = MIB
"""Maximum number of bytes of a file that is parsed."""
HEAD = 64

NATIVE_SUFFIX = re.compile(r".+\.(so(\.\d+)*|pyd|dll|dylib)", re.IGNORECASE)
MACH_O = frozenset(bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe"))
FAT_MACH_O = bytes.fromhex("cafebabe")
MAX_ARCHITECTURES = 40
"""A fat Mach-O has fewer parts. A Java class begins in the same way, and has at least 45 in place of their number."""
DATA = re.compile(r"[^/]+\.data(?=/)")
SETUP, SETTINGS, PROJECT = "setup.py", "setup.cfg", "pyproject.toml"
CMDCLASS = re.compile(rb"\bcmdclass\b")


def is_native(name: str, head: bytes) -> bool:
    """Return whether a file has machine code, by its name or its first bytes: ELF, PE or Mach-O."""
    if NATIVE_SUFFIX.fullmatch(name) or head[:4] == b"\x7fELF" or head[:4] in MACH_O:
        return True
    if head[:4] == FAT_MACH_O:
        return int.from_bytes(head[4:8]) < MAX_ARCHITECTURES
    return head[:2] == b"MZ" and b"\0" in head


class Collector:
    """What is known of one archive so far."""

    def __init__(self, *, is_wheel: bool) -> None:
        self._is_wheel = is_wheel
        self._members: list[Member] = []
        self._characters = 0
        self._inflated = 0
        self._files = 0
        self._native: list[str] = []
        self._pth: list[str] = []
        self._digests: dict[str, str] = {}
        self._bodies: dict[str, bytes] = {}
        self._tops: dict[str, None] = {}
        self._cut: dict[str, None] = {}

    def watch(self, name: str, kind: str, chunks: Iterable[bytes] = ()) -> Iterator[bytes]:
        """Pass on the content of a member, and record it for the report. `kind` is file, folder or link."""
        name = name.removesuffix("/")
        place, head, size, content = self._place(name), b"", 0, bytearray()
        runs = kind == "file" and (place.endswith(".pth") or place == SETUP)
        hasher = hashlib.sha256() if runs else None
        is_read = kind == "file" and not self._is_wheel and place in (SETUP, SETTINGS, PROJECT)
        for chunk in chunks:
            head = head or chunk[:HEAD]
            size += len(chunk)
            if hasher:
                hasher.update(chunk)
            if is_read and len(content) <= MAX_BODY:
                content += chunk
            yield chunk
        native = kind == "file" and is_native(name, head)
        self._note(Member(name, size, "native" if native else kind), place)
        if hasher:
            self._digests[place] = hasher.hexdigest()
        if is_read:
            self._bodies[place] = bytes(content)

    def _note(self, member: Member, place: str) -> None:
        self._inflated += member.size
        self._files += member.kind in ("file", "native")
        self._characters += len(member.name)
        if len(self._members) < MAX_LISTED and self._characters <= MAX_NAMES:
            self._members.append(member)
        else:
            self._cut["members"] = None
        if member.kind == "native":
            self._native.append(place)
        if member.kind != "folder" and place.endswith(".pth"):
            self._pth.append(place)
        if top := self._top(place):
            self._tops[top] = None

    def _place(self, name: str) -> str:
        return DATA.sub("*.data", name, count=1) if self._is_wheel else name.partition("/")[2]

    def _top(self, place: str) -> str:
        parts = place.split("/")
        if not self._is_wheel:
            return parts[0]
        if parts[0] == "*.data":
            parts = parts[2:] if len(parts) > 2 and parts[1] in ("purelib", "platlib") else [""]
        return "" if parts[0].endswith(".dist-info") else parts[0].partition(".")[0]

    def finish(self, metadata: bytes, entry_points: bytes | None = None) -> Content:
        """Return the report. `entry_points` is the content of a wheel's entry_points.txt."""
        settings = self._pyproject()
        groups = _read_entry_points(entry_points) if self._is_wheel else _declared_entry_points(settings)
        build = _table(settings, "build-system")
        described = self._describe(metadata)
        return Content(
            files=self._files,
            inflated=self._inflated,
            members=tuple(self._members),
            native=self._bounded("native", self._native),
            pth=self._bounded("pth", self._pth),
            digests=dict(list(self._digests.items())[:MAX_ITEMS]),
            hooks=tuple(self._hooks(build)),
            build_backend=_text(build.get("build-backend")),
            build_requires=self._bounded("build_requires", build.get("requires")),
            entry_points=self._bounded_groups(groups),
            top_level=self._bounded("top_level", list(self._tops)),
            metadata=described,
            truncated=tuple(self._cut),
        )

    def _hooks(self, build: dict[str, Any]) -> Iterator[str]:
        """Yield what runs when the sdist is built, besides the build tool itself."""
        if SETUP in self._bodies:
            yield SETUP
        if any(CMDCLASS.search(self._bodies.get(name, b"")) for name in (SETUP, SETTINGS)):
            yield "cmdclass"
        if build.get("backend-path"):
            yield "backend-path"

    def _pyproject(self) -> dict[str, Any]:
        body = self._bodies.get(PROJECT, b"")
        if any(len(found) > MAX_BODY for found in self._bodies.values()):
            self._cut["hooks"] = None
        try:
            return tomllib.loads(body[:MAX_BODY].decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
            self._cut["hooks"] = None
            return {}

    def _describe(self, body: bytes) -> DescribedMetadata:
        name = "METADATA" if self._is_wheel else "PKG-INFO"
        fault, core = _fault_of(body, name), read_core_metadata(body)
        _, unparsed = parse_email(body)
        twice = any(written.replace("_", "-") in unparsed for written in ACTED_ON)
        if core is None:
            return DescribedMetadata(hashlib.sha256(body).hexdigest(), fault=fault, ambiguous=True)
        return DescribedMetadata(
            hashlib.sha256(body).hexdigest(),
            str(core.project)[:MAX_TEXT],
            str(core.version) if core.version else None,
            _text(core.requires_python),
            self._bounded("requires_dist", list(core.requires_dist)),
            fault,
            ambiguous=twice or core.version is None,
        )

    def _bounded(self, what: str, items: object) -> tuple[str, ...]:
        """Return the texts among the items, at most `MAX_ITEMS`."""
        texts = [text for item in items if (text := _text(item))] if isinstance(items, list) else []
        if len(texts) > MAX_ITEMS:
            self._cut[what] = None
        return tuple(texts[:MAX_ITEMS])

    def _bounded_groups(self, groups: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        bounded: dict[str, dict[str, str]] = {}
        count = 0
        for group, entries in groups.items():
            for name, target in entries.items():
                count += 1
                if count > MAX_ITEMS:
                    self._cut["entry_points"] = None
                    return bounded
                bounded.setdefault(group[:MAX_TEXT], {})[name[:MAX_TEXT]] = target
        return bounded


def _fault_of(body: bytes, name: str) -> str | None:
    try:
        return draft_fault(parse_core_metadata(body, name), name)
    except Refused as refusal:
        return _text(str(refusal))


def _read_entry_points(body: bytes | None) -> dict[str, dict[str, str]]:
    """Parse a wheel's entry_points.txt; the rules have checked that it can be parsed."""
    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="", empty_lines_in_values=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string((body or b"").decode())
    except (UnicodeDecodeError, Error):
        return {}
    return {group: {name: _text(target) or "" for name, target in parser.items(group)} for group in parser.sections()}


def _declared_entry_points(settings: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what an sdist's pyproject.toml declares (PEP 621); what a `setup.py` computes is not known."""
    project = _table(settings, "project")
    groups = {
        "console_scripts": project.get("scripts"),
        "gui_scripts": project.get("gui-scripts"),
        **_table(project, "entry-points"),
    }
    return {
        _text(group) or "": {_text(name) or "": _text(target) or "" for name, target in entries.items()}
        for group, entries in groups.items()
        if isinstance(entries, dict)
    }


def _table(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    """Return an untrusted text as a printable one of at most `MAX_TEXT` characters; None if it is empty or no text."""
    if not isinstance(value, str):
        return None
    return "".join(character if character.isprintable() else " " for character in value[:MAX_TEXT]).strip() or None
