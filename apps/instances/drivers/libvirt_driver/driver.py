"""The compute driver for libvirt and QEMU."""

import contextlib
import os
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt

from apps.core.errors import DriverError
from apps.instances.drivers.base import GuestSpec, GuestState, HostInventory, Leftovers, Nic, Power
from apps.instances.drivers.libvirt_driver import nics as cards
from apps.instances.drivers.libvirt_driver import ports
from apps.instances.drivers.libvirt_driver.connection import Connection
from apps.instances.drivers.libvirt_driver.domain import domain_xml, guest_state, is_ours, name_of
from apps.instances.drivers.libvirt_driver.files import Files
from apps.instances.drivers.libvirt_driver.serial import SerialLines

CHEAP_SECONDS = 15  # for calls that libvirtd answers without asking QEMU
ASK_AGAIN_SECONDS = 10  # between two power button presses: a booting guest misses the first
LET_GO_SECONDS = 10  # that a guest has to let go of a card
HUNG_SECONDS = 10  # a QEMU that works on one monitor command for longer is asked no more

UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


class LibvirtDriver(Files):
    """`ComputeDriver` for the host whose libvirtd is at `uri`; shared by all threads of a process.

    `userspace_datapath` None: Open vSwitch is asked. libvirtd must be configured with qemu_user and
    qemu_group, and QEMU must be able to pass through every directory above `directory` and `cache`.
    """

    def __init__(
        self,
        uri: str,
        directory: Path,
        cache: Path,
        virt_type: str = "qemu",
        userspace_datapath: bool | None = None,
        qemu_user: str = "libvirt-qemu",
        qemu_group: str = "kvm",
        ovs_db: str = "unix:/run/openvswitch/db.sock",
        log_directory: Path = Path("/var/log/libvirt/qemu"),
    ):
        super().__init__(directory, cache, qemu_user, qemu_group)
        self._libvirt = Connection(uri)
        self._serial_lines = SerialLines()
        self._virt_type = virt_type
        self._userspace_datapath = userspace_datapath
        self._ovs_db = ovs_db
        self._log_directory = Path(log_directory)
        self._cpu_model = ""
        self._asked: dict[str, float] = {}  # uuid -> when its power button was last pressed

    def inventory(self) -> HostInventory:
        def look(connection):
            if not self._cpu_model:  # capabilities are slow while libvirtd is new
                model = ET.fromstring(connection.getCapabilities()).findtext("host/cpu/model")  # noqa: S314
                self._cpu_model = model or "unknown"
            cpus = connection.getInfo()[2]
            # The memory of getInfo() can be stale, as it is read from NUMA nodes.
            memory = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"]
            return cpus, memory >> 10, connection.getType(), connection.getVersion()

        cpus, memory, kind, version = self._libvirt.call(look)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            disk = os.statvfs(self.directory)
        except OSError as error:
            raise DriverError(f"The directory of guests cannot be read: {error}") from error
        return HostInventory(
            vcpus=cpus,
            memory_mib=memory,
            disk_gib=(disk.f_blocks * disk.f_frsize) >> 30,
            disk_free_gib=(disk.f_bavail * disk.f_frsize) >> 30,
            hypervisor=kind,
            hypervisor_version=f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}",
            cpu_model=self._cpu_model,
            virt_type=self._virt_type,
        )

    def ensure_guest(self, spec: GuestSpec) -> None:
        def running(connection) -> bool:
            domain = _find(connection, spec.uuid)
            state = domain.state()[0] if domain else libvirt.VIR_DOMAIN_SHUTOFF
            if state == libvirt.VIR_DOMAIN_PAUSED:
                _listening(domain).resume()
            elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
                _listening(domain).pMWakeup()
            return bool(domain and domain.isActive())

        def start(connection) -> None:
            domain = connection.defineXML(xml)
            with _tolerated(libvirt.VIR_ERR_OPERATION_INVALID, lambda: domain.isActive()):
                domain.create()

        if self._libvirt.call(running):
            return
        base = self.base(spec.base)
        if not base or not (self.guest(spec.uuid) / "disk.qcow2").exists():
            raise DriverError("The guest's disk or its base image is missing on this host.", permanent=True)
        xml = domain_xml(
            spec,
            files=self.guest(spec.uuid),
            base=base,
            virt_type=self._virt_type,
            userspace_datapath=self._in_user_space(),
        )
        self._unplug(spec.uuid)
        self._libvirt.call(start)

    def ensure_nics(self, uuid: str, nics: tuple[Nic, ...]) -> None:
        in_user_space = self._in_user_space()

        def match(connection) -> None:
            domain = _find(connection, uuid)
            if domain and domain.isActive():
                cards.match(_listening(domain), nics, in_user_space, cards.LIVE)
            if domain:
                cards.match(domain, nics, in_user_space, cards.CONFIG)

        def kept(connection) -> bool:
            domain = _find(connection, uuid)
            return bool(domain and domain.isActive() and cards.surplus(domain, nics, cards.LIVE))

        deadline = time.monotonic() + LET_GO_SECONDS
        self._libvirt.call(match)
        while self._libvirt.call(kept, CHEAP_SECONDS):
            if time.monotonic() > deadline:
                raise DriverError(
                    "The guest does not let go of a network card. It is asked again, and loses the card when it is "
                    "stopped."
                )
            time.sleep(0.2)

    def ensure_stopped(self, uuid: str, *, hard: bool) -> bool:
        def stop(connection) -> bool:
            domain = _find(connection, uuid)
            if not domain or not domain.isActive():
                return True
            if hard:
                _destroy(domain)
                return True
            if time.monotonic() - self._asked.get(uuid, -ASK_AGAIN_SECONDS) >= ASK_AGAIN_SECONDS:
                _listening(domain).shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
                self._asked[uuid] = time.monotonic()
            return False

        off = self._libvirt.call(stop)
        if off:
            self._asked.pop(uuid, None)
        return off

    def ensure_no_guest(self, uuid: str) -> None:
        def remove(connection) -> None:
            domain = _find(connection, uuid)
            if domain:
                _destroy(domain)
                with _tolerated(libvirt.VIR_ERR_NO_DOMAIN):
                    domain.undefineFlags(UNDEFINE)

        self._libvirt.call(remove)
        self._asked.pop(uuid, None)
        self._unplug(uuid)
        self.ensure_no_files(uuid)
        try:
            (self._log_directory / f"{name_of(uuid)}.log").unlink(missing_ok=True)
        except OSError as error:
            raise DriverError(f"QEMU's log cannot be removed: {error}") from error

    def state(self, uuid: str) -> GuestState:
        def look(connection) -> GuestState:
            domain = _find(connection, uuid)
            if not domain:
                return GuestState(uuid, Power.ABSENT)
            with _tolerated(libvirt.VIR_ERR_NO_DOMAIN):  # it went meanwhile
                return guest_state(uuid, *domain.state())
            return GuestState(uuid, Power.ABSENT)

        return self._libvirt.call(look, CHEAP_SECONDS)

    def states(self) -> list[GuestState]:
        def look(connection) -> list[GuestState]:
            stats = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
            return [
                guest_state(domain.UUIDString(), seen["state.state"], seen["state.reason"])
                for domain, seen in stats
                if is_ours(domain)
            ]

        return self._libvirt.call(look, CHEAP_SECONDS)

    def leftovers(self) -> Leftovers:
        guests = {state.uuid for state in self.states()}
        return Leftovers(guests=guests, disks=self.disks(), bases=self.bases())

    def sweep_stale_ports(self) -> None:
        # Plugs first: a guest that starts between the two calls is then not taken for dead.
        plugs = ports.plugs(self._ovs_db)
        active = self._libvirt.call(_active, CHEAP_SECONDS)
        ports.unplug(self._ovs_db, [plug for plug in plugs if plug.guest not in active])

    def open_screen(self, uuid: str) -> int:
        return self._libvirt.call(
            lambda connection: _listening(_running(connection, uuid)).openGraphicsFD(
                0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH
            ),
            CHEAP_SECONDS,
        )

    def open_serial(self, uuid: str) -> int:
        def terminal(connection) -> str:
            live = ET.fromstring(_running(connection, uuid).XMLDesc())  # noqa: S314
            return live.find("devices/serial[@type='pty']/source").get("path")

        return self._serial_lines.open(uuid, self._libvirt.call(terminal, CHEAP_SECONDS))

    def _unplug(self, uuid: str) -> None:
        """The guest is off, so every plug of it is dead."""
        ports.unplug(self._ovs_db, [plug for plug in ports.plugs(self._ovs_db) if plug.guest == uuid])

    def _in_user_space(self) -> bool:
        if self._userspace_datapath is None:
            self._userspace_datapath = ports.userspace_datapath(self._ovs_db)
        return self._userspace_datapath


