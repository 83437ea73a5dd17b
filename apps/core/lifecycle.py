"""Operations make promises, reconcilers keep them.

A row's status is an observation or a promise. `begin`, `move` and `end` are the only writers of a status; a
promise makes the row due. A worker claims a due row, runs the one function registered for its model, and
releases it. The row remembers everything, so a killed worker or a lost message costs seconds.
"""

import contextlib
import contextvars
import heapq
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import close_old_connections, models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from apps.core import doorbell, events
from apps.core.context import Context
from apps.core.errors import Conflict, DriverError
from apps.core.models import Event, Reconciled

log = logging.getLogger(__name__)

CLAIM = timedelta(seconds=30)
RENEW = 10  # s
OVERDUE = timedelta(seconds=5)  # what the sweep rings
SWEEP_ROWS = 200
MAX_BACKOFF = 60  # s


class ClaimLost(Exception):
    """Somebody else holds the row now; this run must write nothing more."""


# --- writing ----------------------------------------------------------------------------------------


@dataclass
class _Run:
    """The claim that the running reconciler holds."""

    obj: Reconciled
    token: str


_current: contextvars.ContextVar[_Run | None] = contextvars.ContextVar("reconciler run", default=None)


def _is_mine(obj: Reconciled, run: _Run | None) -> bool:
    return run is not None and run.obj.pk == obj.pk and type(run.obj) is type(obj)


def _fence(obj: Reconciled) -> dict:
    """Conditions that a write to `obj` must carry. Inside a run, a write to another row first locks the claim."""
    run = _current.get()
    if run is None:
        return {}
    if _is_mine(obj, run):
        return {"claimed_by": run.token}
    mine = type(run.obj)._base_manager.select_for_update().filter(pk=run.obj.pk, claimed_by=run.token)
    if not mine.exists():
        raise ClaimLost(str(run.obj.pk))
    return {}


def _ring(obj: Reconciled) -> None:
    if obj._meta.label_lower in _reconcilers:
        doorbell.ring(obj._meta.label_lower, obj.pk, obj.queue)


@transaction.atomic
def begin(
    obj, *, by: Context | None = None, action: str = "create", detail: str = "", data: dict | None = None
):
    """Insert `obj`; a promise is due at once. Records the event; returns `obj`."""
    _fence(obj)
    if obj.is_promise:
        obj.due_at = timezone.now()
        obj.marks = 1
    obj.save(force_insert=True)
    outcome = Event.Outcome.BEGUN if obj.is_promise else Event.Outcome.DONE
    events.record(obj, action, by=by, outcome=outcome, detail=detail, data=data, new=True)
    if obj.is_promise:
        _ring(obj)
    return obj


@transaction.atomic
def move(
    obj,
    status: str,
    *,
    by: Context | None = None,
    action: str = "",
    detail: str = "",
    outcome: str = "",
    data: dict | None = None,
    **fields,
):
    """Change the status if it is still what `obj` says; `fields` are written with it. Returns `obj`, updated.

    Raises Conflict when the row has moved meanwhile or the move is not in TRANSITIONS.
    """
    status = str(status)
    old = obj.status
    if status not in {str(s) for s in obj.TRANSITIONS.get(old, ())}:
        raise Conflict(f"Cannot {action or status} {obj._meta.verbose_name} {obj} while it is {old}.")
    now = timezone.now()
    promise = status in obj.PROMISES
    values = {
        "status": status,
        "status_since": now,
        "updated_at": now,
        "fault": "",
        "failures": 0,
        "step": "",
        "step_since": now,
        "progress": None,
    } | fields
    fence = _fence(obj)
    mine = "claimed_by" in fence
    written = dict(values)
    if not mine:
        written["marks"] = F("marks") + 1
        written["due_at"] = Now() if promise else F("due_at")
    if not type(obj)._base_manager.filter(pk=obj.pk, status=old, **fence).update(**written):
        _explain_miss(obj, old, action or status)
    for name, value in values.items():
        setattr(obj, name, value)
    if not outcome:
        outcome = Event.Outcome.BEGUN if promise else Event.Outcome.DONE
    events.record(obj, action or status.lower(), by=by, outcome=outcome, detail=detail, data=data)
    if promise and not mine:
        _ring(obj)
    return obj


def _explain_miss(obj, old: str, wanted: str):
    run = _current.get()
    row = type(obj)._base_manager.filter(pk=obj.pk).values_list("status", "claimed_by").first()
    if row and _is_mine(obj, run) and row[1] != run.token:
        raise ClaimLost(str(obj.pk))
    now = row[0] if row else "gone"
    raise Conflict(f"Cannot {wanted} {obj._meta.verbose_name} {obj}: it was {old} and is {now} now.")


