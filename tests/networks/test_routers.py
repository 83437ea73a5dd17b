import pytest

from apps.networks import operations
from apps.networks.models import FloatingIP, Port, Router, Status

pytestmark = pytest.mark.django_db


def test_a_router_between_inside_and_outside(alice, router, host, settle, engine):
    settle()
    router.refresh_from_db()
    assert router.status == Status.ACTIVE
    spec = engine.things["routers"][str(router.pk)]
    (inside,) = spec["interfaces"]
    assert (inside["cidrs"], inside["subnets"]) == (("10.0.0.1/24",), ("10.0.0.0/24",))
    assert spec["gateway"]["cidrs"][0].startswith("172.24.4.")
    assert (spec["next_hop"], spec["snat"], spec["chassis"]) == ("172.24.4.1", True, ("hv1",))
    assert {port.status for port in router.ports.all()} == {Status.ACTIVE}


def test_the_way_outside_begins_when_a_host_joins(alice, router, engine):
    from apps.core import lifecycle
    from apps.hosts.models import Host

    for label, model in lifecycle.reconcilers().items():
        for row in model._base_manager.filter(due_at__isnull=False):
            lifecycle.run(label, row.pk)
    assert engine.things["routers"][str(router.pk)]["chassis"] == ()
    Host.objects.create(name="hv9")
    operations.look_at_gateways()
    lifecycle.run("networks.router", router.pk)
    assert engine.things["routers"][str(router.pk)]["chassis"] == ("hv9",)


def test_the_gateways_port_is_the_outside_networks(alice, ada, router):
    assert [port.device_owner for port in Port.objects.visible_to(alice)] == ["network:router_interface"]
    gateway = Port.objects.visible_to(ada).get()
    assert gateway.device_owner == "network:router_gateway"


def test_a_router_with_interfaces_is_not_deleted(
    alice, router, host, private, public, settle, engine, refused
):
    settle()
    refused("RouterInUse", operations.delete_router, alice, router=router)
    leg = Port.objects.visible_to(alice).get()
    refused("ServicePortInUse", operations.delete_port, alice, port=leg)
    refused("NetworkInUse", operations.delete_network, alice, network=private)
    operations.remove_router_interface(alice, router=router, subnet=private.subnets.get())
    operations.delete_router(alice, router=router)
    operations.delete_network(alice, network=private)
    settle()
    assert not Router.objects.exists()
    assert not Port.objects.exists()
    assert engine.things["routers"] == {}
    assert list(engine.things["networks"]) == [str(public.pk)]


def test_an_interface_is_added_once(alice, router, private, refused):
    subnet = private.subnets.get()
    refused("BadRequest", operations.add_router_interface, alice, router=router, subnet=subnet)
    other = operations.create_network(alice)
    overlapping = operations.create_subnet(alice, network=other, cidr="10.0.0.0/16")
    refused("BadRequest", operations.add_router_interface, alice, router=router, subnet=overlapping)
    bare = operations.create_subnet(alice, network=other, cidr="10.1.0.0/16", gateway_ip=None)
    refused("BadRequest", operations.add_router_interface, alice, router=router, subnet=bare)


def test_a_free_port_becomes_an_interface(alice, router, host, settle, engine, refused):
    other = operations.create_network(alice)
    operations.create_subnet(alice, network=other, cidr="10.1.0.0/24")
    port = operations.create_port(alice, network=other, fixed_ips=[{"ip_address": "10.1.0.9"}])
    settle()
    assert str(port.pk) in engine.things["ports"]
    operations.add_router_interface(alice, router=router, port=port)
    settle()
    assert str(port.pk) not in engine.things["ports"]
    cidrs = [leg["cidrs"] for leg in engine.things["routers"][str(router.pk)]["interfaces"]]
    assert ("10.1.0.9/24",) in cidrs
    again = {"router": operations.create_router(alice), "port": port}
    refused("PortInUse", operations.add_router_interface, alice, **again)


def test_a_gateway_is_cleared_and_set(alice, router, host, public, private, settle, engine, refused):
    refused("BadRequest", operations.set_gateway, alice, router=router, network=private)
    operations.clear_gateway(alice, router=router)
    settle()
    assert engine.things["routers"][str(router.pk)]["gateway"] is None
    assert not Port.objects.filter(device_owner="network:router_gateway").exists()
    operations.set_gateway(alice, router=router, network=public, enable_snat=False)
    settle()
    assert not engine.things["routers"][str(router.pk)]["snat"]


