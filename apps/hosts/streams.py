"""A server of connections that ends together with them."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

GOODBYE_SECONDS = 1.0  # that a conversation has to notice that its connection was closed


class StreamServer:
    """Each connection on `listening` is a conversation, `converse(reader, writer)`; its OSErrors end only itself."""

    def __init__(
        self,
        converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        *,
        limit: int,
        most: int = 0,
    ):
        """`limit`: octets kept for a conversation that does not read; `most`: at once, 0 for any number."""
        self._converse, self._limit, self._most = converse, limit, most
        self._open: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> "StreamServer":
        if listening.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._connected, sock=listening, limit=self._limit)
        else:
            self._server = await asyncio.start_server(self._connected, sock=listening, limit=self._limit)
        return self

    async def __aenter__(self) -> "StreamServer":
        return self

    async def __aexit__(self, *exc) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing listens and every conversation has ended."""
        self._server.close()
        for writer in self._open.values():
            writer.close()
        if self._open:
            await asyncio.wait(list(self._open), timeout=GOODBYE_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open[task] = writer
        try:
            if not self._most or len(self._open) <= self._most:
                with contextlib.suppress(OSError, TimeoutError):
                    await self._converse(reader, writer)
        finally:
            del self._open[task]
            writer.close()
