import pytest

from apps.networks import operations
from apps.networks.models import Network, Status, Subnet
from apps.projects.models import Project

pytestmark = pytest.mark.django_db


def test_a_network_with_a_subnet_reaches_the_engine(alice, private, settle, engine):
    assert private.status == Status.BUILD
    settle()
    private.refresh_from_db()
    assert private.status == Status.ACTIVE
    spec = engine.things["networks"][str(private.pk)]
    assert spec["mtu"] == 1442
    (subnet,) = spec["subnets"]
    assert (subnet["cidr"], subnet["gateway"], subnet["metadata_address"]) == (
        "10.0.0.0/24",
        "10.0.0.1",
        "10.0.0.2",
    )


def test_pools_are_all_but_the_gateway(alice):
    network = operations.create_network(alice)
    subnet = operations.create_subnet(alice, network=network, cidr="10.0.0.7/24", gateway_ip="10.0.0.100")
    assert subnet.cidr == "10.0.0.0/24"
    assert subnet.allocation_pools == [
        {"start": "10.0.0.1", "end": "10.0.0.99"},
        {"start": "10.0.0.101", "end": "10.0.0.254"},
    ]
    assert subnet.metadata_ip == "10.0.0.1"


def test_no_gateway_and_no_dhcp(alice):
    network = operations.create_network(alice)
    subnet = operations.create_subnet(
        alice, network=network, cidr="10.0.0.0/24", gateway_ip=None, enable_dhcp=False
    )
    assert (subnet.gateway_ip, subnet.metadata_ip) == ("", "")
    assert subnet.allocation_pools == [{"start": "10.0.0.1", "end": "10.0.0.254"}]
    operations.update_subnet(alice, subnet=subnet, enable_dhcp=True)
    assert subnet.metadata_ip == "10.0.0.1"


def test_ipv6(alice, settle):
    network = operations.create_network(alice)
    subnet = operations.create_subnet(alice, network=network, cidr="fd00:1::/64")
    assert (subnet.gateway_ip, subnet.ip_version, subnet.metadata_ip) == ("fd00:1::1", 6, "")
    operations.create_subnet(alice, network=network, cidr="10.0.0.0/24")
    port = operations.create_port(alice, network=network)
    assert sorted(fixed.subnet.ip_version for fixed in port.fixed_ips.all()) == [4, 6]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"cidr": "10.0.0.128/25"}, "InvalidInput"),  # overlaps
        ({"cidr": "10.5.0.0/31"}, "InvalidInput"),
        ({"cidr": "224.0.0.0/24"}, "InvalidInput"),
        ({"cidr": "nonsense"}, "InvalidInput"),
        ({"cidr": "10.5.0.0/24", "ip_version": 6}, "InvalidInput"),
        ({"cidr": "10.5.0.0/24", "gateway_ip": "10.6.0.1"}, "InvalidInput"),
        (
            {"cidr": "10.5.0.0/24", "allocation_pools": [{"start": "10.5.0.1", "end": "10.5.0.9"}]},
            "GatewayConflictWithAllocationPools",
        ),
        (
            {"cidr": "10.5.0.0/24", "allocation_pools": [{"start": "10.5.0.2", "end": "10.6.0.9"}]},
            "OutOfBoundsAllocationPool",
        ),
        (
            {
                "cidr": "10.5.0.0/24",
                "allocation_pools": [
                    {"start": "10.5.0.2", "end": "10.5.0.9"},
                    {"start": "10.5.0.9", "end": "10.5.0.20"},
                ],
            },
            "OverlappingAllocationPools",
        ),
        ({"cidr": "10.5.0.0/24", "dns_nameservers": ["x"]}, "InvalidInput"),
        ({"cidr": "10.5.0.0/24", "host_routes": [{"destination": "10.0.0.0/8"}]}, "InvalidInput"),
    ],
)
def test_impossible_subnets_are_refused(alice, private, refused, fields, kind):
    refused(kind, operations.create_subnet, alice, network=private, **fields)
    assert Subnet.objects.count() == 1


