"""The contents of the test upstream: its projects and files, and the two forms of their pages."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name

from tests.support import archives

MIB = 2**20

type Page = dict[str, Any]


@dataclass(frozen=True)
class Body:
    """`block`, repeated up to `size` bytes: a gigabyte needs the memory of one block."""

    block: bytes = field(repr=False)
    size: int
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, content: bytes) -> "Body":
        """A body of exactly these bytes."""
        return cls(content, len(content))

    def chunks(self, start: int, stop: int, step: int = MIB) -> Iterator[memoryview]:
        """Yield the bytes from `start` up to, but not including, `stop`, in pieces of at most `step` bytes."""
        view = memoryview(self.block)
        while start < stop:
            offset = start % len(view)
            piece = view[offset : offset + min(step, stop - start)]
            yield piece
            start += len(piece)

    def hexdigest(self, algorithm: str) -> str:
        """The digest of the whole body. It is computed once."""
        if algorithm not in self._digests:
            blake2b = algorithm == "blake2b-256"
            digest = hashlib.blake2b(digest_size=32) if blake2b else hashlib.new(algorithm)
            for chunk in self.chunks(0, self.size):
                digest.update(chunk)
            self._digests[algorithm] = digest.hexdigest()
        return self._digests[algorithm]


@dataclass(frozen=True)
class UpstreamFile:
    """One file as it was published. It is a value: later changes of the upstream do not affect it."""

    project: NormalizedName
    version: str
    filename: str
    url: str
    body: Body
    metadata: bytes | None  # the body of `<url>.metadata`; None if that is not served
    upload_time: datetime
    requires_python: str | None
    yanked: bool | str
    provenance: bytes | None = field(default=None, repr=False)  # PEP 740, as the page lists it

    @property
    def provenance_path(self) -> str:
        """The path of its provenance object, whether that exists or not."""
        return f"/integrity/{self.project}/{self.version}/{quote(self.filename)}/provenance"

    @property
    def path(self) -> str:
        """The path of `url`, percent-encoded."""
        return urlsplit(self.url).path

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.body.size

    @property
    def sha256(self) -> str:
        """The digest that the pages give."""
        return self.body.hexdigest("sha256")

    @property
    def content(self) -> bytes:
        """All bytes; not for large files."""
        return b"".join(self.body.chunks(0, self.size))


@dataclass
class Project:
    """The facts on a page other than the files. PEP 792: a project has exactly one status."""

    name: str
    serial: int = 0
    status: str = "active"
    reason: str | None = None


class Catalogue:
    """Projects and files that a test may change at any time, from any thread."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.serial = 0
        self.serials = True
        self.upload_times = True
        self.hashes: Literal["sha256", "md5"] | None = "sha256"
        self.file_layout: Literal["pypi", "flat"] = "pypi"  # for files that are added after a change
        self._lock = threading.RLock()
        self._projects: dict[NormalizedName, Project] = {}
        self._files: dict[str, UpstreamFile] = {}

    def add(
        self,
        project: str,
        version: str,
        *,
        upload_time: datetime | None = None,
        content: bytes | None = None,
        size: int | None = None,
        filename: str | None = None,
        sdist: bool = False,
        requires: Iterable[str] = (),
        requires_python: str | None = None,
        yanked: bool | str = False,
        core_metadata: bool = True,
        modules: Mapping[str, str] | None = None,
        provenance: Callable[[str, str], bytes] | None = None,
    ) -> UpstreamFile:
        """Publish a real wheel or sdist, or the given bytes; by default the upload time is 400 days ago.

        `provenance` makes the object of PEP 740 from the filename and the SHA-256.
        """
        if content is None or filename is None:
            build = partial(
                archives.sdist if sdist else archives.wheel,
                requires=list(requires),
                requires_python=requires_python,
                modules=modules,
            )
            name, built = build(project, version)
            if size is not None:
                name, built = build(project, version, padding=max(1, size - len(built) - 256))
            filename, content = filename or name, built if content is None else content
        metadata = archives.read_core_metadata(content) if core_metadata and not sdist else None
        file = self._file(project, version, filename, Body.of(content), upload_time)
        file = replace(file, metadata=metadata, requires_python=requires_python, yanked=yanked)
        if provenance is not None:
            file = replace(file, provenance=provenance(file.filename, file.sha256))
        return self._put(project, file)

    def promise(self, filename: str, metadata: bytes) -> UpstreamFile:
        """Serve and list other core metadata than the wheel contains."""
        file = self.file(filename)
        return self._put(file.project, replace(file, metadata=metadata))

    def attest(self, filename: str, provenance: bytes | None) -> UpstreamFile:
        """List another provenance object for a file at the same URL; None removes the object from the page."""
        file = self.file(filename)
        return self._put(file.project, replace(file, provenance=provenance))

    def add_large(
        self,
        project: str,
        version: str,
        *,
        size: int,
        filename: str | None = None,
        upload_time: datetime | None = None,
    ) -> UpstreamFile:
        """Publish `size` bytes under a wheel's name. They are never all in memory, and are no valid wheel."""
        filename = filename or archives.wheel(project, version)[0]
        body = Body(archives.noise(filename, MIB), size)
        return self._put(project, self._file(project, version, filename, body, upload_time))

    def file(self, filename: str) -> UpstreamFile:
        """The file as it is now."""
        with self._lock:
            return self._files[filename]

    def replace(self, filename: str, content: bytes) -> UpstreamFile:
        """Publish other bytes under the same filename, and in the flat layout also under the same URL."""
        old = self.file(filename)
        new = self._file(old.project, old.version, filename, Body.of(content), old.upload_time)
        metadata = old.metadata and archives.read_core_metadata(content)
        new = replace(new, metadata=metadata, requires_python=old.requires_python, yanked=old.yanked)
        return self._put(old.project, new)

    def yank(self, project: str, version: str, reason: str = "") -> None:
        """Yank every file of the release (PEP 592)."""
        self._mark(project, version, reason or True)

    def unyank(self, project: str, version: str) -> None:
        """Remove the yanked mark from every file of the release."""
        self._mark(project, version, False)

    def remove(self, filename: str) -> None:
        """Delete one file. Its project stays, even if it is empty."""
        with self._lock:
            self._touch(self._files.pop(filename).project)

    def remove_release(self, project: str, version: str) -> None:
        """Delete every file of the release."""
        with self._lock:
            for file in self._release(project, version):
                del self._files[file.filename]
            self._touch(project)

    def remove_project(self, project: str) -> None:
        """Delete the project. From now on its page and files are not found."""
        with self._lock:
            for file in self._of(project):
                del self._files[file.filename]
            del self._projects[canonicalize_name(project)]
            self.serial += 1

    def set_status(self, project: str, status: str, reason: str | None = None) -> None:
        """Set a project's status (PEP 792). A quarantined project's page lists no files; their URLs still answer."""
        with self._lock:
            self._projects.setdefault(canonicalize_name(project), Project(project))
            self._touch(project)
            found = self._projects[canonicalize_name(project)]
            found.status, found.reason = status, reason

    def project_list(self) -> Page:
        """The JSON form of `/simple/`."""
        with self._lock:
            projects = [{"name": found.name, **self._last(found.serial)} for found in self._projects.values()]
            return {"meta": {"api-version": "1.4", **self._last(self.serial)}, "projects": projects}

    def project_detail(self, project: str) -> Page | None:
        """The JSON form of `/simple/<project>/`; None if there is no such project."""
        with self._lock:
            found = self._projects.get(canonicalize_name(project))
            if found is None:
                return None
            files = [] if found.status == "quarantined" else self._of(project)
            status = {"status": found.status} | ({"reason": found.reason} if found.reason else {})
            return {
                "meta": {"api-version": "1.4", **self._last(found.serial)},
                "name": canonicalize_name(project),
                "project-status": status,
                "versions": list(dict.fromkeys(file.version for file in files)),
                "files": [self._entry(file) for file in files],
            }

    def _file(
        self, project: str, version: str, filename: str, body: Body, upload_time: datetime | None
    ) -> UpstreamFile:
        address = body.hexdigest("blake2b-256") if self.file_layout == "pypi" else ""
        folder = f"packages/{address[:2]}/{address[2:4]}/{address[4:]}" if address else "files"
        return UpstreamFile(
            project=canonicalize_name(project),
            version=version,
            filename=filename,
            url=f"{self.root}/{folder}/{quote(filename)}",
            body=body,
            metadata=None,
            upload_time=upload_time or datetime.now(UTC) - timedelta(days=400),
            requires_python=None,
            yanked=False,
        )

    def _put(self, project: str, file: UpstreamFile) -> UpstreamFile:
        _ = file.sha256  # computed now, in the test's thread, so that the server does not have to
        with self._lock:
            self._projects.setdefault(file.project, Project(project))
            self._files[file.filename] = file
            self._touch(project)
        return file

    def _mark(self, project: str, version: str, yanked: bool | str) -> None:
        with self._lock:
            for file in self._release(project, version):
                self._files[file.filename] = replace(file, yanked=yanked)
            self._touch(project)

    def _touch(self, project: str) -> None:
        self.serial += 1
        self._projects[canonicalize_name(project)].serial = self.serial

    def _of(self, project: str) -> list[UpstreamFile]:
        return [file for file in self._files.values() if file.project == canonicalize_name(project)]

    def _release(self, project: str, version: str) -> list[UpstreamFile]:
        files = [file for file in self._of(project) if file.version == version]
        if not files:
            raise KeyError(f"{project} {version}")
        return files

    def _last(self, serial: int) -> Page:
        return {"_last-serial": serial} if self.serials else {}

    def _entry(self, file: UpstreamFile) -> Page:
        entry: Page = {
            "filename": file.filename,
            "url": file.url,
            "hashes": {"sha256": file.sha256} if self.hashes == "sha256" else self._digests(file.body),
            "size": file.size,
            "yanked": file.yanked,
            "core-metadata": file.metadata is not None and (self._digests(Body.of(file.metadata)) or True),
        }
        if self.upload_times:
            entry["upload-time"] = file.upload_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if file.requires_python is not None:
            entry["requires-python"] = file.requires_python
        if file.provenance is not None:
            entry["provenance"] = self.root + file.provenance_path
        return entry

    def _digests(self, body: Body) -> dict[str, str]:
        return {} if self.hashes is None else {self.hashes: body.hexdigest(self.hashes)}


