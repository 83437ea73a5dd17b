"""The private host that real drivers are tested on; started once a run, its daemons on demand."""

import pytest

from tests.hosts import TestHost


@pytest.fixture(scope="session")
def host():
    """A `TestHost` without daemons; call its `start_` verbs."""
    with TestHost(name="contract1") as host:
        yield host


@pytest.fixture(scope="session")
def ovn_host(host):
    """The host with Open vSwitch and OVN (central and controller) at work."""
    host.start_ovs()
    host.start_ovn()
    return host
