"""An index under a path, behind nginx with TLS, by both kinds of proxies: installs, uploads, the panel, every link."""

import html
import re
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from tests.clients.nginx import PATH, Nginx
from tests.clients.tls import HOST
from tests.support.archives import wheel
from tests.support.commands import pip, run
from tests.support.koschey_up import JSON, Answer, Koschey, ask, wait_until
from tests.support.panel import PASSWORD, add_account
from tests.support.sigstore import Sigstore
from tests.support.temporal_cli import program
from tests.support.unix_socket import status
from tests.support.upstream.server import Upstream
from tests.support.web_processes import web_process

FRESH = timedelta(hours=1)
KINDS = ("strips", "passes")


class Site:
    """The index as its users reach it by one kind of proxy."""

    def __init__(self, nginx: Nginx, kind: str) -> None:
        self.url = nginx.url(kind)
        self.index_url = f"{self.url}/simple/"
        self.certificates = str(nginx.certificates)
        self._trust = ssl.create_default_context(cafile=self.certificates)

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Ask for a path of this host; nothing is followed."""
        parts = urlsplit(self.url)
        connection = HTTPSConnection(HOST, parts.port or 443, context=self._trust, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
        finally:
            connection.close()

    def page(self, project: str) -> Any:
        """A project's page, with its links resolved."""
        answer = self.ask(f"{PATH}/simple/{project}/", Accept=JSON)
        assert answer.status == 200, answer
        page = answer.json
        for file in page["files"]:
            file["url"] = urljoin(f"{self.index_url}{project}/", file["url"])
        return page


