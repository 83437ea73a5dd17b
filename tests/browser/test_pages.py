"""Every page with no rows, a few and 500: accessible to axe in light and dark, wide and narrow, never wider than it."""

import functools
import os
import subprocess
import sys
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, ROOT

AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
WIDTHS = {"wide": DESK, "narrow": PHONE}
LISTS = ("instances", "keypairs", "networks", "security-groups", "floating-ips")
PAGES = {
    "nobody": ("/login", "/console/novnc?token=spent"),
    "empty": ("/", "/instances/launch/", *(f"/{name}/" for name in LISTS)),
    "few": (
        "/",
        *(f"/{name}/" for name in (*LISTS, "images", "flavors")),
        "/instances/launch/",
        "/instances/{active}/",
        "/instances/{active}/console/",
        "/instances/{active}/console/text/",
        "/instances/{active}/log/",
        "/instances/{active}/activity/",
        "/instances/{failed}/",
        "/instances/{off}/console/",
        "/keypairs/create/",
        "/networks/create/",
        "/networks/{network}/",
        "/security-groups/create/",
        "/security-groups/{group}/",
        "/no/such/page/",
    ),
    "many": ("/", "/instances/?q=status:error", "/instances/launch/", *(f"/{name}/" for name in LISTS[:-1])),
}


@pytest.fixture(scope="module")
def people(cloud) -> dict[str, str]:
    """{who: user name}; each alone in a project of that name."""
    made = {who: f"{who}-{uuid.uuid4().hex[:6]}" for who in ("empty", "few", "many")}
    for name in made.values():
        cloud.newcomer(name)
    return made | {"nobody": ""}


@pytest.fixture(scope="module")
def few(cloud, people, portal) -> dict[str, str]:
    """Ids of what the project `few` has: an active, a stopped and a failed instance, and what they hang on."""
    admin = cloud.connection("admin")
    user = cloud.as_user(people["few"])
    admin.compute.update_quota_set(user.current_project_id, ram=-1)
    huge = admin.compute.create_flavor(name=f"huge-{uuid.uuid4().hex[:6]}", vcpus=1, ram=1 << 24, disk=1)
    network = user.network.create_network(name="backend", description="for the machines that nobody sees")
    subnet = user.network.create_subnet(
        network_id=network.id, ip_version=4, cidr="10.20.0.0/24", name="backend"
    )
    public = user.network.find_network("public")
    router = user.network.create_router(name="r", external_gateway_info={"network_id": public.id})
    user.network.add_interface_to_router(router, subnet_id=subnet.id)
    user.compute.create_keypair(name="laptop")
    image = next(user.image.images())
    wishes = {"image_id": image.id, "networks": [{"uuid": network.id}], "key_name": "laptop"}
    nano = user.compute.find_flavor("m1.nano")
    active, off = (
        user.compute.create_server(name=name, flavor_id=nano.id, metadata={"role": "web"}, **wishes)
        for name in ("web-1", "web-2")
    )
    failed = user.compute.create_server(name="too-big", flavor_id=huge.id, **wishes)
    for server in (active, off):
        user.compute.wait_for_server(server, interval=0.3, wait=60)
    user.compute.stop_server(off)
    user.compute.wait_for_server(off, status="SHUTOFF", interval=0.3, wait=60)
    user.network.create_ip(
        floating_network_id=public.id, port_id=next(user.network.ports(device_id=active.id)).id
    )
    user.network.create_ip(floating_network_id=public.id)
    return {
        "active": active.id,
        "off": off.id,
        "failed": failed.id,
        "network": network.id,
        "group": user.network.find_security_group("default").id,
    }


@pytest.fixture(scope="module")
def rows(cloud, people, few) -> dict[str, str]:
    """The project `many` has 500 rows of what can be many."""
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "cloudpanel.settings",
        "CLOUDPANEL_STATE": str(cloud.state),
        "ROWS_FOR": people["many"],
    }
    script = (ROOT / "tests/browser/rows.py").read_text()
    subprocess.run([sys.executable, "manage.py", "shell", "-c", script], env=env, cwd=ROOT, check=True)
    return few


