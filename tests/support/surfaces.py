"""Every route of the application, and the requests that ask it about one file.

A route without an entry in this table fails `test_surfaces`: each entry says how its route could disclose a held file,
or why it cannot.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote
from xmlrpc.client import dumps

from koschey.serving.explanations import release_word
from tests.support.app_in_process import AppInProcess
from tests.support.archives import read_core_metadata, wheel
from tests.support.koschey_up import JSON, Answer
from tests.support.uploads import MULTIPART, encoded, form

HTML = "application/vnd.pypi.simple.v1+html"
XML = "text/xml"
VERSIONS = (f"6.{number}.6" for number in itertools.count(600))
"""Versions that look like nothing else in an answer, a new one for each release."""


@dataclass(frozen=True)
class Subject:
    """The file that the requests are about, the only one of its project."""

    project: str
    version: str
    filename: str
    path: str
    sha256: str
    content: bytes
    metadata: bytes

    @property
    def secrets(self) -> dict[str, bytes]:
        """Bytes that an answer must not contain if it refuses the file."""
        return {
            "the sha256": self.sha256.encode(),
            "its bytes": self.content[40:56],
            "its last bytes": self.content[-16:],
            "its metadata": f"{self.project} for tests".encode(),
            "a dependency": f"secret-of-{self.project}".encode(),
        }


class SurfaceRequest(NamedTuple):
    """One request to a surface."""

    path: str
    method: str = "GET"
    accept: str = "*/*"
    body: bytes = b""
    range: str = ""
    if_none_match: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send."""
        named = {"Accept": self.accept, "Range": self.range, "If-None-Match": self.if_none_match}
        kept = {name: value for name, value in named.items() if value}
        return kept | ({"Content-Type": XML} if self.body else {})


@dataclass(frozen=True)
class Surface:
    """The requests to a route, and the test whether an answer discloses the file."""

    asks: Callable[[Subject], list[SurfaceRequest]]
    tells: Callable[[Answer, Subject], bool]
    lists: bool = False
    """Whether it lists files: then it must not even name a refused one."""
    private: bool = False
    """Whether it is only for accounts: an account without rights learns of no file, served or not."""
    explains: bool = False
    """Whether it explains why and until when files are held: it gives names, but no digest, bytes or metadata."""


def gives(answer: Answer, _: Subject) -> bool:
    """Return whether the answer is the file or a part of it, or confirms the client's copy."""
    return answer.status in (200, 206, 304)


def gives_bytes(answer: Answer, subject: Subject) -> bool:
    """Return whether the answer is the file, its metadata or its provenance, and not an explanation."""
    return answer.status in (200, 206, 304) and not answer.headers.get("content-type", "").startswith("text/html")


def shows(answer: Answer, subject: Subject) -> bool:
    """Return whether the answer contains what a client needs to download the file."""
    return subject.sha256.encode() in answer.body or subject.path.encode() in answer.body


def names_file(answer: Answer, subject: Subject) -> bool:
    """Return whether the answer lists the file; an answer to HEAD discloses nothing."""
    return subject.filename.encode() in answer.body


def names_version(answer: Answer, subject: Subject) -> bool:
    """Return whether the answer names the release."""
    return subject.version.encode() in answer.body


def pages(path: Callable[[Subject], str]) -> Callable[[Subject], list[SurfaceRequest]]:
    """Requests for every form of a page."""
    accepts = (JSON, HTML, "text/html", "*/*", "", f"{HTML};q=0.1, {JSON};q=0.9")
    return lambda subject: [SurfaceRequest(path(subject), accept=accept) for accept in accepts]


def one(path: Callable[[Subject], str]) -> Callable[[Subject], list[SurfaceRequest]]:
    """One request for an answer that has only one form."""
    return lambda subject: [SurfaceRequest(path(subject))]


def file_requests(subject: Subject) -> list[SurfaceRequest]:
    """Every request for the file's bytes, and for the files beside it."""
    tag, path = f'"{subject.sha256}"', subject.path
    return [
        SurfaceRequest(path),
        SurfaceRequest(path, range="bytes=0-9"),
        SurfaceRequest(path, range="bytes=-16"),
        SurfaceRequest(path, if_none_match=tag),
        SurfaceRequest(f"{path}?redirect=http://example.org/"),
        SurfaceRequest(path.replace(".whl", "%2Ewhl")),
        SurfaceRequest(f"{path}.metadata"),
        SurfaceRequest(f"{path}.metadata", range="bytes=0-9"),
        SurfaceRequest(f"{path}.provenance_url.json"),
    ]