class Browser:
    """Keeps cookies for the paths that they are for; has no scripts and follows nothing by itself."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cookie = ""
        self._path = "/"

    def go(self, path: str) -> Answer:
        """Ask for a page."""
        return self._keep(self._site.ask(path, **self._headers(path)))

    def send(self, path: str, **form: str) -> Answer:
        """Send a form from the page before it."""
        page = self.go(path if path.endswith("login") else f"{PATH}/admin/").body.decode()
        [token] = set(re.findall('name="csrf" value="([^"]+)"', page))
        origin = self._site.url.removesuffix(PATH)
        headers = {"Content_Type": "application/x-www-form-urlencoded", "Origin": origin, **self._headers(path)}
        return self._keep(self._site.ask(path, "POST", urlencode({"csrf": token, **form}), **headers))

    def _headers(self, path: str) -> dict[str, str]:
        return {"Cookie": self._cookie} if self._cookie and path.startswith(self._path) else {}

    def _keep(self, answer: Answer) -> Answer:
        if said := answer.headers.get("set-cookie"):
            self._cookie = said.partition(";")[0]
            [self._path] = re.findall("Path=([^;]+)", said)
        return answer


def _found(site: Site, path: str) -> Answer | None:
    answer = site.ask(path, Accept="text/html")
    return answer if answer.status == 200 else None


def _links(answer: Answer) -> list[str]:
    """Every address in an answer."""
    text = answer.body.decode()
    found = re.findall(r'(?:href|src|action)="([^"#]+)', text) + re.findall(r"(https?://[^\s\"<>]+)", text)
    found += [*re.findall("<([^>]+)>", answer.headers.get("link", "")), answer.headers.get("location", "")]
    if "json" in answer.headers.get("content-type", ""):
        found += re.findall(r'"url":\s*"([^"]+)"', text)
    return [link for link in found if link]


@pytest.fixture(scope="module", params=["port", "socket"])
def nginx(request: pytest.FixtureRequest, koschey: Koschey, folder: Path) -> Iterator[Nginx]:
    """nginx in front of a web process that listens on a port, and of one that listens on a unix socket."""
    place = folder / "web.sock"
    with Nginx(folder / f"nginx-{request.param}") as proxy:
        variables = {"KOSCHEY_BASE_URL": proxy.url("strips")}
        if request.param == "socket":
            variables |= {"KOSCHEY_HOST": f"unix:{place}", "KOSCHEY_TRUSTED_PROXIES": "unix:"}
        is_ready = (lambda: status(place) == 200) if request.param == "socket" else None
        with web_process(koschey, None, is_ready, None, **variables) as web:
            if request.param == "socket":
                place.chmod(0o666)  # the workers of nginx run under another account where it is started as root
            proxy.start(f"http://unix:{place}:" if request.param == "socket" else f"http://127.0.0.1:{web.port}")
            yield proxy


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, nginx: Nginx) -> Site:
    """The index by one of the two kinds."""
    site = Site(nginx, request.param)
    wait_until(lambda: site.ask(f"{PATH}/_/health").status == 200)
    return site


@pytest.fixture(scope="module")
def stocked(koschey: Koschey, shared_upstream: Upstream, sigstore: Sigstore) -> Upstream:
    """An upstream with a project that needs another, with an attested release, and with one that is held."""
    upstream = shared_upstream
    upstream.add("ng-app", "1.0", requires=["ng-part"], provenance=sigstore.provenance)
    upstream.add("ng-part", "1.0")
    upstream.add("ng-part", "2.0", upload_time=datetime.now(UTC) - FRESH)
    koschey.page("ng-part")
    wait_until(lambda: koschey.is_stored("ng_part-2.0-py3-none-any.whl"))
    return upstream


@pytest.mark.usefixtures("stocked")
def test_pip_and_uv_install(site: Site, tmp_path: Path) -> None:
    """Real installers find pages, metadata and files under the path, and a lock names files under it."""
    pip(
        *("install", "--target", str(tmp_path / "a"), "--index-url", site.index_url, "--cert", site.certificates),
        "ng-app",
    )
    trust = {"SSL_CERT_FILE": site.certificates}
    arguments = ("pip", "install", "--target", str(tmp_path / "b"), "--index-url", site.index_url, "ng-app")
    run(program("uv"), *arguments, "--no-cache", "--no-config", environment=trust)
    for target in ("a", "b"):
        installed = {path.name for path in (tmp_path / target).glob("*.dist-info")}
        assert installed == {"ng_app-1.0.dist-info", "ng_part-1.0.dist-info"}
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["ng-part"]\n'
    )
    run(
        *(program("uv"), "lock", "--project", str(tmp_path), "--default-index", site.index_url),
        *("--no-cache", "--no-config"),
        environment=trust,
    )
    assert f'url = "{site.url}/packages/' in (tmp_path / "uv.lock").read_text()


@pytest.mark.usefixtures("stocked")
def test_pip_shows_the_url_that_explains_itself(koschey: Koschey, site: Site) -> None:
    """A held file is refused by a URL under the path, which is what pip prints, and the page behind it answers."""
    path = koschey.path_of("ng_part-2.0-py3-none-any.whl")
    first = site.ask(PATH + path)
    assert (first.status, first.headers["location"].startswith(f"{PATH}/held/ng-part-2.0/")) == (302, True)
    problem = site.ask(first.headers["location"], Accept="application/problem+json")
    assert problem.status == 403
    assert problem.json["help"].startswith("https://")
    assert urlsplit(problem.json["help"]).path == f"{PATH}/held/ng-part/"
    assert urlsplit(problem.json["ask"]["url"]).path == f"{PATH}/api/v1/requests"


def test_publishing(koschey: Koschey, site: Site, tmp_path: Path) -> None:
    """twine and `uv publish` upload below the path, and hatch's page there links files that exist."""
    for name, client in ((f"ng-twine-{urlsplit(site.url).port}", "twine"), (f"ng-uv-{urlsplit(site.url).port}", "uv")):
        filename, content = wheel(name, "1.0")
        (tmp_path / filename).write_bytes(content)
        token, address = str(koschey.ready["upload_token"]), f"{site.url}/legacy/"
        if client == "twine":
            login = ("-u", "__token__", "-p", token, "--cert", site.certificates)
            upload = ["upload", "--non-interactive", "--repository-url", address, *login, str(tmp_path / filename)]
            run(sys.executable, "-m", "twine", *upload)
        else:
            upload = ["publish", "--publish-url", address, "--token", token, str(tmp_path / filename)]
            environment = {"SSL_CERT_FILE": site.certificates}
            run(program("uv"), *upload, "--no-cache", "--no-config", environment=environment)
        for folder in ("simple", "legacy/%2Bsimple"):
            page = wait_until(partial(_found, site, f"{PATH}/{folder}/{name}/"))
            [link] = re.findall('href="([^#"]+)', page.body.decode())
            file = urlsplit(urljoin(f"{site.url}/{folder}/{name}/", link)).path
            assert file.startswith(f"{PATH}/packages/")
            assert site.ask(file).body == content


def test_panel(koschey: Koschey, site: Site, stocked: Upstream) -> None:
    """A reviewer logs in, every link, form and file of the panel stays below the path, and a decision is made."""
    name = add_account(koschey, f"nina-{urlsplit(site.url).port}", ("admin", "*"))
    browser = Browser(site)
    for path in (f"{PATH}/admin", f"{PATH}/admin/"):
        assert browser.go(path).headers["location"] == f"{PATH}/admin/login"
    answer = browser.send(f"{PATH}/admin/login", user=name, password=PASSWORD)
    assert (answer.status, answer.headers["location"]) == (303, f"{PATH}/admin/")
    assert f"Path={PATH}/admin;" in answer.headers["set-cookie"]
    assert answer.headers["set-cookie"].startswith("__Secure-")
    seen, left = set(), [f"{PATH}/admin/", f"{PATH}/admin/projects/ng-part"]
    while left:
        path = left.pop()
        seen.add(path)
        page = browser.go(path)
        assert page.status in (200, 301), (path, page)
        for link in re.findall(r'(?:href|src|action)="([^"]+)"', page.body.decode()):
            target = urlsplit(html.unescape(link))
            if target.netloc or not target.path:
                assert not target.path or target.netloc != urlsplit(site.url).netloc, link
                continue
            assert target.path.startswith(f"{PATH}/"), (path, link)
            # Forms are sent below; of lists one page is enough.
            is_next = target.path.startswith(f"{PATH}/admin/") and "projects/" not in target.path
            if is_next and target.path not in seen | {f"{PATH}/admin/logout", f"{PATH}/admin/codes"}:
                left.append(target.path)
    assert {f"{PATH}/admin/policy", f"{PATH}/admin/journal", f"{PATH}/admin/static/admin.css"} <= seen
    choice = {"choice": "extend", "days": "8", "project": "ng-part", "version": "2.0", "reason": "under a path"}
    answer = browser.send(f"{PATH}/admin/projects/ng-part", **choice)
    assert (answer.status, answer.headers["location"]) == (303, f"{PATH}/admin/projects/ng-part")
    assert "Held longer" in browser.go(answer.headers["location"]).body.decode()
    assert browser.send(f"{PATH}/admin/logout").headers["location"] == f"{PATH}/admin/login"
    assert browser.go(f"{PATH}/admin/").status == 303


