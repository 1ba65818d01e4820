"""The login of the admin panel: who gets in, for how long, and what a session's cookie is worth."""

import re
import statistics
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from koschey.auth import sessions
from koschey.auth.sessions import SessionId, close_session, find_session, open_session
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Pool
from tests.support.koschey_up import Koschey
from tests.support.panel import PASSWORD, Person, add_account
from tests.support.postgres import set_clock
from tests.support.rows import NOON
from tests.support.web_processes import web_process_url


def test_the_printed_login_works(koschey: Koschey) -> None:
    """The user and password that `koschey up` prints open the panel at the address that it prints."""
    person = Person(koschey.url)
    path = urlsplit(koschey.ready["admin_url"]).path
    assert person.ask(path).location == "/admin/login"
    answer = person.log_in(koschey.ready["admin_user"], koschey.ready["admin_password"])
    assert (answer.status, answer.location) == (303, "/admin/")
    page = person.ask("/admin/")
    assert page.status == 200
    assert "<h1>Quarantine</h1>" in page.text


def test_unknown_user_and_wrong_password_look_alike(koschey: Koschey) -> None:
    """A failed login has the same status, text and time whether or not the account exists."""
    known = add_account(koschey, "known", ("reviewer", "*"))
    with web_process_url(koschey) as url:
        answers, seconds = {}, {}
        for user in (known, "nobody-of-this-name", "__token__"):
            person, times = Person(url), []
            csrf = person.ask("/admin/login").csrf
            for _ in range(3):
                began = time.monotonic()
                page = person.ask("/admin/login", {"csrf": csrf, "user": user, "password": "wrong"})
                times.append(time.monotonic() - began)
            answers[user] = (page.status, page.text.replace(user, "").replace(page.csrf, ""))
            seconds[user] = statistics.median(times)
    assert len(set(answers.values())) == 1
    assert answers[known][0] == 401
    assert max(seconds.values()) < 3 * min(seconds.values()), seconds


def test_an_upload_token_is_no_login(koschey: Koschey) -> None:
    """A token, which lies on build servers, does not open the panel."""
    answer = Person(koschey.url).log_in("__token__", koschey.ready["upload_token"])
    assert answer.status == 401


def test_an_account_without_a_role_is_told_so(koschey: Koschey) -> None:
    """The right password of an account that may decide nothing is answered with 403 and a clear text."""
    person = Person(koschey.url)
    answer = person.log_in(add_account(koschey, "ursula", ("uploader", "*")))
    assert answer.status == 403
    assert answer.told == "The account ursula may not use this panel; an admin can make it a reviewer."
    assert person.ask("/admin/").location == "/admin/login"


def test_a_role_taken_away_ends_the_session(koschey: Koschey) -> None:
    """A session is worth nothing from the moment its account loses its role."""
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "fired", ("reviewer", "*")))
    assert person.ask("/admin/").status == 200
    koschey.fetch_value(
        "DELETE FROM role_grant USING account WHERE account.id = account_id AND name = 'fired' RETURNING 1"
    )
    assert person.ask("/admin/").location == "/admin/login"


def test_ten_failed_logins_are_enough(koschey: Koschey) -> None:
    """After ten failed logins from an address the eleventh is refused unchecked, even with the right password."""
    user = add_account(koschey, "hasty", ("reviewer", "*"))
    with web_process_url(koschey) as url:
        person = Person(url)
        csrf = person.ask("/admin/login").csrf
        statuses = [
            person.ask("/admin/login", {"csrf": csrf, "user": user, "password": f"guess {number}"}).status
            for number in range(10)
        ]
        refused = person.log_in(user)
        other = person.log_in("somebody-else")
    assert statuses == [401] * 10
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    assert "Too many failed logins. Try again in" in refused.told
    assert other.status == 429


@pytest.mark.parametrize("path", ["/admin/", "/admin/journal", "/admin/projects/six", "/admin/nothing/here"])
def test_without_a_session_every_page_leads_to_the_login(koschey: Koschey, path: str) -> None:
    """No page below /admin/ says anything to somebody who is not logged in, not even that it does not exist."""
    answer = Person(koschey.url).ask(path, Host="evil.example")
    assert (answer.status, answer.location) == (303, "/admin/login")


# Sessions


def test_a_login_takes_a_new_id(koschey: Koschey) -> None:
    """The id that a browser had before it logged in, possibly planted, opens nothing afterwards."""
    person, planted = Person(koschey.url), Person(koschey.url)
    person.ask("/admin/login")
    planted.cookies = dict(person.cookies)
    assert person.log_in(add_account(koschey, "victor", ("reviewer", "*"))).status == 303
    assert person.cookies != planted.cookies
    assert person.ask("/admin/").status == 200
    assert planted.ask("/admin/").location == "/admin/login"


