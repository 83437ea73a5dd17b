"""Guests that start, stop or crash without having been told to: their instances' rows are marked."""

import asyncio
import logging
from collections.abc import Callable

from channels.db import database_sync_to_async

from apps.core.lifecycle import mark
from apps.instances.drivers import watch
from apps.instances.drivers.base import ComputeDriver, Power
from apps.instances.models import Instance

log = logging.getLogger(__name__)

AGENT_CONNECTED = "agent-connected"
TELLING = ("started", "stopped", "crashed", "undefined")  # a guest's power may have changed
RESTING = {Instance.Status.ACTIVE: Power.RUNNING, Instance.Status.SHUTOFF: Power.OFF}


class Guests:
    def __init__(self, host: str, driver: ComputeDriver, agent_connected: Callable[[str], None]):
        self.host, self.driver, self.agent_connected = host, driver, agent_connected

    async def run(self, ready: Callable[[], None]) -> None:
        """Until cancelled. After each connect everything is compared, because events may have been missed."""

        async def happened(uuid: str, event: str) -> None:
            if not uuid:
                await self._compare()
                ready()
            elif event == AGENT_CONNECTED:
                self.agent_connected(uuid)
            elif event in TELLING:
                await database_sync_to_async(mark_one)(uuid)

        await watch(self.host, happened)

    async def _compare(self) -> None:
        # A dead plug with the logical port of a live one takes the port down: none may be left when guests start.
        await asyncio.to_thread(self.driver.sweep_stale_ports)
        states = await asyncio.to_thread(self.driver.states)
        differing = await database_sync_to_async(mark_differing)(self.host, {s.uuid: s.power for s in states})
        if differing:
            log.info("%d instances are not as their rows say; looking at them", differing)


def mark_one(uuid: str) -> None:
    """The instance's reconciler looks at it; a guest that is no instance's is passed over."""
    instance = (
        Instance.objects.exclude(status=Instance.Status.DELETED)
        .select_related("host")
        .filter(pk=uuid)
        .first()
    )
    if instance is not None:
        mark(instance)


def mark_differing(host: str, powers: dict[str, Power]) -> int:
    """Mark each instance of `host` whose guest is not what its resting status says; returns how many."""
    differing = 0
    for instance in Instance.objects.filter(host__name=host, status__in=RESTING).select_related("host"):
        power = powers.get(str(instance.pk), Power.ABSENT)
        on = power in (Power.RUNNING, Power.PAUSED)
        if on != (instance.status == Instance.Status.ACTIVE):
            mark(instance)
            differing += 1
    return differing
