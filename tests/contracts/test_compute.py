"""The compute drivers' contract, on paper and on a real libvirt and QEMU."""

import contextlib
import io
import socket
import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace

import pycdlib
import pytest

from apps.core.errors import DriverError
from apps.instances import configdrive
from apps.instances.drivers.base import Nic, Power
from apps.instances.drivers.fake import FakeDriver
from tests.contracts.helpers import qemu_img, read_until, sha512, wait_for


@pytest.fixture(params=["memory", "file", "libvirt"])
def driver(request, tmp_path):
    if request.param == "libvirt":
        return request.getfixturevalue("real")
    return FakeDriver(tmp_path / "fake" if request.param == "file" else None)


@pytest.fixture
def cards(request):
    """`cards(driver, uuid)`: the ports that the guest has cards for, in the hypervisor's own words."""

    def cards(driver, guest: str) -> set[str]:
        if isinstance(driver, FakeDriver):
            return {nic["port"] for nic in driver.guests[guest]["nics"]}
        host = request.getfixturevalue("hypervisor_host")
        described = ET.fromstring(host.run(["virsh", "dumpxml", guest]))
        plugs = described.iterfind("devices/interface/virtualport/parameters")
        return {plug.get("interfaceid") for plug in plugs}

    return cards


# The contract


def test_the_host_tells_what_it_has(driver):
    inventory = driver.inventory()
    assert inventory.vcpus >= 1
    assert inventory.memory_mib > 1000
    assert inventory.disk_gib >= inventory.disk_free_gib > 0
    assert inventory.hypervisor in ("QEMU", "fake")
    assert inventory.hypervisor_version.count(".") == 2
    assert inventory.cpu_model
    assert inventory.virt_type in ("qemu", "fake")


def test_a_base_is_filled_once_and_dropped(driver, tiny, tmp_path):
    image, seen = str(uuid.uuid4()), []
    assert not driver.has_base(image)
    driver.ensure_base(image, str(tiny), "qcow2", sha512(tiny), seen.append)
    assert driver.has_base(image)
    assert seen[-1] == 100
    assert seen == sorted(seen)
    driver.ensure_base(image, str(tmp_path / "absent"), "qcow2", "")
    assert image in driver.leftovers().bases
    driver.ensure_no_base(image)
    driver.ensure_no_base(image)
    assert not driver.has_base(image)


def test_data_with_another_hash_is_no_base(driver, tiny):
    image = str(uuid.uuid4())
    with pytest.raises(DriverError, match="SHA-512") as refusal:
        driver.ensure_base(image, str(tiny), "qcow2", "0" * 128)
    assert refusal.value.permanent
    assert not driver.has_base(image)


def test_an_unreadable_source_may_come_back(driver):
    with pytest.raises(DriverError) as refusal:
        driver.ensure_base(str(uuid.uuid4()), "/absent", "qcow2", "0" * 128)
    assert not refusal.value.permanent


def on_a_file_of_the_host(path):
    qemu_img("-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", "-u", path, "1M")


def on_a_json_name(path):
    name = 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}'
    qemu_img("-f", "qcow2", "-b", name, "-F", "raw", "-u", path, "1M")


def with_its_data_elsewhere(path):
    qemu_img("-f", "qcow2", "-o", f"data_file={path}.data,data_file_raw=on", path, "1M")


def of_half_a_pebibyte(path):
    qemu_img("-f", "qcow2", "-o", "cluster_size=2M", path, "512T")


def of_nothing(path):
    path.write_bytes(b"")


def cut_off(path):
    path.write_bytes(b"QFI\xfb\x00\x00\x00\x03" + bytes(50))


def of_another_kind(path):
    path.write_bytes(b"KDMV" + bytes(600))


HOSTILE = [
    on_a_file_of_the_host,
    on_a_json_name,
    with_its_data_elsewhere,
    of_half_a_pebibyte,
    of_nothing,
    cut_off,
    of_another_kind,
]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_a_hostile_image_is_no_base(driver, make, tmp_path):
    image, path = str(uuid.uuid4()), tmp_path / "hostile.qcow2"
    make(path)
    with pytest.raises(DriverError) as refusal:
        driver.ensure_base(image, str(path), "qcow2", sha512(path))
    assert refusal.value.permanent
    assert not driver.has_base(image)
    assert image not in driver.leftovers().bases