def test_routes(alice, router, host, settle, engine, refused, private):
    routes = [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.77"}]
    operations.update_router(alice, router=router, routes=routes)
    settle()
    assert engine.things["routers"][str(router.pk)]["routes"] == (("10.9.0.0/16", "10.0.0.77"),)
    for hop in ("10.0.0.1", "10.77.0.1"):
        bad = [{"destination": "10.9.0.0/16", "nexthop": hop}]
        refused("InvalidRoutes", operations.update_router, alice, router=router, routes=bad)
    remove = {"router": router, "subnet": private.subnets.get()}
    refused("RouterInterfaceInUseByRoute", operations.remove_router_interface, alice, **remove)


# --- floating IPs -------------------------------------------------------------------------------------


@pytest.fixture
def port(alice, private):
    return operations.create_port(
        alice, network=private, device_id="vm1", device_owner="compute:nova", host="hv1"
    )


def test_a_floating_ip_leads_to_a_port_and_away_again(alice, router, host, public, port, settle, engine):
    floating = operations.create_floating_ip(alice, network=public)
    settle()
    floating.refresh_from_db()
    assert floating.status == Status.DOWN
    operations.associate_floating_ip(alice, floating_ip=floating, port=port)
    settle()
    floating.refresh_from_db()
    assert floating.status == Status.ACTIVE
    spec = engine.things["floating_ips"][str(floating.pk)]
    assert spec["fixed_address"] == port.fixed_ips.get().address
    assert (spec["router"], spec["port"]) == (str(router.pk), str(port.pk))
    operations.disassociate(alice, floating_ip=floating)
    settle()
    floating.refresh_from_db()
    assert (floating.status, floating.port_id, floating.fixed_address) == (Status.DOWN, None, "")
    assert engine.things["floating_ips"] == {}


def test_the_port_goes_and_the_floating_ip_stays(alice, router, host, public, port, settle, engine):
    floating = operations.create_floating_ip(alice, network=public, port=port)
    settle()
    operations.release_ports("vm1")
    settle()
    floating.refresh_from_db()
    assert (floating.status, floating.port_id) == (Status.DOWN, None)
    assert engine.things["floating_ips"] == {}
    operations.release_floating_ip(alice, floating_ip=floating)
    assert not FloatingIP.objects.visible_to(alice).exists()
    settle()
    assert not FloatingIP.objects.exists()


def test_a_second_floating_ip_for_the_same_address_is_refused(alice, router, public, port, refused):
    operations.create_floating_ip(alice, network=public, port=port)
    error = refused(
        "FloatingIPPortAlreadyAssociated", operations.create_floating_ip, alice, network=public, port=port
    )
    assert error.status == 409
    assert FloatingIP.objects.count() == 1


def test_what_needs_a_floating_ip_stays(alice, router, public, private, port, refused):
    operations.create_floating_ip(alice, network=public, port=port)
    remove = {"router": router, "subnet": private.subnets.get()}
    refused("RouterInterfaceInUseByFloatingIP", operations.remove_router_interface, alice, **remove)
    refused("RouterExternalGatewayInUseByFloatingIp", operations.clear_gateway, alice, router=router)


def test_a_port_that_no_router_connects_is_refused(alice, public, port, refused):
    floating = operations.create_floating_ip(alice, network=public)
    error = refused(
        "ExternalGatewayForFloatingIPNotFound",
        operations.associate_floating_ip,
        alice,
        floating_ip=floating,
        port=port,
    )
    assert error.status == 404


def test_only_outside_networks_have_floating_ips(alice, private, refused):
    refused("BadRequest", operations.create_floating_ip, alice, network=private)


def test_only_administrators_choose_the_address(alice, ada, public, refused):
    refused("forbidden", operations.create_floating_ip, alice, network=public, address="172.24.4.9")
    assert operations.create_floating_ip(ada, network=public, address="172.24.4.9").address == "172.24.4.9"
    refused("IpAddressInUse", operations.create_floating_ip, ada, network=public, address="172.24.4.9")