COLOURS = ["color-contrast", "link-in-text-block"]  # the rules that may find something else in the dark


def look(page: Page) -> list[str]:
    """What axe finds in light and in dark."""
    page.evaluate(AXE)
    found = []
    for scheme, rules in (("light", None), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        answer = page.evaluate(
            "rules => axe.run(document, {resultTypes: ['violations'], ...(rules && {runOnly: rules})})", rules
        )
        found += [
            f"{scheme}, {violation['id']}: {node['target']} {node['html'][:160]} {node['failureSummary']}"
            for violation in answer["violations"]
            for node in violation["nodes"][:3]
        ]
    return found


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    return page.evaluate("""() => {
        const wide = document.documentElement.scrollWidth > innerWidth;
        const over = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
        return wide ? ["scrolls", ...over.slice(0, 5).map(e => e.outerHTML.slice(0, 120))] : [];
    }""")


def settled(page: Page) -> None:
    """Scripts have begun, and the page follows the cloud where it can."""
    for strip in page.locator("#live-state").all():
        expect(strip).to_have_text("Live")
    for console in page.locator("[data-console]:not([data-closed]) [data-state]").all():
        expect(console).to_contain_text("Connected")


@pytest.fixture(scope="module")
def profiles(portal, people):
    """`profiles(who, viewport)` is a browser profile that keeps its cache from page to page."""
    return functools.cache(lambda who, width: portal.context(people[who], viewport=WIDTHS[width]))


@pytest.mark.parametrize(("who", "path"), [(who, path) for who, paths in PAGES.items() for path in paths])
def test_a_page(portal, profiles, rows, shots, who, path):
    path = path.format(**rows)
    for width in WIDTHS:
        page = profiles(who, width).new_page()
        page.goto(path)
        settled(page)
        assert look(page) == []
        assert too_wide(page) == []
        name = f"{who}{path.split('?')[0].replace('/', '_')}{width}.png"
        page.emulate_media(color_scheme="dark" if width == "narrow" else "light")
        page.screenshot(path=shots / name)
        page.close()
    if "/no/such/" in path:
        portal.complaints.clear()  # that it is not there


def open_palette(page):
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


def open_keys(page):
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").filter(has_text="Keyboard")).to_be_visible()


def open_tasks(page):
    page.keyboard.press("t")
    expect(page.locator("#drawer, [data-drawer]").first).to_be_visible()


def open_confirm(page):
    page.get_by_role("button", name="More actions for web-1").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("alertdialog")).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["wide", "narrow"])
@pytest.mark.parametrize("show", [open_palette, open_keys, open_tasks, open_confirm])
def test_what_opens_over_a_page(portal, people, rows, shots, show, viewport):
    page = portal.page(people["few"], viewport=viewport)
    page.goto("/instances/")
    settled(page)
    show(page)
    page.screenshot(path=shots / f"{show.__name__}-{viewport['width']}.png")
    assert look(page) == []
    assert too_wide(page) == []
    page.context.close()


def test_a_refused_launch_says_so_at_the_top_and_at_the_field(portal, people, rows):
    page = portal.page(people["few"])
    page.goto("/instances/launch/")
    page.get_by_label("How many").fill("200")
    page.locator("[data-submit]").click()
    summary = page.locator("[data-error-summary]")
    expect(summary).to_be_focused()
    assert look(page) == []
    page.context.close()
    portal.complaints.clear()  # Chromium tells of the 422


def test_five_hundred_rows_are_paged_filtered_and_sorted_by_the_server(portal, people, rows):
    page = portal.page(people["many"])
    page.goto("/instances/?sort=name")
    expect(page.locator("[data-rows] tr")).to_have_count(50)
    expect(page.locator("main")).to_contain_text("500 instances")
    page.goto("/instances/?per_page=200&page=3")
    expect(page.locator("[data-rows] tr")).to_have_count(100)
    page.goto("/instances/?q=status:error&per_page=200")
    expect(page.locator("[data-rows] tr")).to_have_count(125)
    page.goto("/instances/?q=name:nothing-is-called-so")
    expect(page.locator("[data-rows] tr")).to_have_count(0)
    assert look(page) == []
    page.context.close()
