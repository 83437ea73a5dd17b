"""A small HTTP/1.1 server for many listening sockets on one event loop, for requests of a few octets by hostile guests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from socket import socket

import h11

from apps.hosts.streams import StreamServer

log = logging.getLogger(__name__)

HEAD = 8 << 10  # octets of a request's line and headers
BODY = 2 << 10
IDLE_SECONDS = 10  # for a whole request, and between two on one connection
CONNECTIONS = 64  # at once on one socket


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with its query
    client: str  # IP address
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class _TooLarge(Exception):
    pass


async def serve(listening: socket, answer: Callable[[Request], Awaitable[Response]]) -> StreamServer:
    """Serve HTTP on a listening socket. What `answer` raises becomes 500 and is logged without the request's body."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _converse(reader, writer, answer)

    return await StreamServer(converse, limit=HEAD, most=CONNECTIONS).start(listening)


async def _converse(reader, writer, answer) -> None:
    client = writer.get_extra_info("peername")[0]
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            try:
                request = await _request(http, reader, client)
            except h11.RemoteProtocolError as error:
                return await _send(http, writer, Response(error.error_status_hint), last=True)
            except _TooLarge:
                return await _send(http, writer, Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE), last=True)
        if request is None:
            return
        try:
            response = await answer(request)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            response = Response(HTTPStatus.INTERNAL_SERVER_ERROR)
        async with asyncio.timeout(IDLE_SECONDS):
            await _send(http, writer, response, head_only=request.method == "HEAD")
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return
        http.start_next_cycle()


async def _request(http: h11.Connection, reader: asyncio.StreamReader, client: str) -> Request | None:
    """The next request; None when the guest has no more."""
    head, body = None, b""
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                http.receive_data(await reader.read(HEAD))
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
                if len(body) > BODY:
                    raise _TooLarge
            case h11.EndOfMessage():
                method, path = head.method.decode("ascii"), head.target.decode("ascii")
                return Request(method, path, client, body)
            case _:
                return None  # the connection was closed


async def _send(http, writer, response: Response, *, head_only: bool = False, last: bool = False) -> None:
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    status = HTTPStatus(response.status)
    body = response.body or (b"" if status == HTTPStatus.OK else f"{status.value} {status.phrase}\n".encode())
    headers = [("Content-Type", response.content_type), ("Content-Length", str(len(body)))]
    headers += [("Connection", "close")] if last else []
    head = h11.Response(status_code=status.value, reason=status.phrase.encode(), headers=headers)
    data = http.send(head)
    if not head_only:
        data += http.send(h11.Data(data=body))
    data += http.send(h11.EndOfMessage())
    writer.write(data)
    await writer.drain()
