"""Reads the pins of a lock: requirements.txt, uv.lock, pylock.toml (PEP 751), poetry.lock or pdm.lock.

Entries that do not come from an index by their name are skipped, and reported as such. Environment markers are not
evaluated: a lock is for everybody who installs from it.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.pylock import PackageSdist, PackageWheel, Pylock, PylockValidationError

from koschey.client.requirements import read_requirements, read_text
from koschey.errors import StartError, UsageError
from koschey.policy.availability import Pin
from koschey.standards.names import parse_name, parse_version

FORMATS = "requirements*.txt, uv.lock, pylock.toml, pylock.*.toml, poetry.lock and pdm.lock"
NAME_LINE = re.compile(r"\s*\"?name\"?\s*=\s*[\"']([^\"']+)[\"']")
ELSEWHERE = ("git", "url", "directory", "file", "path", "editable", "virtual")
"""Keys, or kinds of source, of packages that no index has."""


@dataclass(frozen=True, slots=True)
class LockPosition:
    """The file and the line of a pin."""

    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Lock:
    """The pins of a file, and its entries that are no pins of an index."""

    pins: Mapping[Pin, LockPosition]
    """In the order of the file."""
    skipped: tuple[str, ...]


def read_lock(path: Path) -> Lock:
    """Read a lock. Raises `StartError` if it cannot be read or has an unknown format."""
    try:
        if re.fullmatch(r".*\.(txt|in)", path.name):
            return _of_requirements(path)
        text = read_text(path)
        reader = READERS.get("pylock.toml" if re.fullmatch(r"pylock\.([^.]+\.)?toml", path.name) else path.name)
        if reader is None:
            raise StartError(f"{path.name} is not a lock file that Koschey can read; it can read {FORMATS}")
        return _of_packages(path, text, reader(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise StartError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise StartError(f"{path} is nested too deeply for a lock") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    except PylockValidationError as error:
        raise StartError(f"{path} is not a lock file of PEP 751: {error}") from None
    except KeyError as error:
        raise StartError(f"{path} does not follow its format: an entry has no {error.args[0]}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise StartError(f"{path} does not follow its format: {error}") from None


@dataclass(frozen=True, slots=True)
class _Package:
    """One entry of a TOML lock. Without a version, or from elsewhere, it is no pin."""

    name: str
    version: str | None
    hashes: tuple[str, ...]
    elsewhere: bool


def _read_uv(lock: Mapping[str, Any]) -> Iterator[_Package]:
    for package in lock.get("package", []):
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        elsewhere = "registry" not in package["source"]
        yield _Package(package["name"], package.get("version"), _hashes(file.get("hash") for file in files), elsewhere)


def _read_pylock(lock: Mapping[str, Any]) -> Iterator[_Package]:
    for package in Pylock.from_dict(lock).packages:
        files: list[PackageWheel | PackageSdist] = [*(package.wheels or ())]
        files += [package.sdist] if package.sdist else []
        hashes = _hashes(f"{name}:{digest}" for file in files for name, digest in file.hashes.items())
        version = str(package.version) if package.version else None
        yield _Package(package.name, version, hashes, elsewhere=not files)


def _read_poetry(lock: Mapping[str, Any]) -> Iterator[_Package]:
    # Until version 1.1 of the format, the files of all packages were listed apart.
    apart = lock.get("metadata", {}).get("files", {})
    for package in lock.get("package", []):
        files = package.get("files") or apart.get(package["name"], [])
        elsewhere = package.get("source", {}).get("type") in ELSEWHERE
        yield _Package(package["name"], package["version"], _hashes(file.get("hash") for file in files), elsewhere)


def _read_pdm(lock: Mapping[str, Any]) -> Iterator[_Package]:
    for package in lock.get("package", []):
        elsewhere = any(key in package for key in ELSEWHERE)
        hashes = _hashes(file.get("hash") for file in package.get("files", []))
        yield _Package(package["name"], package.get("version"), hashes, elsewhere)


READERS: dict[str, Callable[[Mapping[str, Any]], Iterator[_Package]]] = {
    "uv.lock": _read_uv,
    "pylock.toml": _read_pylock,
    "poetry.lock": _read_poetry,
    "pdm.lock": _read_pdm,
}


def _hashes(found: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({text for text in found if text}))


def _of_packages(path: Path, text: str, packages: Iterable[_Package]) -> Lock:
    lines = _Lines(text)
    pins: dict[Pin, LockPosition] = {}
    skipped = []
    for package in packages:
        place = LockPosition(path, lines.find(package.name, package.version))
        if package.elsewhere or package.version is None:
            skipped.append(f"{path}:{place.line}: {package.name} does not come from an index")
            continue
        pins.setdefault(_pin(place, package.name, package.version, package.hashes), place)
    return Lock(pins, tuple(skipped))


def _of_requirements(path: Path) -> Lock:
    pins: dict[Pin, LockPosition] = {}
    skipped = []
    for found in read_requirements(path):
        place = LockPosition(found.file, found.line)
        if found.version is None:
            skipped.append(f"{found.file}:{found.line}: {found.text} {found.why}")
        else:
            pins.setdefault(_pin(place, found.name, found.version, found.hashes), place)
    return Lock(pins, tuple(skipped))


def _pin(place: LockPosition, name: str, version: str, hashes: tuple[str, ...]) -> Pin:
    try:
        return Pin(parse_name(name), parse_version(version), hashes)
    except UsageError as error:
        raise StartError(f"{place.file}:{place.line}: {error}") from None


class _Lines:
    """Finds the line in which a package begins, because TOML parsers do not give it."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._named: defaultdict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(self._lines):
            if match := NAME_LINE.match(line):
                self._named[match[1].lower()].append(number)

    def find(self, name: str, version: str | None) -> int:
        """Return the number of the line that names the package with this version; 1 if no line does."""
        pinned = re.compile(rf"\s*\"?version\"?\s*=\s*[\"']{re.escape(version or '')}[\"']")
        numbers = self._named[name.lower()]
        for place, number in enumerate(numbers):
            near = self._lines[number + 1 : number + 4]
            if version is None or any(pinned.match(line) for line in near):
                del numbers[place]
                return number + 1
        return 1
