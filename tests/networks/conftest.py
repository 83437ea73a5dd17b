import pytest

from apps.core.errors import CloudError
from apps.networks import operations
from apps.networks.drivers import fake, use


@pytest.fixture(autouse=True)
def engine():
    """The network on paper."""
    with use(fake.FakeNetwork()) as driver:
        yield driver


@pytest.fixture
def private(alice):
    """A network of the lab with 10.0.0.0/24."""
    network = operations.create_network(alice, name="private")
    operations.create_subnet(alice, network=network, cidr="10.0.0.0/24")
    return network


@pytest.fixture
def public(ada):
    """The way outside, with 172.24.4.0/24."""
    network = operations.create_network(ada, name="public", external=True, physical_network="physnet1")
    operations.create_subnet(ada, network=network, cidr="172.24.4.0/24", enable_dhcp=False)
    return network


@pytest.fixture
def router(alice, private, public):
    """From `private` to `public`."""
    router = operations.create_router(alice, name="router1", external_network=public)
    operations.add_router_interface(alice, router=router, subnet=private.subnets.get())
    return router


@pytest.fixture
def refused():
    """`refused(kind, function, ...)` calls it and returns the CloudError of that kind that it must raise."""

    def refused(kind, function, *args, **kwargs) -> CloudError:
        with pytest.raises(CloudError) as raised:
            function(*args, **kwargs)
        assert raised.value.kind == kind
        return raised.value

    return refused
