"""The hypervisor driver of this process: `compute()`; which one is `CLOUDPANEL_COMPUTE`."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings

from apps.core.errors import DriverError
from apps.instances.drivers.base import ComputeDriver
from cloudpanel import config

_used: list[ComputeDriver] = []
_lock = threading.Lock()


def compute(host: str) -> ComputeDriver:
    """The driver of the host `host`: one a process, made when first used, also after a fork.

    Only the fake engine knows other hosts than the one we run on.
    """
    if _used:
        return _used[-1]
    if config.COMPUTE != "fake" and host != config.HOST:
        raise DriverError(
            f"Guests of host {host} are the business of its own worker, not of {config.HOST}'s."
        )
    with _lock:
        return _configured(os.getpid())


@contextmanager
def use(driver: ComputeDriver) -> Iterator[ComputeDriver]:
    """`compute()` is `driver` meanwhile, in every thread."""
    _used.append(driver)
    try:
        yield driver
    finally:
        _used.remove(driver)


async def watch(host: str, callback: Callable[[str, str], Awaitable[None]]) -> None:
    """Await `callback(uuid, event)` for what happens to the guests of `host`, until cancelled.

    `callback("", "connected")` means: look at all guests now. Guests of the fake engine do nothing by
    themselves.
    """
    if config.COMPUTE == "fake":
        await callback("", "connected")
        await asyncio.Event().wait()
    from apps.instances.drivers.libvirt_driver import events  # the fake runs where libvirt may not be

    await events.watch(config.LIBVIRT_URI, callback)


@cache
def _configured(pid: int) -> ComputeDriver:
    if config.COMPUTE == "fake":
        from apps.instances.drivers.fake import FakeDriver

        return FakeDriver(config.STATE / "fake")
    from apps.instances.drivers.libvirt_driver import LibvirtDriver

    return LibvirtDriver(
        config.LIBVIRT_URI,
        directory=settings.INSTANCES_DIR,
        cache=settings.INSTANCES_DIR / "_base",
        virt_type=config.VIRT_TYPE,
        ovs_db=config.OVS_DB,
    )