@transaction.atomic
def end(obj, *, by: Context | None = None, action: str = "delete", detail: str = "") -> None:
    """Delete the row if it is still in the status that `obj` says. Records the event."""
    fence = _fence(obj)
    events.record(obj, action, by=by, detail=detail)
    if not type(obj)._base_manager.filter(pk=obj.pk, status=obj.status, **fence).delete()[0]:
        _explain_miss(obj, obj.status, action)


def mark(obj) -> None:
    """Somebody shall look at this row: durable now, rung on commit."""
    type(obj)._base_manager.filter(pk=obj.pk).update(marks=F("marks") + 1, due_at=Now())
    _ring(obj)


def lock(obj):
    """`obj`, refreshed and locked until the transaction ends: what is tested next stays true."""
    locked = type(obj)._base_manager.select_for_update().get(pk=obj.pk)
    for field in obj._meta.concrete_fields:
        setattr(obj, field.attname, getattr(locked, field.attname))
    return obj


def note(obj, step: str = "", progress: int | None = None, **fields) -> None:
    """Write the step of a running promise (columns, no event) and show it. Half a second between mere progress."""
    now = timezone.now()
    too_soon = progress == obj.progress or (now - obj.updated_at).total_seconds() < 0.5
    if step == obj.step and not fields and too_soon:
        return
    values = {"progress": progress, "updated_at": now, **fields}
    if step and step != obj.step:
        values |= {"step": step, "step_since": now}
    with transaction.atomic():
        if not type(obj)._base_manager.filter(pk=obj.pk, **_fence(obj)).update(**values):
            raise ClaimLost(str(obj.pk))
        for name, value in values.items():
            setattr(obj, name, value)
        events.changed(obj, "step")


# --- reconciling ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class later:
    """What a reconciler returns to be called again in `seconds`; events ring it sooner."""

    seconds: float


@dataclass(frozen=True)
class _Reconciler:
    model: type[Reconciled]
    function: Callable
    slots: threading.Semaphore | None


_reconcilers: dict[str, _Reconciler] = {}


def reconciles(model: type[Reconciled], *, at_once: int = 0):
    """Register the one function that keeps the promises of `model`.

    `at_once` bounds how many run in one process, for those that copy for minutes; 0: as many as threads.
    """

    def register(function):
        label = model._meta.label_lower
        if label in _reconcilers:
            raise ValueError(f"{label} has a reconciler already")
        _reconcilers[label] = _Reconciler(model, function, threading.Semaphore(at_once) if at_once else None)
        return function

    return register


def run(label: str, pk) -> None:
    """Claim the row if it is due and free, make the world match it, release it. Repeats while it is marked anew."""
    reconciler = _reconcilers[label]
    slots = reconciler.slots
    if slots is not None and not slots.acquire(blocking=False):
        _timer.ring(1, label, pk)
        return
    try:
        while _run_once(reconciler, pk):
            pass
    finally:
        if slots is not None:
            slots.release()


def _run_once(reconciler: _Reconciler, pk) -> bool:
    """True when the row is due again now."""
    model = reconciler.model
    token = _worker.new_token()
    free = Q(claimed_by="") | Q(claimed_until__lt=Now())
    claimed = model._base_manager.filter(free, pk=pk, due_at__isnull=False).update(
        claimed_by=token, claimed_until=Now() + CLAIM
    )
    if not claimed:
        return False
    with _worker.renewing(model, token):
        obj = model._base_manager.get(pk=pk)
        seen, failures = obj.marks, obj.failures
        active = _current.set(_Run(obj, token))
        try:
            wait, failed = _call(reconciler.function, obj)
            return _release(obj, token, seen, wait, failed, failures)
        except ClaimLost:
            log.warning("%s %s: claim lost, another worker goes on", obj.kind, pk)
            return False
        finally:
            _current.reset(active)


def _call(function, obj) -> tuple[float | None, str]:
    """(seconds to wait or None, transient failure or "")."""
    try:
        result = function(obj)
    except ClaimLost:
        raise
    except Conflict as conflict:  # moved under us by an operation; its marks make the row due
        log.info("%s %s: %s", obj.kind, obj.pk, conflict.message)
        return 1.0, ""
    except DriverError as error:
        fallback = obj.PROMISES.get(obj.status)
        if error.permanent and fallback is not None:
            try:
                move(
                    obj,
                    fallback,
                    action="fail",
                    outcome=Event.Outcome.FAILED,
                    detail=str(error),
                    fault=str(error),
                )
                return None, ""
            except Conflict:
                return 1.0, ""
        log.warning("%s %s: %s", obj.kind, obj.pk, error)
        return None, str(error)
    except Exception:
        log.exception("%s %s: reconciler failed", obj.kind, obj.pk)
        return None, "Internal error in the cloud; it is tried again and logged."
    return (result.seconds if isinstance(result, later) else None), ""


