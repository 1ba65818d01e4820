"""One contender while it is measured: every answer is compared with the upstream's files, and counted."""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import psutil

from benchmarks.peers import catalogue, processes
from benchmarks.peers.http1 import Answer, Connection, address, encode_request, reserve
from benchmarks.peers.load import Target, rate

JSON = "application/vnd.pypi.simple.v1+json"
ANCHOR = re.compile(r'<a\s[^>]*?href="([^"#]*)(?:#sha256=([0-9a-f]+))?"[^>]*>\s*([^<]*?)\s*</a>')


class DifferentError(Exception):
    """The contender answered something else than the upstream has."""


@dataclass
class Session:
    """A running contender."""

    index: str
    """The URL of its Simple API."""
    tree: Path
    """The upstream's files."""
    folder: Path
    """For what clients write."""
    process: psutil.Process
    seconds: float
    """For which a rate is counted."""
    pages: int = 0
    """Pages that listed the same files, with the same digests, as the upstream."""
    files: int = 0
    """Files that had the same SHA-256."""
    forms: set[str] = field(default_factory=set)
    """Content types of its pages."""

    def page_url(self, project: str) -> str:
        """Return the URL of a project's page."""
        return f"{self.index}{project}/"

    def settle(self) -> None:
        """Wait until the contender has nothing left to do."""
        processes.settle(self.process)

    def first_pages(self, projects: Iterable[str]) -> float:
        """Request pages by one connection; return the seconds for each. They are compared when all have come."""
        with Connection(self.index) as connection:
            answers = {name: _kept(connection.get(self.page_url(name), Accept=JSON)) for name in projects}
        for name, answer in answers.items():
            self.check_page(name, answer)
        return sum(answer.total for answer in answers.values()) / len(answers)

    def read_page(self, project: str, headers: Mapping[str, str]) -> tuple[Answer, dict[str, str]]:
        """Request a page by a new connection; return the answer, and the URL of each file."""
        with Connection(self.index) as connection:
            answer = _kept(connection.get(self.page_url(project), **headers))
        return answer, self.check_page(project, answer)

    def read_files(self, project: str) -> dict[str, Answer]:
        """Request a project's page, and its files by another connection; return the answers by URL."""
        _, urls = self.read_page(project, {"Accept": JSON})
        page = catalogue.read_page(self.tree, project)
        expected = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        reserve(max(file["size"] for file in page["files"]))
        answers = {}
        with Connection(self.index) as connection:
            for name, url in urls.items():
                answer = connection.get(url)
                if answer.head.status != 200:
                    raise DifferentError(f"{name} was answered with {answer.head.status}")
                if hashlib.sha256(answer.body).hexdigest() != expected[name]:
                    raise DifferentError(f"{name} has other bytes")
                self.files += 1
                answers[url] = replace(answer, body=b"")
        return answers

    def rate(self, answers: Mapping[str, Answer], headers: Mapping[str, str]) -> float:
        """Return how many a second of these answers, which were received before, are received again."""
        targets = [Target(encode_request(url, headers), answer.head.length) for url, answer in answers.items()]
        return rate(address(self.index), targets, self.seconds)

    def check_page(self, project: str, answer: Answer) -> dict[str, str]:
        """Return the URLs of the files on a page; raises `DifferentError` unless they are the upstream's."""
        if answer.head.status != 200:
            raise DifferentError(f"the page of {project} was answered with {answer.head.status}")
        kind = answer.head.headers.get("content-type", "").partition(";")[0]
        self.forms.add(kind)
        found = _json_files(_decoded(answer)) if kind.endswith("json") else _html_files(_decoded(answer))
        expected = self._expected(project)
        if found.keys() != expected.keys():
            raise DifferentError(f"the page of {project} lists {len(found)} files, not the upstream's {len(expected)}")
        if any(digest not in {None, expected[name]} for name, (_, digest) in found.items()):
            raise DifferentError(f"the page of {project} has other digests")
        self.pages += 1
        return {name: urljoin(self.page_url(project), url) for name, (url, _) in found.items()}

    def _expected(self, project: str) -> dict[str, str]:
        page = catalogue.read_page(self.tree, project)
        return {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}


def _kept(answer: Answer) -> Answer:
    return replace(answer, body=bytes(answer.body))


def _json_files(body: bytes) -> dict[str, tuple[str, str | None]]:
    files = json.loads(body)["files"]
    return {file["filename"]: (file["url"], file.get("hashes", {}).get("sha256")) for file in files}


def _html_files(body: bytes) -> dict[str, tuple[str, str | None]]:
    anchors = ANCHOR.findall(body.decode())
    return {unescape(name): (unescape(url), digest or None) for url, digest, name in anchors}


def _decoded(answer: Answer) -> bytes:
    coding = answer.head.headers.get("content-encoding", "identity")
    if coding == "identity":
        return bytes(answer.body)
    if coding == "zstd":
        from backports import zstd  # noqa: PLC0415 - Python 3.14 has it under another name

        return zstd.decompress(answer.body)
    if coding in {"gzip", "deflate"}:
        return zlib.decompress(answer.body, wbits=47)
    raise DifferentError(f"a page came in the coding {coding}, which was not accepted")
