"""What happens to guests, told to a coroutine."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import libvirt

from apps.instances.drivers.libvirt_driver.connection import open_connection
from apps.instances.drivers.libvirt_driver.domain import is_ours

log = logging.getLogger(__name__)

LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: "defined",
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "undefined",
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "pmsuspended",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
AGENT = {
    libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED: "agent-connected",
    libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED: "agent-disconnected",
}
RETRY_SECONDS = 0.2, 2.0
OPEN_SECONDS = 10
TAKEN_BACK_SECONDS = 5


async def watch(uri: str, callback: Callable[[str, str], Awaitable[None]]) -> None:
    """Await `callback(uuid, event)` for each event of our guests, in order; never returns.

    Events are the words of `LIFECYCLE` and `AGENT`. `callback("", "connected")` comes on each connection,
    also after libvirtd was gone: what happened before it is not told, so the callback should look at all
    guests then. It comes once more `TAKEN_BACK_SECONDS` later: a new libvirtd answers before it has taken
    its guests back, and tells nothing of one that ended in between.
    """
    pause = RETRY_SECONDS[0]
    while True:
        told: asyncio.Queue = asyncio.Queue()
        connection = await _connect(uri, told)
        if not connection:
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS[1])
            continue
        pause = RETRY_SECONDS[0]
        log.info("Watching guests at %s.", uri)
        again = asyncio.get_running_loop().call_later(TAKEN_BACK_SECONDS, told.put_nowait, ("", "connected"))
        try:
            await callback("", "connected")
            while (event := await told.get()) is not None:
                await callback(*event)
        finally:
            again.cancel()
            await asyncio.to_thread(_disconnect, connection)
        log.warning("The connection to %s is lost; opening it again.", uri)


async def _connect(uri: str, told: asyncio.Queue) -> libvirt.virConnect | None:
    """A connection that puts (uuid, event) into `told`, and None once it is lost; None if there is none."""
    loop = asyncio.get_running_loop()

    def tell(event):  # in libvirt's event thread
        with contextlib.suppress(RuntimeError):  # our loop has ended
            loop.call_soon_threadsafe(told.put_nowait, event)

    def lifecycle(connection, domain, event, detail, opaque):
        if is_ours(domain):
            tell((domain.UUIDString(), LIFECYCLE.get(event, str(event))))

    def agent(connection, domain, state, reason, opaque):
        if is_ours(domain):
            tell((domain.UUIDString(), AGENT.get(state, str(state))))

    def connect():
        connection = open_connection(uri)
        connection.registerCloseCallback(lambda connection, reason, opaque: tell(None), None)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, agent, None)
        return connection

    try:
        return await asyncio.wait_for(asyncio.to_thread(connect), OPEN_SECONDS)
    except (libvirt.libvirtError, TimeoutError) as error:
        log.warning("No connection to %s: %s", uri, error)
        return None


def _disconnect(connection: libvirt.virConnect) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        connection.unregisterCloseCallback()
        connection.close()