@pytest.mark.usefixtures("stocked")
def test_every_address_is_below_the_path(site: Site) -> None:
    """Links in HTML and JSON pages, feeds, the JSON API, redirects and headers: all are below the path, and answer."""
    assert len(site.page("ng-app")["files"]) == 1
    origin = urlsplit(site.url)
    found: dict[str, str] = {}
    for path, accept in (
        ("/", "text/html"),
        ("/simple", "text/html"),
        ("/simple/Ng_App/", "text/html"),
        ("/simple/ng-app/", "text/html"),
        ("/simple/ng-app/", JSON),
        ("/simple/ng-part/", JSON),
        ("/pypi/ng-app/json", "application/json"),
        ("/pypi/NG-APP/1.0/json", "application/json"),
        ("/held/ng-part", "text/html"),
        ("/held/Ng-Part/", "text/html"),
        ("/held/ng-part/", "text/html"),
        ("/held/ng-part/", "application/json"),
        ("/rss/packages.xml", "*/*"),
        ("/rss/updates.xml", "*/*"),
        ("/rss/project/ng-app/releases.xml", "*/*"),
        ("/stats", "*/*"),
    ):
        answer = site.ask(PATH + path, Accept=accept)
        assert answer.status < 400, (path, answer)
        for link in _links(answer):
            whole = urlsplit(urljoin(site.url + path, html.unescape(link)))
            # Absolute addresses are those of KOSCHEY_BASE_URL, whichever proxy is asked.
            if whole.hostname == origin.hostname:
                assert whole.path.startswith(f"{PATH}/"), (path, link)
                found[whole.path] = path
    kinds = {path.removeprefix(PATH).split("/")[1] for path in found}
    assert {"simple", "packages", "pypi", "held", "admin"} <= kinds
    for path, page in found.items():
        # 405: uploads are sent by POST. 401: requests are listed for reviewers.
        assert site.ask(path).status in (200, 301, 302, 303, 401, 405), (path, page)
    assert site.ask(f"{PATH}/api/v1/openapi.json").json["servers"] == [{"url": PATH}]


def test_attestations_and_xml_rpc(koschey: Koschey, site: Site, stocked: Upstream) -> None:
    """The provenance object's address is absolute, https, and below the path; so is XML-RPC's."""
    file = stocked.file("ng_app-1.0-py3-none-any.whl")
    [listed] = site.page("ng-app")["files"]
    answer = site.ask(urlsplit(listed["url"]).path)
    assert (answer.status, answer.body) == (200, file.content)
    where = urlsplit(wait_until(lambda: site.page("ng-app")["files"][0].get("provenance")))
    assert (where.scheme, where.path) == ("https", f"{PATH}/integrity/ng-app/1.0/{file.filename}/provenance")
    assert site.ask(where.path).json["attestation_bundles"]
    call = "<methodCall><methodName>package_releases</methodName><params><param><value><string>ng-app</string></value>"
    body = f"<?xml version='1.0'?>{call}</param></params></methodCall>"
    for path in (f"{PATH}/pypi", f"{PATH}/RPC2"):
        assert b"1.0" in site.ask(path, "POST", body, Content_Type="text/xml").body


def test_pages_are_the_same_bytes_everywhere(koschey: Koschey, site: Site, stocked: Upstream) -> None:
    """The HTML page of a project does not depend on where the index is reached, and its ETag stays valid."""
    inside = ask(f"{koschey.index_url}ng-part/", Accept="text/html")
    outside = site.ask(f"{PATH}/simple/ng-part/", Accept="text/html")
    assert (outside.body, outside.headers["etag"]) == (inside.body, inside.headers["etag"])
    again = site.ask(f"{PATH}/simple/ng-part/", Accept="text/html", If_None_Match=inside.headers["etag"])
    assert again.status == 304
