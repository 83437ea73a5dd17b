"""From the browser's websocket through portal and agent to the (fake) guest, and back."""

import asyncio
import contextlib
import socket

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.routing import URLRouter

from apps.core.errors import Unavailable
from apps.core.models import Event
from apps.hosts.models import Host
from apps.instances import consoles, consumers
from apps.instances.agent.process import Agent
from apps.instances.consumers import websocket_urls
from apps.instances.operations import delete_instance
from apps.projects.models import Assignment
from tests.agent.conftest import one_connection  # noqa: F401


class Browser(ApplicationCommunicator):
    def __init__(self, path: str, ticket: str = ""):
        path, _, query = path.partition("?")
        offered = ["binary", f"ticket.{ticket}"] if ticket else ["binary"]
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [],
            "subprotocols": offered,
        }
        super().__init__(URLRouter(websocket_urls), scope)
        self.heard = b""

    async def connect(self):
        await self.send_input({"type": "websocket.connect"})
        accepted = await self.receive_output(5)
        assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "binary")

    async def type(self, data: bytes):
        await self.send_input({"type": "websocket.receive", "bytes": data})

    async def hears(self, wanted: bytes):
        while wanted not in self.heard:
            message = await self.receive_output(5)
            assert message["type"] == "websocket.send", message
            self.heard += message["bytes"]

    async def ended(self) -> tuple[int, str]:
        """The code and the reason that the socket is closed with; what comes before is dropped."""
        while True:
            message = await self.receive_output(5)
            if message["type"] == "websocket.close":
                return message["code"], message["reason"]

    async def leave(self):
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wait(5)


@contextlib.asynccontextmanager
async def agent_of(host: Host, place):
    """The host's agent, all of it, with its sockets in `place`."""
    agent = Agent(host.name, place / "agent.sock", place / "agent.ready")
    task = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(10):
            while not agent.ready_file.exists():
                await asyncio.sleep(0.01)
        yield agent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def play(scenario):
    """Run it with the database of this thread."""
    async_to_sync(scenario)()


@pytest.fixture
def instance(launch, alice):
    return launch(alice)