def call(method: str, *parameters: object) -> bytes:
    """An XML-RPC call."""
    return dumps(parameters, method).encode()  # type: ignore[arg-type]


def calls(path: str) -> Callable[[Subject], list[SurfaceRequest]]:
    """XML-RPC calls whose answers name releases."""
    return lambda subject: [
        SurfaceRequest(path, "POST", body=call("search", {"name": subject.project})),
        SurfaceRequest(path, "POST", body=call("search", {"summary": subject.project})),
    ]


def provenance_path(subject: Subject) -> str:
    return f"/integrity/{subject.project}/{subject.version}/{quote(subject.filename)}/provenance"


def held_requests(subject: Subject) -> list[SurfaceRequest]:
    """Requests for the explanations to which a refused client is sent, for the file and for the files beside it."""
    where = f"/held/{release_word(subject.project, subject.version)}/is-held/ask-us"
    return [
        SurfaceRequest(f"{where}/{quote(subject.filename)}{beside}", accept=accept)
        for beside in ("", ".metadata", ".provenance_url.json", "/provenance")
        for accept in ("*/*", "text/html")
    ]


PAGE = Surface(pages(lambda s: f"/simple/{s.project}/"), names_file, lists=True)
NO_FILE = "names no file"
CHANGES = "changes something, for accounts that may; tests/koschey/web/test_api.py asks it as everybody"
FORM = "a form of the panel; tests/koschey/admin/test_guard.py sends it as everybody"

