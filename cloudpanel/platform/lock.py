"""One supervisor at a time runs on a state directory; its lock file holds its pid."""

import fcntl
import os
import signal
import time

from cloudpanel import config

LOCK = config.RUN / "supervisor.lock"
PATIENCE = 60  # s
_held = None


def become_the_supervisor() -> bool:
    """True: the lock is ours until this process ends. False: somebody else has it."""
    global _held
    _held = open(LOCK, "a+")  # noqa: SIM115 - closed by our end
    try:
        fcntl.flock(_held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    _held.truncate(0)
    _held.write(str(os.getpid()))
    _held.flush()
    return True


def supervisor_pid() -> int:
    """The pid of the supervisor that runs on this state directory; 0: there is none that we may know of."""
    try:
        with open(LOCK) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except (FileNotFoundError, PermissionError):
        pass
    return 0


def stop_supervisor() -> bool:
    """True: none runs any more, nor what it started. False: it has not ended within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    if pid := supervisor_pid():
        os.kill(pid, signal.SIGTERM)
    while supervisor_pid():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
