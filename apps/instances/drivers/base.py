"""The seam between CloudPanel and a hypervisor: plain data in, plain data out, no ORM, no settings."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Power(StrEnum):
    """What a guest is doing, as the hypervisor sees it."""

    ABSENT = "absent"
    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"
    CRASHED = "crashed"  # off, because the hypervisor's process died


@dataclass(frozen=True)
class Nic:
    """One network card. `port` is the uuid of the logical switch port it is plugged into."""

    port: str
    mac: str
    mtu: int = 1442


@dataclass(frozen=True)
class GuestSpec:
    """Everything a hypervisor must know to make a guest; sizes in the unit of the name."""

    uuid: str
    name: str
    project: str
    vcpus: int
    memory_mib: int
    root_gib: int  # 0: as large as the image
    base: str  # id of the image whose data `has_base` is true for
    nics: tuple[Nic, ...] = ()
    config_drive: bytes | None = None  # an ISO 9660 image


@dataclass(frozen=True)
class HostInventory:
    """What a host has in all, and what it is."""

    vcpus: int
    memory_mib: int
    disk_gib: int
    disk_free_gib: int
    hypervisor: str  # "QEMU", "fake"
    hypervisor_version: str  # "7.2.22"
    cpu_model: str
    virt_type: str  # "kvm", "qemu" (software emulation), "fake"


@dataclass(frozen=True)
class GuestState:
    uuid: str
    power: Power
    reason: str = ""  # why it is off: "shutdown", "crashed", "destroyed", "" when unknown


@dataclass
class Leftovers:
    """What a host holds that carries our mark: uuids of guests, ids of disks and of base images."""

    guests: set[str] = field(default_factory=set)
    disks: set[str] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)


class ComputeDriver(Protocol):
    """One hypervisor host.

    Every `ensure_` verb may be repeated at any time, also after a crash in the middle of an earlier
    call: doing it twice is the same as doing it once. Failures are `DriverError`, with `permanent`
    true when trying again cannot help. No call blocks for longer than about 30 s, except
    `ensure_base`, which copies.
    """

    def inventory(self) -> HostInventory: ...

    # Base images: the host's cache of image data
    def has_base(self, image: str) -> bool:
        """Is the image's data complete in this host's cache?"""

    def ensure_base(self, image: str, source: str, disk_format: str, sha512: str, progress=None) -> None:
        """Fill the cache from the local file `source`; `sha512` (hex) is verified. `progress(0..100)` is called."""

    def ensure_no_base(self, image: str) -> None:
        """Drop cached data; absent is success. DriverError when a disk still stands on it."""

    # Guests
    def ensure_disk(self, spec: GuestSpec) -> None:
        """The guest has a root disk (a copy-on-write overlay of its base) of its size, and its config drive if any."""

    def ensure_guest(self, spec: GuestSpec) -> None:
        """The guest is defined as specified and running. Its disk exists. A paused guest is resumed."""

    def ensure_nics(self, uuid: str, nics: tuple[Nic, ...]) -> None:
        """The guest, running or not, has exactly these cards; an absent guest is success.

        A running guest must let go of a card: DriverError when it has not within 10 s. It loses the card when
        it is stopped in any case.
        """

    def ensure_stopped(self, uuid: str, *, hard: bool) -> bool:
        """True once the guest is off. `hard` cuts the power; else the guest is asked (ACPI) and False means: not yet."""

    def ensure_no_guest(self, uuid: str) -> None:
        """No domain, no disk, no config drive, no console log, no port plug of the guest is left; absent is success."""

    def state(self, uuid: str) -> GuestState:
        """Cheap: one hypervisor call."""

    def states(self) -> list[GuestState]:
        """All guests that carry our mark."""

    def leftovers(self) -> Leftovers: ...

    def sweep_stale_ports(self) -> None:
        """Take away port plugs that a crash of the host left and no guest uses; for the start of a host's agent."""

    def trim_console_logs(self) -> None:
        """No guest's serial output takes much of the host's disk; called every minute, it drops what is old."""

    # Consoles; the host agent alone uses these
    def console_log(self, uuid: str, max_bytes: int) -> bytes:
        """The last `max_bytes` of the guest's serial output; empty when there is none."""

    def open_screen(self, uuid: str) -> int:
        """A connected socket (file descriptor) that speaks RFB without authentication. DriverError when the guest is off."""

    def open_serial(self, uuid: str) -> int:
        """A connected socket or pty (file descriptor), raw bytes both ways; a previous holder is disconnected."""
