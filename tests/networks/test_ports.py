import pytest

from apps.core.models import Event
from apps.networks import operations
from apps.networks.models import FixedIP, Port, Status

pytestmark = pytest.mark.django_db


def test_a_port_gets_an_address_and_the_default_group(alice, private, settle, engine):
    port = operations.create_port(alice, network=private)
    assert port.status == Status.BUILD
    settle()
    port.refresh_from_db()
    assert port.status == Status.DOWN
    spec = engine.things["ports"][str(port.pk)]
    ((_, address),) = spec["addresses"]
    assert address.startswith("10.0.0.")
    assert address not in ("10.0.0.1", "10.0.0.2")  # gateway and metadata service
    assert spec["mac"].startswith("fa:16:3e:")
    group = operations.default_security_group(alice.project_id)
    assert spec["security_groups"] == (str(group.pk),)
    assert len(engine.things["security_groups"][str(group.pk)]["rules"]) == 4


def test_a_plugged_port_is_active(alice, private, settle):
    port = operations.create_port(
        alice, network=private, device_id="i", device_owner="compute:nova", host="hv1"
    )
    settle()
    port.refresh_from_db()
    assert port.status == Status.ACTIVE


def test_the_agent_says_when_a_port_is_plugged(alice, private, settle):
    port = operations.create_port(alice, network=private)
    settle()
    operations.port_seen(str(port.pk), True)
    port.refresh_from_db()
    assert port.status == Status.ACTIVE
    events = Event.objects.count()
    operations.port_seen(str(port.pk), True)
    assert Event.objects.count() == events
    operations.port_seen(str(port.pk), False)
    port.refresh_from_db()
    assert port.status == Status.DOWN


def test_an_address_is_free_again_only_when_the_engine_has_forgotten_it(
    alice, private, settle, engine, refused
):
    port = operations.create_port(alice, network=private, fixed_ips=[{"ip_address": "10.0.0.9"}])
    settle()
    operations.delete_port(alice, port=port)
    assert not Port.objects.visible_to(alice).exists()
    ask = {"network": private, "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    refused("IpAddressInUse", operations.create_port, alice, **ask)
    settle()
    assert str(port.pk) not in engine.things["ports"]
    operations.create_port(alice, **ask)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.0.0.2", "IpAddressInUse"),  # metadata service
        ("10.0.0.255", "InvalidIpForSubnet"),
        ("10.9.0.1", "InvalidIpForNetwork"),
        ("ten", "InvalidInput"),
    ],
)
def test_impossible_addresses_are_refused(alice, private, refused, address, kind):
    refused(kind, operations.create_port, alice, network=private, fixed_ips=[{"ip_address": address}])


def test_a_full_network_says_so(alice, refused):
    network = operations.create_network(alice)
    operations.create_subnet(alice, network=network, cidr="10.1.0.0/29")
    for _ in range(4):
        operations.create_port(alice, network=network)
    error = refused("IpAddressGenerationFailure", operations.create_port, alice, network=network)
    assert error.status == 409
    assert "10.1.0.0/29" in error.message


def test_nearly_full_pools_still_give_their_last_address(alice):
    network = operations.create_network(alice)
    subnet = operations.create_subnet(alice, network=network, cidr="10.1.0.0/24")
    port = operations.create_port(alice, network=network, fixed_ips=[])
    FixedIP.objects.bulk_create(
        FixedIP(port=port, subnet=subnet, address=f"10.1.0.{n}") for n in range(3, 255) if n != 77
    )
    assert operations.create_port(alice, network=network).fixed_ips.get().address == "10.1.0.77"


def test_several_addresses_of_one_subnet(alice, private):
    subnet = str(private.subnets.get().pk)
    asked = [{"subnet_id": subnet}, {"subnet_id": subnet}, {"ip_address": "10.0.0.9"}]
    port = operations.create_port(alice, network=private, fixed_ips=asked)
    assert len({fixed.address for fixed in port.fixed_ips.all()}) == 3


