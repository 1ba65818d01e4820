"""Takes the pictures of the panel in docs/images: `uv run python docs/screenshots.py`. Needs Chromium on the PATH.

It starts a `koschey up` that mirrors a small upstream of its own, with sample data, and ends it again.
"""

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' servers, which no distribution contains

from tests.support.koschey_up import Koschey, wait_until
from tests.support.upstream.server import Upstream

IMAGES = Path(__file__).parent / "images"
SIZE: ViewportSize = {"width": 1440, "height": 700}
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
HOUR = timedelta(hours=1)
START_UP = "colorama-start.pth"
"""A file that a check finds."""


def main() -> None:
    """Start everything, fill it, and take each picture."""
    with tempfile.TemporaryDirectory(prefix="koschey-screenshots-") as name, Upstream() as upstream:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL runs under an account of its own
        with Koschey(folder / "data", upstream.url) as koschey:
            publish(upstream)
            request(koschey)
            with sync_playwright() as playwright:
                context = playwright.chromium.launch_persistent_context(
                    folder / "profile", executable_path=shutil.which("chromium"), args=ARGUMENTS, viewport=SIZE
                )
                take(koschey, context)
                context.close()


def publish(upstream: Upstream) -> None:
    """Add projects to the upstream: some are old, some are new, and some of the new ones differ from the old."""
    now = datetime.now(UTC)
    for project, version in (("requests", "2.33.0"), ("attrs", "26.1.0"), ("colorama", "0.4.6"), ("idna", "3.11")):
        upstream.add(project, version)
    upstream.add("requests", "2.34.0", upload_time=now - 30 * HOUR)
    upstream.add("attrs", "26.2.0", upload_time=now - 100 * HOUR)
    upstream.add("idna", "3.12", upload_time=now - 3 * HOUR, requires=("charset-tables>=1",))
    upstream.add("colorama", "0.5.0", upload_time=now - 5 * HOUR, modules={START_UP: "import colorama\n"})
    upstream.add("requestes", "1.0", upload_time=now - 1 * HOUR)


def request(koschey: Koschey) -> None:
    """Have the index see all projects, and have a developer request a release."""
    for project in ("requests", "attrs", "colorama", "idna", "requestes"):
        koschey.page(project)
    command = ("request", "attrs==26.2.0", "--reason", "fixes our build", "--index", koschey.index_url)
    subprocess.run([sys.executable, "-m", "koschey", *command], check=True, stdout=subprocess.DEVNULL)


def take(koschey: Koschey, context: BrowserContext) -> None:
    """Log in, and take a picture of each page."""
    page = context.pages[0]
    page.goto(koschey.ready["admin_url"])
    page.get_by_label("User").fill(koschey.ready["admin_user"])
    page.get_by_label("Password").fill(koschey.ready["admin_password"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Quarantine").wait_for()
    page.goto(koschey.ready["admin_url"] + "projects/colorama")
    wait_until(lambda: page.reload() and page.get_by_text(START_UP).count(), timeout=60)  # once the checks have run
    save(page, "project")
    page.goto(koschey.ready["admin_url"])
    save(page, "quarantine")


def save(page: Page, name: str) -> None:
    """Write what the window shows."""
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
