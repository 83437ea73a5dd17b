"""Whatever is sent to the network API is answered; what is no good is refused in Neutron's form."""

import pytest

from apps.networks import operations
from apps.quotas.models import Limit
from tests.bad_input import complaints

V2 = "/network/v2.0"


def is_neutrons(body: dict) -> bool:
    return set(body["NeutronError"]) == {"type", "message", "detail"} and bool(
        body["NeutronError"]["message"]
    )


@pytest.fixture
def check(api, lab):
    for resource in (
        "network",
        "subnet",
        "port",
        "router",
        "floatingip",
        "security_group",
        "security_group_rule",
    ):
        Limit.objects.create(project=lab, resource=resource, limit=-1)

    def check(ctx, method: str, path: str, body):
        found = complaints(api(ctx), method, V2 + path, body, is_neutrons)
        assert not found, "\n".join(found)

    return check


def test_networks_and_subnets(check, alice, ada, private):
    both = {
        "name": "n",
        "description": "d",
        "admin_state_up": True,
        "port_security_enabled": True,
        "mtu": 1400,
    }
    check(alice, "post", "/networks", {"network": both | {"tags": ["t"], "availability_zone_hints": []}})
    check(alice, "put", f"/networks/{private.pk}", {"network": both})
    provider = {
        "provider:network_type": "vlan",
        "provider:physical_network": "p",
        "provider:segmentation_id": 7,
    }
    flags = {"shared": False, "router:external": True, "is_default": False}
    check(ada, "post", "/networks", {"network": provider | flags})
    subnet = {
        "name": "s",
        "network_id": str(private.pk),
        "cidr": "10.9.0.0/24",
        "ip_version": 4,
        "gateway_ip": "10.9.0.1",
        "enable_dhcp": True,
        "allocation_pools": [{"start": "10.9.0.9", "end": "10.9.0.19"}],
        "dns_nameservers": ["9.9.9.9"],
        "host_routes": [{"destination": "10.8.0.0/24", "nexthop": "10.9.0.2"}],
        "tags": ["t"],
    }
    check(alice, "post", "/subnets", {"subnet": subnet})
    changes = {
        key: subnet[key] for key in ("name", "gateway_ip", "enable_dhcp", "allocation_pools", "host_routes")
    }
    check(alice, "put", f"/subnets/{private.subnets.first().pk}", {"subnet": changes})


def test_ports_and_groups(check, alice, private):
    group = operations.create_security_group(alice, name="g")
    port = {
        "network_id": str(private.pk),
        "name": "p",
        "fixed_ips": [{"subnet_id": str(private.subnets.get().pk), "ip_address": "10.0.0.50"}],
        "mac_address": "fa:16:3e:00:00:01",
        "security_groups": [str(group.pk)],
        "device_id": "",
        "device_owner": "x",
        "port_security_enabled": True,
        "binding:vnic_type": "normal",
        "tags": ["t"],
    }
    check(alice, "post", "/ports", {"port": port})
    made = operations.create_port(alice, network=private)
    changes = {
        key: port[key] for key in ("name", "fixed_ips", "mac_address", "security_groups", "device_owner")
    }
    check(alice, "put", f"/ports/{made.pk}", {"port": changes})
    check(
        alice, "post", "/security-groups", {"security_group": {"name": "n", "stateful": True, "tags": ["t"]}}
    )
    rule = {
        "security_group_id": str(group.pk),
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 1,
        "port_range_max": 2,
        "remote_ip_prefix": "10.0.0.0/8",
    }
    check(alice, "post", "/security-group-rules", {"security_group_rule": rule})
    del rule["remote_ip_prefix"]
    rule["remote_group_id"] = str(group.pk)
    check(alice, "post", "/security-group-rules", {"security_group_rule": rule})


def test_routers_floating_ips_tags_and_quotas(check, alice, ada, lab, private, public, router):
    gateway = {
        "network_id": str(public.pk),
        "enable_snat": True,
        "external_fixed_ips": [{"ip_address": "172.24.4.9"}],
    }
    check(ada, "post", "/routers", {"router": {"name": "r", "external_gateway_info": gateway, "tags": ["t"]}})
    routes = [{"destination": "10.8.0.0/24", "nexthop": "10.0.0.2"}]
    check(alice, "put", f"/routers/{router.pk}", {"router": {"routes": routes}})
    check(alice, "put", f"/routers/{router.pk}/add_extraroutes", {"router": {"routes": routes}})
    for key in ("subnet_id", "port_id"):
        check(alice, "put", f"/routers/{router.pk}/add_router_interface", {key: "x"})
        check(alice, "put", f"/routers/{router.pk}/remove_router_interface", {key: "x"})
    port = operations.create_port(alice, network=private)
    floating = {
        "floating_network_id": str(public.pk),
        "port_id": str(port.pk),
        "fixed_ip_address": "10.0.0.9",
    }
    check(alice, "post", "/floatingips", {"floatingip": floating | {"description": "d", "subnet_id": None}})
    check(alice, "put", f"/networks/{private.pk}/tags", {"tags": ["t"]})
    check(ada, "put", f"/quotas/{lab.pk}", {"quota": {"network": 1, "force": True}})
