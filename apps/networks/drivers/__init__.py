"""The network engine of this process: `network()`; which one is `CLOUDPANEL_NETWORK`."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache

from apps.networks.drivers.base import NetworkDriver
from cloudpanel import config

_used: list[NetworkDriver] = []
_lock = threading.Lock()


def network() -> NetworkDriver:
    """One a process; it connects when first used, also after a fork."""
    if _used:
        return _used[-1]
    with _lock:
        return _configured()


@contextmanager
def use(driver: NetworkDriver) -> Iterator[NetworkDriver]:
    """`network()` is `driver` meanwhile, in every thread."""
    _used.append(driver)
    try:
        yield driver
    finally:
        _used.remove(driver)


async def watch(callback: Callable[[str, bool], Awaitable[None]]) -> None:
    """Await `callback(port id, up)` for each port now and at every change, until cancelled.

    The fake engine has no events: its ports are up at once.
    """
    if config.NETWORK == "fake":
        await asyncio.Event().wait()
    from apps.networks.drivers import ovn  # the fake runs where OVN's libraries may not

    await ovn.watch(config.OVN_NB, callback)


@cache
def _configured() -> NetworkDriver:
    if config.NETWORK == "fake":
        from apps.networks.drivers.fake import FakeNetwork

        return FakeNetwork(config.STATE / "fake")
    from apps.networks.drivers.ovn import OvnDriver

    return OvnDriver(config.OVN_NB, config.OVN_SB)
