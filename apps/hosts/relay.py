"""The line between the portal and a host's agent: one request, one answer, then the raw bytes of a console.

Request and answer are one JSON object in one line each: `{"op": "screen", "instance": uuid}`, then `{"ok": true}` or
`{"error": why}`. What follows an answer that is ok depends on the operation: the bytes of a console both ways, the
bytes of a log, or nothing. The agent listens on a unix socket that its host's row names.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from apps.core.errors import DriverError, Unavailable
from apps.hosts.models import Host
from apps.hosts.streams import StreamServer

log = logging.getLogger(__name__)

PORTAL_TO_HOST = "portal to host"
HOST_TO_QEMU = "host to QEMU"

CONNECT_SECONDS = 2
ANSWER_SECONDS = 10
CHUNK = 64 << 10  # octets; what each end of a console keeps at most for a reader that is slow
LINE = 4 << 10  # octets of a request or an answer

Operation = Callable[[dict], Awaitable[bytes | socket.socket | None]]


class HopError(Unavailable):
    """A console or a log cannot be had; `hop` says on which part of the way, "portal to host" or "host to QEMU"."""

    def __init__(self, hop: str, why: str):
        super().__init__(f"{hop[:1].upper()}{hop[1:]}: {why}")
        self.hop = hop


# The portal's end


async def open_console(
    host: Host, kind: str, instance_id: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The guest's `kind` of console ("screen": RFB, "serial": text). HopError when there is none to be had."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(_path(host), limit=CHUNK)
    except (OSError, TimeoutError) as error:
        raise _silent(host, error) from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(_line({"op": kind, "instance": str(instance_id)}))
            _check(host, await reader.readline())
    except (OSError, TimeoutError) as error:
        writer.close()
        raise _silent(host, error) from error
    except BaseException:
        writer.close()
        raise
    return reader, writer


def console_log(host: Host, instance_id: str, max_bytes: int) -> bytes:
    """The last `max_bytes` of what the guest wrote to its serial line. HopError when the host cannot be asked."""
    return _ask(host, {"op": "log", "instance": str(instance_id), "bytes": max_bytes})


def ping(host: Host) -> None:
    """Return when the agent answers; HopError when it does not."""
    _ask(host, {"op": "ping"})


def networks_changed(host: Host) -> None:
    """The agent looks which networks have instances on its host. One that does not answer looks when it is back."""
    try:
        _ask(host, {"op": "networks"})
    except HopError as error:
        log.warning("Metadata service not told of networks: %s", error)


def _ask(host: Host, request: dict) -> bytes:
    """What follows the answer to a request that is not a console."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(CONNECT_SECONDS)
            line.connect(_path(host))
            line.settimeout(ANSWER_SECONDS)
            line.sendall(_line(request))
            with line.makefile("rb") as answer:
                _check(host, answer.readline(LINE))
                return answer.read()
    except OSError as error:
        raise _silent(host, error) from error


def _path(host: Host) -> str:
    kind, _, path = host.agent_address.partition(":")
    if kind != "unix":
        raise HopError(PORTAL_TO_HOST, f"the agent of host {host.name} has not been started yet.")
    return path


def _line(message: dict) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _check(host: Host, answer: bytes) -> None:
    try:
        message = json.loads(answer)
    except ValueError:
        raise HopError(PORTAL_TO_HOST, f"the agent of host {host.name} ended before it answered.") from None
    if not message.get("ok"):
        raise HopError(HOST_TO_QEMU, message.get("error", "no reason given."))


def _silent(host: Host, error: Exception) -> HopError:
    log.warning("Agent of host %s: %r", host.name, error)
    return HopError(PORTAL_TO_HOST, f"the agent of host {host.name} does not answer.")


# The agent's end


async def serve(path: Path, operations: dict[str, Operation]) -> StreamServer:
    """Answer requests on a unix socket at `path`, which belongs to whom its directory belongs to.

    An operation returns None, the bytes that follow the answer, or a connected socket whose bytes then pass both ways.
    Its DriverError is told to the asker.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await reader.readline()
        with _result(await _perform(operations, line)) as (reply, tail):
            writer.write(_line(reply))
            if isinstance(tail, socket.socket):
                await _join(reader, writer, tail)
            elif tail:
                writer.write(tail)
            await writer.drain()

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    return await StreamServer(answer, limit=CHUNK).start(listener)


async def _perform(
    operations: dict[str, Operation], line: bytes
) -> tuple[dict, bytes | socket.socket | None]:
    try:
        request = json.loads(line)
        operation = operations[request["op"]]
    except (ValueError, KeyError, TypeError):
        return {"error": "the agent does not know this request."}, None
    try:
        return {"ok": True}, await operation(request)
    except DriverError as error:
        return {"error": str(error)}, None


@contextlib.contextmanager
def _result(result):
    """The result of an operation; a socket in it is closed afterwards, whatever happens."""
    try:
        yield result
    finally:
        if isinstance(result[1], socket.socket):
            result[1].close()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: socket.socket) -> None:
    """Carry bytes both ways until one side ends. A side that does not read holds up the other."""
    guest_reader, guest_writer = await asyncio.open_connection(sock=guest, limit=CHUNK)
    ways = [
        asyncio.create_task(_carry(reader, guest_writer)),
        asyncio.create_task(_carry(guest_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        guest_writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