def _release(obj, token: str, seen: int, wait: float | None, failed: str, failures: int) -> bool:
    values: dict = {"claimed_by": "", "claimed_until": None}
    told = type(obj)._base_manager.filter(pk=obj.pk, claimed_by=token, status=obj.status)
    if failed:
        told.update(failures=F("failures") + 1, fault=failed)  # of this status, if it is still the row's
        wait = min(MAX_BACKOFF, 2 ** min(failures, 6))
    elif failures and obj.failures:
        told.update(failures=0, fault="")
    if wait is None and obj.is_promise:
        wait = 1.0  # a promise not kept yet and nothing else said: look again
    rest = Now() + timedelta(seconds=wait) if wait is not None else Value(None, models.DateTimeField())
    marked = ~Q(marks=seen)
    values["due_at"] = Case(When(marked, then=Now()), default=rest, output_field=models.DateTimeField())
    rows = type(obj)._base_manager.filter(pk=obj.pk)
    if not rows.filter(claimed_by=token).update(**values):
        if rows.exists():
            raise ClaimLost(str(obj.pk))
        return False  # ended
    again = rows.filter(marked, due_at__isnull=False).exists()
    if failed or (failures and obj.failures):
        events.changed(obj, "fault")
    if not again and wait is not None:
        _timer.ring(wait, obj._meta.label_lower, obj.pk, obj.queue)
    return again


def due(limit: int = SWEEP_ROWS) -> list[Reconciled]:
    """Rows that are owed something for more than 5 s and that nobody works on, oldest first."""
    rows: list[Reconciled] = []
    for reconciler in _reconcilers.values():
        free = Q(claimed_by="") | Q(claimed_until__lt=Now())
        rows += reconciler.model._base_manager.filter(free, due_at__lt=Now() - OVERDUE).order_by("due_at")[
            :limit
        ]
    rows.sort(key=lambda row: row.due_at)
    return rows[:limit]


def sweep() -> int:
    """Ring every overdue row; returns how many."""
    rows = due()
    for row in rows:
        _ring(row)
    return len(rows)


def reconcilers() -> dict[str, type[Reconciled]]:
    return {label: reconciler.model for label, reconciler in _reconcilers.items()}


# --- the worker process -----------------------------------------------------------------------------


class _Worker:
    """This process as a holder of claims: its name, its boot, the claims to renew."""

    def __init__(self):
        self.name = "process"
        self.boot = uuid.uuid4().hex[:12]
        self._runs = itertools.count(1)
        self._held: dict[str, type[Reconciled]] = {}
        self._lock = threading.Lock()
        self._renewer: threading.Thread | None = None

    def new_token(self) -> str:
        return f"{self.name}/{self.boot}/{next(self._runs)}"

    @contextlib.contextmanager
    def renewing(self, model, token: str):
        with self._lock:
            self._held[token] = model
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew, name="claims", daemon=True)
                self._renewer.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(token, None)

    def _renew(self) -> None:
        while True:
            time.sleep(RENEW)
            self._renew_once()

    def _renew_once(self) -> None:
        close_old_connections()  # this thread's own, which may have broken: nobody else looks after it
        with self._lock:
            held = dict(self._held)
        by_model: dict[type[Reconciled], list[str]] = {}
        for token, model in held.items():
            by_model.setdefault(model, []).append(token)
        for model, tokens in by_model.items():
            try:
                model._base_manager.filter(claimed_by__in=tokens).update(claimed_until=Now() + CLAIM)
            except Exception:  # the database is away: the claim runs out, and fencing stops the run
                log.exception("Claims not renewed")


_worker = _Worker()


def start_worker(name: str) -> None:
    """Name this process and free the claims that an earlier process of that name left behind."""
    _worker.name = name
    for label, reconciler in _reconcilers.items():
        stale = reconciler.model._base_manager.filter(claimed_by__startswith=f"{name}/").exclude(
            claimed_by__startswith=f"{name}/{_worker.boot}/"
        )
        rows = list(stale)
        stale.update(claimed_by="", claimed_until=None, due_at=Now(), marks=F("marks") + 1)
        for row in rows:
            doorbell.ring(label, row.pk, row.queue)


class _Timer:
    """Rings after a while, from one thread; lost with the process, when the sweep takes over."""

    def __init__(self):
        self._queue: list[tuple] = []
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._order = itertools.count()

    def ring(self, seconds: float, label: str, pk, queue: str = "") -> None:
        if not queue:
            row = _reconcilers[label].model._base_manager.filter(pk=pk).first()
            if row is None:
                return
            queue = row.queue
        with self._wake:
            heapq.heappush(
                self._queue, (time.monotonic() + seconds, next(self._order), label, str(pk), queue)
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="timer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._queue:
                    self._wake.wait()
                    continue
                wait = self._queue[0][0] - time.monotonic()
                if wait > 0:
                    self._wake.wait(wait)
                    continue
                _, _, label, pk, queue = heapq.heappop(self._queue)
            doorbell.publish(label, pk, queue)


_timer = _Timer()
