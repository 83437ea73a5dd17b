"""The kernel under threads, with real transactions. Run on PostgreSQL and on SQLite."""

import threading
import time

import pytest
from django.db import connection

from apps.core import lifecycle
from apps.core.errors import Conflict
from apps.core.lifecycle import mark, move
from apps.projects.models import Domain, Project
from tests.kernel.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)
LABEL = "kernel.thing"


def together(*functions):
    """Run all at once; returns their results or exceptions in order."""
    results = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def call(n, function):
        barrier.wait()
        try:
            results[n] = function()
        except Exception as error:
            results[n] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def project():
    domain = Domain.objects.create(id="default", name="Default")
    return Project.objects.create(name="lab", domain=domain)


@pytest.fixture
def keep():
    def keep(function):
        lifecycle._reconcilers.pop(LABEL, None)
        lifecycle.reconciles(Thing)(function)

    yield keep
    lifecycle._reconcilers.pop(LABEL, None)


@pytest.fixture
def thing(project):
    return lifecycle.begin(Thing(project=project, status="making"))


def fresh(thing):
    return Thing.objects.get(pk=thing.pk)


def test_one_row_has_one_worker_at_a_time(keep, thing):
    inside, most, runs = [0], [0], [0]
    guard = threading.Lock()

    def work(t):
        with guard:
            inside[0] += 1
            runs[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        with guard:
            inside[0] -= 1
        if t.status == "making":
            move(t, "ready")

    keep(work)
    together(*[lambda: lifecycle.run(LABEL, thing.pk)] * 8)
    assert (most[0], runs[0]) == (1, 1)
    assert fresh(thing).status == "ready"


def test_of_many_moves_one_wins(thing):
    def go():
        return move(fresh(thing), "ready")

    copies = [fresh(thing) for _ in range(8)]
    results = together(*[lambda copy=copy: move(copy, "ready") for copy in copies])
    assert sum(isinstance(result, Thing) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7


def test_no_mark_is_lost(keep, thing):
    """Marks and runs race; after the last mark there is always a look."""
    looks = []

    def work(t):
        looks.append(t.marks)
        if t.status == "making":
            move(t, "ready")

    keep(work)

    def marker():
        for _ in range(20):
            mark(thing)

    def runner():
        for _ in range(40):
            lifecycle.run(LABEL, thing.pk)

    results = together(marker, marker, runner, runner)
    assert not [r for r in results if r is not None]
    lifecycle.run(LABEL, thing.pk)
    row = fresh(thing)
    assert row.due_at is None
    assert row.marks == 41
    assert max(looks) == 41


def test_a_stalled_worker_cannot_write_after_another_took_over(keep, thing):
    stalled, taken = threading.Event(), threading.Event()
    first = [True]

    def work(t):
        if first[0]:
            first[0] = False
            stalled.set()
            taken.wait(10)
            move(t, "broken")
        else:
            move(t, "ready")

    keep(work)

    def slow():
        lifecycle.run(LABEL, thing.pk)

    def takeover():
        stalled.wait(10)
        Thing.objects.filter(pk=thing.pk).update(claimed_until="2001-01-01T00:00:00Z")
        lifecycle.run(LABEL, thing.pk)
        taken.set()

    results = together(slow, takeover)
    assert results == [None, None]
    assert fresh(thing).status == "ready"


def test_a_delete_during_the_build_wins_whatever_the_order(keep, project):
    def work(t):
        if t.status == "removing":
            lifecycle.end(t)
        elif t.status == "making":
            time.sleep(0.01)
            move(t, "ready")

    keep(work)

    def remove(pk):
        for _ in range(20):
            row = Thing.objects.get(pk=pk)
            try:
                return move(row, "removing")
            except Conflict:
                continue

    for _ in range(10):
        thing = lifecycle.begin(Thing(project=project, status="making"))
        pk = thing.pk
        together(lambda pk=pk: lifecycle.run(LABEL, pk), lambda pk=pk: remove(pk))
        lifecycle.run(LABEL, thing.pk)
        assert not Thing.objects.filter(pk=thing.pk).exists()
