import pytest

from apps.core.errors import CloudError, DriverError, Forbidden, NoValidHost, QuotaExceeded
from apps.core.models import Event
from apps.images import store
from apps.instances.models import BootStep, CachedImage, Instance
from apps.instances.operations import NicRequest, create_instance
from apps.networks import operations as networks
from apps.networks.models import FloatingIP, Port
from apps.quotas.models import Limit


def test_a_name_is_enough(launch, alice, hypervisor):
    instance = launch(alice, name="web")
    assert (instance.status, instance.fault) == ("ACTIVE", "")
    assert str(instance.pk) in hypervisor.guests
    steps = set(BootStep.objects.filter(instance=instance).values_list("step", flat=True))
    assert {"placed", "disk", "started", "port"} <= steps
    port = Port.objects.get(device_id=str(instance.pk))
    assert (port.host, port.status, port.device_owner) == ("hv1", "ACTIVE", "compute:nova")
    assert instance.launched_at is not None


def test_a_project_without_network_is_told_what_to_do(host, image, flavor, alice):
    with pytest.raises(CloudError, match="network"):
        create_instance(alice, name="web", image=image, flavor=flavor)
    assert not Instance.objects.exists()


def test_the_image_is_fetched_once_for_many(launch, alice, host):
    first = launch(alice, name="web", count=3)
    assert [i.status for i in first] == ["ACTIVE"] * 3
    assert [i.name for i in first] == ["web-1", "web-2", "web-3"]
    assert CachedImage.objects.get().status == "ready"


def test_what_does_not_fit_is_refused_with_numbers(host, image, large, private, alice):
    host.memory_mib = 4096
    host.save()
    with pytest.raises(NoValidHost) as refusal:
        create_instance(alice, name="big", image=image, flavor=large, refuse=True)
    assert "short of 8192 MiB RAM" in refusal.value.message
    assert "4032 free" in refusal.value.message
    assert refusal.value.data["hosts"][0]["rules"][-1][:2] == ["RAM", "8192 MiB"]
    assert not Instance.objects.exists()
    assert not Port.objects.exists()


def test_by_the_api_what_does_not_fit_is_a_server_in_error(host, image, large, private, alice):
    host.memory_mib = 4096
    host.save()
    (instance,) = create_instance(alice, name="big", image=image, flavor=large)
    assert instance.status == "ERROR"
    assert "short of 8192 MiB RAM" in instance.fault
    assert Event.objects.filter(object_id=str(instance.pk), outcome="failed").exists()


def test_quota_holds_and_says_the_numbers(host, image, flavor, private, alice, lab):
    Limit.objects.create(project=lab, resource="instances", limit=2)
    with pytest.raises(QuotaExceeded) as refusal:
        create_instance(alice, name="web", image=image, flavor=flavor, count=3)
    assert refusal.value.data["instances"] == {"asked": 3, "used": 0, "limit": 2}
    assert not Instance.objects.exists()
    made = create_instance(alice, name="web", image=image, flavor=flavor, count=3, min_count=1)
    assert len(made) == 2


def test_a_reader_cannot_launch(host, image, flavor, private, reader):
    with pytest.raises(Forbidden, match="servers:create"):
        create_instance(reader, name="web", image=image, flavor=flavor)


def test_a_permanent_failure_of_the_hypervisor_is_told_in_the_row(launch, alice, hypervisor):
    hypervisor.fail_next = DriverError("no space left on the host's disk", permanent=True)
    instance = launch(alice)
    assert instance.status == "ERROR"
    assert "no space left on the host's disk" in instance.fault


def test_a_passing_failure_is_tried_again(launch, alice, hypervisor):
    hypervisor.fail_next = DriverError("libvirtd does not answer")
    assert launch(alice).status == "ACTIVE"


def test_an_existing_port_is_used_and_kept(launch, alice, private, settle):
    from apps.instances.operations import delete_instance
    from apps.networks import operations as networks

    port = networks.create_port(alice, network=private)
    instance = launch(alice, nics=[NicRequest(port=port)])
    port.refresh_from_db()
    assert port.device_id == str(instance.pk)
    delete_instance(alice, instance=instance)
    settle()
    port.refresh_from_db()
    assert port.device_id == ""


def test_deletion_leaves_nothing(launch, alice, hypervisor, network_engine, settle):
    from apps.instances.operations import delete_instance

    instance = launch(alice)
    delete_instance(alice, instance=instance)
    settle()
    instance.refresh_from_db()
    assert instance.status == "DELETED"
    assert instance.deleted_at is not None
    assert hypervisor.guests == {}
    assert not Port.objects.filter(device_id=str(instance.pk)).exists()
    assert network_engine.marked()["ports"] == set()
    assert not Instance.objects.visible_to(alice).exists()


def test_a_delete_while_it_builds_wins(host, image, flavor, private, alice, settle, hypervisor):
    from apps.instances.operations import delete_instance

    (instance,) = create_instance(alice, name="web", image=image, flavor=flavor)
    delete_instance(alice, instance=instance)
    settle()
    instance.refresh_from_db()
    assert instance.status == "DELETED"
    assert hypervisor.guests == {}


def test_what_another_project_has_does_not_exist(launch, alice, mallory):
    from apps.core.errors import NotFound
    from apps.instances.operations import stop_instance

    instance = launch(alice)
    with pytest.raises(NotFound):
        Instance.objects.get_for(mallory, instance.pk)
    with pytest.raises(NotFound):
        stop_instance(mallory, instance=instance)


def test_as_many_as_the_quota_has_room_for(host, image, flavor, private, alice, lab):
    Limit.objects.create(project=lab, resource="cores", limit=3)
    made = create_instance(alice, name="web", image=image, flavor=flavor, count=100, min_count=2)
    assert len(made) == 3
    with pytest.raises(QuotaExceeded):
        create_instance(alice, name="web", image=image, flavor=flavor, count=5, min_count=2)


def test_nobody_asks_for_a_million(host, image, flavor, private, alice):
    with pytest.raises(CloudError, match="1000000"):
        create_instance(alice, name="web", image=image, flavor=flavor, count=1000000, min_count=1)


def test_an_image_whose_data_is_gone_ends_the_launch_and_not_the_next(launch, alice, image):
    path = store.path_of(image.pk)
    data = path.read_bytes()
    path.unlink()
    instance = launch(alice)
    assert instance.status == "ERROR"
    assert "gone from the store" in instance.fault
    path.write_bytes(data)
    assert launch(alice, name="again").status == "ACTIVE"


def test_without_a_free_public_address_nothing_is_made(host, image, flavor, private, alice, ada):
    public = networks.create_network(ada, name="public", external=True, physical_network="physnet1")
    pool = [{"start": "172.24.4.2", "end": "172.24.4.2"}]  # the router's
    networks.create_subnet(
        ada, network=public, cidr="172.24.4.0/29", enable_dhcp=False, allocation_pools=pool
    )
    router = networks.create_router(alice, name="r", external_network=public)
    networks.add_router_interface(alice, router=router, subnet=private.subnets.get())
    ports = Port.objects.count()
    with pytest.raises(CloudError, match="No more IP addresses"):
        create_instance(alice, name="web", image=image, flavor=flavor, external_network=public, count=2)
    assert not Instance.objects.exists()
    assert not FloatingIP.objects.exists()
    assert Port.objects.count() == ports
