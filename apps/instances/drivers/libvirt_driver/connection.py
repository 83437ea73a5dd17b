"""One connection to libvirtd for all threads of a process, on which no call can hang its caller."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import libvirt

from apps.core.errors import DriverError

OPEN_SECONDS = 3
CALL_SECONDS = 30
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 3, 2  # a silent libvirtd is given up after (count + 1) * seconds

PERMANENT = {
    libvirt.VIR_ERR_XML_ERROR,
    libvirt.VIR_ERR_XML_DETAIL,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
}

T = TypeVar("T")

_events_of = 0  # the process whose event loop thread runs
_events_lock = threading.Lock()


def run_events() -> None:
    """The process has libvirt's event loop in a thread: keepalive and events need it. May be repeated."""
    global _events_of
    with _events_lock:
        if _events_of == os.getpid():
            return
        libvirt.registerErrorHandler(lambda context, error: None, None)  # else each error is printed
        libvirt.virEventRegisterDefaultImpl()
        _events_of = os.getpid()

    def loop():
        while True:
            with contextlib.suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()  # waits in poll()
                continue
            time.sleep(1)

    threading.Thread(target=loop, name="libvirt-events", daemon=True).start()


def driver_error(error: libvirt.libvirtError) -> DriverError:
    lines = (error.get_error_message() or str(error)).strip().splitlines()
    # What QEMU complains of last is why it ended; libvirt itself begins with the reason.
    telling = lines[-1] if "qemu-system" in lines[-1] else lines[0]
    return DriverError(telling[-300:], permanent=error.get_error_code() in PERMANENT)


def open_connection(uri: str) -> libvirt.virConnect:
    """A new connection that notices when libvirtd is gone or hangs. Blocks while libvirtd hangs."""
    run_events()
    connection = libvirt.open(uri)
    connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
    return connection


class Connection:
    """Opened when first needed, and again after libvirtd died."""

    def __init__(self, uri: str):
        self.uri = uri
        self._lock = threading.Lock()
        self._opening: Future | None = None  # its result is the connection

    def call(self, work: Callable[[libvirt.virConnect], T], seconds: float = CALL_SECONDS) -> T:
        """The result of `work(connection)`; DriverError for what libvirt refuses or does not answer in time.

        `work` is done again from its start when libvirtd goes away meanwhile, so it must be repeatable.
        """
        deadline = time.monotonic() + seconds
        for last_try in (False, True):
            connection = self._open()
            try:
                return _in_thread(work, connection).result(max(deadline - time.monotonic(), 1))
            except TimeoutError:
                self._forget(connection)
                raise DriverError(f"The hypervisor did not answer within {seconds:.0f} s.") from None
            except libvirt.libvirtError as error:
                if last_try or connection.isAlive():
                    raise driver_error(error) from error
        raise AssertionError("unreachable")

    def _open(self) -> libvirt.virConnect:
        with self._lock:
            if self._opening is None or (self._opening.done() and not _is_alive(self._opening)):
                self._opening = _in_thread(open_connection, self.uri)
            opening = self._opening
        try:
            return opening.result(OPEN_SECONDS)
        except TimeoutError:
            raise DriverError(
                "The hypervisor daemon (libvirtd) accepts connections but does not answer."
            ) from None
        except libvirt.libvirtError as error:
            raise driver_error(error) from error

    def _forget(self, connection: libvirt.virConnect) -> None:
        """The next call opens a new connection: this one is held up by a call that hangs."""
        with self._lock:
            if self._opening and self._opening.done() and self._opening.result() is connection:
                self._opening = None
        _in_thread(connection.close)  # it may hang as well


def _is_alive(opened: Future) -> bool:
    return opened.exception() is None and bool(opened.result().isAlive())


def _in_thread(work: Callable[..., T], *args) -> Future:
    """`work(*args)` in a thread of its own, which a process need not wait for when it ends."""
    answer: Future = Future()

    def run():
        try:
            answer.set_result(work(*args))
        except BaseException as error:  # whoever waits for the answer raises it
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer
