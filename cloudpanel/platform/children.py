"""Child processes of an asyncio program that is also the sub-reaper of all their descendants.

libvirt waits for QEMU by looking whether its pid is gone: an orphan that stays a zombie makes each stop of a
guest a second slower. So every process that falls to us is reaped at once, whoever started it.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
OPEN_FILES = 65536  # ovs-vswitchd needs several a port
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Child:
    pid: int
    since: float  # of time.time()
    ended: asyncio.Future  # of its return code; negative: the signal that killed it
    output: int | None  # file descriptor of its standard output and error, until somebody reads it

    def send(self, sig: int) -> None:
        """Signal the child, unless it has ended."""
        if not self.ended.done():
            os.kill(self.pid, sig)


class Children:
    """One in a program, made while its event loop runs. Nothing else there may start or wait for a process."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._known: dict[int, Child] = {}
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if child := self._known.pop(pid, None):
                    child.ended.set_result(os.waitstatus_to_exitcode(status))

    def kill_all(self) -> None:
        """KILL for each child that we started and that has not ended."""
        for child in self._known.values():
            child.send(signal.SIGKILL)

    def spawn(self, argv: list[str], *, env: dict | None = None, pass_fds=()) -> Child:
        """Start `argv` in a session of its own; it gets a TERM when this program dies. OSError if it cannot start."""
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                start_new_session=True,
                preexec_fn=_before_exec,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        process.returncode = 0  # we wait for it, not this object
        child = Child(process.pid, time.time(), self._loop.create_future(), reading)
        self._known[child.pid] = child
        return child

    async def lines(self, child: Child):
        """What the child writes, line by line, until it (and who inherited its output) closes it."""
        reader = asyncio.StreamReader(limit=1 << 20)
        pipe, child.output = os.fdopen(child.output, "rb", 0), None
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while True:
                try:
                    line = await reader.readuntil(b"\n")
                except asyncio.IncompleteReadError as rest:
                    line = rest.partial
                except asyncio.LimitOverrunError as long:
                    line = await reader.readexactly(long.consumed)
                if not line:
                    return
                yield line.decode(errors="replace").rstrip("\n")
        finally:
            transport.close()

    async def call(self, argv: list[str], timeout: float = 10) -> tuple[int, str]:
        """Run `argv` to its end; return code and output. A command that is late or absent is (-1, why)."""
        try:
            child = self.spawn(argv)
        except OSError as error:
            return -1, str(error)
        output = []

        async def read():
            output.extend([line async for line in self.lines(child)])

        try:
            async with asyncio.timeout(timeout):
                await read()
                code = await asyncio.shield(child.ended)
        except TimeoutError:
            child.send(signal.SIGKILL)
            return -1, f"{argv[0]} did not answer within {timeout} s"
        return code, "\n".join(output)


def _before_exec() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
