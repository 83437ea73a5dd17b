"""From log-in to a guest's consoles and back to nothing, as a person does it, on the engines that the cloud has."""

import re
import uuid
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.cloud import until

NAME = f"web-{uuid.uuid4().hex[:6]}"

# What the page showed, without asking: each status that its row had.
WATCH = """name => {
    window.seen = [];
    const look = () => {
        const row = document.querySelector(`tr[data-name="${name}"]`);
        const status = row ? row.dataset.status : "none";
        if (window.seen.at(-1) !== status) window.seen.push(status);
    };
    look();
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""

# The picture on the guest's screen: width, height and one bit a pixel, lit or not.
LIT = """canvas => {
    const {width, height} = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let bits = "";
    for (let i = 0; i < data.length; i += 4) bits += data[i] + data[i + 1] + data[i + 2] > 240 ? "1" : "0";
    return {width, height, bits};
}"""


@pytest.fixture(scope="module")
def tabs(portal):
    """Two tabs of one person: a list that stays open all the time, and the one that works."""
    context = portal.context("demo")
    watching, working = context.new_page(), context.new_page()
    watching.goto("/instances/")
    expect(watching.locator("#live-state")).to_have_text("Live")
    watching.evaluate(WATCH, NAME)
    yield watching, working
    context.close()


@pytest.fixture(scope="module")
def instance(tabs, shots) -> str:
    """The id of an ACTIVE instance that a name and one button made; its page was never loaded again."""
    _, page = tabs
    page.goto("/instances/")
    page.get_by_role("link", name="Launch instance").first.click()
    page.get_by_role("textbox", name="Name", exact=True).fill(NAME)
    page.locator("[data-submit]").click()
    page.wait_for_url(re.compile("/instances/[0-9a-f-]{36}/$"))
    page.evaluate("window.loadedOnce = true")
    head = page.locator("#part-head")
    expect(head).to_contain_text("Active", timeout=60_000)
    assert page.evaluate("window.loadedOnce")
    page.screenshot(path=shots / "instance.png")
    return urlsplit(page.url).path.split("/")[2]


def test_launch_with_a_name_and_one_button(instance, tabs):
    _, page = tabs
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    expect(page.locator("#part-login")).to_contain_text("ssh ")


def test_a_tab_that_was_open_before_has_followed(instance, tabs, shots):
    watching, _ = tabs
    row = watching.locator(f"#row-instance-{instance}")
    expect(row).to_have_attribute("data-status", "ACTIVE")
    seen = watching.evaluate("window.seen")
    assert seen[0] == "none"
    assert seen[-2:] == ["BUILD", "ACTIVE"]
    watching.screenshot(path=shots / "list.png")


def test_the_boot_is_told_to_its_end(instance, tabs):
    """Address by DHCP, metadata asked, ready: what the guest itself did."""
    _, page = tabs
    page.goto(f"/instances/{instance}/")
    boot = page.locator("#part-boot")
    for step in ("Placed on a host", "Disk written", "Started", "Address by DHCP", "Metadata asked", "Ready"):
        expect(boot.get_by_text(step, exact=True)).to_be_visible(timeout=90_000)
        expect(boot.locator("li, div").filter(has_text=step).filter(has_text="Done").first).to_be_visible(
            timeout=90_000
        )


def test_the_log_tab_shows_the_serial_log(instance, tabs):
    _, page = tabs
    until(
        lambda: page.goto(f"/instances/{instance}/log/") and "login:" in page.content(), seconds=90, every=2
    )


def lit(page) -> dict:
    return page.locator("[data-screen] canvas").evaluate(LIT)


def rows_that_differ(before: dict, after: dict) -> list[int]:
    width = before["width"]
    assert width == after["width"]
    lines = range(min(before["height"], after["height"]))
    return [y for y in lines if before["bits"][y * width :][:width] != after["bits"][y * width :][:width]]


def type_at_the_prompt(page, shots, name: str) -> None:
    """The screen shows a log-in prompt: it has a picture, echoes a name on one line, then asks for a password."""
    expect(page.locator("[data-console] [data-state]")).to_contain_text("Connected", timeout=30_000)
    until(lambda: page.locator("[data-screen] canvas").count() and "1" in lit(page)["bits"], seconds=90)
    page.screenshot(path=shots / f"{name}.png")
    before = lit(page)
    page.locator("[data-screen] canvas").click()
    page.keyboard.type("guest", delay=40)
    line = 24  # pixels, at most, that a line of text is high
    until(lambda: len(rows_that_differ(before, lit(page))) > 3, seconds=20)
    changed = rows_that_differ(before, lit(page))
    assert changed[-1] - changed[0] < line, "an echo is on the prompt's own line"
    page.keyboard.press("Enter")
    until(lambda: len(rows_that_differ(before, lit(page))) > len(changed) + 3, seconds=20)
    page.screenshot(path=shots / f"{name}-typed.png")


def test_the_screen_console_shows_the_prompt_and_takes_keys(instance, tabs, shots):
    _, page = tabs
    page.goto(f"/instances/{instance}/console/")
    type_at_the_prompt(page, shots, "screen")


def test_the_serial_console_takes_what_is_typed_and_echoes_it(instance, tabs, shots):
    _, page = tabs
    page.goto(f"/instances/{instance}/console/text/")
    expect(page.locator("[data-console] [data-state]")).to_contain_text("Connected")
    terminal = page.locator(".xterm-rows")
    page.keyboard.press("Enter")
    expect(terminal).to_contain_text("login:", timeout=30_000)
    page.keyboard.type("nobody-here", delay=40)
    expect(terminal).to_contain_text("login: nobody-here")
    page.keyboard.press("Enter")
    expect(terminal).to_contain_text("Password:", timeout=20_000)
    page.screenshot(path=shots / "serial.png")


def test_a_console_url_opens_for_anybody_and_once(instance, cloud, portal, shots):
    url = cloud.openstack("console", "url", "show", "--novnc", instance)["url"]
    stranger = portal.page()
    stranger.goto(url)
    expect(stranger.locator("[data-console] [data-state]")).to_contain_text("Connected", timeout=30_000)
    expect(stranger.locator("[data-screen] canvas")).to_be_visible()
    stranger.screenshot(path=shots / "console-url.png")
    stranger.goto("/instances/")
    expect(stranger.get_by_role("button", name="Log in")).to_be_visible()

    again = portal.page()
    again.goto(url)
    expect(again.get_by_text("This console link is worth nothing any more")).to_be_visible()
    stranger.context.close()
    again.context.close()


def test_delete_takes_it_from_both_tabs(instance, tabs, portal):
    watching, page = tabs
    page.goto(f"/instances/{instance}/")
    page.get_by_role("button", name="Actions").first.click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text(f"Delete {NAME}?")
    dialog.get_by_role("button", name="Delete instance").click()
    page.wait_for_url("**/instances/", timeout=60_000)
    expect(watching.locator(f"#row-instance-{instance}")).to_have_count(0, timeout=60_000)
    assert watching.evaluate("window.seen")[-1] == "none"
    # The page of what is gone asked for itself once more, and Chromium puts a 404 into the console.
    portal.complaints[:] = [line for line in portal.complaints if not ("404" in line and instance in line)]
