"""The admin panel as a person uses it in a browser without scripts, and accounts to log in with."""

import asyncio
import html
import re
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

from werkzeug.datastructures import Headers

from koschey.auth.passwords import hash_password
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import connect
from tests.support.koschey_up import Koschey, new_address

PASSWORD = "a long enough password"


class Page:
    """An answer of the panel."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.text = body.decode()

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    @property
    def csrf(self) -> str:
        match = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.text)
        assert match, self.text
        return match[1]

    @property
    def confirmation(self) -> dict[str, str]:
        """The form that asks for a name before files in use are hidden; empty if the page has none."""
        match = re.search(r'<form class="confirmation" method="post" action="(.*?)">(.*?)</form>', self.text, re.DOTALL)
        if match is None:
            return {}
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', match[2])
        return {"action": html.unescape(match[1]), **{name: html.unescape(value) for name, value in fields}}

    @property
    def told(self) -> str:
        """The page's message about the last request."""
        match = re.search(r'<p class="(?:notice|error)" role="\w+">(.*?)</p>', self.text, re.DOTALL)
        return html.unescape(match[1]) if match else ""


class Person:
    """A person with a browser without scripts: it keeps cookies, and follows no redirect by itself."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.address = new_address()
        self.cookies: dict[str, str] = {}

    def ask(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Page:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        if form is not None:
            sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{self.host}"} | sent
        body = None if form is None else urlencode(form)
        with closing(HTTPConnection(self.host, timeout=60, source_address=(self.address, 0))) as connection:
            connection.request("GET" if form is None else "POST", path, body, sent)
            response = connection.getresponse()
            page = Page(response.status, Headers(response.getheaders()), response.read())
        for cookie in page.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return page

    def log_in(self, user: str, password: str = PASSWORD) -> Page:
        csrf = self.ask("/admin/login").csrf
        return self.ask("/admin/login", {"csrf": csrf, "user": user, "password": password})

    def decide(self, choice: str, project: str, version: str, reason: str, path: str = "/admin/") -> Page:
        csrf = self.ask(path).csrf
        form = {"csrf": csrf, "choice": choice, "project": project, "version": version, "reason": reason}
        return self.confirm(self.ask(path, form), project)

    def confirm(self, page: Page, name: str) -> Page:
        """Confirm the request if the page asks for the name because files are in use."""
        form = page.confirmation
        return self.ask(form.pop("action"), {**form, "again": name}) if form else page


def add_account(koschey: Koschey, name: str, *grants: tuple[str, str]) -> str:
    """Make an account with the common password and return its name."""

    async def add() -> None:
        connection = await connect(koschey.settings["KOSCHEY_DATABASE_URL"])
        account = await upsert_account(connection, name, await hash_password(PASSWORD))
        for role, scope in grants:
            await insert_grant(connection, account, role, scope)
        await connection.close()

    asyncio.run(add())
    return name
