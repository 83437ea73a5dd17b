import hashlib

import pytest

from apps.images import store
from apps.images.models import Image
from apps.instances.drivers import use as use_hypervisor
from apps.instances.drivers.fake import FakeDriver
from apps.instances.models import Flavor
from apps.networks import operations as networks
from apps.networks.drivers import fake as fake_network
from apps.networks.drivers import use as use_network


@pytest.fixture(autouse=True)
def hypervisor():
    """The fake hypervisor, in memory."""
    driver = FakeDriver()
    with use_hypervisor(driver):
        yield driver


@pytest.fixture(autouse=True)
def network_engine():
    driver = fake_network.FakeNetwork()
    with use_network(driver):
        yield driver


@pytest.fixture
def flavor(db):
    return Flavor.objects.create(id="1", name="m1.nano", vcpus=1, ram=128, disk=1)


@pytest.fixture
def large(db):
    return Flavor.objects.create(id="9", name="m1.large", vcpus=4, ram=8192, disk=80)


@pytest.fixture
def image(lab):
    data = b"disk" * 1000
    image = Image(
        project=lab,
        name="mini",
        status="active",
        visibility="public",
        disk_format="raw",
        size=len(data),
        virtual_size=len(data),
        os_hash_value=hashlib.sha512(data).hexdigest(),
    )
    image.save()
    path = store.path_of(image.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return image


@pytest.fixture
def private(alice):
    """A network of the lab with a subnet: what a launch with a name only uses."""
    network = networks.create_network(alice, name="private")
    networks.create_subnet(alice, network=network, cidr="10.0.0.0/24")
    return network


@pytest.fixture
def launch(host, image, flavor, private, settle):
    """`launch(ctx, ...)`: an ACTIVE instance, or whatever the launch leads to."""
    from apps.instances.operations import create_instance

    def launch(ctx, **arguments):
        given = {"name": "web", "image": image, "flavor": flavor} | arguments
        made = create_instance(ctx, **given)
        settle()
        for instance in made:
            instance.refresh_from_db()
        return made[0] if len(made) == 1 else made

    return launch
