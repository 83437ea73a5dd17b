"""The supervisor with small processes of its own: order, readiness, restarts, refusals, orphans."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time

import pytest

from cloudpanel import config
from cloudpanel.platform import supervisor
from cloudpanel.platform.engines import Process
from cloudpanel.platform.supervisor import CannotStart, Supervisor

SLEEP = ("sleep", "1000")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(config, "STATE", tmp_path)
    monkeypatch.setattr(config, "RUN", tmp_path / "run")
    monkeypatch.setattr(supervisor, "STATUS", tmp_path / "run/supervisor.json")
    return tmp_path


async def at_once(children, pid):
    return True


def program(name, argv=SLEEP, ready=at_once, **options):
    return Process(name, argv, ready, **options)


def python(code):
    return (sys.executable, "-c", code)


@contextlib.asynccontextmanager
async def running(*table):
    """The supervisor once all is ready; stopped as TERM stops it."""
    ready = asyncio.Event()
    said = []
    it = Supervisor(list(table), said.append)
    task = asyncio.create_task(it.run(ready.set))
    await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    it.said = said
    try:
        yield it
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 20)


async def until(what, seconds=10):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


async def test_a_process_waits_until_what_it_needs_is_really_ready():
    order = []

    async def slowly(children, pid):
        order.append("asked")
        return len(order) > 3

    async def second(children, pid):
        order.append("second")
        return True

    async with running(program("b", ready=second, needs=("a",)), program("a", ready=slowly)):
        assert order == ["asked"] * 4 + ["second"]


async def test_a_killed_process_is_started_again_and_the_status_file_says_so(state):
    async with running(program("a")) as it:
        service = it.services["a"]
        first = service.child.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: service.state == "ready" and service.child and service.child.pid != first)
        row = json.loads((state / "run/supervisor.json").read_text())["a"]
        assert (row["state"], row["restarts"], row["pid"]) == ("ready", 1, service.child.pid)


async def test_what_was_running_before_is_used_and_not_stopped():
    async with running(program("a", argv=("false",), elsewhere=at_once)) as it:
        assert it.services["a"].state == "elsewhere"
        assert it.services["a"].child is None


async def test_nothing_is_left_after_the_end():
    async with running(program("a"), program("b", needs=("a",))) as it:
        pids = [service.child.pid for service in it.services.values()]
    assert not any(alive(pid) for pid in pids)


async def test_a_process_that_ignores_term_is_killed(monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_PATIENCE", 0.3)
    deaf = python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(1000)"
    )
    async with running(program("a", argv=deaf)) as it:
        pid = it.services["a"].child.pid
        await until(lambda: it.services["a"].last_words)
    assert not alive(pid)


async def test_a_first_start_that_fails_ends_with_the_last_line_and_leaves_nothing():
    table = [program("good"), program("bad", argv=python("raise SystemExit('no such port')"), ready=never)]
    it = Supervisor(table, lambda line: None)
    with pytest.raises(CannotStart, match=r"^bad ended with 1 before it was ready\. no such port"):
        await it.run(lambda: None)
    assert it.services["good"].state == "stopped"


async def test_a_failed_step_is_not_tried_again():
    it = Supervisor([program("once", argv=("false",), once=True)], lambda line: None)
    with pytest.raises(CannotStart, match="once failed with 1"):
        await it.run(lambda: None)


LEAVES_AN_ORPHAN = """
import os
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    os.closerange(0, 3)
    os.execvp("sleep", ["sleep", "1000"])
"""


async def test_orphans_are_reaped_at_once():
    """libvirt waits until a killed QEMU's pid is gone, and QEMU is an orphan of libvirtd's."""
    async with running(
        program("a", argv=python(LEAVES_AN_ORPHAN), once=True, patience=1), program("b")
    ) as it:
        pid = int(it.services["a"].last_words[0])
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not alive(pid), 1)


async def never(children, pid):
    return False
