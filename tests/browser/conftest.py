"""Chromium in front of the running cloud. A page that complains (console errors, CSP, scripts) fails its test."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.cloud import URL

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=15_000)


class Portal:
    """Opens pages and remembers their complaints."""

    def __init__(self, browser, cloud):
        self.browser = browser
        self.cloud = cloud
        self.complaints: list[str] = []
        self.sessions: dict[str, dict] = {}

    def context(self, user: str = "", **options) -> BrowserContext:
        """A browser profile of its own, logged in as `user` if one is named."""
        if user and user not in self.sessions:
            self.sessions[user] = self._log_in(user)
        # Without transitions: axe would measure colours on their way from light to dark.
        options = {"viewport": DESK, "color_scheme": "light", "reduced_motion": "reduce"} | options
        context = self.browser.new_context(base_url=URL, storage_state=self.sessions.get(user), **options)
        context.on("page", self._listen)
        return context

    def page(self, user: str = "", **options) -> Page:
        return self.context(user, **options).new_page()

    def _listen(self, page: Page) -> None:
        def note(text: str) -> None:
            self.complaints.append(f"{page.url}: {text}")

        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))

    def _log_in(self, user: str) -> dict:
        page = self.page()
        page.goto("/")
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(self.cloud.passwords[user])
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page).to_have_url(f"{URL}/")
        state = page.context.storage_state()
        page.context.close()
        return state


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def portal(browser, cloud):
    portal = Portal(browser, cloud)
    yield portal
    for context in browser.contexts:
        context.close()


@pytest.fixture(autouse=True)
def no_complaints(portal):
    """The browser has found nothing wrong with any page meanwhile."""
    portal.complaints.clear()
    yield
    assert portal.complaints == []


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Path:
    """Where pictures are kept for people to look at."""
    path = Path(os.environ.get("CLOUDPANEL_SHOTS") or tmp_path_factory.mktemp("shots"))
    path.mkdir(parents=True, exist_ok=True)
    return path
