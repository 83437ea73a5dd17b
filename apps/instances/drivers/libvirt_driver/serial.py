"""A guest's serial line as a socket, for one holder at a time."""

import contextlib
import os
import select
import socket
import threading
import tty

from apps.core.errors import DriverError

BUFFER = 64 << 10  # bytes taken at once, and kept at most for a side that does not read


class SerialLines:
    """QEMU's pseudo terminals, bridged to sockets: so a holder can be shown the door."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held: dict[str, socket.socket] = {}  # uuid -> our end of the holder's socket

    def open(self, uuid: str, terminal: str) -> int:
        """A socket on the terminal device; the previous holder of the guest's line reads end of file."""
        try:
            line = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(line)
        except OSError as error:
            raise DriverError(f"The serial line cannot be opened: {error.strerror}.") from error
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with self._lock:
            previous = self._held.get(uuid)
            self._held[uuid] = ours
            if previous:
                with contextlib.suppress(OSError):  # its holder has left
                    previous.shutdown(socket.SHUT_RDWR)
        threading.Thread(target=self._serve, args=(uuid, line, ours), name="serial", daemon=True).start()
        return theirs.detach()

    def _serve(self, uuid: str, line: int, ours: socket.socket) -> None:
        with contextlib.suppress(OSError):
            _bridge(line, ours.fileno())
        with self._lock:
            if self._held.get(uuid) is ours:
                del self._held[uuid]
            ours.close()
        os.close(line)


def _bridge(left: int, right: int) -> None:
    """Carry bytes both ways until a side ends; a side that does not read holds up the other."""
    waiting = {left: b"", right: b""}  # what is still to be written to each
    other = {left: right, right: left}
    poll = select.poll()
    while True:
        for end in (left, right):
            want = (select.POLLOUT if waiting[end] else 0) | (0 if waiting[other[end]] else select.POLLIN)
            poll.register(end, want)
        for end, happened in poll.poll():
            if happened & select.POLLOUT:
                waiting[end] = waiting[end][os.write(end, waiting[end]) :]
            if happened & select.POLLIN:
                data = os.read(end, BUFFER)
                if not data:
                    return
                waiting[other[end]] = data
            elif happened & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                return
