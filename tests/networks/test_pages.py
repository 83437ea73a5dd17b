import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.networks import operations
from apps.networks.models import FloatingIP, Network, Router, SecurityGroup, SecurityGroupRule
from apps.projects import tokens

pytestmark = pytest.mark.django_db


@pytest.fixture
def browse(db):
    """`browse(ctx)` is a browser in which ctx is logged in."""

    def browse(ctx) -> Client:
        client = Client()
        session = client.session
        session["user_id"], session["project_id"] = ctx.user_id, ctx.project_id
        session["issued_at"], session["audit_id"] = timezone.now().isoformat(), tokens.new_audit_id()
        session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
        return client

    return browse


@pytest.fixture
def page(browse, alice):
    return browse(alice)


def test_networks_and_routers_are_listed(page, router):
    text = page.get("/networks/").content.decode()
    for word in ("private", "public", "10.0.0.0/24", "router1"):
        assert word in text
    assert (
        "private"
        not in page.get("/networks/?q=external:yes").content.decode().split("<tbody")[1].split("</tbody")[0]
    )


def test_the_list_takes_few_queries(page, alice, router, django_assert_max_num_queries):
    page.get("/networks/")
    for n in range(3):
        operations.create_connected_network(alice, name=f"n{n}", cidr=f"10.{n + 1}.0.0/24")
    fragment = {"HX-Request": "true"}
    with django_assert_max_num_queries(10):
        page.get("/networks/", headers=fragment)


def test_a_network_is_made_with_its_way_outside(page, public, settle):
    assert page.get("/networks/create/").status_code == 200
    form = {"name": "lan", "cidr": "10.20.0.0/24", "dns_nameservers": "", "outside": "on"}
    answer = page.post("/networks/create/", form)
    network = Network.objects.get(name="lan")
    assert (answer.status_code, answer["Location"]) == (303, f"/networks/{network.pk}/")
    assert Router.objects.get().external_network == public
    settle()
    text = page.get(f"/networks/{network.pk}/").content.decode()
    assert "10.20.0.0/24" in text
    answer = page.post(f"/networks/{network.pk}/delete/")
    assert (answer.status_code, answer["Location"]) == (303, "/networks/")
    settle()
    assert not Network.objects.filter(name="lan").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cidr": "10.20.0.0/99"}, "not a valid CIDR"),
        ({"outside": "on"}, "No network leads outside"),
        ({"dns_nameservers": "dns"}, "not a valid IP address"),
    ],
)
def test_a_refused_network_says_why_and_leaves_nothing(page, fields, words):
    form = {"name": "lan", "cidr": "10.20.0.0/24", "dns_nameservers": ""} | fields
    answer = page.post("/networks/create/", form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Network.objects.exists()


def test_a_network_that_is_used_stays(page, alice, private):
    operations.create_port(alice, network=private)
    answer = page.post(f"/networks/{private.pk}/delete/", headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert "1 ports" in answer.content.decode()


def test_floating_ips_from_allocation_to_release(page, alice, router, public, private, settle):
    port = operations.create_port(
        alice, network=private, device_id="vm1", device_owner="compute:nova", host="hv1"
    )
    assert page.post("/floating-ips/create/", {"network": str(public.pk)}).status_code == 303
    floating = FloatingIP.objects.get()
    assert floating.address in page.get("/floating-ips/").content.decode()
    page.post(f"/floating-ips/{floating.pk}/associate/", {"port": str(port.pk)})
    floating.refresh_from_db()
    assert floating.port == port
    page.post(f"/floating-ips/{floating.pk}/disassociate/")
    floating.refresh_from_db()
    assert floating.port is None
    page.post(f"/floating-ips/{floating.pk}/release/")
    settle()
    assert not FloatingIP.objects.exists()


def test_security_groups_and_their_rules(page):
    assert "default" in page.get("/security-groups/").content.decode()
    page.post("/security-groups/create/", {"name": "web", "description": ""})
    group = SecurityGroup.objects.get(name="web")
    path = f"/security-groups/{group.pk}/"
    assert page.get(path).status_code == 200
    rule = {
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "ports": "80-90",
        "remote_prefix": "",
    }
    assert page.post(path, rule).status_code == 303
    made = group.rules.get(direction="ingress")
    assert (made.port_min, made.port_max) == (80, 90)
    answer = page.post(path, rule)
    assert answer.status_code == 422
    assert "already exists" in answer.content.decode()
    page.post(f"/security-group-rules/{made.pk}/delete/")
    assert not SecurityGroupRule.objects.filter(pk=made.pk).exists()
    page.post(f"{path}delete/")
    assert not SecurityGroup.objects.alive().filter(name="web").exists()


def test_a_stranger_finds_no_page(browse, mallory, alice, private, router, public):
    port = operations.create_port(alice, network=private)
    floating = operations.create_floating_ip(alice, network=public, port=port)
    group = operations.default_security_group(alice.project_id)
    stranger = browse(mallory)
    for path in (f"/networks/{private.pk}/", f"/security-groups/{group.pk}/"):
        assert stranger.get(path).status_code == 404
    rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "ports": "80"}
    for path, form in (
        (f"/networks/{private.pk}/delete/", {}),
        (f"/floating-ips/{floating.pk}/associate/", {"port": str(port.pk)}),
        (f"/floating-ips/{floating.pk}/disassociate/", {}),
        (f"/floating-ips/{floating.pk}/release/", {}),
        (f"/security-groups/{group.pk}/delete/", {}),
        (f"/security-group-rules/{group.rules.first().pk}/delete/", {}),
        (f"/security-groups/{group.pk}/", rule),
    ):
        status = stranger.post(path, form, headers={"HX-Request": "true"}).status_code
        assert status in (404, 422), path
    floating.refresh_from_db()
    assert floating.port == port
    assert group.rules.count() == 4


def test_a_reader_is_offered_nothing_to_change(browse, reader, private):
    page = browse(reader)
    assert "/networks/create/" not in page.get("/networks/").content.decode().split("<main")[-1]
    assert page.post("/networks/create/", {"name": "x", "cidr": "10.9.0.0/24"}).status_code == 422
    assert Network.objects.count() == 1