def _find(connection, uuid: str) -> libvirt.virDomain | None:
    try:
        domain = connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    if not is_ours(domain):
        raise DriverError(f"A guest {domain.name()} of somebody else has the id {uuid}.", permanent=True)
    return domain


def _running(connection, uuid: str) -> libvirt.virDomain:
    domain = _find(connection, uuid)
    if not domain or not domain.isActive():
        raise DriverError("The guest is off.")
    return domain


def _listening(domain: libvirt.virDomain) -> libvirt.virDomain:
    """The domain, unless its QEMU hangs: each further command to it would hold up a thread for ever."""
    state, _, milliseconds = domain.controlInfo()
    if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds > HUNG_SECONDS * 1000:
        raise DriverError(
            f"The guest's QEMU has not answered for {milliseconds // 1000} s; cut its power and start it again."
        )
    return domain


def _destroy(domain: libvirt.virDomain) -> None:
    """The domain does not run."""
    with _tolerated(libvirt.VIR_ERR_OPERATION_INVALID, lambda: not domain.isActive()):
        if domain.isActive():
            domain.destroy()


def _active(connection) -> set[str]:
    return {
        domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    }


@contextlib.contextmanager
def _tolerated(code: int, wanted=lambda: True):
    """Somebody else was faster: an error of this code is none if what was wanted is so."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != code or not wanted():
            raise