def render_html(page: Page) -> str:
    """The PEP 503 form of a page. It has the same contents as the JSON form."""
    metas = {"pypi:repository-version": page["meta"]["api-version"]}
    if "project-status" in page:
        metas["pypi:project-status"] = page["project-status"]["status"]
        metas["pypi:project-status-reason"] = page["project-status"].get("reason")
    lines = ["<!DOCTYPE html>", "<html>", "<head>"]
    lines += [f'<meta name="{name}" content="{escape(value)}">' for name, value in metas.items() if value]
    lines += [f"<title>{escape(page.get('name', 'Simple index'))}</title>", "</head>", "<body>"]
    for project in page.get("projects", ()):
        href = f"/simple/{canonicalize_name(project['name'])}/"
        lines.append(f'<a href="{href}">{escape(project["name"])}</a><br>')
    lines += [_anchor(entry) for entry in page.get("files", ())]
    lines += ["</body>", "</html>"]
    if "_last-serial" in page["meta"]:
        lines.append(f"<!--SERIAL {page['meta']['_last-serial']}-->")
    return "\n".join(lines)


def _anchor(entry: Page) -> str:
    fragment = "".join(f"#{name}={value}" for name, value in entry["hashes"].items())
    attributes = {"href": entry["url"] + fragment}
    if "requires-python" in entry:
        attributes["data-requires-python"] = entry["requires-python"]
    if entry["yanked"]:
        attributes["data-yanked"] = "" if entry["yanked"] is True else entry["yanked"]
    if metadata := entry["core-metadata"]:
        known = "true" if metadata is True else "".join(f"{name}={value}" for name, value in metadata.items())
        attributes["data-core-metadata"] = known
    if "provenance" in entry:
        attributes["data-provenance"] = entry["provenance"]
    rendered = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {rendered}>{escape(entry['filename'])}</a><br>"
