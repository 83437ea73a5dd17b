"""Networking through openstacksdk and the client."""

import pytest
from openstack import exceptions as refusals

from tests.cloud import until
from tests.wire.conftest import unique


@pytest.fixture
def net(demo):
    """A network 192.0.2.0/24 of its own, gone afterwards."""
    network = demo.network.create_network(name=unique("net"), description="for a test")
    subnet = demo.network.create_subnet(
        name=unique("subnet"),
        network_id=network.id,
        ip_version=4,
        cidr="192.0.2.0/24",
        dns_nameservers=["192.0.2.53"],
    )
    yield network, subnet
    for port in demo.network.ports(network_id=network.id):
        demo.network.delete_port(port)
    demo.network.delete_network(network)


def test_networks(demo, net):
    network, subnet = net
    assert network.is_admin_state_up
    assert not network.is_router_external
    shown = demo.network.get_network(network.id)
    assert shown.subnet_ids == [subnet.id]
    assert until(lambda: demo.network.get_network(network.id).status == "ACTIVE", seconds=20)
    renamed = demo.network.update_network(network, name=f"{network.name}-new")
    assert [row.id for row in demo.network.networks(name=renamed.name)] == [network.id]
    assert [row.name for row in demo.network.networks(is_router_external=True)] == ["public"]
    assert demo.network.find_network(renamed.name).description == "for a test"


def test_subnets(demo, net):
    network, subnet = net
    assert (subnet.gateway_ip, subnet.is_dhcp_enabled) == ("192.0.2.1", True)
    assert subnet.allocation_pools == [{"start": "192.0.2.2", "end": "192.0.2.254"}]
    assert subnet.dns_nameservers == ["192.0.2.53"]
    assert demo.network.update_subnet(subnet, name="changed").name == "changed"
    with pytest.raises(refusals.BadRequestException):
        demo.network.create_subnet(network_id=network.id, ip_version=4, cidr="192.0.2.128/25")
    assert [row.id for row in demo.network.subnets(network_id=network.id)] == [subnet.id]


def test_ports(demo, net):
    network, subnet = net
    port = demo.network.create_port(
        network_id=network.id,
        name=unique("port"),
        fixed_ips=[{"subnet_id": subnet.id, "ip_address": "192.0.2.77"}],
    )
    assert port.fixed_ips == [{"subnet_id": subnet.id, "ip_address": "192.0.2.77"}]
    assert port.mac_address.count(":") == 5
    assert len(port.security_group_ids) == 1
    with pytest.raises(refusals.ConflictException):
        demo.network.create_port(network_id=network.id, fixed_ips=[{"ip_address": "192.0.2.77"}])
    with pytest.raises(refusals.ConflictException):
        demo.network.delete_network(network)
    assert demo.network.update_port(port, description="mine").description == "mine"
    assert [row.id for row in demo.network.ports(fixed_ips="ip_address=192.0.2.77")] == [port.id]
    demo.network.delete_port(port)
    until(lambda: demo.network.find_port(port.id) is None, seconds=20)


def test_routers(demo, net):
    _, subnet = net
    public = demo.network.find_network("public")
    router = demo.network.create_router(
        name=unique("router"), external_gateway_info={"network_id": public.id}
    )
    outside = router.external_gateway_info["external_fixed_ips"][0]["ip_address"]
    assert outside.startswith("172.24.4.")
    demo.network.add_interface_to_router(router, subnet_id=subnet.id)
    owners = {port.device_owner for port in demo.network.ports(device_id=router.id)}
    assert "network:router_interface" in owners
    with pytest.raises(refusals.ConflictException):
        demo.network.delete_router(router)
    demo.network.remove_interface_from_router(router, subnet_id=subnet.id)
    demo.network.delete_router(router)
    until(lambda: demo.network.find_router(router.id) is None, seconds=20)


def test_floating_ips(demo, cloud, make_server):
    public = demo.network.find_network("public")
    server = make_server()
    port = next(demo.network.ports(device_id=server.id))
    floating = demo.network.create_ip(floating_network_id=public.id)
    assert floating.status == "DOWN"
    cloud.openstack("server", "add", "floating", "ip", server.id, floating.floating_ip_address, "--text")
    assert demo.network.get_ip(floating.id).port_id == port.id
    until(lambda: demo.network.get_ip(floating.id).status == "ACTIVE", seconds=20)
    kinds = {row["OS-EXT-IPS:type"] for row in demo.compute.get_server(server.id).addresses["private"]}
    assert kinds == {"fixed", "floating"}
    demo.network.update_ip(demo.network.get_ip(floating.id), port_id=None)
    assert demo.network.get_ip(floating.id).port_id is None
    demo.network.delete_ip(floating)
    until(lambda: demo.network.find_ip(floating.id) is None, seconds=20)


def test_security_groups(demo, cloud):
    group = demo.network.create_security_group(name=unique("group"), description="web")
    assert {rule["direction"] for rule in group.security_group_rules} == {"egress"}
    rule = demo.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=80, port_range_max=80,
        remote_ip_prefix="0.0.0.0/0",
    )  # fmt: skip
    with pytest.raises(refusals.ConflictException):
        demo.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=80, port_range_max=80,
            remote_ip_prefix="0.0.0.0/0",
        )  # fmt: skip
    assert rule.id in {row["ID"] for row in cloud.openstack("security", "group", "rule", "list", group.id)}
    demo.network.delete_security_group_rule(rule)
    demo.network.delete_security_group(group)
    assert demo.network.find_security_group(group.id) is None
    default = demo.network.find_security_group("default")
    with pytest.raises(refusals.ConflictException):
        demo.network.delete_security_group(default)


def test_the_client_s_own_words(cloud):
    name = unique("cli")
    cloud.openstack("network", "create", name)
    made = cloud.openstack("subnet", "create", "--network", name, "--subnet-range", "192.0.2.0/26", name)
    assert made["cidr"] == "192.0.2.0/26"
    assert cloud.openstack("port", "create", "--network", name, name)["network_id"]
    assert name in {row["Name"] for row in cloud.openstack("port", "list", "--network", name)}
    cloud.openstack("port", "delete", name, "--text")
    cloud.openstack("network", "delete", name, "--text")


def test_refusals(demo):
    with pytest.raises(refusals.NotFoundException):
        demo.network.get_network("5f0c9e3c-0000-4000-8000-000000000000")
    with pytest.raises(refusals.BadRequestException):
        demo.network.create_subnet(
            network_id=demo.network.create_network(name="x").id, ip_version=4, cidr="bad"
        )
    demo.network.delete_network(demo.network.find_network("x"))
    with pytest.raises(refusals.ForbiddenException):
        demo.network.create_network(name="outside", is_router_external=True)
    public = demo.network.find_network("public")
    with pytest.raises((refusals.ForbiddenException, refusals.NotFoundException)):
        demo.network.update_network(public, name="mine")