def test_the_guests_screen_reaches_the_browser(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            await browser.hears(b"RFB 003.008\n")
            await browser.type(b"RFB 003.008\n")
            await browser.hears(b"\x01\x01")  # one security type: none
            await browser.leave()

    play(scenario)


def test_the_consoles_url_is_a_websocket_too(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser(consoles.page_path("screen", ticket))
            await browser.connect()
            await browser.hears(b"RFB")
            await browser.leave()

    play(scenario)


def test_a_ticket_opens_one_console(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")

    async def scenario():
        async with agent_of(host, tmp_path):
            browsers = [Browser("/ws/console", ticket) for _ in range(2)]
            for browser in browsers:
                await browser.connect()
            await browsers[0].hears(b"RFB")
            code, reason = await browsers[1].ended()
            assert code == 4401
            assert reason.startswith("Browser to portal: this link was used")
            await browsers[0].leave()

    play(scenario)


def test_the_serial_line_is_text_both_ways_for_one_at_a_time(instance, alice, host, tmp_path):
    first, second = (consoles.issue(alice, instance, "serial") for _ in range(2))

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", first)
            await browser.connect()
            await browser.type(b"hello\r")
            await browser.hears(b"hello")
            other = Browser("/ws/console", second)
            await other.connect()
            code, reason = await browser.ended()
            assert code == 4410
            assert reason.startswith("Host to QEMU")
            await other.type(b"again\r")
            await other.hears(b"again")
            await other.leave()

    play(scenario)


def test_rights_that_were_lost_since_are_looked_at_again(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")
    Assignment.objects.filter(user_id=alice.user_id).delete()

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            assert await browser.ended() == (
                4403,
                "Browser to portal: you no longer have a role in this project.",
            )

    play(scenario)


def test_rights_that_are_lost_end_an_open_console(instance, alice, host, tmp_path, monkeypatch):
    ticket = consoles.issue(alice, instance, "screen")
    monkeypatch.setattr(consumers, "RECHECK", 0.05)

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            await browser.hears(b"RFB")
            await sync_to_async(Assignment.objects.filter(user_id=alice.user_id).delete)()
            assert (await browser.ended())[0] == 4403

    play(scenario)


def test_a_guest_that_does_not_read_ends_it(instance, alice, host, tmp_path, hypervisor, monkeypatch):
    ticket = consoles.issue(alice, instance, "screen")
    qemu, screen = socket.socketpair()
    monkeypatch.setattr(hypervisor, "open_screen", lambda uuid: screen.detach())
    monkeypatch.setattr(consumers, "PATIENCE", 0.2)

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            for _ in range(100):
                await browser.type(bytes(1 << 16))
            code, reason = await browser.ended()
            assert (code, reason[:13]) == (4504, "Host to QEMU:")
            await browser.leave()

    play(scenario)
    qemu.close()


def test_a_role_that_may_only_read_leaves_a_trace(instance, alice, host, tmp_path, roles):
    ticket = consoles.issue(alice, instance, "screen")
    Assignment.objects.filter(user_id=alice.user_id).update(role=roles["reader"])

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            assert (await browser.ended())[0] == 4403

    play(scenario)
    assert Event.objects.filter(action="console", outcome="refused", user_name="alice").exists()


def test_a_deleted_instance_is_not_found(instance, alice, host, tmp_path, settle):
    ticket = consoles.issue(alice, instance, "screen")
    delete_instance(alice, instance=instance)
    settle()

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            code, reason = await browser.ended()
            assert (code, "could not be found" in reason) == (4403, True)

    play(scenario)


def test_without_agent_the_hop_is_portal_to_host(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")
    Host.objects.filter(pk=host.pk).update(agent_address=f"unix:{tmp_path}/nobody")

    async def scenario():
        browser = Browser("/ws/console", ticket)
        await browser.connect()
        assert await browser.ended() == (4502, "Portal to host: the agent of host hv1 does not answer.")

    play(scenario)


def test_an_agent_that_dies_is_portal_to_host(instance, alice, host, tmp_path):
    ticket = consoles.issue(alice, instance, "screen")

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            await browser.hears(b"RFB")
        code, reason = await browser.ended()
        assert (code, reason[:15]) == (4502, "Portal to host:")

    play(scenario)


def test_a_guest_that_is_off_is_host_to_qemu(instance, alice, host, tmp_path, hypervisor):
    ticket = consoles.issue(alice, instance, "screen")
    hypervisor.ensure_stopped(str(instance.pk), hard=True)

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            code, reason = await browser.ended()
            assert (code, reason[:13]) == (4504, "Host to QEMU:")

    play(scenario)


def test_an_open_console_ends_with_the_guest(instance, alice, host, tmp_path, hypervisor, monkeypatch):
    ticket = consoles.issue(alice, instance, "screen")
    qemu, screen = socket.socketpair()
    monkeypatch.setattr(hypervisor, "open_screen", lambda uuid: screen.detach())

    async def scenario():
        async with agent_of(host, tmp_path):
            browser = Browser("/ws/console", ticket)
            await browser.connect()
            qemu.sendall(b"the last words")
            qemu.close()
            await browser.hears(b"the last words")
            code, reason = await browser.ended()
            assert (code, reason[:13]) == (4410, "Host to QEMU:")

    play(scenario)


def test_the_log_is_what_the_guest_said(instance, alice, host, tmp_path):
    instance.host.agent_address = f"unix:{tmp_path}/agent.sock"

    async def scenario():
        async with agent_of(host, tmp_path):
            log = await sync_to_async(consoles.console_log, thread_sensitive=False)(alice, instance)
            last = await sync_to_async(consoles.console_log, thread_sensitive=False)(alice, instance, 1)
        assert log
        assert log.endswith(last)
        assert len(last.splitlines()) == 1

    play(scenario)


def test_the_log_without_agent_names_the_hop(instance, alice):
    instance.host.agent_address = "unix:/nonexistent"
    with pytest.raises(Unavailable, match="Portal to host: the agent of host hv1 does not answer"):
        consoles.console_log(alice, instance)


def test_terminal_codes_are_not_for_people():
    said = "\x1b[1;32m[  OK  ]\x1b[0m Started \x1b]0;title\x07sshd\r\nbell\x07 caf\u00e9\r\n"
    assert consoles.plain(said) == "[  OK  ] Started sshd\nbell caf\u00e9\n"
