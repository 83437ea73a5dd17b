"""Compute through openstacksdk and the `openstack` client."""

import openstack
import pytest
from openstack import exceptions as refusals

from tests.cloud import until
from tests.wire.conftest import unique


def test_flavors(demo, nano):
    assert (nano.vcpus, nano.ram, nano.disk) == (1, 128, 1)
    assert demo.compute.get_flavor(nano.id).name == "m1.nano"
    assert "m1.large" in {flavor.name for flavor in demo.compute.flavors(min_ram=4096)}
    assert "m1.nano" not in {flavor.name for flavor in demo.compute.flavors(min_ram=4096)}
    with pytest.raises(refusals.NotFoundException):
        demo.compute.get_flavor("no-such-flavor")


def test_flavors_are_made_by_administrators(admin, demo):
    name = unique("flavor")
    flavor = admin.compute.create_flavor(name=name, vcpus=2, ram=256, disk=3)
    assert demo.compute.find_flavor(name).vcpus == 2
    with pytest.raises(refusals.ForbiddenException):
        demo.compute.delete_flavor(flavor)
    admin.compute.delete_flavor(flavor)
    assert demo.compute.find_flavor(name) is None


def test_key_pairs(demo, cloud):
    name = unique("key")
    made = demo.compute.create_keypair(name=name)
    assert made.private_key.startswith("-----BEGIN")
    assert made.fingerprint
    assert demo.compute.get_keypair(name).public_key.startswith("ssh-")
    assert name in {key["Name"] for key in cloud.openstack("keypair", "list")}
    with pytest.raises(refusals.ConflictException):
        demo.compute.create_keypair(name=name)
    demo.compute.delete_keypair(name)
    assert demo.compute.find_keypair(name) is None
    with pytest.raises(refusals.BadRequestException):
        demo.compute.create_keypair(name=unique("key"), public_key="not a key")


def test_a_server_from_creation_to_deletion(demo, make_server, image, nano, private):
    name = unique("vm")
    server = make_server(name=name, metadata={"role": "web"}, description="one of ours")
    assert server.status == "ACTIVE"
    shown = demo.compute.get_server(server.id)
    assert (shown.name, shown.image.id, shown.project_id) == (name, image.id, demo.current_project_id)
    assert shown.flavor.name == nano.name
    assert shown.metadata == {"role": "web"}
    address = shown.addresses[private.name][0]
    assert address["OS-EXT-IPS:type"] == "fixed"
    port = next(demo.network.ports(device_id=server.id))
    assert port.fixed_ips[0]["ip_address"] == address["addr"]
    assert port.mac_address == address["OS-EXT-IPS-MAC:mac_addr"]
    assert [row.port_id for row in demo.compute.server_interfaces(server)] == [port.id]

    renamed = demo.compute.update_server(server, name=f"{name}-new")
    assert renamed.name == f"{name}-new"
    demo.compute.set_server_metadata(server, tier="1")
    assert demo.compute.get_server_metadata(server).metadata == {"role": "web", "tier": "1"}


def test_power(demo, make_server):
    server = make_server()
    demo.compute.stop_server(server)
    demo.compute.wait_for_server(server, status="SHUTOFF", interval=0.3, wait=60)
    with pytest.raises(refusals.ConflictException):
        demo.compute.stop_server(server)
    demo.compute.start_server(server)
    demo.compute.wait_for_server(server, status="ACTIVE", interval=0.3, wait=60)
    demo.compute.reboot_server(server, "HARD")
    demo.compute.wait_for_server(server, status="ACTIVE", interval=0.3, wait=60)
    demo.compute.lock_server(server)
    demo.compute.unlock_server(server)


def test_lists_are_filtered_sorted_and_paged(demo, make_server):
    prefix = unique("many")
    servers = [make_server(name=f"{prefix}-{letter}") for letter in "abc"]
    names = [server.name for server in servers]
    assert [
        row.name for row in demo.compute.servers(name=prefix, sort_key="display_name", sort_dir="asc")
    ] == names
    paged = demo.compute.servers(name=prefix, limit=1, sort_key="display_name", sort_dir="asc")
    assert [row.name for row in paged] == names
    demo.compute.stop_server(servers[0])
    demo.compute.wait_for_server(servers[0], status="SHUTOFF", interval=0.3, wait=60)
    assert [row.name for row in demo.compute.servers(name=prefix, status="SHUTOFF")] == names[:1]
    assert [row.id for row in demo.compute.servers(name=prefix, details=False)]
    assert demo.compute.find_server(names[1]).id == servers[1].id


def test_a_fixed_address_and_a_port_of_ones_own(demo, make_server, private):
    port = demo.network.create_port(network_id=private.id, name=unique("port"))
    server = make_server(networks=[{"port": port.id}])
    assert demo.network.get_port(port.id).device_id == server.id
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.3, wait=60)
    until(lambda: not demo.network.get_port(port.id).device_id, seconds=20)
    demo.network.delete_port(port)


