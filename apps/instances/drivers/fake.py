"""A hypervisor that exists on paper: no machines, the same contract.

In memory for tests; with a directory, a JSON file there that the processes of a demonstration share.
"""

import hashlib
import time
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from apps.core.errors import DriverError
from apps.core.paper import Paper
from apps.instances.drivers import fake_consoles, imagefile
from apps.instances.drivers.base import GuestSpec, GuestState, HostInventory, Leftovers, Nic, Power

KINDS = ("bases", "disks", "guests")
BOOT_LINES = """\
CloudPanel's fake hypervisor: no machine runs here, and what follows is made up.
Linux version 6.1.0-cloudpanel (nobody@nowhere) #1 SMP PREEMPT_DYNAMIC
Command line: root=/dev/vda1 console=ttyS0
DMI: CloudPanel OpenStack Nova
Memory: {memory_mib}M available
smpboot: Total of {vcpus} processors activated
virtio_blk virtio0: [vda] {root_gib} GiB
virtio_net: {cards} network cards
EXT4-fs (vda1): mounted filesystem with ordered data mode
cloud-init: Datasource DataSourceOpenStackLocal
Reached target multi-user
"""


class FakeDriver(Paper):
    """Knobs and windows for tests.

    `fail_next`: raised by the next `ensure_` verb, once. `boot_seconds`: from the start of a guest to its
    log-in prompt; a guest takes half of it to shut down. `guests`: {uuid: spec and power as a dict}.
    """

    def __init__(self, directory: Path | None = None, boot_seconds: float = 0):
        super().__init__(KINDS, Path(directory) / "compute.json" if directory else None)
        self.boot_seconds = boot_seconds
        self._lines = fake_consoles.SerialLines()

    @property
    def guests(self) -> dict[str, dict]:
        with self._opened() as things:
            return dict(things["guests"])

    def inventory(self) -> HostInventory:
        """A large host on paper: demonstrations and measurements do not end at this machine's size."""
        return HostInventory(
            vcpus=128,
            memory_mib=1 << 20,
            disk_gib=64 << 10,
            disk_free_gib=64 << 10,
            hypervisor="fake",
            hypervisor_version="1.0.0",
            cpu_model="paper",
            virt_type="fake",
        )

    def has_base(self, image: str) -> bool:
        with self._opened() as things:
            return image in things["bases"]

    def ensure_base(self, image: str, source: str, disk_format: str, sha512: str, progress=None) -> None:
        with self._ensured() as things:
            if image in things["bases"]:
                return
            try:
                with open(source, "rb") as data:
                    digest = hashlib.file_digest(data, "sha512").hexdigest()
                if digest != sha512.lower():
                    raise DriverError(
                        f"The data of image {image} does not have the recorded SHA-512.", permanent=True
                    )
                things["bases"][image] = {"size": imagefile.virtual_size(Path(source), disk_format)}
            except OSError as error:
                raise DriverError(f"The image cannot be read: {error}") from error
            if progress:
                progress(100)

    def ensure_no_base(self, image: str) -> None:
        with self._ensured() as things:
            for uuid, disk in things["disks"].items():
                if disk["base"] == image and image in things["bases"]:
                    raise DriverError(f"The disk of guest {uuid} still stands on image {image}.")
            things["bases"].pop(image, None)

    def ensure_disk(self, spec: GuestSpec) -> None:
        with self._ensured() as things:
            if spec.uuid in things["disks"]:
                return
            if spec.base not in things["bases"]:
                raise DriverError(f"Image {spec.base} is not in this host's cache.")
            size = imagefile.root_size(spec.root_gib, things["bases"][spec.base]["size"])
            things["disks"][str(UUID(spec.uuid))] = {"base": spec.base, "size": size}

    def ensure_guest(self, spec: GuestSpec) -> None:
        with self._ensured() as things:
            guest = things["guests"].get(spec.uuid)
            if guest and guest["power"] == Power.RUNNING:
                return
            if spec.uuid not in things["disks"] or spec.base not in things["bases"]:
                raise DriverError(
                    "The guest's disk or its base image is missing on this host.", permanent=True
                )
            things["guests"][spec.uuid] = asdict(spec) | {
                "config_drive": spec.config_drive is not None,
                "power": Power.RUNNING,
                "reason": "",
                "since": time.time(),
                "asked": None,
            }

    def ensure_nics(self, uuid: str, nics: tuple[Nic, ...]) -> None:
        with self._ensured() as things:
            if guest := things["guests"].get(uuid):
                guest["nics"] = [asdict(nic) for nic in nics]

    def ensure_stopped(self, uuid: str, *, hard: bool) -> bool:
        with self._ensured() as things:
            guest = things["guests"].get(uuid)
            if not guest or guest["power"] in (Power.OFF, Power.CRASHED):
                return True
            guest["asked"] = guest["asked"] or time.time()
            if hard or time.time() >= guest["asked"] + self.boot_seconds / 2:
                guest |= {"power": Power.OFF, "reason": "destroyed" if hard else "shutdown", "asked": None}
                return True
            return False

    def ensure_no_guest(self, uuid: str) -> None:
        with self._ensured() as things:
            things["guests"].pop(uuid, None)
            things["disks"].pop(uuid, None)

    def state(self, uuid: str) -> GuestState:
        guest = self.guests.get(uuid)
        if not guest:
            return GuestState(uuid, Power.ABSENT)
        return GuestState(uuid, Power(guest["power"]), guest["reason"])

    def states(self) -> list[GuestState]:
        return [
            GuestState(uuid, Power(guest["power"]), guest["reason"]) for uuid, guest in self.guests.items()
        ]

    def leftovers(self) -> Leftovers:
        with self._opened() as things:
            return Leftovers(*(set(things[kind]) for kind in ("guests", "disks", "bases")))

    def sweep_stale_ports(self) -> None:
        pass  # nothing is plugged in here

    def trim_console_logs(self) -> None:
        pass  # they are made when read

    def console_log(self, uuid: str, max_bytes: int) -> bytes:
        guest = self.guests.get(uuid)
        if not guest:
            return b""
        lines = BOOT_LINES.format(cards=len(guest["nics"]), **guest).splitlines()
        pace = self.boot_seconds / len(lines)
        age = time.time() - guest["since"]
        said = [f"[{n * pace:12.6f}] {line}\r\n" for n, line in enumerate(lines) if n * pace <= age]
        if age >= self.boot_seconds:
            said.append(f"\r\n{guest['name']} login: ")
        return "".join(said).encode()[-max_bytes:] if max_bytes > 0 else b""

    def open_screen(self, uuid: str) -> int:
        guest = self._running(uuid)
        return fake_consoles.open_screen(guest["name"])

    def open_serial(self, uuid: str) -> int:
        guest = self._running(uuid)
        return self._lines.open(uuid, guest["name"])

    def _running(self, uuid: str) -> dict:
        guest = self.guests.get(uuid)
        if not guest or guest["power"] != Power.RUNNING:
            raise DriverError("The guest is off.")
        return guest
