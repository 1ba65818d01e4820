"""Guesses at passwords over HTTP: every door counts them, and a login from elsewhere goes on working."""

import asyncio
import base64
import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from koschey.web.watched import ClientGone, WatchedReceive
from tests.support.koschey_up import Koschey, new_address
from tests.support.panel import PASSWORD, Person, add_account
from tests.support.web_processes import web_process_url


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask_from(
    url: str, address: str, header: str, path: str = "/api/v1/journal", method: str = "GET", **more: str
) -> Any:
    """Send one request from an address of loopback; returns status, headers and body."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60, source_address=(address, 0))) as connection:
        body = b"--b--\r\n" if method == "POST" else None
        headers = {"Authorization": header, "Content-Type": "multipart/form-data; boundary=b"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()


@pytest.mark.parametrize("door", ["api", "upload", "panel", "pages"])
def test_every_door_counts_and_refuses(koschey: Koschey, closed_url: str, door: str) -> None:
    """Ten wrong passwords at one door close all of them to the address: 429, when to come back, a clear text (A4)."""
    user, address = add_account(koschey, f"guessed-{door}", ("admin", "*")), new_address()
    wrong = {"api": 401, "upload": 403, "panel": 401, "pages": 401}[door]
    person = Person(closed_url)
    person.address = address
    ways: dict[str, Callable[[str], Any]] = {
        "api": lambda password: ask_from(closed_url, address, basic(user, password)),
        "upload": lambda password: ask_from(closed_url, address, basic(user, password), "/legacy/", "POST"),
        "panel": lambda password: _by_panel(person, user, password),
        "pages": lambda password: ask_from(closed_url, address, basic(user, password), "/simple/"),
    }
    assert [ways[door](f"guess {n}")[0] for n in range(10)] == [wrong] * 10
    for name, way in ways.items():
        status, headers, body = way(PASSWORD)
        assert status == 429, name
        assert 0 < int(headers["Retry-After"]) <= 300
        assert "Too many failed logins. Try again in" in body
    assert ask_from(closed_url, new_address(), basic(user, PASSWORD))[0] == 200
    # The other processes count with it.
    assert ask_from(koschey.url, address, basic(user, PASSWORD))[0] == 429


def test_a_claimed_address_counts_only_behind_our_proxy(koschey: Koschey) -> None:
    """A client cannot take another address for each guess; behind our proxy each client has its own limit (A4)."""
    user, address = add_account(koschey, "proxied", ("admin", "*")), new_address()

    def guess_as(url: str, claimed: str, password: str) -> int:
        return int(ask_from(url, address, basic(user, password), X_Forwarded_For=claimed)[0])

    with web_process_url(koschey, KOSCHEY_TRUSTED_PROXIES="127.0.0.0/8") as url:
        assert [guess_as(url, "2001:db8:7::1", f"guess {n}") for n in range(10)] == [401] * 10
        assert guess_as(url, "2001:db8:7::2", PASSWORD) == 429
        assert guess_as(url, "2001:db8:8::2", PASSWORD) == 200
    assert [guess_as(koschey.url, f"203.0.113.{n}", f"guess {n}") for n in range(10)] == [401] * 10
    assert guess_as(koschey.url, "203.0.113.99", PASSWORD) == 429


def _by_panel(person: Person, user: str, password: str) -> Any:
    page = person.log_in(user, password)
    return page.status, page.headers, page.text


def test_wrong_credentials_do_not_keep_anybody_from_open_pages(koschey: Koschey) -> None:
    """Where reading needs no credentials wrong ones are ignored, for however long, and take no login away."""
    user, address = add_account(koschey, "behind-nat", ("admin", "*")), new_address()
    for n in range(15):
        assert ask_from(koschey.url, address, basic(user, f"old {n % 3}"), "/simple/")[0] == 200
    assert ask_from(koschey.url, address, basic(user, PASSWORD))[0] == 200


def test_a_login_from_elsewhere_works_during_a_flood(koschey: Koschey) -> None:
    """While 300 guesses come at once from another address, the right password opens the panel and the API (A4)."""
    user, attacker = add_account(koschey, "flooded", ("admin", "*")), new_address()
    results: list[int] = []

    def attack(numbers: Sequence[int]) -> None:
        results.extend(ask_from(koschey.url, attacker, basic(user, f"guess {n}"))[0] for n in numbers)

    threads = [threading.Thread(target=attack, args=(range(n, 300, 30),)) for n in range(30)]
    for thread in threads:
        thread.start()
    statuses = [Person(koschey.url).log_in(user).status, ask_from(koschey.url, new_address(), basic(user, PASSWORD))[0]]
    for thread in threads:
        thread.join()
    assert statuses == [303, 200]
    assert len(results) == 300
    assert results.count(401) <= 10
    assert set(results) <= {401, 429, 503}


# A client that goes away at the gate


async def test_the_gate_sees_that_a_client_goes_away() -> None:
    """Work for a client that closes the connection ends at once; what came before is there for who reads later."""
    messages = asyncio.Queue[dict[str, Any]]()
    watched = WatchedReceive(messages.get)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(watched.while_there(work()))
    messages.put_nowait({"type": "http.request", "body": b"x", "more_body": False})
    await asyncio.sleep(0.01)
    messages.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        await asyncio.wait_for(task, 30)
    assert ended.is_set()
    assert [(await watched())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]
    watched.close()


async def test_the_gate_loses_no_message() -> None:
    """Whatever was read while the login was checked is read again by the application, in its order."""
    bodies = [{"type": "http.request", "body": bytes([n]), "more_body": n < 99} for n in range(100)]
    numbers = itertools.count()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return bodies[next(numbers)]

    watched = WatchedReceive(receive)
    assert await watched.while_there(asyncio.sleep(0.05, "done")) == "done"
    assert [await watched() for _ in range(100)] == bodies
    watched.close()
