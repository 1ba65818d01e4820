"""Real wheels and sdists, built in memory.

The same arguments always give the same bytes, independent of clock, umask and compressor.
"""

import base64
import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name
from packaging.version import Version

WHEEL = "Wheel-Version: 1.0\nGenerator: koschey-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

# An sdist carries its own finished wheel, so that installers can build it with no network and no build tool.
# It is encoded, because installers treat any file that ends like a zip as a zip.
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """\
import base64, pathlib

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    wheel = next(pathlib.Path("built").iterdir())
    pathlib.Path(wheel_directory, wheel.stem).write_bytes(base64.b64decode(wheel.read_bytes()))
    return wheel.stem
"""


def wheel(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    modules: Mapping[str, str] | None = None,
    padding: int = 0,
    extras: Iterable[str] = (),
) -> tuple[str, bytes]:
    """The filename and bytes of an installable wheel. `modules` maps paths ("six.py") to their source."""
    stem = f"{_escaped(name)}-{Version(version)}"
    sources = {f"{_escaped(name)}.py": f'__version__ = "{version}"\n'} if modules is None else modules
    members = {path: source.encode() for path, source in sources.items()}
    if padding:
        members[f"{_escaped(name)}_padding.bin"] = noise(stem, padding)
    members[f"{stem}.dist-info/METADATA"] = core_metadata(name, version, requires, requires_python, extras)
    members[f"{stem}.dist-info/WHEEL"] = WHEEL.encode()
    record = f"{stem}.dist-info/RECORD"
    members[record] = _record(members, record)
    return f"{stem}-py3-none-any.whl", _zip(members)


def other_bytes(name: str, version: str, note: str = "other") -> tuple[str, bytes]:
    """The wheel of that name and version with another content."""
    return wheel(name, version, modules={f"{name}.py": f"# {note}\n"})


def sdist(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    modules: Mapping[str, str] | None = None,
    padding: int = 0,
) -> tuple[str, bytes]:
    """The filename and bytes of a PEP 625 sdist, from which installers build offline the wheel that `wheel` returns."""
    requires = list(requires)
    built, content = wheel(name, version, requires=requires, requires_python=requires_python, modules=modules)
    stem = f"{_escaped(name)}-{Version(version)}"
    members = {
        f"{stem}/PKG-INFO": core_metadata(name, version, requires, requires_python),
        f"{stem}/pyproject.toml": PYPROJECT.encode(),
        f"{stem}/backend.py": BACKEND.encode(),
        f"{stem}/built/{built}.b64": base64.b64encode(content),
    }
    if padding:
        members[f"{stem}/padding.bin"] = noise(stem, padding)
    # Level 0 only stores: this is fast, and the bytes do not depend on Python's zlib.
    return f"{stem}.tar.gz", gzip.compress(_tar(members), compresslevel=0, mtime=0)


def core_metadata(
    name: str,
    version: str,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    extras: Iterable[str] = (),
) -> bytes:
    """A METADATA (or PKG-INFO) file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", f"Summary: {name} for tests"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    return "\n".join([*lines, "", ""]).encode()


def read_core_metadata(content: bytes) -> bytes | None:
    """The METADATA inside a wheel, or None if these bytes are no wheel."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return archive.read(next(names))
    except (zipfile.BadZipFile, StopIteration):
        return None


def noise(seed: str, size: int) -> bytes:
    """Bytes that no compressor can shrink. The same seed always gives the same bytes."""
    return random.Random(seed).randbytes(size)


def _escaped(name: str) -> str:
    # PEP 427 and PEP 625: the normalised name, with its hyphens replaced, because they separate a filename's parts.
    return canonicalize_name(name).replace("-", "_")


def _record(members: Mapping[str, bytes], record: str) -> bytes:
    lines = []
    for path, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{record},,\n"]).encode()


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in members.items():
            info = zipfile.ZipInfo(path)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