def test_a_network_in_use_is_not_deleted(alice, private, settle, engine, refused):
    port = operations.create_port(alice, network=private)
    error = refused("NetworkInUse", operations.delete_network, alice, network=private)
    assert "1 ports" in error.message
    refused("SubnetInUse", operations.delete_subnet, alice, subnet=private.subnets.get())
    operations.delete_port(alice, port=port)
    operations.delete_network(alice, network=private)  # at once: the port may still be on its way out
    assert not Network.objects.visible_to(alice).exists()
    assert not Subnet.objects.visible_to(alice).exists()
    settle()
    assert not Network.objects.exists()
    assert engine.things["networks"] == engine.things["ports"] == {}


def test_a_subnet_goes_at_once(alice, private, settle, engine):
    port = operations.create_port(alice, network=private)
    settle()
    operations.delete_port(alice, port=port)
    operations.delete_subnet(alice, subnet=private.subnets.get())
    settle()
    assert engine.things["networks"][str(private.pk)]["subnets"] == ()


def test_a_switched_off_network_switches_its_ports_off(alice, private, settle, engine):
    port = operations.create_port(alice, network=private)
    settle()
    operations.update_network(alice, network=private, admin_state_up=False)
    settle()
    assert not engine.things["ports"][str(port.pk)]["enabled"]


@pytest.mark.parametrize(
    "fields", [{"shared": True}, {"external": True}, {"is_default": True}, {"physical_network": "physnet1"}]
)
def test_only_administrators_share_and_lead_outside(alice, refused, fields):
    refused("forbidden", operations.create_network, alice, **fields)


def test_a_wire_is_one_network(ada, public, refused):
    refused("FlatNetworkInUse", operations.create_network, ada, physical_network="physnet1")
    tagged = operations.create_network(ada, physical_network="physnet1", vlan=7, network_type="vlan")
    assert (tagged.network_type, tagged.mtu) == ("vlan", 1500)
    refused("VlanIdInUse", operations.create_network, ada, physical_network="physnet1", vlan=7)


def test_shared_networks_are_for_all_and_changed_by_their_owner(ada, alice, mallory, refused):
    network = operations.create_network(ada, name="lan", shared=True)
    operations.create_subnet(ada, network=network, cidr="10.7.0.0/24")
    assert Network.objects.visible_to(mallory).get() == network
    operations.create_port(mallory, network=network)
    refused("itemNotFound", operations.update_network, mallory, network=network, name="mine")
    refused("InvalidSharedSetting", operations.update_network, ada, network=network, shared=False)


def test_nobody_plugs_into_the_way_outside(alice, public, refused):
    error = refused("forbidden", operations.create_port, alice, network=public)
    assert "floating IP" in error.message


def test_the_network_of_a_launch_that_names_none(alice, ada, refused):
    refused("itemNotFound", operations.default_network, alice)
    shared = operations.create_network(ada, name="lan", shared=True)
    operations.create_subnet(ada, network=shared, cidr="10.7.0.0/24")
    assert operations.default_network(alice) == shared
    for name in ("one", "two"):
        own = operations.create_network(alice, name=name)
        operations.create_subnet(alice, network=own, cidr="10.8.0.0/24")
        if name == "one":
            assert operations.default_network(alice) == own
    error = refused("conflictingRequest", operations.default_network, alice)
    assert "one, two" in error.message


def test_readers_only_read(reader, alice, private, refused):
    refused("forbidden", operations.create_network, reader)
    refused("forbidden", operations.delete_network, reader, network=private)
    refused("forbidden", operations.create_port, reader, network=private)


def test_another_projects_things_do_not_exist(mallory, private, refused):
    refused("itemNotFound", operations.delete_network, mallory, network=private)
    refused("itemNotFound", operations.create_subnet, mallory, network=private, cidr="10.9.0.0/24")
    assert not Network.objects.visible_to(mallory).exists()


def test_administrators_make_things_for_others(ada, alice, refused):
    lab = Project.objects.get(pk=alice.project_id)
    assert operations.create_network(ada, project_id=lab.pk).project == lab
    refused("forbidden", operations.create_network, alice, project_id=ada.project_id)
