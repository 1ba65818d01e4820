"""The index under examination: its project list, the pages of some projects, and files. Each is downloaded once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

from packaging.utils import canonicalize_name

from koschey.conformance.client import JSON, TEXT_HTML, Client, HttpAnswer
from koschey.conformance.html import ExaminedHtml, read_html
from koschey.errors import KoscheyError, StartError, UpstreamError

PROJECTS = 10
"""Number of listed projects that are examined if none is named."""
SMALL = 20 * 2**20
"""Maximum number of bytes of a file that is downloaded for a check."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file as a JSON page lists it."""

    project: str
    keys: dict[str, Any]
    url: str
    """Absolute."""

    @property
    def filename(self) -> str:
        """The filename."""
        return str(self.keys.get("filename"))

    @property
    def size(self) -> int:
        """The size in bytes, for choosing small files; an unknown size counts as small."""
        size = self.keys.get("size")
        return size if isinstance(size, int) else 0


@dataclass(frozen=True, slots=True)
class ExaminedPage:
    """The page of one project in both forms."""

    name: str
    url: str
    answer: HttpAnswer
    json: dict[str, Any]
    html_answer: HttpAnswer
    html: ExaminedHtml

    @property
    def files(self) -> list[FileEntry]:
        """All files of the JSON form."""
        files = self.json.get("files")
        entries = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
        return [FileEntry(self.name, file, urljoin(self.answer.url, str(file.get("url")))) for file in entries]


class Subject:
    """An index, by the address of its Simple API."""

    def __init__(self, client: Client, url: str, names: Sequence[str] = ()) -> None:
        self.client = client
        self.url = url.rstrip("/") + "/"
        self.root = self.url.removesuffix("simple/")
        self.list_answer: HttpAnswer
        self.pages: list[ExaminedPage] = []
        self._names = [canonicalize_name(name) for name in names]
        self._downloads: dict[str, HttpAnswer] = {}

    async def load(self) -> None:
        """Read the project list and the pages. Raises `StartError` if this is not a readable index."""
        try:
            self.list_answer = await self.client.fetch(self.url, Accept=f"{JSON}, {TEXT_HTML};q=0.1")
            if not self._names and self.list_answer.status != 200:
                raise StartError(
                    f"{self.url} answered {self.list_answer.status}: give the address of a Simple API, "
                    "which usually ends in /simple/, or name projects with --project"
                )
            self.pages = [await self._load_page(name) for name in self._names or self._listed()]
        except KoscheyError as error:
            raise error if isinstance(error, StartError) else StartError(str(error)) from None

    @property
    def list_json(self) -> dict[str, Any] | None:
        """The project list, or None if the index has it in HTML only."""
        if self.list_answer.media_type not in (JSON, "application/json"):
            return None
        found = self.list_answer.json
        return found if isinstance(found, dict) else None

    def page_url(self, name: str) -> str:
        """Return the URL of a project's page."""
        return f"{self.url}{quote(name)}/"

    @property
    def files(self) -> Iterator[FileEntry]:
        """All files of all pages."""
        for page in self.pages:
            yield from page.files

    def find(self, wanted: Callable[[FileEntry], object] = lambda _: True) -> list[FileEntry]:
        """Return the wanted files that are small enough to be downloaded, the smallest first."""
        return sorted((file for file in self.files if file.size <= SMALL and wanted(file)), key=lambda file: file.size)

    async def download(self, file: FileEntry) -> HttpAnswer:
        """Return a file's bytes."""
        if file.url not in self._downloads:
            self._downloads[file.url] = await self.client.fetch(file.url)
        return self._downloads[file.url]

    def _listed(self) -> list[str]:
        if found := self.list_json:
            names = [str(project.get("name")) for project in found.get("projects", []) if isinstance(project, dict)]
        else:
            names = [anchor.text for anchor in read_html(self.list_answer.body).anchors]
        return [canonicalize_name(name) for name in names[:PROJECTS]]

    async def _load_page(self, name: str) -> ExaminedPage:
        url = self.page_url(name)
        answer = await self.client.fetch(url, Accept=JSON)
        html_answer = await self.client.fetch(url, Accept=TEXT_HTML)
        try:
            found = answer.json if answer.status == 200 else {}
        except UpstreamError:
            found = {}
        json = found if isinstance(found, dict) else {}
        return ExaminedPage(name, url, answer, json, html_answer, read_html(html_answer.body))