def test_addresses_are_replaced_and_kept_ones_stay(alice, private, settle, engine):
    port = operations.create_port(alice, network=private, fixed_ips=[{"ip_address": "10.0.0.9"}])
    settle()
    kept = port.fixed_ips.get().pk
    operations.update_port(
        alice, port=port, fixed_ips=[{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.10"}]
    )
    settle()
    assert [a for _, a in engine.things["ports"][str(port.pk)]["addresses"]] == ["10.0.0.9", "10.0.0.10"]
    assert port.fixed_ips.first().pk == kept


def test_mac_addresses_are_used_once(alice, private, refused):
    port = operations.create_port(alice, network=private)
    refused("MacAddressInUse", operations.create_port, alice, network=private, mac_address=port.mac_address)
    refused("InvalidInput", operations.create_port, alice, network=private, mac_address="01:00:5e:00:00:01")


def test_instances_leave_the_ports_that_were_there_before(alice, private, settle, engine):
    own = operations.create_port(alice, network=private, name="mine")
    made = operations.create_port(
        alice, network=private, device_id="vm1", device_owner="compute:nova", host="hv1"
    )
    bind = {"device_id": "vm1", "device_owner": "compute:nova", "host": "hv1", "dns_name": "web"}
    operations.bind_port(alice, port=own, **bind)
    settle()
    assert [port.pk for port in operations.ports_of(["vm1"])["vm1"]] == [own.pk, made.pk]
    operations.release_ports("vm1")
    settle()
    assert not Port.objects.filter(pk=made.pk).exists()
    own.refresh_from_db()
    assert (own.device_id, own.host, own.status, own.preserve_on_delete) == ("", "", Status.DOWN, False)
    assert engine.things["ports"][str(own.pk)]["host"] == ""


def test_a_bound_port_is_refused_to_others(alice, private, refused):
    port = operations.create_port(alice, network=private, device_id="vm1", device_owner="compute:nova")
    bind = {"device_id": "vm2", "device_owner": "compute:nova", "host": "hv1"}
    refused("PortInUse", operations.bind_port, alice, port=port, **bind)


def test_moving_to_another_host(alice, private, settle, engine):
    port = operations.create_port(
        alice, network=private, device_id="vm1", device_owner="compute:nova", host="hv1"
    )
    settle()
    operations.set_port_host("vm1", "hv2")
    settle()
    assert engine.things["ports"][str(port.pk)]["host"] == "hv2"


def test_quota(alice, private, refused):
    from apps.quotas.models import Limit

    Limit.objects.create(project_id=alice.project_id, resource="port", limit=1)
    operations.create_port(alice, network=private)
    refused("overQuota", operations.create_port, alice, network=private)


def test_reads_of_many_devices_take_a_constant_number_of_queries(
    alice, private, django_assert_max_num_queries
):
    for n in range(5):
        operations.create_port(alice, network=private, device_id=f"vm{n}")
    with django_assert_max_num_queries(6):
        found = operations.ports_of([f"vm{n}" for n in range(5)])
        for ports in found.values():
            assert [fixed.subnet.cidr for fixed in ports[0].fixed_ips.all()] == ["10.0.0.0/24"]
            assert not list(ports[0].floating_ips.all())
            assert ports[0].network.name == "private"
            assert len(ports[0].security_groups.all()[0].rules.all()) == 4


def test_a_fresh_port_needs_no_second_try(alice, settle):
    """Network, subnet, group and port asked at once: the port follows the others, and nothing fails on the way."""
    network = operations.create_network(alice)
    operations.create_subnet(alice, network=network, cidr="10.0.0.0/24")
    port = operations.create_port(alice, network=network, host="hv1")
    from apps.core import lifecycle

    lifecycle.run("networks.port", port.pk)  # before its network
    port.refresh_from_db()
    assert (port.status, port.failures) == (Status.BUILD, 0)
    for label in ("networks.network", "networks.securitygroup"):
        for pk in lifecycle.reconcilers()[label].objects.values_list("pk", flat=True):
            lifecycle.run(label, pk)
    lifecycle.run("networks.port", port.pk)
    port.refresh_from_db()
    assert (port.status, port.failures) == (Status.ACTIVE, 0)
