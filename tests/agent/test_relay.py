"""The line between portal and agent."""

import asyncio
import contextlib
import json
import socket

import pytest

from apps.core.errors import DriverError
from apps.hosts import relay
from apps.hosts.models import Host


def portal_and_agent(place, operations, portal):
    """`portal(host)` in a thread against an agent with these operations."""

    async def scenario():
        async with await relay.serve(place / "agent.sock", operations):
            return await asyncio.to_thread(portal, Host(name="hv1", agent_address=f"unix:{place}/agent.sock"))

    return asyncio.run(scenario())


def test_a_log_follows_the_answer(tmp_path):
    async def log(request):
        return b"x" * request["bytes"] + request["instance"].encode()

    answer = portal_and_agent(tmp_path, {"log": log}, lambda host: relay.console_log(host, "i", 300_000))
    assert answer == b"x" * 300_000 + b"i"


def test_what_the_hypervisor_refuses_is_told_with_its_hop(tmp_path):
    async def log(request):
        raise DriverError("the guest is off.")

    with pytest.raises(relay.HopError) as refusal:
        portal_and_agent(tmp_path, {"log": log}, lambda host: relay.console_log(host, "i", 10))
    assert (refusal.value.message, refusal.value.status) == ("Host to QEMU: the guest is off.", 503)


def test_an_agent_that_fails_is_no_reason_to_fail(tmp_path):
    relay.networks_changed(Host(name="hv1"))
    relay.networks_changed(Host(name="hv1", agent_address=f"unix:{tmp_path}/nobody"))


def test_a_socket_that_was_left_behind_is_replaced(tmp_path):
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "agent.sock"))

    async def ping(request):
        return None

    portal_and_agent(tmp_path, {"ping": ping}, relay.ping)


def test_an_agent_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(relay, "ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "agent.sock"))
        silent.listen()
        host = Host(name="hv1", agent_address=f"unix:{tmp_path}/agent.sock")
        with pytest.raises(relay.HopError, match="does not answer"):
            relay.ping(host)
        with pytest.raises(relay.HopError, match="does not answer"):
            asyncio.run(relay.open_console(host, "screen", "i"))


def test_who_waits_for_a_slow_reader_keeps_little(tmp_path):
    """A guest that floods is held up by a browser that does not read."""
    ours, guest = socket.socketpair()
    guest.setblocking(False)

    async def scenario():
        async def screen(request):
            return ours

        async with await relay.serve(tmp_path / "agent.sock", {"screen": screen}):
            host = Host(name="hv1", agent_address=f"unix:{tmp_path}/agent.sock")
            reader, writer = await relay.open_console(host, "screen", "x")
            loop = asyncio.get_running_loop()
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 64 << 20:
                    async with asyncio.timeout(0.3):
                        await loop.sock_sendall(guest, bytes(1 << 16))
                    sent += 1 << 16
            assert sent < 4 << 20
            got = 0
            while got < sent:
                got += len(await reader.read(1 << 16))
            writer.close()

    asyncio.run(scenario())
    guest.close()


def test_unknown_requests_are_refused_and_the_socket_is_private(tmp_path):
    async def scenario():
        async with await relay.serve(tmp_path / "agent.sock", {}):
            assert (tmp_path / "agent.sock").stat().st_mode & 0o777 == 0o600
            for line in (b"no json\n", b"{}\n", b"[]\n", json.dumps({"op": "x"}).encode() + b"\n"):
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "agent.sock"))
                writer.write(line)
                assert b"error" in await reader.read()
                writer.close()

    asyncio.run(scenario())