@pytest.mark.parametrize("disk_format", ["vmdk", "vdi", "iso"])
def test_only_formats_that_boot_become_a_base(driver, tiny, disk_format):
    with pytest.raises(DriverError, match=disk_format) as refusal:
        driver.ensure_base(str(uuid.uuid4()), str(tiny), disk_format, sha512(tiny))
    assert refusal.value.permanent


def test_a_base_under_a_disk_stays(driver, new_spec):
    spec = new_spec(driver)
    driver.ensure_disk(spec)
    with pytest.raises(DriverError, match=spec.uuid):
        driver.ensure_no_base(spec.base)
    assert driver.has_base(spec.base)


def test_a_disk_smaller_than_its_image_is_refused_with_numbers(driver, new_spec, tmp_path):
    large = tmp_path / f"{uuid.uuid4()}.qcow2"
    qemu_img("-f", "qcow2", large, "3G")
    spec = new_spec(driver, image=large)
    with pytest.raises(DriverError, match=r"3\.00 GiB.* 1 GiB") as refusal:
        driver.ensure_disk(spec)
    assert refusal.value.permanent
    driver.ensure_no_guest(spec.uuid)
    driver.ensure_no_base(spec.base)


def test_no_guest_without_a_disk(driver, new_spec):
    spec = new_spec(driver)
    with pytest.raises(DriverError, match="missing") as refusal:
        driver.ensure_guest(spec)
    assert refusal.value.permanent


def test_no_disk_without_a_base(driver, new_spec):
    with pytest.raises(DriverError, match="cache") as refusal:
        driver.ensure_disk(replace(new_spec(driver), base=str(uuid.uuid4())))
    assert not refusal.value.permanent


def test_a_guest_lives_and_every_verb_may_be_repeated(driver, new_spec):
    spec = new_spec(driver)
    assert driver.state(spec.uuid).power == Power.ABSENT
    for _ in range(2):
        driver.ensure_disk(spec)
    assert driver.state(spec.uuid).power == Power.ABSENT
    for _ in range(2):
        driver.ensure_guest(spec)
        assert driver.state(spec.uuid).power == Power.RUNNING
    assert driver.state(spec.uuid) in driver.states()
    for _ in range(2):
        assert driver.ensure_stopped(spec.uuid, hard=True) is True
    assert (driver.state(spec.uuid).power, driver.state(spec.uuid).reason) == (Power.OFF, "destroyed")
    assert driver.state(spec.uuid) in driver.states()
    driver.ensure_guest(spec)
    assert driver.state(spec.uuid).power == Power.RUNNING
    left = driver.leftovers()
    assert spec.uuid in left.guests & left.disks
    for _ in range(2):
        driver.ensure_no_guest(spec.uuid)
    assert driver.state(spec.uuid).power == Power.ABSENT
    left = driver.leftovers()
    assert spec.uuid not in left.guests | left.disks


def test_a_guest_has_exactly_the_cards_it_should(driver, running, cards):
    """A running one gets them at once; one that is off gives them up, too."""
    spec = running(driver)
    second = Nic(str(uuid.uuid4()), "0a:00:00:00:01:02")
    for _ in range(2):
        driver.ensure_nics(spec.uuid, (*spec.nics, second))
        assert cards(driver, spec.uuid) == {spec.nics[0].port, second.port}
    driver.ensure_stopped(spec.uuid, hard=True)
    for _ in range(2):
        driver.ensure_nics(spec.uuid, (second,))
        assert cards(driver, spec.uuid) == {second.port}
    driver.ensure_nics(spec.uuid, spec.nics)
    assert cards(driver, spec.uuid) == {spec.nics[0].port}
    driver.ensure_nics(str(uuid.uuid4()), (second,))