def test_networks_ports_and_addresses_come_and_go(demo, cloud, make_server, private):
    """`server add|remove network|port|fixed ip`, on a server that runs."""
    server = make_server()
    network = demo.network.create_network(name=unique("second"))
    demo.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.77.0.0/24")
    port = demo.network.create_port(network_id=network.id, name=unique("port"))

    def interfaces() -> dict[str, str]:
        return {row.port_id: row.net_id for row in demo.compute.server_interfaces(server)}

    first = interfaces()
    cloud.openstack("server", "add", "port", server.id, port.id, "--text")
    with pytest.raises(refusals.ConflictException, match="still in use"):
        demo.compute.create_server_interface(server, port_id=port.id)
    cloud.openstack("server", "add", "network", server.id, network.name, "--text")
    wished = ("--fixed-ip-address", "10.77.0.99")
    shown = cloud.openstack("server", "add", "fixed", "ip", *wished, server.id, network.id)
    assert "10.77.0.99" in str(shown["Fixed IPs"])
    assert list(interfaces().values()).count(network.id) == 3
    until(lambda: demo.network.get_port(port.id).status == "ACTIVE", seconds=20)
    assert len(demo.compute.get_server(server.id).addresses[network.name]) == 3

    # A real guest lets go of a card once it has booted.
    cloud.openstack("server", "remove", "port", server.id, port.id, "--text")
    until(lambda: not demo.network.get_port(port.id).device_id, seconds=120)
    cloud.openstack("server", "remove", "network", server.id, network.id, "--text")
    until(lambda: interfaces() == first, seconds=60)
    demo.network.delete_port(port)
    demo.network.delete_network(network)


def test_consoles_and_log(demo, cloud, make_server):
    server = make_server()
    console = demo.compute.create_console(server, console_type="novnc")
    assert console["url"].startswith("http://127.0.0.1:8000/console/novnc?token=")
    until(lambda: "login:" in demo.compute.get_server_console_output(server)["output"], seconds=60)
    shown = cloud.openstack("console", "url", "show", "--serial", server.id)
    assert "/console/serial?token=" in shown["url"]


def test_limits_quotas_and_zones(demo, admin, cloud):
    absolute = demo.compute.get_limits().absolute
    assert absolute.instances == 10
    shown = {row["Resource"]: row["Limit"] for row in cloud.openstack("quota", "show")}
    assert (shown["instances"], shown["cores"], shown["ram"]) == (10, 20, 51200)
    assert shown["networks"] > 0
    assert [zone.name for zone in demo.compute.availability_zones()] == ["nova"]
    assert cloud.openstack("availability", "zone", "list", "--compute")[0]["Zone Status"] == "available"
    cloud.openstack("quota", "set", "--instances", "11", "demo", "--text", user="admin")
    assert demo.compute.get_quota_set(demo.current_project_id).instances == 11
    admin.compute.revert_quota_set(demo.current_project_id)
    assert demo.compute.get_quota_set(demo.current_project_id).instances == 10


def test_refusals_say_what_they_are(demo, image, nano, private):
    def create(**wishes):
        body = {"name": "x", "image_id": image.id, "flavor_id": nano.id, "networks": [{"uuid": private.id}]}
        demo.compute.create_server(**(body | wishes))

    with pytest.raises(refusals.NotFoundException):
        demo.compute.get_server("5f0c9e3c-0000-4000-8000-000000000000")
    with pytest.raises(refusals.BadRequestException, match=r"[Ii]mage"):
        create(image_id="5f0c9e3c-0000-4000-8000-000000000000")
    with pytest.raises(refusals.BadRequestException, match=r"[Ff]lavor"):
        create(flavor_id="nope")
    with pytest.raises(refusals.BadRequestException, match=r"[Nn]etwork"):
        create(networks=[{"uuid": "5f0c9e3c-0000-4000-8000-000000000000"}])
    with pytest.raises(refusals.BadRequestException):
        create(name="")
    with pytest.raises(refusals.BadRequestException):
        create(user_data="not base64 !")


def test_what_is_not_served_is_refused_in_compute_s_own_words(demo, cloud, make_server):
    server = make_server()
    done = cloud.openstack("server", "event", "list", server.id, check=False)
    assert done.returncode
    assert "404" in done.stderr
    answer = demo.compute.get(f"/servers/{server.id}/os-instance-actions")
    assert answer.status_code == 404
    assert answer.json()["itemNotFound"]["code"] == 404
    answer = demo.compute.get("/servers", microversion="2.999")
    assert answer.status_code == 406
    with pytest.raises(openstack.exceptions.BadRequestException):
        demo.compute.migrate_server(server)
