"""Is it really ready? Each check is `await check(children, pid)`: true, or false for "not yet"."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from cloudpanel import config
from cloudpanel.platform.children import Children
from cloudpanel.platform.listen import listen_address

Check = Callable[[Children, int], Awaitable[bool]]
PATIENCE = 5  # s for one question


def succeeds(*argv: str, says: str = "") -> Check:
    """The command ends with 0 and its output contains `says`."""

    async def check(children: Children, pid: int) -> bool:
        code, output = await children.call(list(argv), PATIENCE + 1)
        return code == 0 and says in output

    return check


def wrote_pid(name: str) -> Check:
    """The process has itself written its pid to var/run/NAME.ready, which it does once it serves."""

    async def check(children: Children, pid: int) -> bool:
        try:
            return int((config.RUN / f"{name}.ready").read_text()) == pid
        except (FileNotFoundError, ValueError):
            return False

    return check


async def ended_well(children: Children, pid: int) -> bool:
    """For steps: that they ended with 0 is all there is to know."""
    return True


def listens(path: str) -> Check:
    """Somebody accepts connections on the unix socket, whether or not it answers soon."""

    async def check(children: Children, pid: int) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return False
        writer.close()
        return True

    return check


async def redis_answers(children: Children, pid: int) -> bool:
    answer = await _ask(asyncio.open_unix_connection(config.RUN / "redis.sock"), b"PING\r\nQUIT\r\n")
    return answer.startswith(b"+PONG")


async def portal_answers(children: Children, pid: int) -> bool:
    """/healthz says that database and Redis answer."""
    host, port = listen_address()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    request = f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    head, _, body = (await _ask(asyncio.open_connection(host, port), request)).partition(b"\r\n\r\n")
    return b" 200 " in head.partition(b"\r\n")[0] and json.loads(body).get("status") == "ok"


def all_of(*checks: Check) -> Check:
    async def check(children: Children, pid: int) -> bool:
        for one in checks:
            if not await one(children, pid):
                return False
        return True

    return check


async def _ask(connecting, question: bytes) -> bytes:
    """All that the other side answers before it closes; nothing if it is not there or takes long."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await connecting
            try:
                writer.write(question)
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