def test_a_disk_of_a_guest_that_never_ran_is_removed(driver, new_spec):
    spec = new_spec(driver)
    driver.ensure_disk(spec)
    assert spec.uuid in driver.leftovers().disks
    driver.ensure_no_guest(spec.uuid)
    assert spec.uuid not in driver.leftovers().disks


def test_an_absent_guest_is_off_and_says_nothing(driver):
    guest = str(uuid.uuid4())
    assert driver.ensure_stopped(guest, hard=False)
    assert driver.ensure_stopped(guest, hard=True)
    driver.ensure_no_guest(guest)
    assert driver.console_log(guest, 1000) == b""
    for open_console in (driver.open_screen, driver.open_serial):
        with pytest.raises(DriverError, match="off"):
            open_console(guest)


def test_a_stopped_guest_has_no_consoles(driver, running):
    spec = running(driver)
    driver.ensure_stopped(spec.uuid, hard=True)
    for open_console in (driver.open_screen, driver.open_serial):
        with pytest.raises(DriverError, match="off"):
            open_console(spec.uuid)


def test_two_screens_of_one_guest(driver, running):
    spec = running(driver)
    with (
        socket.socket(fileno=driver.open_screen(spec.uuid)) as first,
        socket.socket(fileno=driver.open_screen(spec.uuid)) as second,
    ):
        assert read_until(first, b"\n") == read_until(second, b"\n") == b"RFB 003.008\n"
        first.sendall(b"RFB 003.008\n")
        assert read_until(first, b"\x01\x01") == b"\x01\x01"  # one kind of security: none


def test_the_serial_line_has_one_holder(driver, running):
    spec = running(driver)
    with socket.socket(fileno=driver.open_serial(spec.uuid)) as first:
        with socket.socket(fileno=driver.open_serial(spec.uuid)) as second:
            first.settimeout(5)
            while first.recv(4096):
                pass
            second.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    assert second.recv(4096), "the new holder was disconnected"


def test_config_drive_holds_files_under_their_names():
    files = {
        "openstack/latest/meta_data.json": b'{"uuid": "1"}',
        "openstack/2018-08-27/meta_data.json": b'{"uuid": "1"}',
        "openstack/latest/user_data": bytes(range(256)) * 300,
        "openstack/content/0000": b"",
        "ec2/2009-04-04/meta-data.json": b"{}",
    }
    image = configdrive.build(files)
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    assert iso.pvd.volume_identifier.strip() == b"config-2"
    for kind in ("rr_path", "joliet_path"):
        for name, content in files.items():
            found = io.BytesIO()
            iso.get_file_from_iso_fp(found, **{kind: f"/{name}"})
            assert found.getvalue() == content


# The fake alone


def test_processes_share_the_fake_of_a_directory(tmp_path, new_spec):
    worker, agent = FakeDriver(tmp_path), FakeDriver(tmp_path)
    spec = new_spec(worker)
    worker.ensure_disk(spec)
    worker.ensure_guest(spec)
    assert agent.state(spec.uuid).power == Power.RUNNING
    assert agent.guests[spec.uuid]["name"] == spec.name
    assert b"fake" in agent.console_log(spec.uuid, 10000)


def test_the_fake_fails_once_when_told(new_spec):
    driver = FakeDriver()
    spec = new_spec(driver)
    driver.fail_next = DriverError("no space left", permanent=True)
    with pytest.raises(DriverError, match="no space left"):
        driver.ensure_disk(spec)
    driver.ensure_disk(spec)


def test_a_fake_guest_takes_its_time(new_spec):
    driver = FakeDriver(boot_seconds=0.4)
    spec = new_spec(driver)
    driver.ensure_disk(spec)
    driver.ensure_guest(spec)
    assert b"login:" not in driver.console_log(spec.uuid, 10000)
    wait_for(lambda: b"login:" in driver.console_log(spec.uuid, 10000), 2)
    assert not driver.ensure_stopped(spec.uuid, hard=False)
    wait_for(lambda: driver.ensure_stopped(spec.uuid, hard=False), 2)
    assert driver.state(spec.uuid).reason == "shutdown"
