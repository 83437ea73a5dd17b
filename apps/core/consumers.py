"""Websockets: who may open one, and the one that tells open pages what changed."""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Callable
from importlib import import_module
from urllib.parse import urlsplit

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import parse_cookie
from django.http.request import validate_host
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from apps.core.context import Context
from apps.core.live import ADMIN_GROUP, project_group, user_group

log = logging.getLogger(__name__)

ENDED = 4401  # the log-in ended: the page goes to the log-in form
AGAIN = 1013  # connect again and fetch everything anew
HEARTBEAT = 15  # s; a page that hears nothing for two of them has lost its socket
PATIENCE = 3  # s that Redis may take to confirm a subscription
RECHECK = 60  # s between looks at the session, for what nobody told us


def _headers(scope) -> dict[str, str]:
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}


class SameOrigin:
    """Refuses a websocket that a page of another origin opens, and one for a host that is not ours.

    Browsers send cookies with websockets to any origin and always say from which page; what sends no Origin is
    no browser and has no cookies of a person.
    """

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        headers = _headers(scope)
        hosts = {headers.get("host", ""), headers.get("x-forwarded-host", "").split(",")[0].strip()} - {""}
        origin = headers.get("origin")
        same = origin is None or urlsplit(origin).netloc in hosts
        allowed = all(validate_host(host.rsplit(":", 1)[0], settings.ALLOWED_HOSTS) for host in hosts)
        if same and allowed and hosts:
            return await self.inner(scope, receive, send)
        return await refuse(scope, receive, send)


async def refuse(scope, receive, send, code: int = 1008):
    """The answer to a handshake for nothing: HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": code})


class WithSession:
    """scope["who"]() says who the browser's session is now: a Context, or None when there is no (valid) log-in.

    `context_of` makes a Context or None from a session.
    """

    def __init__(self, inner, context_of: Callable):
        self.inner = inner
        self.context_of = context_of

    async def __call__(self, scope, receive, send):
        cookies = parse_cookie(_headers(scope).get("cookie", ""))
        key = cookies.get(settings.SESSION_COOKIE_NAME)
        store = import_module(settings.SESSION_ENGINE).SessionStore

        def look() -> Context | None:
            return self.context_of(store(key)) if key else None

        return await self.inner({**scope, "who": database_sync_to_async(look)}, receive, send)


class LiveConsumer(AsyncWebsocketConsumer):
    """Tells the pages of one session what changed in its project: `{"type": "changed", "model", "id", ...}`.

    Also `{"type": "beat"}` every 15 s. Messages may be lost: when Redis goes away the socket is closed, and a
    page fetches everything visible after each connect.
    """

    ctx: Context | None = None
    heart: asyncio.Task | None = None
    is_open = False  # between the handshake and our close
    closing = False

    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        except (
            RedisError,
            OSError,
            AttributeError,
            RuntimeError,
        ) as error:  # the last two: of a breaking connection
            log.warning("Live updates: Redis does not answer: %r", error)
            with contextlib.suppress(RuntimeError, OSError):  # closed already
                await send({"type": "websocket.close", "code": AGAIN})

    async def dispatch(self, message):
        """Without the base class's visit to a database thread before each message."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self):
        self.ctx = await self.scope["who"]()
        if self.ctx is None:
            await self.accept()  # a refused handshake has no code that the page could read
            await self.close(ENDED)
            return
        await lifeline.hold(self)
        self.groups = [project_group(self.ctx.project_id), user_group(self.ctx.user_id)]
        if self.ctx.is_admin:
            self.groups.append(ADMIN_GROUP)
        for group in self.groups:
            await self.channel_layer.group_add(group, self.channel_name)
        # The layer does not say whether Redis heard that: a message that comes back does.
        await self.channel_layer.send(self.channel_name, {"type": "subscribed"})
        self.heart = asyncio.create_task(self.give_up())

    async def give_up(self):
        await asyncio.sleep(PATIENCE)
        await self.close(AGAIN)

    async def subscribed(self, message):
        self.heart.cancel()
        if self.closing:
            return
        await self.accept()
        self.is_open = True
        self.heart = asyncio.create_task(self.beat())

    async def disconnect(self, code):
        lifeline.release(self)
        if self.heart:
            self.heart.cancel()

    async def close(self, code=None, reason=None):
        if not self.closing:
            self.closing, self.is_open = True, False
            await super().close(code, reason)

    async def beat(self):
        checked = time.monotonic()
        with contextlib.suppress(RuntimeError, OSError):  # the browser left while we wrote
            while self.is_open:
                await self.send('{"type":"beat"}')
                await asyncio.sleep(HEARTBEAT)
                if time.monotonic() - checked > RECHECK:
                    checked = time.monotonic()
                    await self.check()

    async def check(self, message=None):
        """Close if the log-in has ended, or counts for another project or role than when the socket was opened."""
        now = await self.scope["who"]()
        if now is None:
            await self.close(ENDED)
        elif (now.project_id, now.roles) != (self.ctx.project_id, self.ctx.roles):
            await self.close(AGAIN)

    async def changed(self, message):
        if self.is_open:  # earlier ones tell nothing: the page fetches everything once it is open
            await self.send(json.dumps(message["payload"]))


class Lifeline:
    """Knows when this process loses Redis, and closes its live sockets then.

    The channel layer connects again by itself and says nothing about what it missed, so this holds a
    connection of its own to the same server: when that breaks, messages may have been lost.
    """

    def __init__(self):
        self.sockets: set[LiveConsumer] = set()
        self.task: asyncio.Task | None = None
        self.lock = asyncio.Lock()

    async def hold(self, socket: LiveConsumer) -> None:
        """From now on `socket` is closed when Redis is lost. RedisError or OSError when it is not there."""
        hosts = settings.CHANNEL_LAYERS["default"].get("CONFIG", {}).get("hosts", [])
        async with self.lock:
            if hosts and (self.task is None or self.task.done()):
                pool = aioredis.ConnectionPool.from_url(hosts[0])
                connection = await pool.get_connection()
                await connection.send_command("PING")
                await connection.read_response()
                self.task = asyncio.create_task(self.watch(connection))
        self.sockets.add(socket)

    def release(self, socket: LiveConsumer) -> None:
        self.sockets.discard(socket)

    async def watch(self, connection) -> None:
        """Returns when the connection broke and the sockets are closed; the next socket starts it anew."""
        try:
            await connection.send_command("BLPOP", "cp.lifeline", 0)  # nobody ever puts anything there
            await connection.read_response(timeout=math.inf)
        except (RedisError, OSError) as error:
            log.warning("Redis is gone, pages will connect again: %s", error)
        finally:
            await connection.disconnect()
        for socket in list(self.sockets):
            await socket.close(AGAIN)


lifeline = Lifeline()
