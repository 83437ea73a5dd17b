"""The agent's process: its parts, each kept running by itself, and the sign that all of them are up."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from socket import socket

from channels.db import database_sync_to_async
from django.db import DatabaseError

from apps.core.errors import DriverError
from apps.hosts import heartbeat, relay
from apps.instances.agent.boots import Boots, SimulatedBoots
from apps.instances.agent.guests import Guests
from apps.instances.agent.metadata_service import MetadataService
from apps.instances.drivers import compute
from apps.instances.operations import observe_plug
from apps.networks import drivers as network_drivers
from apps.networks.operations import look_at_gateways, port_seen
from cloudpanel import config

log = logging.getLogger(__name__)

LONGEST_PAUSE = 15  # s between attempts of a part that fails
STEADY = 60  # s after which a part that failed counts as having worked
LOG_MAX = 1 << 20  # octets of a console's log that are read at most

Part = Callable[[Callable[[], None]], Awaitable[None]]  # is given what to call when it is up


class Agent:
    """`run` until cancelled; `ready_file` holds the pid from the time that every part is up."""

    def __init__(self, host: str, address: Path, ready_file: Path):
        self.host, self.address, self.ready_file = host, address, ready_file
        self.driver = compute(host)
        self.boots = Boots(host)
        self.parts: dict[str, Part] = {
            "heartbeat": self._heartbeat,
            "relay": self._relay,
            "guests": Guests(host, self.driver, self.boots.agent_connected).run,
        }
        self.networks_changed: list[asyncio.Event] = []
        if config.COMPUTE == "fake":
            simulated = SimulatedBoots(host, self.driver, self.boots)
            self.parts["boots"] = simulated.run
            self.networks_changed.append(simulated.changed)
        if config.NETWORK == "ovn":
            service = MetadataService(host, self.boots)
            self.parts |= {"metadata": service.run, "leases": self._leases, "ports": self._ports}
            self.networks_changed.append(service.changed)
        self._missing = set(self.parts)

    async def run(self) -> None:
        self.ready_file.parent.mkdir(parents=True, exist_ok=True)
        self.ready_file.unlink(missing_ok=True)
        try:
            async with asyncio.TaskGroup() as group:
                for name, part in self.parts.items():
                    group.create_task(self._keep(name, part), name=name)
        finally:
            self.ready_file.unlink(missing_ok=True)
            self.address.unlink(missing_ok=True)

    async def _keep(self, name: str, part: Part) -> None:
        """Run the part for ever; one that fails is begun again after a pause that grows."""
        pause = 0.5
        while True:
            began = time.monotonic()
            try:
                await part(lambda: self._is_up(name))
            except (DriverError, DatabaseError, OSError) as error:
                log.warning("Agent, %s: %s", name, error)
            except Exception:
                log.exception("Agent, %s", name)
            pause = 0.5 if time.monotonic() - began > STEADY else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _is_up(self, name: str) -> None:
        if name in self._missing:
            self._missing.remove(name)
            if not self._missing:
                self.ready_file.write_text(str(os.getpid()))
                log.info("Agent of host %s is ready", self.host)

    async def _heartbeat(self, ready) -> None:
        await database_sync_to_async(heartbeat.join)(self.host, agent_address=f"unix:{self.address}")
        await database_sync_to_async(look_at_gateways)()  # this host may carry them
        await heartbeat.keep_beating(self.host, lambda: asdict(self.driver.inventory()), ready)

    async def _relay(self, ready) -> None:
        operations = {
            "screen": self._screen,
            "serial": self._serial,
            "log": self._log,
            "networks": self._networks,
            "ping": self._ping,
        }
        async with await relay.serve(self.address, operations):
            ready()
            await asyncio.Event().wait()

    async def _screen(self, request: dict) -> socket:
        return socket(fileno=await asyncio.to_thread(self.driver.open_screen, str(request.get("instance"))))

    async def _serial(self, request: dict) -> socket:
        return socket(fileno=await asyncio.to_thread(self.driver.open_serial, str(request.get("instance"))))

    async def _log(self, request: dict) -> bytes:
        octets = min(int(request.get("bytes", LOG_MAX)), LOG_MAX)
        return await asyncio.to_thread(self.driver.console_log, str(request.get("instance")), octets)

    async def _networks(self, request: dict) -> None:
        for event in self.networks_changed:
            event.set()

    async def _ping(self, request: dict) -> None:
        pass

    async def _leases(self, ready) -> None:
        ready()
        await self.boots.follow_leases(Path(config.OVN_LOG))

    async def _ports(self, ready) -> None:
        async def seen(port_id: str, up: bool) -> None:
            await database_sync_to_async(port_seen)(port_id, up)
            if up:
                await database_sync_to_async(observe_plug)(port_id)

        ready()
        await network_drivers.watch(seen)


def main() -> None:
    """Run this host's agent until SIGTERM or SIGINT."""
    asyncio.run(_until_told(Agent(config.HOST, config.RUN / "agent.sock", config.RUN / "agent.ready")))


async def _until_told(agent: Agent) -> None:
    task = asyncio.ensure_future(agent.run())
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    logging.shutdown()
    os._exit(0)  # at once: a thread may be waiting for an engine that does not answer
