"""The compute drivers' contract, on paper and on a real libvirt and QEMU; then what only real ones can suffer."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pycdlib
import pytest

from apps.core.errors import DriverError
from apps.instances import configdrive
from apps.instances.drivers.base import GuestSpec, Nic, Power
from apps.instances.drivers.fake import FakeDriver
from apps.instances.drivers.libvirt_driver import LibvirtDriver
from apps.instances.drivers.libvirt_driver.events import watch
from cloudpanel import config

DEMO = config.ROOT / "var/images/demo/demo.qcow2"


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


def wait_for(condition, seconds: float = 10):
    """The first true value of `condition()`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "did not come true"
        time.sleep(0.05)
    return value


def read_until(end: socket.socket, wanted: bytes, seconds: float = 10) -> bytes:
    end.settimeout(seconds)
    data = b""
    while wanted not in data:
        more = end.recv(4096)
        assert more, f"ended after {data!r}"
        data += more
    return data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """An image that holds nothing: its guests wait in their firmware."""
    path = tmp_path_factory.mktemp("images") / "tiny.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"], check=True)
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


@pytest.fixture(params=["memory", "file", "libvirt"])
def driver(request, tmp_path):
    if request.param == "libvirt":
        return request.getfixturevalue("real")
    return FakeDriver(tmp_path / "fake" if request.param == "file" else None)


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


def what_is_left(host, driver) -> dict:
    """Everything on the host that a guest could leave behind, looked at without the driver."""
    interfaces = host.run(["ovs-vsctl", "--format=json", "--columns=name,external_ids", "list", "Interface"])
    return {
        "domains": sorted(host.run(["virsh", "-q", "list", "--all", "--name"]).split()),
        "files": sorted(str(path) for path in driver.directory.rglob("*")),
        "logs": sorted(path.name for path in (host.path / "log/libvirt/qemu").glob("*")),
        "sockets": sorted(path.name for path in (host.path / "lib/libvirt/qemu").rglob("*cp-*")),
        "plugs": json.loads(interfaces)["data"],
        "links": sorted(host.run(["ls", "/sys/class/net"]).split()),
        "processes": host.run(["pgrep", "-c", "qemu-system"], check=False).strip(),
    }


def plugs(host) -> list[dict]:
    """external_ids of every plug of a guest, in Open vSwitch's own words."""
    listed = host.run(["ovs-vsctl", "--format=json", "--columns=name,external_ids", "list", "Interface"])
    rows = [{"name": name, **dict(ids[1])} for name, ids in json.loads(listed)["data"]]
    return [row for row in rows if "vm-id" in row]


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


def qemu_img(*arguments) -> None:
    subprocess.run(["qemu-img", "create", "-q", *arguments], check=True, capture_output=True)


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


# libvirt and QEMU alone


def test_nothing_of_a_guest_is_left(hypervisor_host, real, running, new_spec):
    new_spec(real)  # its base is in the cache
    before = what_is_left(hypervisor_host, real)
    spec = running(real, config_drive=configdrive.build({"openstack/latest/user_data": b"secret"}))
    during = what_is_left(hypervisor_host, real)
    assert {kind for kind in before if before[kind] == during[kind]} == set()
    real.ensure_no_guest(spec.uuid)
    assert what_is_left(hypervisor_host, real) == before


def test_files_are_for_qemu_and_nobody_else(real, running):
    spec = running(real, config_drive=configdrive.build({"openstack/latest/user_data": b"secret"}))
    files = real.directory / spec.uuid
    base, _ = real.base(spec.base)
    modes = {path.name: (path.stat().st_mode & 0o777, path.owner()) for path in (*files.iterdir(), base)}
    assert modes == {
        "disk.qcow2": (0o600, "libvirt-qemu"),
        "config.iso": (0o400, "libvirt-qemu"),
        "console.log": (0o600, "root"),
        base.name: (0o644, "root"),
    }
    assert (real.directory / spec.uuid).stat().st_mode & 0o777 == 0o711


