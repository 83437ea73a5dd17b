"""Starts a table of processes in the order of their needs and keeps them running.

One program, in the foreground (`make run`) or detached (`make up`). Nothing is polled once all are ready: a
process that ends is noticed by its SIGCHLD and started again after 0.2 s, then 0.4 s ... 10 s, and from
0.2 s again once it has lived for 30 s. What was running before us is used as it is and never stopped.
"""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cloudpanel import config
from cloudpanel.platform.children import Child, Children
from cloudpanel.platform.engines import Process
from cloudpanel.platform.listen import listen
from cloudpanel.platform.logs import Log

STATUS = config.RUN / "supervisor.json"
FIRST_DELAY, LAST_DELAY, PROVEN = 0.2, 10.0, 30.0  # s
TRIES = 3  # failed starts in a row that end the first start-up
STOP_PATIENCE = 10  # s from TERM to KILL
# Small services: threads need not have an arena of 64 MiB each.
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "MALLOC_ARENA_MAX": "2",
    "DJANGO_SETTINGS_MODULE": "cloudpanel.settings",
}


class CannotStart(Exception):
    """The first start-up failed; the text says which process and why, in one line."""


@dataclass
class Service:
    """One process of the table and what has become of it."""

    process: Process
    state: str = "waiting"  # starting, ready, elsewhere, done, broken, stopped
    child: Child | None = None
    restarts: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)  # it has been ready once
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # it is stopped
    last_words: deque = field(default_factory=lambda: deque(maxlen=20))
    task: asyncio.Task | None = None
    reader: asyncio.Task | None = None


