"""Port-up events of the northbound database, for asyncio."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ovsdbapp.backend.ovs_idl.connection import Connection, OvsdbIdl

from apps.networks.drivers.ovn.database import connect
from apps.networks.drivers.ovn.rows import owner

log = logging.getLogger(__name__)

COLUMNS = {"Logical_Switch_Port": ["name", "up", "external_ids"]}
PATIENCE = 1.0  # seconds between attempts to reach a database that is not there


async def watch(nb: str, callback: Callable[[str, bool], Awaitable[None]]) -> None:
    """Await `callback(port id, up)` for every port of ours now, and from then on whenever one goes up or down.

    Runs until cancelled or until the callback raises. After a restart of the database the states of all ports are
    told again, so none is missed. An unplugged port is told as down; a removed one is not told.
    """
    changes: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def notice(port: str, up: bool) -> None:
        loop.call_soon_threadsafe(changes.put_nowait, (port, up))

    connection = await _connect(nb, notice)
    try:
        while True:
            await callback(*await changes.get())
    finally:
        await asyncio.to_thread(connection.stop, 5)


async def _connect(nb: str, notice: Callable[[str, bool], None]) -> Connection:
    def idl(*args, **kw):
        return _PortIdl(*args, notice=notice, **kw)

    complained = False
    while True:
        try:
            return await asyncio.to_thread(connect, nb, "OVN_Northbound", COLUMNS, idl)
        except Exception as error:
            if not complained:
                log.warning("%s cannot be reached, trying on: %s", nb, error)
            complained = True
            await asyncio.sleep(PATIENCE)


class _PortIdl(OvsdbIdl):
    """`notice(port id, up)` is called in the connection's thread; the connection reconnects by itself."""

    def __init__(self, *args, notice, **kw):
        super().__init__(*args, **kw)
        self._notice = notice

    def notify(self, event, row, updates=None):
        # `updates` holds the old values of the columns that changed, and is absent for a new row.
        if event != "delete" and (updates is None or hasattr(updates, "up")) and owner(row)[0] == "port":
            self._notice(row.name, row.up == [True])
