"""A host's row, as its own agent keeps it: that it is there, and what it has."""

import asyncio
import logging
import time
from collections.abc import Callable

from channels.db import database_sync_to_async
from django.db.models.functions import Now

from apps.core.errors import DriverError
from apps.hosts.models import HEARTBEAT, Host
from cloudpanel import config

log = logging.getLogger(__name__)

INVENTORY_SECONDS = 60


def join(name: str, **values) -> None:
    """The host has a row with `values`; a new one takes instances at once."""
    host, new = Host.objects.get_or_create(name=name, defaults={"cpu_ratio": config.CPU_RATIO, **values})
    if new:
        log.info("Host %s is new in this cloud", name)
        return
    changed = [column for column, value in values.items() if getattr(host, column) != value]
    if changed:
        Host.objects.filter(pk=host.pk).update(**{column: values[column] for column in changed})


def beat(name: str) -> None:
    """One UPDATE; by the database's clock, because hosts' clocks differ."""
    Host.objects.filter(name=name).update(seen_at=Now())


async def keep_beating(name: str, inventory: Callable[[], dict], joined: Callable[[], None]) -> None:
    """Every 10 s the row says that the host is there, and each minute what it has.

    `inventory()` gives the columns, in a thread; a hypervisor that does not answer is asked again at the next beat.
    `joined` is called at the first answer that is written.
    """
    asked = 0.0  # when the inventory was last written, of time.monotonic()
    complained = False
    while True:
        if not asked or time.monotonic() - asked >= INVENTORY_SECONDS:
            try:
                values = await asyncio.to_thread(inventory)
            except DriverError as error:
                if not complained:
                    log.warning("The hypervisor cannot be asked what it has: %s", error)
                complained = True
            else:
                await database_sync_to_async(join)(name, **values)
                asked, complained = time.monotonic(), False
                joined()
        await database_sync_to_async(beat)(name)
        await asyncio.sleep(HEARTBEAT.total_seconds())
