"""The private host that real drivers are tested on, started once a run, its daemons on demand; and guests on it."""

import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from apps.instances.drivers.base import GuestSpec, Nic
from apps.instances.drivers.libvirt_driver import LibvirtDriver
from cloudpanel import config
from tests.contracts.helpers import qemu_img, sha512
from tests.hosts import TestHost

DEMO = config.ROOT / "var/images/demo/demo.qcow2"


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


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """An image that holds nothing: its guests wait in their firmware."""
    path = tmp_path_factory.mktemp("images") / "tiny.qcow2"
    qemu_img("-f", "qcow2", path, "16M")
    return path


@pytest.fixture(scope="session")
def demo() -> Path:
    """The demo guest, which really boots."""
    if not DEMO.exists():
        build = config.ROOT / "apps/images/guest/build.sh"
        subprocess.run([build, DEMO.parent], check=True, timeout=300)
    return DEMO


@pytest.fixture(scope="session")
def hypervisor_host(host):
    host.start_ovs()
    host.add_bridge("br-int")
    host.start_libvirt()
    return host


@pytest.fixture(scope="session")
def real(hypervisor_host):
    return LibvirtDriver(
        hypervisor_host.libvirt_uri,
        directory=hypervisor_host.path / "instances",
        cache=hypervisor_host.path / "instances/_base",
        ovs_db=hypervisor_host.ovs_db,
        log_directory=hypervisor_host.path / "log/libvirt/qemu",
    )


@pytest.fixture
def new_spec(tiny):
    """`new_spec(driver)`: of a guest that is gone after the test, on the tiny image, which is in the cache."""
    made = []

    def make(driver, image: Path = tiny, **given) -> GuestSpec:
        base = image.stem
        driver.ensure_base(base, str(image), "qcow2", sha512(image))
        mac = "0a:" + uuid.uuid4().bytes[:5].hex(":")
        spec = GuestSpec(
            uuid=str(uuid.uuid4()),
            name="web <1> & more \x07",
            project="p1",
            vcpus=1,
            memory_mib=64,
            root_gib=1,
            base=base,
            nics=(Nic(str(uuid.uuid4()), mac),),
        )
        spec = replace(spec, **given)
        made.append((driver, spec.uuid))
        return spec

    yield make
    for driver, guest in made:
        driver.ensure_no_guest(guest)


@pytest.fixture
def running(new_spec):
    """`running(driver)`: the spec of a guest that runs."""

    def make(driver, **given) -> GuestSpec:
        spec = new_spec(driver, **given)
        driver.ensure_disk(spec)
        driver.ensure_guest(spec)
        return spec

    return make
