"""Addresses, MAC addresses and names are given out once, however many ask. Run on PostgreSQL and on SQLite."""

import pytest

from apps.core.context import Context
from apps.core.errors import CloudError
from apps.core.lifecycle import reconcilers, run
from apps.networks import operations
from apps.networks.drivers import fake, use
from apps.networks.models import FixedIP, FloatingIP, Network, Port, SecurityGroup, Status
from apps.projects.models import Domain, Project, Role
from tests.races.test_kernel import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ctx():
    domain = Domain.objects.create(id="default", name="Default")
    project = Project.objects.create(name="lab", domain=domain)
    return Context(user_id="u", project_id=project.pk, roles=Role.with_implied(["admin"]))


@pytest.fixture
def small(ctx):
    """A network with addresses for five ports."""
    network = operations.create_network(ctx, name="small")
    operations.create_subnet(ctx, network=network, cidr="10.0.0.0/29", enable_dhcp=False)
    operations.default_security_group(ctx.project_id)
    return network


def refusals(results):
    wrong = [r for r in results if isinstance(r, BaseException) and not isinstance(r, CloudError)]
    assert not wrong, wrong
    return [result for result in results if isinstance(result, CloudError)]


def test_the_last_addresses_go_to_five_of_ten(ctx, small):
    results = together(*[lambda: operations.create_port(ctx, network=small)] * 10)
    refused = refusals(results)
    assert {error.kind for error in refused} == {"IpAddressGenerationFailure"}
    assert (len(refused), Port.objects.count()) == (5, 5)
    assert len(set(FixedIP.objects.values_list("address", flat=True))) == 5


def test_one_address_asked_for_by_ten(ctx, small):
    ask = {"network": small, "fixed_ips": [{"ip_address": "10.0.0.5"}]}
    refused = refusals(together(*[lambda: operations.create_port(ctx, **ask)] * 10))
    assert ({error.kind for error in refused}, len(refused)) == ({"IpAddressInUse"}, 9)


def test_one_mac_address_asked_for_by_ten(ctx, small):
    ask = {"network": small, "fixed_ips": [], "mac_address": "fa:16:3e:00:00:01"}
    refused = refusals(together(*[lambda: operations.create_port(ctx, **ask)] * 10))
    assert ({error.kind for error in refused}, len(refused)) == ({"MacAddressInUse"}, 9)


def test_floating_ips_and_router_gateways_share_the_addresses(ctx):
    public = operations.create_network(ctx, external=True)
    operations.create_subnet(ctx, network=public, cidr="172.24.4.0/29")
    ask = [lambda: operations.create_floating_ip(ctx, network=public)] * 6
    ask += [lambda: operations.create_router(ctx, external_network=public)] * 6
    refused = refusals(together(*ask))
    given = [
        *FloatingIP.objects.values_list("address", flat=True),
        *FixedIP.objects.values_list("address", flat=True),
    ]
    assert len(given) == len(set(given)) == 5
    assert len(refused) == 7


def test_a_network_is_not_deleted_under_a_new_port(ctx, small):
    together(
        *[lambda: operations.create_port(ctx, network=small)] * 4,
        lambda: operations.delete_network(ctx, network=small),
        *[lambda: operations.create_port(ctx, network=small)] * 4,
    )
    network = Network.objects.get(pk=small.pk)
    assert (network.status == Status.DELETING) == (not Port.objects.exists())


def test_the_default_group_is_made_once(ctx):
    results = together(*[lambda: operations.default_security_group(ctx.project_id)] * 10)
    assert not refusals(results)
    group = SecurityGroup.objects.get()
    assert group.rules.count() == 4


def test_one_port_gets_one_floating_ip(ctx, small):
    public = operations.create_network(ctx, external=True)
    operations.create_subnet(ctx, network=public, cidr="172.24.4.0/24")
    router = operations.create_router(ctx, external_network=public)
    operations.add_router_interface(ctx, router=router, subnet=small.subnets.get())
    port = operations.create_port(ctx, network=small)
    ask = [lambda: operations.create_floating_ip(ctx, network=public, port=Port.objects.get(pk=port.pk))] * 6
    refused = refusals(together(*ask))
    assert ({error.kind for error in refused}, len(refused)) == ({"FloatingIPPortAlreadyAssociated"}, 5)
    assert FloatingIP.objects.count() == 1


def test_workers_and_callers_at_once_leave_what_was_asked_last(ctx, small):
    """Reconcilers run while ports are bound, moved and deleted; nothing is lost and nothing is left over."""
    public = operations.create_network(ctx, external=True)
    operations.create_subnet(ctx, network=public, cidr="172.24.4.0/24")
    router = operations.create_router(ctx, external_network=public)
    operations.add_router_interface(ctx, router=router, subnet=small.subnets.get())
    ports = [operations.create_port(ctx, network=small, device_id=f"vm{n}", host="hv1") for n in range(4)]
    floating = operations.create_floating_ip(ctx, network=public)

    def work():
        for _ in range(12):
            for label, model in reconcilers().items():
                for pk in list(model._base_manager.filter(due_at__isnull=False).values_list("pk", flat=True)):
                    run(label, pk)

    def call():
        for n in range(4):
            operations.associate_floating_ip(ctx, floating_ip=floating, port=ports[n])
            operations.set_port_host(f"vm{n}", "hv2")
        for n in range(3):
            operations.release_ports(f"vm{n}")

    with use(fake.FakeNetwork()) as engine:
        results = together(work, work, work, call)
        assert not [r for r in results if isinstance(r, BaseException)], results
        for _ in range(3):
            work()
        assert set(engine.things["ports"]) == {str(ports[3].pk)}
        assert engine.things["ports"][str(ports[3].pk)]["host"] == "hv2"
        floating.refresh_from_db()
        assert (floating.port_id, floating.status) == (ports[3].pk, Status.ACTIVE)
        assert engine.things["floating_ips"][str(floating.pk)]["port"] == str(ports[3].pk)
        assert Port.objects.filter(device_id__startswith="vm").count() == 1