class Supervisor:
    """`say` gets each line meant for the person who started us; `show` each line of our own processes' logs."""

    def __init__(
        self,
        table: list[Process],
        say: Callable[[str], None],
        show: Callable[[str, str], None] = lambda *_: None,
    ):
        self.say, self.show = say, show
        self.services = {p.name: Service(p) for p in table}
        self.stopping = False
        self.failure: asyncio.Future
        self.children: Children
        self.listener: socket.socket | None = None

    async def run(self, when_ready: Callable[[], None] | None = None) -> None:
        """Until TERM or INT, or without `when_ready` until all is ready; what we started is stopped then.

        CannotStart if it did not all become ready.
        """
        self.children = Children()
        loop = asyncio.get_running_loop()
        self.failure = loop.create_future()
        stop = asyncio.Event()
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(sig, self._asked_to_stop, stop)
        if any(service.process.listens for service in self.services.values()):
            self.listener = listen()
        started = time.monotonic()
        for service in self.services.values():
            service.task = asyncio.create_task(self._keep(service))
            service.task.add_done_callback(self._no_silent_end)
        all_up = asyncio.create_task(self._all_up())
        asked = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({all_up, asked, self.failure}, return_when=asyncio.FIRST_COMPLETED)
            if self.failure.done():
                raise CannotStart(self.failure.result())
            if when_ready and not asked.done():
                self.say(f"All ready after {time.monotonic() - started:.1f} s.")
                when_ready()
                await asked
        finally:
            all_up.cancel()
            await self._stop_all()

    async def _all_up(self) -> None:
        for service in self.services.values():
            await service.up.wait()

    def _no_silent_end(self, task: asyncio.Task) -> None:
        if not task.cancelled() and task.exception() and not self.failure.done():
            self.failure.set_exception(task.exception())

    def _asked_to_stop(self, stop: asyncio.Event) -> None:
        if stop.is_set():  # asked twice: at once, then
            self.children.kill_all()
        stop.set()

    # --- one process

    async def _keep(self, service: Service) -> None:
        process = service.process
        await asyncio.gather(*(self.services[name].up.wait() for name in process.needs))
        delay, failures = FIRST_DELAY, 0
        while True:
            try:
                if not await self._start(service):
                    return
                failures = 0
                code = await asyncio.shield(service.child.ended)
                why = f"ended with {code}" if code >= 0 else f"was killed by signal {-code}"
            except CannotStart as error:
                why, failures = str(error), failures + 1
            lived = time.time() - service.child.since if service.child else 0
            await self._end(service)
            if not service.up.is_set() and (failures >= TRIES or process.once):
                self._note(service, "broken")
                if not self.failure.done():
                    words = next((line for line in reversed(service.last_words) if line.strip()), "")
                    log = config.STATE / "log" / f"{process.name}.log"
                    self.failure.set_result(f"{process.name} {why}. {words} (see {log})")
                return
            delay = FIRST_DELAY if lived > PROVEN else delay
            self.say(f"{process.name} {why}; starting it again in {delay:.1f} s")
            self._note(service, "broken")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)
            service.restarts += 1

    async def _start(self, service: Service) -> bool:
        """True: it runs, is ready, and is ours to watch. False: nothing to watch. CannotStart says why not."""
        process, began = service.process, time.monotonic()
        self._note(service, "starting")
        if process.elsewhere and await process.elsewhere(self.children, 0):
            await self._until_found_ready(process)
            await self._step(service, process.settle)
            return self._ready(service, "elsewhere", began)
        await self._step(service, process.prepare)
        try:
            service.child = self.children.spawn(
                list(process.argv),
                env=ENVIRONMENT
                | ({"CLOUDPANEL_LISTEN_FD": str(self.listener.fileno())} if process.listens else {}),
                pass_fds=(self.listener.fileno(),) if process.listens else (),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotStart(f"cannot be started: {error}") from error
        service.reader = asyncio.create_task(self._read(service, service.child))
        try:
            async with asyncio.timeout(process.patience):
                if process.once:
                    code = await asyncio.shield(service.child.ended)
                    await service.reader
                    if code:
                        raise CannotStart(f"failed with {code}")
                    return self._ready(service, "done", began)
                await self._until_ready(service)
        except TimeoutError:
            raise CannotStart(f"was not ready after {process.patience:.0f} s") from None
        await self._step(service, process.settle)
        return self._ready(service, "ready", began)

    async def _until_ready(self, service: Service) -> None:
        child, pause = service.child, 0.05
        while not child.ended.done():
            if await service.process.ready(self.children, child.pid):
                return
            await asyncio.wait({child.ended}, timeout=pause)
            pause = min(pause * 1.5, 0.5)
        await asyncio.sleep(0.1)  # its last words
        raise CannotStart(f"ended with {child.ended.result()} before it was ready")

    async def _until_found_ready(self, process: Process) -> None:
        try:
            async with asyncio.timeout(process.patience):
                while not await process.ready(self.children, 0):
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise CannotStart(f"runs already, but was not ready after {process.patience:.0f} s") from None

    async def _step(self, service: Service, argv: tuple[str, ...]) -> None:
        if not argv:
            return
        code, output = await self.children.call(list(argv), 60)
        if code:
            service.last_words.extend(output.splitlines())
            raise CannotStart(f"could not be set up ({' '.join(argv[-2:])})")

    def _ready(self, service: Service, state: str, began: float) -> bool:
        self._note(service, state)
        took = {"elsewhere": "found running"}.get(state, f"{state}, {time.monotonic() - began:.1f} s")
        self.say(f"  {service.process.name:<15} {took}")
        service.up.set()
        return state == "ready"

    async def _read(self, service: Service, child: Child) -> None:
        with contextlib.closing(Log(config.STATE / "log" / f"{service.process.name}.log")) as log:
            async for line in self.children.lines(child):
                log.write(line)
                service.last_words.append(line)
                if service.process.ours:
                    self.show(service.process.name, line)

    # --- all of them

    async def _stop_all(self) -> None:
        self.stopping = True
        for service in self.services.values():
            service.task.cancel()
        await asyncio.gather(*(s.task for s in self.services.values()), return_exceptions=True)
        await asyncio.gather(*(self._stop(service) for service in self.services.values()))
        STATUS.unlink(missing_ok=True)

    async def _stop(self, service: Service) -> None:
        """After everything that needs it, and politely first."""
        mine = service.process.name
        await asyncio.gather(*(s.gone.wait() for s in self.services.values() if mine in s.process.needs))
        await self._end(service)
        self._note(service, "stopped")
        service.gone.set()

    async def _end(self, service: Service) -> None:
        """Its process, if there is one, has ended."""
        child, service.child = service.child, None
        if not child or child.ended.done():
            return
        if service.process.stop and service.state == "ready":
            await self.children.call(list(service.process.stop), STOP_PATIENCE)
        else:
            child.send(signal.SIGTERM)
        await asyncio.wait({child.ended}, timeout=STOP_PATIENCE)
        child.send(signal.SIGKILL)
        await child.ended

    def _note(self, service: Service, state: str) -> None:
        """Change a state, and tell `make status`."""
        service.state = state
        draft = STATUS.with_suffix(".new")
        draft.write_text(
            json.dumps(
                {
                    name: {
                        "state": s.state,
                        "pid": s.child.pid if s.child else 0,
                        "since": s.child.since if s.child else 0,
                        "restarts": s.restarts,
                    }
                    for name, s in self.services.items()
                }
            )
        )
        draft.replace(STATUS)