def test_logout_ends_the_session_on_the_server(koschey: Koschey) -> None:
    """After a logout the old cookie opens nothing, and other sessions of the same account go on."""
    user = add_account(koschey, "laura", ("reviewer", "*"))
    here, thief, elsewhere = Person(koschey.url), Person(koschey.url), Person(koschey.url)
    here.log_in(user)
    elsewhere.log_in(user)
    thief.cookies = dict(here.cookies)
    assert thief.ask("/admin/").status == 200
    answer = here.ask("/admin/logout", {"csrf": here.ask("/admin/").csrf})
    assert (answer.status, answer.location) == (303, "/admin/login")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert thief.ask("/admin/").location == "/admin/login"
    assert elsewhere.ask("/admin/").status == 200


def test_a_second_login_ends_the_first_session(koschey: Koschey) -> None:
    """Logging in again from the same browser leaves one session, not two."""
    user = add_account(koschey, "twice", ("reviewer", "*"))
    person, old = Person(koschey.url), Person(koschey.url)
    person.log_in(user)
    old.cookies = dict(person.cookies)
    form = {"csrf": person.ask("/admin/").csrf, "user": user, "password": PASSWORD}
    assert person.ask("/admin/login", form).status == 303
    assert person.ask("/admin/").status == 200
    assert old.ask("/admin/").location == "/admin/login"


def test_the_database_does_not_hold_what_the_cookie_holds(koschey: Koschey, reviewer: Person) -> None:
    """Only the sha256 of a session's id is stored, so a copy of the table opens no session."""
    [cookie] = reviewer.cookies.values()
    rows = koschey.fetch_value("SELECT string_agg(session::text, ' ') FROM session")
    assert cookie not in rows
    assert sessions._digest(SessionId(cookie)) in rows


def test_the_cookie_is_for_the_panel_alone(koschey: Koschey) -> None:
    """The cookie is HttpOnly, SameSite=Lax and bound to /admin; behind https it is Secure and has a secure name."""
    plain = Person(koschey.url).ask("/admin/login").headers["Set-Cookie"]
    assert re.fullmatch(r"koschey_admin=[\w-]{43}; HttpOnly; Path=/admin; SameSite=Lax", plain)
    with web_process_url(koschey, KOSCHEY_BASE_URL="https://koschey.example", KOSCHEY_HOSTS="127.0.0.1") as url:
        person = Person(url)
        secure = person.ask("/admin/login").headers["Set-Cookie"]
        answer = person.log_in(add_account(koschey, "sara", ("reviewer", "*")))
    assert re.fullmatch(r"__Secure-koschey_admin=[\w-]{43}; Secure; HttpOnly; Path=/admin; SameSite=Lax", secure), (
        secure
    )
    assert answer.status == 303


@pytest.mark.parametrize(
    ("steps", "in_force"),
    [
        pytest.param([timedelta(hours=11)] * 5, True, id="used"),
        pytest.param([timedelta(hours=12)], False, id="idle"),
        pytest.param([timedelta(hours=11)] * 16, False, id="old"),
    ],
)
async def test_a_session_ends_by_the_one_clock(pool: Pool, steps: list[timedelta], in_force: bool) -> None:
    """A session ends after 12 hours without use and after 7 days in any case, by koschey_now()."""
    await set_clock(pool, NOON)
    await insert_grant(pool, await upsert_account(pool, "clara", None), "reviewer")
    session_id = await open_session(pool, "clara", None)
    now = NOON
    for step in steps:
        now += step
        await set_clock(pool, now)
        found = await find_session(pool, session_id)
    assert (found is not None) is in_force
    await open_session(pool, "clara", None)
    assert await pool.fetchval("SELECT count(*) FROM session") == (2 if in_force else 1)


async def test_a_disabled_account_has_no_session(pool: Pool) -> None:
    """Disabling an account ends its sessions at once, and closing a session ends that one."""
    account = await upsert_account(pool, "clara", None)
    first, second = [await open_session(pool, "clara", None) for _ in range(2)]
    await close_session(pool, first)
    assert await find_session(pool, first) is None
    assert await find_session(pool, second) is not None
    await pool.execute("UPDATE account SET disabled_at = koschey_now() WHERE id = $1", account)
    assert await find_session(pool, second) is None
