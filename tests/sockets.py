"""A browser's end of a websocket, for tests. (channels.testing needs daphne, which the product does not use.)"""

import asyncio
import json

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):
    """Opens `path` of an ASGI application with these headers (lists of byte pairs)."""

    def __init__(self, application, path: str, headers=()):
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": list(headers),
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self, timeout: float = 2) -> bool:
        """True when the handshake was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(timeout))["type"] == "websocket.accept"

    async def hears(self, timeout: float = 2):
        """The next message; for a close its code."""
        awake = asyncio.create_task(self._stay_awake())
        try:
            message = await self.receive_output(timeout)
        finally:
            awake.cancel()
        return message["code"] if message["type"] == "websocket.close" else json.loads(message["text"])

    async def _stay_awake(self) -> None:
        """The in-memory channel layer does not wake the loop of another thread."""
        while True:
            await asyncio.sleep(0.01)

    async def says(self, message) -> None:
        await self.send_input({"type": "websocket.receive", "text": json.dumps(message)})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(2)
