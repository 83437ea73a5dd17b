"""A replica of an OVSDB database, and transactions on it.

An IDL thread keeps the replica current and reconnects by itself. A transaction is a function that that thread
runs on the replica, so what the function reads and what it writes are one: when somebody else's change comes
between, it is run again.
"""

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace

from ovsdbapp import exceptions
from ovsdbapp.backend.ovs_idl import idlutils
from ovsdbapp.backend.ovs_idl.command import BaseCommand
from ovsdbapp.backend.ovs_idl.connection import Connection, OvsdbIdl
from ovsdbapp.backend.ovs_idl.transaction import Transaction

from apps.core.errors import DriverError
from apps.networks.drivers.ovn.rows import Rows

TIMEOUT = 30  # seconds; the election of a new leader in a clustered database takes up to 15


def connect(remote: str, schema: str, columns: dict[str, list[str]], idl=OvsdbIdl) -> Connection:
    """A started connection that replicates `columns` ({table: [column]}) alone.

    It can block for as long as a hung server keeps its socket open.
    """
    helper = idlutils.get_schema_helper(remote, schema)
    for table, names in columns.items():
        helper.register_columns(table, names)
    connection = Connection(idl(remote, helper, leader_only="," in remote), timeout=TIMEOUT)
    connection.start()
    return connection


class Database:
    """Thread safe. Connects on first use, once a process: a connection does not survive fork().

    Every failure is a `DriverError`; the outside world's refusals are permanent, its silence is not.
    """

    def __init__(self, remote: str, schema: str, columns: dict[str, list[str]]):
        self.remote, self.schema, self.columns = remote, schema, columns
        self._lock = threading.Lock()
        self._pid = 0
        self._opening: Future[Connection] | None = None

    def write(self, change: Callable[[Rows], None]) -> None:
        """Run `change` as one transaction; nothing is sent when it changes nothing.

        It may run more than once and must have no other effect. A `DriverError` it raises undoes everything.
        """
        connection = self._connection()
        api = SimpleNamespace(idl=connection.idl)
        transaction = Transaction(api, connection, check_error=True, log_errors=False)
        transaction.add(_Change(api, change))
        with self._failures():
            transaction.commit()

    @contextmanager
    def read(self):
        """The replica as `Rows` that stand still meanwhile."""
        connection = self._connection()
        if not connection.lock.acquire(timeout=TIMEOUT):
            raise self._silent()
        try:
            yield Rows(connection.idl.tables)
        finally:
            connection.lock.release()

    def close(self) -> None:
        with self._lock:
            opening, self._opening = self._opening, None
        if opening and opening.done() and not opening.exception():
            opening.result().stop(timeout=5)

    def _connection(self) -> Connection:
        with self._lock:
            failed = self._opening and self._opening.done() and self._opening.exception()
            if self._opening is None or self._pid != os.getpid() or failed:
                self._pid, self._opening = os.getpid(), Future()
                # A thread, because a hung server would block us for ever; all callers await the same one.
                threading.Thread(target=self._open, args=[self._opening], daemon=True).start()
            opening = self._opening
        try:
            return opening.result(timeout=TIMEOUT)
        except TimeoutError:
            raise self._silent() from None
        except Exception as error:
            raise DriverError(f"{self.schema} at {self.remote} cannot be reached: {error}") from error

    def _open(self, opening: Future) -> None:
        try:
            opening.set_result(connect(self.remote, self.schema, self.columns))
        except BaseException as error:
            opening.set_exception(error)

    def _silent(self) -> DriverError:
        return DriverError(f"{self.schema} at {self.remote} did not answer within {TIMEOUT} s.")

    @contextmanager
    def _failures(self):
        try:
            yield
        except DriverError:
            raise
        except exceptions.TimeoutException as error:
            raise self._silent() from error
        except RuntimeError as error:
            raise _refusal(str(error)) from error


class _Change(BaseCommand):
    def __init__(self, api, change):
        super().__init__(api)
        self.change = change

    def run_idl(self, txn):
        self.change(Rows(self.api.idl.tables, txn))


def _refusal(message: str) -> DriverError:
    """The server's `OVSDB Error: {"error": "constraint violation", "details": "..."}` as ours."""
    try:
        reply = json.loads(message.removeprefix("OVSDB Error: "))
        error, details = reply["error"], reply.get("details", "")
    except (ValueError, TypeError, KeyError):
        return DriverError(f"The network database failed: {message[:200]}")
    # Another process inserted the row first and our replica had not heard: the next try finds it.
    raced = error == "duplicate uuid"
    violated = error in ("constraint violation", "referential integrity violation")
    return DriverError(
        f"The network database refused: {error}: {details}"[:300], permanent=violated and not raced
    )
