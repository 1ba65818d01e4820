"""The admin panel in a real browser: the daily job, without scripts, by keyboard, and against other sites."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from koschey.auth.passwords import hash_password
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import connect
from tests.support.koschey_up import Koschey
from tests.support.releases import hold_new
from tests.support.upstream.server import Upstream

CHROMIUM = shutil.which("chromium")
# It talks to nobody by itself.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
USER, PASSWORD = "brigitte", "a long enough password"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextmanager
def browser(profile: Path, **options: Any) -> Iterator[BrowserContext]:
    """Start Chromium with a new, empty profile."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=ARGUMENTS, **options
        )
        context.set_default_timeout(15_000)
        yield context
        context.close()


@pytest.fixture(scope="module", autouse=True)
def account(koschey: Koschey) -> None:
    """The reviewer who logs in."""

    async def add() -> None:
        connection = await connect(koschey.settings["KOSCHEY_DATABASE_URL"])
        await insert_grant(
            connection, await upsert_account(connection, USER, await hash_password(PASSWORD)), "reviewer"
        )
        await connection.close()

    asyncio.run(add())


def log_in(page: Page, koschey: Koschey) -> None:
    page.goto(koschey.ready["admin_url"])
    page.get_by_label("User").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Quarantine")).to_be_visible()


def test_a_release_is_approved_without_scripts(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """A reviewer logs in, finds a release, approves it and sees it on the page, without scripts."""
    filename = hold_new(koschey, upstream, "browser-daily")
    with browser(tmp_path / "profile", java_script_enabled=False) as context:
        page = context.pages[0]
        log_in(page, koschey)
        page.get_by_label("Project").fill("browser-dai")
        page.get_by_role("button", name="Search", exact=True).click()
        row = page.get_by_role("row", name="browser-daily")
        expect(row).to_contain_text("in 6 d 23 h")
        row.get_by_label("Reason").fill("read the diff")
        row.get_by_role("button", name="Approve browser-daily 1.0").click()
        expect(page.get_by_role("status")).to_contain_text("Approved browser-daily 1.0")
        expect(row).to_have_count(0)
        page.get_by_role("link", name="browser-daily").click()
        expect(page.get_by_role("heading", name="browser-daily", exact=True)).to_be_visible()
        expect(page.get_by_role("cell", name="read the diff")).to_be_visible()
        page.get_by_role("link", name="/simple/browser-daily/").click()
        expect(page.get_by_role("link", name=filename)).to_be_visible()


def test_enter_decides_nothing(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """The Enter key in a reason's input chooses neither Approve nor Block; a button reached by Tab decides."""
    hold_new(koschey, upstream, "browser-enter")
    with browser(tmp_path / "profile") as context:
        page = context.pages[0]
        log_in(page, koschey)
        page.goto(koschey.ready["admin_url"] + "projects/browser-enter")
        reason = page.get_by_label("Reason for the decision on browser-enter 1.0")
        reason.fill("typed, then Enter")
        reason.press("Enter")
        page.wait_for_timeout(500)
        assert koschey.filenames("browser-enter") == []
        expect(reason).to_have_value("typed, then Enter")
        reason.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Approved browser-enter 1.0")


def test_the_keyboard_is_enough_to_log_in(koschey: Koschey, tmp_path: Path) -> None:
    """The login form has the focus from the start, and the first Tab of a page offers to skip to its content."""
    with browser(tmp_path / "profile") as context:
        page = context.pages[0]
        page.goto(koschey.ready["admin_url"])
        expect(page.get_by_label("User")).to_be_focused()
        page.keyboard.type(USER)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Quarantine")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 1290), ("light", 1000), ("dark", 360)])
def test_pages_break_no_rule_and_fit(
    koschey: Koschey, upstream: Upstream, tmp_path: Path, scheme: str, width: int
) -> None:
    """No page breaks its own policy or misses a file, each fits the window, and each follows the colour scheme."""
    hold_new(koschey, upstream, f"browser-look-{scheme}-{width}-" + "long-" * 20 + "name")
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with browser(tmp_path / "profile", **options) as context:
        page, complaints = context.pages[0], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        log_in(page, koschey)
        for path in ("", "journal", "projects/browser-look-" + f"{scheme}-{width}-" + "long-" * 20 + "name"):
            page.goto(koschey.ready["admin_url"] + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert background == ("rgb(247, 246, 242)" if scheme == "light" else "rgb(21, 25, 27)")
        page.screenshot(path=tmp_path / "project.png", full_page=True)
        assert complaints == []


def test_going_back_after_a_logout_shows_nothing(koschey: Koschey, tmp_path: Path) -> None:
    """After a logout the browser's Back leads to the login, not to a page that was kept."""
    with browser(tmp_path / "profile") as context:
        page = context.pages[0]
        log_in(page, koschey)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert page.get_by_role("heading", name="Quarantine").count() == 0


@pytest.mark.parametrize("site", ["http://127.0.0.1:9999/", "http://elsewhere.example/"])
def test_the_form_of_another_site_does_nothing(koschey: Koschey, upstream: Upstream, tmp_path: Path, site: str) -> None:
    """A form that another site sends, even one on the same host with the cookie and the token, decides nothing."""
    project = "browser-" + ("same-site" if "127" in site else "cross-site")
    hold_new(koschey, upstream, project)
    with browser(tmp_path / "profile") as context:
        page = context.pages[0]
        log_in(page, koschey)
        token = page.locator("input[name=csrf]").first.get_attribute("value")
        fields = {"csrf": token, "project": project, "version": "1.0", "choice": "approve", "reason": "x"}
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
        evil = f'<form method="post" action="{koschey.ready["admin_url"]}">{inputs}<button>Win a prize</button></form>'
        page.route(site, lambda route: route.fulfill(body=evil, content_type="text/html"))
        page.goto(site)
        page.get_by_role("button", name="Win a prize").click()
        expect(page.get_by_text("This request came from another site, so nothing was done.")).to_be_visible()
        assert koschey.filenames(project) == []
