"""What libvirt, QEMU and their host alone can suffer, and what must be left of it: nothing."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import uuid

import pytest

from apps.core.errors import DriverError
from apps.instances import configdrive
from apps.instances.drivers.base import Nic, Power
from apps.instances.drivers.libvirt_driver.events import watch
from tests.contracts.helpers import read_until, sha512, wait_for


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


def test_a_port_is_up_again_after_the_sweep(ovn_host, real, running):
    """A dead plug that names a live guest's port takes the port down; so does its plain removal."""
    port = str(uuid.uuid4())
    ovn_host.run(["ovn-nbctl", "ls-add", "net1", "--", "lsp-add", "net1", port])

    def up() -> bool:
        return ovn_host.run(["ovn-nbctl", "get", "Logical_Switch_Port", port, "up"]).strip() == "true"

    spec = running(real, nics=(Nic(port, "0a:00:00:00:00:01"),))
    wait_for(up)
    add_dead_plug(ovn_host, str(uuid.uuid4()), port)
    wait_for(lambda: not up())
    real.sweep_stale_ports()
    wait_for(up)
    assert [plug["vm-id"] for plug in plugs(ovn_host) if plug["iface-id"] == port] == [spec.uuid]
    time.sleep(1)
    assert up()
    ovn_host.run(["ovn-nbctl", "ls-del", "net1"])


def test_a_running_guest_gets_a_card_and_lets_go_of_it(ovn_host, real, running, demo):
    port = str(uuid.uuid4())
    ovn_host.run(["ovn-nbctl", "ls-add", "net2", "--", "lsp-add", "net2", port])

    def up() -> bool:
        return ovn_host.run(["ovn-nbctl", "get", "Logical_Switch_Port", port, "up"]).strip() == "true"

    def plugged() -> set[str]:
        return {plug["iface-id"] for plug in plugs(ovn_host) if plug["vm-id"] == spec.uuid}

    spec = running(real, image=demo, memory_mib=128)
    second = Nic(port, "0a:00:00:00:00:02")
    real.ensure_nics(spec.uuid, (*spec.nics, second))
    wait_for(up)
    assert plugged() == {spec.nics[0].port, port}
    wait_for(lambda: b"login:" in real.console_log(spec.uuid, 1 << 16), 90)
    real.ensure_nics(spec.uuid, spec.nics)
    assert plugged() == {spec.nics[0].port}
    wait_for(lambda: not up())
    real.ensure_nics(spec.uuid, (*spec.nics, second))  # and it is taken back
    wait_for(up)
    real.ensure_no_guest(spec.uuid)
    ovn_host.run(["ovn-nbctl", "ls-del", "net2"])


def test_a_guest_that_does_not_let_go_of_a_card_is_tried_again(hypervisor_host, real, running):
    spec = running(real)  # without a system, nobody listens
    for _ in range(2):
        with pytest.raises(DriverError, match="does not let go") as refusal:
            real.ensure_nics(spec.uuid, ())
        assert not refusal.value.permanent
    assert [plug["iface-id"] for plug in plugs(hypervisor_host) if plug["vm-id"] == spec.uuid]
    real.ensure_stopped(spec.uuid, hard=True)
    real.ensure_nics(spec.uuid, ())
    assert [plug for plug in plugs(hypervisor_host) if plug["vm-id"] == spec.uuid] == []


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
        await told_of("", "connected")  # it has taken its guests back
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
