"""How far the boot of a guest has come, as seen from its host.

What can be trusted: a lease that OVN's own DHCP server handed out, a request to the metadata service, and the guest
agent's connection. A port that is up, or an answer to ARP, says nothing: OVN gives both without the guest.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path

from channels.db import database_sync_to_async
from django.db import DatabaseError

from apps.core.errors import DriverError
from apps.instances.drivers.base import Power
from apps.instances.models import BootStep, Instance
from apps.instances.operations import observe_boot
from apps.networks.models import FixedIP, Status

log = logging.getLogger(__name__)

ADDRESS, METADATA, READY = "address", "metadata", "ready"
SETTLE_SECONDS = 1.0  # from the last thing a guest fetches until its users and keys are made
LEASE = re.compile(rb"DHCPACK ([0-9a-f:]{17}) ([0-9.]+)")


class Boots:
    """Writes down what is seen of boots, without making its caller wait."""

    def __init__(self, host: str):
        self.host = host
        self._tasks: set[asyncio.Task] = set()

    def asked(self, instance: Instance, path: str) -> None:
        """The guest asked the metadata service for `path`."""
        parts = path.split("?")[0].strip("/").split("/")
        if parts[-1] in ("user_data", "user-data"):
            self._note(str(instance.pk), READY, SETTLE_SECONDS)
        elif parts[-1] == "meta_data.json" or "meta-data" in parts:
            self._note(str(instance.pk), METADATA)

    def leased(self, mac: str, address: str) -> None:
        """The DHCP server gave the address to a card of a guest on this host."""
        self.start(self._leased(mac, address))

    def agent_connected(self, instance_id: str) -> None:
        """The guest agent inside answers: everything before it in the boot is done."""
        self._note(instance_id, READY)

    async def follow_leases(self, path: Path) -> None:
        """Read what ovn-controller writes to its log from now on, also after the log is rotated or made."""
        tail = await asyncio.create_subprocess_exec(
            "tail", "--lines=0", "--follow=name", "--retry", f"--pid={os.getpid()}", "--sleep-interval=10", str(path),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async for line in tail.stdout:
                if found := LEASE.search(line):
                    self.leased(found[1].decode(), found[2].decode())
            raise OSError(f"{path} is no longer followed")
        finally:
            with contextlib.suppress(ProcessLookupError):
                tail.kill()
            await tail.wait()

    async def _leased(self, mac: str, address: str) -> None:
        found = await database_sync_to_async(instances_with)(self.host, mac, address)
        if len(found) != 1:
            return  # two networks may hold the same pair; then the metadata request alone can tell
        await self.observe(found[0].pk, ADDRESS)
        if found[0].config_drive:  # it has read all by now, and asks nobody
            await asyncio.sleep(SETTLE_SECONDS)
            await self.observe(found[0].pk, READY)

    def _note(self, instance_id: str, step: str, delay: float = 0) -> None:
        async def note():
            await asyncio.sleep(delay)
            await self.observe(instance_id, step)

        self.start(note())

    async def observe(self, instance_id, step: str) -> None:
        """Write down that the step is reached."""
        await database_sync_to_async(observe_boot)(str(instance_id), step)

    def start(self, work: Coroutine) -> None:
        """Let `work` run beside everything else."""
        task = asyncio.create_task(self._logged(work))
        self._tasks.add(task)  # the event loop holds no reference
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work) -> None:
        try:
            await work
        except (DatabaseError, DriverError, TimeoutError) as error:
            log.warning("A boot is not followed to its end: %r", error)


def instances_with(host: str, mac: str, address: str) -> list[Instance]:
    """The instances on `host` that have the address on a card with that MAC address."""
    rows = FixedIP.objects.filter(address=address, port__mac_address=mac, port__host=host)
    rows = rows.exclude(port__status=Status.DELETING).values_list("port__device_id", flat=True)
    return list(Instance.objects.filter(pk__in=[device for device in rows if device]))


class SimulatedBoots:
    """Guests of the fake hypervisor boot as well: a second after they run, they are ready."""

    STEPS = ((0.4, ADDRESS), (0.2, METADATA), (0.4, READY))  # seconds after the one before
    PATIENCE = 60  # s that an instance may take until its guest runs

    def __init__(self, host: str, driver, boots: Boots):
        self.host, self.driver, self.boots = host, driver, boots
        self.changed = asyncio.Event()  # set by whoever starts an instance here
        self._booting: set[str] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        while True:
            self.changed.clear()
            for instance_id in await database_sync_to_async(booting)(self.host):
                if instance_id not in self._booting:
                    self._booting.add(instance_id)
                    self.boots.start(self._boot(instance_id))
            ready()
            await self.changed.wait()

    async def _boot(self, instance_id: str) -> None:
        try:
            async with asyncio.timeout(self.PATIENCE):
                while (await asyncio.to_thread(self.driver.state, instance_id)).power != Power.RUNNING:
                    await asyncio.sleep(0.1)
            for seconds, step in self.STEPS:
                await asyncio.sleep(seconds)
                await self.boots.observe(instance_id, step)
        finally:
            self._booting.discard(instance_id)


def booting(host: str) -> list[str]:
    """Ids of the instances on `host` that are on their way up."""
    away = (Instance.Status.SHUTOFF, Instance.Status.ERROR, Instance.Status.DELETING, Instance.Status.DELETED)
    done = BootStep.objects.filter(step=READY).values("instance_id")
    rows = Instance.objects.filter(host__name=host).exclude(status__in=away).exclude(pk__in=done)
    return [str(pk) for pk in rows.values_list("pk", flat=True)]
