"""The websocket of a console: what the guest's screen or serial line sends and hears, in binary frames.

Open `/ws/console` with the subprotocols `binary` and `ticket.<ticket>`; the ticket stays out of the URL, and so out of
every access log. `new WebSocket(url, ["binary", "ticket." + ticket])` can be given to noVNC's RFB instead of a URL.
Clients that know nothing but the console's URL may open a websocket on that (`/console/novnc?token=...`).

The server accepts with `binary` whatever the ticket is worth, because a refused handshake has no code that a page
could read. Every frame, both ways, is binary and holds raw bytes: RFB without authentication for a screen, the bytes of
the terminal for a serial line. The socket is closed with one of these codes, and with a reason for people that begins
with the hop that failed:

| code | hop | meaning |
|---|---|---|
| 4401 | browser to portal | the ticket was used, is older than 60 s, or never was one: get another |
| 4403 | browser to portal | who asked for the ticket may not (or no longer) see this console |
| 4503 | browser to portal | the portal cannot check the ticket now: get another |
| 4502 | portal to host | the agent of the host does not answer, or went away |
| 4504 | host to QEMU | the guest is off, or its host's hypervisor does not answer |
| 4410 | host to QEMU | an open console ended: guest stopped or deleted, or its serial line opened elsewhere |

After 4401, 4403 and 4410 trying again by oneself makes no sense before the instance's status changes or the person asks.
"""

import asyncio
import contextlib
import logging
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.urls import path

from apps.core import events
from apps.core.errors import CloudError, NotFound, Unavailable
from apps.core.policy import enforce
from apps.hosts import relay
from apps.instances import consoles
from apps.instances.models import Instance

log = logging.getLogger(__name__)

SPENT, REFUSED, GUEST_ENDED, NO_AGENT, NO_CACHE, NO_GUEST = 4401, 4403, 4410, 4502, 4503, 4504
HOPS = {relay.PORTAL_TO_HOST: NO_AGENT, relay.HOST_TO_QEMU: NO_GUEST}

PREFIX = "ticket."
RECHECK = 60  # s between looks whether the holder of an open console still may have it
PATIENCE = 30  # s that a guest may leave its input unread
REASON = 123  # octets that fit in a close frame


class ConsoleConsumer(AsyncWebsocketConsumer):
    """One console in one browser. Bytes are read from one side only when the other side has taken the earlier ones."""

    channel_layer_alias = None  # no group messages: an open console outlives Redis

    writer: asyncio.StreamWriter | None = None
    task: asyncio.Task | None = None
    ended = False

    async def connect(self):
        offered = self.scope["subprotocols"]
        await self.accept("binary" if "binary" in offered else None)
        try:
            self.ticket = await database_sync_to_async(consoles.spend)(self._shown(offered))
            if self.ticket is None:
                return await self.hang_up(
                    SPENT,
                    "Browser to portal: this link was used, or is older than a minute. Open the console again.",
                )
            instance = await database_sync_to_async(admit)(self.ticket)
            self.host = instance.host
            self.reader, self.writer = await relay.open_console(
                self.host, self.ticket["kind"], str(instance.pk)
            )
        except relay.HopError as error:
            await self.hang_up(HOPS[error.hop], error.message)
        except Unavailable as error:
            await self.hang_up(NO_CACHE, error.message)
        except CloudError as error:
            await self.hang_up(REFUSED, f"Browser to portal: {error.message}")
        except DatabaseError as error:
            log.warning("Console not opened: %s", error)
            await self.hang_up(NO_CACHE, "Browser to portal: the portal's database does not answer now.")
        else:
            self.task = asyncio.create_task(self.run())

    def _shown(self, offered: list[str]) -> str:
        for protocol in offered:
            if protocol.startswith(PREFIX):
                return protocol.removeprefix(PREFIX)
        return parse_qs(self.scope["query_string"].decode(errors="replace")).get("token", [""])[0]

    async def dispatch(self, message):
        if (
            message["type"] == "websocket.receive"
        ):  # not through a thread for each key, as the base class does
            await self.websocket_receive(message)
        else:
            await super().dispatch(message)

    async def receive(self, text_data=None, bytes_data=None):
        """To the guest; the next frame is taken when these bytes have gone."""
        if self.writer is None:
            return
        self.writer.write(bytes_data if bytes_data is not None else text_data.encode())
        try:
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()
        except TimeoutError:
            await self.hang_up(NO_GUEST, f"Host to QEMU: the guest has read no input for {PATIENCE} s.")
        except OSError:
            pass  # the end is told by `run`, which reads it

    async def run(self):
        """From the guest, until an end; now and then the holder's rights are looked at again."""
        carry = asyncio.create_task(self.carry())
        try:
            while not (await asyncio.wait({carry}, timeout=RECHECK))[0]:
                try:
                    await database_sync_to_async(admit)(self.ticket)
                except CloudError as error:
                    return await self.hang_up(REFUSED, f"Browser to portal: {error.message}")
                except DatabaseError as error:
                    log.warning("Rights to an open console not looked at: %s", error)
            await self.hang_up(*carry.result())
        except OSError:
            pass  # the browser is gone; `disconnect` follows
        finally:
            carry.cancel()

    async def carry(self) -> tuple[int, str]:
        with contextlib.suppress(ConnectionResetError):
            while data := await self.reader.read(relay.CHUNK):
                await self.send(bytes_data=data)
        try:
            await asyncio.to_thread(relay.ping, self.host)
        except relay.HopError as error:
            return HOPS[error.hop], error.message
        return GUEST_ENDED, (
            "Host to QEMU: the console ended. The guest was stopped, or its serial line is open elsewhere."
        )

    async def hang_up(self, code: int, reason: str):
        """Close both sides, once."""
        if self.ended:
            return
        self.ended = True
        if self.writer is not None:
            self.writer.close()
        with contextlib.suppress(OSError):  # the browser was faster
            await self.close(code, reason.encode()[:REASON].decode(errors="ignore"))

    async def disconnect(self, code):
        self.ended = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if self.writer is not None:
            self.writer.transport.abort()  # what the guest has not read by now is for nobody


def admit(ticket: dict) -> Instance:
    """The instance that the ticket is for, if its holder may see its console now; else Forbidden or NotFound."""
    ctx = consoles.holder(ticket)
    if ctx is None:
        raise NotFound("you no longer have a role in this project.")
    instance = Instance.objects.select_related("host").get_for(ctx, ticket["instance"])
    try:
        enforce(ctx, "os_compute_api:os-remote-consoles", instance)
    except CloudError as error:
        events.refused(
            ctx, error, model=instance.kind, action="console", name=str(instance), object_id=instance.pk
        )
        raise
    return instance


# Beside `/ws/live` among the portal's websockets; the second is the console's page as a websocket.
websocket_urls = [
    path("ws/console", ConsoleConsumer.as_asgi()),
    path("console/<str:page>", ConsoleConsumer.as_asgi()),
]