def test_a_disk_is_as_large_as_the_flavor_or_the_image(real, new_spec):
    def size(spec):
        real.ensure_disk(spec)
        disk = real.directory / spec.uuid / "disk.qcow2"
        info = subprocess.run(
            ["qemu-img", "info", "-U", "--output=json", "-f", "qcow2", disk], check=True, capture_output=True
        )
        return json.loads(info.stdout)["virtual-size"]

    assert size(new_spec(real, root_gib=2)) == 2 << 30
    assert size(new_spec(real, root_gib=0)) == 16 << 20


def test_what_a_killed_worker_left_of_a_disk_is_cleared(real, new_spec):
    spec = new_spec(real)
    files = real.directory / spec.uuid
    files.mkdir()
    (files / ".draft--abc").write_bytes(b"half a disk")
    real.ensure_disk(spec)
    assert [path.name for path in files.iterdir()] == ["disk.qcow2"]


def test_a_disk_in_use_is_never_replaced(real, new_spec):
    spec = new_spec(real)
    racers = [threading.Thread(target=real.ensure_disk, args=(spec,)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    disk = real.directory / spec.uuid / "disk.qcow2"
    inode = disk.stat().st_ino
    real.ensure_disk(spec)
    assert disk.stat().st_ino == inode


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_base_cannot_be_changed_through_its_source(real, tiny, tmp_path, mode):
    image, source = str(uuid.uuid4()), tmp_path / "image"
    source.write_bytes(tiny.read_bytes())
    source.chmod(mode)
    real.ensure_base(image, str(source), "qcow2", sha512(source))
    base, _ = real.base(image)
    if mode != 0o644:  # else the inode may be shared, since only root can write to it
        source.write_bytes(b"changed")
    assert sha512(base) == sha512(tiny)
    assert (base.stat().st_uid, base.stat().st_mode & 0o777) == (0, 0o644)
    assert source.stat().st_mode & 0o777 == mode
    real.ensure_no_base(image)


def test_the_plug_names_port_and_guest(hypervisor_host, real, running):
    spec = running(real)
    (plug,) = [plug for plug in plugs(hypervisor_host) if plug["vm-id"] == spec.uuid]
    assert (plug["iface-id"], plug["attached-mac"]) == (spec.nics[0].port, spec.nics[0].mac)
    mtu = hypervisor_host.run(["cat", f"/sys/class/net/{plug['name']}/mtu"])
    assert int(mtu) == spec.nics[0].mtu


def add_dead_plug(host, guest: str, port: str) -> None:
    name = f"dead{guest[:8]}"
    ids = [f"external_ids:vm-id={guest}", f"external_ids:iface-id={port}"]
    host.run(["ovs-vsctl", "--no-wait", "add-port", "br-int", name, "--", "set", "Interface", name, *ids])


def test_a_start_removes_dead_plugs_of_its_guest(hypervisor_host, real, new_spec):
    spec = new_spec(real)
    real.ensure_disk(spec)
    add_dead_plug(hypervisor_host, spec.uuid, spec.nics[0].port)
    real.ensure_guest(spec)
    names = [plug["name"] for plug in plugs(hypervisor_host) if plug["vm-id"] == spec.uuid]
    assert len(names) == 1
    assert names[0].startswith("vnet")


def test_the_sweep_takes_dead_plugs_and_no_others(hypervisor_host, real, running):
    spec, gone = running(real), str(uuid.uuid4())
    hypervisor_host.run(["ovs-vsctl", "--no-wait", "--may-exist", "add-port", "br-int", "patch-vnet-provnet"])
    live = plugs(hypervisor_host)
    add_dead_plug(hypervisor_host, gone, str(uuid.uuid4()))
    add_dead_plug(hypervisor_host, str(uuid.uuid4()), spec.nics[0].port)
    real.sweep_stale_ports()
    assert plugs(hypervisor_host) == live
    assert "patch-vnet-provnet" in hypervisor_host.run(["ovs-vsctl", "list-ports", "br-int"])
    hypervisor_host.run(["ovs-vsctl", "--no-wait", "del-port", "patch-vnet-provnet"])


def test_a_chatty_guest_does_not_fill_the_disk(real, running):
    spec = running(real)
    log = real.directory / spec.uuid / "console.log"
    with log.open("ab") as file:
        file.write(b"x" * (5 << 20) + b"the end")
    inode = log.stat().st_ino
    real.trim_console_logs()
    assert (log.stat().st_size, log.stat().st_ino) == (1 << 20, inode)
    assert real.console_log(spec.uuid, 7) == b"the end"
    real.trim_console_logs()
    assert log.stat().st_size == 1 << 20


def test_a_paused_guest_runs_again(hypervisor_host, real, running):
    spec = running(real)
    hypervisor_host.run(["virsh", "suspend", spec.uuid])
    assert real.state(spec.uuid).power == Power.PAUSED
    real.ensure_guest(spec)
    assert real.state(spec.uuid).power == Power.RUNNING


def test_somebody_elses_guest_is_not_touched(hypervisor_host, real):
    guest = str(uuid.uuid4())
    xml = hypervisor_host.path / "foreign.xml"
    xml.write_text(
        f"<domain type='qemu'><name>foreign</name><uuid>{guest}</uuid><memory unit='MiB'>64</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    hypervisor_host.run(["virsh", "define", str(xml)])
    try:
        assert guest not in {state.uuid for state in real.states()}
        assert guest not in real.leftovers().guests
        for verb in (real.ensure_no_guest, real.state, lambda guest: real.ensure_stopped(guest, hard=True)):
            with pytest.raises(DriverError, match="foreign") as refusal:
                verb(guest)
            assert refusal.value.permanent
        assert "foreign" in hypervisor_host.run(["virsh", "list", "--all", "--name"])
    finally:
        hypervisor_host.run(["virsh", "undefine", "foreign"])


def test_a_guest_whose_qemu_is_killed_has_crashed(hypervisor_host, real, running):
    spec = running(real)
    kill_qemu(hypervisor_host, spec.uuid)
    wait_for(lambda: real.state(spec.uuid).power == Power.CRASHED)
    assert real.state(spec.uuid).reason == "crashed"
    assert real.ensure_stopped(spec.uuid, hard=False)
    real.ensure_guest(spec)
    assert real.state(spec.uuid).power == Power.RUNNING


def kill_qemu(host, guest: str, sig: str = "KILL") -> None:
    host.kill(host.pid_of(f"libvirt/qemu/cp-{guest}.pid"), sig)


def kill_libvirtd(host) -> None:
    host.kill(host.pid_of("libvirt/libvirtd.pid"))
    wait_for(lambda: not host.alive("libvirt/libvirtd.pid"))


@pytest.fixture
def libvirtd(hypervisor_host):
    """Answers again after the test, whatever was done to it."""
    yield hypervisor_host
    hypervisor_host.start_libvirt()


def test_a_killed_libvirtd_is_an_outage_and_no_loss(libvirtd, real, running):
    spec = running(real)
    kill_libvirtd(libvirtd)
    with pytest.raises(DriverError) as refusal:
        real.state(spec.uuid)
    assert not refusal.value.permanent
    libvirtd.start_libvirt()
    assert real.state(spec.uuid).power == Power.RUNNING
    real.ensure_guest(spec)


def test_a_restart_between_two_calls_is_not_noticed(libvirtd, real, running):
    spec = running(real)
    kill_libvirtd(libvirtd)
    libvirtd.start_libvirt()
    assert real.state(spec.uuid).power == Power.RUNNING


def test_killed_in_the_middle_of_a_start(libvirtd, real, new_spec):
    spec = new_spec(real)
    real.ensure_disk(spec)
    outcome = []

    def start():
        try:
            outcome.append(real.ensure_guest(spec))
        except DriverError as error:
            outcome.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    qemu = libvirtd.path / f"log/libvirt/qemu/cp-{spec.uuid}.log"
    wait_for(qemu.exists)  # the start has come as far as to QEMU
    kill_libvirtd(libvirtd)
    starting.join(30)
    assert len(outcome) == 1
    assert outcome[0] is None or not outcome[0].permanent
    libvirtd.start_libvirt()
    wait_for(lambda: ensured(real, spec), 30)
    assert real.state(spec.uuid).power == Power.RUNNING
    assert [plug["vm-id"] for plug in plugs(libvirtd)].count(spec.uuid) == 1
    assert libvirtd.run(["pgrep", "-c", "-f", f"guest=cp-{spec.uuid}"]).strip() == "1"


def ensured(driver, spec) -> bool:
    """One turn of a reconciler."""
    with contextlib.suppress(DriverError):
        driver.ensure_guest(spec)
        return True
    return False


def test_a_libvirtd_that_hangs_holds_up_no_call_for_long(libvirtd, real, running):
    spec = running(real)
    pid = libvirtd.pid_of("libvirt/libvirtd.pid")
    libvirtd.kill(pid, "STOP")
    try:
        for limit in (16, 6):  # the connection that hangs, then one that is not made
            began = time.monotonic()
            with pytest.raises(DriverError) as refusal:
                real.state(spec.uuid)
            assert not refusal.value.permanent
            assert time.monotonic() - began < limit
    finally:
        libvirtd.kill(pid, "CONT")
    wait_for(lambda: answers(real, spec.uuid), 5)


def answers(driver, guest: str) -> bool:
    with contextlib.suppress(DriverError):
        return driver.state(guest).power == Power.RUNNING
    return False


async def test_events_are_told_also_after_a_restart(libvirtd, real, new_spec):
    told: asyncio.Queue = asyncio.Queue()

    async def callback(guest: str, event: str) -> None:
        await told.put((guest, event))

    async def told_of(*wanted) -> None:
        async with asyncio.timeout(15):
            while await told.get() != wanted:
                pass

    watching = asyncio.create_task(watch(libvirtd.libvirt_uri, callback))
    try:
        await told_of("", "connected")
        spec = new_spec(real)
        await asyncio.to_thread(real.ensure_disk, spec)
        await asyncio.to_thread(real.ensure_guest, spec)
        await told_of(spec.uuid, "started")
        await asyncio.to_thread(kill_libvirtd, libvirtd)
        await asyncio.to_thread(libvirtd.start_libvirt)
        await told_of("", "connected")
        await asyncio.to_thread(kill_qemu, libvirtd, spec.uuid)
        await told_of(spec.uuid, "stopped")
        await asyncio.to_thread(real.ensure_no_guest, spec.uuid)
        await told_of(spec.uuid, "undefined")
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_the_demo_guest_boots_is_typed_at_and_shuts_down(hypervisor_host, real, running, demo):
    """Its agent is noticed, its console is read, its serial line answers, and it obeys the power button."""
    events: asyncio.Queue = asyncio.Queue()

    async def callback(guest: str, event: str) -> None:
        await events.put((guest, event))

    watching = asyncio.create_task(watch(hypervisor_host.libvirt_uri, callback))
    drive = configdrive.build({"openstack/latest/meta_data.json": b'{"hostname": "demo1"}'})
    spec = await asyncio.to_thread(
        lambda: running(real, image=demo, memory_mib=128, config_drive=drive, vcpus=1)
    )
    try:
        await asyncio.to_thread(wait_for, lambda: b"login:" in real.console_log(spec.uuid, 1 << 16), 90)
        async with asyncio.timeout(60):
            while await events.get() != (spec.uuid, "agent-connected"):
                pass
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert len(real.console_log(spec.uuid, 100)) == 100
    assert real.console_log(spec.uuid, 1 << 16).endswith(real.console_log(spec.uuid, 100))

    with socket.socket(fileno=real.open_screen(spec.uuid)) as screen:
        assert read_until(screen, b"\n") == b"RFB 003.008\n"
    with socket.socket(fileno=real.open_serial(spec.uuid)) as line:
        line.sendall(b"\r")
        read_until(line, b"login:", 30)
        line.sendall(b"nobody-of-that-name")
        read_until(line, b"nobody-of-that-name", 30)
        spent = time.thread_time(), os.times().user
        await asyncio.sleep(1)
        assert os.times().user - spent[1] < 0.3, "the bridge is busy while nothing is said"
        real.ensure_stopped(spec.uuid, hard=False)
        await asyncio.to_thread(wait_for, lambda: real.ensure_stopped(spec.uuid, hard=False), 60)
        line.settimeout(5)
        while line.recv(4096):  # the line ends with its guest
            pass
    assert real.state(spec.uuid).reason == "shutdown"