TABLE: dict[tuple[str, str], Surface | str] = {
    ("/", "home.home"): NO_FILE,
    ("/simple/", "simple.project_list"): "names projects only",
    ("/simple", "simple.project_list_without_slash"): "sends to /simple/",
    ("/simple/<project>/", "simple.project_detail"): PAGE,
    ("/simple/<project>", "simple.project_detail_without_slash"): Surface(
        pages(lambda s: f"/simple/{s.project}"), names_file, lists=True
    ),
    ("/legacy/+simple/<project>/", "simple.uploaded_project"): Surface(
        pages(lambda s: f"/legacy/+simple/{s.project}/"), names_file, lists=True
    ),
    ("/packages/<path:rest>", "files.package"): Surface(file_requests, gives),
    ("/integrity/<project>/<version>/<filename>/provenance", "integrity.provenance"): Surface(
        one(provenance_path), lambda answer, _: answer.status == 200
    ),
    **{
        (f"/pypi/<project>/json{slash}", "project_json.project_json"): Surface(
            one(lambda s, slash=slash: f"/pypi/{s.project}/json{slash}"),  # type: ignore[misc]
            names_file,
            lists=True,
        )
        for slash in ("", "/")
    },
    **{
        (f"/pypi/<project>/<version>/json{slash}", "project_json.release_json"): Surface(
            one(lambda s, slash=slash: f"/pypi/{s.project}/{s.version}/json{slash}"),  # type: ignore[misc]
            names_file,
        )
        for slash in ("", "/")
    },
    ("/held/<project>/", "held.project"): Surface(
        lambda s: [SurfaceRequest(f"/held/{s.project}/", accept=accept) for accept in ("*/*", "text/html")],
        shows,
        explains=True,
    ),
    ("/held/<project>/<version>/", "held.release"): Surface(
        one(lambda s: f"/held/{s.project}/{s.version}/"), shows, explains=True
    ),
    ("/held/<release>/<state>/<ask>/<path:filename>", "held.file"): Surface(held_requests, gives_bytes, explains=True),
    ("/rss/packages.xml", "feeds.newest_projects"): Surface(
        one(lambda _: "/rss/packages.xml"), lambda answer, s: s.project.encode() in answer.body, lists=True
    ),
    ("/rss/updates.xml", "feeds.newest_releases"): Surface(
        one(lambda _: "/rss/updates.xml"), names_version, lists=True
    ),
    ("/rss/project/<project>/releases.xml", "feeds.project_releases"): Surface(
        one(lambda s: f"/rss/project/{s.project}/releases.xml"), names_version, lists=True
    ),
    ("/stats/", "feeds.statistics"): Surface(
        lambda _: [SurfaceRequest("/stats/", accept="application/json"), SurfaceRequest("/stats/", accept="text/html")],
        lambda answer, s: s.project.encode() in answer.body,
        lists=True,
    ),
    ("/stats", "feeds.statistics_without_slash"): "sends to /stats/",
    ("/pypi", "xmlrpc.xmlrpc"): Surface(calls("/pypi"), names_version, lists=True),
    ("/pypi/", "xmlrpc.xmlrpc"): Surface(calls("/pypi/"), names_version, lists=True),
    ("/RPC2", "xmlrpc.xmlrpc"): Surface(calls("/RPC2"), names_version, lists=True),
    ("/legacy/", "upload.legacy"): CHANGES,
    ("/legacy", "upload.legacy"): CHANGES,
    ("/_/live", "health.live"): NO_FILE,
    ("/_/ready", "health.ready"): NO_FILE,
    ("/_/health", "health.health"): NO_FILE,
    ("/api/v1/openapi.json", "api.openapi"): NO_FILE,
    ("/api/v1/account", "api.read_own_account"): NO_FILE,
    ("/api/v1/accounts", "api.read_accounts"): NO_FILE,
    ("/api/v1/accounts/<account>", "api.read_account"): NO_FILE,
    ("/api/v1/tokens", "api.read_tokens"): NO_FILE,
    ("/api/v1/grants", "api.read_grants"): NO_FILE,
    ("/api/v1/projects/<project>", "api.read_project"): Surface(
        one(lambda s: f"/api/v1/projects/{s.project}"), names_file, private=True
    ),
    ("/api/v1/quarantine", "api.read_quarantine"): Surface(
        lambda s: [SurfaceRequest("/api/v1/quarantine"), SurfaceRequest(f"/api/v1/quarantine?project={s.project}")],
        names_file,
        private=True,
    ),
    **{
        (f"/api/v1/{name}", f"api.read_{name}"): Surface(
            one(lambda _, name=name: f"/api/v1/{name}"),  # type: ignore[misc]
            names_file,
            private=True,
        )
        for name in ("proposals", "requests", "alerts", "exceptions", "policy")
    },
    ("/api/v1/projects/<project>/downloads", "api.read_downloads"): Surface(
        one(lambda s: f"/api/v1/projects/{s.project}/downloads"), names_file, private=True
    ),
    ("/api/v1/journal", "api.read_journal"): Surface(one(lambda _: "/api/v1/journal"), names_file, private=True),
    ("/admin/", "admin.quarantine"): Surface(
        lambda s: [SurfaceRequest("/admin/"), SurfaceRequest(f"/admin/?q={s.project}")], names_file, private=True
    ),
    ("/admin/projects/<project>", "admin.project"): Surface(
        one(lambda s: f"/admin/projects/{s.project}"), names_file, private=True
    ),
    **{
        (f"/admin/{name}", f"admin.{name}"): Surface(
            one(lambda _, name=name: f"/admin/{name}"),  # type: ignore[misc]
            names_file,
            private=True,
        )
        for name in ("attention", "policy")
    },
    ("/admin/projects/<project>/downloads", "admin.downloads"): Surface(
        one(lambda s: f"/admin/projects/{s.project}/downloads"), names_file, private=True
    ),
    ("/admin/journal", "admin.journal"): Surface(one(lambda _: "/admin/journal"), names_file, private=True),
    ("/admin", "admin.without_slash"): "sends to /admin/",
    ("/admin/login", "admin.login"): NO_FILE,
    ("/admin/static/<path:filename>", "admin.static"): "the style sheet and its like",
    ("/admin/<path:rest>", "admin.nothing"): "404 for whoever is logged in",
}
"""The surface of each route that reads, or why it cannot disclose a file."""


def surfaces() -> Iterator[tuple[str, Surface]]:
    """Each route that can disclose a file."""
    for (rule, _), surface in TABLE.items():
        if isinstance(surface, Surface):
            yield rule, surface


def upload_private(app: AppInProcess, project: str) -> Subject:
    """Upload a release of a private package."""
    version = next(VERSIONS)
    filename, content = wheel(project, version, requires=[f"secret-of-{project}"])
    digest = hashlib.sha256(content).hexdigest()
    body = encoded(form(filename, content, {"name": project}), filename, content)
    answer = app.ask("/legacy/", "POST", app.account("admin"), body, Content_Type=MULTIPART)
    assert answer.status == 200, answer
    app.hear_all()
    path = app.file(filename).file.path
    assert path
    return Subject(project, version, filename, path, digest, content, read_core_metadata(content) or b"")
